"""Text as tokenizers take it: in NFC, and in parts of bounded length; and how long it is."""

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.shapes import Int64

SLICE_LENGTH = 2**14  # characters that a library reads at once, so that its memory does not grow with the line
WORTH_COMPILING = 2**15  # characters: for less, loading compiled code takes longer than Python does
LAST_SPACE = 0x3000
_INNER_SPACE = re.compile(r"(?<=\S) (?=\S)")


def to_nfc(text: str) -> str:
    """The text in NFC, which is all that happens to it before it is cut.

    Raises:
        DataError: If it holds half a surrogate pair, which is no character and has no UTF-8 form.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        place = error.start - text.rfind("\n", 0, error.start)  # in its line, from 1
        raise DataError(
            f"The text holds U+{ord(text[error.start]):04X} at character {place}, half of a surrogate pair. "
            "Expected Unicode characters, which UTF-8 can hold. Remove it, or read the file with errors='replace'."
        ) from None
    return unicodedata.normalize("NFC", text)


def slices(line: str) -> Iterator[str]:
    """The line in parts of at most SLICE_LENGTH characters, each beginning with a space between words if there is one.

    No token of bpe or unigram crosses such a space, so their tokens of the parts are their tokens of the line.
    """
    begin = 0
    while len(line) - begin > SLICE_LENGTH:
        end = begin + SLICE_LENGTH
        for space in _INNER_SPACE.finditer(line, begin + 1, end):
            end = space.start()
        yield line[begin:end]
        begin = end
    yield line[begin:]


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
