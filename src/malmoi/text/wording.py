"""From raw text to the words that vectors are learnt for.

A word is letters and digits of any script, with their marks. Inside a word, between two of these, may stand one apostrophe,
hyphen, underscore or joiner (don't, co-operate, new_york), a full stop or comma between digits (3.14, 1,000), and a full stop
between single letters (u.s.a). Everything else, also emoji, parts words and is dropped. Typographic apostrophes and hyphens
become those of ASCII, soft hyphens vanish, and `<unk>` stays as it is.

Scripts that do not part words (Thai, Chinese, Japanese) come out as long as they are written; part them beforehand.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from malmoi.errors import ConfigError, DataError
from malmoi.text.slicing import to_nfc
from malmoi.text.sources import Line, TextSource, batches

BATCH = (1024, 1 << 16)  # lines and characters reworded at once, whichever is reached first
UNKNOWN = "<unk>"
_VERSION = 1  # part of every fingerprint: raise it when the same text is reworded otherwise
_PLACE = "\0"  # stands for <unk> while punctuation is taken out
_SAME = {"’": "'", "ʼ": "'", "‐": "-", "‑": "-", "\u00ad": ""}  # the last one is a soft hyphen: where a line may break
_JOINERS = "'\\-\u200c\u200d"  # the last two are those of Persian and Indic scripts
_ALPHABETIC = "a-zA-Z\u00c0-\u052f"  # Latin, Greek, Cyrillic: letters that abbreviations are made of
_ASCII_SIGNS = "".join(
    sign for sign in map(chr, range(1, 128)) if not (sign.isalnum() or sign.isspace() or sign == "_")
)
_ANYWHERE = ("\ufe0e", "\ufe0f")  # choose between text and picture, mostly after emoji


@dataclass(frozen=True)
class Wording:
    """What becomes a word.

    Args:
        lower: Write everything in lower case.
        split: `words`, as above; `spaces`: what white space parts, as it is.

    Raises:
        ConfigError: If `split` is neither.
    """

    lower: bool = True
    split: str = "words"

    def __post_init__(self) -> None:
        if self.split not in ("words", "spaces"):
            raise ConfigError(f"split={self.split!r} is not known. Choose 'words' or 'spaces'.")

    def lines(self, lines: Sequence[str]) -> list[str]:
        """Each line again, with nothing but words and white space in it (and, under `spaces`, all that it had)."""
        text = to_nfc("\n".join(lines))
        if text.count("\n") != max(0, len(lines) - 1):  # a line break inside a line is white space
            text = to_nfc("\n".join(line.replace("\n", " ") for line in lines))
        if self.lower:
            text = to_nfc(text.lower())
        if self.split == "words":
            text = _words_alone(text)
        return text.split("\n") if lines else []

    def words(self, text: str) -> list[str]:
        """The words of a text."""
        return [word for line in self.lines(text.split("\n")) for word in line.split()]


class WordedSource(TextSource):
    """A text, reworded while it is read; it stands wherever the text itself could.

    Args:
        source: The text.
        wording: What becomes a word.
    """

    def __init__(self, source: TextSource, wording: Wording) -> None:
        self.source, self.wording = source, wording
        self.field, self.encoding, self.unit = source.field, source.encoding, source.unit

    @property
    def files(self) -> list[Path]:
        return self.source.files

    @property
    def notes(self) -> list[str]:
        return self.source.notes

    def n_bytes(self) -> int:
        return self.source.n_bytes()

    def describe(self) -> str:
        return self.source.describe()

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, over the contents of the text, how it is read, and how it is reworded."""
        wording = json.dumps([_VERSION, asdict(self.wording), self.source.fingerprint()])
        return hashlib.sha256(wording.encode()).hexdigest()

    def lines(self, on_read: Callable[[int], object] | None = None) -> Iterator[Line]:
        """Every line of the text, in order, reworded; one that held no word is empty.

        Raises:
            DataError: As `TextSource.lines`, and if the text holds no word at all.
        """
        has_words = False
        for batch in batches(self.source.lines(on_read), *BATCH):
            texts = self.wording.lines([line.text for line in batch])
            has_words = has_words or any(map(str.strip, texts))
            yield from (Line(text, line.starts_document) for text, line in zip(texts, batch, strict=True))
        if not has_words:
            raise DataError(
                f"{self.describe()} holds no word: punctuation and other signs alone. Expected letters or digits. Name another "
                "file, or take the text as it is with --split spaces."
            )


@lru_cache(2)
def _not_in_words(is_ascii: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds underscores, and then other signs, that are no part of a word.

    Each run of signs is found by one set of characters, which is quick, and only then looked at more closely.

    Args:
        is_ascii: Whether they are for ASCII alone, which is quicker; they find the same there.
    """
    marks, flag = ("", re.ASCII) if is_ascii else (_marks(), re.UNICODE)
    letter, of_word = r"[^\W_]", rf"[\w{marks}]"
    sign = f"[{re.escape(_ASCII_SIGNS)}]" if is_ascii else rf"[^\w\s{marks}{_PLACE}]"
    inside = rf"(?<={of_word}[{_JOINERS}])(?={letter})"
    in_number = r"(?<=\d[.,])(?=\d)"
    in_abbreviation = rf"(?<=(?<!{of_word})[{_ALPHABETIC}]\.)(?=[{_ALPHABETIC}](?!{of_word}))"
    return (
        re.compile(rf"(?>_+)(?!(?<={of_word}_)(?<!__){letter})", flag),
        re.compile(rf"(?>{sign}+)(?!{inside}|{in_number}|{in_abbreviation})", flag),
    )


@lru_cache(1)
def _stray_marks() -> re.Pattern[str]:
    """What finds marks with no letter to stand on; its first set is there to pass over letters quickly."""
    mark = f"[{_marks()}]"
    return re.compile(rf"[^\w\s{re.escape(_ASCII_SIGNS)}](?<={mark})(?<!(?:[^\W_]|{mark}).){mark}*")


@lru_cache(1)
def _marks() -> str:
    r"""Vowel signs, accents and the like, as the inside of a set of characters: `\w` of `re` leaves them out."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):  # no other plane has any
        if unicodedata.category(chr(code)) not in ("Mn", "Mc") or chr(code) in _ANYWHERE:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _words_alone(text: str) -> str:
    """Everything that is no part of a word becomes a space."""
    underscores, signs = _not_in_words(text.isascii())
    if not text.isascii():
        for sign, usual in _SAME.items():
            text = text.replace(sign, usual)
        text = _stray_marks().sub(" ", text)
    text = text.replace(_PLACE, " ")
    has_unknown = UNKNOWN in text
    if has_unknown:
        text = text.replace(UNKNOWN, f" {_PLACE} ")
    if "_" in text:
        text = underscores.sub(" ", text)
    text = signs.sub(" ", text)
    return text.replace(_PLACE, UNKNOWN) if has_unknown else text
