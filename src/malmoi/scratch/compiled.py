"""The functions of `malmoi.scratch.gates`, compiled, for float32: one pass over memory each, in vector instructions.

Their NumPy twins there say what they do; tests hold the two equal. Rows are handled in order by one thread. Those of the LSTM
are the very ones that the PyTorch rung runs on.

Shapes: N sequences, H hidden width, V vocabulary, M rows.
"""

import numpy as np
from numpy.typing import NDArray

from malmoi.jit import compiled
from malmoi.layers.exponential import ONE, TWO, exp
from malmoi.layers.gates import lstm_backward, lstm_forward

__all__ = ["gru_backward", "gru_forward", "lstm_backward", "lstm_forward", "rnn_backward", "softmax_gradient"]

Array = NDArray[np.float32]


@compiled()
def rnn_backward(hidden: Array, d_hidden: Array, d_sums: Array) -> None:
    n_rows, size = hidden.shape
    for row in range(n_rows):
        h, d_h, d = hidden[row], d_hidden[row], d_sums[row]
        for j in range(size):
            d[j] = d_h[j] * (ONE - h[j] * h[j])


@compiled()
def gru_forward(gates: Array, hidden_sums: Array, before: Array, hidden: Array) -> None:
    n_rows, size = hidden.shape
    for row in range(n_rows):
        x, u, old, h = gates[row], hidden_sums[row], before[row], hidden[row]
        r, z, n, u_n = x[:size], x[size : 2 * size], x[2 * size :], u[2 * size :]
        for j in range(2 * size):
            x[j] = ONE / (ONE + exp(-(x[j] + u[j])))
        for j in range(size):
            n[j] += r[j] * u_n[j]
        for j in range(size):
            n[j] = ONE - TWO / (exp(n[j] + n[j]) + ONE)
        for j in range(size):
            h[j] = n[j] + z[j] * (old[j] - n[j])


@compiled()
def gru_backward(
    gates: Array, hidden_sums: Array, before: Array, d_hidden: Array, d_sums: Array, d_hidden_sums: Array
) -> None:
    n_rows, size = before.shape
    for row in range(n_rows):
        x, d, d_u, old, d_h = gates[row], d_sums[row], d_hidden_sums[row], before[row], d_hidden[row]
        r, z, n, u_n = x[:size], x[size : 2 * size], x[2 * size :], hidden_sums[row][2 * size :]
        d_r, d_z, d_n = d[:size], d[size : 2 * size], d[2 * size :]
        for j in range(size):
            d_n[j] = d_h[j] * (ONE - z[j]) * (ONE - n[j] * n[j])
        for j in range(size):
            d_r[j] = d_n[j] * u_n[j] * r[j] * (ONE - r[j])
        for j in range(size):
            d_z[j] = d_h[j] * (old[j] - n[j]) * z[j] * (ONE - z[j])
        for j in range(2 * size):
            d_u[j] = d[j]
        for j in range(size):
            d_u[2 * size + j] = d_n[j] * r[j]
        for j in range(size):
            d_h[j] *= z[j]


@compiled()
def softmax_gradient(logits: Array, targets: NDArray[np.int64], ignore_id: int, scale: float) -> float:
    n_rows, width = logits.shape
    nll = 0.0
    for row in range(n_rows):
        values, target = logits[row], targets[row]
        if target == ignore_id:
            values[:] = np.float32(0)
            continue
        top = values[0]
        for j in range(width):
            top = max(top, values[j])
        nll += np.float64(top - values[target])
        total = np.float32(0)
        for j in range(width):
            values[j] = exp(values[j] - top)
            total += values[j]
        nll += np.log(np.float64(total))
        factor = np.float32(scale / np.float64(total))
        for j in range(width):
            values[j] *= factor
        values[target] -= np.float32(scale)
    return nll
