"""Models side by side: differences are those of plain loops over what all cover, and verdicts say no more than they may."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from malmoi.cli.console import emit
from malmoi.errors import ConfigError, DataError
from malmoi.evaluation import evaluate_sets
from malmoi.evaluation.analogies import evaluate_analogies
from malmoi.evaluation.similarity import evaluate_similarity
from malmoi.evaluation.vector_comparison import VectorComparison, VectorDifference
from malmoi.evaluation.vector_sets import AnalogySet, SimilaritySet
from malmoi.vectors import Vectors

N = 60
GENERATOR = np.random.default_rng(7)
ANGLES = GENERATOR.uniform(0, np.pi, N)  # between the words of a pair
PEOPLE = SimilaritySet("people", [(f"a{i}", f"b{i}") for i in range(N)], np.round(10 * np.cos(ANGLES) + 10, 1))


def pairs_at(angles: np.ndarray, skip: range = range(0), **options: Any) -> Vectors:
    """Vectors whose pair i stands at an angle; some b are left out."""
    words, rows = [], []
    for i, angle in enumerate(angles):
        words.append(f"a{i}")
        rows.append((1.0, 0.0))
        if i not in skip:
            words.append(f"b{i}")
            rows.append((np.cos(angle), np.sin(angle)))
    return Vectors(words, np.array(rows, np.float32), **options)


def noisy(noise: float, seed: int = 0, **options: Any) -> Vectors:
    return pairs_at(ANGLES + np.random.default_rng(seed).normal(0, noise, N), **options)


def rho(vectors: Vectors, kept: np.ndarray) -> float:
    cosines = [vectors.cosine(*PEOPLE.pairs[i]) for i in kept]
    return float(stats.spearmanr(cosines, PEOPLE.scores[kept]).statistic)


def test_differences_are_those_of_a_plain_loop_over_what_all_cover() -> None:
    models = {"first": noisy(0.6, skip=range(3, 8)), "good": noisy(0.1, 1, skip=range(6, 13)), "bad": noisy(1.5, 2)}
    found = evaluate_sets(models, [PEOPLE], n_resamples=80, seed=4).sets[0]
    common = np.array([*range(3), *range(13, N)])
    assert found.n_common == len(common) == 50
    assert [score.n_covered for score in found.scores] == [55, 53, 60]
    for score, (name, vectors) in zip(found.scores, models.items(), strict=True):
        alone = evaluate_similarity(vectors, PEOPLE, n_resamples=80, seed=4)
        assert (score.model, score.value, score.low, score.high) == (name, alone.spearman, alone.low, alone.high)
        assert found.missing[name] == tuple(alone.missing)
    generator, sampled = np.random.default_rng(4), {name: list[float]() for name in models}
    cosines = {name: np.array([vectors.cosine(*PEOPLE.pairs[i]) for i in common]) for name, vectors in models.items()}
    for _ in range(80):
        drawn = generator.integers(50, size=50)
        for name in models:
            agreement = stats.spearmanr(cosines[name][drawn], PEOPLE.scores[common][drawn])
            sampled[name].append(float(agreement.statistic))
    assert [difference.model for difference in found.differences] == ["good", "bad"]
    for difference in found.differences:
        name = difference.model
        assert difference.value == pytest.approx(rho(models[name], common) - rho(models["first"], common), abs=1e-12)
        low, high = np.percentile(np.subtract(sampled[name], sampled["first"]), (2.5, 97.5))
        assert (difference.low, difference.high) == pytest.approx((low, high), abs=1e-12)
    assert [difference.verdict for difference in found.differences] == ["above", "below"]


def test_equal_models_are_not_told_apart() -> None:
    found = evaluate_sets({"one": noisy(0.5, 1), "two": noisy(0.5, 2)}, [PEOPLE], n_resamples=200)
    assert found.sets[0].differences[0].verdict == "not told apart"
    same = evaluate_sets({"one": noisy(0.5), "two": noisy(0.5)}, [PEOPLE], n_resamples=50).sets[0].differences[0]
    assert (same.value, same.low, same.high, same.verdict) == (0, 0, 0, "not told apart")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "above"),
        (-0.2, -0.01, "below"),
        (0.0, 0.2, "not told apart"),
        (-0.2, 0.0, "not told apart"),
        (float("nan"), float("nan"), "cannot say"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low: float, high: float, verdict: str) -> None:
    assert VectorDifference("m", 0.1, low, high).verdict == verdict


def test_of_few_pairs_nothing_is_said() -> None:
    few = SimilaritySet("few", PEOPLE.pairs[:19], PEOPLE.scores[:19])
    found = evaluate_sets({"first": noisy(0.0), "worse": noisy(9.0, 3)}, [few], n_resamples=20).sets[0]
    assert found.n_common == 19
    assert found.scores[0].value > 0.99
    assert np.isnan([found.scores[0].low, found.differences[0].low]).all()
    assert found.differences[0].value < 0
    assert found.differences[0].verdict == "cannot say"


def test_a_model_of_another_language_does_not_spoil_the_others() -> None:
    other = Vectors(["a0", "b0", "말"], np.array([[1, 0], [1, 1], [0, 1]], np.float32))
    models = {
        "first": noisy(0.5),
        "other": other,
        "none": Vectors(["말"], np.ones((1, 2), np.float32)),
        "good": noisy(0.0),
    }
    found = evaluate_sets(models, [PEOPLE], n_resamples=50).sets[0]
    assert found.n_common == N
    assert [score.n_covered for score in found.scores] == [N, 1, 0, N]
    assert np.isnan([found.scores[1].value, found.scores[2].value]).all()
    assert [(row.model, row.verdict) for row in found.differences] == [("other", "cannot say"), ("good", "above")]
    assert found.difference("none") is None
    turned = evaluate_sets({"none": models["none"], "first": models["first"]}, [PEOPLE], n_resamples=50).sets[0]
    assert turned.differences == ()
    assert turned.is_covered


def test_vectors_without_nearness_have_no_order() -> None:
    words = sorted({word for pair in PEOPLE.pairs for word in pair})
    found = evaluate_sets({"first": noisy(0.5), "one-hot": Vectors.one_hot(words)}, [PEOPLE], n_resamples=50).sets[0]
    assert found.scores[1].n_covered == N
    assert np.isnan([found.scores[1].value, found.scores[1].low]).all()
    assert found.differences[0].verdict == "cannot say"


def test_pairs_through_subwords_are_counted() -> None:
    def composed(word: str) -> Any:
        return np.array([1, 2], np.float32) if word.startswith("b") else None

    vectors = noisy(0.3, skip=range(10), unknown=composed)
    upper = SimilaritySet("upper", [("A1", "b1"), *PEOPLE.pairs[2:40]], PEOPLE.scores[1:40])
    score = evaluate_sets({"m": vectors}, [upper], n_resamples=20).sets[0].scores[0]
    assert (score.n_covered, score.n_composed, score.n_lowered) == (39, 9, 1)
    strict = evaluate_sets({"m": vectors}, [upper], n_resamples=20, lower=False).sets[0].scores[0]
    assert (strict.n_covered, strict.n_lowered) == (38, 0)


def test_subwords_are_not_used_for_another_language() -> None:
    vectors = noisy(0.3, unknown=lambda word: np.array([len(word), 2], np.float32))
    words = [f"말{'글' * i}" for i in range(39)]
    foreign = [(words[i], words[i + 1]) for i in range(38)]
    numbers = np.arange(40.0)
    other = SimilaritySet("other", [*foreign, ("a0", "말"), ("a0", "글")], numbers)  # 1 of 41 words is known
    own = SimilaritySet(
        "own", [*foreign[:-2], ("b1", "b2"), ("a0", "b0"), ("a0", "글"), ("a1", "글")], numbers
    )  # 6 of 44
    found = evaluate_sets({"m": vectors}, [other, own], n_resamples=20)
    counts = [(one.scores[0].n_covered, one.scores[0].n_composed) for one in found.sets]
    assert counts == [(0, 0), (40, 38)]


# Analogies


def questions_of(n_pairs: int) -> list[Any]:
    pairs = [(f"a{i}", f"b{i}") for i in range(n_pairs)]
    return [(*first, *second) for first in pairs for second in pairs if first != second]


ANALOGIES = AnalogySet(
    "analogies",
    {"one": questions_of(7), "two": [(b, a, d, c) for a, b, c, d in questions_of(6)], "none": [("x", "y", "z", "w")]},
)


def shifted(noise: float, seed: int, n_words: int = 12) -> Vectors:
    """b is a plus the same step, and some noise."""
    generator = np.random.default_rng(seed)
    first = generator.standard_normal((n_words, 6))
    second = first + np.array([3, 0, 0, 0, 0, 0]) + noise * generator.standard_normal((n_words, 6))
    words = [f"{letter}{i}" for i in range(n_words) for letter in "ab"]
    return Vectors(words, np.stack([first, second], 1).reshape(-1, 6).astype(np.float32))


def test_analogies_side_by_side_agree_with_each_alone() -> None:
    models = {"first": shifted(1.2, 1), "good": shifted(0.1, 2), "short": shifted(0.1, 3, 6)}
    found = evaluate_sets(models, [PEOPLE, ANALOGIES], n_resamples=60, seed=2)
    outcome = found.sets[1]
    assert (outcome.kind, outcome.n, outcome.n_common) == ("analogies", 73, 60)
    for place, (name, vectors) in enumerate(models.items()):
        alone = evaluate_analogies(vectors, ANALOGIES, n_resamples=60, seed=2)
        rows = [(outcome.scores[place], alone.total)]
        rows += [
            (category.scores[place], result)
            for category, result in zip(outcome.categories, alone.categories, strict=True)
        ]
        for score, result in rows:
            assert (score.model, score.n_covered) == (name, result.n_covered)
            np.testing.assert_equal((score.value, score.low, score.high), (result.accuracy, result.low, result.high))
    assert [category.n for category in outcome.categories] == [42, 30, 1]
    good = outcome.difference("good")
    assert good is not None
    six = AnalogySet("six", {"one": questions_of(6), "two": ANALOGIES.categories["two"]})
    accuracies = [evaluate_analogies(models[name], six, n_resamples=5).total.accuracy for name in ("good", "first")]
    assert good.value == pytest.approx(accuracies[0] - accuracies[1])
    assert (good.low <= good.value <= good.high, good.verdict) == (True, "above")


def test_the_first_words_alone_are_asked_analogies() -> None:
    vectors = shifted(0.1, 1)
    found = evaluate_sets({"m": vectors}, [PEOPLE, ANALOGIES], first=8, n_resamples=20)
    assert [one.scores[0].n_covered for one in found.sets] == [12, 24]  # a0 b0 ... a3 b3: 4 x 3 questions, twice
    assert found.first == 8


def test_the_method_is_passed_on() -> None:
    vectors = shifted(1.0, 5)
    for method in ("3cosadd", "3cosmul"):
        found = evaluate_sets({"m": vectors}, [ANALOGIES], method=method, n_resamples=20)  # type: ignore[arg-type]
        alone = evaluate_analogies(vectors, ANALOGIES, method=method, n_resamples=20)  # type: ignore[arg-type]
        assert (found.method, found.sets[0].scores[0].value) == (method, alone.total.accuracy)


# All of it


def test_the_comparison_becomes_json(capsys: pytest.CaptureFixture[str]) -> None:
    models = {"first": noisy(0.5), "good": noisy(0.0), "말": Vectors(["말"], np.ones((1, 2), np.float32))}
    told: list[Any] = []
    found = evaluate_sets(
        models,
        [PEOPLE, ANALOGIES],
        n_resamples=50,
        settings={"first": {"dim": 2}},
        progress=lambda *values: told.append(values),
    )
    assert isinstance(found, VectorComparison)
    emit(found.to_dict())
    read = json.loads(capsys.readouterr().out)
    assert read["models"] == ["first", "good", "말"]
    people, analogies = read["sets"]
    assert people["scores"][2] == {
        "model": "말", "value": None, "low": None, "high": None, "n_covered": 0, "n_composed": 0, "n_lowered": 0,
    }  # fmt: skip
    assert people["differences"][0]["verdict"] == "above"
    assert [len(people["missing"][name]) for name in models] == [0, 0, 2 * N]
    assert analogies["categories"][0]["name"] == "one"
    assert read["settings"] == {"first": {"dim": 2}}
    assert read["tally"]["good"] == found.tally("good")
    assert sum(read["tally"]["good"].values()) == 2
    assert [(name, one, done) for name, one, done, _ in told] == [
        ("first", "people", 0), ("good", "people", 1), ("말", "people", 2),
        ("first", "analogies", 3), ("good", "analogies", 4), ("말", "analogies", 5),
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_intervals() -> None:
    models = {"first": noisy(0.5), "second": noisy(0.8, 1)}
    runs = [evaluate_sets(models, [PEOPLE], n_resamples=50, seed=seed).sets[0].differences for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_set_without_a_covered_pair_is_shown_and_no_error() -> None:
    others = [
        SimilaritySet("ko", [("사랑", "미움")], np.ones(1)),
        AnalogySet("questions", {"": [("x", "y", "z", "w")]}),
    ]
    found = evaluate_sets({"m": noisy(0.1)}, [*others, PEOPLE], n_resamples=20)
    assert [one.is_covered for one in found.sets] == [False, False, True]
    assert [one.scores[0].n_covered for one in found.sets] == [0, 0, N]
    assert found.covered == (found.sets[2],)
    with pytest.raises(
        DataError,
        match="No pair and no analogy .* 0 of 1 in ko, 0 of 1 in questions; the first missing word is '사랑'.*--sets",
    ):
        evaluate_sets({"m": noisy(0.1)}, others)
    with pytest.raises(DataError, match="0 of 1 in ko, 0 of 1 in ko and 2 sets more;"):
        evaluate_sets({"m": noisy(0.1)}, [others[0]] * 5)


@pytest.mark.parametrize("options", [{"models": {}}, {"first": 0}, {"n_resamples": 0}])
def test_what_cannot_be_asked_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected one model or more, and numbers of 1 or more"):
        evaluate_sets(**{"models": {"m": noisy(0.1)}, "sets": [PEOPLE], **options})
