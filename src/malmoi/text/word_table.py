"""Words to ids in compiled code: a hash table over their UTF-8 bytes, walked without making a string of each word.

A Python loop with a dictionary takes a hundred nanoseconds for each word; reading a text, and scoring it with a model that only
looks things up, are then mostly that.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int32, UInt8
from numpy.typing import NDArray

from malmoi.jit import compiled

EMPTY = -1


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

    def encode(self, lines: Sequence[str], unknown: int, line_end: int) -> Int32[np.ndarray, " tokens"]:
        """The ids of all words of these lines, cut at white space as `str.split` does, and `line_end` after each line."""
        data = np.frombuffer(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"), np.uint8)
        found = np.empty(len(data), np.int32)
        n_found = _encode(data, self._bytes, self._ends, self._ids, self._slots, unknown, line_end, found)
        return found[:n_found].copy()


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


@compiled()
def _slot(data, begin, end, table, ends, slots):  # type: ignore[no-untyped-def]
    """Where the word data[begin:end] stands among the slots, or the empty slot where it would."""
    code = np.uint64(14695981039346656037)  # FNV-1a, then mixed
    for i in range(begin, end):
        code = (code ^ np.uint64(data[i])) * np.uint64(1099511628211)
    code ^= code >> np.uint64(32)
    mask = len(slots) - 1
    place = np.int64(code & np.uint64(mask))
    while slots[place] >= 0:
        word = slots[place]
        first = ends[word - 1] if word else 0
        if ends[word] - first == end - begin:
            i = 0
            while i < end - begin and table[first + i] == data[begin + i]:
                i += 1
            if i == end - begin:
                return place
        place = (place + 1) & mask
    return place


@compiled()
def _fill(table, ends, slots):  # type: ignore[no-untyped-def]
    begin = np.int64(0)
    for word in range(len(ends)):
        slots[_slot(table, begin, ends[word], table, ends, slots)] = word
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
) -> int:
    """Fill `found` with ids; how many there are. The data end with a line break."""
    n_found, begin, i = 0, 0, 0
    while i < len(data):
        width = _space(data, i)
        if not width:
            i += 1
            continue
        if i > begin:
            word = slots[_slot(data, begin, i, table, ends, slots)]
            found[n_found] = ids[word] if word >= 0 else unknown
            n_found += 1
        if data[i] == 10:
            found[n_found] = line_end
            n_found += 1
        i += width
        begin = i
    return n_found
