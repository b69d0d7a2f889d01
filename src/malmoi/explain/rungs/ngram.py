"""Why counting gave a token its probability: which context matched, what backing off cost, and why nothing seen is 0.

    P(w | h) = P(w | h) as stored                      if w was seen after h
             = weight(h) P(w | h without its first)    otherwise, down to single tokens

Every number is one of `models/ngram/tracing.py`, read from the stored tables. Counts are not stored in a run, only what became
of them; `models/ngram/recovery.py` works them out again.
"""

import numpy as np
from numpy.typing import NDArray

from malmoi.explain.conversions import probabilities
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.softmax import listed, surprisal_step
from malmoi.models.ngram import NGramModel
from malmoi.models.ngram.model import NGramState
from malmoi.models.ngram.recovery import KNESER_NEY, CountedShare, counted_share
from malmoi.models.ngram.tables import NGramTables
from malmoi.models.ngram.tracing import NGramTrace, Try, trace
from malmoi.models.options.ngram import NGramConfig
from malmoi.pages.language import Teller


def explain_next(question: Question, tell: Teller) -> Answer:
    """The contexts tried, from the longest, and the product of what was found."""
    model = question.subject.model
    assert isinstance(model, NGramModel)
    assert isinstance(question.now, NGramState)
    tables, tokens = model.tables, question.subject.tokens
    found = trace(tables, int(question.now.nodes[0]), question.target_id)
    tries, log_probs = found.tries, found.log_probs
    token = tokens[question.target_id]
    names = [_named(tokens, attempt.ids) for attempt in tries]
    steps = [
        _context(question, tell, tables, tries[0]),
        _tries(tell, tables, tries, names, token),
        _product(tell, found, names, token),
    ]
    config, discounts = question.subject.config, question.subject.figures.get("discounts")
    method = config.smoothing if isinstance(config, NGramConfig) and discounts is not None else ""
    amounts = np.array(discounts, np.float64) if discounts else None
    counted = counted_share(tables, tries[-1], method, amounts)
    if counted is not None:
        steps.append(_counted(tell, tables, tries[-1], names[-1], token, method, counted))
    if amounts is not None:
        steps.append(_discounts(tell, amounts))
    steps.append(_why(tell, tables, tries, method, token))
    probs = probabilities(log_probs)
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
    weights = probabilities(np.array([attempt.log_backoff for attempt in tries[:-1]]))
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


def _product(tell: Teller, found: NGramTrace, names: list[str], token: str) -> Step:
    """The back-off weights and the stored probability, multiplied."""
    factors = probabilities(np.array(found.log_factors))
    labels = [*(f"weight({name})" for name in names[:-1]), f"P({token} | {names[-1]})"]
    written = " × ".join(f"{factor:.6g}" for factor in factors)
    return Step(
        "product",
        tell("product"),
        "P(w | h) = weight(h) · weight(h′) · … · P(w | h*)",
        "",
        tell("say_product", factors=written, probability=f"{found.probability:.6g}"),
        (Numbers("P(w | h)", factors, ("factor",), {0: labels}, "plain"),),
    )


def _counted(
    tell: Teller, tables: NGramTables, known: Try, name: str, token: str, method: str, counted: CountedShare
) -> Step:
    """What was counted after the context that knew the token, and the sum that gives its probability."""
    order, is_kneser_ney = len(known.ids) + 1, method == KNESER_NEY
    formula = "P(w | h) = c(h w) / (c(h ·) + T(h)) + weight(h) P(w | h′)"
    if is_kneser_ney:
        formula = "P(w | h) = (c(h w) − D(c)) / c(h ·) + weight(h) P(w | h′)"
    count, divisor = counted.count, f"{counted.divisor:,}"
    written = f"({count} − {counted.taken:.4g}) / {divisor}" if counted.taken else f"{count} / {divisor}"
    names = ["c(h w)", "c(h ·)", "D", "share", "weight(h)", "P(w | h′)", "P(w | h)"]
    figures = (counted.share, counted.weight, counted.shorter, counted.probability)
    values = np.array([count, counted.total, counted.taken, *figures])
    return Step(
        "counts",
        tell("counts"),
        formula,
        "",
        tell(
            "say_counts_adjusted" if is_kneser_ney and order < tables.order else "say_counts",
            token=token,
            context=name,
            count=f"{count:,}",
            total=f"{counted.total:,}",
            share=f"{written} = {counted.share:.6g}",
            shorter=f"{counted.weight:.6g} × {counted.shorter:.6g}",
            probability=f"{counted.probability:.6g}",
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
