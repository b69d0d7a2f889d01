"""How often each word stands near each other word, in parallel and within a given memory.

Every word of a text is a centre once, and the words at most `window` places away are its context; a line end is never crossed.
Counting is done row by row: the places of one centre word are gathered, and what stands around them is added up in one array
that is as long as the vocabulary. Rows never meet, so ranges of them are counted alone: that bounds the memory, and it is what
several threads share. Weights are whole numbers of a small unit, and whole numbers add up to the same in any order: the result
is the same for any number of threads and any memory.

Shapes: T tokens of the text, V words that are counted.
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from malmoi.errors import DataError, TrainingError
from malmoi.files import release_pages
from malmoi.jit import compiled
from malmoi.models.options.vectors import PairSettings
from malmoi.store import Store, TokenStream
from malmoi.text.vocabulary import SpecialIds

READ_AT_ONCE = 1 << 22  # tokens
NO_WORD, LINE_END = -1, -2  # in place of a row number
FINEST_UNIT = 2**32  # of a weight of 1; a sum of 2**31 such weights fits in 64 bits
BYTES_PER_PLACE, BYTES_PER_CELL = 8, 12
DENSE = 16  # a row with more than one in so many cells filled is read out in order instead of being sorted


@dataclass(frozen=True)
class Cooccurrence:
    """Counts of pairs.

    Attributes:
        token_ids: Which token a row and a column stand for, the most frequent first.
        frequencies: How often each of them occurs.
        counts: Row: the centre word; column: the context word. Symmetric if side="both".
    """

    token_ids: Int64[np.ndarray, " words"]
    frequencies: Int64[np.ndarray, " words"]
    counts: csr_matrix  # (V, V), float64
    settings: PairSettings


def count_pairs(
    tokens: TokenStream,
    vocab_size: int,
    settings: PairSettings | None = None,
    *,
    special_ids: SpecialIds,
    memory: int = 2 * 10**9,
    n_threads: int | None = None,
    store: Store | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Cooccurrence:
    """Count.

    Args:
        tokens: Lines, each ended by eos; other special tokens are no words, but keep their place.
        vocab_size: How many token ids there are.
        special_ids: Those of the tokenizer.
        memory: About how many bytes may be taken beside the text (4 bytes a token) and the result (12 bytes a cell).
        n_threads: As many as there are cores if left out.
        store: Where the text and the result are kept: in memory, or in a folder.
        progress: Called with (places counted, places in all).

    Raises:
        DataError: If an id is out of range, fewer than two words occur, or no two of them within a window.
        TrainingError: If the memory does not hold one row.
    """
    settings, store = settings or PairSettings(), store or Store()
    n_threads = n_threads or os.cpu_count() or 1
    token_ids, frequencies = _most_frequent(tokens, vocab_size, settings.n_words, special_ids)
    n_words = len(token_ids)
    text = _rows_of(tokens, token_ids, vocab_size, special_ids, store)
    weights, unit = _weights(settings)
    before, after = settings.side != "right", settings.side != "left"
    most_cells = np.minimum(frequencies * settings.window * (before + after), n_words)
    sizes = frequencies * BYTES_PER_PLACE + most_cells * BYTES_PER_CELL
    free = memory // n_threads - 12 * n_words  # the array of sums and the list of what was touched
    if int(sizes.max()) > free:
        raise TrainingError(
            f"memory={memory:,} bytes do not hold the counts of one word for each of {n_threads} threads, which take "
            f"{n_threads * (int(sizes.max()) + 12 * n_words):,}. Give more memory, or count fewer words: n_words below "
            f"{n_words}."
        )
    ranges = list(_ranges(sizes, min(free, -(-int(sizes.sum()) // (4 * n_threads)))))

    def count(bounds: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
        places_of = frequencies[slice(*bounds)]
        ends = np.cumsum(places_of)
        places = np.empty(int(ends[-1]), np.int64)
        _gather(text, *bounds, ends - places_of, places)
        n_cells = int(most_cells[slice(*bounds)].sum())
        columns, values = np.empty(n_cells, np.int32), np.empty(n_cells, np.float64)
        lengths = np.empty(len(ends), np.int64)
        n = _count_rows(text, places, ends, weights, 1 / unit, before, after, n_words, columns, values, lengths)
        return columns[:n].copy(), values[:n].copy(), lengths

    row_lengths, done, total = [np.zeros(1, np.int64)], 0, int(frequencies.sum())
    with ThreadPoolExecutor(n_threads) as pool:
        pending = [pool.submit(count, bounds) for bounds in ranges[:n_threads]]
        for i, bounds in enumerate(ranges):
            columns, values, lengths = pending.pop(0).result()
            if i + n_threads < len(ranges):
                pending.append(pool.submit(count, ranges[i + n_threads]))
            store.append("columns", columns)
            store.append("values", values)
            row_lengths.append(lengths)
            release_pages(text)
            done += int(frequencies[slice(*bounds)].sum())
            if progress is not None:
                progress(done, total)
    del text
    store.drop("text")
    row_starts = np.cumsum(np.concatenate(row_lengths))
    if not row_starts[-1]:
        raise DataError(
            f"No two of the {n_words} words stand within window={settings.window} of each other on one line, so there is "
            "nothing to count. Expected lines of two words or more: join lines, or count more words (n_words)."
        )
    columns, values = store.take("columns", np.int32), store.take("values", np.float64)
    starts = row_starts.astype(np.int32) if row_starts[-1] < 2**31 else row_starts
    counts = csr_matrix((values, columns, starts), shape=(n_words, n_words), copy=False)
    return Cooccurrence(token_ids, frequencies, counts, settings)


def _blocks(tokens: TokenStream, vocab_size: int) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(tokens), READ_AT_ONCE):
        block = tokens.read(first, min(first + READ_AT_ONCE, len(tokens)))
        if len(block) and (block.min() < 0 or block.max() >= vocab_size):
            wrong = int(block[(block < 0) | (block >= vocab_size)][0])
            raise DataError(
                f"Token id {wrong} was found, and ids from 0 to {vocab_size - 1} were expected (vocab_size={vocab_size}). "
                "Read the text with the tokenizer that the vocabulary belongs to."
            )
        yield block
        tokens.release()


def _most_frequent(
    tokens: TokenStream, vocab_size: int, n_words: int, special_ids: SpecialIds
) -> tuple[Int64[np.ndarray, " words"], Int64[np.ndarray, " words"]]:
    """Ids and frequencies of the most frequent words; of equally frequent ones, the lower id comes first."""
    frequencies = np.zeros(vocab_size, np.int64)
    for block in _blocks(tokens, vocab_size):
        frequencies += np.bincount(block, minlength=vocab_size)
    frequencies[special_ids.all] = 0
    order = np.argsort(-frequencies, kind="stable")[:n_words]
    token_ids = order[frequencies[order] > 0]
    if len(token_ids) < 2:
        words = "word" if len(token_ids) == 1 else "words"
        raise DataError(
            f"The text has {len(token_ids)} different known {words}, and pairs need 2 or more. Give more text, or a tokenizer "
            "that knows its words."
        )
    return token_ids.astype(np.int64), frequencies[token_ids]


def _rows_of(
    tokens: TokenStream, token_ids: NDArray[np.int64], vocab_size: int, special_ids: SpecialIds, store: Store
) -> NDArray[np.int32]:
    """The text as row numbers."""
    row_of = np.full(vocab_size, NO_WORD, np.int32)
    row_of[token_ids] = np.arange(len(token_ids), dtype=np.int32)
    row_of[[special_ids.bos, special_ids.eos]] = LINE_END
    for block in _blocks(tokens, vocab_size):
        store.append("text", row_of[block])
    return store.take("text", np.int32)


def _weights(settings: PairSettings) -> tuple[Int64[np.ndarray, " window"], int]:
    """What a word 1, 2, ... places away counts, in units; and how many units are 1.

    Exact, but for harmonic weights of windows above 22, which are rounded to the nearest 2**-32.
    """
    window = settings.window
    distances = range(1, window + 1)
    if settings.weighting == "flat":
        return np.ones(window, np.int64), 1
    if settings.weighting == "linear":
        return np.array([window - d + 1 for d in distances], np.int64), window
    unit = min(math.lcm(*distances), FINEST_UNIT)
    return np.array([round(unit / d) for d in distances], np.int64), unit


def _ranges(sizes: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that take at most so many bytes each, or are one row."""
    first, size = 0, 0
    for row, more in enumerate(sizes.tolist()):
        if size and size + more > most:
            yield first, row
            first, size = row, 0
        size += more
    yield first, len(sizes)


