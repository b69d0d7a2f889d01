"""From counts to probabilities, in one form for every method:

    P(w | h) = share(h w) + weight(h) P(w | h')          h' is the context h without its first word

share is what the count is worth after something was taken off it, weight what was taken off all the counts after h together;
it is also the back-off weight of words that were never seen after h. The methods differ in the two:

    modified Kneser-Ney   (a - D(a)) / a(h .)            (D1 N1 + D2 N2 + D3+ N3+) / a(h .)
    Witten-Bell           c / (c(h .) + T(h))            T(h) / (c(h .) + T(h))
    add-k                 c / (c(h .) + k V)             k V / (c(h .) + k V), and P(w | h') is 1 / V
    stupid back-off       the score c / c(h .), or 0.4 times that after h'; all of them divided by their sum

c is how often the n-gram occurs, c(h .) the sum over all that follows h, T(h) how many different words do. In Kneser-Ney a is
the adjusted count: c for the longest n-grams and those that begin a sentence, for all others the number of different words
seen before them. D(a) is D1, D2 or D3+ for a count of 1, 2, 3 or more, and N1, N2, N3+ how many followers of h have such a
count. At the bottom stands the uniform distribution over the V tokens that can be predicted.

Source: Chen & Goodman 1998 (modified Kneser-Ney, interpolated); Heafield et al. 2013 (how counts are adjusted and pruned);
Witten & Bell 1991; Brants et al. 2007 (stupid back-off).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.files import release_pages
from malmoi.jit import compiled
from malmoi.models.ngram.counting import Counts
from malmoi.models.ngram.queries import AT_ONCE, in_parallel
from malmoi.text.vocabulary import SpecialIds

KNESER_NEY, WITTEN_BELL, ADD_K, STUPID_BACKOFF = range(4)
METHODS = {
    "kneser-ney": KNESER_NEY,
    "witten-bell": WITTEN_BELL,
    "add-k": ADD_K,
    "stupid-backoff": STUPID_BACKOFF,
}
BACKOFF_FACTOR = 0.4  # of stupid back-off
FALLBACK = (0.5, 1.0, 1.5)  # discounts, where counts of counts give none

Discounts = tuple[float, float, float]


@dataclass(frozen=True)
class Smoothed:
    """Probabilities and back-off weights of every node, as natural logarithms."""

    log_probs: NDArray[np.float32]  # (N,)
    backoffs: NDArray[np.float32]  # (M,)
    discounts: list[Discounts]  # of each length, for counts of 1, 2, 3 or more; empty unless Kneser-Ney
    notes: list[str]  # which discounts had to be replaced


def smooth(
    counts: Counts,
    suffix: NDArray[np.int32],
    method: str,
    *,
    k: float,
    least: tuple[int, ...],
    special_ids: SpecialIds,
    n_threads: int = 1,
    stage: Callable[[str], None] = lambda text: None,
) -> Smoothed:
    """Probabilities of all n-grams.

    Args:
        suffix: The node of each n-gram without its first word, (N,).
        method: A key of METHODS.
        k: What add-k adds to every count.
        least: For each length, the count below which n-grams are going to be dropped: what they had goes to the back-off
            weight. Nothing is dropped here.
        special_ids: Padding is never predicted; begin of sentence and those beside the four only if the text itself holds them.
    """
    bos_id, eos_id, others = special_ids.bos, special_ids.eos, list(special_ids.others)
    ends, first_child, store = counts.level_ends, counts.first_child, counts.store
    order, n_inner, code = counts.order, len(first_child) - 1, METHODS[method]
    log_probs = store.empty("log_probs", len(counts.words), np.float32)
    backoffs = store.empty("backoffs", n_inner, np.float32)
    sums = np.ones(n_inner if code == STUPID_BACKOFF else 0)
    bos_ranges = _beginning_with(bos_id, counts)
    discounts: list[Discounts] = []
    notes: list[str] = []
    lower = np.zeros(0, np.float32)
    n_predicted, root_sum = 0, 1.0
    for n in range(1, order + 1):
        stage(f"{n}-grams")
        first, after = (0 if n == 1 else int(ends[n - 2])), int(ends[n - 1])
        raw = counts.counts[first:after]
        adjusted = _adjusted(counts, suffix, n, bos_ranges[n - 1]) if code == KNESER_NEY else raw
        if n == 1:
            adjusted = np.array(adjusted)
            if code != KNESER_NEY or order == 1:  # bos stands before every sentence without being predicted there
                adjusted[bos_id] = raw[bos_id] - raw[eos_id]
        amounts: Discounts = (0.0, 0.0, 0.0)
        if code == KNESER_NEY:
            amounts, note = discounts_of(_counts_of_counts(adjusted), n)
            discounts.append(amounts)
            notes += [note] if note else []
        probs = store.empty(f"{n}.probs", after - first, np.float32)
        if n == 1:
            can_follow = np.ones(after, np.bool_)
            can_follow[special_ids.pad], can_follow[bos_id] = False, adjusted[bos_id] > 0
            can_follow[others] = adjusted[others] > 0
            n_predicted = int(np.count_nonzero(can_follow))
            root_sum = _smooth_words(adjusted, can_follow, code, order == 1, np.array(amounts), k, probs)
            with np.errstate(divide="ignore"):
                log_probs[:after] = np.log(probs)
        else:
            low = 0 if n == 2 else int(ends[n - 3])
            inputs = (raw, adjusted, first_child, first, suffix, low, lower, code, np.array(amounts), k, n_predicted)
            rest = (least[n - 1], n == order, *bos_ranges[n - 2], root_sum, sums, probs, log_probs, backoffs)
            mapped = (raw, adjusted, first_child, suffix, lower, probs, log_probs, backoffs)
            in_parallel(partial(_smooth_level_with, (*inputs, *rest)), (low, first), n_threads, mapped)
        store.drop(f"{n}.adjusted")
        store.drop(f"{n - 1}.probs")
        lower = probs
    store.drop(f"{order}.probs")
    return Smoothed(log_probs, backoffs, discounts, notes)


def _smooth_level_with(inputs: tuple[Any, ...], first: int, after: int) -> None:
    _smooth_level(first, after, *inputs)


def discounts_of(counts_of_counts: NDArray[np.int64], n: int) -> tuple[Discounts, str | None]:
    """D1, D2, D3+ from how many n-grams have a count of 1, 2, 3, 4 (Chen & Goodman 1998, equation 26), and a note or None.

    Where one of them cannot be computed or is out of place, which happens with tiny, character-level, de-duplicated or
    vocabulary-capped text, one discount n1 / (n1 + 2 n2) (Kneser & Ney 1995) is taken off every count; where that cannot be
    computed either, 0.5, 1 and 1.5.
    """
    n1, n2, n3, n4 = (int(count) for count in counts_of_counts[1:5])
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < discount <= i for i, discount in enumerate(found, start=1)):
            return found, None
    counted = f"{n1:,} have a count of 1, {n2:,} of 2, {n3:,} of 3, {n4:,} of 4"
    why = f"discounts of {n}-grams: {counted}, which gives no three discounts"
    if n1 and n2:
        y = n1 / (n1 + 2 * n2)
        return (y, y, y), f"{why}; {y:.3f} is taken off every count instead"
    return FALLBACK, f"{why}; 0.5, 1 and 1.5 are used instead"


def _beginning_with(word: int, counts: Counts) -> list[tuple[int, int]]:
    """For each length, the nodes of the n-grams that begin with this word."""
    low, high = word, word + 1
    ranges = [(low, high)]
    for _ in range(counts.order - 1):
        low, high = int(counts.first_child[low]), int(counts.first_child[high])
        ranges.append((low, high))
    return ranges


def _adjusted(counts: Counts, suffix: NDArray[np.int32], n: int, with_bos: tuple[int, int]) -> NDArray[np.uint32]:
    """How many different words stand before each n-gram of length n; how often it occurs where nothing can."""
    ends = counts.level_ends
    first, after = (0 if n == 1 else int(ends[n - 2])), int(ends[n - 1])
    raw = counts.counts[first:after]
    if n == counts.order:
        return raw
    adjusted = counts.store.empty(f"{n}.adjusted", after - first, np.uint32)
    adjusted[:] = 0
    for begin in range(after, int(ends[n]), AT_ONCE):
        _count_extensions(suffix, begin, min(begin + AT_ONCE, int(ends[n])), first, adjusted)
        release_pages(suffix)
    if n > 1:
        adjusted[with_bos[0] - first : with_bos[1] - first] = raw[with_bos[0] - first : with_bos[1] - first]
    return adjusted


@compiled()
def _count_extensions(suffix, first, after, base, adjusted):  # type: ignore[no-untyped-def]
    for node in range(first, after):
        adjusted[suffix[node] - base] += 1


@compiled()
def _counts_of_counts(adjusted):  # type: ignore[no-untyped-def]
    """How many have a count of 0, 1, 2, 3, 4."""
    totals = np.zeros(5, np.int64)
    for i in range(len(adjusted)):
        if adjusted[i] < 5:
            totals[adjusted[i]] += 1
    return totals


@compiled()
def _smooth_words(adjusted, can_follow, code, is_whole_model, discounts, k, probs):  # type: ignore[no-untyped-def]
    """Probabilities of single tokens, (V,); the sum of their scores in stupid back-off, otherwise 1."""
    total, n_types, n_tokens = 0.0, 0.0, 0.0
    for word in range(len(adjusted)):
        total += adjusted[word]
        n_types += adjusted[word] > 0
        n_tokens += can_follow[word]
    taken = 0.0
    for word in range(len(adjusted)):
        if adjusted[word]:
            taken += discounts[min(adjusted[word], 3) - 1]
    root_sum = 1.0
    if code == STUPID_BACKOFF:
        root_sum = (total > 0) + BACKOFF_FACTOR * (n_tokens - n_types) / n_tokens
    for word in range(len(adjusted)):
        count = float(adjusted[word])
        prob = 1.0 / n_tokens
        if code == KNESER_NEY and total > 0:
            discount = discounts[min(adjusted[word], 3) - 1] if count else 0.0
            prob = (count - discount + taken / n_tokens) / total
        elif code == WITTEN_BELL and total > 0:
            prob = (count + n_types / n_tokens) / (total + n_types)
        elif code == ADD_K and is_whole_model:
            prob = (count + k) / (total + k * n_tokens)
        elif code == STUPID_BACKOFF:
            prob = (count / total if count else BACKOFF_FACTOR / n_tokens) / root_sum
        probs[word] = prob if can_follow[word] else 0.0
    return root_sum


@compiled()
def _smooth_level(  # type: ignore[no-untyped-def]
    begin,
    end,
    raw,
    adjusted,
    first_child,
    first,
    suffix,
    low,
    lower,
    code,
    discounts,
    k,
    n_predicted,
    least,
    is_longest,
    bos_low,
    bos_high,
    root_sum,
    sums,
    probs,
    log_probs,
    backoffs,
):
    """Probabilities after the contexts `begin` up to `end`.

    `raw`, `adjusted` and `probs` begin at node `first`; `lower`, the probabilities of the level of the contexts, at node `low`.
    """
    for context in range(begin, end):
        from_node, to_node = np.int64(first_child[context]), np.int64(first_child[context + 1])
        if from_node == to_node:
            backoffs[context] = 0.0
            continue
        total, weight, lower_kept, share_kept = 0.0, 0.0, 0.0, 0.0
        is_full = is_longest or (bos_low <= context and context < bos_high)
        for node in range(from_node, to_node):
            count = float(adjusted[node - first])
            total += count
            if raw[node - first] < least:
                weight += count
            elif code == KNESER_NEY:
                weight += discounts[min(adjusted[node - first], 3) - 1]
            else:
                lower_kept += lower[suffix[node] - low]
                share_kept += count
            if code == WITTEN_BELL:
                weight += 1.0
        if code == WITTEN_BELL:
            total += to_node - from_node
        elif code == ADD_K:
            total += k * n_predicted
            weight += k * n_predicted
        weight /= total
        if code == ADD_K and not is_full:
            weight = 1.0
        own_sum = 1.0
        if code == STUPID_BACKOFF:
            shorter = np.int64(suffix[context])
            below = sums[shorter] if shorter >= 0 else root_sum
            own_sum = share_kept / total + BACKOFF_FACTOR * below * max(0.0, 1.0 - lower_kept)
            weight = BACKOFF_FACTOR * below / own_sum
            sums[context] = own_sum
        backoffs[context] = np.log(weight)
        for node in range(from_node, to_node):
            count = float(adjusted[node - first])
            prob = lower[suffix[node] - low]
            if code == KNESER_NEY:
                prob = (count - discounts[min(adjusted[node - first], 3) - 1]) / total + weight * prob
            elif code == WITTEN_BELL or (code == ADD_K and is_full):
                prob = count / total + weight * prob
            elif code == STUPID_BACKOFF:
                prob = count / total / own_sum
            probs[node - first] = prob
            log_probs[node] = np.log(prob)
