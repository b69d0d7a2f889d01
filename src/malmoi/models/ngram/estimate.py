"""From token ids to the tables of an n-gram model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from malmoi.models.ngram.counting import count_ngrams
from malmoi.models.ngram.pruning import keep, prune_by_entropy, prune_to_size, quantise, thresholds
from malmoi.models.ngram.queries import live_suffixes, true_suffixes
from malmoi.models.ngram.smoothing import Discounts, smooth
from malmoi.models.ngram.tables import NGramTables
from malmoi.models.options.ngram import NGramConfig
from malmoi.store import Store, TokenStream
from malmoi.text.vocabulary import SpecialIds

BYTES_PER_TOKEN = 30  # that estimation in memory takes for each token of the text and each length of n-grams


@dataclass(frozen=True)
class Estimate:
    """Tables, and how they came about."""

    tables: NGramTables
    discounts: list[Discounts]
    notes: list[str]  # what was replaced, dropped or cut, in words


def needs_files(n_tokens: int, order: int, memory: int) -> bool:
    """Whether estimation from so many tokens takes more than `memory` bytes, so that arrays should lie in files."""
    return n_tokens * order * BYTES_PER_TOKEN > memory


def estimate(
    tokens: TokenStream,
    config: NGramConfig,
    store: Store,
    *,
    special_ids: SpecialIds,
    memory: int,
    n_threads: int,
    max_bytes: int | None = None,
    stage: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] | None = None,
) -> Estimate:
    """Count, smooth, prune, quantise.

    Args:
        tokens: The training text.
        special_ids: Those of the tokenizer.
        store: Where large arrays lie; the tables are read from it, so keep it open as long as they are used.
        memory: Bytes that counting may use.
        max_bytes: What the tables may take on disk.
        stage: Told what is being done.
        progress: Called with (positions counted, positions in all).
    """
    least = thresholds(config.prune, config.order)
    stage("counting")
    counts = count_ngrams(
        tokens,
        config.order,
        config.vocab_size,
        bos_id=special_ids.bos,
        eos_id=special_ids.eos,
        memory=memory // 3,
        n_threads=n_threads,
        store=store,
        progress=progress,
    )
    suffix = store.empty("suffix", len(counts.words), np.int32)
    true_suffixes(counts.words, counts.first_child, counts.level_ends, suffix, n_threads)
    smoothed = smooth(
        counts,
        suffix,
        config.smoothing,
        k=config.add_k,
        least=least,
        special_ids=special_ids,
        n_threads=n_threads,
        stage=stage,
    )
    live_suffixes(suffix, counts.first_child, smoothed.backoffs)
    tables = NGramTables(
        config.order,
        config.vocab_size,
        counts.level_ends,
        counts.words,
        smoothed.log_probs,
        smoothed.backoffs,
        counts.first_child,
        suffix,
    )
    occurrences, notes = counts.counts, list(smoothed.notes)

    def prune(why: str, smaller: Callable[[], NGramTables]) -> NGramTables:
        stage(why)
        found = smaller()
        notes.append(f"{why}: {found.n_nodes:,} of {tables.n_nodes:,} n-grams stay")
        return found

    if max(least) > 1:
        kept = _frequent(tables, occurrences, least)
        tables, occurrences = prune("count pruning", lambda: keep(tables, kept)), occurrences[kept]
    if config.prune_entropy:
        tables = prune("entropy pruning", lambda: prune_by_entropy(tables, config.prune_entropy, occurrences))
    if max_bytes is not None:
        tables = prune("pruning to size", lambda: prune_to_size(tables, max_bytes, occurrences, config.quantise))
    return Estimate(quantise(tables) if config.quantise else tables, smoothed.discounts, notes)


def _frequent(tables: NGramTables, occurrences: NDArray[np.uint32], least: tuple[int, ...]) -> NDArray[np.bool_]:
    kept = np.ones(tables.n_nodes, np.bool_)
    for n in range(2, tables.order + 1):
        first, after = tables.level_range(n)
        kept[first:after] = occurrences[first:after] >= least[n - 1]
    return kept
