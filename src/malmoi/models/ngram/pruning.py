"""Fewer n-grams: those seen too seldom, those whose loss changes the model least, and 8-bit values for what stays.

An n-gram can go only if no longer one that stays begins or ends with it, so that the trie can still be walked.

Source: Stolcke 1998, arXiv:cs/0006025 (entropy pruning). The probability of a context is how often it occurred, as Chelba
et al. 2010 advise for Kneser-Ney, whose own lower orders are not made for that.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.jit import compiled
from malmoi.models.ngram.queries import true_suffixes
from malmoi.models.ngram.tables import NGramTables, child_dtype, link, word_dtype

BISECTIONS = 25
LLOYD_STEPS = 60  # of quantising: every step makes the error a little smaller


def thresholds(prune: str, order: int) -> tuple[int, ...]:
    """For each length, the smallest count that is kept, from numbers as KenLM takes them: "0,0,1" drops n-grams of length 3 and
    more that occur once, the last number standing for all longer ones.

    Raises:
        ConfigError: If a number is negative or smaller than the one before it, or single tokens would be dropped.
    """
    given = [int(number) for number in prune.replace(",", " ").split()]
    if len(given) > order or min(given) < 0 or given[0] != 0 or any(b < a for a, b in pairwise(given)):
        raise ConfigError(
            f"--prune {prune} does not fit order {order}. Expected at most {order} numbers, the first of them 0 and "
            "none smaller than the one before it, as 0,0,1: that drops n-grams of length 3 and more that occur once."
        )
    return tuple(count + 1 for count in (*given, *[given[-1]] * (order - len(given))))


def keep(tables: NGramTables, kept: Bool[np.ndarray, " nodes"]) -> NGramTables:
    """The tables with only the nodes of `kept`, in which no parent and no suffix of a kept node may be missing."""
    ends, order = tables.level_ends, tables.order
    before = np.concatenate([[0], np.cumsum(kept)])
    new_ends = before[ends]
    n_nodes, n_inner = int(new_ends[-1]), int(new_ends[-2]) if order > 1 else 0
    inner = np.flatnonzero(kept[: tables.n_inner])
    first_child = np.empty(n_inner + 1, child_dtype(n_nodes))
    first_child[:-1] = before[tables.first_child[inner]]
    first_child[-1] = n_nodes
    words = tables.words[kept].astype(word_dtype(tables.vocab_size))
    backoffs = tables.backoffs[inner]
    backoffs[first_child[:-1] == first_child[1:]] = 0
    suffix = link(words, first_child, new_ends, backoffs) if n_inner else np.full(n_nodes, -1, np.int32)
    return NGramTables(order, tables.vocab_size, new_ends, words, tables.log_probs[kept], backoffs, first_child, suffix)


def prune_by_entropy(
    tables: NGramTables, threshold: float, occurrences: NDArray[np.uint32] | None = None
) -> NGramTables:
    """Drop n-grams whose loss raises the perplexity by less than this share, and adapt the back-off weights.

    Args:
        occurrences: How often each n-gram occurs in the text, (N,); left out, the model's own probabilities tell how often a
            context is met.
    """
    return _Pruning(tables, occurrences).at(threshold)


def prune_to_size(
    tables: NGramTables, n_bytes: int, occurrences: NDArray[np.uint32] | None = None, quantised: bool = False
) -> NGramTables:
    """The largest model, by entropy pruning, that takes at most `n_bytes` on disk.

    Args:
        quantised: Count the bytes that the model takes after `quantise`.

    Raises:
        ConfigError: If single tokens alone take more.
    """
    if size_of(tables.level_counts(), tables.vocab_size, quantised) <= n_bytes:
        return tables
    pruning = _Pruning(tables, occurrences)
    smallest = size_of([tables.vocab_size] + [0] * (tables.order - 1), tables.vocab_size, quantised)
    if smallest > n_bytes:
        raise ConfigError(
            f"--max-disk leaves {n_bytes:,} bytes for the n-grams, and the {tables.vocab_size:,} single tokens alone take "
            f"{smallest:,}. Give more, a smaller --vocab-size, or --quantise."
        )
    low, high = math.log(1e-14), math.log(1e3)  # too large a model; a small enough one
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        kept = pruning.kept(math.exp(middle))
        counts = [int(part.sum()) for part in np.split(kept, tables.level_ends[:-1])]
        low, high = (low, middle) if size_of(counts, tables.vocab_size, quantised) <= n_bytes else (middle, high)
    return pruning.at(math.exp(high))


def size_of(counts: Sequence[int], vocab_size: int, quantised: bool) -> int:
    """Bytes of model.safetensors for so many n-grams of each length."""
    n_nodes, n_inner = sum(counts), sum(counts[:-1])
    value = 1 if quantised else 4
    word = np.dtype(word_dtype(vocab_size)).itemsize
    books = 2 * 256 * 4 * len(counts) if quantised else 0
    return n_nodes * (word + value + 4) + n_inner * (value + 4) + books + 2048


class _Pruning:
    """What every threshold shares."""

    def __init__(self, tables: NGramTables, occurrences: NDArray[np.uint32] | None) -> None:
        self.tables = tables
        self.suffix = np.empty(tables.n_nodes, np.int32)
        true_suffixes(tables.words, tables.first_child, tables.level_ends, self.suffix)
        self.context_probs = np.empty(tables.n_inner, np.float64)
        if occurrences is not None:
            self.context_probs[:] = occurrences[: tables.n_inner]
            self.context_probs /= max(1.0, float(occurrences[: tables.vocab_size].sum()))
        else:
            _context_probs(tables.log_probs, tables.first_child, tables.vocab_size, self.context_probs)

    def kept(self, threshold: float) -> Bool[np.ndarray, " nodes"]:
        tables = self.tables
        kept = np.ones(tables.n_nodes, np.bool_)
        needed = np.zeros(tables.n_nodes, np.bool_)  # a longer n-gram that stays begins or ends with it
        for n in range(tables.order, 1, -1):
            low, high = tables.level_range(n - 1)
            _prune_level(
                low,
                high,
                tables.first_child,
                self.suffix,
                tables.log_probs,
                tables.backoffs,
                self.context_probs,
                threshold,
                kept,
                needed,
            )
        return kept

    def at(self, threshold: float) -> NGramTables:
        tables, kept = self.tables, self.kept(threshold)
        backoffs = tables.backoffs.copy()
        for n in range(1, tables.order):
            _renew_backoffs(
                *tables.level_range(n), tables.first_child, self.suffix, tables.log_probs, kept, False, backoffs
            )
        return keep(replace(tables, backoffs=backoffs), kept)


@compiled()
def _context_probs(log_probs, first_child, vocab_size, context_probs):  # type: ignore[no-untyped-def]
    """P(the words of the context) by the chain rule, for every node that can have children."""
    for node in range(min(vocab_size, len(context_probs))):
        context_probs[node] = np.exp(log_probs[node]) if log_probs[node] > -np.inf else 1.0
    for parent in range(len(context_probs)):
        for node in range(np.int64(first_child[parent]), np.int64(first_child[parent + 1])):
            if node < len(context_probs):
                context_probs[node] = context_probs[parent] * np.exp(log_probs[node])


@compiled()
def _prune_level(low, high, first_child, suffix, log_probs, backoffs, context_probs, threshold, kept, needed):  # type: ignore[no-untyped-def]
    """Decide about the children of contexts `low` up to `high`, and mark what the kept ones need."""
    for context in range(low, high):
        from_node, to_node = np.int64(first_child[context]), np.int64(first_child[context + 1])
        seen, seen_below = 0.0, 0.0
        for node in range(from_node, to_node):
            seen += np.exp(np.float64(log_probs[node]))
            seen_below += np.exp(np.float64(log_probs[suffix[node]]))
        left, left_below = max(1.0 - seen, 1e-12), max(1.0 - seen_below, 1e-12)
        weight = np.float64(backoffs[context])
        any_kept = False
        for node in range(from_node, to_node):
            if not needed[node]:
                log_prob, log_lower = np.float64(log_probs[node]), np.float64(log_probs[suffix[node]])
                prob, lower = np.exp(log_prob), np.exp(log_lower)
                new_weight = np.log((left + prob) / (left_below + lower))
                change = prob * (log_lower + new_weight - log_prob) + left * (new_weight - weight)
                kept[node] = np.expm1(-context_probs[context] * change) >= threshold
            if kept[node]:
                any_kept = True
                needed[suffix[node]] = True
        if any_kept:
            needed[context] = True


@compiled()
def _renew_backoffs(low, high, first_child, suffix, log_probs, kept, everywhere, backoffs):  # type: ignore[no-untyped-def]
    """Back-off weights for the children that are kept: (1 - their sum) / (1 - the sum of the same words one level below).

    Those of contexts that lose no child stay as they are, unless `everywhere`.
    """
    for context in range(low, high):
        from_node, to_node = np.int64(first_child[context]), np.int64(first_child[context + 1])
        seen, seen_below, all_kept = 0.0, 0.0, True
        for node in range(from_node, to_node):
            if kept[node]:
                seen += np.exp(np.float64(log_probs[node]))
                seen_below += np.exp(np.float64(log_probs[suffix[node]]))
            else:
                all_kept = False
        if everywhere or not all_kept:
            backoffs[context] = np.log(max(1.0 - seen, 1e-12) / max(1.0 - seen_below, 1e-12))


def quantise(tables: NGramTables) -> NGramTables:
    """The same with log-probabilities and back-off weights as 8-bit codes, 256 values for each length.

    The values are those with the least squared error (Max 1960; Lloyd 1982); 0 and minus infinity have codes of their own.
    Back-off weights are computed again from the probabilities that the codes stand for, so that these nearly sum to 1.
    """
    prob_book = np.zeros((tables.order, 256), np.float32)
    backoff_book = np.zeros((tables.order, 256), np.float32)
    log_probs, backoffs = np.zeros(tables.n_nodes, np.uint8), np.zeros(tables.n_inner, np.uint8)
    rounded = np.empty(tables.n_nodes, np.float32)
    for n in range(1, tables.order + 1):
        first, after = tables.level_range(n)
        prob_book[n - 1], log_probs[first:after] = _codes(tables.log_probs[first:after])
        rounded[first:after] = prob_book[n - 1, log_probs[first:after]]
    suffix = true_suffixes(tables.words, tables.first_child, tables.level_ends, np.empty(tables.n_nodes, np.int32))
    all_kept, renewed = np.ones(tables.n_nodes, np.bool_), tables.backoffs.copy()
    for n in range(1, tables.order):
        first, after = tables.level_range(n)
        _renew_backoffs(first, after, tables.first_child, suffix, rounded, all_kept, True, renewed)
        backoff_book[n - 1], backoffs[first:after] = _codes(renewed[first:after])
    return replace(tables, log_probs=log_probs, backoffs=backoffs, prob_book=prob_book, backoff_book=backoff_book)


def _codes(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(256 values, the code of each of the given ones)."""
    book = np.zeros(256, np.float32)  # codes 254 and 255: exactly 0, and minus infinity
    book[255] = -np.inf
    codes = np.where(np.isneginf(values), 255, 254).astype(np.uint8)
    ordinary = np.isfinite(values) & (values != 0)
    chosen: Float64[np.ndarray, " ordinary"] = values[ordinary].astype(np.float64)
    if len(chosen):
        centres = _centres(np.sort(chosen), 254)
        book[: len(centres)] = centres
        codes[ordinary] = np.searchsorted((centres[1:] + centres[:-1]) / 2, chosen)
    return book, codes


def _centres(ordered: Float64[np.ndarray, " values"], n: int) -> Float64[np.ndarray, " centres"]:
    """At most n numbers, ascending, that stand for the given ones with little squared error.

    The start is spaced by the cube root of the density, which is best for many centres (Panter & Dite 1951).
    """
    distinct = ordered[np.flatnonzero(np.diff(ordered, prepend=-np.inf))]
    if len(distinct) <= n:
        return distinct
    density, edges = np.histogram(ordered, 4096)
    mass = np.cumsum(np.cbrt(density))
    centres: NDArray[np.float64] = np.interp((np.arange(n) + 0.5) / n, mass / mass[-1], edges[1:])
    sums = np.concatenate([[0], np.cumsum(ordered)])
    for _ in range(LLOYD_STEPS):
        bounds = np.concatenate([[0], np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2), [len(ordered)]])
        sizes = np.diff(bounds)
        centres = np.where(sizes, np.diff(sums[bounds]) / np.maximum(sizes, 1), centres)
    return centres
