"""What a run tells the person who waits for it. The training code calls these; a door (terminal, notebook) shows them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or a termination signal, and the checkpoint is saved."""


@dataclass(frozen=True)
class StepReport:
    """Where training stands after an update."""

    step: int
    fraction: float  # of the whole run, 0 to 1
    loss: float  # running mean
    tokens_per_second: float
    seconds_left: float
    learning_rate: float
    epoch: float | None = None  # passes over the text so far, where that says more than the number of the update


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation on the validation data."""

    step: int
    epoch: float
    figures: Mapping[str, float]  # by name, the one that counts most first: bits_per_byte, perplexity
    is_best: bool
    seconds: float  # since training began

    @property
    def bits_per_byte(self) -> float:
        """Of a language model: NaN where another figure is watched."""
        return self.figures.get("bits_per_byte", math.nan)

    @property
    def perplexity(self) -> float:
        """Of a language model: NaN where another figure is watched."""
        return self.figures.get("perplexity", math.nan)


class Reporter:
    """Says nothing; the base of those that speak."""

    def stage(self, text: str) -> None:
        """A step of the preparation begins, or something worth knowing happened."""

    def preparing(self, done: int, total: int) -> None:
        """Bytes of text read so far, of how many."""

    def trained(self, report: StepReport) -> None:
        """An update was made."""

    def evaluated(self, report: EvaluationReport) -> None:
        """The validation data was scored."""

    def finished(self) -> None:
        """Nothing more comes; also called when training is stopped."""
