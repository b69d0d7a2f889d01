"""What the NumPy engine asks of a network.

Shapes: B sequences, T tokens each, W output_width. Time comes first, (T, B, ...), so that one step of all sequences lies
together in memory. Weights are laid out (input, output), as everywhere in `scratch/`.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.shapes import Float, Integer

Array = NDArray[Any]
Carried = tuple[tuple[Array, ...], ...]  # for each layer what it carries from token to token, each array (B, ...)


class Network(ABC):
    """Interface: what the softmax reads at every place of a text."""

    @abstractmethod
    def start(self, batch_size: int) -> Carried:
        """What is carried before any token has been read."""

    @abstractmethod
    def read(
        self, token_ids: Integer[np.ndarray, "time batch"], carried: Carried
    ) -> tuple[Float[np.ndarray, "time batch width"], Carried]:
        """The vectors after each of T >= 1 tokens, and what is carried on."""
