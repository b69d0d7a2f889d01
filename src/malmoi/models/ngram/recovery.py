"""The counts behind an n-gram probability, worked out again from the stored numbers.

A run stores no counts, but what was made of them:

    modified Kneser-Ney   P(w | h) - weight(h) P(w | h') = (a - D(a)) / a(h .)
    Witten-Bell           P(w | h) - weight(h) P(w | h') = c / (c(h .) + T(h))        weight(h) = T(h) / (c(h .) + T(h))

Counts are whole numbers, D is in the run's config, and the counts of all that follows h add up to a(h .); so there is hardly
ever more than one set of counts that fits, and where none does (n-grams were dropped, numbers are 8-bit codes), nothing is
claimed.

Shapes: F followers of the context h.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from malmoi.models.ngram.tables import NGramTables
from malmoi.models.ngram.tracing import Try, children, distribution, stored_log_probs

MOST = 1000  # the largest count that the rarest follower of a context is tried with
TOLERANCE = 0.02  # how far from a whole number a count may come out, stored numbers being float32
WITTEN_BELL, KNESER_NEY = "witten-bell", "kneser-ney"


class ContextCounts(NamedTuple):
    """What was counted after a context."""

    followers: Int64[np.ndarray, " followers"]  # of each token seen there
    total: int  # their sum


@dataclass(frozen=True)
class CountedShare:
    """How the probability of a token after a context comes from counts: (count - taken) / divisor + weight * shorter."""

    count: int  # of the token after the context
    total: int  # of everything after it
    taken: float  # the discount; 0 where nothing is taken off
    divisor: int
    share: float  # (count - taken) / divisor
    weight: float  # what the context keeps for unseen tokens
    shorter: float  # P(w | h'), what the shorter context says

    @property
    def from_shorter(self) -> float:
        return self.weight * self.shorter

    @property
    def probability(self) -> float:
        return self.share + self.from_shorter


def counted_share(
    tables: NGramTables, known: Try, method: str, discounts: Float64[np.ndarray, "orders 3"] | None
) -> CountedShare | None:
    """What was counted after the context that knew a token; None if it is the empty one, or no counts fit.

    Args:
        tables: Of the model; with 8-bit codes no counts can be told.
        known: The context and the token.
        method: How the model was smoothed.
        discounts: Of each order, for Kneser-Ney.
    """
    if known.node < 0 or tables.is_quantised:
        return None
    first, after = children(tables, known.node)
    order, weight = len(known.ids) + 1, float(np.exp(known.log_backoff))
    shorter = np.exp(distribution(tables, int(tables.suffix[known.node]))[tables.words[first:after]])
    shares = np.exp(stored_log_probs(tables, first, after)) - weight * shorter
    counts = recover(shares, weight, method, None if discounts is None else discounts[order - 1])
    if counts is None:
        return None
    place = known.place - first
    count, taken, divisor = int(counts.followers[place]), 0.0, counts.total + len(shares)
    if discounts is not None and method == KNESER_NEY:
        taken, divisor = float(discounts[order - 1][min(count, 3) - 1]), counts.total
    return CountedShare(count, counts.total, taken, divisor, float(shares[place]), weight, float(shorter[place]))


def recover(
    shares: Float64[np.ndarray, " followers"],
    weight: float,
    method: str,
    discounts: Float64[np.ndarray, "3"] | None,
) -> ContextCounts | None:
    """The counts of the tokens seen after a context, or None where no whole numbers fit.

    Args:
        shares: P(w | h) - weight(h) P(w | h') of each of them.
        weight: weight(h), what the context keeps for unseen tokens.
        method: How the model was smoothed.
        discounts: D1, D2, D3+ of the n-grams that begin with the context; for Kneser-Ney.
    """
    if not len(shares) or not (shares > 0).all() or not 0 < weight < 1:
        return None
    if method == WITTEN_BELL:
        return _whole(shares * len(shares) / weight)
    if method != KNESER_NEY or discounts is None:
        return None
    rarest = shares.min()
    for count in range(1, MOST + 1):
        total = (count - discounts[min(count, 3) - 1]) / rarest
        if total > 2**31:
            return None
        found = _counts(shares * total, discounts)
        if found is not None and abs(found.total - total) < TOLERANCE * max(1.0, 1e-3 * total):
            taken = discounts[np.minimum(found.followers, 3) - 1].sum()
            if abs(taken / found.total - weight) < 1e-3 * weight:
                return found
    return None


def _counts(lowered: Float64[np.ndarray, " followers"], discounts: Float64[np.ndarray, "3"]) -> ContextCounts | None:
    """The counts that are these numbers once their discounts are taken off."""
    for discount, fits in ((discounts[0], 1), (discounts[1], 2)):  # small counts have discounts of their own
        is_such = np.abs(lowered + discount - fits) < TOLERANCE
        lowered = np.where(is_such, fits - discounts[2], lowered)
    return _whole(lowered + discounts[2])


def _whole(counts: Float64[np.ndarray, " followers"]) -> ContextCounts | None:
    rounded = np.rint(counts)
    if (np.abs(counts - rounded) > TOLERANCE * np.maximum(1.0, 1e-3 * counts)).any() or rounded.min() < 1:
        return None
    whole = rounded.astype(np.int64)
    return ContextCounts(whole, int(whole.sum()))
