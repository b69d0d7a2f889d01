"""All n-grams of a model as one trie in a few arrays.

The node of the n-gram w_1 .. w_n is reached from the root by its words in order. Nodes are numbered level by level, and within
a level in the order of their words, so the children of a node lie side by side, sorted by their last word, and a node needs
no list of them: they are `first_child[node]` up to `first_child[node + 1]`. A node of level 1 has the number of its token.

Reading a text walks this trie like an automaton. The state is the node of the longest context that the model knows; the next
word is looked for among its children; where it is missing, the back-off weight is paid and `suffix` leads to the context
without its first word.

Shapes: L order, N nodes in all, M nodes shorter than the order, V vocab_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import Arrays, arrays_of, write_arrays
from malmoi.errors import RunError
from malmoi.shapes import Float32, Int64, Integer, Shaped, UInt32

LARGEST_ORDER = 8
MOST_NODES = 2**31 - 1  # node numbers are int32


@dataclass(frozen=True)
class Level:
    """The n-grams of one length, sorted by their token ids."""

    ids: UInt32[np.ndarray, "ngrams length"]
    log_probs: Float32[np.ndarray, " ngrams"]  # ln P(last token | those before it), nats
    backoffs: Float32[np.ndarray, " ngrams"]  # ln of the back-off weight; 0 where there is none


@dataclass(frozen=True)
class NGramTables:
    """What an n-gram model knows.

    `log_probs` and `backoffs` are float32 in nats, or uint8 codes into the rows of `prob_book` and `backoff_book`, one row of
    256 values for each level. `suffix` is -1 for the empty context.
    """

    order: int
    vocab_size: int
    level_ends: Int64[
        np.ndarray, " order"
    ]  # nodes of length n are level_ends[n - 2] (0 for n = 1) up to level_ends[n - 1]
    words: Shaped[np.ndarray, " nodes"]  # last token of each n-gram, uint16 or uint32
    log_probs: Shaped[np.ndarray, " nodes"]  # ln P(last token | tokens before); -inf where never predicted
    backoffs: Shaped[np.ndarray, " inner"]  # ln of the back-off weight
    first_child: Shaped[np.ndarray, " inner_and_one"]  # uint32, or int64 where that is too small
    suffix: Shaped[np.ndarray, " nodes"]  # int32: the longest shorter suffix that can be a state
    prob_book: Float32[np.ndarray, "order 256"] | None = None
    backoff_book: Float32[np.ndarray, "order 256"] | None = None

    @property
    def n_nodes(self) -> int:
        return len(self.words)

    @property
    def n_inner(self) -> int:
        return len(self.backoffs)

    @property
    def is_quantised(self) -> bool:
        return self.prob_book is not None

    def level_range(self, n: int) -> tuple[int, int]:
        """(first, one past the last) node of length n."""
        return (0 if n == 1 else int(self.level_ends[n - 2]), int(self.level_ends[n - 1]))

    def level_counts(self) -> list[int]:
        """How many n-grams there are of each length; of length 1, the vocabulary."""
        return [int(count) for count in np.diff(self.level_ends, prepend=0)]

    def level_ids(self, n: int) -> UInt32[np.ndarray, "ngrams length"]:
        """The n-grams of length n as token ids, in node order."""
        first, after = self.level_range(n)
        ids = np.empty((after - first, n), np.uint32)
        nodes = np.arange(first, after)
        for place in range(n - 1, 0, -1):
            ids[:, place] = self.words[nodes]
            nodes = np.searchsorted(self.first_child, nodes, side="right") - 1  # the parent
        ids[:, 0] = nodes
        return ids

    def plain(self) -> "NGramTables":
        """The same with float32 values, read from the code books where the values are quantised."""
        if self.prob_book is None or self.backoff_book is None:
            return self
        levels = np.repeat(np.arange(self.order), np.diff(self.level_ends, prepend=0))
        log_probs = self.prob_book[levels, self.log_probs]
        backoffs = self.backoff_book[levels[: self.n_inner], self.backoffs]
        return replace(self, log_probs=log_probs, backoffs=backoffs, prob_book=None, backoff_book=None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything by name, as it is stored."""
        names = ("level_ends", "words", "log_probs", "backoffs", "first_child", "suffix", "prob_book", "backoff_book")
        return {name: array for name in names if (array := getattr(self, name)) is not None}

    @property
    def n_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())


