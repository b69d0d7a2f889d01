"""One answer of an n-gram model with every number kept: which contexts were tried, what backing off cost, what was stored.

    P(w | h) = P(w | h) as stored                      if w was seen after h
             = weight(h) P(w | h without its first)    otherwise, down to single tokens

The compiled loops of `queries.py` do the same for whole texts, in float32; here numbers are added up in float64.

Shapes: V vocab_size.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from malmoi.models.ngram.tables import NGramTables


class Try(NamedTuple):
    """One context, and whether the token was seen after it."""

    node: int  # of the context; -1 for the empty one
    place: int  # the node of the token after it, where it was seen
    ids: tuple[int, ...]  # the context; () for the empty one
    n_followers: int  # different tokens seen after it
    log_backoff: float  # what it costs to go on without its first token; 0 for the empty one
    log_prob: float | None  # ln P(w | context) as stored; None where w was not seen after it


class NGramTrace(NamedTuple):
    """How a probability came about."""

    tries: list[Try]  # from the longest context on; the last is the one after which the token is stored
    log_probs: Float64[np.ndarray, " vocab"]  # ln P of every token after the longest context

    @property
    def log_factors(self) -> list[float]:
        """What is added up: the back-off weights paid, and the stored probability."""
        *failed, known = self.tries
        assert known.log_prob is not None
        return [*(attempt.log_backoff for attempt in failed), known.log_prob]

    @property
    def probability(self) -> float:
        """Of the token: their product."""
        return math.prod(map(math.exp, self.log_factors))


def trace(tables: NGramTables, node: int, token_id: int) -> NGramTrace:
    """Why a token has its probability after the context of `node` (-1: none)."""
    return NGramTrace(path(tables, node, token_id), distribution(tables, node))


def path(tables: NGramTables, node: int, token_id: int) -> list[Try]:
    """The contexts tried from that of `node` on, the last of them being the one after which the token is stored."""
    tries: list[Try] = []
    while node >= 0:
        first, after = children(tables, node)
        place = first + int(np.searchsorted(tables.words[first:after], token_id))
        is_found = place < after and int(tables.words[place]) == token_id
        stored = float(stored_log_probs(tables, place, place + 1)[0]) if is_found else None
        tries.append(Try(node, place, context_ids(tables, node), after - first, log_backoff(tables, node), stored))
        if is_found:
            return tries
        node = int(tables.suffix[node])
    single = float(stored_log_probs(tables, token_id, token_id + 1)[0])
    return [*tries, Try(-1, token_id, (), tables.vocab_size, 0.0, single)]


def distribution(tables: NGramTables, node: int) -> Float64[np.ndarray, " vocab"]:
    """ln P of every token after the context of `node`."""
    chain, weights, weight = [], [], 0.0
    while node >= 0:
        chain.append(node)
        weights.append(weight)
        weight += log_backoff(tables, node)
        node = int(tables.suffix[node])
    log_probs = stored_log_probs(tables, 0, tables.vocab_size) + weight
    for context, paid in zip(reversed(chain), reversed(weights), strict=True):  # longer contexts know better
        first, after = children(tables, context)
        log_probs[tables.words[first:after]] = stored_log_probs(tables, first, after) + paid
    return log_probs


def children(tables: NGramTables, node: int) -> tuple[int, int]:
    """The nodes of what was seen after a context: the first, and the one behind the last."""
    return int(tables.first_child[node]), int(tables.first_child[node + 1])


def context_ids(tables: NGramTables, node: int) -> tuple[int, ...]:
    """The tokens of a node, first to last."""
    ids: list[int] = []
    while node >= tables.vocab_size:
        ids.append(int(tables.words[node]))
        node = int(np.searchsorted(tables.first_child, node, side="right")) - 1  # the parent
    return (node, *reversed(ids))


def stored_log_probs(tables: NGramTables, first: int, after: int) -> Float64[np.ndarray, " nodes"]:
    """ln P as stored at nodes of one level, codes looked up."""
    values = tables.log_probs[first:after]
    return np.asarray(
        values if tables.prob_book is None else tables.prob_book[_level(tables, first), values], np.float64
    )


def log_backoff(tables: NGramTables, node: int) -> float:
    """ln of what the context of a node keeps for tokens that were not seen after it."""
    if node >= tables.n_inner:
        return 0.0
    value = tables.backoffs[node]
    return float(value if tables.backoff_book is None else tables.backoff_book[_level(tables, node), value])


def _level(tables: NGramTables, node: int) -> int:
    """How many tokens stand before the last one of a node."""
    return int(np.searchsorted(tables.level_ends, node, side="right"))
