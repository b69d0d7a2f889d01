"""Which blocks of a text are held out: whole documents, or runs of neighbouring lines.

One block of each held-out part comes from every stretch of the text, picked by a hash of its number: every region is sampled,
nothing is drawn at random, and the same text is always cut alike. The text is cut before any tokenizer reads it.
"""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int8, Int64

from malmoi.errors import DataError
from malmoi.text.sources import Line, TextSource

HELD_OUT = 20  # one block in so many for each held-out part
MOST_HELD_OUT = 500_000  # bytes: a larger part would cost time and hardly narrow an interval
HELD_OUT_BLOCKS = 40  # that a held-out part of a text of lines has, about: so many can be drawn again
FEWEST_LINES = 17  # that some are held out of
CUT = "lines 1"  # how `hold_out` cuts; another number where the same text is cut otherwise


def choose(sizes: Int64[np.ndarray, " blocks"], n_held_out: int) -> Int8[np.ndarray, " blocks"]:
    """The part of each block: 0 to learn from, 1 to n_held_out for those held out.

    Args:
        sizes: Bytes of each block; 0 where a block has no text and so must not be held out.
        n_held_out: How many parts to hold out, each of about a twentieth.
    """
    part = np.zeros(len(sizes), np.int8)
    if n_held_out == 0 or len(sizes) == 0:
        return part
    average = max(float(sizes[sizes > 0].mean()), 1.0) if sizes.any() else 1.0
    wanted = min(float(sizes.sum()) / HELD_OUT, MOST_HELD_OUT)
    largest = max(2 * average, min(wanted / 4, 8 * average))  # a larger block would leave too little to learn from
    n_stretches = min(max(1, math.ceil(wanted / average)), len(sizes))
    for stretch in np.array_split(np.arange(len(sizes)), n_stretches):
        fitting = _by_hash(number for number in stretch.tolist() if 0 < sizes[number] <= largest)
        part[fitting[:n_held_out]] = range(1, 1 + min(n_held_out, len(fitting)))
    if not np.isin(range(n_held_out + 1), part[sizes > 0]).all():  # blocks of very different sizes, or hardly any
        any_block = _by_hash(np.flatnonzero(sizes > 0).tolist())
        part[:] = 0
        part[any_block[:n_held_out]] = range(1, 1 + min(n_held_out, len(any_block)))
    return part


def bytes_of_block(n_bytes: int) -> float:
    """How much of a text of lines stays together: equally much, so that no kind of line is held out more often."""
    return min(n_bytes / HELD_OUT, MOST_HELD_OUT) / HELD_OUT_BLOCKS


def _by_hash(numbers: Iterable[int]) -> list[int]:
    return sorted(numbers, key=lambda number: hashlib.sha256(str(number).encode()).digest())


@dataclass(frozen=True)
class Blocks:
    """Where the blocks of a text begin, and how large they are."""

    starts: Int64[np.ndarray, " blocks"]  # number of the first line
    sizes: Int64[np.ndarray, " blocks"]  # bytes; 0 for a block without text
    n_lines: int
    are_documents: bool

    @classmethod
    def of(cls, source: TextSource, progress: Callable[[int, int], object] | None) -> "Blocks":
        total, read = source.n_bytes(), 0

        def count_read(more: int) -> None:
            nonlocal read
            read += more
            if progress is not None:
                progress(min(read, total), total)

        lengths, has_text, documents = array("q"), array("b"), array("q")
        for number, line in enumerate(source.lines(count_read)):
            lengths.append(len(line.text.encode()) + 1)
            has_text.append(bool(line.text.strip()))
            if line.starts_document:
                documents.append(number)
        n_lines = len(lengths)
        if source.unit == "documents":
            starts = np.array(documents, np.int64)
        else:
            before = np.cumsum(lengths) - np.array(lengths, np.int64)  # bytes before each line
            of_line = before // max(bytes_of_block(sum(lengths)), 1.0)
            starts = np.flatnonzero(np.diff(of_line, prepend=-1.0)).astype(np.int64)
        sizes = np.add.reduceat(np.array(lengths, np.int64), starts)
        sizes[np.add.reduceat(np.array(has_text, np.int64), starts) == 0] = 0
        return cls(starts, sizes, n_lines, source.unit == "documents")

    def numbered(
        self, source: TextSource, on_read: Callable[[int], object] | None = None
    ) -> Iterator[tuple[int, Line]]:
        """Every line with the number of its block; `on_read` is told how many more bytes were read."""
        block, following = 0, [*self.starts[1:].tolist(), self.n_lines]
        for number, line in enumerate(source.lines(on_read)):
            if number >= following[block] and block + 1 < len(following):
                block += 1
            yield block, line


class TextPart(TextSource):
    """Some blocks of a text, read from it.

    Args:
        whole: The text.
        blocks: How it is cut.
        is_kept: Which of the blocks these are.
    """

    def __init__(self, whole: TextSource, blocks: Blocks, is_kept: Bool[np.ndarray, " blocks"]) -> None:
        self._set_options(whole.field, whole.encoding, whole.unit)
        self._whole, self._blocks, self._is_kept = whole, blocks, is_kept

    def lines(self, on_read: Callable[[int], object] | None = None) -> Iterator[Line]:
        return (line for number, line in self._blocks.numbered(self._whole, on_read) if self._is_kept[number])

    def n_bytes(self) -> int:
        """Size of the whole on disk, all of which is read."""
        return self._whole.n_bytes()

    @property
    def notes(self) -> list[str]:
        return self._whole.notes

    def describe(self) -> str:
        return self._whole.describe()

    def fingerprint(self) -> str:
        told = f"{CUT} {self._whole.fingerprint()} ".encode() + np.packbits(self._is_kept).tobytes()
        return hashlib.sha256(told).hexdigest()


def hold_out(source: TextSource, progress: Callable[[int, int], object] | None = None) -> tuple[TextPart, TextPart]:
    """(what to learn from, a twentieth of the text to validate on).

    Raises:
        DataError: If the text is too short to be cut in two.
    """
    blocks = Blocks.of(source, progress)
    is_held_out = choose(blocks.sizes, 1) == 1
    n, fewest, what = (
        (len(blocks.starts), 2, "documents") if blocks.are_documents else (blocks.n_lines, FEWEST_LINES, "lines")
    )
    has_text = [bool((blocks.sizes[part] > 0).any()) for part in (is_held_out, ~is_held_out)]
    if n < fewest or not all(has_text):
        raise DataError(
            f"The text has {n:,} {what}, too few to hold some back for validation. Expected at least {fewest} {what}, with "
            "text in them. Give a validation text of its own: --valid FILE."
        )
    return TextPart(source, blocks, ~is_held_out), TextPart(source, blocks, is_held_out)
