"""Why an Elman network gave a token its probability."""

from collections.abc import Sequence

import numpy as np

from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.rungs.recurrent import Cell, explain_recurrent
from malmoi.explain.softmax import units
from malmoi.pages.language import Teller
from malmoi.scratch.traces import RecurrentTrace


def explain_next(question: Question, tell: Teller) -> Answer:
    """The steps from the ids to -ln P, and those of a training step if one is asked for."""
    return explain_recurrent(question, tell, CELL)


def _steps(tell: Teller, trace: RecurrentTrace, times: Sequence[str]) -> list[Step]:
    hidden = trace.output[-1]
    size = len(hidden)
    full = int((np.abs(hidden) > 0.9).sum())
    return [
        Step(
            "hidden",
            tell("hidden"),
            "h_t = tanh(z)",
            f"(1, {size})",
            tell("say_hidden_rnn", strongest=units(hidden), n_full=full, n_units=size),
            (
                Numbers("h_{t−1}", trace.hidden[-2], ("unit",)),
                Numbers("h_t", hidden, ("unit",)),
                Numbers("h_1 … h_t", trace.output, ("time", "unit"), {0: times}),
            ),
        )
    ]


CELL = Cell(("h",), "z = x_t Wx + h_{t−1} Wh + b", _steps)
