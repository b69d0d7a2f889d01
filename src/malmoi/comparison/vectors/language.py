"""What the comparison of word vectors says, on the terminal and in its report; the sentences stand in report.toml."""

import math
from pathlib import Path
from typing import Literal

from malmoi.evaluation.vector_comparison import Score, VectorComparison, VectorDifference, Verdict
from malmoi.language import Language, read_sentences
from malmoi.language import Teller as Sentences

SENTENCES = Path(__file__).with_name("report.toml")
NONE = "–"
THIN = 0.5  # coverage below which a figure speaks of frequent words alone
Kind = Literal["similarity", "analogies"]


def texts() -> dict[str, dict[str, str]]:
    """Key -> language -> sentence with {} where values go."""
    return read_sentences(SENTENCES)


class Teller(Sentences):
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        super().__init__(language, SENTENCES)

    def score(self, kind: Kind, value: float) -> str:
        """Spearman's rho with three digits, the share of analogies in per cent."""
        if math.isnan(value):
            return NONE
        return f"{value:.1%}" if kind == "analogies" else f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")

    def interval(self, kind: Kind, score: Score | VectorDifference) -> str:
        if math.isnan(score.low):
            return NONE
        shown = self.score if isinstance(score, Score) else _signed
        return f"{shown(kind, score.low)} … {shown(kind, score.high)}"

    def change(self, kind: Kind, difference: VectorDifference) -> str:
        """A difference of two scores; of shares in points of a per cent."""
        told = _signed(kind, difference.value)
        return self("points", told) if kind == "analogies" else told

    def covered(self, score: Score, n: int) -> str:
        """How many of how many, and how many of these through subwords."""
        told = self("covered", score.n_covered, n)
        return f"{told} ({self('composed', score.n_composed)})" if score.n_composed else told

    def difference(self, kind: Kind, difference: VectorDifference) -> tuple[str, str]:
        """The difference with its interval, and what is to be said of it."""
        verdict = self.verdict(difference.verdict)
        if math.isnan(difference.low):
            return "", verdict
        return f"{self.change(kind, difference)} ({self.interval(kind, difference)})", verdict

    def verdict(self, verdict: Verdict) -> str:
        return self(f"verdict_{verdict.replace(' ', '_')}")

    def counts(self, found: VectorComparison, model: str) -> str:
        """In how many sets a model is above the first one, below it, and so on."""
        counts = found.tally(model).items()
        told = [self(f"count_{verdict.replace(' ', '_')}", n) for verdict, n in counts if n]
        return ", ".join(told) or self("count_none")

    def setting(self, name: str) -> str:
        """What a setting is called."""
        return self(f"setting_{name}") if self.has(f"setting_{name}") else name


def _signed(kind: Kind, value: float) -> str:
    return (f"{100 * value:+.1f}" if kind == "analogies" else f"{value:+.3f}").replace("-", "−")
