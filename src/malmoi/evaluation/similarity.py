"""How well the nearness of word vectors agrees with people: Spearman's rho over pairs of words.

Spearman's rho compares the order of the pairs by people with their order by cosine. Words that the vectors lack are never
passed over in silence: every result says how many pairs were covered. The 95 % intervals are percentiles over resampled pairs
(bootstrap); with fewer than LEAST pairs there is none, since so few say too little about all the pairs there could be.

Source: Spearman 1904; Efron & Tibshirani 1993, chapter 13.

Shapes: N pairs, R resamples, M models.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.evaluation.vector_sets import SimilaritySet
from malmoi.vectors.vectors import Vectors

RESAMPLES = 1000
LEAST = 20  # pairs or questions below which there is no interval
OWN_LANGUAGE = 0.05  # share of the words of a set below which subwords are not used: it is of another language
CHUNK = 1 << 22  # numbers of a table that are held at a time, at least for one row


@dataclass(frozen=True)
class SimilarityResult:
    """How the order of the pairs agrees."""

    name: str
    spearman: float  # over the covered pairs, from -1 to 1
    low: float  # of the 95 % interval; NaN where fewer than LEAST pairs are covered
    high: float
    n_pairs: int
    n_covered: int
    n_composed: int  # of the covered pairs, those with a word whose vector came from subwords
    n_lowered: int  # of the covered pairs, those with a word that was found in lower case only
    missing: list[str]  # the words without a vector

    @property
    def coverage(self) -> float:
        return self.n_covered / self.n_pairs


class Nearness(NamedTuple):
    """The covered pairs of a set, by their numbers from 0, and their cosines."""

    covered: Int64[np.ndarray, " covered"]  # which pairs
    cosines: Float64[np.ndarray, " covered"]
    n_composed: int
    n_lowered: int
    missing: list[str]


def evaluate_similarity(
    vectors: Vectors,
    similarity: SimilaritySet,
    *,
    lower: bool = True,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SimilarityResult:
    """Compare cosines with what people said.

    Args:
        vectors: The model; where it can compose vectors of unknown words, those count as covered, and are counted.
        similarity: The pairs.
        lower: Whether to look a missing word up in lower case too.
        n_resamples: R, for the interval.
        seed: Of the resamples.

    Raises:
        DataError: If so few pairs are covered, or so alike, that they have no order.
    """
    advice = "Evaluate vectors of the language of the set, trained on more text."
    found = nearness(vectors, similarity, lower=lower)
    return judged(similarity, found, n_resamples=n_resamples, seed=seed, advice=advice)


def judged(similarity: SimilaritySet, found: Nearness, *, n_resamples: int, seed: int, advice: str) -> SimilarityResult:
    """Compare what was found with what people said.

    Raises:
        DataError: If so few pairs are covered, or so alike, that they have no order; it ends with the advice.
    """
    people, n = similarity.scores[found.covered], len(found.covered)
    rho = spearman(people, found.cosines)
    if np.isnan(rho):
        raise DataError(
            f"{n} of the {len(similarity):,} pairs of {similarity.name} are covered; the first missing word is "
            f"{(found.missing or ['(none)'])[0][:60]!r}. Expected two or more that can be put in order. {advice}"
        )
    low, high = interval(resampled_correlations(people, [found.cosines], n_resamples, seed)[0], n)
    return SimilarityResult(
        similarity.name, rho, low, high, len(similarity), n, found.n_composed, found.n_lowered, found.missing
    )


def nearness(vectors: Vectors, similarity: SimilaritySet, *, lower: bool = True) -> Nearness:
    """The cosines of the pairs whose two words have vectors.

    Pieces of any word in any language have vectors, which mean nothing where nothing like them was in the text. So unknown
    words are composed only in sets of which some words are known: OWN_LANGUAGE of them or more.
    """
    lookup = Lookup(vectors, lower)
    words = {word for pair in similarity.pairs for word in pair}
    n_known = sum(lookup.word(word) is not None for word in words)
    lookup.composes = n_known >= OWN_LANGUAGE * len(words)
    covered: list[int] = []
    cosines: list[float] = []
    n_composed = n_lowered = 0
    for i, pair in enumerate(similarity.pairs):
        first, second = (lookup.unit(word) for word in pair)
        if first is None or second is None:
            continue
        covered.append(i)
        cosines.append(vectors.cosine(first, second))
        n_composed += not lookup.composed.isdisjoint(pair)
        n_lowered += not lookup.lowered.isdisjoint(pair)
    return Nearness(
        np.array(covered, np.int64), np.array(cosines, np.float64), n_composed, n_lowered, list(lookup.missing)
    )


class Lookup:
    """Finds words, and remembers which were missing, composed or found in lower case."""

    def __init__(self, vectors: Vectors, lower: bool) -> None:
        self.vectors, self.lower, self.composes = vectors, lower, True
        self.missing: dict[str, None] = {}  # in the order in which they were missed
        self.lowered: set[str] = set()
        self.composed: set[str] = set()

    def word(self, word: str) -> str | None:
        """How a word is written in the vocabulary; spaces inside may be "_" there, as joined phrases have it."""
        joined = "_".join(word.split())
        for written in (word, joined):
            if written in self.vectors:
                return written
        for written in (word.lower(), joined.lower()) if self.lower else ():
            if written in self.vectors:
                self.lowered.add(word)
                return written
        return None

    def unit(self, word: str) -> NDArray[np.float32] | None:
        """The direction of a word, also of one that the vectors compose."""
        if (known := self.word(word)) is not None:
            return self.vectors.unit(known)
        composed = self.vectors.unknown(word) if self.composes and self.vectors.unknown is not None else None
        if composed is not None:
            self.composed.add(word)
            return self.vectors.unit(composed)
        self.missing[word] = None
        return None

    def place(self, word: str) -> int | None:
        """The place of a word of the vocabulary."""
        if (known := self.word(word)) is not None:
            return self.vectors.place(known)
        self.missing[word] = None
        return None


# Spearman's rho, resampled


def spearman(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks. NaN if one side has equal values only."""
    counts = np.ones((1, len(first)))
    return float(_correlations(_groups(first), _groups(second), counts)[0])


