"""Compiled loops that walk the trie of `tables.py`: scores, whole distributions, the k likeliest tokens, links.

None of them checks its arguments: `load_tables` and `NGramModel` do.

A state is the number of a node, or -1 for the empty context. `ends` is level_ends. `log_probs` and `backoffs` are float32, or
uint8 codes into the rows of the two books.

Shapes: B sequences, T tokens each, V vocab_size, N nodes, L order.
"""

from collections.abc import Callable
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from malmoi.files import release_pages
from malmoi.jit import compiled
from malmoi.models.ngram.plain import ROOT, Array, Trie

AT_ONCE = 1 << 23  # nodes


def in_parallel(
    work: Callable[[int, int], object], bounds: tuple[int, int], n_threads: int, arrays: tuple[Array, ...]
) -> None:
    """Call work(first, after) for parts of a range of nodes, and let go of the pages of mapped arrays after each."""
    from concurrent.futures import ThreadPoolExecutor  # which a command with one answer does without

    n_parts = max(4 * n_threads, (bounds[1] - bounds[0]) // AT_ONCE)

    def do(part: tuple[int, int]) -> None:
        work(*part)
        release_pages(*arrays)

    cuts = np.linspace(*bounds, n_parts + 1).astype(np.int64).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(do, pairwise(cuts)))


@compiled()
def _level(ends, node):  # type: ignore[no-untyped-def]
    """Which level a node is on, from 0."""
    level = 0
    while node >= ends[level]:
        level += 1
    return level


def _value(values, book, ends, node):  # type: ignore[no-untyped-def]
    """The number that stands for `node`, looked up in the code book where values are codes."""


@numba.extending.overload(_value)
def _typed_value(values, book, ends, node):  # type: ignore[no-untyped-def]
    if values.dtype == numba.types.uint8:
        return lambda values, book, ends, node: book[_level(ends, node), values[node]]
    return lambda values, book, ends, node: values[node]


@compiled()
def _child(words, first, after, word):  # type: ignore[no-untyped-def]
    """The node between `first` and `after` whose last token is `word`, or -1."""
    low, high = np.int64(first), np.int64(after)
    while high - low > 8:
        middle = (low + high) >> 1
        if words[middle] <= word:
            low = middle
        else:
            high = middle
    while low < high:
        if words[low] == word:
            return low
        low += 1
    return np.int64(-1)


@compiled()
def _advance(trie, word, state):  # type: ignore[no-untyped-def]
    """(ln P(word | state), the state after it)."""
    total = np.float32(0)
    node = np.int64(word)
    while state >= 0:
        found = _child(trie.words, trie.first_child[state], trie.first_child[state + 1], word)
        if found >= 0:
            node = found
            break
        total += _value(trie.backoffs, trie.backoff_book, trie.ends, state)
        state = np.int64(trie.suffix[state])
    total += _value(trie.log_probs, trie.prob_book, trie.ends, node)
    if node < len(trie.backoffs) and (
        trie.first_child[node] < trie.first_child[node + 1]
        or _value(trie.backoffs, trie.backoff_book, trie.ends, node) != 0
    ):
        return total, node
    return total, np.int64(trie.suffix[node])


@compiled()
def score(
    token_ids: NDArray[np.int64],
    states: NDArray[np.int64],
    trie: Trie,
    eos_id: int,
    start: int,
    scores: NDArray[np.float32],
) -> None:
    """Fill `scores` (B, T) with ln P of each token, and `states` (B,) with the states after the last ones."""
    for b in range(token_ids.shape[0]):
        state = states[b]
        for t in range(token_ids.shape[1]):
            word = token_ids[b, t]
            total, after = _advance(trie, word, state)
            scores[b, t] = total
            state = np.int64(start) if word == eos_id else after
        states[b] = state


@compiled()
def distribution(
    states: NDArray[np.int64],
    trie: Trie,
    rows: NDArray[np.float32],
) -> None:
    """Fill `rows` (B, V) with ln P of every token after each state."""
    chain = np.empty(len(trie.ends), np.int64)
    weights = np.empty(len(trie.ends), np.float32)
    for b in range(len(states)):
        depth, state, weight = 0, states[b], np.float32(0)
        while state >= 0:
            chain[depth], weights[depth] = state, weight
            weight += _value(trie.backoffs, trie.backoff_book, trie.ends, state)
            state = np.int64(trie.suffix[state])
            depth += 1
        row = rows[b]
        for word in range(rows.shape[1]):
            row[word] = weight + _value(trie.log_probs, trie.prob_book, trie.ends, word)
        for i in range(depth - 1, -1, -1):
            for node in range(np.int64(trie.first_child[chain[i]]), np.int64(trie.first_child[chain[i] + 1])):
                row[trie.words[node]] = weights[i] + _value(trie.log_probs, trie.prob_book, trie.ends, node)


