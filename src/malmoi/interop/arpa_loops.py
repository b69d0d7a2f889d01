"""Compiled loops of `arpa.py`: lines of bytes to numbers and words, and back; the order of n-grams.

None of them checks its arguments. A line ends with a line feed, also the last one of a block.

The words of a model lie one after another in `letters`, with a line feed after each: word i is
letters[starts[i] : starts[i + 1] - 1]. An open-addressing table finds them: `slots` holds word numbers, -1 where it is free,
and `codes` the hash of each word. The hash begins with a random `seed`, so that nobody can write a file in which all words
collide.
"""

import math

import numpy as np
from numpy.typing import NDArray

from malmoi.jit import compiled

LN10 = math.log(10)
LONGEST_NUMBER = 24  # bytes that a written number takes at most
CLOSE = 1e-13  # relative, in float64: a reader may round the last steps in another way
LOG_ZERO = -99.0  # how log 0 is written

# Why reading stopped
(
    END,  # of the block
    FULL,  # there is a line, and no room for it
    SECTION,  # a line that begins with a backslash
    NOT_A_NUMBER,
    NAN,
    POSITIVE,
    FEW_WORDS,
    MANY_FIELDS,
    NOT_A_BACKOFF,
    TOP_BACKOFF,
    NUL,
    UNKNOWN_WORD,
) = range(12)

_TAB, _FEED, _RETURN, _SPACE, _PLUS, _MINUS, _POINT, _ZERO, _BACKSLASH = b"\t\n\r +-.0\\"
_E, _I, _N, _F, _A = b"einfa"
_POWERS = 10.0 ** np.arange(23)  # exact
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF, _ONE = np.uint64(32), np.uint64(1)
_MOST_DIGITS = 10**17  # of a mantissa that a number is read into


@compiled()
def _scaled(value, exponent):  # type: ignore[no-untyped-def]
    """value times ten to the power of exponent."""
    if exponent < -22 or exponent > 22:
        return value * 10.0**exponent
    if exponent < 0:
        return value / _POWERS[-exponent]
    return value * _POWERS[exponent]


@compiled()
def _is_gap(byte):  # type: ignore[no-untyped-def]
    return byte in (_SPACE, _TAB)


# Reading


@compiled()
def _number(data, begin, stop):  # type: ignore[no-untyped-def]
    """(the number at `begin`, where it ends); it ends at `begin` if there is none."""
    at = begin
    is_negative = at < stop and data[at] == _MINUS
    if at < stop and (data[at] == _MINUS or data[at] == _PLUS):
        at += 1
    if at + 3 <= stop:
        a, b, c = data[at] | 32, data[at + 1] | 32, data[at + 2] | 32
        if a == _I and b == _N and c == _F:
            return (-np.inf if is_negative else np.inf), at + 3
        if a == _N and b == _A and c == _N:
            return np.nan, at + 3
    mantissa, exponent, n_digits = np.int64(0), np.int64(0), 0
    is_fraction = False
    while at < stop:
        digit = np.int64(data[at]) - _ZERO
        if 0 <= digit <= 9:
            n_digits += 1
            if mantissa < _MOST_DIGITS:
                mantissa = 10 * mantissa + digit
                if is_fraction:
                    exponent -= 1
            elif not is_fraction:
                exponent += 1
        elif data[at] == _POINT and not is_fraction:
            is_fraction = True
        else:
            break
        at += 1
    if n_digits == 0:
        return 0.0, begin
    if at < stop and (data[at] | 32) == _E:
        mark = at
        at += 1
        is_small = at < stop and data[at] == _MINUS
        if at < stop and (data[at] == _MINUS or data[at] == _PLUS):
            at += 1
        power, first = np.int64(0), at
        while at < stop and 0 <= np.int64(data[at]) - _ZERO <= 9:
            power = min(10 * power + np.int64(data[at]) - _ZERO, np.int64(10_000))
            at += 1
        if at == first:
            at = mark  # no digits after the e, so that it does not belong to the number
        else:
            exponent += -power if is_small else power
    value = _scaled(np.float64(mantissa), exponent) if mantissa else 0.0
    return (-value if is_negative else value), at


@compiled()
def _code(letters, begin, stop, seed):  # type: ignore[no-untyped-def]
    """The hash of a word (Fowler-Noll-Vo, then mixed so that every bit depends on every other)."""
    code = seed
    for at in range(begin, stop):
        code = (code ^ np.uint64(letters[at])) * _PRIME
    code = (code ^ (code >> _HALF)) * _MIX
    return code ^ (code >> _HALF)


@compiled()
def _word(data, begin, stop, code, letters, starts, codes, slots):  # type: ignore[no-untyped-def]
    """(the number of a word, or -1; its place among the slots, or the free one where it belongs)."""
    mask = np.uint64(len(slots) - 1)
    place = code & mask
    while True:
        word = np.int64(slots[np.int64(place)])
        if word < 0:
            return np.int64(-1), np.int64(place)
        if codes[word] == code and starts[word + 1] - 1 - starts[word] == stop - begin:
            offset = starts[word] - begin
            at = begin
            while at < stop and data[at] == letters[at + offset]:
                at += 1
            if at == stop:
                return word, np.int64(place)
        place = (place + _ONE) & mask


