"""What each token, word and morpheme of a text cost, aligned to the characters of the text.

Tokens differ from characters: one may cover several, or be a byte of one. A character belongs to the token that completes it,
and the cost of a token to the word (or morpheme) that the token's last byte stands in; white space before a word belongs to
the word. So the units of each kind follow each other without gaps, and their costs add up to that of the text.

Shapes: N tokens, C characters.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from malmoi.errors import MissingExtraError
from malmoi.explain.explanation import Unit
from malmoi.text import morphemes
from malmoi.text.hangul import is_syllable
from malmoi.text.slicing import to_nfc
from malmoi.text.tokenizers import Tokenizer

WORD_OR_LINE_END = re.compile(r"\n|\S+")


@dataclass(frozen=True)
class Tokens:
    """A text in tokens.

    Attributes:
        text: In NFC.
        ids: Its tokens; a line break is one, and no line end is added.
        ends: After each token, how many characters are complete.
        begun: After each token, how many characters have begun.
        spelling: What each token costs besides, as the spelling of an unknown word, in nats.
    """

    text: str
    ids: Int64[np.ndarray, " tokens"]
    ends: Int64[np.ndarray, " tokens"]
    begun: Int64[np.ndarray, " tokens"]
    spelling: Float64[np.ndarray, " tokens"]


def read_tokens(tokenizer: Tokenizer, text: str) -> Tokens:
    """The tokens of a text and where each of them ends."""
    text = to_nfc(text)
    lines = text.split("\n")
    ids, nats = tokenizer.encode_stream(lines)
    ids = ids[:-1].astype(np.int64)
    spelling = np.zeros(len(ids))
    spelling[ids == tokenizer.unk_id] = nats
    if tokenizer.is_lossless:
        ends, begun = _byte_places(tokenizer, text, ids)
    else:
        ends, begun = _piece_places(tokenizer, lines)
    return Tokens(text, ids, ends, begun, spelling)


def _byte_places(
    tokenizer: Tokenizer, text: str, ids: Int64[np.ndarray, " tokens"]
) -> tuple[Int64[np.ndarray, " tokens"], Int64[np.ndarray, " tokens"]]:
    """Characters complete and begun after each token; those of `jamo` spell a character's NFD form."""
    sizes = np.array([len(surface) for surface in tokenizer.token_bytes()], np.int64)
    if tokenizer.kind == "jamo":
        lengths = [len(unicodedata.normalize("NFD", character).encode()) for character in text]
    else:
        lengths = [len(character.encode()) for character in text]
    read = np.cumsum(sizes[ids])
    ends = np.cumsum(np.array(lengths, np.int64))  # of the characters, in bytes
    begins = ends - np.array(lengths, np.int64)
    return np.searchsorted(ends, read, side="right"), np.searchsorted(begins, read, side="left")


def _piece_places(
    tokenizer: Tokenizer, lines: Sequence[str]
) -> tuple[Int64[np.ndarray, " tokens"], Int64[np.ndarray, " tokens"]]:
    """The same for words and morphemes, line ends included."""
    ends: list[int] = []
    begun: list[int] = []
    before = 0
    for number, line in enumerate(lines):
        if tokenizer.kind == "word":
            found = _split_ends(line)
            ends += [before + end for end in found]
            begun += [before + end for end in found]
        else:
            starts = morphemes.starts([line])[0]
            groups = _morpheme_ends(line, starts)
            begun += [before + end for end in groups]
            last = 0
            for place, end in enumerate(groups):  # of morphemes that share a syllable the last one completes it
                is_complete = place + 1 == len(groups) or starts[place + 1] > starts[place]
                last = end if is_complete else last
                ends.append(before + last)
        before += len(line) + 1
        if number < len(lines) - 1:
            ends.append(before)
            begun.append(before)
    return np.array(ends, np.int64), np.array(begun, np.int64)


def _split_ends(line: str) -> list[int]:
    """Where each word ends that `str.split` finds."""
    ends, end = [], 0
    for word in line.split():
        end = line.index(word, end) + len(word)
        ends.append(end)
    return ends


def _morpheme_ends(line: str, starts: Sequence[int]) -> list[int]:
    """Where each morpheme ends: before the next that begins elsewhere, white space between them left to that one."""
    ends, last = [], 0
    distinct = [*sorted(set(starts)), len(line)]
    for start in starts:
        following = distinct[bisect_right(distinct, start)] if start < len(line) else len(line)
        last = max(last, len(line[:following].rstrip()))
        ends.append(last)
    return ends


def all_units(
    tokenizer: Tokenizer, tokens: Tokens, log_probs: Float64[np.ndarray, " tokens"]
) -> tuple[dict[str, list[Unit]], bool]:
    """The text in tokens, words and, where it is Korean, morphemes; and whether Kiwi was wanted and is missing."""
    nats = tokens.spelling - log_probs
    begins = np.concatenate([[0], tokens.ends])[:-1]
    found = {
        "token": [
            Unit(tokens.text[begin:end], int(begin), int(end), float(cost), tokenizer.token(token_id))
            for token_id, begin, end, cost in zip(tokens.ids, begins, tokens.ends, nats, strict=True)
        ],
        "word": _gathered(tokens, nats, word_ends(tokens.text)),
    }
    if not any(map(is_syllable, tokens.text)):
        return found, False
    try:
        ends, names = morpheme_ends(tokens.text)
    except MissingExtraError:
        return found, True
    return {**found, "morpheme": _gathered(tokens, nats, ends, names)}, False


def word_ends(text: str) -> list[int]:
    """Where each word and each line end stops; white space after the last of them makes one more unit."""
    return _closed([match.end() for match in WORD_OR_LINE_END.finditer(text)], text)


def morpheme_ends(text: str) -> tuple[list[int], list[str]]:
    """Where each morpheme and each line end stops, and what they are called; contracted ones are one unit.

    Raises:
        MissingExtraError: If kiwipiepy is not installed.
    """
    lines = text.split("\n")
    ends: list[int] = []
    names: list[str] = []
    before = 0
    for number, (pieces, starts) in enumerate(zip(morphemes.cut(lines), morphemes.starts(lines), strict=True)):
        for piece, end in zip(pieces, _morpheme_ends(lines[number], starts), strict=True):
            if ends and ends[-1] == before + end:  # as 갔: 가/VV + 았/EP share their only syllable
                names[-1] += f" + {piece}"
            else:
                ends.append(before + end)
                names.append(piece)
        before += len(lines[number]) + 1
        if number < len(lines) - 1:
            ends.append(before)
            names.append("⏎")
    closed = _closed(ends, text)
    return closed, names + [""] * (len(closed) - len(ends))


def _closed(ends: list[int], text: str) -> list[int]:
    return ends if not text or (ends and ends[-1] == len(text)) else [*ends, len(text)]


def _gathered(
    tokens: Tokens, nats: Float64[np.ndarray, " tokens"], ends: Sequence[int], names: Sequence[str] = ()
) -> list[Unit]:
    """Units that end at those characters, each with the cost of the tokens that end in it."""
    if not ends:
        return []
    which = np.minimum(np.searchsorted(np.array(ends), tokens.begun, side="left"), len(ends) - 1)
    sums = np.bincount(which, nats, len(ends))
    begins = [0, *ends[:-1]]
    return [
        Unit(tokens.text[begin:end], begin, end, float(cost), names[i] if names else "")
        for i, (begin, end, cost) in enumerate(zip(begins, ends, sums, strict=True))
    ]
