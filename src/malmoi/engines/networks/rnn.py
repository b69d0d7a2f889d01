"""Elman's network in NumPy.

    h_t = tanh(W x_t + U h_{t-1} + b)

Source: see `malmoi.models.rnn`.

"""

import numpy as np

from malmoi.engines.networks.network import Array
from malmoi.engines.networks.recurrent import Recurrence, Stack
from malmoi.shapes import Float


class Elman(Recurrence):
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        sums += state[0] @ self.from_hidden
        return (np.tanh(sums),)


class RNNNetwork(Stack):
    """Elman layers."""

    recurrence = Elman