def resampled_correlations(
    people: Float64[np.ndarray, " n"], models: list[Float64[np.ndarray, " n"]], n_resamples: int, seed: int
) -> Float64[np.ndarray, "models resamples"]:
    """Spearman's rho of each model with people over pairs drawn with replacement: the same draws for all models."""
    n = len(people)
    sampled = np.full((len(models), n_resamples), np.nan)
    if not n:
        return sampled
    generator = np.random.default_rng(seed)
    theirs, ours = _groups(people), [_groups(cosines) for cosines in models]
    together = max(1, CHUNK // n)
    for start in range(0, n_resamples, together):
        counts = draw_counts(generator, min(together, n_resamples - start), n)
        for row, groups in zip(sampled, ours, strict=True):
            row[start : start + together] = _correlations(theirs, groups, counts)
    return sampled


def interval(sampled: Float64[np.ndarray, " resamples"], n: int) -> tuple[float, float]:
    """The 95 % interval of what was resampled from n things; NaN for both ends if they are fewer than LEAST."""
    if n < LEAST or not np.isfinite(sampled).any():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(sampled, (2.5, 97.5))
    return float(low), float(high)


def _groups(values: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """0 for the lowest value, 1 for the next higher, and so on: equal values share a number."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def draw_counts(generator: np.random.Generator, n_resamples: int, n: int) -> Float64[np.ndarray, "resamples n"]:
    """How often each of n things is drawn in each resample."""
    drawn = generator.integers(n, size=(n_resamples, n)) + n * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def _correlations(
    first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"], counts: Float64[np.ndarray, "resamples n"]
) -> Float64[np.ndarray, " resamples"]:
    """Spearman's rho where each pair is there as often as `counts` says; nothing is sorted again."""
    rho = np.full(len(counts), np.nan)
    if not len(first):
        return rho
    x, y = _ranks(first, counts), _ranks(second, counts)
    middle = (counts.shape[1] + 1) / 2  # ranks have this mean, however many are equal: as many are drawn as there are
    x -= middle
    y -= middle
    covariance, of_x, of_y = ((counts * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    spread = np.sqrt(of_x * of_y)
    np.divide(covariance, spread, out=rho, where=spread > 0)
    clipped: NDArray[np.float64] = np.clip(rho, -1, 1)
    return clipped


def _ranks(
    groups: Int64[np.ndarray, " n"], counts: Float64[np.ndarray, "resamples n"]
) -> Float64[np.ndarray, "resamples n"]:
    """The rank of each pair in each resample, from 1; equal values share the mean of the ranks that they take up."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max(initial=0) + 1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)  # (R, groups)
    before = np.cumsum(sizes, axis=1) - sizes
    ranks: NDArray[np.float64] = (before + (sizes + 1) / 2)[:, groups]
    return ranks
