"""Sparse vectors: the same answers as dense ones, and no trust in what a folder holds."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from malmoi.arrays import write_arrays
from malmoi.errors import ConfigError, DataError, MalmoiError, RunError
from malmoi.evaluation.similarity import evaluate_similarity
from malmoi.evaluation.vector_sets import SimilaritySet
from malmoi.vectors import Vectors, loops, sparse

WORDS = ["왕", "여왕", "남자", "여자", "king", "queen", "man", "woman", "bread", "nothing"]


def matrix_of(n_words: int = len(WORDS), n_columns: int = 23, share: float = 0.3, seed: int = 4) -> csr_matrix:
    """Rows of which the last is 0."""
    generator = np.random.default_rng(seed)
    dense = generator.random((n_words, n_columns)) * (generator.random((n_words, n_columns)) < share)
    dense[:, 0] += 0.1
    dense[-1] = 0
    return csr_matrix(dense.astype(np.float32))


def both() -> tuple[Vectors, Vectors]:
    matrix = matrix_of()
    return Vectors(WORDS, matrix), Vectors(WORDS, matrix.toarray())


def test_sparse_and_dense_vectors_give_the_same_answers() -> None:
    thin, dense = both()
    assert thin.is_sparse
    assert not dense.is_sparse
    assert (len(thin), thin.dim, "왕" in thin) == (10, 23, True)
    for word in WORDS:
        np.testing.assert_array_equal(thin[word], dense[word])
        assert_alike(thin.similar(word, 4, exclude=["bread"]), dense.similar(word, 4, exclude=["bread"]))
    assert_alike(thin.analogy(["왕", "여자"], ["남자"]), dense.analogy(["왕", "여자"], ["남자"]))
    times: Any = {"method": "3cosmul"}
    assert_alike(thin.analogy(["왕", "여자"], ["남자"], **times), dense.analogy(["왕", "여자"], ["남자"], **times))
    assert_alike(thin.evaluate("왕 - 남자 + 0.5 * 여자"), dense.evaluate("왕 - 남자 + 0.5 * 여자"))
    np.testing.assert_array_equal(thin.centroid(WORDS[:3]), dense.centroid(WORDS[:3]))
    assert thin.odd_one_out(WORDS[:5]) == dense.odd_one_out(WORDS[:5])
    assert thin.cosine("king", "man") == dense.cosine("king", "man")
    assert thin.cosine("king", "nothing") == 0
    few = thin.first(4)
    assert few.words == WORDS[:4]
    assert_alike(few.similar("왕"), dense.first(4).similar("왕"))


def assert_alike(found: list[Any], expected: list[Any]) -> None:
    assert [near.word for near in found] == [near.word for near in expected]
    np.testing.assert_allclose([near.cosine for near in found], [near.cosine for near in expected], atol=1e-6)


@pytest.mark.parametrize("n_queries", [0, 1, 2, 31, 32, 33, 70])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_cosines_are_those_of_plain_loops(n_queries: int, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = matrix_of(57, 31, seed=n_queries)
    vectors = Vectors([f"w{i}" for i in range(57)], matrix)
    queries = np.random.default_rng(1).standard_normal((n_queries, 31))
    monkeypatch.setattr(sparse, "ALONE", 0)
    monkeypatch.setattr(sparse, "cores", lambda: n_threads)
    found = vectors.cosines(queries)
    assert found.shape == (n_queries, 57)
    rows = matrix.toarray().astype(np.float64)
    for q, query in enumerate(queries):
        for v, row in enumerate(rows):
            length = np.sqrt((query**2).sum() * (row**2).sum())
            assert found[q, v] == pytest.approx((query * row).sum() / length if length else 0, abs=1e-6)


def test_similarity_is_evaluated_on_sparse_vectors() -> None:
    thin, dense = both()
    pairs = [("왕", "여왕"), ("king", "man"), ("bread", "queen"), ("남자", "여자")]
    asked = SimilaritySet("four", pairs, np.array([4.0, 2.0, 1.0, 3.0]))
    assert evaluate_similarity(thin, asked).spearman == evaluate_similarity(dense, asked).spearman


def test_columns_out_of_order_or_twice_are_put_right() -> None:
    tangled = csr_matrix((np.array([1, 2, 3, 4], np.float32), np.array([2, 0, 2, 1]), np.array([0, 3, 4])), (2, 3))
    vectors = Vectors(["a", "b"], tangled)
    np.testing.assert_array_equal(vectors["a"], [2, 0, 4])
    assert vectors.similar(np.array([2.0, 0, 4]), 1)[0].cosine == pytest.approx(1)
    assert tangled.nnz == 4  # the caller's matrix is as it was
    wrong = csr_matrix(np.ones((2, 3)))
    wrong.data = wrong.data[:-1]
    with pytest.raises(DataError, match="The sparse matrix is none"):
        Vectors(["a", "b"], wrong)
    wrong = csr_matrix(np.ones((2, 3)))
    wrong.indices[1] = 9
    with pytest.raises(DataError, match="The sparse matrix is none .*Expected bounds and columns that fit together"):
        Vectors(["a", "b"], wrong)


def test_sparse_vectors_are_not_quantised() -> None:
    with pytest.raises(ConfigError, match="Sparse vectors cannot be stored as int8.*malmoi train cooccurrence"):
        both()[0].quantised("int8")


# Folders


@pytest.mark.parametrize("n_columns", [10, 23])
def test_sparse_vectors_are_saved_and_mapped(tmp_path: Path, n_columns: int) -> None:
    vectors = Vectors(WORDS, matrix_of(n_columns=n_columns))
    vectors.save(tmp_path / "here")
    vectors.save(tmp_path / "here")  # replaced
    loaded = Vectors.load(tmp_path / "here")
    assert loaded.words == WORDS
    assert loaded.dim == n_columns
    assert not loaded.matrix.data.flags.writeable  # mapped, not copied
    assert not loaded.matrix.indices.flags.writeable
    np.testing.assert_array_equal(loaded.matrix.toarray(), vectors.matrix.toarray())
    assert loaded.similar("왕") == vectors.similar("왕")
    with pytest.raises(DataError, match="Sparse vectors that are 0 everywhere cannot be saved"):
        Vectors(["a"], csr_matrix((1, 3), dtype=np.float32)).save(tmp_path / "zero")


def test_damaged_sparse_folders_are_refused(tmp_path: Path) -> None:
    whole = matrix_of()
    parts = {"indptr": whole.indptr, "indices": whole.indices, "data": whole.data, "n_columns": np.array([23])}

    def altered(name: str, place: int, value: int) -> dict[str, Any]:
        array = parts[name].copy()
        array[place] = value
        return {name: array}

    Vectors(WORDS, whole).save(tmp_path)
    for change, message in [
        ({"data": None}, r"holds \['indices', 'indptr', 'n_columns'\]. Expected matrix, or indptr"),
        ({"more": whole.data}, r"holds \['data', 'indices', 'indptr', 'more', 'n_columns'\]"),
        ({"indptr": whole.indptr[:-1]}, "parts do not fit together, or not the 10 words"),
        ({"indices": whole.indices[:-1]}, "parts do not fit together"),
        ({"indices": whole.data}, "parts do not fit together"),
        ({"data": whole.data[:, None]}, "parts do not fit together"),
        ({"data": whole.data.astype(np.float16)}, "parts do not fit together"),
        ({"n_columns": None}, "row 0 of the sparse matrix is damaged. Expected columns in rising order, each below 10"),
        ({"n_columns": np.array([0])}, "parts do not fit together"),
        ({"n_columns": np.array([1 << 40])}, "parts do not fit together"),
        (altered("indptr", 0, 1), "parts do not fit together"),
        (altered("indptr", 10, 5), "parts do not fit together"),
        (altered("indptr", 3, 10**6), "row 2 of the sparse matrix is damaged"),
        (altered("indptr", 3, -9), "row 2 of the sparse matrix is damaged"),
        (altered("indices", -1, 23), "row 8 of the sparse matrix is damaged"),
        (altered("indices", 0, -1), "row 0 of the sparse matrix is damaged"),
        (altered("indices", 1, 0), "row 0 of the sparse matrix is damaged"),
    ]:
        arrays = {name: array for name, array in {**parts, **change}.items() if array is not None}
        write_arrays(tmp_path / "vectors.safetensors", arrays)
        with pytest.raises(RunError, match=message):
            Vectors.load(tmp_path)
    write_arrays(tmp_path / "vectors.safetensors", {**parts, "data": np.full_like(whole.data, np.nan)})
    with pytest.raises(DataError, match="The vector of '왕' holds NaN"):
        Vectors.load(tmp_path)


@given(cut=st.integers(0, 900), place=st.integers(0, 2000), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_sparse_folder_is_one_message(tmp_path: Path, cut: int, place: int, byte: int) -> None:
    folder = tmp_path / "fuzzed"
    if not folder.exists():
        Vectors(WORDS, matrix_of()).save(folder)
        (tmp_path / "whole").write_bytes((folder / "vectors.safetensors").read_bytes())
    data = bytearray((tmp_path / "whole").read_bytes())
    data[place % len(data)] = byte
    (folder / "vectors.safetensors").write_bytes(data[: len(data) - cut] if cut < 300 else data)
    with suppress(MalmoiError):
        assert np.isfinite(Vectors.load(folder).cosines(np.ones((1, 23)))).all()


def test_bounds_are_checked_before_anything_is_read() -> None:
    columns = np.array([0, 1], np.int32)
    for starts, row in [([0, 1, 2], -1), ([0, 2, 1], 1), ([0, 3, 2], 0), ([-1, 1, 2], 0)]:
        assert loops.first_bad_row(np.array(starts), columns, 2) == row
