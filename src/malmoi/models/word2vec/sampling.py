"""What word2vec draws: which words it reads, and which wrong words it is asked about.

Both are chances per word, made once from the counts, so that a draw is two look-ups. They are kept as whole numbers out of
2^32, which compare exactly and alike on every machine.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError

ONE = 1 << 32  # what probability 1 is written as


class AliasTable(NamedTuple):
    """Draws from any distribution over n outcomes in constant time.

    Each outcome has a bin of the same size, which it shares with at most one other: draw a bin i, then take i with probability
    `own[i]` / 2^32 and `alias[i]` otherwise.

    Source: Walker 1977 for the table; Vose 1991 for making it in linear time.
    """

    own: NDArray[np.uint64]  # (n,)
    alias: NDArray[np.int32]  # (n,)

    def probabilities(self) -> NDArray[np.float64]:
        """(n,), the distribution that is really drawn from."""
        kept = self.own.astype(np.float64) / ONE
        drawn = kept + np.bincount(self.alias, 1 - kept, minlength=len(self.own))
        return np.asarray(drawn / len(self.own), np.float64)


def alias_table(weights: NDArray[np.float64]) -> AliasTable:
    """Make the table of a distribution that is proportional to `weights` (n,).

    Raises:
        DataError: If a weight is negative, not a number or infinite, or all of them are 0.
    """
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise DataError(
            "Words cannot be drawn by these weights: one of them is negative or not a finite number, or all are 0. Give each "
            "word a weight of 0 or more, and at least one word more than 0."
        )
    n = len(weights)
    share = (weights * (n / weights.sum())).tolist()  # 1 fills a bin
    own, alias = [1.0] * n, list(range(n))
    small = [i for i, s in enumerate(share) if s < 1]
    large = [i for i, s in enumerate(share) if s >= 1]
    while small and large:
        i, j = small.pop(), large[-1]
        own[i], alias[i] = share[i], j
        share[j] -= 1 - share[i]
        if share[j] < 1:
            small.append(large.pop())
    for i in small:  # rounding has left these: they are full, except that weight 0 is never drawn
        if weights[i] == 0:
            own[i], alias[i] = 0.0, int(np.argmax(weights))
    return AliasTable((np.array(own) * ONE).astype(np.uint64), np.array(alias, np.int32))


def noise_table(counts: NDArray[np.int64], power: float = 0.75) -> AliasTable:
    """P(w) proportional to count(w)^power, for wrong words (Mikolov et al. 2013, arXiv:1310.4546, section 2.2)."""
    seen = counts > 0
    return alias_table(np.where(seen, np.where(seen, counts, 1).astype(np.float64) ** power, 0.0))


def keep_probabilities(counts: NDArray[np.int64], threshold: float) -> NDArray[np.float64]:
    """(V,): how likely an occurrence of each word is read at all; frequent words are thinned out.

    min(1, sqrt(t / f) + t / f) for a word whose share of the text is f, as the program of the paper has it (the paper itself
    writes sqrt(t / f)). A threshold of 0 keeps everything; words that do not occur get 0.

    Raises:
        ConfigError: If the threshold is negative or not a number.
    """
    if not threshold >= 0:
        raise ConfigError(
            f"subsample_threshold={threshold} is no share of a text. Use 0 to read every word, or a small share such as 0.001."
        )
    seen = counts > 0
    if threshold == 0:
        return seen.astype(np.float64)
    ratio = threshold * counts.sum() / np.where(seen, counts, 1)
    return np.where(seen, np.minimum(1, np.sqrt(ratio) + ratio), 0.0)


def keep_limits(probabilities: NDArray[np.float64]) -> NDArray[np.uint64]:
    """(V,): what a random number below 2^32 must stay under; 0 only where the probability is 0, so that it means 'no word'."""
    limits = np.ceil(probabilities * ONE)
    return np.minimum(limits, ONE).astype(np.uint64)
