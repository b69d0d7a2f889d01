"""The LSTM in NumPy.

    i, f, g, o = four slices of W x_t + U h_{t-1} + b;  c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)

Source: see `malmoi.models.lstm`.

"""

from collections.abc import Mapping

import numpy as np

from malmoi.engines.networks.network import Array
from malmoi.engines.networks.recurrent import Recurrence, Stack
from malmoi.shapes import Float


class LSTM(Recurrence):
    n_states = 2

    def __init__(self, arrays: Mapping[str, Array], prefix: str) -> None:
        super().__init__(arrays, prefix)
        # sigmoid(x) = 1/2 + tanh(x/2) / 2: one call of tanh makes all four gates, and nothing can overflow
        self._slope = np.full(4 * self.size, 0.5, self.bias.dtype)
        self._slope[2 * self.size : 3 * self.size] = 1

    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        hidden, cell = state
        size, slope = self.size, self._slope
        sums += hidden @ self.from_hidden
        sums *= slope
        gates = np.tanh(sums, out=sums)
        gates *= slope
        gates += 1 - slope
        cell = gates[:, size : 2 * size] * cell
        cell += gates[:, :size] * gates[:, 2 * size : 3 * size]
        hidden = np.tanh(cell)
        hidden *= gates[:, 3 * size :]
        return hidden, cell


class LSTMNetwork(Stack):
    """LSTM layers."""

    recurrence = LSTM
