"""A thesaurus is evaluated as vectors are, and beside them."""

import numpy as np
import pytest

from malmoi.errors import DataError
from malmoi.evaluation.similarity import evaluate_similarity, spearman
from malmoi.evaluation.vector_sets import SimilaritySet
from malmoi.thesaurus import Thesaurus, evaluate_thesaurus
from malmoi.thesaurus.evaluation import compare_on_set, thesaurus_nearness
from malmoi.vectors import Vectors

NOUNS = ["thing", "being", "animal", "pet", "dog", "bird", "sparrow", "tool", "hammer", "Rex"]
PAIRS = [(first, second) for i, first in enumerate(NOUNS) for second in NOUNS[i + 1 :]]


def make_set(pairs: list[tuple[str, str]]) -> SimilaritySet:
    return SimilaritySet("made up", pairs, np.random.default_rng(5).random(len(pairs)))


def test_rho_is_that_of_the_covered_pairs_and_the_interval_that_of_vectors(tiny: Thesaurus) -> None:
    people = make_set([*PAIRS, ("glad", "happy"), ("dog", "cat"), ("bird", "think")])
    for measure in ("path", "wup", "lin"):
        found = evaluate_thesaurus(tiny, people, measure)
        values = np.array([tiny.similarity(*pair, measure) for pair in PAIRS])
        assert found.spearman == pytest.approx(spearman(people.scores[: len(PAIRS)], values), abs=1e-12)
        assert (found.n_pairs, found.n_covered, found.missing) == (48, 45, ["cat"])
    # vectors whose cosines with the first word are these very similarities have this very interval
    pairs = [("thing", word) for word in NOUNS] * 3
    people = make_set(pairs)
    values = np.array([tiny.similarity("thing", word) for word in NOUNS])
    rows = np.stack([values, np.sqrt(1 - values**2)], axis=1)
    as_vectors = evaluate_similarity(Vectors(NOUNS, rows.astype(np.float32)), people, seed=3)
    found = evaluate_thesaurus(tiny, people, seed=3)
    assert (found.spearman, found.low, found.high) == pytest.approx(
        (as_vectors.spearman, as_vectors.low, as_vectors.high), abs=1e-9
    )


def test_vectors_stand_beside_on_the_pairs_that_both_cover(tiny: Thesaurus) -> None:
    people = make_set([*PAIRS, ("glad", "happy")])
    known = [word for word in NOUNS if word != "hammer"]
    vectors = Vectors([*known, "glad", "happy"], np.random.default_rng(1).normal(size=(11, 4)).astype(np.float32))
    told: list[tuple[int, int]] = []
    found = compare_on_set(tiny, people, ("path", "wup"), vectors, progress=lambda done, of: told.append((done, of)))
    assert {name: result.n_covered for name, result in found.own.items()} == {"path": 45, "wup": 45, "cosine": 37}
    assert {name: result.n_covered for name, result in found.common.items()} == {"path": 36, "wup": 36, "cosine": 36}
    both = [i for i, pair in enumerate(PAIRS) if "hammer" not in pair]
    cosines = np.array([vectors.cosine(*PAIRS[i]) for i in both])
    assert found.common["cosine"].spearman == pytest.approx(spearman(people.scores[both], cosines))
    assert told == [(done, 92) for done in range(1, 93)]  # two measures
    assert compare_on_set(tiny, people, ("path",)).common == {}


def test_no_covered_pair_is_one_message(tiny: Thesaurus) -> None:
    people = make_set([("glad", "happy"), ("개", "새")])
    with pytest.raises(DataError, match="0 of the 2 pairs of made up are covered; the first missing word is '개'"):
        evaluate_thesaurus(tiny, people)
    assert thesaurus_nearness(tiny, people, "path").covered.tolist() == []