def word_dtype(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def child_dtype(n_nodes: int) -> type[np.uint32] | type[np.int64]:
    return np.uint32 if n_nodes < 2**32 else np.int64


def link(
    words: Shaped[np.ndarray, " nodes"],
    first_child: Shaped[np.ndarray, " inner_and_one"],
    level_ends: Int64[np.ndarray, " order"],
    backoffs: Float32[np.ndarray, " inner"],
) -> Shaped[np.ndarray, " nodes"]:
    """`suffix` of every node: the longest proper suffix that has children or a back-off weight, -1 for the root.

    Every n-gram without its first word must be an n-gram too.
    """
    from malmoi.models.ngram.queries import live_suffixes, true_suffixes

    suffix = true_suffixes(words, first_child, level_ends, np.empty(len(words), np.int32))
    live_suffixes(suffix, first_child, backoffs)
    return suffix


def tables_from_levels(levels: Sequence[Level], vocab_size: int) -> NGramTables:
    """Tables of n-grams that are listed length by length.

    Args:
        levels: levels[n - 1] holds the n-grams of length n, sorted by their ids, each of them once. Those of length 1 may be
            fewer than the vocabulary: the others get no probability. Without its last token, and without its first, an n-gram
            must be listed one level below.

    Raises:
        RunError: If one is not.
    """
    order = len(levels)
    counts = [vocab_size, *(len(level.ids) for level in levels[1:])]
    ends = np.cumsum(counts, dtype=np.int64)
    n_inner = int(ends[-2]) if order > 1 else 0
    words = np.empty(int(ends[-1]), word_dtype(vocab_size))
    words[:vocab_size] = np.arange(vocab_size)
    log_probs = np.full(len(words), -np.inf, np.float32)
    backoffs = np.zeros(n_inner, np.float32)
    first_child = np.zeros(n_inner + 1, child_dtype(len(words)))
    first_child[-1] = len(words)
    parents_of_words = levels[0].ids[:, 0].astype(np.int64)  # the node of each listed 1-gram
    log_probs[parents_of_words] = levels[0].log_probs
    if order > 1:
        backoffs[parents_of_words] = levels[0].backoffs
    for n in range(2, order + 1):
        level, first, after = levels[n - 1], int(ends[n - 2]), int(ends[n - 1])
        words[first:after] = level.ids[:, -1]
        log_probs[first:after] = level.log_probs
        if n < order:
            backoffs[first:after] = level.backoffs
        parents = _rows_of(level.ids[:, :-1], levels[n - 2].ids)
        parents = parents_of_words[parents] if n == 2 else parents + int(ends[n - 3])
        low, high = (0 if n == 2 else int(ends[n - 3])), first
        n_children = np.bincount(parents - low, minlength=high - low)
        first_child[low:high] = first + np.concatenate([[0], np.cumsum(n_children)[:-1]])
    suffix = link(words, first_child, ends, backoffs) if n_inner else np.full(len(words), -1, np.int32)
    if len(suffix) and suffix.min() < -1:
        raise RunError(
            "An n-gram is there, but not the shorter one without its first word. Every n-gram needs all its parts: estimate "
            "the model again, or import it from an ARPA file, where missing parts are filled in."
        )
    return NGramTables(order, vocab_size, ends, words, log_probs, backoffs, first_child, suffix)


def _rows_of(wanted: Integer[np.ndarray, "m k"], rows: Integer[np.ndarray, "r k"]) -> Int64[np.ndarray, " m"]:
    """Where each wanted row stands among the sorted rows.

    Raises:
        RunError: If one is missing.
    """

    def keys(table: NDArray[Any]) -> NDArray[Any]:  # big-endian bytes compare like the numbers
        packed = np.ascontiguousarray(table.astype(">u4"))
        return packed.view(np.dtype((np.void, 4 * table.shape[1]))).reshape(-1)

    if not len(wanted):
        return np.zeros(0, np.int64)
    sorted_rows, sought = keys(rows), keys(wanted)
    found = np.searchsorted(sorted_rows, sought)
    if not len(rows) or (found >= len(rows)).any() or (rows[found] != wanted).any():
        raise RunError(
            "An n-gram is there, but not the shorter one without its last word. Every n-gram needs all its parts: estimate the "
            "model again, or import it from an ARPA file, where missing parts are filled in."
        )
    return np.asarray(found, np.int64)


def save_tables(path: Path, tables: NGramTables) -> None:
    """Write model.safetensors."""
    write_arrays(path, tables.arrays())


def load_tables(path: Path, order: int, vocab_size: int) -> NGramTables:
    """What `save_tables` wrote, checked so that no compiled loop can leave the arrays.

    Raises:
        RunError: If the file is missing, damaged, or does not fit the run's config.
    """
    return tables_of(arrays_of(path), path, order, vocab_size)


def tables_of(arrays: Arrays, path: Path, order: int, vocab_size: int) -> NGramTables:
    """The tables in these arrays of a file, checked like that.

    Raises:
        RunError: If they do not fit each other, or the run's config.
    """
    why = _fault(arrays, order, vocab_size)
    if why:
        raise RunError(
            f"{path}: {why}. The file is not of this run or was altered; copy the whole folder again, or train again."
        )
    return NGramTables(order, vocab_size, **arrays)


def _fault(arrays: dict[str, NDArray[Any]], order: int, vocab_size: int) -> str | None:
    """What is wrong with the arrays of a file, or None."""
    needed = {"level_ends", "words", "log_probs", "backoffs", "first_child", "suffix"}
    books = {"prob_book", "backoff_book"}
    if not needed <= arrays.keys() <= needed | books or (books & arrays.keys() and not books <= arrays.keys()):
        return f"it holds {', '.join(sorted(arrays))}, and an n-gram model needs {', '.join(sorted(needed))}"
    ends, words, suffix, first_child = (arrays[name] for name in ("level_ends", "words", "suffix", "first_child"))
    value = np.uint8 if books <= arrays.keys() else np.float32
    kinds: dict[str, tuple[Any, ...]] = {
        "level_ends": (np.int64,),
        "words": (word_dtype(vocab_size),),
        "suffix": (np.int32,),
    }
    kinds |= {"log_probs": (value,), "backoffs": (value,), "first_child": (np.uint32, np.int64)}
    for name, dtypes in kinds.items():
        if arrays[name].ndim != 1 or arrays[name].dtype not in dtypes:
            return f"{name} is {arrays[name].dtype} of shape {arrays[name].shape}"
    for name in books & arrays.keys():
        if arrays[name].shape != (order, 256) or arrays[name].dtype != np.float32:
            return f"{name} is {arrays[name].dtype} of shape {arrays[name].shape}"
    if len(ends) != order or (order and int(ends[0]) != vocab_size) or (np.diff(ends) < 0).any():
        return f"its levels end at {ends.tolist()}, and config.json says order {order} and {vocab_size} tokens"
    n_nodes, n_inner = int(ends[-1]), int(ends[-2]) if order > 1 else 0
    sizes = {"words": n_nodes, "log_probs": n_nodes, "suffix": n_nodes, "backoffs": n_inner, "first_child": n_inner + 1}
    for name, size in sizes.items():
        if len(arrays[name]) != size:
            return f"{name} has {len(arrays[name]):,} entries instead of {size:,}"
    if (words >= vocab_size).any() or (words[:vocab_size] != np.arange(vocab_size)).any():
        return "words holds tokens that the vocabulary lacks"
    if int(first_child[-1]) != n_nodes or (first_child[1:] < first_child[:-1]).any():
        return "first_child is not in order"
    starts = np.concatenate([[0], ends])
    for n in range(1, order):
        if int(first_child[starts[n - 1]] if starts[n - 1] < n_inner else n_nodes) != starts[n]:
            return f"the children of its {n}-grams do not lie where those of length {n + 1} begin"
    for n in range(1, order + 1):
        part = suffix[starts[n - 1] : starts[n]]
        if len(part) and (part.min() < -1 or part.max() >= (starts[n - 1] if n > 1 else 0)):
            return f"the suffixes of its {n}-grams point outside of shorter n-grams"
    return None
