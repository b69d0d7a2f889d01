"""The queries of `queries.py` without a compiler: one answer to a person should not wait for compiled loops to be loaded.

That takes half a second; NumPy, and a Python loop over a few tokens, answer in a hundredth of it. The numbers are the same:
float32 sums in the same order.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = -1
Array = NDArray[Any]


class Trie(NamedTuple):
    """The arrays of NGramTables."""

    words: Array
    log_probs: Array
    prob_book: NDArray[np.float32]
    backoffs: Array
    backoff_book: NDArray[np.float32]
    first_child: Array
    suffix: NDArray[np.int32]
    ends: NDArray[np.int64]


def score(
    token_ids: NDArray[np.int64],
    states: NDArray[np.int64],
    trie: Trie,
    eos_id: int,
    start: int,
    scores: NDArray[np.float32],
) -> None:
    """Fill `scores` (B, T) with ln P of each token, and `states` (B,) with the states after the last ones."""
    for b, row in enumerate(token_ids.tolist()):
        state = int(states[b])
        for t, word in enumerate(row):
            scores[b, t], after = _advance(trie, word, state)
            state = start if word == eos_id else after
        states[b] = state


def distribution(states: NDArray[np.int64], trie: Trie, rows: NDArray[np.float32]) -> None:
    """Fill `rows` (B, V) with ln P of every token after each state."""
    single = _values(trie.log_probs, trie.prob_book, trie, 0, rows.shape[1])
    for b, state in enumerate(states.tolist()):
        chain, weight = [], np.float32(0)
        while state >= 0:
            chain.append((state, weight))
            weight += _value(trie.backoffs, trie.backoff_book, trie, state)
            state = int(trie.suffix[state])
        rows[b] = weight + single
        for node, its_weight in reversed(chain):
            first, after = int(trie.first_child[node]), int(trie.first_child[node + 1])
            if first < after:
                rows[b, trie.words[first:after]] = its_weight + _values(
                    trie.log_probs, trie.prob_book, trie, first, after
                )


def top(states: NDArray[np.int64], trie: Trie, best: NDArray[np.int64], values: NDArray[np.float32]) -> None:
    """Fill `best` (B, k) and `values` (B, k) with the likeliest tokens, ties by id."""
    k = best.shape[1]
    row = np.empty((1, int(trie.ends[0])), np.float32)
    for b in range(len(states)):
        distribution(states[b : b + 1], trie, row)
        floor = np.partition(row[0], -k)[-k]
        above = np.flatnonzero(row[0] >= floor)
        best[b] = above[np.argsort(-row[0, above], kind="stable")[:k]]
        values[b] = row[0, best[b]]


def _advance(trie: Trie, word: int, state: int) -> tuple[np.float32, int]:
    """(ln P(word | state), the state after it)."""
    total, node = np.float32(0), word
    while state >= 0:
        first, after = int(trie.first_child[state]), int(trie.first_child[state + 1])
        found = first + int(np.searchsorted(trie.words[first:after], word))
        if found < after and trie.words[found] == word:
            node = found
            break
        total += _value(trie.backoffs, trie.backoff_book, trie, state)
        state = int(trie.suffix[state])
    total += _value(trie.log_probs, trie.prob_book, trie, node)
    if node < len(trie.backoffs) and (
        trie.first_child[node] < trie.first_child[node + 1] or _value(trie.backoffs, trie.backoff_book, trie, node) != 0
    ):
        return total, node
    return total, int(trie.suffix[node])


def _value(values: Array, book: NDArray[np.float32], trie: Trie, node: int) -> np.float32:
    """The number that stands for `node`, looked up in the code book where values are codes."""
    return np.float32(_values(values, book, trie, node, node + 1)[0])


def _values(values: Array, book: NDArray[np.float32], trie: Trie, first: int, after: int) -> NDArray[np.float32]:
    """The same of nodes side by side on one level."""
    codes = values[first:after]
    if codes.dtype != np.uint8:
        return codes
    level = int(np.searchsorted(trie.ends, first, side="right"))
    numbers: NDArray[np.float32] = book[level, codes]
    return numbers
