"""Caches tuned on a text: which ways of looking back help, and with which weights, by one reading of the text and EM.

There is no grid to search. Many ways of looking back, with half-lives from a few sentences to the whole window, are put
into one mixture; EM finds their weights, and the ways that get next to none are dropped.

Shapes: N tokens, M parts, K buckets.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.data.tokens import TokenView
from malmoi.evaluation.perplexity import readings
from malmoi.evaluation.weights import tune_weights
from malmoi.models.combined import Cache, Cached, CountCache, LastTokenBuckets, Lookback
from malmoi.models.combined.cache import CachedState
from malmoi.models.interface import LanguageModel, State, TokenIds

TOLERANCE = 1e-4  # nats a token that the weights may be away from the best
LEAST_SHARE = 0.002  # of the text's probability; parts with less are dropped
RARITY = 0.6
PARTS = (
    *(Lookback(1, half_life, rarity) for rarity in (0.0, RARITY) for half_life in (60, 240)),
    *(Lookback(2, half_life) for half_life in (80, 500)),
    *(Lookback(3, half_life) for half_life in (80, 1000)),
    *(Lookback(order, 1000) for order in (4, 6)),
)
FULL_WORTH = 1e-4  # tokens that make up no more of a text than this count in full
N_BUCKETS = 32
SHARPNESS = (2.5, 5.0, 10.0, 20.0)  # theta times the mean squared length of a hidden vector
PROBE_TOKENS = 1000  # whose hidden vectors tell that length
MOST_TOKENS = 500_000  # of the text are read


def tune_cache(
    model: LanguageModel,
    view: TokenView,
    start_id: int,
    cache: Cache | None = None,
    *,
    window: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Cached:
    """Put the best cache around a model, judged on a text that it was not trained on.

    Args:
        model: Any language model; hidden vectors are cached of a neural one, counts of any other.
        view: The text, read in order as one stream.
        start_id: The token that stands before a text: the tokenizer's eos_id.
        cache: The parts to choose from; by default PARTS for counts, with 32 buckets by the frequency of the last token in this
            text, and SHARPNESS for hidden vectors.
        window: Tokens a call scores at once.
        progress: Called with (tokens done, tokens in all).

    Raises:
        DataError: If the text is empty, or a token of it has no probability.
        RunError: If the model gives NaN.
    """
    view = first_tokens(view, MOST_TOKENS)
    cache = _candidates(model, view, start_id) if cache is None else cache
    log_probs, levels, buckets = _read(model, cache, view, window, progress)
    by_level = _tuned_by_level(log_probs, levels, cache)
    shares = _shares(log_probs, by_level[levels])[1:]
    kept = np.flatnonzero((shares >= LEAST_SHARE) | (shares == shares.max()))
    chosen = cache.with_parts(kept.tolist(), None)
    log_probs, levels = log_probs[:, [0, *(kept + 1)]], np.minimum(levels, _n_levels(chosen) - 1)
    weights = by_level = _tuned_by_level(log_probs, levels, chosen)
    if cache.n_buckets > 1:
        weights = tune_weights(
            log_probs,
            levels * cache.n_buckets + buckets,
            n_buckets=len(chosen.weights),
            possible=chosen.possible,
            centre=np.repeat(by_level, cache.n_buckets, axis=0),
            tolerance=TOLERANCE,
        )
    return Cached(model, chosen.with_parts(range(len(kept)), weights))


def first_tokens(view: TokenView, n_tokens: int) -> TokenView:
    """At most the first n tokens of a text; of its counts only that of the tokens is right then."""
    if len(view) <= n_tokens:
        return view
    return TokenView(view.read(0, n_tokens), view.counts)


def _candidates(model: LanguageModel, view: TokenView, start_id: int) -> Cache:
    if hasattr(model, "predictors"):
        from malmoi.models.combined.hidden_cache import HiddenCache, mean_square

        squared = mean_square(model, view.read(0, min(len(view), PROBE_TOKENS))[None])
        return HiddenCache([sharpness / squared for sharpness in SHARPNESS])
    counts = np.bincount(view.read(0, len(view)), minlength=model.vocab_size)
    rarity = np.minimum(FULL_WORTH * counts.sum() / np.maximum(counts, 1), 1.0)
    return CountCache(PARTS, rarity=rarity, buckets=LastTokenBuckets.by_count(counts, N_BUCKETS, start_id))


def _read(
    model: LanguageModel, cache: Cache, view: TokenView, window: int, progress: Callable[[int, int], None] | None
) -> tuple[Float64[np.ndarray, "tokens parts"], Int64[np.ndarray, " tokens"], Int64[np.ndarray, " tokens"]]:
    """What the model and each part say of each token; how much the cache found, and the bucket."""

    def read(token_ids: TokenIds, state: State) -> tuple[NDArray[np.float64], CachedState]:
        assert isinstance(state, CachedState)
        found = cache.read(model, token_ids, state)
        return np.concatenate([found.log_probs, found.rows[:, :, None]], axis=2), found.state

    said = np.empty((len(view), 2 + len(cache.possible[0]) - 1))
    for places, values in readings(Cached(model, cache), view, window=window, progress=progress, read=read):
        said[places] = values
    rows = said[:, -1].astype(np.int64)
    return said[:, :-1], rows // cache.n_buckets, rows % cache.n_buckets


def _tuned_by_level(
    log_probs: Float64[np.ndarray, "tokens parts"], levels: Int64[np.ndarray, " tokens"], cache: Cache
) -> Float64[np.ndarray, "levels parts"]:
    return tune_weights(
        log_probs,
        levels,
        n_buckets=_n_levels(cache),
        possible=cache.possible[:: cache.n_buckets],
        tolerance=TOLERANCE,
    )


def _n_levels(cache: Cache) -> int:
    return len(cache.weights) // cache.n_buckets


def _shares(
    log_probs: Float64[np.ndarray, "tokens parts"], weights: Float64[np.ndarray, "tokens parts"]
) -> Float64[np.ndarray, " parts"]:
    """How much of the text's probability comes from each part, on average."""
    joint = weights * np.exp(log_probs - log_probs.max(axis=1, keepdims=True))
    return np.asarray((joint / joint.sum(axis=1, keepdims=True)).mean(axis=0))
