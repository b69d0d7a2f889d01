"""What word2vec can be told."""

import math
from dataclasses import dataclass

from malmoi.errors import ConfigError

CHOICES = {"method": ("skip-gram", "cbow"), "objective": ("negative", "hierarchical", "softmax")}
RATES = {"skip-gram": 0.025, "cbow": 0.05}  # first learning rate of each method, where none is asked for
MOST = {"dim": 100_000, "window": 1000, "n_negatives": 1000, "epochs": 1_000_000}


@dataclass(frozen=True)
class Word2VecOptions:
    """What is trained, and how.

    Args:
        method: `skip-gram` asks each word of a window about the word in the middle; `cbow` asks their mean.
        dim: Width of a vector, D.
        window: Words each side at most; each time a number from 1 to this is drawn.
        objective: `negative` tells the right word from a few wrong ones (negative sampling); `hierarchical` answers its way
            down a Huffman tree to the right word; `softmax` gives all words probabilities, for small vocabularies.
        n_negatives: Wrong words for each right one, shared by the words of a window; for `negative` alone.
        subsample_threshold: Share of the text above which words are thinned out (`sampling.keep_probabilities`); 0: none.
        noise_power: Wrong words are drawn by count^noise_power.
        epochs: Times the text is read.
        learning_rate, min_learning_rate: The rate falls in a straight line from the one to the other.
        divide_gradient: In CBOW, give each word of the window its share of the gradient of their mean, as calculus has it
            (İrsoy et al. 2021, arXiv:2012.15332), and not the whole, as the authors' program does; wants a higher rate.

    Raises:
        ConfigError: If a value is out of its range.
    """

    method: str = "skip-gram"
    dim: int = 100
    window: int = 5
    n_negatives: int = 5
    subsample_threshold: float = 1e-3
    noise_power: float = 0.75
    epochs: int = 5
    learning_rate: float = 0.025
    min_learning_rate: float = 0.0001
    divide_gradient: bool = False
    objective: str = "negative"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                *others, last = map(repr, choices)
                raise ConfigError(f"{name}={getattr(self, name)!r} is not known. Choose {', '.join(others)} or {last}.")
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name}={value} is out of range. Choose a whole number from 1 to {most:,}.")
        if not 0 <= self.subsample_threshold < math.inf:
            raise ConfigError(
                f"subsample_threshold={self.subsample_threshold} is no share of a text. Use 0 to read every word, or a small "
                "share such as 0.001."
            )
        if not 0 <= self.noise_power <= 2:
            raise ConfigError(
                f"noise_power={self.noise_power} is out of range. Choose a number from 0 to 2, such as 0.75."
            )
        if not 0 <= self.min_learning_rate <= self.learning_rate < math.inf or self.learning_rate == 0:
            raise ConfigError(
                f"The learning rate cannot fall from {self.learning_rate} to {self.min_learning_rate}. Choose learning_rate "
                "above 0, and min_learning_rate from 0 to learning_rate."
            )
