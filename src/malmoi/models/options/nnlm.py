"""The options of Bengio's feed-forward network."""

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from malmoi.models.options.base import LayeredConfig, Shapes


class NNLMConfig(LayeredConfig):
    """Bengio's feed-forward network over a fixed window."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"layer_rate": 0.1}  # faster, tanh saturates (docs/log.md)
    tokens_per_weight: ClassVar[float] = 3.0

    context_size: int = Field(5, ge=1, le=64, description="tokens looked back at (the paper's n - 1)")
    tie_embeddings: bool = Field(
        True,
        description="one matrix reads and writes tokens (Press & Wolf 2017); other hidden widths are projected to it",
    )
    direct: bool = Field(False, description="connect the embeddings to the softmax past the tanh layers, too")

    def layer_sizes(self) -> list[tuple[int, int]]:
        """(input size, output size) of each tanh layer, from the bottom."""
        widths = [self.context_size * self.embed_dim] + [self.hidden_size] * self.n_layers
        return list(itertools.pairwise(widths))

    @property
    def is_projected(self) -> bool:
        """Whether a matrix makes the last tanh layer as wide as the embeddings that the softmax shares."""
        return self.tie_embeddings and self.hidden_size != self.embed_dim

    @property
    def n_hidden_weights(self) -> int:
        layers = sum(size * width for size, width in self.layer_sizes())
        projection = self.hidden_size * self.embed_dim if self.is_projected else 0
        direct = self.context_size * self.embed_dim**2 if self.direct and self.tie_embeddings else 0
        return layers + projection + direct

    @property
    def output_width(self) -> int:
        if self.tie_embeddings:
            return self.embed_dim
        return self.hidden_size + (self.context_size * self.embed_dim if self.direct else 0)

    @property
    def n_kept(self) -> int:
        window = self.context_size * self.embed_dim
        return 3 * window + 4 * self.hidden_size * self.n_layers + 3 * self.output_width

    def weight_shapes(self) -> Shapes:
        shapes = self.table_shapes()
        for depth, (size, width) in enumerate(self.layer_sizes()):
            shapes |= {f"layers.{depth}.weight": (width, size), f"layers.{depth}.bias": (width,)}
        if self.is_projected:
            shapes["projection.weight"] = (self.embed_dim, self.hidden_size)
        if self.direct and self.tie_embeddings:
            shapes["direct.weight"] = (self.embed_dim, self.context_size * self.embed_dim)
        return shapes
