"""The best of many scores, and work on many rows shared by the cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int64

PIECE = 256  # scores of which `highest` looks at the largest first


def highest(scores: Float32[np.ndarray, " n"], k: int) -> Int64[np.ndarray, " k"]:
    """Where the k highest scores stand, highest first, and those that come first where scores are equal.

    The k-th highest of the maxima of pieces is a lower bound for the k-th highest of all, and few scores reach it; finding
    them is several times quicker than partitioning everything.
    """
    if k <= 0:
        return np.zeros(0, np.int64)
    whole = len(scores) // PIECE * PIECE
    maxima = scores[:whole].reshape(-1, PIECE).max(axis=1)
    if len(maxima) >= 4 * k:
        bound = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
        candidates = np.flatnonzero(scores >= bound)
    else:
        candidates = np.arange(len(scores))
    if len(candidates) > 4 * k:  # many equal scores, or few words
        bound = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
        candidates = candidates[scores[candidates] >= bound]
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    return candidates[order].astype(np.int64)


def shared(work: Callable[[int, int], None], bounds: Sequence[int]) -> None:
    """Call work(first row, row after the last) for each two neighbours of `bounds`, each in a thread of its own."""
    if len(bounds) == 2:
        work(bounds[0], bounds[1])
        return
    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        for done in [pool.submit(work, start, stop) for start, stop in pairwise(bounds)]:
            done.result()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
