"""What training and serving ask of a network that predicts the next token, whatever it is made of.

Shapes: B sequences side by side, T tokens each, W output_width, V vocab_size.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from malmoi.layers.noise import Noise
from malmoi.models.options.base import NeuralConfig

NetworkState = list[tuple[Tensor, ...]]  # every tensor has one row for each sequence: (B, ...)


class NextTokenNetwork(nn.Module):
    """Interface: at every position, the vector from which the output softmax predicts the next token.

    `compute_dtype` is what the matrix products of a training window are computed in; weights and states stay as they are.
    None means the dtype of the weights.
    """

    config: NeuralConfig
    start_id: int | None = (
        None  # the token that stands before a text, for networks that look back at it: `build_model` sets it
    )
    compute_dtype: torch.dtype | None
    embedding: nn.Embedding
    output: nn.Linear  # its weight is that of `embedding` where the config ties them

    @abstractmethod
    def initial_state(self, batch_size: int) -> NetworkState:
        """What is carried before any token has been read."""

    @abstractmethod
    def hidden(
        self, token_ids: Int[Tensor, "batch time"], state: NetworkState | None = None, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "batch time width"], NetworkState]:
        """What the softmax reads at every position, and the state after the last one.

        Args:
            token_ids: The tokens to read.
            state: Where an earlier call ended; None is the state before any token.
            noise: Where dropout masks come from; None switches every dropout off, whatever `training` says.
        """

    def forward(
        self, token_ids: Int[Tensor, "batch time"], state: NetworkState | None = None, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "batch time vocab"], NetworkState]:
        """Logits of every next token; pass the returned state back to continue the same text."""
        hidden, state = self.hidden(token_ids, state, noise)
        return self.output(hidden.to(self.output.weight.dtype)), state
