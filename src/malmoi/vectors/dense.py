"""Rows of numbers, each as a whole: float32, or float16 and int8 with a scale for each row.

Shapes: V rows, D numbers each, Q queries.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.vectors.search import cores, shared

BLOCK = 1 << 22  # numbers that are float32 at a time
SMALL = 1 << 23  # stored numbers up to which NumPy is quick enough; beyond, compiled loops read them in several threads
SHORTEST = 1e-30  # length below which a stored row has no direction: float32 could not tell


class DenseRows:
    """V rows (V, D), and how long each is.

    Args:
        matrix: (V, D) float32, float16 or int8; float64 becomes float32. It is not copied, and may be mapped from a file.
        scales: (V,) What each row is to be multiplied by; None for 1. int8 needs them.
        words: What each row stands for, to be named in messages.

    Raises:
        DataError: If the types do not fit, or a number is NaN, infinite or too large.
    """

    def __init__(self, matrix: NDArray[Any], scales: NDArray[np.float32] | None, words: Sequence[str]) -> None:
        if matrix.dtype == np.float64:
            with np.errstate(over="ignore"):
                matrix = matrix.astype(np.float32)
        if matrix.dtype not in (np.float32, np.float16, np.int8) or (matrix.dtype == np.int8 and scales is None):
            without = " without scales" if matrix.dtype == np.int8 else ""
            raise DataError(
                f"A matrix of {matrix.dtype}{without}. Expected float32, float16, or int8 with a scale for each row. Convert "
                "it: matrix.astype(numpy.float32)."
            )
        if scales is not None and (
            scales.shape != (len(matrix),)
            or scales.dtype != np.float32
            or not (np.isfinite(scales) & (scales >= 0)).all()
        ):
            raise DataError(
                f"Scales of shape {scales.shape} and type {scales.dtype} for {len(matrix):,} rows. Expected a finite float32 "
                "of 0 or more for each row. Quantise the vectors again."
            )
        self.matrix, self.scales = np.ascontiguousarray(matrix), scales
        norms = np.empty(len(matrix), np.float32)  # of the rows as they are stored, without scales
        for start, rows in self._blocks():
            with np.errstate(over="ignore"):
                norms[start : start + len(rows)] = np.sqrt(np.einsum("vd,vd->v", rows, rows, dtype=np.float64))
        self._per_norm = per_norm(norms, words)

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    def take(self, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """Some rows, with their scales."""
        rows: NDArray[np.float32] = self.matrix[ids].astype(np.float32)
        return rows if self.scales is None else rows * self.scales[ids, None]

    def first(self, n: int) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Matrix and scales of the first n rows."""
        return self.matrix[:n], None if self.scales is None else self.scales[:n]

    def cosines(self, units: Float32[np.ndarray, "queries dim"]) -> Float32[np.ndarray, "queries words"]:
        """The cosine of each row with queries of length 1."""
        found = np.empty((len(units), len(self.matrix)), np.float32)
        if len(units) == 1 and self.matrix.size > SMALL:
            self._dots(units[0], found[0])
        else:
            for start, rows in self._blocks():
                np.matmul(units, rows.T, out=found[:, start : start + len(rows)])
        found *= self._per_norm
        return found

    def quantised(self, kind: Literal["float16", "int8"]) -> tuple[NDArray[Any], NDArray[np.float32], float]:
        """Matrix, scales and the largest distance between the direction of a row before and after; see `Vectors.quantised`."""
        matrix = np.empty(self.matrix.shape, kind)
        scales, worst = np.empty(len(matrix), np.float32), 0.0
        for start, stored in self._blocks():
            stop = start + len(stored)
            rows = stored.astype(np.float64)
            if self.scales is not None:
                rows *= self.scales[start:stop, None]
            largest = np.abs(rows).max(axis=1)
            steps = 127 if kind == "int8" else 1
            scales[start:stop] = largest / steps
            parts = rows * (steps / np.where(largest > 0, largest, 1))[:, None]
            matrix[start:stop] = np.rint(parts) if kind == "int8" else parts
            rounded = matrix[start:stop].astype(np.float64)
            distance = np.linalg.norm(_directions(rounded) - _directions(parts), axis=1)
            worst = max(worst, float(distance.max()))
        return matrix, scales, worst

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, rows as float32 without their scales), some at a time."""
        together = max(1, BLOCK // self.dim)
        for start in range(0, len(self.matrix), together):
            yield start, self.matrix[start : start + together].astype(np.float32, copy=False)

    def _dots(self, unit: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """out[v] = the dot product of a query with row v as it is stored, without its scale."""
        from malmoi.vectors import loops

        loop: Callable[..., None] = loops.plain_dots if self.matrix.dtype == np.float32 else loops.code_dots
        rows, query = self.matrix, unit
        if self.matrix.dtype == np.float16:
            loop, rows, query = loops.half_dots, self.matrix.view(np.int16), unit * loops.HALF_FACTOR
        n_threads = cores()
        whole = len(rows) // loops.TOGETHER  # so that a row is summed up the same way, however many threads there are
        bounds = [loops.TOGETHER * (whole * i // n_threads) for i in range(n_threads)] + [len(rows)]
        shared(lambda start, stop: loop(rows[start:stop], query, out[start:stop]), bounds)


def per_norm(norms: NDArray[np.float32], words: Sequence[str]) -> NDArray[np.float32]:
    """1 / the length of each row; 0 for rows that are too short to have a direction.

    Raises:
        DataError: If a length is NaN or infinite.
    """
    is_finite = np.isfinite(norms)
    if not is_finite.all():
        word = words[int(np.flatnonzero(~is_finite)[0])]
        raise DataError(
            f"The vector of {word[:60]!r} holds NaN, infinity or too large numbers. Expected "
            "finite numbers and a length that float32 can hold. Train again with a lower rate, or remove the word."
        )
    with np.errstate(divide="ignore", over="ignore"):
        found: NDArray[np.float32] = np.where(norms > SHORTEST, np.float32(1) / norms, np.float32(0))
    return found


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    directions = np.zeros_like(rows)
    np.divide(rows, norms, out=directions, where=norms > 0)
    return directions
