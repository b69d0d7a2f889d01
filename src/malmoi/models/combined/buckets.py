"""Kinds of context, each with mixture weights of its own: trust one model after frequent words, another after rare ones.

Source: Jelinek & Mercer 1980, who let the weights depend on how often the context was seen; "buckets" is their word.

Shapes: B sequences side by side, T tokens each, V vocab_size.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Integer
from numpy.typing import ArrayLike

from malmoi.errors import ConfigError
from malmoi.models.interface import LanguageModel, State, TokenIds

LastIds = Integer[np.ndarray, " batch"]  # the last token of each sequence; -1 before any


class Buckets(ABC):
    """Sorts contexts into `n_buckets` kinds.

    A context is what has been read: its last token, and the states of the models that are mixed.
    """

    n_buckets: int

    @abstractmethod
    def of(self, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, " batch"]:
        """The bucket of the context of each sequence."""

    @abstractmethod
    def along(self, token_ids: TokenIds, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, "batch time"]:
        """The buckets of the T contexts that the tokens follow; the first is that of `last_ids` and `states`."""


class LastTokenBuckets(Buckets):
    """By the last token.

    Args:
        table: The bucket of each token id, (V,), from 0 up.
        start_id: The token that stands before a text: the end of a line.
    """

    def __init__(self, table: ArrayLike, start_id: int) -> None:
        self.table = np.asarray(table, dtype=np.int64)
        if self.table.ndim != 1 or not len(self.table) or self.table.min() < 0:
            raise ConfigError(
                f"A table of buckets has shape {self.table.shape}. One bucket number of at least 0 for each token id was "
                "expected: use LastTokenBuckets.by_count to make one from counts."
            )
        self.n_buckets = int(self.table.max()) + 1
        self._of_last = np.append(self.table, self.table[start_id])  # -1, the last place, is the start of a text

    @classmethod
    def by_count(cls, counts: ArrayLike, n_buckets: int, start_id: int) -> "LastTokenBuckets":
        """Buckets of rising frequency that hold about equally many of the counted tokens each; unseen tokens are in bucket 0.

        Args:
            counts: How often each token id occurs in some text, (V,).
            n_buckets: How many there should be; where few token types have most of the counts, there are fewer.
            start_id: As above.

        Raises:
            ConfigError: If n_buckets is below 1.
        """
        if n_buckets < 1:
            raise ConfigError(f"buckets={n_buckets} cannot be used. A whole number of at least 1 was expected: try 8.")
        counts = np.asarray(counts, dtype=np.int64)
        rising = np.argsort(counts, kind="stable")
        rarer = np.cumsum(counts[rising]) - counts[rising]  # how many tokens are of rarer types
        table = np.empty(len(counts), np.int64)
        table[rising] = np.minimum(rarer * n_buckets // max(int(counts.sum()), 1), n_buckets - 1)
        return cls(np.unique(table, return_inverse=True)[1], start_id)  # without those that stay empty

    def of(self, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, " batch"]:
        return np.asarray(self._of_last[last_ids])

    def along(self, token_ids: TokenIds, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, "batch time"]:
        return np.asarray(self._of_last[np.concatenate([last_ids[:, None], token_ids], axis=1)[:, :-1]])


@runtime_checkable
class MatchesContexts(Protocol):
    """A model that knows how much of the context it has seen before, as NGramModel does."""

    def start(self, batch_size: int = 1) -> State: ...
    def matched_order(self, state: State) -> np.ndarray: ...


class MatchedOrderBuckets(Buckets):
    """By how many tokens of the context an n-gram model has seen together.

    Args:
        model: The n-gram model; it must be among the models that are mixed.
        place: Which of them it is.
        n_buckets: Its order; longer matches share the last bucket.
    """

    def __init__(self, model: LanguageModel, place: int, n_buckets: int) -> None:
        if not isinstance(model, MatchesContexts):
            raise ConfigError(
                f"{type(model).__name__} does not tell how much of a context it knows. An n-gram model was expected: use "
                "LastTokenBuckets for other models."
            )
        self.model, self.place, self.n_buckets = model, place, n_buckets

    def of(self, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, " batch"]:
        matched = self.model.matched_order(states[self.place])
        return np.asarray(np.minimum(matched, self.n_buckets - 1), np.int64)

    def along(self, token_ids: TokenIds, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, "batch time"]:
        found, state = np.empty(token_ids.shape, np.int64), states[self.place]
        assert isinstance(self.model, LanguageModel)
        for t in range(token_ids.shape[1]):
            found[:, t] = np.minimum(self.model.matched_order(state), self.n_buckets - 1)
            _, state = self.model.score(token_ids[:, t : t + 1], state)
        return found


class CrossedBuckets(Buckets):
    """Every pair of a bucket of one kind and a bucket of another."""

    def __init__(self, first: Buckets, second: Buckets) -> None:
        self.first, self.second = first, second
        self.n_buckets = first.n_buckets * second.n_buckets

    def of(self, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, " batch"]:
        rows = self.first.of(last_ids, states) * self.second.n_buckets
        return np.asarray(rows + self.second.of(last_ids, states))

    def along(self, token_ids: TokenIds, last_ids: LastIds, states: Sequence[State]) -> Int64[np.ndarray, "batch time"]:
        rows = self.first.along(token_ids, last_ids, states)
        return np.asarray(rows * self.second.n_buckets + self.second.along(token_ids, last_ids, states))
