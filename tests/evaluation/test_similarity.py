"""Agreement with people on pairs: against scipy, plain loops and sets worked by hand; and what is not covered is told."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from malmoi.errors import DataError
from malmoi.evaluation import similarity as module
from malmoi.evaluation.similarity import evaluate_similarity, spearman
from malmoi.evaluation.vector_sets import SimilaritySet
from malmoi.vectors import Vectors


def vectors_of(n_words: int = 12, n_dim: int = 5, **options: Any) -> Vectors:
    matrix = np.random.default_rng(9).standard_normal((n_words, n_dim)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(n_words)], matrix, **options)


def pairs_of(words: list[tuple[str, str]], scores: list[float]) -> SimilaritySet:
    return SimilaritySet("pairs", words, np.array(scores, np.float64))


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=40))
@settings(max_examples=150, deadline=None)
def test_spearman_with_ties_agrees_with_scipy(values: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, np.float64) for column in zip(*values, strict=True))
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(spearman(first, second))
    else:
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


def test_resampled_correlations_are_those_of_the_drawn_pairs() -> None:
    generator = np.random.default_rng(4)
    first, second = generator.integers(0, 6, 23).astype(np.float64), generator.integers(0, 9, 23).astype(np.float64)
    counts = module.draw_counts(np.random.default_rng(8), 50, 23)
    found = module._correlations(module._groups(first), module._groups(second), counts)
    for row, rho in zip(counts.astype(int), found, strict=True):
        drawn = np.repeat(np.arange(23), row)
        assert len(drawn) == 23
        assert rho == pytest.approx(stats.spearmanr(first[drawn], second[drawn]).statistic, abs=1e-12)


def test_the_interval_is_that_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of()
    words = [(f"w{i}", f"w{j}") for i in range(6) for j in range(6, 11)]
    scores = np.random.default_rng(1).integers(0, 10, len(words)).astype(float).tolist()
    result = evaluate_similarity(vectors, pairs_of(words, scores), n_resamples=200, seed=3)
    cosines = np.array([vectors.cosine(*pair) for pair in words])
    generator, sampled = np.random.default_rng(3), []
    for _ in range(200):
        drawn = generator.integers(len(words), size=len(words))
        sampled.append(stats.spearmanr(cosines[drawn], np.array(scores)[drawn]).statistic)
    assert result.spearman == pytest.approx(stats.spearmanr(cosines, scores).statistic, abs=1e-12)
    assert (result.low, result.high) == pytest.approx(tuple(np.percentile(sampled, (2.5, 97.5))), abs=1e-12)
    assert result.low < result.spearman < result.high
    monkeypatch.setattr(module, "CHUNK", 100)
    again = evaluate_similarity(vectors, pairs_of(words, scores), n_resamples=200, seed=3)
    assert (again.low, again.high) == (result.low, result.high)


def test_what_is_not_covered_is_told() -> None:
    known = vectors_of()
    vectors = Vectors(known.words, known.matrix, unknown=lambda word: known["w3"] if word == "w3s" else None)
    words = [("w0", "w1"), ("W0", "w2"), ("w3s", "w4"), ("w1", "gone"), ("gone", "lost"), ("w5", "w6")]
    result = evaluate_similarity(vectors, pairs_of(words, [3, 1, 4, 1, 5, 9]), n_resamples=50)
    assert (result.n_pairs, result.n_covered, result.n_composed, result.n_lowered) == (6, 4, 1, 1)
    assert result.missing == ["gone", "lost"]
    assert result.coverage == pytest.approx(4 / 6)
    strict = evaluate_similarity(known, pairs_of(words, [3, 1, 4, 1, 5, 9]), lower=False, n_resamples=50)
    assert (strict.n_covered, strict.missing) == (2, ["W0", "w3s", "gone", "lost"])


def test_few_pairs_have_no_interval() -> None:
    words = [(f"w{i}", f"w{j}") for i in range(5) for j in range(5, 9)]
    scores = np.random.default_rng(2).integers(0, 10, len(words)).astype(float).tolist()
    enough = evaluate_similarity(vectors_of(), pairs_of(words, scores), n_resamples=50)
    few = evaluate_similarity(vectors_of(), pairs_of(words[:-1], scores[:-1]), n_resamples=50)
    assert enough.low < enough.spearman < enough.high
    assert np.isnan([few.low, few.high]).all()
    assert (enough.n_covered, few.n_covered) == (20, 19)


def test_words_of_several_parts_are_found_as_joined_phrases() -> None:
    vectors = Vectors(["new_york", "대한_민국", "city"], np.eye(3, dtype=np.float32))
    pairs = pairs_of(
        [("New York", "city"), ("대한  민국", "city"), ("new york", "new_york"), ("no city", "city")], [1, 2, 3, 4]
    )
    found = module.nearness(vectors, pairs)
    assert (found.covered.tolist(), found.cosines.tolist()) == ([0, 1, 2], [0, 0, 1])
    assert (found.n_lowered, found.missing) == (1, ["no city"])


@pytest.mark.parametrize(
    ("words", "scores", "message"),
    [
        (
            [("x", "y"), ("x", "w1")],
            [1, 2],
            "0 of the 2 pairs of pairs are covered; the first missing word is 'x'",
        ),
        ([("w0", "w1"), ("x", "w1")], [1, 2], "1 of the 2 pairs of pairs are covered"),
        (
            [("w0", "w1"), ("w2", "w1")],
            [2, 2],
            r"2 of the 2 pairs of pairs .*\(none\).*two or more that can be put in order",
        ),
    ],
)
def test_pairs_without_an_order_are_refused(words: Any, scores: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_similarity(vectors_of(), pairs_of(words, scores))
