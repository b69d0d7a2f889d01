"""The words that vectors stand for: where each stands, and what is spelt like a missing one."""

import difflib
import unicodedata
from collections.abc import Sequence

from malmoi.errors import DataError

MOST_COMPARED = 20_000  # words whose spelling is compared with that of a missing one
LONGEST_COMPARED = 60  # characters of a missing word
MOST_MEASURED = 20  # of those, words whose distance to it is measured
LARGEST_DIFFERENCE = 3  # letters; a Hangul syllable has two or three


class WordList:
    """V different words and their places.

    Raises:
        DataError: If a word is there twice, empty or no valid Unicode.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.ids = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(self.ids) < len(self.words):
            place = next(i for i, word in enumerate(self.words) if self.ids[word] != i)
            raise DataError(
                f"The word {self.words[place][:60]!r} is there twice, at {place} and {self.ids[self.words[place]]}. Expected "
                "every word once. Remove one of the two."
            )
        try:
            has_letters = "".join(self.words).encode() != b"" and "" not in self.ids
        except UnicodeEncodeError:
            has_letters = False
        if not has_letters:
            raise DataError(
                "A word is empty or no valid Unicode (half of a surrogate pair). Expected letters. Remove the word."
            )

    def place(self, word: str) -> int | None:
        """Where a word stands; None if it is missing."""
        place = self.ids.get(word)
        return self.ids.get(unicodedata.normalize("NFC", word)) if place is None else place

    def missing(self, word: str) -> str:
        """What to tell a person who asked for a missing word."""
        near = self.near_spellings(word)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        return (
            f"There is no vector for {word[:60]!r}.{meant} Expected one of the {len(self.words):,} words of the model, such as "
            f"{', '.join(self.words[:3])[:100]}. Choose another word, or a model with subwords."
        )

    def near_spellings(self, word: str, n: int = 3) -> list[str]:
        """Words that are spelt much like a missing one; of a large vocabulary, those that come first are looked at.

        Hangul syllables are compared letter by letter, so that 여앙 is near to 여왕.
        """
        wanted = _letters(word)
        if not 0 < len(word) <= LONGEST_COMPARED or not wanted:
            return []
        alike: dict[str, list[str]] = {}
        for other in self.words:
            letters = _letters(other)
            if letters == wanted or (len(alike) < MOST_COMPARED and _may_be_near(letters, wanted)):
                alike.setdefault(letters, []).append(other)
        close = difflib.get_close_matches(wanted, alike, MOST_MEASURED, 0.6)
        close.sort(key=lambda letters: (_distance(letters, wanted), self.ids[alike[letters][0]]))
        return [other for letters in close for other in alike[letters]][:n]


def _letters(word: str) -> str:
    """A word without capitals, its syllables taken apart."""
    return unicodedata.normalize("NFD", word.casefold())


def _may_be_near(letters: str, other: str) -> bool:
    return abs(len(letters) - len(other)) <= LARGEST_DIFFERENCE and (
        letters[:1] == other[:1] or letters[-1:] == other[-1:]
    )


def _distance(first: str, second: str) -> int:
    """How many letters have to be put in, taken out or replaced to make one word of the other (Levenshtein 1966)."""
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != other))
    return row[-1]
