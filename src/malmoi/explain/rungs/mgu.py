"""Why a minimal gated unit gave a token its probability."""

from collections.abc import Sequence

from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Answer, Question
from malmoi.explain.rungs.recurrent import Cell, bands, explain_recurrent, extreme, last
from malmoi.explain.softmax import units
from malmoi.pages.language import Teller
from malmoi.scratch.traces import RecurrentTrace


def explain_next(question: Question, tell: Teller) -> Answer:
    """The steps from the ids to -ln P, and those of a training step if one is asked for."""
    return explain_recurrent(question, tell, CELL)


def _steps(tell: Teller, trace: RecurrentTrace, times: Sequence[str]) -> list[Step]:
    forget, _ = gates = trace.gates[-1]
    before, hidden, size = trace.hidden[-2], trace.output[-1], gates.shape[1]
    kept, written = last(trace.kept), last(trace.written)
    return [
        Step(
            "gates",
            tell("gates"),
            "f = σ(z_f);  n = tanh(z_n)",
            f"2 × (1, {size})",
            tell(
                "say_gates_mgu",
                most_forget=extreme(forget),
                least_forget=extreme(forget, lowest=True),
                mean_forget=f"{forget.mean():.2f}",
            ),
            (Numbers("f, n", gates, ("gate", "unit"), {0: CELL.gates}), *bands(trace, CELL.gates, times, ("n",))),
        ),
        Step(
            "hidden",
            tell("hidden"),
            "h_t = (1 − f) ⊙ h_{t−1} + f ⊙ n",
            f"(1, {size}) ⊙ (1, {size}) + (1, {size}) ⊙ (1, {size})",
            tell("say_hidden_mgu", kept=units(kept), written=units(written)),
            (
                Numbers("h_{t−1}", before, ("unit",)),
                Numbers("(1 − f) ⊙ h_{t−1}", kept, ("unit",)),
                Numbers("f ⊙ n", written, ("unit",)),
                Numbers("h_t", hidden, ("unit",)),
            ),
        ),
    ]


CELL = Cell(
    ("f", "n"),
    "z_f = x_t W_f + h_{t−1} U_f + b_f;  z_n = x_t W_n + (f ⊙ h_{t−1}) U_n + b_n",
    _steps,
)
