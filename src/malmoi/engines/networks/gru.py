"""The GRU in NumPy.

    r, z, n = three slices of W x_t + b and U h_{t-1} + c;  h_t = (1 - z) * n + z * h_{t-1}

Source: see `malmoi.models.gru`.

"""

import numpy as np

from malmoi.engines.networks.network import Array
from malmoi.engines.networks.recurrent import Recurrence, Stack
from malmoi.shapes import Float


class GRU(Recurrence):
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        (hidden,) = state
        size = self.size
        before = hidden @ self.from_hidden
        before += self.hidden_bias
        gates = sums[:, : 2 * size]
        gates += before[:, : 2 * size]
        gates *= 0.5
        gates = np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        candidate = before[:, 2 * size :]
        candidate *= gates[:, :size]
        candidate += sums[:, 2 * size :]
        candidate = np.tanh(candidate, out=candidate)
        return (candidate + gates[:, size:] * (hidden - candidate),)


class GRUNetwork(Stack):
    """GRU layers."""

    recurrence = GRU
