"""The arithmetic between the matrix products: gates, their gradients, and the softmax at the end, each as one call per step.

The functions here are NumPy, for every precision. For float32 `arithmetic` gives their compiled twins instead
(`malmoi.scratch.compiled` and `malmoi.layers.gates`), which go over the memory once and not once for each operation; where
numba cannot be imported, these here do the same.

Everything is written into arrays that the caller keeps. Shapes: N sequences, H hidden width, V vocabulary, M rows.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from malmoi.scratch.checks import Array
from malmoi.scratch.functions import sigmoid


class Arithmetic(NamedTuple):
    """What recurrent layers and the softmax loss compute element by element."""

    rnn_backward: Callable[[Array, Array, Array], None]
    lstm_forward: Callable[[Array, Array, Array, Array, Array], None]
    lstm_backward: Callable[[Array, Array, Array, Array, Array, Array], None]
    gru_forward: Callable[[Array, Array, Array, Array], None]
    gru_backward: Callable[[Array, Array, Array, Array, Array, Array], None]
    softmax_gradient: Callable[[Array, NDArray[np.int64], int, float], float]


def rnn_backward(hidden: Array, d_hidden: Array, d_sums: Array) -> None:
    """From d_hidden (N, H) to d_sums (N, H): tanh has the slope 1 - h^2."""
    np.multiply(hidden, hidden, out=d_sums)
    np.subtract(1, d_sums, out=d_sums)
    d_sums *= d_hidden


def lstm_forward(gates: Array, cell_before: Array, cell: Array, cell_tanh: Array, hidden: Array) -> None:
    """One step: sums in `gates` (N, 4H) become i, f, g, o in place; fills c = f c' + i g, tanh(c) and h = o tanh(c)."""
    i, f, g, o = np.split(gates, 4, axis=1)  # views
    for gate in (i, f, o):
        gate[...] = sigmoid(gate)
    np.tanh(g, out=g)
    np.multiply(f, cell_before, out=cell)
    cell += i * g
    np.tanh(cell, out=cell_tanh)
    np.multiply(o, cell_tanh, out=hidden)


def lstm_backward(
    gates: Array, cell_before: Array, cell_tanh: Array, d_hidden: Array, d_cell: Array, d_sums: Array
) -> None:
    """The same step backwards: from d_hidden (N, H) and d_cell (N, H, updated in place) to d_sums (N, 4H)."""
    i, f, g, o = np.split(gates, 4, axis=1)
    d_i, d_f, d_g, d_o = np.split(d_sums, 4, axis=1)
    d_o[...] = d_hidden * cell_tanh * o * (1 - o)
    d_cell += d_hidden * o * (1 - cell_tanh * cell_tanh)
    d_i[...] = d_cell * g * i * (1 - i)
    d_f[...] = d_cell * cell_before * f * (1 - f)
    d_g[...] = d_cell * i * (1 - g * g)
    d_cell *= f


def gru_forward(gates: Array, hidden_sums: Array, before: Array, hidden: Array) -> None:
    """One step: sums from the input in `gates` (N, 3H) become r, z, n in place; fills h = (1 - z) n + z h'.

    `hidden_sums` (N, 3H), the sums from the state, stay as they are: the backward pass needs those of n.
    """
    size = hidden.shape[1]
    gates[:, : 2 * size] = sigmoid(gates[:, : 2 * size] + hidden_sums[:, : 2 * size])
    r, z, n = np.split(gates, 3, axis=1)
    n += r * hidden_sums[:, 2 * size :]
    np.tanh(n, out=n)
    np.subtract(before, n, out=hidden)
    hidden *= z
    hidden += n


def gru_backward(
    gates: Array, hidden_sums: Array, before: Array, d_hidden: Array, d_sums: Array, d_hidden_sums: Array
) -> None:
    """The same step backwards: from d_hidden (N, H) to d_sums and d_hidden_sums (N, 3H).

    What is left in d_hidden went past the gates, straight into the state before.
    """
    r, z, n = np.split(gates, 3, axis=1)
    d_r, d_z, d_n = np.split(d_sums, 3, axis=1)
    size = before.shape[1]
    d_n[...] = d_hidden * (1 - z) * (1 - n * n)
    d_r[...] = d_n * hidden_sums[:, 2 * size :] * r * (1 - r)
    d_z[...] = d_hidden * (before - n) * z * (1 - z)
    d_hidden_sums[...] = d_sums
    d_hidden_sums[:, 2 * size :] *= r
    d_hidden *= z


def softmax_gradient(logits: Array, targets: NDArray[np.int64], ignore_id: int, scale: float) -> float:
    """Turn logits (M, V) into (softmax(logits) - one_hot(targets)) * scale, in place; 0 where the target is `ignore_id`.

    Returns:
        The summed -ln softmax(logits)[target] of the other rows, in nats.
    """
    counts = targets != ignore_id
    places = np.flatnonzero(counts), targets[counts]
    logits -= logits.max(axis=1, keepdims=True)
    nll = -float(logits[places].sum(dtype=np.float64))
    np.exp(logits, out=logits)
    sums = logits.sum(axis=1, keepdims=True)
    nll += float(np.log(sums[counts]).sum(dtype=np.float64))
    logits /= sums
    logits[places] -= 1
    logits *= np.where(counts, scale, 0).astype(logits.dtype)[:, None]
    return nll


IN_NUMPY = Arithmetic(rnn_backward, lstm_forward, lstm_backward, gru_forward, gru_backward, softmax_gradient)


@cache
def arithmetic(dtype: DTypeLike) -> Arithmetic:
    """The quickest there is for this precision: compiled for float32 where numba is installed, else NumPy."""
    if np.dtype(dtype) != np.float32:
        return IN_NUMPY
    try:
        from malmoi.scratch import compiled
    except ImportError:
        return IN_NUMPY
    # Their array types are narrower than the tuple's, and right: it was asked for float32.
    return Arithmetic(
        compiled.rnn_backward,
        compiled.lstm_forward,
        compiled.lstm_backward,
        compiled.gru_forward,
        compiled.gru_backward,
        compiled.softmax_gradient,
    )