@compiled()
def index_words(
    letters: NDArray[np.uint8],
    starts: NDArray[np.int64],
    seed: np.uint64,
    codes: NDArray[np.uint64],
    slots: NDArray[np.int32],
) -> int:
    """Fill `codes` (V,) and `slots` (a power of two above V, all -1); the first word that was there before, or -1."""
    for word in range(len(codes)):
        begin, stop = starts[word], starts[word + 1] - 1
        code = _code(letters, begin, stop, seed)
        found, place = _word(letters, begin, stop, code, letters, starts, codes, slots)
        if found >= 0:
            return word
        codes[word], slots[place] = code, word
    return -1


@compiled()
def read_lines(
    data: NDArray[np.uint8],
    at: int,
    line: int,
    is_highest: bool,
    letters: NDArray[np.uint8],
    starts: NDArray[np.int64],
    seed: np.uint64,
    codes: NDArray[np.uint64],
    slots: NDArray[np.int32],
    ids: NDArray[np.uint32],
    spans: NDArray[np.int64],
    log_probs: NDArray[np.float32],
    backoffs: NDArray[np.float32],
    lines: NDArray[np.int64],
) -> tuple[int, int, int, int, int]:
    """Read n-grams, line by line.

    Args:
        data: Whole lines.
        at: Where to begin.
        line: The number of the line there.
        is_highest: These n-grams have no back-off weight.
        ids: (m, n), filled with word numbers, for n above 1. There is room for m n-grams.
        spans: (m, 2) for single words: where in `data` each of them begins and ends.
        log_probs: (m,), filled with ln P, -inf for log zero.
        backoffs: (m,), filled with the natural logarithms of the weights, 0 where there is none.
        lines: (m,), filled with line numbers.

    Returns:
        Why reading stopped; the beginning of the line where it did; its number; how many n-grams were read; and where in `data`
        the field begins that is wrong.
    """
    room, n_words = ids.shape
    n_read = 0
    while at < len(data):
        stop = at
        while data[stop] != _FEED:
            stop += 1
        after = stop + 1
        begin = at
        while begin < stop and (_is_gap(data[begin]) or data[begin] == _RETURN):
            begin += 1
        while stop > begin and (_is_gap(data[stop - 1]) or data[stop - 1] == _RETURN):
            stop -= 1
        if begin == stop:
            at, line = after, line + 1
            continue
        if data[begin] == _BACKSLASH:
            return SECTION, at, line, n_read, begin
        if n_read == room:
            return FULL, at, line, n_read, begin
        prob, field = _number(data, begin, stop)
        if field == begin or (field < stop and not _is_gap(data[field])):
            return NOT_A_NUMBER, at, line, n_read, begin
        if prob != prob:
            return NAN, at, line, n_read, begin
        if prob > 0:
            return POSITIVE, at, line, n_read, begin
        is_tabbed = field < stop and data[field] == _TAB  # then a tab parts the back-off weight from the words, too
        n_tabs = 0
        for place in range(n_words):
            n_tabs = 0
            while field < stop and _is_gap(data[field]):
                n_tabs += data[field] == _TAB
                field += 1
            if field == stop or n_tabs > 1:
                return FEW_WORDS, at, line, n_read, field
            first = field
            while field < stop and not _is_gap(data[field]):
                if data[field] == 0:
                    return NUL, at, line, n_read, first
                field += 1
            if len(slots):
                code = _code(data, first, field, seed)
                word, _ = _word(data, first, field, code, letters, starts, codes, slots)
                if word < 0:
                    return UNKNOWN_WORD, at, line, n_read, first
                ids[n_read, place] = word
            else:
                spans[n_read, 0], spans[n_read, 1] = first, field
        weight = 0.0
        if field < stop:
            n_tabs = 0
            while _is_gap(data[field]):
                n_tabs += data[field] == _TAB
                field += 1
            if is_tabbed and n_tabs == 0:
                return MANY_FIELDS, at, line, n_read, field
            weight, end = _number(data, field, stop)
            if end < stop:
                is_number = end > field and _is_gap(data[end])
                return (MANY_FIELDS if is_number else NOT_A_BACKOFF), at, line, n_read, field
            if not abs(weight) * LN10 < 3e38:
                return NOT_A_BACKOFF, at, line, n_read, field
            if is_highest and weight != 0:
                return TOP_BACKOFF, at, line, n_read, field
        log_probs[n_read] = -np.inf if prob == LOG_ZERO else np.float32(prob * LN10)
        backoffs[n_read] = np.float32(weight * LN10)
        lines[n_read] = line
        n_read += 1
        at, line = after, line + 1
    return END, at, line, n_read, at


@compiled()
def gather(data: NDArray[np.uint8], spans: NDArray[np.int64], letters: NDArray[np.uint8]) -> None:
    """Copy the parts of `data` into `letters`, with a line feed after each."""
    to = 0
    for i in range(len(spans)):
        for at in range(spans[i, 0], spans[i, 1]):
            letters[to] = data[at]
            to += 1
        letters[to] = _FEED
        to += 1


