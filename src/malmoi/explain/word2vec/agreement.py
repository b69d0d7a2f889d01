"""The same update of word2vec by others: by the loops that train, in float32, and by the network of `scratch/word2vec.py`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.models.word2vec import kernels, softmax_kernels
from malmoi.scratch.word2vec_update import Gradients, Update, by_network


def engine_difference(update: Update, moved: Update, rate: float) -> float:
    """The largest difference of a number of the moved rows between the loops that train and the explanation."""
    inputs, outputs = padded(update.inputs), padded(update.outputs)
    _train_once(update, inputs, outputs, np.float32(rate))
    dim = update.inputs.shape[1]
    pairs = ((inputs[:, :dim], moved.inputs), (outputs[:, :dim], moved.outputs))
    return max(float(np.abs(theirs - ours).max()) for theirs, ours in pairs)


def _train_once(
    rows: Update, inputs: NDArray[np.float32], outputs: NDArray[np.float32], rate: np.floating[Any]
) -> None:
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


def scratch_difference(update: Update, gradients: Gradients) -> float | None:
    """The largest difference of a gradient to a network of `scratch/word2vec.py` with these rows; None if there is none."""
    theirs = by_network(update)
    if theirs is None:
        return None
    pairs = zip(theirs, (gradients.inputs, gradients.outputs), strict=True)
    return max(float(np.abs(other - ours).max()) for other, ours in pairs)
