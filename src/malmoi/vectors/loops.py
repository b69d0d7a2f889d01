"""Compiled loops over stored rows: dot products with a query, without a float32 copy of the rows.

A row of 100 int8 is a quarter of the bytes of one in float32, and reading from memory is what takes the time. Numbers that
have to become float32 first are read in eight rows at a time, so that no addition has to wait for the one before.

Shapes: V rows, D numbers each; sparse rows hold N numbers in all. Q queries.
"""

import numpy as np
from numpy.typing import NDArray

from malmoi.jit import compiled

HALF_FACTOR = np.float32(2.0**112)  # what `half_dots` leaves out: 2 ** (127 - 15), the exponents' biases
TOGETHER = 8  # rows
SIGN, REST, MOVE = np.int32(-2147483648), np.int32(0x7FFF), np.int32(13)


@compiled()
def plain_dots(rows: NDArray[np.float32], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[v] = rows[v] . query"""
    for v in range(len(rows)):
        total = np.float32(0)
        for i in range(rows.shape[1]):
            total += rows[v, i] * query[i]
        out[v] = total


@compiled()
def code_dots(rows: NDArray[np.int8], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[v] = rows[v] . query"""
    whole = len(rows) - len(rows) % TOGETHER
    for v in range(0, whole, TOGETHER):
        a = b = c = d = e = f = g = h = np.float32(0)
        for i in range(rows.shape[1]):
            q = query[i]
            a += np.float32(rows[v, i]) * q
            b += np.float32(rows[v + 1, i]) * q
            c += np.float32(rows[v + 2, i]) * q
            d += np.float32(rows[v + 3, i]) * q
            e += np.float32(rows[v + 4, i]) * q
            f += np.float32(rows[v + 5, i]) * q
            g += np.float32(rows[v + 6, i]) * q
            h += np.float32(rows[v + 7, i]) * q
        out[v], out[v + 1], out[v + 2], out[v + 3] = a, b, c, d
        out[v + 4], out[v + 5], out[v + 6], out[v + 7] = e, f, g, h
    for v in range(whole, len(rows)):
        a = np.float32(0)
        for i in range(rows.shape[1]):
            a += np.float32(rows[v, i]) * query[i]
        out[v] = a


@compiled(inline=True)
def widened(bits):  # type: ignore[no-untyped-def]
    """A float16, given by its bits, as a float32 that is too small by HALF_FACTOR.

    Sign, exponent and fraction move to where float32 has them; only the bias of the exponent is then wrong, by the same factor
    for every finite number, so that the query can carry it.
    """
    wide = np.int32(bits)  # its sign is extended to the left, and the sign bit stays
    return np.int32((wide & SIGN) | ((wide & REST) << MOVE)).view(np.float32)


@compiled()
def half_dots(bits: NDArray[np.int16], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[v] = rows[v] . query / HALF_FACTOR for rows of finite float16, given by their bits."""
    whole = len(bits) - len(bits) % TOGETHER
    for v in range(0, whole, TOGETHER):
        a = b = c = d = e = f = g = h = np.float32(0)
        for i in range(bits.shape[1]):
            q = query[i]
            a += widened(bits[v, i]) * q
            b += widened(bits[v + 1, i]) * q
            c += widened(bits[v + 2, i]) * q
            d += widened(bits[v + 3, i]) * q
            e += widened(bits[v + 4, i]) * q
            f += widened(bits[v + 5, i]) * q
            g += widened(bits[v + 6, i]) * q
            h += widened(bits[v + 7, i]) * q
        out[v], out[v + 1], out[v + 2], out[v + 3] = a, b, c, d
        out[v + 4], out[v + 5], out[v + 6], out[v + 7] = e, f, g, h
    for v in range(whole, len(bits)):
        a = np.float32(0)
        for i in range(bits.shape[1]):
            a += widened(bits[v, i]) * query[i]
        out[v] = a


# Sparse rows: numbers starts[v] to starts[v + 1] are those of row v


@compiled()
def sparse_norms(starts, numbers, out):  # type: ignore[no-untyped-def]
    """out[v] = the length of row v, or NaN or infinity if one of its numbers is."""
    for v in range(len(out)):
        total = 0.0
        for i in range(starts[v], starts[v + 1]):
            total += np.float64(numbers[i]) * np.float64(numbers[i])
        out[v] = np.sqrt(total)


@compiled()
def sparse_dots(starts, columns, numbers, query, out):  # type: ignore[no-untyped-def]
    """out[v] = row v . query (D,)."""
    for v in range(len(out)):
        total = np.float32(0)
        for i in range(starts[v], starts[v + 1]):
            total += numbers[i] * query[columns[i]]
        out[v] = total


@compiled()
def sparse_products(starts, columns, numbers, queries, out):  # type: ignore[no-untyped-def]
    """out[v] (Q,) = row v . queries (D, Q); quickest for a few dozen queries, whose sums stay in the first cache."""
    for v in range(len(out)):
        sums = out[v]
        sums[:] = 0
        for i in range(starts[v], starts[v + 1]):
            number, query = numbers[i], queries[columns[i]]
            for q in range(len(sums)):
                sums[q] += number * query[q]


@compiled()
def first_bad_row(starts, columns, n_columns):  # type: ignore[no-untyped-def]
    """The first row whose bounds or columns are wrong, or not in rising order; -1 if there is none."""
    n_numbers = len(columns)
    for v in range(len(starts) - 1):
        if starts[v] < 0 or starts[v + 1] < starts[v] or starts[v + 1] > n_numbers:
            return v
        before = -1
        for i in range(starts[v], starts[v + 1]):
            if columns[i] <= before or columns[i] >= n_columns:
                return v
            before = columns[i]
    return -1
