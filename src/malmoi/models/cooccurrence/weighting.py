"""From counts to associations: how much more often two words meet than two words that know nothing of each other.

    PMI(w, c) = log P(w, c) / (P(w) P(c))

Only the pairs that were seen are stored. PMI of the others is minus infinity, and PPMI, the positive part, is 0 there, which is
what a sparse matrix leaves out: nothing is ever made dense.

Source: Church & Hanks 1990 for PMI; Bullinaria & Levy 2007 for its positive part; Levy & Goldberg 2014 for the shift; Levy,
Goldberg & Dagan 2015, section 3.2, for smoothing the contexts.

Shapes: W words (rows), C contexts (columns).
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_matrix

from malmoi.errors import ConfigError, DataError
from malmoi.jit import compiled


def pmi(
    counts: csr_matrix,
    *,
    smoothing: float = 1.0,
    unit: Literal["nats", "bits"] = "nats",
    dtype: DTypeLike | None = None,
) -> csr_matrix:
    """Pointwise mutual information of the pairs that occur.

    Args:
        counts: How often each word (row) meets each context (column).
        smoothing: P(c) is proportional to the context's count raised to this (alpha); 0.75 takes from rare contexts what
            PMI gives them too much.
        unit: Of the logarithm.
        dtype: Of the result; left out, that of the counts, and float64 for whole numbers.

    Returns:
        A matrix with a value wherever `counts` has one above 0.

    Raises:
        ConfigError: If smoothing is not above 0 and at most 1.
        DataError: If a count is negative, NaN or infinite, or none is above 0.
    """
    return _associations(counts, smoothing, 0.0, unit, -math.inf, dtype)


def ppmi(
    counts: csr_matrix,
    *,
    smoothing: float = 1.0,
    shift: float = 1.0,
    unit: Literal["nats", "bits"] = "nats",
    dtype: DTypeLike | None = None,
) -> csr_matrix:
    """The positive part of PMI - log shift.

    Args:
        shift: What skip-gram calls the number of negatives (k); 1 shifts by nothing.
        counts, smoothing, unit, dtype: As for `pmi`.

    Raises:
        ConfigError: If shift is below 1, or smoothing is not above 0 and at most 1.
        DataError: As for `pmi`.
    """
    if not 1 <= shift < math.inf:
        raise ConfigError(
            f"shift={shift} does not fit: a finite number of 1 or more was expected; 1 shifts by nothing."
        )
    return _associations(counts, smoothing, math.log(shift), unit, 0.0, dtype)


def _associations(
    counts: csr_matrix, smoothing: float, log_shift: float, unit: str, above: float, dtype: DTypeLike | None
) -> csr_matrix:
    """PMI - log_shift where it is more than `above`."""
    if not 0 < smoothing <= 1:
        raise ConfigError(
            f"smoothing={smoothing} does not fit: above 0 and at most 1 was expected; 1 smooths nothing, 0.75 is common."
        )
    if counts.nnz and not (np.isfinite(counts.data).all() and counts.data.min() >= 0):
        raise DataError(
            "The counts hold a negative number, NaN or infinity; numbers of 0 or more were expected. Count again."
        )
    rows = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    contexts = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() ** smoothing
    if not rows.any():
        raise DataError("No pair was counted, so there is nothing to weigh. Give counts with a number above 0.")
    with np.errstate(divide="ignore"):  # a row or column without any count is never looked up
        log_rows, log_contexts = np.log(rows) + log_shift, np.log(contexts / contexts.sum())
    logs = (log_rows, log_contexts, 1 / math.log(2) if unit == "bits" else 1.0)
    arrays = (counts.indptr, counts.indices, counts.data)
    starts = np.zeros(len(counts.indptr), counts.indptr.dtype)
    _count_kept(*arrays, *logs, above, starts)
    np.cumsum(starts, out=starts)
    values = np.empty(int(starts[-1]), np.result_type(counts.dtype, np.float32) if dtype is None else dtype)
    columns = np.empty(len(values), counts.indices.dtype)
    _keep(*arrays, *logs, above, starts, columns, values)
    return csr_matrix((values, columns, starts), shape=counts.shape)


@compiled(inline=True)
def _association(count, log_row, log_context, scale):  # type: ignore[no-untyped-def]
    return (np.log(np.float64(count)) - log_row - log_context) * scale


@compiled()
def _count_kept(  # type: ignore[no-untyped-def]
    starts, columns, counts: NDArray[Any], log_rows, log_contexts, scale, above, n_kept
):
    """n_kept[row + 1]: how many associations of a row are more than `above`; they are worked out twice, to save memory."""
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            n_kept[row + 1] += _association(counts[k], log_rows[row], log_contexts[columns[k]], scale) > above


@compiled()
def _keep(  # type: ignore[no-untyped-def]
    starts, columns, counts: NDArray[Any], log_rows, log_contexts, scale, above, new_starts, new_columns, values
):
    """Fill in those that are more than `above`."""
    for row in range(len(starts) - 1):
        n = new_starts[row]
        for k in range(starts[row], starts[row + 1]):
            value = _association(counts[k], log_rows[row], log_contexts[columns[k]], scale)
            if value > above:
                new_columns[n] = columns[k]
                values[n] = value
                n += 1
