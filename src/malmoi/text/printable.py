"""Text as a terminal can show it, and the names by which people know tokens.

A word may hold any character that is no white space, NUL and the escape that begins a terminal's commands among them. Where it
is shown, these are written out, as \\x1b. Where it is data (running text, JSON, files) it stays as it is.
"""

import re
import unicodedata

# Controls (C0, DEL and C1), half surrogate pairs, breaks of lines and paragraphs, and signs that turn the writing direction.
_UNSHOWN = "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_A_NAME = re.compile(f"[{_UNSHOWN}]")
_IN_A_TEXT = re.compile(f"(?![\t\n])[{_UNSHOWN}]")


def printable(name: str) -> str:
    """A word or another name on one line: what a terminal would act upon is written as an escape, as \\x1b or \\t."""
    return _IN_A_NAME.sub(_escaped, name)


def printable_text(text: str) -> str:
    """Running text for a terminal: its line breaks and tabs stay, what else it would act upon is written as an escape."""
    return _IN_A_TEXT.sub(_escaped, text)


def visible(character: str) -> str:
    """One character of a token, so that it can be seen and told from others: ␣ is a space, bytes come as surrogates."""
    if character == " ":
        return "␣"
    if "\udc80" <= character <= "\udcff":
        return f"<0x{ord(character) - 0xDC00:02X}>"
    if character.isprintable():
        return "◌" + character if unicodedata.combining(character) else character
    return _escape(character)


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
