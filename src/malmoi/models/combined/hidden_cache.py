"""A cache of hidden vectors: what came next when the network's state looked like it looks now.

    P(w) ~ sum over i of exp(theta h . h_i) 1[x_i = w]

h is the vector from which the softmax predicts the next token, and h_i that from which it predicted the token x_i, for each of
the last `window` tokens. A theta of 0 is a plain unigram cache; the larger it is, the more the states must agree.

Source: Grave, Joulin & Usunier 2017 (arXiv:1612.04426), equations 3 to 5, with linear interpolation.

Shapes: B sequences side by side, T tokens each, H hidden width, S pairs remembered, V vocab_size, M thetas.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Integer
from numpy.typing import ArrayLike

from malmoi.errors import ConfigError
from malmoi.models.combined.cache import Cache, CachedState, Reading, padded_before, possible_weights
from malmoi.models.combined.interpolated import checked_weights, log_mix
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds, VectorLanguageModel

BLOCK = (
    128  # tokens whose agreement with all that is remembered is held at a time: it should stay in the processor's cache
)
USUAL_SHARPNESS = 7.0  # theta times the mean squared length of a vector
PROBE_TOKENS = 256
LONGEST_WINDOW = 100_000  # pairs


@dataclass(frozen=True)
class Pairs(State):
    """The last vectors of each sequence, and the tokens predicted from them; -1 stands before those of a shorter one."""

    vectors: Float[np.ndarray, "batch pairs hidden"]
    ids: Int64[np.ndarray, "batch pairs"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "Pairs":
        index = np.asarray(rows, dtype=np.int64)
        return Pairs(self.vectors[index], self.ids[index], self.owner)

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "Pairs":
        longest = max(state.ids.shape[1] for state in states)
        width = max(state.vectors.shape[2] for state in states)  # unknown, 0, before the first token
        vectors = [state.vectors if state.ids.shape[1] else _no_vectors(len(state.ids), width) for state in states]
        return cls(
            np.concatenate([padded_before(rows, longest, 0) for rows in vectors]),
            np.concatenate([padded_before(state.ids, longest, -1) for state in states]),
            states[0].owner,
        )


class HiddenCache(Cache):
    """The continuous cache, for a neural model: one that shows the vectors it predicts from.

    Args:
        thetas: How much agreement counts; several are several parts, M of them.
        weights: (1 + M,), the model first: as soon as anything is remembered.
        window: How many pairs are remembered.

    Raises:
        ConfigError: If an argument cannot be used.
    """

    def __init__(
        self, thetas: Sequence[float | int] = (0.3,), weights: ArrayLike | None = None, *, window: int = 2000
    ) -> None:
        if not thetas or not all(0 <= theta < math.inf for theta in thetas):
            raise ConfigError(
                f"theta={', '.join(f'{theta:g}' for theta in thetas) or 'nothing'} cannot be used. One or more numbers of "
                "at least 0 were expected: try 0.3."
            )
        if not 1 <= window <= LONGEST_WINDOW:
            raise ConfigError(
                f"window={window} vectors cannot be remembered. From 1 to {LONGEST_WINDOW:,} were expected: try 2000."
            )
        self.thetas, self.window = tuple(float(theta) for theta in thetas), window
        n_parts = len(self.thetas)
        usual = [0.9] + [0.1 / n_parts] * n_parts
        rows = checked_weights(usual if weights is None else weights, 1 + n_parts, 2)
        self.possible = np.array(
            [[True] + [False] * n_parts, [True] * (1 + n_parts)]
        )  # nothing remembered yet; something
        self.weights = possible_weights(rows, self.possible)

    def start(self, batch_size: int) -> Pairs:
        return Pairs(_no_vectors(batch_size, 0), np.zeros((batch_size, 0), np.int64), self)

    def read(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> Reading:
        vectors, inner = _neural(model).predictors(token_ids, state.inner)
        pairs = _joined(state, vectors, token_ids)
        n_before, n_tokens = pairs.ids.shape[1] - token_ids.shape[1], token_ids.shape[1]
        log_probs = np.empty((*token_ids.shape, 1 + len(self.thetas)))
        log_probs[:, :, 0] = _neural(model).score_vectors(vectors, token_ids)
        for b, begin in itertools.product(range(len(token_ids)), range(0, n_tokens, BLOCK)):
            end = min(begin + BLOCK, n_tokens)
            first = max(0, n_before + begin - self.window)  # nothing older is within reach of this block
            keys, ids = pairs.vectors[b, first : n_before + end], pairs.ids[b, first : n_before + end]
            products = vectors[b, begin:end] @ keys.T  # (t, S)
            place = n_before - first + np.arange(begin, end)[:, None]
            key = np.arange(len(ids))
            is_in_reach = (key < place) & (key >= place - self.window) & (ids >= 0)
            is_target = ids == pairs.ids[b, n_before + begin : n_before + end, None]
            for k, theta in enumerate(self.thetas):
                shares = _softmax(np.where(is_in_reach, theta * products, -np.inf))
                log_probs[b, begin:end, 1 + k] = _log((shares * is_target).sum(axis=1))
        n_remembered = (pairs.ids[:, :n_before] >= 0).sum(axis=1)
        rows = np.minimum(n_remembered[:, None] + np.arange(n_tokens), 1)
        return Reading(log_probs, rows, state.after(inner, self._last_of(pairs)))

    def step(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> tuple[LogProbs, CachedState]:
        vectors, inner = _neural(model).predictors(token_ids, state.inner)
        pairs = self._last_of(_joined(state, vectors, token_ids))
        log_probs, _ = model.step(token_ids[:, :0], inner)
        after = state.after(inner, pairs)
        if not pairs.ids.shape[1]:
            return log_probs, after
        products = np.einsum("bsh,bh->bs", pairs.vectors, _neural(model).next_predictor(inner))  # (B, S)
        is_pair = pairs.ids >= 0
        parts = [log_probs]
        for theta in self.thetas:
            shares = _softmax(np.where(is_pair, theta * products.astype(np.float64), -np.inf))
            recalled = np.zeros(log_probs.shape)
            np.add.at(recalled, (np.arange(len(recalled))[:, None], pairs.ids), shares)
            parts.append(_log(recalled))
        return log_mix(parts, self.weights[is_pair.any(axis=1).astype(np.int64)][:, None]), after

    def with_parts(
        self, kept: Sequence[int], weights: Float64[np.ndarray, "rows kept_and_one"] | None
    ) -> "HiddenCache":
        return HiddenCache([self.thetas[k] for k in kept], weights, window=self.window)

    def describe(self) -> list[str]:
        return [f"states that agree, theta {theta:g}" for theta in self.thetas]

    def _last_of(self, pairs: Pairs) -> Pairs:
        if pairs.ids.shape[1] <= self.window:
            return pairs
        return replace(pairs, vectors=pairs.vectors[:, -self.window :].copy(), ids=pairs.ids[:, -self.window :].copy())


def _neural(model: LanguageModel) -> VectorLanguageModel:
    if not isinstance(model, VectorLanguageModel):
        raise ConfigError(
            f"A cache of hidden vectors cannot be put around a {type(model).__name__}. A neural model was expected: use "
            "CountCache for other models."
        )
    return model


def _joined(state: CachedState, vectors: Float[np.ndarray, "batch time hidden"], token_ids: TokenIds) -> Pairs:
    """What is remembered with the new tokens after it."""
    pairs = state.memory
    assert isinstance(pairs, Pairs)
    ids = token_ids.astype(np.int64)
    if not pairs.ids.shape[1]:
        return Pairs(vectors, ids, pairs.owner)
    vectors, ids = np.concatenate([pairs.vectors, vectors], axis=1), np.concatenate([pairs.ids, ids], axis=1)
    return Pairs(vectors, ids, pairs.owner)


def _no_vectors(batch_size: int, width: int) -> Float[np.ndarray, "batch 0 hidden"]:
    return np.zeros((batch_size, 0, width), np.float32)


def mean_square(model: LanguageModel, token_ids: TokenIds) -> float:
    """The mean squared length of the vectors that the tokens are predicted from: what makes a theta large or small."""
    vectors, _ = _neural(model).predictors(token_ids, model.start(len(token_ids)))
    return max(float(np.square(vectors, dtype=np.float64).sum(axis=-1).mean()), 1e-6)


def usual_cache(model: LanguageModel) -> HiddenCache:
    """A cache with a theta that fits the length of the model's vectors; the first words of its vocabulary show it."""
    start_id = _neural(model).start_id
    words = np.arange(start_id + 1, model.vocab_size)  # in our vocabularies; others may end with their special tokens
    words = words if len(words) else np.arange(start_id)
    return HiddenCache([USUAL_SHARPNESS / mean_square(model, words[None, :PROBE_TOKENS])])


def _softmax(scores: Float[np.ndarray, "rows keys"]) -> Float[np.ndarray, "rows keys"]:
    """Shares that sum to 1, or are all 0 in a row where no score is finite. `scores` is overwritten."""
    scores -= scores.max(axis=1, keepdims=True, initial=np.finfo(scores.dtype).min)
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(scores, total, out=scores, where=total > 0))


def _log(probs: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(probs.astype(np.float64)))
