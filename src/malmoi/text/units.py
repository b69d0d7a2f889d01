"""How long lines are, in every unit that a figure may be per: words, characters, bytes."""

import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from malmoi.shapes import Int64

WORTH_COMPILING = 2**15  # characters: for less, loading compiled code takes longer than Python does


LAST_SPACE = 0x3000


def count_units(lines: Sequence[str]) -> Int64[np.ndarray, "lines 3"]:
    """Words (what `str.split` parts), characters and UTF-8 bytes of each line; the last two with one for the line's end."""
    if sum(map(len, lines)) <= WORTH_COMPILING:
        counts = [(len(line.split()), len(line) + 1, len(line.encode()) + 1) for line in lines]
        return np.array(counts, np.int64).reshape(len(lines), 3)
    if (
        "malmoi.text.word_table" in sys.modules
    ):  # where words are looked up the compiled code is there; else it is not worth it
        from malmoi.text.word_table import count_units

        return count_units("\n".join(lines))
    return count_at_once("\n".join(lines))


def count_at_once(text: str) -> Int64[np.ndarray, "lines 3"]:
    """The same of lines with a line break between them, as arrays of code points."""
    points = np.frombuffer((text + "\n").encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    is_space = _white_space()[np.minimum(points, LAST_SPACE + 1)]
    ends_word = is_space & ~np.append(True, is_space[:-1])
    widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    totals = np.stack([np.cumsum(ends_word), np.arange(1, len(points) + 1), np.cumsum(widths)], axis=1)
    return np.diff(totals[points == ord("\n")], axis=0, prepend=0)


@cache
def _white_space() -> NDArray[np.bool_]:
    """Which code points `str.split` splits at; no later one does."""
    return np.array([chr(point).isspace() for point in range(LAST_SPACE + 2)])
