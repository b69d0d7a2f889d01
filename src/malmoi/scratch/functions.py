"""Functions that several layers share. None of them overflows, whatever finite numbers go in."""

import math
from collections.abc import Iterator

import numpy as np

from malmoi.scratch.checks import Array, Ids, check_ids, check_shape

BLOCK = 1 << 22  # numbers of a table that are turned into another precision at a time


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), any shape. The exponent is kept below 0, where e^x cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)  # type: ignore[no-any-return]


def softplus(x: Array) -> Array:
    """log(1 + e^x), any shape: -log sigmoid(-x)."""
    return np.logaddexp(x, 0)  # type: ignore[no-any-return]


def softmax(x: Array) -> Array:
    """e^x_i / sum_j e^x_j over the last axis. Subtracting the largest x first changes nothing but the overflow."""
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y  # type: ignore[no-any-return]


def log_softmax(x: Array) -> Array:
    """log softmax(x) over the last axis, x_i - log sum_j e^x_j: exact also where softmax(x) rounds to 0."""
    shifted = x - x.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted  # type: ignore[no-any-return]


def scores_in_blocks(W: Array, h: Array) -> Array:
    """W h, (V, D) and (D,) -> (V,), in the precision of h: where W is stored in a lower one, some of its rows at a time are
    turned into it, so that a large table is never copied whole.
    """
    found = np.empty(len(W), h.dtype)
    for rows in _blocks(W):
        found[rows] = W[rows].astype(h.dtype, copy=False) @ h
    return found


def back_in_blocks(d: Array, W: Array) -> Array:
    """d W, (V,) and (V, D) -> (D,), the way back of `scores_in_blocks`."""
    found = np.zeros(W.shape[1], d.dtype)
    for rows in _blocks(W):
        found += d[rows] @ W[rows].astype(d.dtype, copy=False)
    return found


def _blocks(W: Array) -> Iterator[slice]:
    n_rows = max(1, BLOCK // max(1, W.shape[1]))
    return (slice(begin, begin + n_rows) for begin in range(0, len(W), n_rows))


def length(array: Array) -> float:
    """Of an array, as one vector; its squares are added up in float64."""
    flat = array.ravel()
    return math.sqrt(float(np.einsum("i,i->", flat, flat, dtype=np.float64)))


def cross_entropy(log_probs: Array, ids: Ids) -> float:
    """Mean of -log P(id), in nats.

    Args:
        log_probs: (..., V), natural logarithms of probabilities.
        ids: (...), the right answer at each place.

    Raises:
        ConfigError, DataError: If the shapes do not fit, or an id is out of range.
    """
    check_shape("ids", ids, log_probs.shape[:-1], f"log_probs has shape {log_probs.shape}")
    check_ids(ids, log_probs.shape[-1])
    return float(-np.take_along_axis(log_probs, ids[..., None], axis=-1).mean())


def sum_rows_by_id(rows: Array, ids: Ids, out: Array) -> None:
    """out[v] = the sum of all rows whose id is v, and 0 where there is none; what stood in `out` is overwritten.

    Rows of the same id are brought together by sorting and added up in one pass: `np.add.at` does the same, but one number
    after the other.

    Args:
        rows: (M, D).
        ids: (M,), a row of `out` for each row.
        out: (V, D).
    """
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    out[...] = 0
    out[in_order[starts]] = np.add.reduceat(rows[order], starts, axis=0)
