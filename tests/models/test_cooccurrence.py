"""Pair counts against a double loop, PMI against its definition, SVD against NumPy's."""

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from streams import Ids

from malmoi.errors import ConfigError, DataError, TrainingError
from malmoi.models.cooccurrence import (
    Factors,
    PairSettings,
    count_pairs,
    counting,
    exact_svd,
    factors,
    pmi,
    ppmi,
    randomised_svd,
)
from malmoi.store import open_store
from malmoi.text.vocabulary import SpecialIds

V = 11
UNK, EOS = 1, 3
SPECIAL_IDS = SpecialIds(0, 1, 2, 3)


def by_double_loop(ids: list[int], asked: PairSettings, words: list[int]) -> dict[tuple[int, int], Fraction]:
    """Counts of (centre, context) token ids, in fractions."""
    found: Counter[tuple[int, int]] = Counter()
    lines: list[list[int]] = [[]]
    for token in ids:
        if token in (2, 3):
            lines.append([])
        else:
            lines[-1].append(token)
    for line in lines:
        for i, centre in enumerate(line):
            for j, context in enumerate(line):
                d = abs(i - j)
                here = {"both": True, "left": j < i, "right": j > i}[asked.side]
                if d == 0 or d > asked.window or not here or centre not in words or context not in words:
                    continue
                weight = {"flat": Fraction(1), "harmonic": Fraction(1, d)}.get(asked.weighting)
                found[centre, context] += (  # type: ignore[assignment]
                    Fraction(asked.window - d + 1, asked.window) if weight is None else weight
                )
    return dict(found)  # type: ignore[arg-type]


def most_frequent(ids: list[int], n_words: int) -> list[int]:
    frequencies = Counter(token for token in ids if token > EOS)
    return sorted(frequencies, key=lambda token: (-frequencies[token], token))[:n_words]


texts = st.lists(st.integers(1, V - 1), min_size=1, max_size=60)
asked_for = st.builds(
    PairSettings,
    window=st.integers(1, 9),
    weighting=st.sampled_from(["flat", "harmonic", "linear"]),
    side=st.sampled_from(["both", "left", "right"]),
    n_words=st.integers(2, 8),
)


@settings(deadline=None, max_examples=200)
@given(ids=texts, asked=asked_for, n_threads=st.sampled_from([1, 3]))
def test_counts_are_those_of_a_double_loop(ids: list[int], asked: PairSettings, n_threads: int) -> None:
    words = most_frequent(ids, asked.n_words)
    expected = by_double_loop(ids, asked, words)
    if len(words) < 2 or not expected:
        with pytest.raises(DataError):
            count_pairs(Ids(ids), V, asked, special_ids=SPECIAL_IDS)
        return
    got = count_pairs(Ids(ids), V, asked, n_threads=n_threads, special_ids=SPECIAL_IDS)
    assert got.token_ids.tolist() == words
    assert got.frequencies.tolist() == [ids.count(word) for word in words]
    matrix = np.zeros((len(words), len(words)))
    for (centre, context), value in expected.items():
        matrix[words.index(centre), words.index(context)] = value
    assert got.counts.nnz == len(expected)
    assert got.counts.has_canonical_format
    assert_allclose(got.counts.toarray(), matrix, rtol=1e-15)
    if asked.side == "both":
        assert_array_equal(got.counts.toarray(), got.counts.toarray().T)


def random_text(length: int = 5000, vocab_size: int = 400) -> list[int]:
    rng = np.random.default_rng(3)
    return [EOS if token < EOS else int(token) for token in rng.zipf(1.3, length) % vocab_size]


def test_threads_memory_blocks_and_files_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, asked = Ids(random_text()), PairSettings(window=6, weighting="harmonic", n_words=300)
    one = count_pairs(ids, 400, asked, n_threads=1, special_ids=SPECIAL_IDS)
    monkeypatch.setattr(counting, "READ_AT_ONCE", 77)
    places: list[tuple[int, int]] = []
    with open_store(True, tmp_path) as store:
        other = count_pairs(
            ids,
            400,
            asked,
            n_threads=4,
            memory=100_000,
            store=store,
            progress=lambda *now: places.append(now),
            special_ids=SPECIAL_IDS,
        )
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(other.counts, name), getattr(one.counts, name))
        assert [path.name for path in tmp_path.glob("*/text")] == []
    assert len(places) > 10
    assert places[-1] == (int(one.frequencies.sum()),) * 2