@compiled()
def top(
    states: NDArray[np.int64],
    by_probability: NDArray[np.int64],
    trie: Trie,
    best: NDArray[np.int64],
    values: NDArray[np.float32],
) -> None:
    """Fill `best` (B, k) and `values` (B, k) with the likeliest tokens, ties by id, without visiting the whole vocabulary.

    Only the tokens that were seen after the context or after one of its suffixes are visited, and as many of the likeliest
    single tokens (`by_probability`, (V,)) as it takes: behind the k-th of them nothing better can come.
    """
    k = best.shape[1]
    is_seen = np.zeros(trie.ends[0], np.bool_)
    for b in range(len(states)):
        n, state, weight = 0, states[b], np.float32(0)
        while state >= 0:
            for node in range(np.int64(trie.first_child[state]), np.int64(trie.first_child[state + 1])):
                word = np.int64(trie.words[node])
                if not is_seen[word]:
                    is_seen[word] = True
                    value = weight + _value(trie.log_probs, trie.prob_book, trie.ends, node)
                    n = _insert(best[b], values[b], n, k, word, value)
            weight += _value(trie.backoffs, trie.backoff_book, trie.ends, state)
            state = np.int64(trie.suffix[state])
        for i in range(len(by_probability)):
            word = by_probability[i]
            value = weight + _value(trie.log_probs, trie.prob_book, trie.ends, word)
            if n == k and value < values[b, k - 1]:
                break
            if not is_seen[word]:
                n = _insert(best[b], values[b], n, k, word, value)
        state = states[b]
        while state >= 0:
            for node in range(np.int64(trie.first_child[state]), np.int64(trie.first_child[state + 1])):
                is_seen[trie.words[node]] = False
            state = np.int64(trie.suffix[state])


@compiled()
def _insert(best, values, n, k, word, value):  # type: ignore[no-untyped-def]
    """Put a token into its place among the n best ones; how many there are then."""
    if n == k and (value < values[k - 1] or (value == values[k - 1] and word > best[k - 1])):
        return n
    place = min(n, k - 1)
    while place > 0 and (values[place - 1] < value or (values[place - 1] == value and best[place - 1] > word)):
        values[place], best[place] = values[place - 1], best[place - 1]
        place -= 1
    values[place], best[place] = value, word
    return min(n + 1, k)


@compiled()
def _link_range(words, first_child, first, after, suffix):  # type: ignore[no-untyped-def]
    """Suffixes of the children of nodes `first` up to `after`, whose own suffixes are known."""
    for parent in range(first, after):
        shorter = np.int64(suffix[parent])  # the parent without its first word
        if shorter == -2:
            for node in range(np.int64(first_child[parent]), np.int64(first_child[parent + 1])):
                suffix[node] = -2
            continue
        low, high = np.int64(first_child[shorter]), np.int64(first_child[shorter + 1])
        for node in range(np.int64(first_child[parent]), np.int64(first_child[parent + 1])):
            word = words[node]
            step = np.int64(1)  # both lists are sorted: gallop on from where the last word was
            while low + step < high and words[low + step] < word:
                low += step
                step += step
            bound = min(high, low + step + 1)
            found = _child(words, low, bound, word)
            suffix[node] = found if found >= 0 else -2
            if found >= 0:
                low = found


def true_suffixes(
    words: Array, first_child: Array, ends: NDArray[np.int64], suffix: NDArray[np.int32], n_threads: int = 1
) -> NDArray[np.int32]:
    """Fill `suffix` (N,) with the node of each n-gram without its first word: -1 for single words, -2 where it is missing."""
    suffix[: ends[0]] = ROOT
    if len(ends) > 1:
        suffix[ends[0] : ends[1]] = words[ends[0] : ends[1]]  # of two words: the second
    for n in range(2, len(ends)):
        in_parallel(
            lambda first, after: _link_range(words, first_child, first, after, suffix),
            (int(ends[n - 2]), int(ends[n - 1])),
            n_threads,
            (words, first_child, suffix),
        )
    return suffix


def live_suffixes(suffix: NDArray[np.int32], first_child: Array, backoffs: NDArray[np.float32]) -> None:
    """Let each suffix skip, in place, the contexts that have no children and cost nothing to back off from."""
    for first in range(0, len(suffix), AT_ONCE):
        _skip_idle(suffix, first, min(first + AT_ONCE, len(suffix)), first_child, backoffs)
        release_pages(suffix, first_child, backoffs)


@compiled()
def _skip_idle(suffix, first, after, first_child, backoffs):  # type: ignore[no-untyped-def]
    for node in range(first, after):
        target = np.int64(suffix[node])
        if target >= 0 and first_child[target] == first_child[target + 1] and backoffs[target] == 0:
            suffix[node] = suffix[target]  # it has skipped already: it stands on a level below
