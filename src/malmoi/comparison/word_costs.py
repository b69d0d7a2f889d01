"""What each word of a text costs, whatever the tokens are.

Tokens differ between tokenizers, words and line ends do not. So the cost of every token, of spelling every unknown word, and of
white space that the tokens leave unsaid is added to the word that it ends in; the end of a line counts as a word of its own.
What is before a word, white space as a rule, belongs to it, so the bytes of all words add up to those of the text, and their
costs to the cost of the text: nothing is left out, nothing counted twice.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from malmoi.text.sources import Line
from malmoi.text.tokenizers import Tokenizer

LINE_END = -1  # the frequency of a line end
FREQUENCIES = (0, 1, 2, 10, 100, 1000, 10_000)  # each bucket begins here
POSITIONS = (1, 2, 3, 4, 6, 11, 21, 51)


@dataclass(frozen=True)
class Words:
    """Every word and every line end of a text, in order."""

    n_bytes: Int64[np.ndarray, " words"]  # UTF-8, the white space before it included
    line: Int64[np.ndarray, " words"]  # number of its line
    position: Int64[np.ndarray, " words"]  # in its line: 1 for the first word, 0 for the line end
    frequency: Int64[np.ndarray, " words"]  # in the training text; LINE_END for a line end
    document_starts: Int64[np.ndarray, " documents"]  # numbers of lines; none where the text has no documents
    n_lines: int

    def line_sums(self, values: Float64[np.ndarray, " words"]) -> Float64[np.ndarray, " lines"]:
        """Values of words added up over each line."""
        return np.bincount(self.line, values, self.n_lines)


class Bucket(NamedTuple):
    """Words that belong together in a table, from `least` to `most` times seen, or places in the line."""

    least: int
    most: int | None  # None: without limit
    n_bytes: int
    words: int
    is_line_end: bool = False


def read_words(lines: Iterable[Line], counts: Mapping[str, int]) -> Words:
    """The words of a text.

    Args:
        lines: The text.
        counts: How often each word occurs in the training text.
    """
    n_bytes, line, position, frequency, documents = list[int](), list[int](), list[int](), list[int](), list[int]()
    number = -1
    for number, (text, starts_document) in enumerate(lines):
        words = text.split()
        n_bytes += _territories(text, words)
        line += [number] * (len(words) + 1)
        position += [*range(1, len(words) + 1), 0]
        frequency += [*(counts.get(word, 0) for word in words), LINE_END]
        if starts_document:
            documents.append(number)
    return Words(
        n_bytes=np.array(n_bytes, np.int64),
        line=np.array(line, np.int64),
        position=np.array(position, np.int64),
        frequency=np.array(frequency, np.int64),
        document_starts=np.array(documents, np.int64),
        n_lines=number + 1,
    )


def word_nats(
    tokenizer: Tokenizer, lines: Iterable[Line], token_log_probs: Float64[np.ndarray, " tokens"]
) -> Float64[np.ndarray, " words"]:
    """-ln P of every word and line end, unknown words with their spelling, white space included.

    Args:
        tokenizer: What made the tokens.
        lines: The text.
        token_log_probs: ln P of each token, those of document starts included, in order.
    """
    nats, first_token = list[np.ndarray](), 0
    for batch in _batches(lines):
        texts = [line.text for line in batch]
        encoded = list(tokenizer.encode_lines(texts))
        places = _places(tokenizer, texts, encoded)
        for line, place in zip(batch, places, strict=True):
            after = first_token + len(place.word) + line.starts_document
            costs = -token_log_probs[first_token:after]
            word = (
                np.insert(place.word, 0, 0) if line.starts_document else place.word
            )  # the start goes to the first word
            nats.append(np.bincount(word, costs, place.n_words) + place.unsaid)
            first_token = after
    assert first_token == len(token_log_probs)
    return np.concatenate(nats)


def line_words(text: str) -> list[str]:
    """The words of a line as they stand, white space before each included, and the line end last: joined, they are the line."""
    found, begin = [], 0
    for word in text.split():
        end = text.index(word, begin) + len(word)
        found.append(text[begin:end])
        begin = end
    return [*found, text[begin:]]


def buckets(words: Words, starts: Sequence[int], key: str) -> tuple[Int64[np.ndarray, " words"], list[Bucket]]:
    """(number of the bucket of each word, the buckets): line ends have one of their own, the last.

    Args:
        starts: Where each bucket begins; values below the first do not occur.
        key: "frequency" or "position".
    """
    values = words.frequency if key == "frequency" else words.position
    number = np.searchsorted(np.array(starts), values, side="right") - 1
    number[words.position == 0] = len(starts)
    sizes = np.bincount(number, words.n_bytes, len(starts) + 1).astype(np.int64).tolist()
    counts = np.bincount(number, minlength=len(starts) + 1).tolist()
    limits = [*(following - 1 for following in starts[1:]), None]
    found = [Bucket(*row) for row in zip(starts, limits, sizes, counts, strict=False)]
    return number, [*found, Bucket(0, None, sizes[-1], counts[-1], is_line_end=True)]


def bucket_bits(
    number: Int64[np.ndarray, " words"], found: Sequence[Bucket], nats: Float64[np.ndarray, " words"]
) -> list[float | None]:
    """Bits per byte in each bucket; None for one without words. Weighted by bytes, they make the bits per byte of the text."""
    sums = np.bincount(number, nats, len(found)) / np.log(2)
    return [
        float(total / bucket.n_bytes) if bucket.n_bytes else None for total, bucket in zip(sums, found, strict=True)
    ]


class _Places(NamedTuple):
    """Where the tokens of one line belong."""

    word: Int64[np.ndarray, " tokens"]  # number of the word that each token ends in
    unsaid: Float64[np.ndarray, " words"]  # nats for spelling what is unknown, and for white space
    n_words: int  # line end included


def _places(tokenizer: Tokenizer, texts: Sequence[str], encoded: Sequence[np.ndarray]) -> list[_Places]:
    if not tokenizer.is_lossless:
        assert tokenizer.layout is not None
        spelling, gaps = _spelling(tokenizer, texts, encoded), map(tokenizer.layout.word_nats, texts)
        if tokenizer.kind == "word":
            rows = zip(spelling, gaps, strict=True)
            return [_Places(np.arange(len(nats)), nats + gap_nats, len(nats)) for nats, gap_nats in rows]
        from malmoi.text.morphemes import starts

        found = map(_morpheme_places, texts, spelling, starts(texts))
        return [place._replace(unsaid=place.unsaid + nats) for place, nats in zip(found, gaps, strict=True)]
    lengths = np.array([len(surface) for surface in tokenizer.token_bytes()])
    return [_byte_places(tokenizer.kind, text, lengths[ids]) for text, ids in zip(texts, encoded, strict=True)]


def _byte_places(kind: str, text: str, lengths: Int64[np.ndarray, " tokens"]) -> _Places:
    """For tokens that spell the line out; those of `jamo` spell its NFD form."""
    if kind == "jamo":
        text = unicodedata.normalize("NFD", text)
    ends = np.cumsum(_territories(text, text.split()))
    assert lengths.sum() == ends[-1]
    return _Places(np.searchsorted(ends, np.cumsum(lengths)), np.zeros(len(ends)), len(ends))


def _spelling(
    tokenizer: Tokenizer, texts: Sequence[str], encoded: Sequence[np.ndarray]
) -> list[Float64[np.ndarray, " tokens"]]:
    """What each token of each line costs to spell, in nats: 0 for known ones."""
    joined = np.concatenate(encoded)
    nats = np.zeros(len(joined))
    nats[joined == tokenizer.unk_id] = tokenizer.encode_stream(texts)[1]
    return np.split(nats, np.cumsum([len(ids) for ids in encoded])[:-1])


def _morpheme_places(text: str, nats: Float64[np.ndarray, " tokens"], begins: Sequence[int]) -> _Places:
    """By where Kiwi says that each morpheme begins."""
    ends = np.cumsum(np.array([len(word) for word in line_words(text)[:-1]], np.int64))
    word = np.append(np.searchsorted(ends, np.array(begins, np.int64), side="right"), len(ends))
    word = np.minimum(word, len(ends))
    return _Places(word, np.bincount(word, nats, minlength=len(ends) + 1), len(ends) + 1)


def _territories(text: str, words: Sequence[str]) -> list[int]:
    """Bytes of each word with what stands before it, and of the line end with what stands before that."""
    if words and text == " ".join(words):  # as nearly always
        sizes = [len(word.encode()) + 1 for word in words]
        return [sizes[0] - 1, *sizes[1:], 1]
    sizes = [len(piece.encode()) for piece in line_words(text)]
    return [*sizes[:-1], sizes[-1] + 1]


def _batches(lines: Iterable[Line], size: int = 1024) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
