"""The options of the rungs that make vectors of words: cooccurrence, word2vec, glove."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from malmoi.errors import ConfigError
from malmoi.models.options.base import ModelConfig
from malmoi.settings import Settings


class VectorConfig(ModelConfig):
    """What all rungs have in common that make vectors of words: what a word is, and how long its vector."""

    factors_a_table: ClassVar[bool] = False  # of words by words, which has no more directions than words

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

    factors_a_table: ClassVar[bool] = True

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
