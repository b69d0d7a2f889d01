"""Why a GRU gave a token its probability."""

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
    names = CELL.gates
    r, z, _ = gates = trace.gates[-1]
    before, hidden, size = trace.hidden[-2], trace.output[-1], gates.shape[1]
    kept, written = last(trace.kept), last(trace.written)
    return [
        Step(
            "gates",
            tell("gates"),
            "r = σ(a_r + u_r);  z = σ(a_z + u_z);  n = tanh(a_n + r ⊙ u_n)",
            f"3 × (1, {size})",
            tell(
                "say_gates_gru",
                most_update=extreme(z),
                least_update=extreme(z, lowest=True),
                least_reset=extreme(r, lowest=True),
                mean_update=f"{z.mean():.2f}",
            ),
            (Numbers("r, z, n", gates, ("gate", "unit"), {0: names}), *bands(trace, names, times, ("n",))),
        ),
        Step(
            "hidden",
            tell("hidden"),
            "h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}",
            f"(1, {size}) ⊙ (1, {size}) + (1, {size}) ⊙ (1, {size})",
            tell("say_hidden_gru", kept=units(kept), written=units(written)),
            (
                Numbers("h_{t−1}", before, ("unit",)),
                Numbers("z ⊙ h_{t−1}", kept, ("unit",)),
                Numbers("(1 − z) ⊙ n", written, ("unit",)),
                Numbers("h_t", hidden, ("unit",)),
            ),
        ),
    ]


CELL = Cell(("r", "z", "n"), "a = x_t Wx + b;  u = h_{t−1} Wh + c", _steps, has_hidden_bias=True)
