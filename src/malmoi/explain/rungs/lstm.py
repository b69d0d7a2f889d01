"""Why an LSTM gave a token its probability."""

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
    i, f, _, o = gates = trace.gates[-1]
    assert trace.cell is not None
    before, cell, hidden, size = trace.cell[-2], trace.cell[-1], trace.output[-1], gates.shape[1]
    kept, written, dropped = (last(part) for part in (trace.kept, trace.written, trace.dropped))
    return [
        Step(
            "gates",
            tell("gates"),
            "i = σ(z_i);  f = σ(z_f);  g = tanh(z_g);  o = σ(z_o)",
            f"4 × (1, {size})",
            tell(
                "say_gates_lstm",
                most_forget=extreme(f),
                least_forget=extreme(f, lowest=True),
                most_input=extreme(i),
                mean_forget=f"{f.mean():.2f}",
                mean_input=f"{i.mean():.2f}",
            ),
            (Numbers("i, f, g, o", gates, ("gate", "unit"), {0: names}), *bands(trace, names, times, ("g",))),
        ),
        Step(
            "cell",
            tell("cell"),
            "c_t = f ⊙ c_{t−1} + i ⊙ g",
            f"(1, {size}) ⊙ (1, {size}) + (1, {size}) ⊙ (1, {size})",
            tell("say_cell", kept=units(kept), dropped=units(dropped), written=units(written)),
            (
                Numbers("c_{t−1}", before, ("unit",)),
                Numbers("f ⊙ c_{t−1}", kept, ("unit",)),
                Numbers("i ⊙ g", written, ("unit",)),
                Numbers("c_t", cell, ("unit",)),
            ),
        ),
        Step(
            "hidden",
            tell("hidden"),
            "h_t = o ⊙ tanh(c_t)",
            f"(1, {size}) ⊙ (1, {size})",
            tell("say_hidden_lstm", most_output=extreme(o), strongest=units(hidden)),
            (Numbers("o", o, ("unit",), kind="gate"), Numbers("h_t", hidden, ("unit",))),
        ),
    ]


CELL = Cell(("i", "f", "g", "o"), "z = x_t Wx + h_{t−1} Wh + b", _steps)
