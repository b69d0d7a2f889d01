"""Word vectors: every answer against plain loops in float64, and one message for everything that does not fit."""

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from malmoi.errors import ConfigError, DataError, MalmoiError, RunError
from malmoi.vectors import Vectors, dense, loops
from malmoi.vectors.expressions import signed_words
from malmoi.vectors.search import highest

WORDS = ["왕", "여왕", "남자", "여자", "king", "queen", "man", "woman", "bread", "C++", "New York"]


def vectors_of(n_dim: int = 7, kind: str = "float32", words: list[str] = WORDS) -> Vectors:
    matrix = np.random.default_rng(5).standard_normal((len(words), n_dim)).astype(np.float32)
    return Vectors(words, matrix) if kind == "float32" else Vectors(words, matrix).quantised(kind).vectors  # type: ignore[arg-type]


def cosine(first: NDArray[Any], second: NDArray[Any]) -> float:
    dot = sum(float(a) * float(b) for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(float(a) ** 2 for a in first) * sum(float(b) ** 2 for b in second))


def ranked(scores: dict[str, float], without: list[str]) -> list[str]:
    return sorted((word for word in scores if word not in without), key=lambda word: -scores[word])


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_the_nearest_words_are_those_of_a_plain_loop(kind: str) -> None:
    vectors = vectors_of(kind=kind)
    for word in WORDS:
        cosines = {other: cosine(vectors[word], vectors[other]) for other in WORDS}
        found = vectors.similar(word, 4, exclude=["bread", "missing"])
        assert [near.word for near in found] == ranked(cosines, [word, "bread"])[:4]
        assert [near.cosine for near in found] == pytest.approx([cosines[near.word] for near in found], abs=1e-6)
        assert vectors.cosine(word, "queen") == pytest.approx(cosines["queen"], abs=1e-6)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_many_queries_at_once_agree_with_one_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of(13, kind, [f"w{i}" for i in range(101)])
    queries = np.random.default_rng(1).standard_normal((5, 13)).astype(np.float32)
    together = vectors.cosines(queries)
    alone = np.stack([vectors.cosines(query[None])[0] for query in queries])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    monkeypatch.setattr(dense, "BLOCK", 100)  # seven rows at a time
    np.testing.assert_allclose(vectors.cosines(queries), together, atol=1e-6)
    monkeypatch.setattr(dense, "SMALL", 100)  # compiled loops and threads
    answers = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(dense, "cores", lambda n_threads=n_threads: n_threads)
        answers.append(np.stack([vectors.cosines(query[None])[0] for query in queries]))
        np.testing.assert_allclose(answers[-1], together, atol=1e-6)
        np.testing.assert_array_equal(answers[-1], answers[0])


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=3000), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_the_highest_scores_are_those_of_a_stable_sort(values: list[int], k: int) -> None:
    scores = np.array(values, np.float32)
    assert highest(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


def test_the_highest_of_many_scores_are_those_of_a_sort() -> None:
    scores = np.random.default_rng(2).standard_normal(100_003).astype(np.float32)
    assert highest(scores, 17).tolist() == np.argsort(-scores, kind="stable")[:17].tolist()


def test_analogies_by_addition_and_multiplication_agree_with_the_formulas() -> None:
    vectors = vectors_of()
    a, b, c = "남자", "왕", "여자"
    units = {word: vectors[word] / np.linalg.norm(vectors[word]) for word in WORDS}
    target = units[b] - units[a] + units[c]
    added = {word: cosine(target, units[word]) for word in WORDS}
    found = vectors.analogy([b, c], [a], 3)
    assert [near.word for near in found] == ranked(added, [a, b, c])[:3]
    assert [near.cosine for near in found] == pytest.approx([added[near.word] for near in found], abs=1e-6)

    def similarity(word: str, other: str) -> float:
        return (1 + cosine(units[word], units[other])) / 2

    multiplied = {word: similarity(word, b) * similarity(word, c) / (similarity(word, a) + 0.001) for word in WORDS}
    found = vectors.analogy([b, c], [a], 3, method="3cosmul")
    assert [near.word for near in found] == ranked(multiplied, [a, b, c])[:3]
    assert [near.cosine for near in found] == pytest.approx([multiplied[near.word] for near in found], rel=1e-5)


def test_an_analogy_worked_by_hand() -> None:
    matrix = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0.1, 0]], np.float32)
    vectors = Vectors(["왕", "여왕", "남자", "여자", "빵"], matrix)
    for answer in (
        vectors.analogy(["왕", "여자"], ["남자"]),
        vectors.analogy(["왕", "여자"], ["남자"], method="3cosmul"),
        vectors.evaluate("왕 - 남자 + 여자"),
        vectors.evaluate("왕 − 남자 + 여자"),
    ):
        assert answer[0].word == "여왕"
        assert {near.word for near in answer} == {"여왕", "빵"}
    assert vectors.odd_one_out(["왕", "여왕", "남자", "빵"]) == "빵"
    np.testing.assert_allclose(vectors.centroid(["남자", "빵"]), [0.5, 0.5, 0])
    assert vectors.cosine("남자", "빵") == 0