def test_rows_that_are_read_out_in_order_are_those_that_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary wide enough that rare words take the sorted way and frequent ones the other."""
    ids = random_text(3000)
    asked = PairSettings(window=2, n_words=400)
    got = count_pairs(Ids(ids), 400, asked, special_ids=SPECIAL_IDS)
    lengths = np.diff(got.counts.indptr) * counting.DENSE
    assert (lengths > len(got.token_ids)).any()
    assert (lengths < len(got.token_ids)).any()
    expected = by_double_loop(ids, asked, got.token_ids.tolist())
    rows, columns = got.counts.nonzero()
    pairs = zip(got.token_ids[rows].tolist(), got.token_ids[columns].tolist(), strict=True)
    assert dict(zip(pairs, got.counts.data.tolist(), strict=True)) == expected


@pytest.mark.parametrize(("window", "most"), [(22, 0.0), (60, 1e-8)])
def test_harmonic_weights_of_wide_windows_are_rounded_a_little(window: int, most: float) -> None:
    weights, unit = counting._weights(PairSettings(window=window, weighting="harmonic"))
    for d, weight in enumerate(weights.tolist(), start=1):
        assert abs(Fraction(weight, unit) * d - 1) <= most


def test_unknown_words_keep_their_place_and_line_ends_are_not_crossed() -> None:
    got = count_pairs(
        Ids([5, UNK, 6, EOS, 5, 6, EOS, 6, 4]), V, PairSettings(window=1, n_words=3), special_ids=SPECIAL_IDS
    )
    assert got.token_ids.tolist() == [6, 5, 4]
    assert got.counts.toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0}, "window=0 does not fit"),
        ({"weighting": "cubic"}, "weighting='cubic' does not fit"),
        ({"n_words": 1}, "n_words=1 does not fit"),
        ({"widow": 3}, "Unknown option 'widow' for PairSettings. Did you mean 'window'"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PairSettings.parse(values)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "has 0 different known words, and pairs need 2 or more. Give more text"),
        ([5, 5, UNK, EOS, 5], "has 1 different known word, and"),
        ([5, UNK, UNK, UNK, 6, EOS, 7], "No two of the 3 words stand within window=3 .* join lines"),
        ([5, 6, V], "Token id 11 was found, and ids from 0 to 10 were expected .vocab_size=11.. Read the text"),
        ([5, -1, 6], "Token id -1 was found"),
    ],
)
def test_a_text_without_pairs_is_named(ids: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        count_pairs(Ids(ids), V, PairSettings(window=3), special_ids=SPECIAL_IDS)


def test_memory_that_holds_no_row_is_named() -> None:
    with pytest.raises(TrainingError, match="memory=900 bytes do not hold .* 2 threads, which take .*n_words below 4"):
        count_pairs(Ids([4, 5, 6, 7] * 100), V, memory=900, n_threads=2, special_ids=SPECIAL_IDS)


def small_counts(seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    return csr_matrix(rng.poisson(0.8, (7, 5)).astype(np.float64) * rng.uniform(0.5, 2, (7, 5)))


@pytest.mark.parametrize("smoothing", [1.0, 0.75])
@pytest.mark.parametrize("shift", [1.0, 2.5])
def test_pmi_is_its_definition(smoothing: float, shift: float) -> None:
    counts = small_counts()
    dense = counts.toarray()
    total = dense.sum()
    contexts = dense.sum(axis=0) ** smoothing / (dense.sum(axis=0) ** smoothing).sum()
    positive = np.zeros_like(dense)
    for i, j in zip(*dense.nonzero(), strict=True):
        value = math.log((dense[i, j] / total) / (dense[i].sum() / total * contexts[j]))
        assert pmi(counts, smoothing=smoothing)[i, j] == pytest.approx(value, rel=1e-12)
        assert pmi(counts, smoothing=smoothing, unit="bits")[i, j] == pytest.approx(value / math.log(2), rel=1e-12)
        positive[i, j] = max(0.0, value - math.log(shift))
    got = ppmi(counts, smoothing=smoothing, shift=shift)
    assert_allclose(got.toarray(), positive, rtol=1e-12, atol=1e-15)
    assert got.has_canonical_format
    assert (got.data > 0).all()
    assert pmi(counts).nnz == counts.nnz


def test_a_stored_zero_and_an_empty_row_are_no_pair() -> None:
    counts = csr_matrix(([2.0, 0.0, 1.0], [0, 1, 1], [0, 2, 2, 3]), shape=(3, 2))
    assert pmi(counts).toarray() == pytest.approx(np.array([[math.log(1.5), 0], [0, 0], [0, math.log(3)]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0.0}, "smoothing=0.0 does not fit.*0.75 is common"),
        ({"smoothing": 1.5}, "smoothing=1.5 does not fit"),
        ({"shift": 0.5}, "shift=0.5 does not fit: a finite number of 1 or more"),
        ({"shift": math.nan}, "shift=nan does not fit"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ppmi(small_counts(), **options)


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_counts_that_are_none_are_named(wrong: float) -> None:
    with pytest.raises(DataError, match="negative number, NaN or infinity.*Count again"):
        pmi(csr_matrix([[1.0, wrong]]))


def test_no_count_is_named() -> None:
    with pytest.raises(DataError, match="No pair was counted"):
        ppmi(csr_matrix((3, 3)))


def sparse(rows: int, columns: int, seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    return csr_matrix(rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < 0.4))


@pytest.mark.parametrize("decompose", [exact_svd, lambda m, k: randomised_svd(m, k, oversampling=30)])
@pytest.mark.parametrize("shape", [(31, 23), (23, 31)])
def test_svd_agrees_with_numpy(decompose: Any, shape: tuple[int, int]) -> None:
    matrix = sparse(*shape)
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    got = decompose(matrix, 7)
    assert got.left.shape == (shape[0], 7)
    assert got.right.shape == (7, shape[1])
    assert_allclose(got.values, values[:7], rtol=1e-10)
    signs = np.sign((got.left * left[:, :7]).sum(axis=0))
    assert_allclose(got.left * signs, left[:, :7], atol=1e-9)
    assert_allclose(got.right * signs[:, None], right[:7], atol=1e-9)
    assert (got.left[np.abs(got.left).argmax(axis=0), np.arange(7)] > 0).all()


def test_randomised_svd_finds_a_matrix_of_low_rank() -> None:
    rng = np.random.default_rng(1)
    matrix = csr_matrix(rng.standard_normal((97, 5)) @ rng.standard_normal((5, 61)))
    got = randomised_svd(matrix, 5, oversampling=3, n_iterations=1)
    assert_allclose(got.left * got.values @ got.right, matrix.toarray(), atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["well", "nearly", "dependent", "zero"])
def test_columns_are_made_orthonormal_however_dependent_they_are(dtype: Any, kind: str) -> None:
    columns = np.random.default_rng(5).standard_normal((83, 7)) * [1e3, 1, 2, 3, 4, 5, 6]
    if kind == "nearly":
        columns[:, 3] = columns[:, 2] + 1e-5 * columns[:, 3]
    elif kind != "well":
        columns[:, 3:] = columns[:, 2:3] if kind == "dependent" else 0
    basis, upper = factors._qr(columns.astype(dtype))
    eps = np.finfo(dtype).eps
    assert basis.dtype == upper.dtype == dtype
    assert_allclose(basis.T @ basis, np.eye(7), atol=50 * eps)
    assert_allclose(basis @ upper, columns, atol=1e5 * eps)
    assert_allclose(np.tril(upper, -1), 0)


def test_more_iterations_come_nearer() -> None:
    matrix = sparse(211, 173)
    exact = np.linalg.svd(matrix.toarray(), compute_uv=False)[:11]
    errors = [
        np.abs(randomised_svd(matrix, 11, oversampling=9, n_iterations=n).values - exact).max() for n in (0, 1, 3, 9)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 < errors[0]


def test_randomised_svd_is_decided_by_its_seed() -> None:
    matrix = sparse(53, 41).astype(np.float32)
    one, same, other = (
        randomised_svd(matrix, 5, oversampling=4, n_iterations=1, seed=seed, n_threads=n_threads)
        for seed, n_threads in ((1, 1), (1, 3), (2, 1))
    )
    assert one.left.dtype == np.float32
    for mine, its in zip(one, same, strict=True):
        assert_array_equal(mine, its)
    assert not np.array_equal(one.left, other.left)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_vectors_are_the_left_factors_scaled(power: float) -> None:
    found = exact_svd(sparse(13, 11), 3)
    assert_allclose(found.vectors(power), found.left @ np.diag(found.values**power), rtol=1e-12)


def test_vectors_refuse_a_negative_power() -> None:
    with pytest.raises(ConfigError, match="power=-1.0 does not fit: 0 or more"):
        Factors(np.ones((2, 1)), np.ones(1), np.ones((1, 3))).vectors(-1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: exact_svd(m, 5),
            "n_dims=5 does not fit a matrix of 7 rows and 5 columns: 1 to 4 was.*--embed-dim 4",
        ),
        (lambda m: randomised_svd(m, 6), "n_dims=6 does not fit a matrix of 7 rows and 5 columns: 1 to 5 was"),
        (lambda m: randomised_svd(m, 0), "n_dims=0"),
        (lambda m: randomised_svd(m, 2, oversampling=-1), "oversampling=-1 and n_iterations=6 do not fit"),
        (lambda m: randomised_svd(m, 2, n_iterations=-2), "n_iterations=-2 do not fit"),
    ],
)
def test_a_wrong_size_is_named(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(small_counts())


@pytest.mark.parametrize("decompose", [exact_svd, randomised_svd])
def test_a_matrix_without_directions_is_named(decompose: Any) -> None:
    with pytest.raises(DataError, match="holds nothing but 0.*Shift less"):
        decompose(csr_matrix((7, 5)), 2)
    with pytest.raises(DataError, match="holds NaN or infinity"):
        decompose(csr_matrix(np.full((7, 5), math.nan)), 2)
