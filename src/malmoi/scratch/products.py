"""A product with the same matrix at every time step, the matrix laid out once in blocks that stay in the processor's cache.

A matrix product of few rows spends more time on re-arranging the large matrix than on multiplying. OpenBLAS, the library
under NumPy's products, leaves that out for small products (up to a million multiplications, where the processor has
AVX-512); so one product is made as many such small ones, of blocks that lie in one piece of memory. At 20 x 650 times 650 x
2600 it takes half as long. Where the library has no such short cut it takes about as long as before. The blocks are shared
out among threads; which thread makes which changes no number.

Shapes: N rows, K inner width, M output width.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from malmoi.scratch.checks import Array

SMALL = 1_000_000  # multiplications of a product that OpenBLAS does not re-arrange
WIDTH = 64  # columns of a block
FEWEST_ROWS, FEWEST_TIMES = 4, 8  # below them the blocks are not worth their making
MOST_ROWS = 64  # above it re-arranging costs little beside the multiplying
MOST_THREADS = 4  # a step is too short to be divided among more


class RepeatedProduct:
    """x @ W, for many x (N, K), `n_times` of them, and one W (K, M) at a time."""

    def __init__(self, n_rows: int, K: int, M: int, n_times: int, dtype: DTypeLike) -> None:
        self._M = M
        self._pieces = math.ceil(n_rows * K * WIDTH / SMALL)  # of the inner width, so that a block is small enough
        self.is_blocked = (
            np.dtype(dtype) == np.float32
            and FEWEST_ROWS <= n_rows <= MOST_ROWS
            and n_times >= FEWEST_TIMES
            and n_rows * K * M > SMALL
        )
        n_blocks = math.ceil(M / WIDTH) if self.is_blocked else 1
        width = WIDTH if self.is_blocked else M
        self._result = np.zeros((n_rows, n_blocks * width), dtype)
        self._in_blocks = self._result.reshape(n_rows, n_blocks, width).swapaxes(0, 1)
        if not self.is_blocked:
            return
        self._bounds = np.linspace(0, K, self._pieces + 1).astype(int)
        self._blocks = [np.zeros((n_blocks, stop - start, WIDTH), dtype) for start, stop in pairwise(self._bounds)]
        self._part = np.zeros_like(self._result)  # what one piece of the inner width adds
        ends = np.linspace(0, n_blocks, min(n_threads(), MOST_THREADS, n_blocks) + 1).astype(int)
        self._shares = [slice(first, last) for first, last in pairwise(ends)]  # what each thread multiplies

    def lay_out(self, W: Array) -> None:
        """Take W (K, M), which may be a transposed view; it has to be laid out again when its numbers change."""
        if not self.is_blocked:
            self._W = np.ascontiguousarray(W)
            return
        n_full, rest = divmod(self._M, WIDTH)
        full = n_full * WIDTH
        for start, stop, blocks in zip(self._bounds[:-1], self._bounds[1:], self._blocks, strict=True):
            rows = W[start:stop]
            blocks[:n_full] = rows[:, :full].reshape(stop - start, n_full, WIDTH).swapaxes(0, 1)
            if rest:
                blocks[n_full, :, :rest] = rows[:, full:]  # beyond it zeros

    def __call__(self, x: Array) -> Array:
        """x (N, K) times the matrix laid out last, (N, M): an array of ours, which the next call overwrites."""
        if not self.is_blocked:
            return np.matmul(x, self._W, out=self._result)
        shares = self._shares
        others = [_helpers(len(shares) - 1).submit(self._multiply, x, share) for share in shares[1:]]
        self._multiply(x, shares[0])
        for other in others:
            other.result()
        return self._result[:, : self._M]

    def _multiply(self, x: Array, share: slice) -> None:
        """Some of the blocks."""
        n_rows = len(x)
        columns = slice(share.start * WIDTH, share.stop * WIDTH)
        part = self._part.reshape(n_rows, -1, WIDTH).swapaxes(0, 1)
        for piece, blocks in enumerate(self._blocks):
            inner = x[:, self._bounds[piece] : self._bounds[piece + 1]]
            np.matmul(inner, blocks[share], out=(part if piece else self._in_blocks)[share])
            if piece:
                self._result[:, columns] += self._part[:, columns]


@cache
def n_threads() -> int:
    """As many as the library under NumPy's products was told to use, or one for each core."""
    told = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(told), cores) if told.isdecimal() and int(told) else cores


@cache
def _helpers(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="product")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)
