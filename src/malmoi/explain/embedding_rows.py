"""What a training step does to the embeddings: which rows of E move, and how far.

Shapes: V vocabulary, E embed_dim, W width of the vector that the softmax reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.explain.explanation import Numbers, Step
from malmoi.explain.question import Question
from malmoi.explain.softmax import Vector, scores
from malmoi.pages.language import Teller


@dataclass(frozen=True)
class RowGradients:
    """How the rows of E move: those that were read, by what came back to them; with tied weights all, by the softmax."""

    rows: Int64[np.ndarray, " rows"]  # ids that were read, rising, each once
    read: Float64[np.ndarray, "rows embed"]  # added up over all the steps at which the id was read
    error: Float64[np.ndarray, " vocab"]  # P - y
    hidden: Vector
    is_tied: bool

    def of(self, ids: Int64[np.ndarray, " some"]) -> Float64[np.ndarray, "some embed"]:
        """The gradients of the rows of these ids."""
        place = np.minimum(np.searchsorted(self.rows, ids), len(self.rows) - 1)
        found = self.read[place] * (self.rows[place] == ids)[:, None]
        return np.asarray(found + np.outer(self.error[ids], self.hidden) if self.is_tied else found)

    def moved_scores(
        self, output: NDArray[Any], bias: NDArray[Any], hidden: Vector, rate: float
    ) -> Float64[np.ndarray, " vocab"]:
        """The scores after a step of this rate for another vector, without a copy of the moved matrix."""
        logits = scores(output, bias, hidden) - rate * self.error * (self.hidden @ hidden + 1)  # the 1 is the bias
        if self.is_tied:
            logits[self.rows] -= rate * self.read @ hidden
        return np.asarray(logits)

    @property
    def length(self) -> float:
        """Of the whole gradient of E."""
        if not self.is_tied:
            return float(np.linalg.norm(self.read))
        by_softmax = np.delete(self.error, self.rows)
        return float(
            np.hypot(np.linalg.norm(self.of(self.rows)), np.linalg.norm(by_softmax) * np.linalg.norm(self.hidden))
        )


def row_gradients(
    read_ids: Int64[np.ndarray, " time"],
    d_x: Float64[np.ndarray, "time embed"],
    error: Float64[np.ndarray, " vocab"],
    hidden: Vector,
    is_tied: bool,
) -> RowGradients:
    """From the gradient of each embedding that was read."""
    rows, which = np.unique(read_ids, return_inverse=True)
    read = np.zeros((len(rows), d_x.shape[1]))
    np.add.at(read, which, d_x)  # a token that was read twice has one row, and both gradients
    return RowGradients(rows, read, error, hidden, is_tied)


def rows_step(
    question: Question, tell: Teller, rows: RowGradients, d_x: Float64[np.ndarray, "time embed"], times: Sequence[str]
) -> Step:
    """Which rows of E move."""
    vocab, tokens = len(rows.error), question.subject.tokens
    norms = np.linalg.norm(d_x, axis=1)
    lengths = np.linalg.norm(rows.of(rows.rows), axis=1)
    return Step(
        "rows",
        tell("rows"),
        "∂L/∂E[id_τ] += ∂L/∂x_τ" + (";  ∂L/∂E += (P − y)ᵀ h" if rows.is_tied else ""),
        f"({vocab}, {d_x.shape[1]})",
        tell(
            "say_rows_tied" if rows.is_tied else "say_rows",
            token=times[-1],
            length=f"{norms[-1]:.4g}",
            n_rows=len(rows.rows),
            vocab=vocab,
        ),
        (
            Numbers("‖∂L/∂x_τ‖", norms, ("time",), {0: times}, "plain"),
            Numbers("‖∂L/∂E[id]‖", lengths, ("token",), {0: [tokens[i] for i in rows.rows]}, "plain"),
            Numbers("∂L/∂x_t", d_x[-1], ("unit",)),
        ),
        part="backward",
    )
