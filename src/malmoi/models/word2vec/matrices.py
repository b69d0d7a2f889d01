"""The two matrices of word2vec: how they begin, and what is kept of them.

Rows are padded with columns of 0 to a whole number of blocks while they are trained.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.state import all_finite

ROWS_AT_ONCE = 4096


def padded_width(dim: int) -> int:
    return -(-dim // kernels.BLOCK) * kernels.BLOCK


def first_matrices(
    counts: NDArray[np.int64], n_rows: int, dim: int, seed: int, initial: tuple[Any, Any] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs (n_rows, width), even within 1/2D of 0, and outputs (V, width), 0; or copies of the given ones.

    Args:
        n_rows: V, or more with subwords.

    Raises:
        DataError: If the given ones have another shape or are not finite.
    """
    inputs = np.zeros((n_rows, padded_width(dim)), np.float32)
    outputs = np.zeros((len(counts), padded_width(dim)), np.float32)
    if initial is None:
        rng = np.random.default_rng(seed)
        for first in range(0, n_rows, ROWS_AT_ONCE):
            part = inputs[first : first + ROWS_AT_ONCE, :dim]
            part[:] = (rng.random(part.shape, np.float32) - np.float32(0.5)) / np.float32(dim)
        inputs[: len(counts)][counts == 0] = 0
        return inputs, outputs
    for name, given, own in (("inputs", initial[0], inputs), ("outputs", initial[1], outputs)):
        if given.shape != (len(own), dim):
            raise DataError(
                f"The {name} to go on from have shape {given.shape}, and {(len(own), dim)} is needed. Give one row for each "
                "token id, and the dim they were trained with."
            )
        if not all_finite(given):
            raise DataError(f"The {name} to go on from hold NaN or infinity. Go on from an earlier state of the model.")
        own[:, :dim] = given
    return inputs, outputs


def trimmed(matrix: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """The first `dim` columns as a matrix of their own, in the memory of the old one."""
    n_rows, width = matrix.shape
    if width == dim:
        return matrix
    flat = matrix.reshape(-1)
    kernels.drop_padding(flat, n_rows, width, dim)
    return flat[: n_rows * dim].reshape(n_rows, dim)
