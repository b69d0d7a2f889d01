"""Compiled loops over stored rows: dot products with one query, without a float32 copy of the rows.

A row of 100 int8 is a quarter of the bytes of one in float32, and reading from memory is what takes the time.

Shapes: V rows, D numbers each.
"""

import numpy as np
from numpy.typing import NDArray

from malmoi.jit import compiled

HALF_FACTOR = np.float32(2.0**112)  # what `half_dots` leaves out: 2 ** (127 - 15), the exponents' biases


@compiled()
def code_dots(rows: NDArray[np.int8], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[v] = rows[v] . query"""
    for v in range(rows.shape[0]):
        total = np.float32(0)
        for d in range(rows.shape[1]):
            total += np.float32(rows[v, d]) * query[d]
        out[v] = total


@compiled()
def half_dots(bits: NDArray[np.int16], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[v] = rows[v] . query / HALF_FACTOR for rows of finite float16, given by their bits.

    Sign, exponent and fraction move to where float32 has them; only the bias of the exponent is then wrong, by the same factor
    for every number, so that the query can carry it.
    """
    for v in range(bits.shape[0]):
        total = np.float32(0)
        for d in range(bits.shape[1]):
            wide = np.int32(bits[v, d])  # its sign is extended to the left, and the sign bit stays
            moved = np.int32((wide & np.int32(-2147483648)) | ((wide & np.int32(0x7FFF)) << np.int32(13)))
            total += moved.view(np.float32) * query[d]
        out[v] = total
