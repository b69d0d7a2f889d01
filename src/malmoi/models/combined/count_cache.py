"""A cache that counts: how often tokens occurred lately, and what followed the same words lately.

Each part looks back over the last `window` tokens x_1 .. x_p in one way:

    order 1     P(w) ~ sum over i of age(i) worth(w) 1[x_i = w]                   words that occurred lately
    order n     P(w) ~ sum over i of age(i) 1[x_i = w, and the last n - 1 tokens stand before it]

with age(i) = 2^(-(p - i) / half_life), so that near tokens count more, and worth(w) below 1 for frequent words, which the
model knows how to place better than any cache does. Which weights apply depends on the longest order that found anything.

Nothing is stored but the tokens themselves. The places of one token form a chain, newest first, and one walk along the
chain of the last token finds all the places where the context stood before.

Source: Kuhn & De Mori 1990 for the cache; Jelinek et al. 1991 for its orders; Clarkson & Robinson 1997 for the decay;
Goodman 2001 (arXiv:cs/0108005) for weights that depend on what was found.

Shapes: B sequences side by side, T tokens each, S tokens remembered and read, V vocab_size, M parts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Integer
from numpy.typing import ArrayLike, NDArray

from malmoi.errors import ConfigError
from malmoi.jit import compiled
from malmoi.models.combined.buckets import Buckets
from malmoi.models.combined.cache import Cache, CachedState, Reading, padded_before, possible_weights
from malmoi.models.combined.interpolated import checked_weights, log_mix
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds

LEAST_WORTH = 1e-3  # of a token in a cache; 0 would leave a cache that has seen nothing else without any probability
LONGEST_ORDER = 8
LONGEST_WINDOW = 1_000_000  # tokens
MOST_HALF_LIVES = 1000  # of a window, so that the oldest token still counts more than 0


@dataclass(frozen=True)
class Lookback:
    """One way to look back.

    Args:
        order: 1 for the tokens themselves; n for what followed the last n - 1 tokens.
        half_life: After how many tokens a place counts half; infinite if all places in the window count the same.
        rarity: For order 1, the exponent of a token's rarity, 0 for none: how much less frequent tokens count.
    """

    order: int
    half_life: float | int = math.inf
    rarity: float | int = 0.0

    def __str__(self) -> str:
        what = "recent tokens" if self.order == 1 else f"what followed the last {self.order - 1}"
        fading = "" if math.isinf(self.half_life) else f", half-life {self.half_life:g}"
        return f"{what}{fading}" + (f", rarity^{self.rarity:g}" if self.rarity else "")


# As tuned around a 5-gram model of a million words of news, in round numbers.
USUAL = (Lookback(1, 100), Lookback(2, 300), Lookback(3, 500))
USUAL_WEIGHTS = ((1.0, 0.0, 0.0, 0.0), (0.89, 0.11, 0.0, 0.0), (0.85, 0.09, 0.06, 0.0), (0.81, 0.08, 0.07, 0.04))


@dataclass(frozen=True)
class History(State):
    """The last tokens of each sequence, as many as the window holds; -1 stands before those of a shorter one."""

    ids: Int64[np.ndarray, "batch remembered"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "History":
        return replace(self, ids=self.ids[np.asarray(rows, dtype=np.int64)])

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "History":
        longest = max(state.ids.shape[1] for state in states)
        return cls(np.concatenate([padded_before(state.ids, longest, -1) for state in states]), states[0].owner)


class CountCache(Cache):
    """A cache of counts, for any model.

    Args:
        parts: The ways to look back, M of them.
        weights: (levels x buckets, 1 + M), or (1 + M,) for all of them. Level 0 is an empty memory, level n one in which
            order n was the longest to find anything; each level has one row, or one for each bucket. Rows sum to 1, and
            the model comes first. What is given to parts that can have found nothing goes to the others.
        window: How many tokens are remembered.
        rarity: Of each token id, (V,), above 0 and at most 1; what `Lookback.rarity` is the exponent of.
        buckets: Kinds of context with weights of their own.

    Raises:
        ConfigError: If an argument cannot be used.
    """

    def __init__(
        self,
        parts: Sequence[Lookback] = USUAL,
        weights: ArrayLike | None = None,
        *,
        window: int = 5000,
        rarity: ArrayLike | None = None,
        buckets: Buckets | None = None,
    ) -> None:
        self.parts, self.window, self.buckets = tuple(parts), window, buckets
        self.rarity = None if rarity is None else np.clip(np.asarray(rarity, np.float64), LEAST_WORTH, 1.0)
        self._check()
        self.n_buckets = 1 if buckets is None else buckets.n_buckets
        orders = np.array([part.order for part in self.parts], np.int64)
        levels = np.arange(1 + orders.max()).repeat(self.n_buckets)
        if weights is None and self.parts == USUAL:
            weights = np.repeat(USUAL_WEIGHTS, self.n_buckets, axis=0)
        self.possible = levels[:, None] >= np.concatenate([[0], orders])
        self.weights = possible_weights(checked_weights(weights, 1 + len(parts), len(levels)), self.possible)
        self._orders = orders
        self._powers = np.exp2(
            -np.arange(window) / np.array([[float(part.half_life)] for part in self.parts])
        )  # (M, W)
        self._worth = np.ones((len(parts), 0))  # (M, V), when V is known

    def start(self, batch_size: int) -> History:
        return History(np.empty((batch_size, 0), np.int64), self)

    def read(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> Reading:
        scores, inner = model.score(token_ids, state.inner)
        sequences, history = self._then(token_ids, state)
        n_tokens = token_ids.shape[1]
        log_probs = np.empty((*token_ids.shape, 1 + len(self.parts)))
        log_probs[:, :, 0] = scores
        levels = np.empty((len(sequences), n_tokens + 1), np.int64)
        with np.errstate(divide="ignore"):
            for row, sequence in enumerate(sequences):
                own = sequence[sequence >= 0]
                found, levels[row], _ = self._recall(own, len(own) - n_tokens, model.vocab_size)
                log_probs[row, :, 1:] = np.log(found[:-1])
        rows = levels[:, :-1]
        if self.buckets is not None:
            rows = rows * self.n_buckets + self.buckets.along(token_ids, _last(state), [state.inner])
        return Reading(log_probs, rows, state.after(inner, history))

    def step(self, model: LanguageModel, token_ids: TokenIds, state: CachedState) -> tuple[LogProbs, CachedState]:
        log_probs, inner = model.step(token_ids, state.inner)
        sequences, history = self._then(token_ids, state)
        after = state.after(inner, history)
        bucket = np.zeros(len(sequences), np.int64) if self.buckets is None else self.buckets.of(_last(after), [inner])
        mixed = np.empty(log_probs.shape)
        for row, remembered in enumerate(history.ids):
            sequence = remembered[remembered >= 0]
            _, levels, sums = self._recall(sequence, len(sequence), model.vocab_size)
            weights = self.weights[levels[0] * self.n_buckets + bucket[row]]
            recalled = np.zeros(model.vocab_size)
            _spread(sequence, self._orders, self._powers, self._worth, sums, weights[1:], recalled)
            with np.errstate(divide="ignore"):
                mixed[row] = log_mix([log_probs[row], np.log(recalled)], np.array([weights[0], 1.0]))
        return mixed, after

    def with_parts(self, kept: Sequence[int], weights: Float64[np.ndarray, "rows kept_and_one"] | None) -> "CountCache":
        parts = [self.parts[k] for k in kept]
        return CountCache(parts, weights, window=self.window, rarity=self.rarity, buckets=self.buckets)

    def describe(self) -> list[str]:
        return [str(part) for part in self.parts]

    def _then(self, token_ids: TokenIds, state: CachedState) -> tuple[NDArray[np.int64], History]:
        """Everything remembered with the new tokens after it, (B, S), and what is remembered from now on."""
        assert isinstance(state.memory, History)
        sequences = np.concatenate([state.memory.ids, token_ids.astype(np.int64)], axis=1)
        kept = sequences[:, -self.window :]
        kept = kept.copy() if kept.shape[1] < sequences.shape[1] else kept
        return sequences, replace(state.memory, ids=kept)

    def _recall(
        self, sequence: NDArray[np.int64], begin: int, vocab_size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """What each part gives to the tokens from place `begin` on, (T + 1, M); the levels (T + 1,); the last sums."""
        if self._worth.shape[1] != vocab_size:
            self._worth = self._worth_of(vocab_size)
        n_places = len(sequence) - begin + 1
        probs, levels = np.zeros((n_places, len(self.parts))), np.zeros(n_places, np.int64)
        sums = np.zeros(len(self.parts))
        _recall(np.ascontiguousarray(sequence), begin, self._orders, self._powers, self._worth, probs, levels, sums)
        return probs, levels, sums

    def _worth_of(self, vocab_size: int) -> Float64[np.ndarray, "parts vocab"]:
        """How much an occurrence of each token counts in each part."""
        if self.rarity is None:
            return np.ones((len(self.parts), vocab_size))
        if self.rarity.shape != (vocab_size,):
            raise ConfigError(
                f"The cache knows the rarity of {len(self.rarity)} tokens, and the model has {vocab_size}. One number for each "
                "token id was expected: tune the cache for this model."
            )
        exponents = np.array([[float(part.rarity) if part.order == 1 else 0.0] for part in self.parts])
        return np.asarray(np.maximum(self.rarity**exponents, LEAST_WORTH))

    def _check(self) -> None:
        if not self.parts or not all(1 <= part.order <= LONGEST_ORDER for part in self.parts):
            raise ConfigError(
                f"A cache cannot look back by the orders {[part.order for part in self.parts]}. One or more from 1 to "
                f"{LONGEST_ORDER} were expected: try Lookback(1, half_life=100) and Lookback(2)."
            )
        if not 2 <= self.window <= LONGEST_WINDOW:
            raise ConfigError(
                f"window={self.window} tokens cannot be remembered. From 2 to {LONGEST_WINDOW:,} were expected: try 5000."
            )
        for part in self.parts:
            if not part.half_life >= self.window / MOST_HALF_LIVES or not 0 <= part.rarity < math.inf:
                raise ConfigError(
                    f"half_life={part.half_life:g} with rarity={part.rarity:g} cannot be used in a window of "
                    f"{self.window} tokens. A half-life of at least {self.window / MOST_HALF_LIVES:g} tokens and an "
                    "exponent of at least 0 were expected: try half_life=100 and rarity=0."
                )
            if part.rarity and part.order == 1 and self.rarity is None:
                raise ConfigError(
                    f"A part with rarity={part.rarity:g} needs to know how rare each token is. One number for each token id "
                    "was expected: give CountCache(rarity=...), or leave the exponent at 0."
                )


def _last(state: CachedState) -> Int64[np.ndarray, " batch"]:
    """The last token of each sequence; -1 before any."""
    assert isinstance(state.memory, History)
    ids = state.memory.ids
    return ids[:, -1] if ids.shape[1] else np.full(len(ids), -1, np.int64)


@compiled()
def _matched(sequence, place, last, first, most):  # type: ignore[no-untyped-def]
    """How many tokens up to `place` equal those up to `last`, at most `most`; the two last ones do."""
    length = 1
    while length < most and place - length >= first and sequence[place - length] == sequence[last - length]:
        length += 1
    return length


@compiled()
def _recall(
    sequence: NDArray[np.int64],
    begin: int,
    orders: NDArray[np.int64],
    powers: NDArray[np.float64],
    worth: NDArray[np.float64],
    probs: NDArray[np.float64],
    levels: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Fill `probs` (T + 1, M) and `levels` (T + 1,) for the places from `begin` to one after the end of `sequence` (S,).

    The token after the end is not known, so the last row of `probs` holds zeros. `sums` (M,) becomes what the parts of order 1
    divide by there. `powers` (M, W) is the factor of each age, `worth` (M, V) that of each token.
    """
    n_parts, window = powers.shape
    n_read = len(sequence)
    most = orders.max() - 1
    latest = np.full(worth.shape[1], -1, np.int64)  # place of each token's last occurrence
    before = np.empty(n_read, np.int64)  # place of the same token's occurrence before
    hits, totals = np.empty(n_parts), np.empty(n_parts)
    for p in range(n_read + 1):
        first = max(0, p - window)
        if p >= begin and p > 0:
            target = sequence[p] if p < n_read else -1
            level = 1
            hits[:] = 0
            totals[:] = 0
            if target >= 0:
                place = latest[target]
                while place >= first:
                    for k in range(n_parts):
                        hits[k] += powers[k, p - 1 - place]
                    place = before[place]
            for k in range(n_parts):
                if orders[k] == 1:
                    probs[p - begin, k] = hits[k] * worth[k, target] / sums[k] if target >= 0 else 0.0
            hits[:] = 0
            place = before[p - 1] if most > 0 else -1
            while place >= first:
                length = _matched(sequence, place, p - 1, first, most)
                level = max(level, length + 1)
                is_hit = sequence[place + 1] == target
                for k in range(n_parts):
                    if 1 < orders[k] <= length + 1:
                        totals[k] += powers[k, p - 2 - place]
                        if is_hit:
                            hits[k] += powers[k, p - 2 - place]
                place = before[place]
            for k in range(n_parts):
                if totals[k] > 0:
                    probs[p - begin, k] = hits[k] / totals[k]
            levels[p - begin] = level
        if p < n_read:
            token = sequence[p]
            for k in range(n_parts):
                gone = powers[k, 1] * powers[k, window - 1] * worth[k, sequence[p - window]] if p >= window else 0.0
                sums[k] = sums[k] * powers[k, 1] + worth[k, token] - gone
            before[p] = latest[token]
            latest[token] = p


