"""Analogies: against asking one by one, and intervals against plain loops; what is not covered is told."""

from typing import Any

import numpy as np
import pytest

from malmoi.errors import DataError
from malmoi.evaluation import analogies as module
from malmoi.evaluation.analogies import Questions, accuracy_interval, evaluate_analogies, resampled_accuracies
from malmoi.evaluation.vector_sets import AnalogySet
from malmoi.vectors import Vectors


def vectors_of(n_words: int = 12, n_dim: int = 5) -> Vectors:
    matrix = np.random.default_rng(9).standard_normal((n_words, n_dim)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(n_words)], matrix)


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
@pytest.mark.parametrize("held", [1, 1 << 22])
def test_analogies_agree_with_asking_one_by_one(method: Any, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", held)
    vectors, generator = vectors_of(15, 3), np.random.default_rng(6)
    categories: dict[str, list[Any]] = {"one": [], "two": []}
    for i in range(40):
        a, b, c = generator.choice(15, 3, replace=False)
        best = vectors.analogy([f"w{b}", f"w{c}"], [f"w{a}"], 1, method=method)[0].word
        answer = best if i % 3 else f"w{a}"
        categories["one" if i < 25 else "two"].append((f"w{a}", f"W{b}", f"w{c}", answer))
    categories["two"].append(("w1", "w2", "w3", "gone"))
    categories["three"] = [("gone", "w2", "lost", "w4")]
    report = evaluate_analogies(vectors, AnalogySet("all", categories), method=method, n_resamples=500)
    counts = [(result.name, result.n_questions, result.n_covered, result.n_right) for result in report.categories]
    assert counts == [("one", 25, 25, 16), ("two", 16, 15, 10), ("three", 1, 0, 0)]
    total = report.total
    assert (total.name, total.n_questions, total.n_covered, total.n_right) == ("all", 42, 40, 26)
    assert (total.accuracy, total.accuracy_of_all, total.coverage) == (26 / 40, 26 / 42, 40 / 42)
    assert total.low < total.accuracy < total.high
    assert np.isnan(report.categories[2].accuracy)
    assert report.missing == ["gone", "lost"]


def crossed(n_pairs: int, category: str = "c") -> list[Any]:
    """Every word pair of a category with every other, as the published sets have them."""
    pairs = [(f"{category}{i}", f"{category}{i}s") for i in range(n_pairs)]
    return [(*first, *second) for first in pairs for second in pairs if first != second]


def test_resampled_accuracies_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    analogies = AnalogySet("set", {"one": crossed(5), "two": crossed(3, "d"), "three": crossed(4, "e")})
    kept = np.array([0, 1, 4, 6, 7, 9, 13, 19, *range(26, 38)])  # nothing of "two"
    questions = Questions.of(analogies).only(kept)
    asked = [q for category in analogies.categories.values() for q in category]
    right = np.random.default_rng(5).random((2, len(kept))) < 0.4
    pairs: dict[int, list[Any]] = {}  # of each category, in the order in which the set has them
    for place, category in enumerate(analogies.categories.values()):
        here = {pair for i in kept for pair in (asked[i][:2], asked[i][2:]) if asked[i] in category}
        listed = dict.fromkeys(pair for question in category for pair in (question[:2], question[2:]))
        if here:
            pairs[place] = [pair for pair in listed if pair in here]
    expected = np.full((2, 30), np.nan)
    generators = {place: np.random.default_rng([3, place]) for place in pairs}
    for resample in range(30):
        times: dict[Any, int] = {}
        for place, generator in generators.items():
            drawn = generator.integers(len(pairs[place]), size=len(pairs[place]))
            times |= {pair: int((drawn == i).sum()) for i, pair in enumerate(pairs[place])}
        weights = np.array([times[asked[i][:2]] * times[asked[i][2:]] for i in kept])
        expected[:, resample] = right @ weights / weights.sum()
    for held in (1 << 22, 25):
        monkeypatch.setattr(module, "CHUNK", held)
        sampled = resampled_accuracies(questions, list(right), 30, 3)
        np.testing.assert_allclose(sampled.total(), expected, rtol=1e-12)
        assert np.isnan(sampled.of_category(1)).all()


def test_an_interval_knows_that_questions_share_word_pairs() -> None:
    questions = Questions.of(AnalogySet("set", {"c": crossed(40)}))
    right = questions.second % 4 == 0  # it hangs on the second pair alone: 40 independent answers, not 1,560
    sampled = resampled_accuracies(questions, [right], 4000, 1).total()[0]
    assert sampled.std() == pytest.approx(np.sqrt(0.25 * 0.75 / 40), rel=0.1)


def test_none_or_all_right_has_the_exact_interval() -> None:
    questions = Questions.of(AnalogySet("set", {"c": crossed(6)}))
    nothing, sampled = np.zeros(30, np.bool_), np.zeros(100)
    edge = 1 - 0.025 ** (1 / 6)  # six word pairs
    assert accuracy_interval(questions, nothing, sampled) == pytest.approx((0, edge))
    assert accuracy_interval(questions, ~nothing, sampled + 1) == pytest.approx((1 - edge, 1))
    few = Questions.of(AnalogySet("set", {"c": crossed(6)[:19]}))
    assert np.isnan(accuracy_interval(few, nothing[:19], sampled)).all()


def test_analogies_without_a_covered_question_are_refused() -> None:
    with pytest.raises(DataError, match="0 of the 1 questions of all are covered .* the first missing word is 'x'"):
        evaluate_analogies(vectors_of(), AnalogySet("all", {"": [("w0", "w1", "w2", "x")]}))
