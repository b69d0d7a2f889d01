"""The options of every rung, one frozen class each: recipe file, run folder and command-line flags all read it.

This file imports no tensor library, so that `malmoi train lstm --help` and the reading of run folders stay quick.
"""

import difflib
import itertools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from malmoi.errors import ConfigError

SomeSettings = TypeVar("SomeSettings", bound="Settings")


class Settings(BaseModel):
    """A frozen set of named options that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(cls: type[SomeSettings], values: Mapping[str, Any], where: str = "option") -> SomeSettings:
        """Build from plain values.

        Raises:
            ConfigError: Naming the first unknown key (with the nearest known one) or the first value that does not fit.
        """
        for key in values:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(key, cls.model_fields, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(cls.model_fields)}."
                raise ConfigError(f"Unknown {where} {key!r} for {cls.__name__}. {hint}")
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{where} {name}={first.get('input')!r} does not fit: {first['msg']}.") from None


class ModelConfig(Settings):
    """What all rungs have in common."""

    vocab_size: PositiveInt = Field(description="number of distinct tokens")


class RecurrentConfig(ModelConfig):
    """Shapes and noise of a recurrent language model; `rnn`, `lstm` and `gru` differ in the cell alone."""

    embed_dim: PositiveInt = Field(320, description="width of the token embeddings")
    hidden_size: PositiveInt = Field(320, description="width of the recurrent layers")
    n_layers: PositiveInt = Field(2, le=16, description="recurrent layers, one above the other")
    tie_embeddings: bool = Field(
        True,
        description="one matrix reads and writes tokens (Press & Wolf 2017); the last layer is then embed_dim wide",
    )
    dropout_embedding: float = Field(0.0, ge=0, lt=1, description="probability of dropping a token type from a window")
    dropout_input: float = Field(0.0, ge=0, lt=1, description="dropout between embeddings and first layer")
    dropout_hidden: float = Field(0.2, ge=0, lt=1, description="dropout between layers")
    dropout_output: float = Field(0.2, ge=0, lt=1, description="dropout between last layer and softmax")
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
    def output_width(self) -> int:
        return self.layer_sizes()[-1][1]


class RNNConfig(RecurrentConfig):
    """Elman's network."""


class GRUConfig(RecurrentConfig):
    """Gated recurrent units."""


class LSTMConfig(RecurrentConfig):
    """Long short-term memory."""

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
