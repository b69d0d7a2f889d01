"""Words to ids, and the sizes of lines, in compiled code: UTF-8 bytes are walked without making a string of each word.

A Python loop with a dictionary takes a hundred nanoseconds for each word; reading a text, and scoring it with a model that only
looks things up, are then mostly that.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

from malmoi.jit import compiled
from malmoi.text.vocabulary import Encoded

EMPTY = -1
SEED = np.uint64(14695981039346656037)


class WordTable:
    """A dictionary from words to ids.

    Args:
        ids: The id, 0 or more, of each word.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        encoded = [word.encode("utf-8", "surrogatepass") for word in ids]
        self._bytes = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        self._ends = np.cumsum([len(word) for word in encoded] or [0], dtype=np.int64)
        self._ids = np.fromiter(ids.values(), np.int32, len(ids))
        self._slots = np.full(1 << max(4, (2 * len(encoded)).bit_length()), EMPTY, np.int64)  # at most half full
        if encoded:
            _fill(self._bytes, self._ends, self._slots)

    def encode(self, text: str, unknown: int, line_end: int) -> Encoded:
        """All words of these lines, cut at white space as `str.split` does, and `line_end` after each line.

        Args:
            text: Lines with a line break between them.
            unknown: The id of words that are not in the table.
            line_end: The id of a line's end.
        """
        data = _bytes(text)
        found = np.empty(len(data), np.int32)
        missing = np.empty((len(data) // 2, 2), np.int64)  # where unknown words begin and end
        n_found, n_missing = _encode(
            data, self._bytes, self._ends, self._ids, self._slots, unknown, line_end, found, missing
        )
        which, n_distinct = _distinct(data, missing[:n_missing])  # `missing` begins with the distinct ones now
        words = [
            data[begin:end].tobytes().decode("utf-8", "surrogatepass") for begin, end in missing[:n_distinct].tolist()
        ]
        return Encoded(found[:n_found].copy(), words, which)


def count_units(text: str) -> Int64[np.ndarray, "lines 3"]:
    """Words, as `str.split` has them, characters and UTF-8 bytes of each line, of lines with a line break between them.

    Characters and bytes include one for the end of the line.
    """
    return _count_units(_bytes(text), text.count("\n") + 1)


def _bytes(text: str) -> UInt8[np.ndarray, " bytes"]:
    return np.frombuffer((text + "\n").encode("utf-8", "surrogatepass"), np.uint8)


@compiled()
def _space(data, i):  # type: ignore[no-untyped-def]
    """How many bytes the white space at i takes, as `str.split` has it; 0 if there is none."""
    byte = data[i]
    if byte <= 32:
        return 1 if byte == 32 or 9 <= byte <= 13 or byte >= 28 else 0
    if byte == 0xC2:
        return 2 if data[i + 1] == 0x85 or data[i + 1] == 0xA0 else 0
    if byte == 0xE1:
        return 3 if data[i + 1] == 0x9A and data[i + 2] == 0x80 else 0
    if byte == 0xE2 and data[i + 1] == 0x80:
        last = data[i + 2]
        return 3 if last <= 0x8A or last == 0xA8 or last == 0xA9 or last == 0xAF else 0
    if byte == 0xE2 and data[i + 1] == 0x81:
        return 3 if data[i + 2] == 0x9F else 0
    if byte == 0xE3:
        return 3 if data[i + 1] == 0x80 and data[i + 2] == 0x80 else 0
    return 0


@compiled(inline=True)
def _mixed(code, byte):  # type: ignore[no-untyped-def]
    """FNV-1a: the hash of a word that goes on with this byte."""
    return (code ^ np.uint64(byte)) * np.uint64(1099511628211)


@compiled()
def _hash(data, begin, end):  # type: ignore[no-untyped-def]
    code = SEED
    for i in range(begin, end):
        code = _mixed(code, data[i])
    return code


@compiled()
def _is_same(data, begin, end, others, first, after):  # type: ignore[no-untyped-def]
    """Whether data[begin:end] is others[first:after]."""
    if end - begin != after - first:
        return False
    i = 0
    while i < end - begin and data[begin + i] == others[first + i]:
        i += 1
    return i == end - begin


@compiled()
def _slot(code, data, begin, end, table, ends, slots):  # type: ignore[no-untyped-def]
    """Where the word data[begin:end], whose hash is `code`, stands among the slots, or the empty slot where it would."""
    mask = len(slots) - 1
    place = np.int64((code ^ (code >> np.uint64(32))) & np.uint64(mask))
    while slots[place] >= 0:
        word = slots[place]
        if _is_same(data, begin, end, table, ends[word - 1] if word else 0, ends[word]):
            return place
        place = (place + 1) & mask
    return place


@compiled()
def _fill(table, ends, slots):  # type: ignore[no-untyped-def]
    begin = np.int64(0)
    for word in range(len(ends)):
        slots[_slot(_hash(table, begin, ends[word]), table, begin, ends[word], table, ends, slots)] = word
        begin = ends[word]


@compiled()
def _encode(
    data: UInt8[np.ndarray, " bytes"],
    table: NDArray[np.uint8],
    ends: NDArray[np.int64],
    ids: NDArray[np.int32],
    slots: NDArray[np.int64],
    unknown: int,
    line_end: int,
    found: NDArray[np.int32],
    missing: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill `found` with ids and `missing` with places of unknown words; how many of both. The data end with a line break."""
    n_found, n_missing, begin, i, code = 0, 0, 0, 0, SEED
    while i < len(data):
        width = 0 if 32 < data[i] < 0xC2 else _space(data, i)
        if not width:
            code = _mixed(code, data[i])
            i += 1
            continue
        if i > begin:
            word = slots[_slot(code, data, begin, i, table, ends, slots)]
            if word >= 0:
                found[n_found] = ids[word]
            else:
                found[n_found] = unknown
                missing[n_missing] = begin, i
                n_missing += 1
            n_found += 1
        if data[i] == 10:
            found[n_found] = line_end
            n_found += 1
        i += width
        begin, code = i, SEED
    return n_found, n_missing


@compiled()
def _distinct(data: UInt8[np.ndarray, " bytes"], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """For each place the number of its word, by first appearance, and how many there are; their places go to the front."""
    which = np.empty(len(places), np.int64)
    size = 16
    while size < 2 * len(places):
        size *= 2
    slots = np.full(size, EMPTY, np.int64)
    n_distinct = 0
    for place in range(len(places)):
        begin, end = places[place]
        code = _hash(data, begin, end)
        slot = np.int64((code ^ (code >> np.uint64(32))) & np.uint64(size - 1))
        while slots[slot] >= 0 and not _is_same(data, begin, end, data, places[slots[slot], 0], places[slots[slot], 1]):
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = n_distinct
            places[n_distinct] = begin, end
            n_distinct += 1
        which[place] = slots[slot]
    return which, n_distinct


@compiled()
def _count_units(data: UInt8[np.ndarray, " bytes"], n_lines: int) -> NDArray[np.int64]:
    counts = np.zeros((n_lines, 3), np.int64)
    line, i, in_word = 0, 0, False
    while i < len(data):
        width = _space(data, i)
        if width:
            counts[line, 1] += 1
            counts[line, 2] += width
            in_word = False
            if data[i] == 10:
                line += 1
            i += width
            continue
        counts[line, 0] += not in_word
        counts[line, 1] += (data[i] & 0xC0) != 0x80  # not a byte that goes on with a character
        counts[line, 2] += 1
        in_word = True
        i += 1
    return counts