def test_expressions_follow_the_rules_of_arithmetic() -> None:
    vectors = vectors_of()

    def unit(word: str) -> NDArray[np.float64]:
        return vectors[word].astype(np.float64) / np.linalg.norm(vectors[word].astype(np.float64))

    king, man, woman = unit("king"), unit("man"), unit("woman")
    cases = {
        "king": king,
        " king - man + woman ": king - man + woman,
        "king - (man + woman)": king - man - woman,
        "- king + 2 * man": 2 * man - king,
        "0.5 * (king + man) / 4": (king + man) / 8,
        "((king))": king,
        "2 * 3 * king": 6 * king,
        "\"C++\" - 'New York'": unit("C++") - unit("New York"),
        'C++ - ("New York" - king)': unit("C++") - unit("New York") + king,
        "- - king": king,
    }
    for expression, expected in cases.items():
        value, _ = vectors.value(expression)
        np.testing.assert_allclose(value, expected, atol=1e-6, err_msg=expression)
    assert vectors.value("king - (man + king)")[1] == ["king", "man", "king"]
    numbers = vectors_of(words=["2001", "2002", "*"])
    np.testing.assert_allclose(numbers.value("2002 - 2001")[0], numbers.unit("2002") - numbers.unit("2001"))
    np.testing.assert_allclose(numbers.value('"*"')[0], numbers.unit("*"))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "found 'the end' where a word should stand"),
        ("king -", "found 'the end' where a word should stand"),
        ("king man", "found 'man' after the end"),
        ("(king - man", "found 'the end' where a bracket should be closed"),
        ("king )", r"found '\)' after the end"),
        ("king * man", "words are multiplied by numbers only"),
        ("2 / king", "words are divided by numbers only"),
        ("king / 0", "a division by 0"),
        ("2 * 3 + king", "a number cannot be added to a word"),
        ("2 * 3", "there is no word in it"),
        ("(" * 60 + "king", "more than 50 brackets within brackets"),
        ("- " * 60 + "king", "more than 50 brackets within brackets"),
    ],
)
def test_expressions_that_are_none_are_refused(expression: str, problem: str) -> None:
    with pytest.raises(DataError, match=f"Cannot reckon .*{problem}.*Put white space around operators"):
        vectors_of().value(expression)


def test_operators_without_white_space_are_explained() -> None:
    with pytest.raises(DataError, match="no vector for 'king-man'.*put white space around operators"):
        vectors_of().evaluate("king-man")


def test_the_signs_of_an_expression_are_those_of_its_value() -> None:
    assert signed_words("king - man + woman") == (["king", "woman"], ["man"])
    assert signed_words("2 * king - (man - woman) - bread") == (["king", "king", "woman"], ["man", "bread"])
    assert signed_words("'New York' - - 왕") == (["New York", "왕"], [])
    for expression, told in [("king / 2 + man", "'king' counts 0.5 times"), ("king - king", "'king' counts 0 times")]:
        with pytest.raises(DataError, match=f"{told}.*Expected, for 3cosmul, words that are added or taken away"):
            signed_words(expression)
    with pytest.raises(DataError, match="'king' counts 99 times"):
        signed_words("99 * king")


