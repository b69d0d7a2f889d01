"""What a training step does to the embeddings: which rows of E move, and how far.

Shapes: V vocabulary, E embed_dim, T tokens that were read.
"""

from collections.abc import Sequence

from malmoi.explain.conversions import lengths
from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Question
from malmoi.pages.language import Teller
from malmoi.scratch.traces import StepTrace


def rows_step(question: Question, tell: Teller, found: StepTrace, times: Sequence[str]) -> Step:
    """Which rows of E move."""
    rows, d_x = found.rows, found.d_rows
    vocab, tokens, norms = len(rows.error), question.subject.tokens, lengths(d_x)
    return Step(
        "rows",
        tell("rows"),
        "∂L/∂E[id_τ] += ∂L/∂x_τ" + (";  ∂L/∂E += (P − y)ᵀ h" if rows.is_tied else ""),
        f"({vocab}, {d_x.shape[1]})",
        tell(
            "say_rows_tied" if rows.is_tied else "say_rows",
            token=times[-1],
            length=f"{norms[-1]:.4g}",
            n_rows=len(rows.ids),
            vocab=vocab,
        ),
        (
            Numbers("‖∂L/∂x_τ‖", norms, ("time",), {0: times}, "plain"),
            Numbers("‖∂L/∂E[id]‖", rows.lengths(), ("token",), {0: [tokens[i] for i in rows.ids]}, "plain"),
            Numbers("∂L/∂x_t", d_x[-1], ("unit",)),
        ),
        part="backward",
    )