@compiled()
def _gather(text, first_row, after_row, nexts, places):  # type: ignore[no-untyped-def]
    """Where each word of a range of rows stands, word by word; `nexts` (rows,) is where the list of each begins."""
    for i in range(len(text)):
        row = np.int64(text[i])
        if first_row <= row < after_row:
            places[nexts[row - first_row]] = i
            nexts[row - first_row] += 1


@compiled()
def _count_rows(  # type: ignore[no-untyped-def]
    text, places, ends, weights, scale, before, after, n_words, columns, values, lengths
):
    """Fill columns, values (cells,) and lengths (rows,) of the rows whose places end at `ends`; how many cells there are."""
    sums = np.zeros(n_words, np.int64)
    touched = np.empty(n_words, np.int32)
    n_cells, begin = 0, 0
    for row in range(len(ends)):
        n = 0
        for k in range(begin, ends[row]):
            for step in (-1, 1):
                if not (before if step < 0 else after):
                    continue
                place = places[k]
                for d in range(len(weights)):
                    place += step
                    if place < 0 or place >= len(text):
                        break
                    word = np.int64(text[place])
                    if word == LINE_END:
                        break
                    if word >= 0:
                        if sums[word] == 0:
                            touched[n] = word
                            n += 1
                        sums[word] += weights[d]
        begin = ends[row]
        if n * DENSE > n_words:
            touched[:n] = np.flatnonzero(sums)
        else:
            touched[:n].sort()
        for i in range(n):
            word = touched[i]
            columns[n_cells + i] = word
            values[n_cells + i] = sums[word] * scale
            sums[word] = 0
        lengths[row] = n
        n_cells += n
    return n_cells