# Order


@compiled()
def sorting_order(ids: NDArray[np.uint32], n_words: int) -> NDArray[np.int64]:
    """Row numbers of `ids` (m, n) in the order of the rows; equal rows stay as they were.

    A counting sort by each word, from the last to the first.
    """
    order, other = np.arange(len(ids)), np.empty(len(ids), np.int64)
    places = np.empty(n_words + 1, np.int64)
    for column in range(ids.shape[1] - 1, -1, -1):
        places[:] = 0
        for row in range(len(ids)):
            places[ids[row, column] + 1] += 1
        for word in range(n_words):
            places[word + 1] += places[word]
        for i in range(len(order)):
            word = ids[order[i], column]
            other[places[word]] = order[i]
            places[word] += 1
        order, other = other, order
    return order


@compiled()
def _compare(left, i, right, j):  # type: ignore[no-untyped-def]
    """Below 0, 0 or above 0, as row i of `left` stands before row j of `right`, is the same, or stands after it."""
    for column in range(left.shape[1]):
        if left[i, column] != right[j, column]:
            return -1 if left[i, column] < right[j, column] else 1
    return 0


@compiled()
def first_repeated(ids: NDArray[np.uint32], order: NDArray[np.int64]) -> int:
    """The first place in `order` whose row is the same as the one before it, or -1."""
    for i in range(1, len(order)):
        if _compare(ids, order[i - 1], ids, order[i]) == 0:
            return i
    return -1


@compiled()
def locate(rows: NDArray[np.uint32], wanted: NDArray[np.uint32], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each row of `wanted` stands among the sorted `rows`, or -1; `order` is the sorting order of `wanted`."""
    found = np.empty(len(order), np.int64)
    at = 0
    for row in order:
        while at < len(rows) and _compare(rows, at, wanted, row) < 0:
            at += 1
        found[row] = at if at < len(rows) and _compare(rows, at, wanted, row) == 0 else -1
    return found


# Writing


@compiled()
def _put_digits(out, at, number, width):  # type: ignore[no-untyped-def]
    """Write a whole number with at least `width` digits; where it ends."""
    end, rest = at + 1, number
    while rest >= 10 or end - at < width:
        rest //= 10
        end += 1
    for place in range(end - 1, at - 1, -1):
        out[place] = _ZERO + number % 10
        number //= 10
    return end


@compiled()
def _put_number(out, at, nats):  # type: ignore[no-untyped-def]
    """Write a natural logarithm to base 10, with as few digits as read back to the same float32; where it ends."""
    value = np.float64(nats) / LN10
    if value == 0:
        out[at] = _ZERO
        return at + 1
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    if value == np.inf:
        return _put_digits(out, at, np.int64(-LOG_ZERO), 1)
    top = np.int64(np.floor(np.log10(value)))
    mantissa, decimals, wanted = np.int64(0), np.int64(0), np.float32(abs(nats))
    for n_digits in range(7, 10):  # nine are always enough
        decimals = n_digits - 1 - top
        mantissa = np.int64(_scaled(value, decimals) + 0.5)
        back = _scaled(np.float64(mantissa), -decimals) * LN10
        if np.float32(back * (1 - CLOSE)) == wanted and np.float32(back * (1 + CLOSE)) == wanted:
            break
    while decimals > 0 and mantissa % 10 == 0:
        mantissa //= 10
        decimals -= 1
    if decimals < 0 or decimals > 15:
        at = _put_digits(out, at, mantissa, 1)
        out[at] = _E
        at += 1
        if decimals > 0:
            out[at] = _MINUS
            at += 1
        return _put_digits(out, at, abs(decimals), 1)
    unit = np.int64(1)
    for _ in range(decimals):
        unit *= 10
    at = _put_digits(out, at, mantissa // unit, 1)
    if decimals:
        out[at] = _POINT
        at = _put_digits(out, at + 1, mantissa % unit, decimals)
    return at


@compiled()
def write_lines(
    ids: NDArray[np.uint32],
    log_probs: NDArray[np.float32],
    backoffs: NDArray[np.float32],
    letters: NDArray[np.uint8],
    starts: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Write n-grams (m, n) into `out`; how many bytes they took.

    Args:
        ids: Numbers of words, which lie in `letters`.
        log_probs: (m,), ln P.
        backoffs: (m,), natural logarithms of the weights; or (0,) for n-grams that have none.
    """
    at = 0
    for row in range(len(ids)):
        at = _put_number(out, at, log_probs[row])
        for column in range(ids.shape[1]):
            out[at] = _TAB if column == 0 else _SPACE
            at += 1
            word = np.int64(ids[row, column])
            for letter in range(starts[word], starts[word + 1] - 1):
                out[at] = letters[letter]
                at += 1
        if len(backoffs):
            out[at] = _TAB
            at = _put_number(out, at + 1, backoffs[row])
        out[at] = _FEED
        at += 1
    return at