@compiled()
def _spread(
    sequence: NDArray[np.int64],
    orders: NDArray[np.int64],
    powers: NDArray[np.float64],
    worth: NDArray[np.float64],
    sums: NDArray[np.float64],
    weights: NDArray[np.float64],
    recalled: NDArray[np.float64],
) -> None:
    """Add to `recalled` (V,) the weighted probabilities of every token after `sequence` (S,), S at most the window."""
    n_parts, end = len(orders), len(sequence)
    most = orders.max() - 1
    totals = np.zeros(n_parts)
    for place in range(end - 1):
        if sequence[place] == sequence[end - 1] and most > 0:
            length = _matched(sequence, place, end - 1, 0, most)
            for k in range(n_parts):
                if 1 < orders[k] <= length + 1:
                    totals[k] += powers[k, end - 2 - place]
    for place in range(end):
        token = sequence[place]
        for k in range(n_parts):
            if orders[k] == 1:
                recalled[token] += weights[k] * powers[k, end - 1 - place] * worth[k, token] / sums[k]
        if place < end - 1 and token == sequence[end - 1] and most > 0:
            length = _matched(sequence, place, end - 1, 0, most)
            for k in range(n_parts):
                if 1 < orders[k] <= length + 1 and totals[k] > 0:
                    recalled[sequence[place + 1]] += weights[k] * powers[k, end - 2 - place] / totals[k]
