"""Words that stand together far more often than by chance become one word: new york, new_york.

    score(a, b) = (count(ab) - min_count) * N / (count(a) count(b)),        N words in the text

A pair whose score is above the threshold is joined wherever it stands, from left to right. N makes the score a ratio: how many
times as often the pair stands there as it would if words came in any order, min_count occurrences not counted. Reading the
joined text again finds longer ones (new_york_times); each such pass joins two units of the pass before.

Source: Mikolov et al. 2013 (arXiv:1310.4546), section 4, and the authors' program word2phrase, whose N this is (the default
scorer of gensim puts the number of different words and pairs there, so that its thresholds are other ones). `npmi` is
normalised pointwise mutual information: Bouma 2009.

Shapes: V ids of the vocabulary, P pairs. The phrase of pair i has the id V + i.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from pydantic import Field, model_validator

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.files import release_pages
from malmoi.models.ngram.counting import READ_AT_ONCE
from malmoi.models.phrase_loops import EMPTY, HALF, fill, gather, join, keep_frequent
from malmoi.settings import Settings
from malmoi.store import Store, TokenStream
from malmoi.text.vocabulary import SpecialIds

MOST_PASSES = 8  # a phrase is at most 2 to the power of this long, in words
MEMORY = 1 << 28  # bytes
BYTES_PER_POSITION = 16  # of a pair while it is counted
MOST_IDS = 1 << 31


class PhraseSettings(Settings):
    """Which words are joined."""

    min_count: int = Field(5, ge=1, description="how often a pair must occur; so many occurrences are not counted")
    threshold: float = Field(100.0, description="score above which two words are joined")
    scoring: Literal["default", "npmi"] = Field(
        "default",
        description="how a pair is scored: Mikolov's ratio, or normalised pointwise mutual information, -1 to 1",
    )
    passes: int = Field(
        1, ge=1, le=MOST_PASSES, description="times the text is read; each may join what is joined already"
    )

    @model_validator(mode="after")
    def threshold_can_be_reached(self) -> "PhraseSettings":
        if not math.isfinite(self.threshold) or (self.scoring == "npmi" and not -1 <= self.threshold < 1):
            lies = "lies between -1 and 1" if self.scoring == "npmi" else "is a finite number"
            raise ConfigError(
                f"threshold={self.threshold} does not fit scoring={self.scoring!r}, whose score {lies}. Choose a threshold in "
                f"that range, such as {0.5 if self.scoring == 'npmi' else 100}."
            )
        return self


@dataclass(frozen=True)
class Joined:
    """A text with its pairs joined: a TokenStream."""

    ids: NDArray[Any]  # (T,)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> Int64[np.ndarray, " tokens"]:
        ids: NDArray[np.int64] = self.ids[start:stop].astype(np.int64)
        return ids

    def release(self) -> None:
        release_pages(self.ids)


class _Table(NamedTuple):
    """The pairs of one pass as a hash table."""

    is_left: Bool[np.ndarray, " ids"]  # whether any pair begins with the id
    keys: NDArray[np.uint64]
    ids: Int64[np.ndarray, " slots"]


@dataclass(frozen=True)
class Phrases:
    """Pairs of ids that are joined.

    Attributes:
        vocab_size: V.
        pairs: (P, 2) Left and right id of each pair, those of one pass after those of the other.
        scores: (P,)
        pass_ends: How many pairs there are after each pass. A pair is made of ids from earlier passes.
    """

    vocab_size: int
    pairs: Int64[np.ndarray, "pairs 2"]
    scores: Float64[np.ndarray, " pairs"]
    pass_ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def join(self, tokens: TokenStream, store: Store) -> Joined:
        """The text with its pairs joined, within lines; the store decides whether it lies in memory or in a file.

        Raises:
            DataError: If the text has an id that the vocabulary lacks.
        """
        name, number = "joined", 2
        while store.folder is not None and (store.folder / name).exists():  # another text, joined before
            name, number = f"joined.{number}", number + 1
        dtype = np.uint16 if self.vocab_size + len(self) <= 1 << 16 else np.uint32
        for block in self._blocks(tokens):
            store.append(name, block.astype(dtype))
        return Joined(store.take(name, dtype))

    def counts_after(self, tokens: TokenStream) -> Int64[np.ndarray, " ids"]:
        """How often each of the V + P ids occurs in the joined text."""
        size = self.vocab_size + len(self)
        total = np.zeros(size, np.int64)
        for block in self._blocks(tokens):
            total += np.bincount(block, minlength=size)
        return total

    def names(self, words: Sequence[str]) -> list[str]:
        """How each phrase is written, given how each id of the vocabulary is: with "_" between its words.

        A name that stands for something else already gets one more "_" at its end.

        Raises:
            DataError: If there are not V words.
        """
        if len(words) != self.vocab_size:
            raise DataError(
                f"{len(words):,} words were given for phrases of a vocabulary of {self.vocab_size:,}. Expected one for each "
                "id. Take the vocabulary that the phrases were found with."
            )
        names, taken = list(words), set(words)
        for left, right in self.pairs.tolist():
            name = f"{names[left]}_{names[right]}"
            while name in taken:
                name += "_"
            names.append(name)
            taken.add(name)
        return names[self.vocab_size :]

    def moved(self, vocab_size: int) -> "Phrases":
        """The same phrases after a vocabulary that has grown to `vocab_size` at its end."""
        assert vocab_size >= self.vocab_size
        shift = np.where(self.pairs < self.vocab_size, 0, vocab_size - self.vocab_size)
        return Phrases(vocab_size, self.pairs + shift, self.scores, self.pass_ends)

    def to_json(self) -> str:
        """The text of phrases.json."""
        content = {
            "vocab_size": self.vocab_size,
            "pass_ends": self.pass_ends,
            "pairs": self.pairs.tolist(),
            "scores": self.scores.tolist(),
        }
        return json.dumps(content, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Phrases":
        """Read what `to_json` wrote; everything in it is checked.

        Raises:
            RunError: If it is anything else.
        """
        try:
            content = json.loads(text)
            if not isinstance(content, dict) or set(content) != {"vocab_size", "pass_ends", "pairs", "scores"}:
                raise ValueError("it has other keys")
            vocab_size, pass_ends, pairs, scores = (
                content[key] for key in ("vocab_size", "pass_ends", "pairs", "scores")
            )
            _check(vocab_size, pass_ends, pairs, scores)
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(
                f"The phrases of this run (phrases.json) are damaged: {error or 'nested too deeply'}. Expected the pairs that "
                "malmoi wrote. Copy the run again, or train it again."
            ) from None
        array = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(vocab_size, array, np.array(scores, np.float64), tuple(pass_ends))

    @cached_property
    def _tables(self) -> list[_Table]:
        tables = []
        for first, after in pairwise((0, *self.pass_ends)):
            pairs = self.pairs[first:after]
            size = 1 << max(4, (2 * len(pairs)).bit_length())  # at most half full
            is_left = np.zeros(self.vocab_size + first, np.bool_)
            is_left[pairs[:, 0]] = True
            keys, ids = np.full(size, EMPTY, np.uint64), np.zeros(size, np.int64)
            fill(pairs, self.vocab_size + first, keys, ids)
            tables.append(_Table(is_left, keys, ids))
        return tables

    def _blocks(self, tokens: TokenStream) -> Iterator[Int64[np.ndarray, " tokens"]]:
        """The joined text in pieces. Each pass holds back the last id it was given, whose partner may come in the next one."""
        held = [-1] * len(self._tables)
        for start in range(0, len(tokens), READ_AT_ONCE):
            block = tokens.read(start, min(start + READ_AT_ONCE, len(tokens)))
            if len(block) and not 0 <= block.min() <= block.max() < self.vocab_size:
                raise DataError(
                    f"The text has the token id {block.max()}, and the vocabulary {self.vocab_size:,} ids. Expected ids from 0 "
                    "to one less. Encode the text with the tokenizer that the phrases were found with."
                )
            for number, table in enumerate(self._tables):
                joined = np.empty(len(block) + 1, np.int64)
                n_joined, held[number] = join(block, held[number], *table, joined)
                block = joined[:n_joined]
            tokens.release()
            yield block
        last = np.zeros(0, np.int64)
        for table, waiting in zip(self._tables, held, strict=True):
            joined = np.empty(len(last) + 1, np.int64)
            n_joined, waiting = join(last, waiting, *table, joined)
            last = np.append(joined[:n_joined], waiting) if waiting >= 0 else joined[:n_joined]
        yield last


def find_phrases(
    tokens: TokenStream,
    counts: Int64[np.ndarray, " vocab"],
    settings: PhraseSettings | None = None,
    *,
    special_ids: SpecialIds,
    memory: int = MEMORY,
) -> Phrases:
    """The pairs of a text that are worth joining; exact, however much text there is.

    Words rarer than min_count are in no pair, nor are unknown ones, and no pair reaches over the end of a line.

    Args:
        tokens: The text; eos ends a line.
        counts: How often each token id occurs in it.
        special_ids: Those that are no words.
        memory: About how many bytes pairs may take while they are counted; with less, the text is read more often.

    Raises:
        DataError: If the counts are not those of the text.
    """
    settings = settings or PhraseSettings()
    found = Phrases(len(counts), np.zeros((0, 2), np.int64), np.zeros(0), ())
    for number in range(settings.passes):
        if number:
            counts = found.counts_after(tokens)
        pairs, pair_counts, scores = _good_pairs(found, tokens, counts, special_ids, settings, memory)
        if not len(pairs):
            break
        order = np.argsort(-pair_counts, kind="stable")
        found = Phrases(
            found.vocab_size,
            np.concatenate([found.pairs, pairs[order]]),
            np.concatenate([found.scores, scores[order]]),
            (*found.pass_ends, len(found) + len(pairs)),
        )
    return found


def _good_pairs(
    before: Phrases,
    tokens: TokenStream,
    counts: NDArray[np.int64],
    special_ids: SpecialIds,
    settings: PhraseSettings,
    memory: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs (P, 2) of the text as joined before, sorted by ids; how often each occurs; their scores."""
    usable = counts >= settings.min_count
    usable[special_ids.all] = False
    n_words = int(np.delete(counts, special_ids.all).sum() + counts[special_ids.unk])
    pairs, pair_counts, scores = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for first, after in _ranges(np.where(usable, counts, 0), max(1, memory // BYTES_PER_POSITION)):
        keys = np.empty(int(counts[first:after][usable[first:after]].sum()), np.uint64)
        n, previous = 0, -1
        for block in before._blocks(tokens):
            n, previous = gather(block, previous, first, after, usable, keys, n)
            if n < 0:
                raise DataError(
                    f"The counts ({len(counts):,} ids) are not those of the text, which has more. Expected how often each "
                    "token id occurs. Count the text again."
                )
        keys[:n].sort()
        times = np.empty(n // settings.min_count, np.int64)
        n = keep_frequent(keys[:n], settings.min_count, times)
        found = np.stack([keys[:n] >> HALF, keys[:n] & np.uint64((1 << 32) - 1)], axis=1).astype(np.int64)
        of_found = _scores(times[:n], counts[found], n_words, settings)
        is_good = of_found > settings.threshold
        pairs.append(found[is_good])
        pair_counts.append(times[:n][is_good])
        scores.append(of_found[is_good])
    return np.concatenate(pairs), np.concatenate(pair_counts), np.concatenate(scores)


def _scores(
    times: NDArray[np.int64], word_counts: NDArray[np.int64], n_words: int, settings: PhraseSettings
) -> NDArray[np.float64]:
    """Of pairs that occur `times` (P,), whose words occur `word_counts` (P, 2)."""
    product = word_counts.astype(np.float64).prod(axis=1)
    if settings.scoring == "default":
        ratio: NDArray[np.float64] = (times - settings.min_count) * float(n_words) / product
        return ratio
    information: NDArray[np.float64] = np.log(times * float(n_words) / product) / -np.log(times / n_words)
    return information


def _ranges(frequencies: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of ids that occur at most `most` times together, or are one id."""
    first, size = 0, 0
    for word, times in enumerate(frequencies.tolist()):
        if size and size + times > most:
            yield first, word
            first, size = word, 0
        size += times
    if size:
        yield first, len(frequencies)


def _check(vocab_size: Any, pass_ends: Any, pairs: Any, scores: Any) -> None:
    """Raises ValueError, saying what is wrong."""

    def whole(value: Any, least: int, most: int) -> bool:
        return type(value) is int and least <= value <= most

    if not whole(vocab_size, 1, MOST_IDS) or not all(isinstance(part, list) for part in (pass_ends, pairs, scores)):
        raise ValueError("a part of it has another form")
    if len(pass_ends) > MOST_PASSES or len(scores) != len(pairs) or vocab_size + len(pairs) > MOST_IDS:
        raise ValueError(f"it has {len(pass_ends)} passes, {len(pairs)} pairs and {len(scores)} scores")
    if not all(type(score) in (int, float) and abs(score) < math.inf for score in scores):
        raise ValueError("a score is no finite number")
    ends = [0, *pass_ends]
    if not all(whole(end, 0, len(pairs)) for end in ends) or ends != sorted(set(ends)) or ends[-1] != len(pairs):
        raise ValueError(f"its passes do not end at pair {len(pairs)}")
    for first, after in pairwise(ends):
        for number in range(first, after):
            pair = pairs[number]
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError(f"pair {number} is no pair")
            if not all(whole(part, 0, vocab_size + first - 1) for part in pair):
                raise ValueError(f"pair {number} is made of ids that no earlier pass has")
    if len(set(map(tuple, pairs))) < len(pairs):
        raise ValueError("a pair is there twice")
