"""The options of every rung, one frozen class each: recipe file, run folder and command-line flags all read it.

This file imports no tensor library, so that `malmoi train lstm --help` and the reading of run folders stay quick.
"""

import difflib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from malmoi.errors import ConfigError

SomeSettings = TypeVar("SomeSettings", bound="Settings")


class Settings(BaseModel):
    """A frozen set of named options that refuses names it does not know."""

    # Validators are built when they are first used: a command needs those of one rung.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

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


class NGramConfig(ModelConfig):
    """What an n-gram model counts and how it smooths."""

    order: int = Field(5, ge=1, le=8, description="longest n-gram, in tokens; its context is one shorter")
    smoothing: Literal["kneser-ney", "witten-bell", "add-k", "stupid-backoff"] = Field(
        "kneser-ney", description="modified Kneser-Ney (interpolated), or a simpler method to compare with"
    )
    add_k: float = Field(0.01, gt=0, description="add-k: what is added to every count")
    prune: str = Field(
        "0",
        pattern=r"^\s*\d+([ ,]+\d+)*\s*$",
        description="for each length, n-grams seen so often or less are dropped, the last number for all longer ones, as 0,0,1",
    )
    prune_entropy: float = Field(
        0.0, ge=0, description="drop n-grams whose loss raises the perplexity by less than this share, as 1e-7"
    )
    quantise: bool = Field(False, description="store probabilities and back-off weights as 8-bit codes")


class NeuralConfig(ModelConfig, ABC):
    """Interface: what all rungs that are trained step by step have in common, and what is planned from it."""

    training_defaults: ClassVar[Mapping[str, Any]] = {}  # fields of TrainingSettings in which this rung differs
    tokens_per_weight: ClassVar[float] = 1.5  # tokens that training should show for each hidden weight

    embed_dim: PositiveInt = Field(320, description="width of the token embeddings")
    hidden_size: PositiveInt = Field(320, description="width of the hidden layers")
    n_layers: PositiveInt = Field(1, le=16, description="hidden layers, one above the other")
    tie_embeddings: bool = Field(True, description="one matrix reads and writes tokens (Press & Wolf 2017)")
    dropout_embedding: float = Field(0.0, ge=0, lt=1, description="probability of dropping a token type from a window")
    dropout_input: float = Field(0.0, ge=0, lt=1, description="dropout between embeddings and first layer")
    dropout_hidden: float = Field(0.2, ge=0, lt=1, description="dropout between layers")
    dropout_output: float = Field(0.2, ge=0, lt=1, description="dropout between last layer and softmax")

    @property
    @abstractmethod
    def n_hidden_weights(self) -> int:
        """Weights between the embeddings and the softmax."""

    @property
    @abstractmethod
    def output_width(self) -> int:
        """Width of the vector that the softmax reads."""

    @property
    @abstractmethod
    def n_kept(self) -> int:
        """Numbers that reading one token leaves behind for the backward pass, roughly."""


class NNLMConfig(NeuralConfig):
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


class RecurrentConfig(NeuralConfig):
    """Shapes and noise of a recurrent language model; `rnn`, `lstm` and `gru` differ in the cell alone."""

    n_gates: ClassVar[int]  # affine maps of input and state in one cell

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


# Vectors of words


class VectorConfig(ModelConfig):
    """What all rungs have in common that make vectors of words: what a word is, and how long its vector."""

    embed_dim: int = Field(100, ge=1, le=100_000, description="numbers in a vector")
    lower: bool = Field(True, description="write everything in lower case first")
    split: Literal["words", "spaces"] = Field(
        "words",
        description="words: letters and digits, without the punctuation around them; spaces: as the text has it",
    )
    phrases: int = Field(
        0, ge=0, le=5, description="times that words which stand together oddly often are joined, as new_york"
    )
    phrase_threshold: float = Field(100.0, gt=0, description="score above which two words are joined (Mikolov 2013)")


class PairSettings(Settings):
    """What counts as standing near, and how much."""

    window: int = Field(5, ge=1, le=1000, description="places looked at on each side of a word")
    weighting: Literal["flat", "harmonic", "linear"] = Field(
        "flat",
        description="what a word d places away counts: 1, 1/d (as GloVe) or (window - d + 1)/window (word2vec's random window)",
    )
    side: Literal["both", "left", "right"] = Field(
        "both", description="where the context of a word is: before it, after it"
    )
    n_words: int = Field(
        30_000, ge=2, description="the most frequent words, which alone are counted; others keep their place"
    )


