"""Subwords: the vector of a word is the mean of its own row and the rows of the n-grams it is spelt with.

Words that share a stem then share rows, and a word that was never seen has a vector all the same, from its n-grams alone.
n-grams are not kept as such: each is hashed into one of a fixed number of buckets, and a bucket has a row.

    characters   n-grams of characters within <word>, as in fastText: <go, goi, oin, ..., ing>. The hash is that of fastText,
                 bit for bit, so that its models are read by the same code.
    jamo         for Korean: a syllable is written as three jamo, with ∅ where the last consonant is missing (나는 is
                 ㄴㅏ∅ㄴㅡㄴ), so that an ending that begins inside a syllable, as in 갔다, is seen. There are n-grams of jamo
                 within <word>, and n-grams of whole syllables without the marks < and >; one that is both counts once. A word
                 without a syllable of Hangul has n-grams of characters as above; in mixed words every other character is
                 a jamo and a syllable to itself.

Source: Bojanowski et al. 2017 (arXiv:1607.04606) for the model and for characters; Park, Byun, Baek, Cho & Oh 2018,
"Subword-level Word Vector Representations for Korean" (ACL), for jamo.

Shapes: V words, D numbers a word, B buckets.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.models.options.vectors import Word2VecConfig
from malmoi.models.word2vec import subword_kernels
from malmoi.text import hangul

MOST_SYMBOLS = 100  # in an n-gram
MOST_BUCKETS = 100_000_000
Kind = Literal["characters", "jamo"]


@dataclass(frozen=True)
class SubwordSettings:
    """Which n-grams a word has, and how many rows they share.

    Args:
        kind: `characters` or `jamo`, as above.
        shortest, longest: n-grams of characters, in characters with the marks < and >.
        shortest_jamo, longest_jamo: n-grams of jamo, with the marks; only for `jamo`, as the next two.
        shortest_syllables, longest_syllables: n-grams of syllables.
        n_buckets: Rows for n-grams, B; two n-grams in one bucket share a row. fastText has 2,000,000.

    Raises:
        ConfigError: If a value is out of its range.
    """

    kind: str = "characters"
    shortest: int = 3
    longest: int = 6
    shortest_jamo: int = 3
    longest_jamo: int = 5
    shortest_syllables: int = 1
    longest_syllables: int = 4
    n_buckets: int = 200_000

    @classmethod
    def of(cls, model: Word2VecConfig) -> "SubwordSettings":
        """Those of a run."""
        return cls(kind=model.subwords, n_buckets=model.subword_buckets)

    def __post_init__(self) -> None:
        if self.kind not in ("characters", "jamo"):
            raise ConfigError(f"kind={self.kind!r} of subwords is not known. Choose 'characters' or 'jamo'.")
        for ending in ("", "_jamo", "_syllables"):
            shortest, longest = getattr(self, "shortest" + ending), getattr(self, "longest" + ending)
            if not 1 <= shortest <= longest <= MOST_SYMBOLS:
                raise ConfigError(
                    f"n-grams from shortest{ending}={shortest} to longest{ending}={longest} are not possible. Choose two whole "
                    f"numbers from 1 to {MOST_SYMBOLS}, the second not below the first."
                )
        if not 1 <= self.n_buckets <= MOST_BUCKETS:
            raise ConfigError(
                f"n_buckets={self.n_buckets} is out of range. Choose a whole number from 1 to {MOST_BUCKETS:,}, such as 200000."
            )

    def numbers(self) -> NDArray[np.int64]:
        """All of it for the compiled loops, in the order they read it."""
        by_jamo = int(self.kind == "jamo")
        syllables = (self.shortest_syllables, self.longest_syllables)
        return np.array(
            [by_jamo, self.shortest, self.longest, self.shortest_jamo, self.longest_jamo, *syllables, self.n_buckets]
        )

    def buckets(self, word: str) -> Int64[np.ndarray, " n"]:
        """The bucket of each n-gram of a word, in order; an n-gram that is there twice has its bucket twice."""
        word = unicodedata.normalize("NFC", word)
        rows = _rows([word], self)[1]
        return rows[1:].astype(np.int64) - 1  # without the word's own row; bucket b has row 1 + b

    def n_grams(self, word: str) -> list[str]:
        """The n-grams themselves, in the order of `buckets`: for people to look at."""
        word = unicodedata.normalize("NFC", word)
        if not word:
            return []
        if self.kind == "characters" or not any(map(hangul.is_syllable, word)):
            return _within(["<", *word, ">"], self.shortest, self.longest)
        spelt = [_symbols(character) for character in word]
        found = _within(["<", *"".join(spelt), ">"], self.shortest_jamo, self.longest_jamo)
        for first in range(len(spelt)):
            for last in range(first + self.shortest_syllables, min(first + self.longest_syllables, len(spelt)) + 1):
                n_gram = "".join(spelt[first:last])
                if not self.shortest_jamo <= len(n_gram) <= self.longest_jamo:
                    found.append(n_gram)
        return found


def _symbols(character: str) -> str:
    """Three for a syllable, one for any other character."""
    if not hangul.is_syllable(character):
        return character
    lead, vowel, tail = hangul.parts(character)
    return lead + vowel + (tail or chr(subword_kernels.EMPTY))


def _within(symbols: list[str], shortest: int, longest: int) -> list[str]:
    """n-grams of a marked word; a mark alone is none."""
    found = []
    for first in range(len(symbols)):
        for last in range(first + shortest, min(first + longest, len(symbols)) + 1):
            if last - first > 1 or 0 < first < len(symbols) - 1:
                found.append("".join(symbols[first:last]))
    return found


@dataclass(frozen=True)
class Subwords:
    """Which rows of the input matrix make up each word: row i for word i itself, and row V + b for bucket b.

    Args:
        starts, rows: Word i has rows[starts[i] : starts[i + 1]], its own first. An n-gram that it holds twice is there twice.
    """

    settings: SubwordSettings
    starts: Int64[np.ndarray, " vocab_and_1"]
    rows: Int32[np.ndarray, " n"]

    @classmethod
    def build(cls, words: Sequence[str], settings: SubwordSettings) -> "Subwords":
        """Find the n-grams of all words.

        Args:
            words: V texts in NFC by token id, "" for an id that is no word: it has its own row alone.
        """
        return cls(settings, *_rows(words, settings))

    @property
    def n_rows(self) -> int:
        """Height of the input matrix: V + B."""
        return len(self.starts) - 1 + self.settings.n_buckets

    def vectors(self, inputs: Float32[np.ndarray, "rows dim"]) -> Float32[np.ndarray, "vocab dim"]:
        """The vector of every word: the mean of its rows of `inputs` (V + B, D).

        Raises:
            DataError: If `inputs` has another height.
        """
        if len(inputs) != self.n_rows:
            raise DataError(
                f"A matrix of {len(inputs):,} rows, and {self.n_rows:,} are needed: {len(self.starts) - 1:,} words and "
                f"{self.settings.n_buckets:,} buckets. Give the input matrix that was trained with these subwords."
            )
        means = np.empty((len(self.starts) - 1, inputs.shape[1]), np.float32)
        subword_kernels.mean_rows(self.starts, self.rows, inputs, means)
        return means

    def compose(self, word: str, bucket_rows: NDArray[Any]) -> Float32[np.ndarray, " dim"] | None:
        """The vector of an unseen word: the mean over its n-grams, or None if it has none.

        Args:
            bucket_rows: (B, D), the rows of the input matrix behind those of the words.

        Raises:
            DataError: If `bucket_rows` has another height.
        """
        if len(bucket_rows) != self.settings.n_buckets:
            raise DataError(
                f"{len(bucket_rows):,} rows for n-grams, and {self.settings.n_buckets:,} are needed, one for each bucket. Give "
                "those of the model that these settings belong to."
            )
        buckets = self.settings.buckets(word)
        if not len(buckets):
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told by whoever uses it
            total: NDArray[np.float32] = np.add.reduce(bucket_rows[buckets], axis=0, dtype=np.float32)
        return total * (np.float32(1) / np.float32(len(buckets)))


def _rows(words: Sequence[str], settings: SubwordSettings) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(starts, rows) as in `Subwords`. Bytes that were no UTF-8 may stand in words as Python's surrogateescape has them."""
    points = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), "<u4")
    ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
    starts = np.zeros(len(words) + 1, np.int64)
    numbers = settings.numbers()
    subword_kernels.find_rows(points, ends, numbers, starts, np.empty(0, np.int32))
    rows = np.empty(starts[-1], np.int32)
    subword_kernels.find_rows(points, ends, numbers, starts, rows)
    return starts, rows
