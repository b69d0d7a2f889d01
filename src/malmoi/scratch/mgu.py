"""The minimal gated unit over the T steps of a window, forwards and backwards.

    f  = sigmoid(x W_f + h U_f + b_f)          how much of the state is replaced, and how much of it the candidate sees
    n  = tanh(x W_n + (f * h) U_n + b_n)
    h' = (1 - f) * h + f * n

Source: Zhou et al. 2016, arXiv:1603.09420, equations 7 to 9.

Shapes: N sequences, T steps, D input width, H hidden width.
"""

import numpy as np

from malmoi.scratch.checks import Array
from malmoi.scratch.functions import sigmoid
from malmoi.scratch.products import RepeatedProduct
from malmoi.scratch.recurrent import TimeRecurrent
from malmoi.scratch.rnnlm import RecurrentNetwork
from malmoi.scratch.traces import RecurrentTrace


class TimeMGU(TimeRecurrent):
    """An MGU layer.

    Args:
        Wx: (D, 2H), for the gate and for the candidate.
        Wh: (H, 2H), the same; the second half multiplies f * h.
        b: (2H,).
        stateful: Whether a window goes on where the last one ended.
    """

    n_gates = 2

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, {"b": b}, stateful)

    def backward(self, dhs: Array) -> Array:
        """As every recurrent layer, (N, T, H) -> (N, T, D)."""
        dxs = super().backward(dhs)
        size = self.hidden_size
        rows = len(self._x)
        seen = (self._sums[..., :size] * self._hs[:-1]).reshape(rows, size)  # f * h, which U_n was multiplied by
        np.matmul(seen.T, self._d_sums.reshape(rows, -1)[:, size:], out=self.grads[1][:, size:])
        return dxs

    def _begin(self) -> None:
        self._U = [np.ascontiguousarray(part) for part in np.split(self.params[1], 2, axis=1)]  # of gate and candidate

    def _traced(self, row: int, x: Array, from_input: Array, from_hidden: Array, hidden: Array) -> RecurrentTrace:
        gates = self._in_gates(self._sums[:, row])
        forget, candidate = gates[:, 0], gates[:, 1]
        from_hidden[:, self.hidden_size :] = (forget * hidden[:-1]) @ self._U[1]
        sums = self._in_gates(from_input + from_hidden)
        kept, written = (1 - forget) * hidden[:-1], forget * candidate
        return RecurrentTrace(x, from_input, from_hidden, sums, gates, hidden, kept=kept, written=written)

    def _step(self, t: int) -> None:
        forget, candidate = np.split(self._sums[t], 2, axis=1)
        before, (of_gate, of_candidate) = self._hs[t], self._U
        forget += before @ of_gate
        forget[...] = sigmoid(forget)
        candidate += (forget * before) @ of_candidate
        np.tanh(candidate, out=candidate)
        np.add(before, forget * (candidate - before), out=self._hs[t + 1])

    def _step_back(self, t: int, d_hidden: Array, times_Wh_T: RepeatedProduct) -> Array:
        forget, candidate = np.split(self._sums[t], 2, axis=1)
        d_forget, d_candidate = np.split(self._d_sums[t], 2, axis=1)
        before, (of_gate, of_candidate) = self._hs[t], self._U
        d_candidate[...] = d_hidden * forget * (1 - candidate) * (1 + candidate)
        d_seen = d_candidate @ of_candidate.T  # of f * h
        d_forget[...] = (d_hidden * (candidate - before) + d_seen * before) * forget * (1 - forget)
        carried: Array = d_hidden * (1 - forget) + d_seen * forget + d_forget @ of_gate.T
        return carried


class MGUNetwork(RecurrentNetwork):
    """What a run of the rung `mgu` stores."""

    layer = TimeMGU
