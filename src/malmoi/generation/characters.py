"""Which tokens may stand next so that what is generated stays made of whole characters.

Tokens that are bytes, or begin or end inside a character, can follow each other in ways that are no UTF-8; a model gives those
some probability, too. Here a token is allowed where the bytes so far and its own begin some text.
"""

import codecs
from collections.abc import Sequence

import numpy as np

from malmoi.shapes import Bool

LONGEST_TAIL = 3  # bytes of a character that is not whole yet


class WholeCharacters:
    """The tokens of one vocabulary.

    Args:
        surfaces: The bytes that each token adds to a text.
    """

    def __init__(self, surfaces: Sequence[bytes]) -> None:
        self._surfaces = surfaces
        self._torn = [
            i for i, surface in enumerate(surfaces) if not _is_text(surface)
        ]  # they depend on what came before
        self._allowed: dict[bytes, Bool[np.ndarray, " vocab"]] = {}

    def allowed(self, tail: bytes) -> Bool[np.ndarray, " vocab"]:
        """True at tokens that may follow; `tail` begins a character that is not whole yet, b"" if there is none."""
        found = self._allowed.get(tail)
        if found is None:
            found = np.full(len(self._surfaces), not tail)
            found[self._torn] = [begins_text(tail + self._surfaces[i]) for i in self._torn]
            self._allowed[tail] = found
        return found

    def tail_after(self, tail: bytes, token_id: int) -> bytes:
        """What is not whole yet after one more token."""
        return tail_of(tail + self._surfaces[token_id])


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def begins_text(data: bytes) -> bool:
    """Whether some continuation makes it UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return False
    return True


def tail_of(data: bytes) -> bytes:
    """The last bytes, where they begin a character that is not whole yet."""
    for length in range(1, min(LONGEST_TAIL, len(data)) + 1):
        tail = data[-length:]
        if tail[0] >= 0xC0:  # the first byte of a character of several
            return tail if begins_text(tail) and not _is_text(tail) else b""
        if tail[0] < 0x80:
            return b""
    return b""
