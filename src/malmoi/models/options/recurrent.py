"""The options of recurrent networks: rnn, lstm, gru and mgu differ in the cell alone."""

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PositiveInt, model_validator

from malmoi.errors import ConfigError
from malmoi.models.options.base import LayeredConfig, Shapes


class RecurrentConfig(LayeredConfig):
    """Shapes and noise of a recurrent language model; its rungs differ in the cell alone."""

    n_gates: ClassVar[int]  # affine maps of input and state in one cell
    has_hidden_bias: ClassVar[bool] = False  # beside the bias of the input, where a gate stands between the two sums

    hidden_size: PositiveInt = Field(320, description="width of the recurrent layers")
    n_layers: PositiveInt = Field(2, le=16, description="recurrent layers, one above the other")
    tie_embeddings: bool = Field(
        True,
        description="one matrix reads and writes tokens (Press & Wolf 2017); the last layer is then embed_dim wide",
    )
    dropout_recurrent: float = Field(
        0.0, ge=0, lt=1, description="weight drop on hidden-to-hidden weights (Merity 2018)"
    )
    locked_dropout: bool = Field(
        True,
        description="one dropout mask for all steps of a window (variational, Gal 2016) or a fresh one for each step",
    )

    def layer_sizes(self) -> list[tuple[int, int]]:
        """(input size, output size) of each recurrent layer, from the bottom."""
        widths = [self.embed_dim] + [self.hidden_size] * self.n_layers
        if self.tie_embeddings:
            widths[-1] = self.embed_dim
        return list(itertools.pairwise(widths))

    @property
    def n_hidden_weights(self) -> int:
        return sum(self.n_gates * width * (size + width) for size, width in self.layer_sizes())

    @property
    def output_width(self) -> int:
        return self.layer_sizes()[-1][1]

    @property
    def n_kept(self) -> int:
        return sum((3 * self.n_gates + 5) * width for _, width in self.layer_sizes())

    def weight_shapes(self) -> Shapes:
        shapes = self.table_shapes()
        for depth, (size, width) in enumerate(self.layer_sizes()):
            n_sums, layer = self.n_gates * width, f"layers.{depth}"
            shapes |= {f"{layer}.from_input.weight": (n_sums, size), f"{layer}.from_input.bias": (n_sums,)}
            shapes[f"{layer}.from_hidden.weight"] = (n_sums, width)
            if self.has_hidden_bias:
                shapes[f"{layer}.from_hidden.bias"] = (n_sums,)
        return shapes


class RNNConfig(RecurrentConfig):
    """Elman's network."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"layer_rate": 0.03}  # faster, the state saturates (docs/log.md)
    tokens_per_weight: ClassVar[float] = 10.0
    n_gates: ClassVar[int] = 1

    n_layers: PositiveInt = Field(1, le=16, description="recurrent layers, one above the other")


class GRUConfig(RecurrentConfig):
    """Gated recurrent units."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"layer_rate": 0.2}  # faster, long runs diverge (docs/log.md)
    n_gates: ClassVar[int] = 3
    has_hidden_bias: ClassVar[bool] = True


class LSTMConfig(RecurrentConfig):
    """Long short-term memory."""

    n_gates: ClassVar[int] = 4

    forget_bias: float = Field(
        1.0, description="initial bias of the forget gate: remember by default (Jozefowicz 2015)"
    )

    @model_validator(mode="after")
    def forget_bias_is_moderate(self) -> "LSTMConfig":
        if not -20 <= self.forget_bias <= 20:
            raise ConfigError(
                f"forget_bias={self.forget_bias} saturates the gate. Choose a value from -20 to 20, as 1."
            )
        return self
