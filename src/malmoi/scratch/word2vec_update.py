"""One update of word2vec with every number kept: what the loops in models/word2vec do millions of times.

    h_i = mean of the rows of W_in that belong together        a neighbour's row (skip-gram), or the mean of all of them (CBOW)
    s_iw = h_i · W_out[w]                                       for every row w that is asked about
    negative sampling, hierarchical softmax    p = sigmoid(s)   L = sum of -ln p where the answer is yes, -ln(1 - p) where no
    softmax                                    p = softmax(s)   L = sum of -ln p of the right word
    dL/ds = p - y        dL/dW_out[w] = sum_i dL/ds_iw h_i      dL/dh_i = sum_w dL/ds_iw W_out[w]

    update = gather(W_in, W_out, parts, asked, right)
    found = update.trace(learning_rate)

All scores come from the weights before the update. A row that is in it twice, as a word that was drawn twice, moves twice.
`by_network` makes the same update with a network of `word2vec.py`, where there is one.

Source: Mikolov et al. 2013 (arXiv:1301.3781, arXiv:1310.4546).

Shapes: D width, V words, H vectors h, S rows of W_out that are asked about, I and O different rows of W_in and W_out in the
update.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Integer
from numpy.typing import NDArray

from malmoi.scratch.checks import Ids
from malmoi.scratch.functions import log_softmax, scores_in_blocks, sigmoid, softplus
from malmoi.scratch.word2vec import CBOW, SimpleCBOW, SimpleSkipGram, SkipGram

Objective = Literal["negative", "hierarchical", "softmax"]


class Answers(NamedTuple):
    """What the network says."""

    hidden: Float64[np.ndarray, "H D"]
    scores: Float64[np.ndarray, "H S"]
    probs: Float64[np.ndarray, "H S"]
    losses: Float64[np.ndarray, "H S"]  # nats, of each question; with a softmax all of it stands at the right word

    @property
    def loss(self) -> float:
        return float(self.losses.sum())

    @property
    def probability(self) -> float:
        """That all answers are right, the geometric mean over the h."""
        return math.exp(-self.loss / len(self.losses))


class Gradients(NamedTuple):
    """What follows for the weights; `inputs` as they are applied, so the whole gradient of a mean where it is not divided."""

    scores: Float64[np.ndarray, "H S"]
    hidden: Float64[np.ndarray, "H D"]
    inputs: Float64[np.ndarray, "I D"]
    outputs: Float64[np.ndarray, "O D"]


@dataclass(frozen=True)
class Update:
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

    def trace(self, learning_rate: float) -> "UpdateTrace":
        """Every number of W <- W - learning_rate dL/dW, and the same questions asked again."""
        before = self.forward()
        gradients = self.backward(before)
        moves = -learning_rate * gradients.inputs, -learning_rate * gradients.outputs
        moved = replace(self, inputs=self.inputs + moves[0], outputs=self.outputs + moves[1])
        return UpdateTrace(before, gradients, *moves, moved, moved.forward(), self._blind_loss())

    def forward(self) -> Answers:
        """Scores, answers and their loss."""
        hidden = np.stack([self.inputs[part].mean(axis=0) for part in self.parts])
        scores = hidden @ self.outputs[self.asked].T
        if self.is_softmax:
            log_probs = log_softmax(scores)
            return Answers(hidden, scores, np.exp(log_probs), np.where(self.right == 1, -log_probs, 0.0))
        losses = softplus(np.where(self.right == 1, -scores, scores))
        return Answers(hidden, scores, sigmoid(scores), losses)

    def backward(self, found: Answers) -> Gradients:
        """Of the summed loss."""
        errors = found.probs - self.right  # (H, S)
        d_hidden = errors @ self.outputs[self.asked]  # (H, D)
        d_inputs, d_outputs = np.zeros_like(self.inputs), np.zeros_like(self.outputs)
        np.add.at(d_outputs, self.asked, errors.T @ found.hidden)
        for part, gradient in zip(self.parts, d_hidden, strict=True):
            np.add.at(d_inputs, part, gradient / (len(part) if self.divide else 1))
        return Gradients(errors, d_hidden, d_inputs, d_outputs)

    def _blind_loss(self) -> float:
        """What vectors that know nothing would pay, with every score at 0."""
        n = len(self.asked)
        return len(self.parts) * (math.log(n) if self.is_softmax else n * math.log(2))


class UpdateTrace(NamedTuple):
    """Every number of an update."""

    before: Answers
    gradients: Gradients
    input_moves: Float64[np.ndarray, "I D"]  # what is added to the rows: -learning_rate times their gradients
    output_moves: Float64[np.ndarray, "O D"]
    moved: Update
    after: Answers
    blind_loss: float


def gather(
    inputs: NDArray[Any],
    outputs: NDArray[Any],
    parts: Sequence[Int64[np.ndarray, "_"]],
    asked: Int64[np.ndarray, " S"],
    right: Float64[np.ndarray, " S"],
    *,
    is_softmax: bool = False,
    divide: bool = False,
) -> Update:
    """Take what an update needs from the whole matrices (V, D); `parts` and `asked` are ids there."""
    input_ids, output_ids = np.unique(np.concatenate(parts)), np.unique(asked)
    return Update(
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


def vector_of(inputs: NDArray[Any], rows: Ids) -> Float64[np.ndarray, " D"]:
    """A word's vector: the mean of its rows of W_in, one or more."""
    return np.asarray(inputs[rows].astype(np.float64).mean(axis=0))


