"""The same update of word2vec by others: by the loops that train, in float32, and by the network of `scratch/word2vec.py`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.explain.word2vec.update import Gradients, Rows
from malmoi.models.word2vec import kernels, softmax_kernels
from malmoi.scratch.checks import Ids
from malmoi.scratch.word2vec import CBOW, SimpleCBOW, SimpleSkipGram, SkipGram


def engine_difference(rows: Rows, gradients: Gradients, rate: float) -> float:
    """The largest difference of a number of the moved rows between the loops that train and the explanation."""
    inputs, outputs = padded(rows.inputs), padded(rows.outputs)
    _train_once(rows, inputs, outputs, np.float32(rate))
    dim = rows.inputs.shape[1]
    pairs = (
        (inputs[:, :dim], rows.inputs - rate * gradients.inputs),
        (outputs[:, :dim], rows.outputs - rate * gradients.outputs),
    )
    return max(float(np.abs(theirs - ours).max()) for theirs, ours in pairs)


def _train_once(rows: Rows, inputs: NDArray[np.float32], outputs: NDArray[np.float32], rate: np.floating[Any]) -> None:
    """The update as the loops make it, in place."""
    order = np.argsort(-rows.right, kind="stable")  # right ones come first
    samples, n_right, width = rows.asked[order], int(rows.right.sum()), inputs.shape[1]
    n, context = len(samples), np.concatenate(rows.parts)
    is_mean = len(rows.parts) == 1
    asked, change = np.empty((2, 1 if is_mean else len(context), width), np.float32)
    steps = np.empty((len(asked), n), np.float32)
    if is_mean:
        kernels.take_mean(context, len(context), width, inputs, asked[0])
    if rows.is_softmax:
        asked = asked if is_mean else inputs[context]
        softmax_kernels.ask_all(asked, samples[0], samples, rate, outputs, change, steps)
    elif is_mean:
        kernels.ask_mean(asked[0], samples, n, n_right, width, rate, outputs, change[0], steps[0])
    else:
        before = np.empty((n, width), np.float32)
        kernels.ask(context, samples, n_right, rate, inputs, outputs, before, steps.reshape(-1))
        return
    if is_mean:
        kernels.give_back(context, len(context), width, change[0], rows.divide, inputs)
    else:
        np.add.at(inputs, context, change)


def padded(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """In float32, with columns of 0 up to the width that the loops work in."""
    width = -(-matrix.shape[1] // kernels.BLOCK) * kernels.BLOCK
    found = np.zeros((len(matrix), width), np.float32)
    found[:, : matrix.shape[1]] = matrix
    return found


@dataclass(frozen=True)
class Drawn:
    """A sampler that gives the words that were drawn already."""

    wrong: Ids

    def sample(self, targets: Ids, n: int) -> Ids:
        return np.tile(self.wrong, (len(targets), 1))


def scratch_difference(rows: Rows, gradients: Gradients) -> float | None:
    """The largest difference of a gradient to a network of `scratch/word2vec.py` with these rows; None if there is none."""
    if rows.right.sum() != 1 or rows.right[0] != 1 or (not rows.is_softmax and len(rows.asked) == 1):
        return None
    (n_inputs, width), n_outputs = rows.inputs.shape, len(rows.outputs)
    vocab = max(n_inputs, n_outputs, 2)
    if rows.is_softmax and vocab != n_outputs:
        return None
    right, n_hidden = rows.asked[:1], len(rows.parts)
    network = _network(rows, vocab, width)
    W_in, W_out = network.params
    W_in[:n_inputs] = rows.inputs
    if rows.is_softmax:
        W_out[...] = rows.outputs.T
    else:
        W_out[:n_outputs] = rows.outputs
    if n_hidden == 1:
        network.forward(rows.parts[0][None], right)
    else:
        network.forward(np.repeat(right[None], n_hidden, axis=0), np.concatenate(rows.parts))
    network.backward(float(n_hidden))  # the losses there are means over the examples
    d_inputs, d_outputs = network.grads
    undivided = len(rows.parts[0]) if n_hidden == 1 and not rows.divide else 1
    theirs = d_outputs.T if rows.is_softmax else d_outputs[:n_outputs]
    return max(
        float(np.abs(undivided * d_inputs[:n_inputs] - gradients.inputs).max()),
        float(np.abs(theirs - gradients.outputs).max()),
    )


def _network(rows: Rows, vocab: int, width: int) -> CBOW | SkipGram | SimpleCBOW | SimpleSkipGram:
    """One that reads what the update reads; its weights are still to be filled in."""
    rng, one = np.random.default_rng(0), len(rows.parts) == 1
    if rows.is_softmax:
        return (SimpleCBOW if one else SimpleSkipGram)(vocab, width, rng, np.float64)
    network = (CBOW if one else SkipGram)(np.ones(vocab), width, rng, len(rows.asked) - 1, np.float64)
    network.params[0][...], network.params[1][...] = 0, 0
    network.loss.sampler = Drawn(rows.asked[1:])
    return network
