"""Truncated singular value decomposition of a sparse matrix: few numbers for each word that keep most of the associations.

    M ≈ U S Vᵀ, and the vectors of the words are the rows of U S^p

p = 1 keeps the lengths that the matrix gives, 0 makes all directions equally long; 0.5 is between them and often best for
similarity (Levy, Goldberg & Dagan 2015, section 3.3).

Shapes: W rows, C columns, K n_dims.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from malmoi.errors import ConfigError, DataError
from malmoi.jit import compiled


class Factors(NamedTuple):
    """The largest singular values, falling, with their vectors; in each column of `left` the largest number is positive."""

    left: Float[np.ndarray, "rows dims"]  # U
    values: Float[np.ndarray, " dims"]  # the diagonal of S
    right: Float[np.ndarray, "dims columns"]  # Vᵀ

    def vectors(self, power: float = 0.5) -> Float[np.ndarray, "rows dims"]:
        """U S^power.

        Raises:
            ConfigError: If the power is negative or not a number.
        """
        if not 0 <= power < np.inf:
            raise ConfigError(f"power={power} does not fit: 0 or more was expected, as 0, 0.5 or 1.")
        return self.left * self.values**power


def exact_svd(matrix: csr_matrix, n_dims: int, *, seed: int = 0) -> Factors:
    """The decomposition to the last digit, by Lanczos iterations (ARPACK), in float64.

    Raises:
        ConfigError: If n_dims is not from 1 to one less than the shorter side of the matrix.
        DataError: If the matrix holds nothing, NaN or infinity.
    """
    _check(matrix, n_dims, min(matrix.shape) - 1)
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    left, values, right = scipy.sparse.linalg.svds(matrix.astype(np.float64), n_dims, v0=start)
    return _with_signs(left[:, ::-1], values[::-1], right[::-1])


def randomised_svd(
    matrix: csr_matrix,
    n_dims: int,
    *,
    oversampling: int = 20,
    n_iterations: int = 6,
    seed: int = 0,
    n_threads: int | None = None,
) -> Factors:
    """The decomposition to a few digits, by products with random vectors: the first directions nearest, the last ones least.

    The matrix is multiplied by random columns, whose images lie mostly along its largest directions; more so the more often
    they go through the matrix and back. The small problem that remains in the space of the images is solved exactly. Computed
    in the type of the matrix, float32 or float64.

    Args:
        oversampling: Directions computed and left out in the end.
        n_iterations: Times through the matrix and back (the paper's q).
        seed: Same seed, same bytes, whatever n_threads is, as long as BLAS has the same number of threads.
        n_threads: Of the sparse products; as many as there are cores if left out.

    Raises:
        ConfigError: If n_dims is not from 1 to the shorter side of the matrix, or another number is negative.
        DataError: If the matrix holds nothing, NaN or infinity.

    Source: Halko, Martinsson & Tropp 2011 (arXiv:0909.4061), algorithms 4.4 and 5.1.
    """
    _check(matrix, n_dims, min(matrix.shape))
    if oversampling < 0 or n_iterations < 0:
        raise ConfigError(
            f"oversampling={oversampling} and n_iterations={n_iterations} do not fit: 0 or more was expected, as 20 and 6."
        )
    matrix = matrix.astype(np.result_type(matrix.dtype, np.float32), copy=False)
    transposed = matrix.T.tocsr()
    width = min(n_dims + oversampling, *matrix.shape)
    with ThreadPoolExecutor(n_threads or os.cpu_count() or 1) as pool:
        columns = np.random.default_rng(seed).standard_normal((matrix.shape[1], width), matrix.dtype)
        basis, _ = _qr(_product(matrix, columns, pool))  # (W, L)
        for _ in range(n_iterations):
            basis, _ = _qr(_product(transposed, basis, pool))  # (C, L)
            basis, _ = _qr(_product(matrix, basis, pool))
        right, upper = _qr(
            _product(transposed, basis, pool)
        )  # (C, L), (L, L): the transpose of what is left of the matrix
    inner_left, values, inner_right = scipy.linalg.svd(upper.T)
    return _with_signs(basis @ inner_left[:, :n_dims], values[:n_dims], inner_right[:n_dims] @ right.T)


def _check(matrix: csr_matrix, n_dims: int, most: int) -> None:
    if not 1 <= n_dims <= most:
        raise ConfigError(
            f"n_dims={n_dims} does not fit a matrix of {matrix.shape[0]} rows and {matrix.shape[1]} columns: 1 to {most} was "
            f"expected. Ask for fewer dimensions, as with --embed-dim {max(most, 1)}, keep the matrix as it is with "
            "--reduction none, or count more words."
        )
    if not matrix.nnz:
        raise DataError("The matrix holds nothing but 0, so it has no directions. Shift less, or count more text.")
    if not np.isfinite(matrix.data).all():
        raise DataError("The matrix holds NaN or infinity; numbers were expected. Compute the associations again.")


def _with_signs(left: NDArray[Any], values: NDArray[Any], right: NDArray[Any]) -> Factors:
    """A pair of singular vectors may be turned round together: here it has one way to stand."""
    largest = left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])]
    signs = np.where(largest < 0, -1, 1).astype(left.dtype)
    return Factors(left * signs, values.copy(), right * signs[:, None])


def _qr(columns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Orthonormal columns and the upper triangle that makes the old ones of them.

    Cholesky's way, twice to be accurate (Yamamoto et al. 2015): few large products, where Householder's way has many small ones
    at whose ends the threads of BLAS wait for each other, long if other programs are running. Columns that nearly depend on
    each other need Householder's.
    """
    rest, upper = columns, np.eye(columns.shape[1], dtype=columns.dtype)
    least = 10 * np.sqrt(np.finfo(columns.dtype).eps)
    for _ in range(2):
        try:
            step = scipy.linalg.cholesky(rest.T @ rest, check_finite=False)
        except scipy.linalg.LinAlgError:
            step = np.zeros((1, 1))
        if step.diagonal().min() <= least * step.diagonal().max():
            basis, upper = scipy.linalg.qr(columns, mode="economic", overwrite_a=False)
            return np.ascontiguousarray(basis), upper
        rest = rest @ scipy.linalg.solve_triangular(step, np.eye(len(step), dtype=step.dtype), check_finite=False)
        upper = step @ upper
    return rest, upper


def _product(matrix: csr_matrix, dense: NDArray[Any], pool: ThreadPoolExecutor) -> NDArray[Any]:
    """matrix @ dense; every row is added up by one thread, in one order."""
    out = np.empty((matrix.shape[0], dense.shape[1]), matrix.dtype)
    cuts = np.linspace(0, matrix.nnz, 33)[1:-1]
    bounds = [0, *np.searchsorted(matrix.indptr, cuts).tolist(), matrix.shape[0]]

    def do(part: int) -> None:
        _multiply(matrix.indptr, matrix.indices, matrix.data, dense, bounds[part], bounds[part + 1], out)

    list(pool.map(do, range(len(bounds) - 1)))
    return out


@compiled()
def _multiply(starts, columns, values, dense, first, after, out):  # type: ignore[no-untyped-def]
    """out[first:after] = the same rows of the matrix @ dense; four cells at a time, so that `out` is touched less often."""
    for row in range(first, after):
        sums = out[row]
        sums[:] = 0
        begin, end = np.int64(starts[row]), np.int64(starts[row + 1])
        whole = begin + (end - begin) // 4 * 4
        for k in range(begin, whole, 4):
            a, b, c, d = values[k], values[k + 1], values[k + 2], values[k + 3]
            x, y, z, w = dense[columns[k]], dense[columns[k + 1]], dense[columns[k + 2]], dense[columns[k + 3]]
            for j in range(len(sums)):
                sums[j] += (a * x[j] + b * y[j]) + (c * z[j] + d * w[j])
        for k in range(whole, end):
            a, x = values[k], dense[columns[k]]
            for j in range(len(sums)):
                sums[j] += a * x[j]
