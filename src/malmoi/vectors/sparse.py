"""Rows that are 0 nearly everywhere, such as PPMI before any SVD: only the other numbers are stored, and nothing becomes dense.

A row of 30,000 contexts with 700 numbers takes 6 kB instead of 120. Queries are dense: one takes 4 D bytes.

Shapes: V rows, D columns, N stored numbers, Q queries.
"""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from malmoi.errors import ConfigError, DataError
from malmoi.vectors import loops
from malmoi.vectors.dense import per_norm
from malmoi.vectors.search import cores, shared

QUERIES = 32  # that are answered together
ALONE = 1 << 21  # stored numbers up to which one thread is quicker than several


class SparseRows:
    """V rows of which few numbers are not 0, and how long each is.

    Args:
        matrix: (V, D). float32 in canonical form (columns in rising order, none twice) is not copied, and may be mapped from a
            file.
        words: What each row stands for, to be named in messages.

    Raises:
        DataError: If the parts of the matrix do not fit together, or a number is NaN, infinite or too large.
    """

    scales = None

    def __init__(self, matrix: csr_matrix, words: Sequence[str]) -> None:
        self.matrix = _canonical(matrix)
        norms = np.empty(len(words), np.float32)
        loops.sparse_norms(self.matrix.indptr, self.matrix.data, norms)
        self._per_norm = per_norm(norms, words)

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    def take(self, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """Some rows, dense: 4 D bytes each."""
        rows: NDArray[np.float32] = self.matrix[ids].toarray()
        return rows

    def first(self, n: int) -> tuple[csr_matrix, None]:
        """The first n rows."""
        starts = self.matrix.indptr[: n + 1]
        end = int(starts[-1])
        return csr_matrix(
            (self.matrix.data[:end], self.matrix.indices[:end], starts), (len(starts) - 1, self.dim)
        ), None

    def cosines(self, units: Float32[np.ndarray, "queries dim"]) -> Float32[np.ndarray, "queries words"]:
        """The cosine of each row with queries of length 1."""
        starts, found = self.matrix.indptr, np.empty((len(units), len(self._per_norm)), np.float32)
        n_threads = cores() if self.matrix.nnz > ALONE else 1
        shares = np.linspace(0, self.matrix.nnz, n_threads + 1)[1:-1]  # as many numbers for each
        bounds = [0, *np.searchsorted(starts[:-1], shares).tolist(), len(starts) - 1]
        if len(units) == 1:
            self._dots(units[0], found[0], bounds)
        else:
            for start in range(0, len(units), QUERIES):
                some = slice(start, start + QUERIES)
                self._products(units[some], found[some], bounds)
        found *= self._per_norm
        return found

    def _dots(self, unit: NDArray[np.float32], out: NDArray[np.float32], bounds: list[int]) -> None:
        starts, columns, numbers = self.matrix.indptr, self.matrix.indices, self.matrix.data
        shared(lambda i, j: loops.sparse_dots(starts[i : j + 1], columns, numbers, unit, out[i:j]), bounds)

    def _products(self, units: NDArray[np.float32], out: NDArray[np.float32], bounds: list[int]) -> None:
        """out (Q, V): each number of the rows is read once for all of these queries."""
        starts, columns, numbers = self.matrix.indptr, self.matrix.indices, self.matrix.data
        queries = np.ascontiguousarray(units.T)
        products = np.empty((len(starts) - 1, len(units)), np.float32)
        shared(lambda i, j: loops.sparse_products(starts[i : j + 1], columns, numbers, queries, products[i:j]), bounds)
        out[:] = products.T

    def quantised(self, kind: str) -> NoReturn:
        raise ConfigError(
            f"Sparse vectors cannot be stored as {kind}: most of what they take are places, not numbers. Expected dense "
            "vectors. Make them so: malmoi train cooccurrence with --reduction randomised."
        )


def _canonical(matrix: csr_matrix) -> csr_matrix:
    """The matrix itself, or a copy where its numbers are no float32, or columns are out of order or there twice.

    Raises:
        DataError: If its parts do not fit together.
    """
    try:
        matrix.check_format(full_check=False)
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float32, copy=False)
        if loops.first_bad_row(matrix.indptr, matrix.indices, matrix.shape[1]) < 0:
            return matrix
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise DataError(
            f"The sparse matrix is none ({error}). Expected bounds and columns that fit together. Make it again."
        ) from None
    matrix = matrix.copy()
    matrix.sum_duplicates()
    return matrix
