"""A stack of recurrent layers in NumPy; the rungs rnn, lstm, gru and mgu differ in one step of one layer.

Shapes: B sequences, T tokens each, E embed_dim, I input width, H hidden width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from malmoi.engines.networks.network import Array, Carried, Network
from malmoi.models.options.recurrent import RecurrentConfig
from malmoi.shapes import Float, Integer


class Recurrence(ABC):
    """Interface: one recurrent layer."""

    n_states: int = 1  # how many (B, H) arrays it carries; the first is its output

    def __init__(self, arrays: Mapping[str, Array], prefix: str) -> None:
        self.from_input = arrays[f"{prefix}from_input.weight"].T  # (I, gates H)
        self.bias = arrays[f"{prefix}from_input.bias"]
        self.from_hidden = arrays[f"{prefix}from_hidden.weight"].T  # (H, gates H)
        self.hidden_bias = arrays.get(f"{prefix}from_hidden.bias")
        self.size = self.from_hidden.shape[0]

    def start(self, batch_size: int) -> tuple[Array, ...]:
        return (np.zeros((batch_size, self.size), self.bias.dtype),) * self.n_states

    def read(
        self, x: Float[np.ndarray, "time batch input"], state: tuple[Array, ...]
    ) -> tuple[Float[np.ndarray, "time batch hidden"], tuple[Array, ...]]:
        """Outputs of all steps, and the last state. The products with the input need no recurrence: they are one product."""
        n_steps, batch_size, width = x.shape
        sums = x.reshape(-1, width) @ self.from_input
        sums += self.bias
        sums = sums.reshape(n_steps, batch_size, -1)  # (T, B, gates H)
        outputs = np.empty((n_steps, batch_size, self.size), sums.dtype)
        for t in range(n_steps):
            state = self.advance(sums[t], state)
            outputs[t] = state[0]
        return outputs, state

    @abstractmethod
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        """One step: the new state, from the products with the input (which may be overwritten) and the old state."""


class Stack(Network):
    """Recurrent layers, each reading the one below.

    Attributes:
        recurrence: What a layer is made of.
    """

    recurrence: ClassVar[type[Recurrence]]

    def __init__(self, config: RecurrentConfig, arrays: Mapping[str, Array], start_id: int) -> None:
        self._embedding = arrays["embedding.weight"]
        self._layers = [self.recurrence(arrays, f"layers.{depth}.") for depth in range(config.n_layers)]

    def start(self, batch_size: int) -> Carried:
        return tuple(layer.start(batch_size) for layer in self._layers)

    def read(
        self, token_ids: Integer[np.ndarray, "time batch"], carried: Carried
    ) -> tuple[Float[np.ndarray, "time batch width"], Carried]:
        x = self._embedding[token_ids]  # (T, B, E)
        after = []
        for layer, state in zip(self._layers, carried, strict=True):
            x, state = layer.read(x, state)
            after.append(state)
        return x, tuple(after)
