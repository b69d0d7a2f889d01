"""What a language network computed for one prediction, every number of it, and what a training step on that prediction does.

    network = conversion.traced_network_of(config, arrays, start_id)    of a run, in float64
    found = network.trace(ids)                                    P(next token | ids), step by step
    step = network.trace_step(ids, target_id, learning_rate)      its gradients, and the prediction with the moved weights

Nothing here is as large as a table of all tokens: the gradients of such tables are kept as what they are made of.

Shapes: T steps that are kept, V vocabulary, D embedding width, H hidden width, G gates, W width of what the softmax reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

Vector = Float[np.ndarray, "_"]


@dataclass(frozen=True)
class RecurrentTrace:
    """What a recurrent layer computed for one sequence.

    Attributes:
        x: What it read.
        from_input: x Wx and its bias.
        from_hidden: The state before times Wh, and its bias if it has one; of an MGU, f h times the candidate's half.
        sums: Both together; None for a GRU, whose last third is not simply added.
        gates: After sigmoid or tanh. RNN: h itself; LSTM: input, forget, candidate, output; GRU: reset, update, new;
            MGU: forget, candidate.
        hidden: The state before the first step, and after each.
        cell: The same of an LSTM's cell.
        kept: What stays of the memory: f c of an LSTM, z h of a GRU, (1 - f) h of an MGU.
        dropped: What an LSTM lets go of it: (1 - f) c.
        written: What is added: i g of an LSTM, (1 - z) n of a GRU, f n of an MGU.
    """

    x: Float[np.ndarray, "time input"]
    from_input: Float[np.ndarray, "time gates_hidden"]
    from_hidden: Float[np.ndarray, "time gates_hidden"]
    sums: Float[np.ndarray, "time gates hidden"] | None
    gates: Float[np.ndarray, "time gates hidden"]
    hidden: Float[np.ndarray, "time_and_one hidden"]
    cell: Float[np.ndarray, "time_and_one hidden"] | None = None
    kept: Float[np.ndarray, "time hidden"] | None = None
    dropped: Float[np.ndarray, "time hidden"] | None = None
    written: Float[np.ndarray, "time hidden"] | None = None

    @property
    def output(self) -> Float[np.ndarray, "time hidden"]:
        """The states after each step."""
        return self.hidden[1:]


class RecurrentGradients(NamedTuple):
    """Of the loss, with respect to what a recurrent layer read and held."""

    x: Float[np.ndarray, "time input"]
    hidden: Float[np.ndarray, "time hidden"]  # of each h_t, all its later uses included
    sums: Float[np.ndarray, "time gates_hidden"]  # of what stands inside sigmoid and tanh


class TanhTrace(NamedTuple):
    """What a tanh layer over a window computed."""

    x: Vector
    sums: Vector  # x W + b
    hidden: Vector  # tanh of it


class TanhGradients(NamedTuple):
    """Of the loss, with respect to what a tanh layer gave."""

    hidden: Vector
    sums: Vector


@dataclass(frozen=True)
class PredictionTrace:
    """How a network came to the probabilities of the next token.

    Attributes:
        ids: The tokens whose numbers are kept: the last ones of the text.
        rows: Their rows of the embedding.
        layers: What each hidden layer computed, from the bottom.
        top: What the softmax read.
        logits: The score of every token.
        log_probs: ln P of every token.
    """

    ids: Integer[np.ndarray, " time"]
    rows: Float[np.ndarray, "time embed"]
    layers: Sequence[RecurrentTrace] | Sequence[TanhTrace]
    top: Vector
    logits: Float[np.ndarray, " vocab"]
    log_probs: Float[np.ndarray, " vocab"]

    @property
    def probs(self) -> Float[np.ndarray, " vocab"]:
        return np.asarray(np.exp(self.log_probs))


@dataclass(frozen=True)
class WindowTrace(PredictionTrace):
    """That of a network over a fixed window.

    Attributes:
        projected: The last tanh layer, or its projection to the width of the embedding.
        past: What the window adds past the tanh layers, in a network that adds it.
    """

    layers: Sequence[TanhTrace]
    projected: Vector
    past: Vector | None


@dataclass(frozen=True)
class RowGradients:
    """The gradient of a table of embeddings: rows that were read move by what came back to them, with tied weights all by the
    softmax as well.

    Attributes:
        ids: Of the rows that were read, rising, each once.
        read: Added up over all the steps at which the id was read.
        error: P - y.
        top: What the softmax read.
    """

    ids: Integer[np.ndarray, " rows"]
    read: Float[np.ndarray, "rows embed"]
    error: Float[np.ndarray, " vocab"]
    top: Vector
    is_tied: bool

    def of(self, ids: Integer[np.ndarray, " some"]) -> Float[np.ndarray, "some embed"]:
        """The gradients of the rows of these ids."""
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        by_reading = self.read[place] * (self.ids[place] == ids)[:, None]
        return np.asarray(by_reading + np.outer(self.error[ids], self.top) if self.is_tied else by_reading)

    def lengths(self) -> Float[np.ndarray, " rows"]:
        """Of the rows that were read."""
        return np.asarray(np.linalg.norm(self.of(self.ids), axis=1))

    def length(self) -> float:
        """Of the whole gradient."""
        if not self.is_tied:
            return float(np.linalg.norm(self.read))
        by_softmax = np.delete(self.error, self.ids)
        others = np.linalg.norm(by_softmax) * np.linalg.norm(self.top)
        return float(np.hypot(np.linalg.norm(self.of(self.ids)), others))


class Lengths(NamedTuple):
    """How long a weight and its gradient are, each taken as one vector."""

    weight: float
    gradient: float


@dataclass(frozen=True)
class StepTrace:
    """What a training step on one prediction does.

    Attributes:
        prediction: Before it.
        error: P - y, the gradient of -ln P(target) with respect to the scores.
        d_top: That of what the softmax read.
        d_rows: That of each embedding that was read.
        layers: Those of each hidden layer, from the bottom.
        rows: The gradient of the table of embeddings.
        lengths: By the names of the weights in a run.
        log_probs: ln P of every token, computed again with all weights moved by -learning_rate times their gradient.
    """

    prediction: PredictionTrace
    error: Float[np.ndarray, " vocab"]
    d_top: Vector
    d_rows: Float[np.ndarray, "time embed"]
    layers: Sequence[RecurrentGradients] | Sequence[TanhGradients]
    rows: RowGradients
    lengths: Mapping[str, Lengths]
    log_probs: Float[np.ndarray, " vocab"]
