"""The minimal gated unit in NumPy.

    f = sigmoid(W_f x_t + U_f h_{t-1} + b_f);  n = tanh(W_n x_t + b_n + U_n (f * h_{t-1}));  h_t = h_{t-1} + f * (n - h_{t-1})

Source: see `malmoi.models.mgu`.
"""

from collections.abc import Mapping

import numpy as np

from malmoi.engines.networks.network import Array
from malmoi.engines.networks.recurrent import Recurrence, Stack
from malmoi.shapes import Float


class MGU(Recurrence):
    def __init__(self, arrays: Mapping[str, Array], prefix: str) -> None:
        super().__init__(arrays, prefix)
        self.for_gate, self.for_candidate = np.split(self.from_hidden, 2, axis=1)  # each (H, H)

    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        (hidden,) = state
        forget, candidate = sums[:, : self.size], sums[:, self.size :]
        forget += hidden @ self.for_gate
        forget *= 0.5  # sigmoid(x) = 1/2 + tanh(x/2) / 2: nothing can overflow
        forget = np.tanh(forget, out=forget)
        forget *= 0.5
        forget += 0.5
        candidate += (forget * hidden) @ self.for_candidate
        candidate = np.tanh(candidate, out=candidate)
        return (hidden + forget * (candidate - hidden),)


class MGUNetwork(Stack):
    """MGU layers."""

    recurrence = MGU
