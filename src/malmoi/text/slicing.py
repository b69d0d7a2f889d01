"""Text as tokenizers take it: in NFC, and in parts of bounded length; and how long it is."""

import re
import unicodedata
from collections.abc import Iterator

from malmoi.errors import DataError

SLICE_LENGTH = 2**14  # characters that a library reads at once, so that its memory does not grow with the line
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
