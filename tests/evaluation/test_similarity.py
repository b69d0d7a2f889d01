"""Agreement with people: against scipy, plain loops and sets worked by hand; and what is not covered is told."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from malmoi.errors import DataError
from malmoi.evaluation import similarity as module
from malmoi.evaluation.similarity import (
    AnalogySet,
    SimilaritySet,
    evaluate_analogies,
    evaluate_similarity,
    read_analogy_set,
    read_similarity_set,
    spearman,
)
from malmoi.vectors import Vectors

DATA = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "wordsim"


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
    counts = module._counts(np.random.default_rng(8), 50, 23)
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


@pytest.mark.parametrize(
    ("words", "scores", "message"),
    [
        (
            [("x", "y"), ("x", "w1")],
            [1, 2],
            "0 of the 2 pairs of pairs are covered by the vectors; the first missing word is 'x'",
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


def test_an_interval_of_accuracies_is_that_of_resampled_questions() -> None:
    right = np.arange(200) % 4 == 0
    result = module._result("name", 300, right, np.random.default_rng(0), 4000)
    sampled = right[np.random.default_rng(1).integers(200, size=(4000, 200))].mean(axis=1)
    assert (result.low, result.high) == pytest.approx(tuple(np.percentile(sampled, (2.5, 97.5))), abs=0.011)


def test_analogies_without_a_covered_question_are_refused() -> None:
    with pytest.raises(DataError, match="0 of the 1 questions of all are covered .* the first missing word is 'x'"):
        evaluate_analogies(vectors_of(), AnalogySet("all", {"": [("w0", "w1", "w2", "x")]}))


# Files


@pytest.mark.parametrize(
    "text",
    [
        "사랑\t미움\t1.5\nb\tc d\t2\n",
        "\ufeffword 1,word 2,score\r\n사랑,미움,1.5\r\n\r\nb,c d,2",
        '사랑,"미움",1.5\nb,"c d",2\n',
        "one\ttwo\tscore\n사랑 \t 미움\t1.50\nb\tc d\t2e0\n",
    ],
)
def test_pairs_are_read_in_the_forms_in_use(tmp_path: Path, text: str) -> None:
    (tmp_path / "name.csv").write_bytes(text.encode())
    found = read_similarity_set(tmp_path / "name.csv")
    assert found.name == "name"
    assert found.pairs == [("사랑", "미움"), ("b", "c d")]
    assert found.scores.tolist() == [1.5, 2]


def test_analogies_are_read_by_category(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_bytes(
        "\ufeff: 수도\n서울 한국 도쿄 일본\r\n\n: family\na b c d\na c b d\n: 수도\ne f g h\n".encode()
    )
    found = read_analogy_set(tmp_path / "q.txt")
    assert {name: len(questions) for name, questions in found.categories.items()} == {"수도": 2, "family": 2}
    assert found.categories["수도"][0] == ("서울", "한국", "도쿄", "일본")


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (read_similarity_set, b"a b 1\nc d\n", ":2: found 'c d'. Expected two words and a finite number"),
        (read_similarity_set, b"a b 1\nc d e\n", ":2: found 'c d e'"),
        (read_similarity_set, b"a b nan\n", "holds no pair"),
        (read_similarity_set, b"a b 1\na b inf\n", ":2: found 'a b inf'"),
        (read_similarity_set, b"a,b,1\n,b,2\n", ":2: found ',b,2'"),
        (read_similarity_set, b"a,b,1\n" + b"x," + b"y" * 200_000, ":2: found 'x,yyy"),
        (read_similarity_set, b"a b 1\n\xff b 2\n", ":2: a byte that is not UTF-8. Expected UTF-8"),
        (read_similarity_set, b"", "holds no pair. Expected lines"),
        (read_analogy_set, b": x\na b c\n", ":2: found 'a b c'. Expected four words, or ': name'"),
        (read_analogy_set, b": x\n", "holds no question. Expected lines of four words"),
    ],
)
def test_damaged_sets_are_refused(tmp_path: Path, reader: Any, content: bytes, message: str) -> None:
    (tmp_path / "set.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        reader(tmp_path / "set.txt")


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"There is no .*nowhere\. Expected a file of word pairs"):
        read_similarity_set(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        read_analogy_set(tmp_path)
    (tmp_path / "large").write_bytes(b"a b 1\n")
    monkeypatch.setattr(module, "LARGEST_SET", 3)
    with pytest.raises(DataError, match=r"has 6 bytes\. Expected at most 3"):
        read_similarity_set(tmp_path / "large")


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_set_or_one_message(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-set"
    path.write_bytes(data)
    for reader in (read_similarity_set, read_analogy_set):
        message = "Expected"
        try:
            reader(path)
        except DataError as error:
            message = str(error)
        assert "Expected" in message


@pytest.mark.shared_data
def test_every_published_set_is_read_whole() -> None:
    sizes = {
        path.stem: len(read_similarity_set(path).pairs) for path in [*DATA.glob("EN-*.txt"), *DATA.glob("KO-*.csv")]
    }
    assert sizes == {
        "EN-MC-30": 30,
        "EN-MEN-TR-3k": 3000,
        "EN-MTurk-287": 287,
        "EN-RG-65": 65,
        "EN-RW-STANFORD": 2034,
        "EN-SIMLEX-999": 999,
        "EN-VERB-143": 144,
        "EN-WS-353-ALL": 353,
        "EN-WS-353-REL": 252,
        "EN-WS-353-SIM": 203,
        "EN-YP-130": 130,
        "KO-WS353_korean": 353,
    }
    questions = {
        name: [len(questions) for questions in read_analogy_set(DATA / name).categories.values()]
        for name in ("questions-words.txt", "questions-phrases.txt", "KO-word_analogy_korean.txt")
    }
    assert [(len(counts), sum(counts)) for counts in questions.values()] == [(14, 19544), (5, 3218), (10, 10000)]
