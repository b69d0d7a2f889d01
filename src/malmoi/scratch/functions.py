"""Functions that several layers share. None of them overflows, whatever finite numbers go in."""

import numpy as np

from malmoi.scratch.checks import Array, Ids, check_ids, check_shape


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
