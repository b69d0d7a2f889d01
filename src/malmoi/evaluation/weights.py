"""Mixture weights that make a text as probable as they can, by EM.

Each round asks how much of each token's probability came from each model, and makes a model's weight its share:

    share(i, t) = weight_i P_i(t) / sum over j of weight_j P_j(t)          weight_i = mean over t of share(i, t)

The probability of the text rises with every round, and there is one maximum only. How far away it still is has a bound
(Cover 1984): no weights can gain more than max over i of ln(mean over t of P_i(t) / P(t)) nats a token. So it is known
when to stop.

With buckets, those with few tokens cannot be trusted alone: the weights of all tokens together stand beside them as if
they were so many tokens more.

Source: Jelinek & Mercer 1980; Dempster, Laird & Rubin 1977; Cover 1984 for the bound.

Shapes: N tokens, M models, K buckets.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.jit import compiled

MOST_ROUNDS = 5000
PRIOR_TOKENS = 50.0  # how many tokens the weights of all tokens count for in a bucket


def tune_weights(
    log_probs: Float[np.ndarray, "tokens models"],
    buckets: Integer[np.ndarray, " tokens"] | None = None,
    *,
    n_buckets: int | None = None,
    possible: Bool[np.ndarray, "buckets models"] | None = None,
    centre: Float64[np.ndarray, "buckets models"] | None = None,
    prior_tokens: float | int = PRIOR_TOKENS,
    tolerance: float = 1e-6,
    rounds: int = MOST_ROUNDS,
) -> Float64[np.ndarray, "*buckets models"]:
    """The weights under which a text is most probable.

    Args:
        log_probs: ln P of each token of a text by each model, in nats.
        buckets: The bucket of each token, from 0 up; without them there is one set of weights.
        n_buckets: How many there are, if the last ones may not occur here.
        possible: False where a model must have weight 0.
        centre: With buckets, what the weights are drawn to; by default the weights of all tokens together.
        prior_tokens: With buckets, how many tokens of its own outweigh that.
        tolerance: EM ends when the best weights are at most so many nats a token away.
        rounds: It ends after so many rounds in any case; models that hardly differ may need more.

    Returns:
        (M,), or with buckets (K, M); each row sums to 1.

    Raises:
        DataError: If there is no token, or one has no probability under any model.
        ConfigError: If the buckets do not fit.
    """
    values = np.asarray(log_probs, np.float64)
    if not len(values) or not values.shape[1]:
        raise DataError(
            f"Weights cannot be tuned on {len(values)} tokens for {values.shape[1]} models. At least one of each was expected: "
            "give another text."
        )
    if buckets is None:
        everywhere, allowed = np.zeros(len(values), np.int64), np.ones((1, values.shape[1]), bool)
        return np.asarray(_em(values, everywhere, allowed, None, 0.0, tolerance, rounds)[0])
    n_buckets = int(buckets.max()) + 1 if n_buckets is None else n_buckets
    if not 0 <= buckets.min() <= buckets.max() < n_buckets:
        raise ConfigError(
            f"The buckets go from {buckets.min()} to {buckets.max()}. 0 to {n_buckets - 1} were expected: number them from 0."
        )
    if possible is None:
        possible = np.ones((n_buckets, values.shape[1]), bool)
    if centre is None:
        centre = np.broadcast_to(tune_weights(values, tolerance=tolerance, rounds=rounds), possible.shape)
    return _em(values, np.asarray(buckets, np.int64), possible, centre, float(prior_tokens), tolerance, rounds)


def _em(
    log_probs: NDArray[np.float64],
    buckets: NDArray[np.int64],
    possible: NDArray[np.bool_],
    centre: NDArray[np.float64] | None,
    prior: float,
    tolerance: float,
    rounds: int,
) -> NDArray[np.float64]:
    by_bucket = np.argsort(buckets, kind="stable")
    present, starts, sizes = np.unique(buckets[by_bucket], return_index=True, return_counts=True)
    values = np.where(possible[buckets], log_probs, -np.inf)[by_bucket]
    best = values.max(axis=1)
    if np.isneginf(best).any():
        hopeless = np.flatnonzero(np.isneginf(best))
        raise DataError(
            f"{len(hopeless)} of {len(best)} tokens have no probability under any model, the first of them token number "
            f"{by_bucket[hopeless].min() + 1}; no weights can change that. Every token needs one model that allows it: add "
            "such a model, or give another text."
        )
    probs = np.exp(values - best[:, None])  # (N, M), the best model of each token at 1
    even = possible / possible.sum(axis=1, keepdims=True)
    if centre is None:
        centre = even
    centre = centre * possible + 1e-12 * even
    centre = centre / centre.sum(axis=1, keepdims=True)
    result = centre.copy()
    weights = (0.9 * centre + 0.1 * even)[present]  # a weight of 0 would stay 0
    pull, n_tokens = prior * centre[present], sizes[:, None]
    gains = np.empty_like(weights)
    for _ in range(rounds):
        _add_gains(probs, starts, weights, gains)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = (gains + np.where(pull > 0, pull / weights, 0.0)) / (n_tokens + prior)
        bounds = np.log(
            np.max(slopes, axis=1, where=possible[present], initial=1.0)
        )  # nats that a token of the bucket may gain
        if bounds @ (sizes + prior) < tolerance * len(probs):
            break
        weights = (weights * gains + pull) / (n_tokens + prior)
    result[present] = weights / weights.sum(axis=1, keepdims=True)
    return result


@compiled()
def _add_gains(
    probs: NDArray[np.float64], starts: NDArray[np.int64], weights: NDArray[np.float64], gains: NDArray[np.float64]
) -> None:
    """Fill `gains` (K, M) with the sums over the tokens of each bucket of P_i(t) / P(t); `starts` is where its tokens begin."""
    n_tokens, n_models = probs.shape
    for b in range(len(starts)):
        gains[b] = 0.0
        for t in range(starts[b], starts[b + 1] if b + 1 < len(starts) else n_tokens):
            mixed = 0.0
            for i in range(n_models):
                mixed += weights[b, i] * probs[t, i]
            for i in range(n_models):
                gains[b, i] += probs[t, i] / mixed
