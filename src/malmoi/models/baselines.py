"""Baselines without memory: what a model must beat before it has learnt anything, and after it has only counted.

`UniformModel` is an untrained model at its best: every token is as likely as any other. `UnigramModel` knows how often
each token occurs and nothing about order. Both are finished language models, so every tool works with them.

Shapes: B sequences side by side, T tokens each, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from malmoi.errors import ConfigError
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds


@dataclass(frozen=True)
class NoMemory(State):
    """Nothing is remembered; only the size of the batch is known."""

    batch_size: int
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "NoMemory":
        return replace(self, batch_size=len(rows))

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "NoMemory":
        return cls(sum(state.batch_size for state in states), states[0].owner)


class UnigramModel(LanguageModel):
    """The same distribution at every position.

    Args:
        log_probs: ln P of each token id, (V,), in nats.
    """

    def __init__(self, log_probs: ArrayLike) -> None:
        self.log_probs: Float[np.ndarray, " vocab"] = np.asarray(log_probs, dtype=np.float64)
        total = np.exp(self.log_probs).sum()
        if self.log_probs.ndim != 1 or not np.isclose(total, 1.0):
            raise ConfigError(
                f"The log-probabilities have shape {self.log_probs.shape} and sum to {total:.6g} as probabilities. "
                "One row that sums to 1 was expected: use UnigramModel.fit to count them from token ids."
            )
        self.vocab_size = len(self.log_probs)

    @classmethod
    def fit(cls, ids: ArrayLike, vocab_size: int) -> "UnigramModel":
        """Count the ids, add one to each of the vocab_size counts, and divide (Laplace's rule)."""
        counts = np.bincount(np.asarray(ids, dtype=np.int64).ravel(), minlength=vocab_size)
        if len(counts) > vocab_size:
            raise ConfigError(
                f"The ids go up to {len(counts) - 1}, but vocab_size={vocab_size}. Ids from 0 to {vocab_size - 1} were "
                "expected: pass the vocab_size of the tokenizer that made them."
            )
        return cls.from_counts(counts)

    @classmethod
    def from_counts(cls, counts: Integer[np.ndarray, " vocab"]) -> "UnigramModel":
        """The same from how often each token id occurs."""
        return cls(np.log((counts + 1) / (counts.sum() + len(counts))))

    def start(self, batch_size: int = 1) -> State:
        return NoMemory(batch_size, self)

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, State]:
        return np.tile(self.log_probs, (len(token_ids), 1)), state

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], State]:
        return self.log_probs[token_ids], state


class UniformModel(UnigramModel):
    """Every token has probability 1 / V: what a model is before training."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(np.full(vocab_size, -np.log(vocab_size)))
