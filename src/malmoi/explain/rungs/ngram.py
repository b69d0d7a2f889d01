"""Why counting gave a token its probability: which context matched, what backing off cost, and why nothing seen is 0.

    P(w | h) = P(w | h) as stored                      if w was seen after h
             = weight(h) P(w | h without its first)    otherwise, down to single tokens

Everything is read from the stored tables and added up in float64. Counts are not stored in a run, only what became of them;
`ngram_counts.py` works them out again.

Shapes: V vocab_size, L order.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.rungs.ngram_counts import KNESER_NEY, recover
from malmoi.explain.softmax import listed, surprisal_step
from malmoi.models.ngram import NGramModel
from malmoi.models.ngram.model import NGramState
from malmoi.models.ngram.tables import NGramTables
from malmoi.models.options.ngram import NGramConfig
from malmoi.pages.language import Teller


@dataclass(frozen=True)
class Try:
    """One context, and whether the token was seen after it."""

    node: int  # of the context; -1 for the empty one
    place: int  # the node of the token after it, where it is found
    ids: tuple[int, ...]  # the context; () for the empty one
    n_followers: int  # different tokens seen after it
    log_backoff: float  # what it costs to go on without its first token; 0 for the empty one
    log_prob: float | None  # ln P(w | context) as stored; None where w was not seen after it


def explain_next(question: Question, tell: Teller) -> Answer:
    """The contexts tried, from the longest, and the product of what was found."""
    model = question.subject.model
    assert isinstance(model, NGramModel)
    assert isinstance(question.now, NGramState)
    tables, tokens = model.tables, question.subject.tokens
    tries = path(tables, int(question.now.nodes[0]), question.target_id)
    log_probs = distribution(tables, int(question.now.nodes[0]))
    token = tokens[question.target_id]
    names = [_named(tokens, attempt.ids) for attempt in tries]
    steps = [
        _context(question, tell, tables, tries[0]),
        _tries(tell, tables, tries, names, token),
        _product(tell, tries, names, token),
    ]
    config, discounts = question.subject.config, question.subject.figures.get("discounts")
    method = config.smoothing if isinstance(config, NGramConfig) and discounts is not None else ""
    amounts = np.array(discounts, np.float64) if discounts else None
    counted = None if tables.is_quantised else _counted(tell, tables, tries[-1], names[-1], token, method, amounts)
    if counted is not None:
        steps.append(counted)
    if amounts is not None:
        steps.append(_discounts(tell, amounts))
    steps.append(_why(tell, tables, tries, method, token))
    probs = np.exp(log_probs)
    steps.append(
        Step(
            "distribution",
            tell("distribution"),
            "Σ_w P(w | h) = 1",
            f"({len(probs)},)",
            tell("say_distribution", likeliest=listed(probs, tokens), sum=f"{probs.sum():.6f}"),
            (Numbers("P", probs, ("token",), {0: tokens}, "probability"),),
        )
    )
    steps.append(surprisal_step(tell, token, float(log_probs[question.target_id])))
    notes = [] if counted is not None else [tell("note_counts")]
    if tables.is_quantised:
        notes.append(tell("note_quantised"))
    if question.learning_rate is not None:
        notes.append(tell("note_no_training", family="ngram"))
    return Answer(steps, log_probs, notes)


def path(tables: NGramTables, node: int, token_id: int) -> list[Try]:
    """The contexts tried from that of `node` on, the last of them being the one after which the token is stored."""
    tries: list[Try] = []
    while node >= 0:
        first, after = int(tables.first_child[node]), int(tables.first_child[node + 1])
        place = first + int(np.searchsorted(tables.words[first:after], token_id))
        is_found = place < after and int(tables.words[place]) == token_id
        found = _log_prob(tables, place) if is_found else None
        tries.append(Try(node, place, context_ids(tables, node), after - first, _log_backoff(tables, node), found))
        if is_found:
            return tries
        node = int(tables.suffix[node])
    return [*tries, Try(-1, token_id, (), tables.vocab_size, 0.0, _log_prob(tables, token_id))]


def distribution(tables: NGramTables, node: int) -> Float64[np.ndarray, " vocab"]:
    """ln P of every token after the context of `node`."""
    chain, weights, weight = [], [], 0.0
    while node >= 0:
        chain.append(node)
        weights.append(weight)
        weight += _log_backoff(tables, node)
        node = int(tables.suffix[node])
    found = _log_probs(tables, 0, tables.vocab_size, 0) + weight
    for context, paid in zip(reversed(chain), reversed(weights), strict=True):  # longer contexts know better
        first, after = int(tables.first_child[context]), int(tables.first_child[context + 1])
        found[tables.words[first:after]] = _log_probs(tables, first, after, _level(tables, context) + 1) + paid
    return found


def context_ids(tables: NGramTables, node: int) -> tuple[int, ...]:
    """The tokens of a node, first to last."""
    ids: list[int] = []
    while node >= tables.vocab_size:
        ids.append(int(tables.words[node]))
        node = int(np.searchsorted(tables.first_child, node, side="right")) - 1  # the parent
    return (node, *reversed(ids))


def _level(tables: NGramTables, node: int) -> int:
    """How many tokens stand before the last one of a node."""
    return int(np.searchsorted(tables.level_ends, node, side="right"))


def _log_probs(tables: NGramTables, first: int, after: int, level: int) -> Float64[np.ndarray, " nodes"]:
    values = tables.log_probs[first:after]
    return np.asarray(values if tables.prob_book is None else tables.prob_book[level, values], np.float64)


def _log_prob(tables: NGramTables, node: int) -> float:
    return float(_log_probs(tables, node, node + 1, _level(tables, node))[0])


def _log_backoff(tables: NGramTables, node: int) -> float:
    if node >= tables.n_inner:
        return 0.0
    value = tables.backoffs[node]
    return float(value if tables.backoff_book is None else tables.backoff_book[_level(tables, node), value])


def _named(tokens: list[str], ids: tuple[int, ...]) -> str:
    """A context as people read it."""
    return " ".join(tokens[i] for i in ids) or "∅"


def _context(question: Question, tell: Teller, tables: NGramTables, longest: Try) -> Step:
    tokens, most = question.subject.tokens, tables.order - 1
    shown = question.recent_ids[len(question.recent_ids) - min(most, len(question.recent_ids)) :]
    key = "say_context" if longest.ids else "say_context_empty"
    return Step(
        "context",
        tell("context"),
        "h = w_{t−n+1} … w_{t−1}",
        f"n ≤ {tables.order}",
        tell(
            key,
            most=most,
            tokens=_named(tokens, tuple(int(i) for i in shown)),
            context=_named(tokens, longest.ids),
            length=len(longest.ids),
        ),
        (
            Numbers("id", shown, ("time",), {0: [tokens[i] for i in shown]}, "plain"),
            Numbers("n-grams", np.array(tables.level_counts()), ("order",), {0: _orders(tables.order)}, "plain"),
        ),
    )


def _tries(tell: Teller, tables: NGramTables, tries: list[Try], names: list[str], token: str) -> Step:
    """Which contexts were tried, and which of them knew the token."""
    found = tries[-1]
    order = len(found.ids) + 1
    key = "say_tries_at_once" if len(tries) == 1 and found.ids else "say_tries" if found.ids else "say_tries_single"
    weights = np.exp([attempt.log_backoff for attempt in tries[:-1]])
    numbers = [
        Numbers("followers", np.array([attempt.n_followers for attempt in tries]), ("context",), {0: names}, "plain"),
    ]
    if len(tries) > 1:
        numbers.append(Numbers("weight(h)", weights, ("context",), {0: names[:-1]}, "plain"))
    return Step(
        "tries",
        tell("tries"),
        "w ∈ seen(h)?",
        f"{len(tries)} × h",
        tell(
            key,
            token=token,
            n_failed=len(tries) - 1,
            context=names[-1],
            order=order,
            n_followers=found.n_followers,
            longest=names[0],
        ),
        tuple(numbers),
    )


def _product(tell: Teller, tries: list[Try], names: list[str], token: str) -> Step:
    """The back-off weights and the stored probability, multiplied."""
    found = tries[-1]
    assert found.log_prob is not None
    factors = np.exp([*(attempt.log_backoff for attempt in tries[:-1]), found.log_prob])
    labels = [*(f"weight({name})" for name in names[:-1]), f"P({token} | {names[-1]})"]
    written = " × ".join(f"{factor:.6g}" for factor in factors)
    return Step(
        "product",
        tell("product"),
        "P(w | h) = weight(h) · weight(h′) · … · P(w | h*)",
        "",
        tell("say_product", factors=written, probability=f"{factors.prod():.6g}"),
        (Numbers("P(w | h)", factors, ("factor",), {0: labels}, "plain"),),
    )


def _counted(
    tell: Teller,
    tables: NGramTables,
    found: Try,
    name: str,
    token: str,
    method: str,
    discounts: NDArray[np.float64] | None,
) -> Step | None:
    """What was counted after the context that knew the token, and the sum that gives its probability; None if no counts fit."""
    if found.node < 0:
        return None
    first, after = int(tables.first_child[found.node]), int(tables.first_child[found.node + 1])
    order = len(found.ids) + 1
    weight = float(np.exp(found.log_backoff))
    shorter = np.exp(distribution(tables, int(tables.suffix[found.node]))[tables.words[first:after]])
    shares = np.exp(_log_probs(tables, first, after, order - 1)) - weight * shorter
    counts = recover(shares, weight, method, None if discounts is None else discounts[order - 1])
    if counts is None:
        return None
    place = found.place - first
    count, share, below = int(counts.followers[place]), float(shares[place]), float(shorter[place])
    if discounts is None or method != KNESER_NEY:
        taken, divisor, formula = (
            0.0,
            counts.total + len(shares),
            "P(w | h) = c(h w) / (c(h ·) + T(h)) + weight(h) P(w | h′)",
        )
    else:
        taken = float(discounts[order - 1][min(count, 3) - 1])
        divisor, formula = counts.total, "P(w | h) = (c(h w) − D(c)) / c(h ·) + weight(h) P(w | h′)"
    written = f"({count} − {taken:.4g}) / {divisor:,}" if taken else f"{count} / {divisor:,}"
    is_adjusted = method == KNESER_NEY and order < tables.order
    names = ["c(h w)", "c(h ·)", "D", "share", "weight(h)", "P(w | h′)", "P(w | h)"]
    values = np.array([count, counts.total, taken, share, weight, below, share + weight * below])
    return Step(
        "counts",
        tell("counts"),
        formula,
        "",
        tell(
            "say_counts_adjusted" if is_adjusted else "say_counts",
            token=token,
            context=name,
            count=f"{count:,}",
            total=f"{counts.total:,}",
            share=f"{written} = {share:.6g}",
            shorter=f"{weight:.6g} × {below:.6g}",
            probability=f"{share + weight * below:.6g}",
        ),
        (Numbers("P(w | h)", values, ("factor",), {0: names}, "plain"),),
    )


def _discounts(tell: Teller, discounts: NDArray[np.float64]) -> Step:
    labels = {0: _orders(len(discounts)), 1: ["1", "2", "≥ 3"]}
    once, twice, more = (f"{value:.3f}" for value in discounts[-1])
    return Step(
        "discounts",
        tell("discounts"),
        "P(w | h) = (c − D(c)) / c(h) + weight(h) P(w | h′)",
        f"{discounts.shape}",
        tell("say_discounts", once=once, twice=twice, more=more, order=len(discounts)),
        (Numbers("D", discounts, ("order", "count"), labels, "plain"),),
    )


def _why(tell: Teller, tables: NGramTables, tries: list[Try], method: str, token: str) -> Step:
    """Why a sequence that was never seen still has a probability."""
    found = tries[-1]
    assert found.log_prob is not None
    seen = "say_why_seen" if len(tries) == 1 else "say_why_unseen"
    key = "say_why_never" if np.isneginf(found.log_prob) else seen
    named = method if tell.has(f"method_{method}") else "unknown"
    return Step(
        "why",
        tell("why"),
        "P(w | h) ≥ weight(h) P(w | h′) > 0",
        "",
        tell(key, token=token, method=tell(f"method_{named}")),
    )


def _orders(n: int) -> list[str]:
    return [str(order) for order in range(1, n + 1)]
