"""How well a thesaurus agrees with people, next to vectors: the same sets, the same measure, and the pairs that both cover.

A pair is covered if both words have noun senses, or both have verb senses; others have no way between them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float64

from malmoi.evaluation.similarity import (
    RESAMPLES,
    Nearness,
    SimilarityResult,
    judged,
    nearness,
)
from malmoi.evaluation.vector_sets import SimilaritySet

if TYPE_CHECKING:
    from malmoi.thesaurus.concepts import Measure
    from malmoi.thesaurus.thesaurus import Thesaurus
    from malmoi.vectors import Vectors

COSINE = "cosine"
_judged = partial(judged, advice="Give a set of English nouns or verbs.")


class SetComparison(NamedTuple):
    """A thesaurus and vectors on one set; by measure, "cosine" for the vectors."""

    own: dict[str, SimilarityResult]  # each over the pairs that it covers
    common: dict[str, SimilarityResult]  # over the pairs that both cover; empty without vectors


def evaluate_thesaurus(
    thesaurus: "Thesaurus",
    similarity: SimilaritySet,
    measure: "Measure" = "path",
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SimilarityResult:
    """Spearman's rho between a measure and what people said, with its 95 % interval (bootstrap over pairs).

    Raises:
        DataError: If so few pairs are covered, or so alike, that they have no order.
    """
    found = thesaurus_nearness(thesaurus, similarity, measure)
    return _judged(similarity, found, n_resamples=n_resamples, seed=seed)


def compare_on_set(
    thesaurus: "Thesaurus",
    similarity: SimilaritySet,
    measures: "Sequence[Measure]",
    vectors: "Vectors | None" = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SetComparison:
    """Every measure on one set, and the cosine of vectors beside them.

    Args:
        thesaurus: WordNet.
        similarity: The set.
        measures: Which; at least one.
        vectors: What to set beside it.
        progress: Told how many similarities were measured, and of how many: pairs times measures.
        n_resamples: For the intervals.
        seed: Of the resamples.

    Raises:
        DataError: If the thesaurus, the vectors, or both together cover too few pairs.
    """
    found: dict[str, Nearness] = {}
    for i, measure in enumerate(measures):
        begun, steps = i * len(similarity), len(measures) * len(similarity)
        report = None if progress is None else partial(_report, progress, begun, steps)
        found[measure] = thesaurus_nearness(thesaurus, similarity, measure, report)
    if vectors is not None:
        found[COSINE] = nearness(vectors, similarity)
    own = {name: _judged(similarity, near, n_resamples=n_resamples, seed=seed) for name, near in found.items()}
    if vectors is None:
        return SetComparison(own, {})
    both = np.intersect1d(found[measures[0]].covered, found[COSINE].covered)
    common = {
        name: _judged(similarity, _only(near, both), n_resamples=n_resamples, seed=seed) for name, near in found.items()
    }
    return SetComparison(own, common)


def thesaurus_nearness(
    thesaurus: "Thesaurus",
    similarity: SimilaritySet,
    measure: "Measure",
    progress: Callable[[int], None] | None = None,
) -> Nearness:
    """The similarity of each pair that is covered, as `evaluation.similarity.nearness` has it for vectors."""
    missing = dict.fromkeys(word for pair in similarity.pairs for word in pair if word not in thesaurus)
    covered, values = list[int](), list[float]()
    for i, (first, second) in enumerate(similarity.pairs):
        if first not in missing and second not in missing:
            value = thesaurus.similarity(first, second, measure)
            if value is not None:
                covered.append(i)
                values.append(value)
        if progress is not None:
            progress(i + 1)
    return Nearness(np.array(covered, np.int64), np.array(values, np.float64), 0, 0, list(missing))


def _report(progress: Callable[[int, int], None], begun: int, steps: int, done: int) -> None:
    progress(begun + done, steps)


def _only(found: Nearness, pairs: np.ndarray) -> Nearness:
    values: Float64[np.ndarray, " pairs"] = found.cosines[np.isin(found.covered, pairs)]
    return found._replace(covered=pairs, cosines=values)
