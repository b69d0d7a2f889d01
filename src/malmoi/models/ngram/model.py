"""N-gram language model: the next token depends on the last few, as counted in a text.

    P(w | w_1 .. w_m) = P(w | longest known context h)           h w was seen
                      = weight(h) P(w | h without its first word)   otherwise, down to single tokens

Sentences are independent, as in KenLM: after the end of a line the state is that of a new sentence.

Source: Shannon 1948; Katz 1987 for the back-off form; how the numbers are estimated stands in `smoothing.py`.

Shapes: B sequences side by side, T tokens each, V vocab_size.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds
from malmoi.models.ngram import plain
from malmoi.models.ngram.tables import NGramTables
from malmoi.shapes import Float, Float32, Int64, Integer

WORTH_A_THREAD = 1 << 15  # tokens
WORTH_COMPILING = 1 << 24  # numbers read without compiled loops, after which these are loaded: it takes as long
NUMBERS_A_TOKEN = 1 << 10  # that could be read in the time that one token takes there
NO_BOOK = np.zeros((0, 256), np.float32)


@dataclass(frozen=True)
class NGramState(State):
    """The longest known context of each sequence, as the number of its node; -1 is the empty one."""

    nodes: Int64[np.ndarray, " batch"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "NGramState":
        return replace(self, nodes=self.nodes[np.asarray(rows, dtype=np.int64)])

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "NGramState":
        return cls(np.concatenate([state.nodes for state in states]), states[0].owner)


class NGramModel(LanguageModel):
    """Serves n-gram tables.

    Args:
        tables: What was estimated or read.
        bos_id: The token that a sentence's context begins with.
        eos_id: The token that ends a sentence.
        n_threads: For long texts; all cores by default.
    """

    restarts_at_line_end = True
    finds_top_directly = True

    family = "ngram"

    def __init__(self, tables: NGramTables, bos_id: int, eos_id: int, n_threads: int | None = None) -> None:
        self.tables, self.vocab_size, self.bos_id, self.eos_id = tables, tables.vocab_size, bos_id, eos_id
        self.n_threads = n_threads or os.cpu_count() or 1
        books = [NO_BOOK if book is None else book for book in (tables.prob_book, tables.backoff_book)]
        self._read_plainly = 0
        self._trie = plain.Trie(
            tables.words,
            tables.log_probs,
            books[0],
            tables.backoffs,
            books[1],
            tables.first_child,
            tables.suffix,
            tables.level_ends,
        )
        has_children = bos_id < tables.n_inner and tables.first_child[bos_id] < tables.first_child[bos_id + 1]
        self._start = bos_id if has_children else plain.ROOT

    def start(self, batch_size: int = 1) -> NGramState:
        return NGramState(np.full(batch_size, self._start, np.int64), self)

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, NGramState]:
        _, after = self.score(token_ids, state)
        rows = np.empty((len(after.nodes), self.vocab_size), np.float32)
        self._loops(rows.size).distribution(after.nodes, self._trie, rows)
        return rows, after

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float32[np.ndarray, "batch time"], NGramState]:
        assert isinstance(state, NGramState)
        ids = self._checked(token_ids)
        nodes, scores = state.nodes.copy(), np.empty(ids.shape, np.float32)
        parts = self._parts(ids)
        loops = self._loops(NUMBERS_A_TOKEN * ids.size)
        if len(parts) == 1:
            loops.score(ids, nodes, self._trie, self.eos_id, self._start, scores)
            return scores, NGramState(nodes, self)
        from concurrent.futures import ThreadPoolExecutor  # which a command with one answer does without

        starts = [nodes[rows].copy() if is_first else self.start(len(ids[rows])).nodes for rows, _, is_first in parts]
        with ThreadPoolExecutor(self.n_threads) as pool:
            jobs = [
                pool.submit(
                    loops.score, ids[rows, times], begin, self._trie, self.eos_id, self._start, scores[rows, times]
                )
                for (rows, times, _), begin in zip(parts, starts, strict=True)
            ]
        for job, (rows, _, _), begin in zip(jobs, parts, starts, strict=True):
            job.result()
            nodes[rows] = begin  # of parts of one sequence, the last one is written last
        return scores, NGramState(nodes, self)

    def distributions(
        self, token_ids: TokenIds, state: State
    ) -> tuple[Float[np.ndarray, "batch time vocab"], NGramState]:
        assert isinstance(state, NGramState)
        ids = self._checked(token_ids)
        rows = np.empty((*ids.shape, self.vocab_size), np.float32)
        for t in range(ids.shape[1]):
            row = np.empty((len(ids), self.vocab_size), np.float32)
            self._loops(row.size).distribution(state.nodes, self._trie, row)
            rows[:, t] = row
            _, state = self.score(ids[:, t : t + 1], state)
        return rows, state

    def top(
        self, token_ids: TokenIds, state: State, k: int
    ) -> tuple[Int64[np.ndarray, "batch k"], Float32[np.ndarray, "batch k"], NGramState]:
        _, after = self.score(token_ids, state)
        k = min(k, self.vocab_size)
        best = np.zeros((len(after.nodes), k), np.int64)
        values = np.full((len(after.nodes), k), -np.inf, np.float32)
        loops = self._loops(len(best) * self.vocab_size)
        if loops is plain:
            plain.top(after.nodes, self._trie, best, values)
        else:
            loops.top(after.nodes, self._by_probability, self._trie, best, values)
        return best, values, after

    def matched_order(self, state: State) -> Int64[np.ndarray, " batch"]:
        """How many tokens of context each state holds, 0 to order - 1."""
        assert isinstance(state, NGramState)
        levels = np.searchsorted(self.tables.level_ends, state.nodes, side="right") + 1
        return np.where(state.nodes < 0, 0, levels)

    def _loops(self, n_numbers: int) -> Any:
        """What walks the tables: NumPy for the first questions, compiled loops once these pay. Both give the same numbers."""
        if self._read_plainly + n_numbers <= WORTH_COMPILING:
            self._read_plainly += n_numbers
            return plain
        from malmoi.models.ngram import queries

        return queries

    @cached_property
    def _by_probability(self) -> NDArray[np.int64]:
        single = self.tables.log_probs[: self.vocab_size]
        if self.tables.prob_book is not None:
            single = self.tables.prob_book[0, single]
        return np.argsort(-single, kind="stable")

    def _checked(self, token_ids: TokenIds) -> NDArray[np.int64]:
        ids = np.ascontiguousarray(token_ids, dtype=np.int64)
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocab_size:
            raise ConfigError(
                f"Token ids from {ids.min()} to {ids.max()} were given to a model of {self.vocab_size} tokens. Expected 0 to "
                f"{self.vocab_size - 1}: encode the text with the model's own tokenizer."
            )
        return ids

    def _parts(self, ids: NDArray[np.int64]) -> list[tuple[slice, slice, bool]]:
        """(sequences, tokens, whether they begin where the call begins) of each job; a long sequence is cut at line ends."""
        batch, length = ids.shape
        n_parts = min(self.n_threads, ids.size // WORTH_A_THREAD)
        whole = slice(0, length)
        if n_parts < 2:
            return [(slice(0, batch), whole, True)]
        if batch > 1:
            bounds = np.linspace(0, batch, min(n_parts, batch) + 1).astype(int)
            return [(slice(a, b), whole, True) for a, b in pairwise(bounds)]
        cuts = [0]
        for target in np.linspace(0, length, n_parts + 1)[1:-1].astype(int):
            ends = np.flatnonzero(ids[0, max(target, cuts[-1]) :] == self.eos_id)
            if len(ends):
                cuts.append(max(int(target), cuts[-1]) + int(ends[0]) + 1)
        bounds = np.unique([*cuts, length])
        return [(slice(0, 1), slice(a, b), i == 0) for i, (a, b) in enumerate(pairwise(bounds))]
