"""One update of word2vec in float64, with every number kept: what the loops in models/word2vec do millions of times.

    h_i = mean of the rows of W_in that belong together        a neighbour's row (skip-gram), or the mean of all of them (CBOW)
    s_iw = h_i · W_out[w]                                       for every row w that is asked about
    negative sampling, hierarchical softmax    p = sigmoid(s)   L = sum of -ln p where the answer is yes, -ln(1 - p) where no
    softmax                                    p = softmax(s)   L = sum of -ln p of the right word
    dL/ds = p - y        dL/dW_out[w] = sum_i dL/ds_iw h_i      dL/dh_i = sum_w dL/ds_iw W_out[w]

All scores come from the weights before the update. A row that is in it twice, as a word that was drawn twice, moves twice.

Source: Mikolov et al. 2013 (arXiv:1301.3781, arXiv:1310.4546).

Shapes: D width, H vectors h, S rows of W_out that are asked about, I and O different rows of W_in and W_out in the update.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.explain.cells import sigmoid
from malmoi.scratch.functions import log_softmax, softplus


@dataclass(frozen=True)
class Rows:
    """The part of both matrices that an update touches, and who meets whom there.

    Attributes:
        input_ids, output_ids: Which rows these are in the whole matrices, rising.
        inputs, outputs: The rows.
        parts: For each h, the places in `inputs` of the rows whose mean it is; a row may be in it twice.
        asked: Places in `outputs` of the rows that are asked about; the right word comes first.
        right: 1 where the answer should be yes, and 0 where no.
        is_softmax: Whether the answers are one distribution over the asked rows.
        divide: Whether a row of a mean moves by its share of the gradient, and not by the whole.
    """

    input_ids: Int64[np.ndarray, " I"]
    output_ids: Int64[np.ndarray, " O"]
    inputs: Float64[np.ndarray, "I D"]
    outputs: Float64[np.ndarray, "O D"]
    parts: Sequence[Int64[np.ndarray, "_"]]
    asked: Int64[np.ndarray, " S"]
    right: Float64[np.ndarray, " S"]
    is_softmax: bool = False
    divide: bool = False


@dataclass(frozen=True)
class Answers:
    """What the network says."""

    hidden: Float64[np.ndarray, "H D"]
    scores: Float64[np.ndarray, "H S"]
    probs: Float64[np.ndarray, "H S"]
    losses: Float64[np.ndarray, "H S"]  # nats, of each question; with a softmax all of it stands at the right word

    @property
    def loss(self) -> float:
        return float(self.losses.sum())


@dataclass(frozen=True)
class Gradients:
    """What follows for the weights; `inputs` as they are applied, so the whole gradient of a mean where it is not divided."""

    scores: Float64[np.ndarray, "H S"]
    hidden: Float64[np.ndarray, "H D"]
    inputs: Float64[np.ndarray, "I D"]
    outputs: Float64[np.ndarray, "O D"]


def gather(
    inputs: NDArray[Any],
    outputs: NDArray[Any],
    parts: Sequence[Int64[np.ndarray, "_"]],
    asked: Int64[np.ndarray, " S"],
    right: Float64[np.ndarray, " S"],
    *,
    is_softmax: bool = False,
    divide: bool = False,
) -> Rows:
    """Take what an update needs from the whole matrices (V, D); `parts` and `asked` are ids there."""
    input_ids, output_ids = np.unique(np.concatenate(parts)), np.unique(asked)
    return Rows(
        input_ids,
        output_ids,
        np.asarray(inputs[input_ids], np.float64),
        np.asarray(outputs[output_ids], np.float64),
        [np.searchsorted(input_ids, part) for part in parts],
        np.searchsorted(output_ids, asked),
        right,
        is_softmax,
        divide,
    )


def forward(rows: Rows) -> Answers:
    """Scores, answers and their loss."""
    hidden = np.stack([rows.inputs[part].mean(axis=0) for part in rows.parts])
    scores = hidden @ rows.outputs[rows.asked].T
    if rows.is_softmax:
        log_probs = log_softmax(scores)
        return Answers(hidden, scores, np.exp(log_probs), np.where(rows.right == 1, -log_probs, 0.0))
    losses = softplus(np.where(rows.right == 1, -scores, scores))
    return Answers(hidden, scores, np.asarray(sigmoid(scores)), losses)


def backward(rows: Rows, found: Answers) -> Gradients:
    """Of the summed loss."""
    errors = found.probs - rows.right  # (H, S)
    d_hidden = errors @ rows.outputs[rows.asked]  # (H, D)
    d_inputs, d_outputs = np.zeros_like(rows.inputs), np.zeros_like(rows.outputs)
    np.add.at(d_outputs, rows.asked, errors.T @ found.hidden)
    for part, gradient in zip(rows.parts, d_hidden, strict=True):
        np.add.at(d_inputs, part, gradient / (len(part) if rows.divide else 1))
    return Gradients(errors, d_hidden, d_inputs, d_outputs)


def moved(rows: Rows, gradients: Gradients, rate: float) -> Rows:
    """The rows after W <- W - rate * gradient."""
    return replace(rows, inputs=rows.inputs - rate * gradients.inputs, outputs=rows.outputs - rate * gradients.outputs)