class Ways(NamedTuple):
    """For each word the rows of W_out on the way to it, as of a Huffman tree: first those that should be answered with yes."""

    starts: Int64[np.ndarray, " V_and_one"]  # word w owns nodes[starts[w]:starts[w + 1]]
    nodes: Integer[np.ndarray, " nodes"]
    n_yes: Integer[np.ndarray, " V"]


def answers_of_all(
    outputs: NDArray[Any], hidden: Float64[np.ndarray, "H D"], objective: Objective, ways: Ways | None = None
) -> Float64[np.ndarray, " V"]:
    """How strongly every word is expected: sigmoid(s), or P, on average over the h; `ways` are for a hierarchical softmax."""
    total: NDArray[Any] | float = 0.0
    for h in hidden:  # one by one: for all at once, a large vocabulary would take much memory
        total = total + _answers(scores_in_blocks(outputs, h), objective, ways)
    return np.asarray(total / len(hidden))


def _answers(
    scores: Float64[np.ndarray, " rows"], objective: Objective, ways: Ways | None
) -> Float64[np.ndarray, " V"]:
    """From the score of each row of W_out to what is said about each word."""
    if objective == "negative":
        return np.asarray(sigmoid(scores))
    if objective == "softmax":
        return np.asarray(np.exp(log_softmax(scores)))
    assert ways is not None
    lengths = np.diff(ways.starts)
    is_yes = np.arange(len(ways.nodes)) - np.repeat(ways.starts[:-1], lengths) < np.repeat(ways.n_yes, lengths)
    costs = softplus(np.where(is_yes, -1, 1) * scores[ways.nodes])  # -ln of every answer on the way to every word
    return np.asarray(np.exp(-np.add.reduceat(costs, ways.starts[:-1])))


# The same by a network


@dataclass(frozen=True)
class Drawn:
    """A sampler that gives the words that were drawn already."""

    wrong: Ids

    def sample(self, targets: Ids, n: int) -> Ids:
        return np.tile(self.wrong, (len(targets), 1))


def by_network(
    update: Update,
) -> tuple[Float64[np.ndarray, "I D"], Float64[np.ndarray, "O D"]] | None:
    """dL/dW_in and dL/dW_out of the rows by a network of `word2vec.py`; None if none of them makes such an update."""
    asked, right = update.asked, update.right
    if right.sum() != 1 or right[0] != 1 or (not update.is_softmax and len(asked) == 1):
        return None
    (n_inputs, width), n_outputs = update.inputs.shape, len(update.outputs)
    vocab = max(n_inputs, n_outputs, 2)
    if update.is_softmax and vocab != n_outputs:
        return None
    n_hidden, network = len(update.parts), _network(update, vocab, width)
    W_in, W_out = network.params
    W_in[:n_inputs] = update.inputs
    if update.is_softmax:
        W_out[...] = update.outputs.T
    else:
        W_out[:n_outputs] = update.outputs
    if n_hidden == 1:
        network.forward(update.parts[0][None], asked[:1])
    else:
        network.forward(np.repeat(asked[None, :1], n_hidden, axis=0), np.concatenate(update.parts))
    network.backward(float(n_hidden))  # the losses there are means over the examples
    d_inputs, d_outputs = network.grads
    undivided = len(update.parts[0]) if n_hidden == 1 and not update.divide else 1
    return undivided * d_inputs[:n_inputs], d_outputs.T if update.is_softmax else d_outputs[:n_outputs]


def _network(update: Update, vocab: int, width: int) -> CBOW | SkipGram | SimpleCBOW | SimpleSkipGram:
    """One that reads what the update reads; its weights are still to be filled in."""
    rng, one = np.random.default_rng(0), len(update.parts) == 1
    if update.is_softmax:
        return (SimpleCBOW if one else SimpleSkipGram)(vocab, width, rng, np.float64)
    network = (CBOW if one else SkipGram)(np.ones(vocab), width, rng, len(update.asked) - 1, np.float64)
    network.params[0][...], network.params[1][...] = 0, 0
    network.loss.sampler = Drawn(update.asked[1:])
    return network
