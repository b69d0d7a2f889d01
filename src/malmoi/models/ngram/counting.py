"""Every n-gram of a text with its count, as one trie, in parallel and within a given memory.

The text is cut into sentences at line ends, each with one begin-of-sentence token before it. An n-gram is known by where it
begins, so counting is sorting: positions are sorted by their first word, then, within each group of equal beginnings, by the
next word, and so on; the groups of step n are the n-grams of length n, in the order in which the trie wants them. N-grams that
begin with different words never meet, so the vocabulary is cut into ranges of first words, each counted alone: that is what
bounds the memory, and what several threads share. The result is the same for any number of ranges or threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import TrainingError
from malmoi.files import release_pages
from malmoi.jit import compiled
from malmoi.models.ngram.tables import MOST_NODES, child_dtype, word_dtype
from malmoi.store import Store, TokenStream

READ_AT_ONCE = 1 << 22  # tokens
BYTES_PER_POSITION = 48  # of a range while it is counted: its position, groups of two levels, keys
SMALL_GROUP = 48  # sorted by insertion


@dataclass(frozen=True)
class Counts:
    """All n-grams up to a length as the trie of `tables.py`, with how often each occurs.

    `counts` of length 1 are those of the tokens, that of bos being the number of sentences.
    """

    order: int
    vocab_size: int
    level_ends: NDArray[np.int64]
    words: NDArray[Any]
    counts: NDArray[np.uint32]
    first_child: NDArray[Any]
    store: Store


def count_ngrams(
    tokens: TokenStream,
    order: int,
    vocab_size: int,
    *,
    bos_id: int,
    eos_id: int,
    memory: int,
    n_threads: int,
    store: Store,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Count.

    Args:
        tokens: Lines, each ended by eos; a last line without it is ended here.
        memory: About how many bytes the positions that are sorted at once may take.
        progress: Called with (positions counted, positions in all).

    Raises:
        TrainingError: If there are more n-grams than node numbers.
    """
    text = _padded(tokens, vocab_size, bos_id, eos_id, store)
    frequencies = _frequencies(text, vocab_size)
    most = max(1, min(memory // BYTES_PER_POSITION // n_threads, -(-len(text) // (2 * n_threads))))
    ranges = list(_ranges(frequencies, most))
    done = 0

    def count(bounds: tuple[int, int]) -> list[tuple[NDArray[Any], NDArray[np.uint32], NDArray[np.uint32]]]:
        return _count_range(text, *bounds, frequencies, order, eos_id, vocab_size)

    store.append("1.counts", frequencies.astype(np.uint32))
    n_nodes = vocab_size
    with ThreadPoolExecutor(n_threads) as pool:
        pending = [pool.submit(count, bounds) for bounds in ranges[:n_threads]]
        for i, bounds in enumerate(ranges):
            levels = pending.pop(0).result()
            if i + n_threads < len(ranges):
                pending.append(pool.submit(count, ranges[i + n_threads]))
            for n, (words, counts, n_children) in enumerate(levels, start=2):
                store.append(f"{n}.words", words)
                store.append(f"{n}.counts", counts)
                store.append(f"{n - 1}.children", n_children)
                n_nodes += len(words)
            if n_nodes > MOST_NODES:
                raise TrainingError(
                    f"The text has more than {MOST_NODES:,} different n-grams up to order {order}, which is as many as a model "
                    "can number. Use a lower --order, or less text."
                )
            release_pages(text)
            done += int(frequencies[slice(*bounds)].sum())
            if progress is not None:
                progress(done, len(text))
    del text
    store.drop("text")
    return _assemble(order, vocab_size, store)


def _assemble(order: int, vocab_size: int, store: Store) -> Counts:
    """One array of each kind, from the levels."""
    dtype = word_dtype(vocab_size)
    words_of = [np.arange(vocab_size, dtype=dtype), *(store.take(f"{n}.words", dtype) for n in range(2, order + 1))]
    ends = np.cumsum([len(words) for words in words_of], dtype=np.int64)
    n_nodes, n_inner = int(ends[-1]), int(ends[-2]) if order > 1 else 0
    words = store.empty("words", n_nodes, dtype)
    counts = store.empty("counts", n_nodes, np.uint32)
    first_child = store.empty("first_child", n_inner + 1, child_dtype(n_nodes))
    first_child[n_inner] = n_nodes
    first = 0
    for n, after in enumerate(map(int, ends), start=1):
        words[first:after] = words_of[n - 1]
        words_of[n - 1] = np.zeros(0, dtype)
        store.drop(f"{n}.words")
        counts[first:after] = store.take(f"{n}.counts", np.uint32)
        store.drop(f"{n}.counts")
        if n < order:
            n_children = store.take(f"{n}.children", np.uint32)
            _prefix_sums(n_children, after, first_child[first:after])
            del n_children
            store.drop(f"{n}.children")
        release_pages(words, counts, first_child)
        first = after
    return Counts(order, vocab_size, ends, words, counts, first_child, store)


def _padded(tokens: TokenStream, vocab_size: int, bos_id: int, eos_id: int, store: Store) -> NDArray[Any]:
    """The text with bos before each sentence."""
    dtype = word_dtype(vocab_size)
    starts = True
    for first in range(0, len(tokens), READ_AT_ONCE):
        block = tokens.read(first, min(first + READ_AT_ONCE, len(tokens)))
        ends = np.flatnonzero(block == eos_id) + 1  # a sentence begins there
        begins = ends[ends < len(block)]
        if starts:
            begins = np.concatenate([[0], begins])
        store.append("text", np.insert(block, begins, bos_id).astype(dtype))
        starts = bool(len(ends)) and int(ends[-1]) == len(block)
        tokens.release()
    if not starts:
        store.append("text", np.array([eos_id], dtype))
    return store.take("text", dtype)


def _frequencies(text: NDArray[Any], vocab_size: int) -> NDArray[np.int64]:
    total = np.zeros(vocab_size, np.int64)
    for first in range(0, len(text), READ_AT_ONCE):
        total += np.bincount(text[first : first + READ_AT_ONCE], minlength=vocab_size)
    return total


def _ranges(frequencies: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of first words that begin at most `most` positions each, or are one word."""
    first, size = 0, 0
    for word, count in enumerate(frequencies.tolist()):
        if size and size + count > most:
            yield first, word
            first, size = word, 0
        size += count
    yield first, len(frequencies)


def _count_range(
    text: NDArray[Any],
    first_word: int,
    after_word: int,
    frequencies: NDArray[np.int64],
    order: int,
    eos_id: int,
    vocab_size: int,
) -> list[tuple[NDArray[Any], NDArray[np.uint32], NDArray[np.uint32]]]:
    """For n = 2 to order: (last words, counts of the n-grams that begin in the range; children of each (n-1)-gram)."""
    sizes = frequencies[first_word:after_word]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    positions = np.empty(int(starts[-1]), np.uint32 if len(text) < 2**32 else np.int64)
    _gather(text, first_word, after_word, starts[:-1].copy(), positions)
    small = np.uint32 if len(positions) < 2**32 else np.int64
    group_starts, group_sizes = starts[:-1].astype(small), sizes.astype(small)
    last_words = np.arange(first_word, after_word).astype(word_dtype(vocab_size))
    n_digits = max(1, ((vocab_size - 1).bit_length() + 7) // 8)
    levels = []
    for n in range(2, order + 1):
        widest = int(group_sizes.max(initial=0))
        keys, other_keys = np.empty(widest, np.uint64), np.empty(widest, np.uint64)
        n_groups = len(last_words)
        n_children = np.zeros(n_groups, np.uint32)
        most = len(positions)
        words = np.empty(most, text.dtype)
        child_starts, child_sizes = np.empty(most, small), np.empty(most, small)
        n_new = _split_groups(
            text,
            positions,
            last_words,
            group_starts,
            group_sizes,
            n - 1,
            eos_id,
            n_digits,
            keys,
            other_keys,
            n_children,
            words,
            child_starts,
            child_sizes,
        )
        last_words, group_starts, group_sizes = (
            words[:n_new].copy(),
            child_starts[:n_new].copy(),
            child_sizes[:n_new].copy(),
        )
        levels.append((last_words, group_sizes.astype(np.uint32), n_children))
        del words, child_starts, child_sizes, keys, other_keys
    return levels


@compiled()
def _gather(text, first_word, after_word, places, positions):  # type: ignore[no-untyped-def]
    """Where each word of the range occurs, word by word; `places` (words,) is where each word's list begins."""
    for i in range(len(text)):
        word = np.int64(text[i])
        if first_word <= word < after_word:
            place = places[word - first_word]
            positions[place] = i
            places[word - first_word] = place + 1


@compiled()
def _split_groups(  # type: ignore[no-untyped-def]
    text,
    positions,
    last_words,
    group_starts,
    group_sizes,
    offset,
    eos_id,
    n_digits,
    keys,
    other_keys,
    n_children,
    words,
    child_starts,
    child_sizes,
):
    """Sort each group of positions by the word `offset` after them and split it where that changes; how many parts."""
    n_new = 0
    for group in range(len(last_words)):
        size, first = np.int64(group_sizes[group]), np.int64(group_starts[group])
        if last_words[group] == eos_id or size == 0:  # nothing comes after the end of a sentence
            continue
        if size == 1:
            words[n_new] = text[np.int64(positions[first]) + offset]
            child_starts[n_new], child_sizes[n_new] = first, 1
            n_new += 1
            n_children[group] = 1
            continue
        for i in range(size):
            position = np.int64(positions[first + i])
            keys[i] = (np.uint64(text[position + offset]) << np.uint64(40)) | np.uint64(position)
        _sort(keys, other_keys, size, n_digits)
        before = n_new
        previous = np.uint64(0)
        for i in range(size):
            word = keys[i] >> np.uint64(40)
            positions[first + i] = np.int64(keys[i] & np.uint64((1 << 40) - 1))
            if i == 0 or word != previous:
                words[n_new] = word
                child_starts[n_new], child_sizes[n_new] = first + i, 0
                n_new += 1
                previous = word
            child_sizes[n_new - 1] += 1
        n_children[group] = n_new - before
    return n_new


@compiled()
def _sort(keys, other, size, n_digits):  # type: ignore[no-untyped-def]
    """Sort by the upper 24 bits, in which a word stands; positions below it are in order already."""
    if size <= SMALL_GROUP:
        for i in range(1, size):
            key = keys[i]
            j = i - 1
            while j >= 0 and keys[j] > key:
                keys[j + 1] = keys[j]
                j -= 1
            keys[j + 1] = key
        return
    places = np.empty(256, np.int64)
    for digit in range(n_digits):
        shift = np.uint64(40 + 8 * digit)
        places[:] = 0
        for i in range(size):
            places[(keys[i] >> shift) & np.uint64(255)] += 1
        total = 0
        for value in range(256):
            here = places[value]
            places[value] = total
            total += here
        for i in range(size):
            value = (keys[i] >> shift) & np.uint64(255)
            other[places[value]] = keys[i]
            places[value] += 1
        for i in range(size):
            keys[i] = other[i]


@compiled()
def _prefix_sums(n_children, first, sums):  # type: ignore[no-untyped-def]
    """sums[i] = first + all children of the nodes before i."""
    total = np.int64(first)
    for i in range(len(n_children)):
        sums[i] = total
        total += n_children[i]