def test_a_very_long_expression_is_refused() -> None:
    with pytest.raises(DataError, match="An expression of 20,000 characters. Expected at most 10,000"):
        vectors_of().evaluate("king " * 4000)


@given(st.text(alphabet="+-*/()'\" 2.kingC왕\u2212", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_expression_has_a_value_or_one_message(expression: str) -> None:
    try:
        value, words = vectors_of().value(expression)
    except DataError:
        return
    assert value.shape == (7,)
    assert words


def test_missing_words_are_told_with_near_spellings() -> None:
    vectors = vectors_of()
    with pytest.raises(DataError, match=r"no vector for 'quean'\. Did you mean queen\? Expected one of the 11 words"):
        vectors["quean"]
    with pytest.raises(DataError, match=r"no vector for 'KING'\. Did you mean king"):
        vectors.similar("KING")
    with pytest.raises(DataError, match=r"no vector for 'zzzz'\. Expected one of"):
        vectors.cosine("king", "zzzz")
    with pytest.raises(
        DataError, match=r"no vector for '여앙'\. Did you mean 여왕 or 여자\?"
    ):  # letters, not syllables
        vectors.similar("여앙")
    assert Vectors(["먹었다", "먹는다", "가다"], np.ones((3, 2))).near_spellings("먹엇다") == ["먹었다", "먹는다"]
    assert Vectors(["영화라", "영화는", "영화"], np.ones((3, 2))).near_spellings("영하")[0] == "영화"  # one letter
    assert Vectors(["Paris", "paris"], np.ones((2, 2))).near_spellings("PARIS") == ["Paris", "paris"]
    assert vectors.near_spellings("") == vectors.near_spellings("x" * 61) == []
    assert "여왕" in vectors
    assert "\u110b\u1167\u110b\u116a\u11bc" in vectors  # the same word, its letters apart
    assert "zzzz" not in vectors
    assert 3 not in vectors


def test_a_model_with_subwords_answers_for_unknown_words() -> None:
    known = vectors_of()
    vectors = Vectors(WORDS, known.matrix, unknown=lambda word: known["king"] * 2 if word == "kings" else None)
    assert vectors.similar("kings", 1)[0].word == "king"
    assert vectors.cosine("kings", "king") == pytest.approx(1)
    assert "kings" not in vectors
    with pytest.raises(DataError, match="no vector for 'qeen'"):
        vectors["qeen"]


@pytest.mark.parametrize(("kind", "limit"), [("float16", 5e-4), ("int8", 2e-2)])
def test_the_error_of_quantised_vectors_is_the_one_told(kind: Any, limit: float) -> None:
    vectors = vectors_of(29, words=[f"w{i}" for i in range(31)])
    small, error = vectors.quantised(kind)
    assert small.matrix.dtype == kind
    assert 0 < error < limit
    queries = np.concatenate([np.random.default_rng(3).standard_normal((50, 29)).astype(np.float32), vectors.matrix])
    differences = np.abs(small.cosines(queries) - vectors.cosines(queries))
    assert 0 < differences.max() <= error + 1e-6
    row = vectors["w3"].astype(np.float64) / np.linalg.norm(vectors["w3"].astype(np.float64))
    rounded = small["w3"].astype(np.float64) / np.linalg.norm(small["w3"].astype(np.float64))
    assert np.linalg.norm(row - rounded) <= error + 1e-9
    again, more = small.quantised(kind)
    assert more < 1e-3
    np.testing.assert_allclose(again["w3"], small["w3"], rtol=1e-3)


def test_no_number_is_too_large_or_too_small_to_be_quantised() -> None:
    matrix = np.array([[3e38, 1e38], [1e-38, 2e-38], [0, 0]], np.float32)
    vectors = Vectors(["large", "small", "zero"], matrix)
    for kind in ("float16", "int8"):
        small, error = vectors.quantised(kind)  # type: ignore[arg-type]
        assert error < 0.01
        np.testing.assert_allclose(small.rows(np.arange(3)), matrix, rtol=0.02)
    assert vectors.cosine("large", "zero") == 0
    assert [near.cosine for near in vectors.similar("zero")] == [0, 0]


def test_every_float16_is_read_as_numpy_reads_it() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = bits[np.isfinite(bits)][:, None]
    found = np.empty(len(halves), np.float32)
    loops.half_dots(halves.view(np.int16), np.array([loops.HALF_FACTOR], np.float32), found)
    np.testing.assert_array_equal(found, halves[:, 0].astype(np.float32))


def test_one_hot_vectors_have_no_neighbours() -> None:
    vectors = Vectors.one_hot(WORDS)
    rows = vectors.rows(np.arange(len(WORDS)))
    np.testing.assert_array_equal(rows @ rows.T, np.eye(len(WORDS)))
    assert {near.cosine for near in vectors.similar("king")} == {0.0}
    with pytest.raises(ConfigError, match="One-hot vectors of 10,001 words would take 100,020,001 bytes"):
        Vectors.one_hot([str(i) for i in range(10_001)])


def test_the_first_words_alone() -> None:
    few = vectors_of(kind="int8").first(3)
    assert few.words == WORDS[:3]
    assert {near.word for near in few.similar("왕", 10)} == {"여왕", "남자"}
    with pytest.raises(ConfigError, match="The first 0 words"):
        few.first(0)


@pytest.mark.parametrize(
    ("words", "matrix", "scales", "message"),
    [
        (["a"], np.ones((2, 3), np.float32), None, r"1 words and a matrix of shape \(2, 3\)"),
        ([], np.ones((0, 3), np.float32), None, r"0 words and a matrix of shape \(0, 3\)"),
        (["a"], np.ones(3, np.float32), None, r"1 words and a matrix of shape \(3,\)"),
        (["a"], np.ones((1, 3), np.int64), None, "A matrix of int64. Expected float32"),
        (["a"], np.ones((1, 3), np.int8), None, "A matrix of int8 without scales"),
        (["a"], np.ones((1, 3), np.int8), np.ones(2, np.float32), r"Scales of shape \(2,\)"),
        (["a"], np.ones((1, 3), np.int8), np.array([np.nan], np.float32), "Scales of shape"),
        (["a", "b", "a"], np.ones((3, 2), np.float32), None, "The word 'a' is there twice, at 0 and 2"),
        (["a", ""], np.ones((2, 2), np.float32), None, "A word is empty or no valid Unicode"),
        (["a", "\ud800"], np.ones((2, 2), np.float32), None, "A word is empty or no valid Unicode"),
        (
            ["a", "b"],
            np.array([[1, 2], [np.nan, 1]], np.float32),
            None,
            "The vector of 'b' holds NaN, infinity or too large numbers",
        ),
        (["a"], np.array([[1e300, 1]]), None, "The vector of 'a' holds NaN, infinity or too large numbers"),
        (["a"], csr_matrix(np.ones((2, 3))), None, r"1 words and a matrix of shape \(2, 3\)"),
        (
            ["a"],
            csr_matrix(np.ones((1, 3), np.int64)),
            None,
            "A matrix of the type csr_matrix. Expected an array, or a scipy",
        ),
        (["a"], csc_matrix(np.ones((1, 3))), None, "A matrix of the type csc_matrix"),
        (["a"], csr_matrix(np.ones((1, 3))), np.ones(1, np.float32), "A matrix of the type csr_matrix with scales"),
        (["a"], csr_matrix([[1.0, np.inf]]), None, "The vector of 'a' holds NaN, infinity or too large numbers"),
    ],
)
def test_what_does_not_fit_together_is_refused(words: list[str], matrix: Any, scales: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vectors(words, matrix, scales)


def test_questions_that_cannot_be_answered_are_refused() -> None:
    vectors = vectors_of()
    for k in (0, -3):
        with pytest.raises(ConfigError, match=f"The {k} nearest words"):
            vectors.similar("king", k)
    for wrong in (np.ones(6, np.float32), np.full(7, np.nan, np.float32), np.array(["a"] * 7)):
        with pytest.raises(DataError, match=r"A vector of shape .* Expected 7 finite numbers"):
            vectors.similar(wrong)
    with pytest.raises(DataError, match=r"Queries of shape \(7,\)"):
        vectors.cosines(np.ones(7, np.float32))
    with pytest.raises(DataError, match="The middle of no words"):
        vectors.centroid([])
    with pytest.raises(DataError, match="An analogy of no words"):
        vectors.analogy([])
    with pytest.raises(DataError, match="The odd one out of 2 was asked for"):
        vectors.odd_one_out(["king", "man"])


# Folders


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_what_is_saved_is_loaded(tmp_path: Path, kind: str) -> None:
    words = [*WORDS[:-1], " a\nb\t"]
    vectors = vectors_of(kind=kind, words=words)
    vectors.save(tmp_path / "here")
    vectors.save(tmp_path / "here")  # replaced
    loaded = Vectors.load(tmp_path / "here", unknown=lambda word: np.ones(7))
    assert loaded.words == words
    np.testing.assert_array_equal(loaded.matrix, vectors.matrix)
    assert not loaded.matrix.flags.writeable
    assert loaded.similar("왕") == vectors.similar("왕")
    np.testing.assert_array_equal(loaded["unheard-of"], np.ones(7))


def test_safetensors_itself_reads_what_is_saved(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    vectors = vectors_of(kind="int8")
    vectors.save(tmp_path / "here")
    arrays = load_file(tmp_path / "here" / "vectors.safetensors")
    np.testing.assert_array_equal(arrays["matrix"], vectors.matrix)
    np.testing.assert_array_equal(arrays["scales"], vectors.scales)


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds thesis.txt, which is no part of saved vectors"):
        vectors_of().save(tmp_path)
    with pytest.raises(RunError, match="holds a file, which is no part of saved vectors"):
        vectors_of().save(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    with pytest.raises(RunError, match=r"words.json is missing. Expected a folder with saved vectors"):
        Vectors.load(folder)
    vectors_of().save(folder)
    words = (folder / "words.json").read_bytes()
    for content, message in [
        (b"[", "is damaged"),
        (b'{"a": 1}', "is no list of words"),
        (b"[1]", "is no list of words"),
    ]:
        (folder / "words.json").write_bytes(content)
        with pytest.raises(RunError, match=message):
            Vectors.load(folder)
    (folder / "words.json").write_bytes(words.replace(b'"king",', b""))
    with pytest.raises(DataError, match=r"10 words and a matrix of shape \(11, 7\)"):
        Vectors.load(folder)
    (folder / "words.json").write_bytes(words)
    whole = (folder / "vectors.safetensors").read_bytes()
    for old, new, message in [
        (b'"F32"', b'"F64"', "is damaged or cut off"),
        (b"[11, 7]", b"[99, 7]", "lies outside the file"),
        (b"[11, 7]", b"[-1, 7]", "shape"),
        (b'"matrix"', b'"Matrix"', re.escape("holds ['Matrix']")),
    ]:
        (folder / "vectors.safetensors").write_bytes(whole.replace(old, new))
        with pytest.raises(RunError, match=message):
            Vectors.load(folder)
    for name, content in (
        ("words.json", words.replace(b"king", b"kind")),
        ("vectors.safetensors", whole[:-2] + b"\1?"),
    ):
        (folder / "vectors.safetensors").write_bytes(whole)
        (folder / name).write_bytes(content)
        with pytest.raises(RunError, match="do not match their checksums: one was altered"):
            Vectors.load(folder)


@given(cut=st.integers(0, 600), place=st.integers(0, 300), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_one_message(tmp_path: Path, cut: int, place: int, byte: int) -> None:
    folder = tmp_path / "fuzzed"
    if not folder.exists():
        vectors_of().save(folder)
        (tmp_path / "whole").write_bytes((folder / "vectors.safetensors").read_bytes())
    data = bytearray((tmp_path / "whole").read_bytes())
    data[place % len(data)] = byte
    (folder / "vectors.safetensors").write_bytes(data[: len(data) - cut] if cut < 300 else data)
    with suppress(MalmoiError):
        assert len(Vectors.load(folder)) == 11
