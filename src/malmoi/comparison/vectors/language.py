"""Figures and sentences of the comparison of word vectors, as terminal and report show them."""

import math
from typing import Literal

from malmoi.evaluation.vector_comparison import Score, VectorComparison, VectorDifference, Verdict
from malmoi.pages.language import Teller

NONE = "–"
THIN = 0.5  # coverage below which a figure speaks of frequent words alone
Kind = Literal["similarity", "analogies"]


def say_score(kind: Kind, value: float) -> str:
    """Spearman's rho with three digits, the share of analogies in per cent."""
    if math.isnan(value):
        return NONE
    return f"{value:.1%}" if kind == "analogies" else f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def say_interval(kind: Kind, score: Score | VectorDifference) -> str:
    if math.isnan(score.low):
        return NONE
    shown = say_score if isinstance(score, Score) else _signed
    return f"{shown(kind, score.low)} … {shown(kind, score.high)}"


def say_change(tell: Teller, kind: Kind, difference: VectorDifference) -> str:
    """A difference of two scores; of shares in points of a per cent."""
    told = _signed(kind, difference.value)
    return tell("points", points=told) if kind == "analogies" else told


def say_covered(tell: Teller, score: Score, n: int) -> str:
    """How many of how many, and how many of these through subwords."""
    told = tell("covered", n_covered=score.n_covered, n=n)
    return f"{told} ({tell('composed', n=score.n_composed)})" if score.n_composed else told


def say_difference(tell: Teller, kind: Kind, difference: VectorDifference) -> tuple[str, str]:
    """The difference with its interval, and what is to be said of it."""
    verdict = say_verdict(tell, difference.verdict)
    if math.isnan(difference.low):
        return "", verdict
    return f"{say_change(tell, kind, difference)} ({say_interval(kind, difference)})", verdict


def say_verdict(tell: Teller, verdict: Verdict) -> str:
    return tell(f"verdict_{verdict.replace(' ', '_')}")


def say_counts(tell: Teller, found: VectorComparison, model: str) -> str:
    """In how many sets a model is above the first one, below it, and so on."""
    counts = found.tally(model).items()
    told = [tell(f"count_{verdict.replace(' ', '_')}", n=n) for verdict, n in counts if n]
    return ", ".join(told) or tell("count_none")


def say_setting(tell: Teller, name: str) -> str:
    """What a setting is called."""
    return tell(f"setting_{name}") if tell.has(f"setting_{name}") else name


def _signed(kind: Kind, value: float) -> str:
    return (f"{100 * value:+.1f}" if kind == "analogies" else f"{value:+.3f}").replace("-", "−")
