"""What a cache is to a model: what was read lately, what it says of the next token, and how that is weighed.

Shapes: B sequences side by side, T tokens each, V vocab_size, M parts of a cache.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds
from malmoi.shapes import Bool, Float64, Int64, Integer, Num


@dataclass(frozen=True)
class CachedState(State):
    """The state of the model inside, and what the cache remembers."""

    inner: State
    memory: State
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "CachedState":
        return CachedState(self.inner.select(rows), self.memory.select(rows), self.owner)

    def after(self, inner: State, memory: State) -> "CachedState":
        """The state after more tokens."""
        return CachedState(inner, memory, self.owner)

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "CachedState":
        inner, memory = (State.join([getattr(state, name) for state in states]) for name in ("inner", "memory"))
        return cls(inner, memory, states[0].owner)


@dataclass(frozen=True)
class Reading:
    """What the model and each part of a cache said of some tokens, before they are mixed."""

    log_probs: Float64[np.ndarray, "batch time parts"]  # the model first, then the M parts of the cache
    rows: Int64[np.ndarray, "batch time"]  # of the cache's weights, that apply
    state: CachedState  # after the tokens


class Cache(ABC):
    """Interface: how to remember what was read, and what follows from it for the next token."""

    weights: Float64[np.ndarray, "rows parts"]  # the model first; each row sums to 1
    possible: Bool[np.ndarray, "rows parts"]  # False where a part has nothing to say, so that its weight must be 0
    n_buckets: int = 1  # weights has so many rows for each level, of which there is one for each thing a cache may find
    window: int  # tokens that are remembered

    @abstractmethod
    def start(self, batch_size: int) -> State:
        """The memory before any token."""

    @abstractmethod
    def read(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> Reading:
        """Score T tokens by every part."""

    @abstractmethod
    def step(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> tuple[LogProbs, CachedState]:
        """Read T tokens; the mixed distribution of the next one."""

    @abstractmethod
    def with_parts(self, kept: Sequence[int], weights: Float64[np.ndarray, "rows kept_and_one"] | None) -> "Cache":
        """The cache with only those parts, numbered from 0, and other weights; equal ones if there are none."""

    @abstractmethod
    def describe(self) -> list[str]:
        """One line for each part: what it is, as people say it."""


def padded_before(
    rows: Num[np.ndarray, "batch remembered ..."], length: int, padding: int
) -> Num[np.ndarray, "batch length ..."]:
    """What is remembered of each sequence, so many places long, with padding before it: what was read last stays last."""
    missing = np.full((len(rows), length - rows.shape[1], *rows.shape[2:]), padding, rows.dtype)
    return np.concatenate([missing, rows], axis=1)


def possible_weights(
    weights: Float64[np.ndarray, "rows parts"], possible: Bool[np.ndarray, "rows parts"]
) -> Float64[np.ndarray, "rows parts"]:
    """The weights with 0 where they must be, each row scaled to sum to 1 again; the model takes what nobody else may have."""
    kept = np.where(possible, weights, 0.0)
    kept[:, 0] += kept.sum(axis=1) == 0
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))
