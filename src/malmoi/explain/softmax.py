"""The end of every neural prediction: scores of all tokens, softmax, -ln P; and where a training step begins: P - y.

Shapes: V vocabulary, W width of the vector that the softmax reads.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from malmoi.explain.conversions import bits, choices, length, probabilities, probability
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Question
from malmoi.pages.language import Teller
from malmoi.scratch.traces import Lengths, PredictionTrace

SHOWN = 3  # tokens or units that a sentence names

Vector = Float64[np.ndarray, "_"]


def prediction_steps(
    question: Question, tell: Teller, found: PredictionTrace, symbol: str, *, is_tied: bool
) -> list[Step]:
    """Logits, softmax and -ln P, from the vector named `symbol`."""
    tokens, target, logits = question.subject.tokens, question.target_id, found.logits
    rank = int((logits > logits[target]).sum()) + 1
    vocab, width = len(logits), len(found.top)
    matrix = "Eᵀ" if is_tied else "U"
    return [
        Step(
            "logits",
            tell("logits"),
            f"s = {symbol} {matrix} + b_s",
            f"(1, {width}) ({width}, {vocab}) + ({vocab},) → (1, {vocab})",
            tell(
                "say_logits_tied" if is_tied else "say_logits",
                vocab=vocab,
                token=tokens[target],
                score=f"{logits[target]:.3f}",
                rank=rank,
                best=tokens[int(logits.argmax())],
                best_score=f"{logits.max():.3f}",
            ),
            (Numbers("s", logits, ("token",), {0: tokens}),),
        ),
        probability_step(tell, found.probs, tokens),
        surprisal_step(tell, tokens[target], float(found.log_probs[target])),
    ]


def probability_step(tell: Teller, probs: Float64[np.ndarray, " vocab"], tokens: Sequence[str]) -> Step:
    """The softmax over all tokens."""
    return Step(
        "softmax",
        tell("softmax"),
        "P(w) = exp(s_w) / Σ_v exp(s_v)",
        f"({len(probs)},) → ({len(probs)},)",
        tell("say_softmax", likeliest=listed(probs, tokens), perplexity=f"{choices(probs):,.1f}"),
        (Numbers("P", probs, ("token",), {0: tokens}, "probability"),),
    )


def surprisal_step(tell: Teller, token: str, log_prob: float) -> Step:
    """What the token cost."""
    prob, nats = probability(log_prob), -log_prob
    return Step(
        "surprisal",
        tell("surprisal"),
        "−ln P(w)",
        "",
        tell(
            "say_surprisal",
            token=token,
            probability=f"{prob:.6g}",
            nats=f"{nats:.4f}",
            bits=f"{bits(nats):.4f}",
            odds=one_in(prob),
        ),
        (
            Numbers("P(w)", np.array(prob), kind="probability"),
            Numbers("−ln P", np.array(nats), kind="plain"),
            Numbers("−log₂ P", np.array(bits(nats)), kind="plain"),
        ),
    )


def error_step(question: Question, tell: Teller, error: Float64[np.ndarray, " vocab"]) -> Step:
    """P - y: the gradient of -ln P(target) with respect to the scores."""
    tokens, target = question.subject.tokens, question.target_id
    others = error.copy()
    others[target] = 0
    return Step(
        "error",
        tell("error"),
        "∂L/∂s = P − y",
        f"({len(error)},) − ({len(error)},)",
        tell("say_error", token=tokens[target], error=f"{error[target]:.4f}", others=listed(others, tokens)),
        (Numbers("P − y", error, ("token",), {0: tokens}),),
        part="backward",
    )


def hidden_step(tell: Teller, symbol: str, shape: tuple[int, ...], d_hidden: Vector, is_tied: bool) -> Step:
    """What the error says to the vector that the softmax read."""
    vocab, width = shape
    return Step(
        "to_hidden",
        tell("to_hidden"),
        f"∂L/∂{symbol} = (P − y) {'E' if is_tied else 'Uᵀ'}",
        f"(1, {vocab}) ({vocab}, {width}) → (1, {width})",
        tell("say_to_hidden", length=f"{length(d_hidden):.4g}", strongest=units(d_hidden)),
        (Numbers(f"∂L/∂{symbol}", d_hidden, ("unit",)),),
        part="backward",
    )


def update_steps(
    question: Question,
    tell: Teller,
    moving: Sequence[tuple[str, Lengths]],
    log_probs: Float64[np.ndarray, " vocab"],
    moved: Float64[np.ndarray, " vocab"],
) -> list[Step]:
    """W <- W - eta * gradient, and the probability before and after.

    Args:
        moving: Each weight by its symbol.
        log_probs: Before the step.
        moved: After it, really computed.
    """
    assert question.learning_rate is not None
    rate, target = question.learning_rate, question.target_id
    token = question.subject.tokens[target]
    before, after = probability(log_probs[target]), probability(moved[target])
    names = [name for name, _ in moving]
    strongest, longest = max(moving, key=lambda row: row[1].gradient)
    verdict = "say_after_better" if moved[target] > log_probs[target] else "say_after_worse"
    return [
        Step(
            "update",
            tell("update"),
            "W ← W − η ∂L/∂W",
            "",
            tell(
                "say_update",
                rate=f"{rate:g}",
                weight=strongest,
                gradient=f"{longest.gradient:.4g}",
                length=f"{longest.weight:.4g}",
            ),
            (
                Numbers("‖W‖", np.array([one.weight for _, one in moving]), ("weight",), {0: names}, "plain"),
                Numbers("‖∂L/∂W‖", np.array([one.gradient for _, one in moving]), ("weight",), {0: names}, "plain"),
                Numbers("η", np.array(float(rate)), kind="plain"),
            ),
            part="backward",
        ),
        Step(
            "after",
            tell("after"),
            "P′(w) = P(w; W − η ∂L/∂W)",
            "",
            tell(
                verdict,
                token=token,
                before=f"{before:.6g}",
                after=f"{after:.6g}",
                nats_before=f"{abs(log_probs[target]):.4f}",
                nats_after=f"{abs(moved[target]):.4f}",
            ),
            (
                Numbers(
                    "P, P′",
                    np.array([before, after]),
                    ("moment",),
                    {0: [tell("before"), tell("after_it")]},
                    "probability",
                ),
                Numbers(
                    "P′ − P", probabilities(moved) - probabilities(log_probs), ("token",), {0: question.subject.tokens}
                ),
            ),
            part="backward",
        ),
    ]


def listed(values: Float64[np.ndarray, " vocab"], tokens: Sequence[str], k: int = SHOWN) -> str:
    """The largest values with their tokens."""
    best = np.argsort(-values, kind="stable")[:k]
    return ", ".join(f"‘{tokens[i]}’ {values[i]:.4f}" for i in best)


def units(values: Vector, k: int = SHOWN) -> str:
    """The units with the largest values."""
    return ", ".join(f"{i} ({values[i]:+.3f})" for i in np.argsort(-np.abs(values), kind="stable")[:k])


def one_in(prob: float) -> str:
    """How rare that is, as people say it: 1 : 12."""
    return f"1 : {1 / prob:,.0f}" if prob > 1e-300 else "1 : ∞"
