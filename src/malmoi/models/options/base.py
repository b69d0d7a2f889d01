"""What the options of several rungs have in common, and what training plans from those of a network."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from malmoi.settings import Settings

Shapes = dict[str, tuple[int, ...]]


class ModelConfig(Settings):
    """What all rungs have in common."""

    vocab_size: PositiveInt = Field(description="number of distinct tokens")


class NeuralConfig(ModelConfig, ABC):
    """Interface: a network that is trained step by step, what it weighs, and how it is made wider or narrower.

    The planner sees nothing else of it, so the words for its widths are its own: hidden_size, or d_model and n_heads.
    """

    training_defaults: ClassVar[Mapping[str, Any]] = {}  # fields of TrainingSettings in which this rung differs
    tokens_per_weight: ClassVar[float] = 1.5  # tokens that training should show for each hidden weight
    width_options: ClassVar[tuple[str, ...]]  # fields that say how wide it is, the one that counts most first

    @classmethod
    @abstractmethod
    def at_width(
        cls, width: int, dropout: float, given: Mapping[str, Any], embed_dim: int | None = None
    ) -> "NeuralConfig":
        """A config of about that width.

        Args:
            width: Of the hidden layers.
            dropout: How much noise, as a probability.
            given: What was asked for: it is kept, whatever the width. It holds `vocab_size`.
            embed_dim: Of embeddings that begin as vectors made elsewhere.
        """

    @classmethod
    def asked_width(cls, given: Mapping[str, Any]) -> int | None:
        """The width that these options ask for; None if they leave it open."""
        return next((int(given[name]) for name in cls.width_options if name in given), None)

    @property
    @abstractmethod
    def widths(self) -> str:
        """The widths, as a message names them."""

    @property
    @abstractmethod
    def shape(self) -> tuple[str, str]:
        """What a model card says of its sizes: their names, and the numbers."""

    @property
    @abstractmethod
    def noise(self) -> float:
        """The dropout that weighs most."""

    @property
    @abstractmethod
    def n_hidden_weights(self) -> int:
        """Weights between the embeddings and the softmax."""

    @property
    @abstractmethod
    def n_table_weights(self) -> int:
        """Weights of the embeddings and the softmax."""

    @property
    @abstractmethod
    def output_width(self) -> int:
        """Width of the vector that the softmax reads."""

    @property
    @abstractmethod
    def n_kept(self) -> int:
        """Numbers that reading one token leaves behind for the backward pass, roughly."""

    @abstractmethod
    def weight_shapes(self) -> Shapes:
        """Name and shape of every array that a run with these options stores, (output, input) as PyTorch keeps them."""


class LayeredConfig(NeuralConfig, ABC):
    """Embeddings, hidden layers one above the other, a softmax."""

    width_options: ClassVar[tuple[str, ...]] = ("hidden_size", "embed_dim")

    embed_dim: PositiveInt = Field(320, description="width of the token embeddings")
    hidden_size: PositiveInt = Field(320, description="width of the hidden layers")
    n_layers: PositiveInt = Field(1, le=16, description="hidden layers, one above the other")
    tie_embeddings: bool = Field(True, description="one matrix reads and writes tokens (Press & Wolf 2017)")
    dropout_embedding: float = Field(0.0, ge=0, lt=1, description="probability of dropping a token type from a window")
    dropout_input: float = Field(0.0, ge=0, lt=1, description="dropout between embeddings and first layer")
    dropout_hidden: float = Field(0.2, ge=0, lt=1, description="dropout between layers")
    dropout_output: float = Field(0.2, ge=0, lt=1, description="dropout between last layer and softmax")

    @classmethod
    def at_width(
        cls, width: int, dropout: float, given: Mapping[str, Any], embed_dim: int | None = None
    ) -> "NeuralConfig":
        noise = {"dropout_hidden": dropout, "dropout_output": dropout, "dropout_input": dropout / 2}
        return cls.parse({"embed_dim": embed_dim or width, "hidden_size": width, **noise, **given})

    @property
    def widths(self) -> str:
        return f"{self.embed_dim}/{self.hidden_size}"

    @property
    def shape(self) -> tuple[str, str]:
        return "embedding, hidden, layers", f"{self.embed_dim}, {self.hidden_size}, {self.n_layers}"

    @property
    def noise(self) -> float:
        return self.dropout_output

    @property
    def n_table_weights(self) -> int:
        return self.vocab_size * (self.embed_dim + (0 if self.tie_embeddings else self.output_width))

    def table_shapes(self) -> Shapes:
        """Of the embeddings and the softmax."""
        shapes: Shapes = {"embedding.weight": (self.vocab_size, self.embed_dim), "output.bias": (self.vocab_size,)}
        if not self.tie_embeddings:
            shapes["output.weight"] = (self.vocab_size, self.output_width)
        return shapes