class CooccurrenceConfig(VectorConfig, PairSettings):
    """What is counted, how it is weighed, and how it is made short."""

    association: Literal["counts", "pmi", "ppmi"] = Field(
        "ppmi",
        description="what a cell holds: the count, its pointwise mutual information, or the positive part of that",
    )
    smoothing: float = Field(0.75, gt=0, le=1, description="power on the frequency of contexts (Levy 2015); 1 for none")
    shift: float = Field(1.0, ge=1, description="ppmi: log of this is subtracted; skip-gram's number of negatives")
    reduction: Literal["randomised", "exact", "none"] = Field(
        "randomised", description="how the matrix becomes embed_dim columns (SVD); none keeps it whole, as a sparse one"
    )
    power: float = Field(0.5, ge=0, le=2, description="power of the singular values in the vectors: 0, 0.5 or 1")


class GloVeConfig(VectorConfig, PairSettings):
    """Pennington's weighted log-count regression."""

    window: int = Field(10, ge=1, le=1000, description="places looked at on each side of a word")
    weighting: Literal["flat", "harmonic", "linear"] = Field(
        "harmonic", description="what a word d places away counts: 1, 1/d (the paper's) or (window - d + 1)/window"
    )
    x_max: float = Field(100.0, gt=0, lt=float("inf"), description="pairs counted so often or more weigh 1 in the loss")
    alpha: float = Field(0.75, ge=0, le=1, description="power with which the weight of rarer pairs falls")


class Word2VecConfig(VectorConfig):
    """Mikolov's word2vec."""

    method: Literal["skip-gram", "cbow"] = Field(
        "skip-gram", description="each word of a window is asked about the word in the middle, or (cbow) their mean is"
    )
    objective: Literal["negative", "hierarchical", "softmax"] = Field(
        "negative", description="negative sampling, hierarchical softmax, or the full softmax (small vocabularies)"
    )
    window: int = Field(5, ge=1, le=1000, description="words on each side at most; each time from 1 to this, at random")
    n_negatives: int = Field(5, ge=1, le=1000, description="wrong words for each right one")
    noise_power: float = Field(0.75, ge=0, le=2, description="wrong words are drawn by their count to this power")
    subsample_threshold: float = Field(
        1e-3, ge=0, lt=float("inf"), description="share of the text above which words are thinned out; 0 for none"
    )
    divide_gradient: bool = Field(
        False,
        description="cbow: each word moves by its share of the gradient of the mean (Irsoy 2021), not by the whole",
    )
    keep: Literal["input", "output", "average"] = Field(
        "input", description="which of a word's two vectors is its vector in the end, or their mean"
    )
    subwords: Literal["none", "characters", "jamo"] = Field(
        "none",
        description="share vectors of pieces of words, so that unseen words have one: fastText's, or jamo for Korean",
    )
    subword_buckets: int = Field(200_000, ge=1, le=10_000_000, description="vectors that all pieces of words share")

    @model_validator(mode="after")
    def the_vectors_that_are_kept_exist(self) -> "Word2VecConfig":
        if self.keep != "input" and self.objective == "hierarchical":
            raise ConfigError(
                f"keep={self.keep!r} needs a vector of each word as an answer, and objective='hierarchical' has vectors for "
                "the nodes of its tree in their place. Leave --keep out, or choose another --objective."
            )
        if self.subwords != "none" and self.keep != "input":
            raise ConfigError(
                f"keep={self.keep!r} does not go with subwords={self.subwords!r}: pieces of words have input vectors alone, so "
                "unseen words could not be compared with the others. Leave --keep out, or --subwords."
            )
        return self

    @model_validator(mode="after")
    def what_is_asked_for_has_a_meaning(self) -> "Word2VecConfig":
        if self.subwords != "none" and self.objective != "negative":
            raise ConfigError(
                f"subwords={self.subwords!r} is learnt with objective='negative' alone, and objective={self.objective!r} was "
                "given. Leave --objective out, or --subwords."
            )
        if self.divide_gradient and self.method != "cbow":
            raise ConfigError(
                f"divide_gradient shares the gradient of a mean among the words of a window, and method={self.method!r} has no "
                "mean. Leave --divide-gradient out, or give --method cbow."
            )
        return self
