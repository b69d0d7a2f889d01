"""Updates of word2vec against a plain loop in float64 with the same draws, and against the gradients of `scratch`."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from word2vec_reference import COUNTS, KEPT, N_NEGATIVES, WIDTH, WINDOW, Draws, windows

from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.sampling import noise_table
from malmoi.scratch.word2vec import CBOW, SkipGram


def matrices(spread: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    return tuple(rng.normal(0, spread, (len(COUNTS), WIDTH)).astype(np.float32) for _ in range(2))  # type: ignore


def plain(method: str, divide: bool, rates: tuple[float, float], state: int, spread: float):
    inputs, outputs = (m.astype(np.float64) for m in matrices(spread))
    loss, pairs = 0.0, 0
    for i, _, context, samples in windows(Draws(state), KEPT.tolist()):
        rate = rates[0] + (rates[1] - rates[0]) * i / len(KEPT)
        right = np.array([1.0] + [0.0] * (len(samples) - 1))
        asked = inputs[context] if method == "skip-gram" else inputs[context].mean(axis=0, keepdims=True)
        scores = asked @ outputs[samples].T  # (M, S), or (1, S)
        loss += sum(math.log1p(math.exp(-s)) for s in (scores * (2 * right - 1)).ravel())
        pairs += len(asked)
        steps = rate * (right - 1 / (1 + np.exp(-scores)))
        change_in, change_out = steps @ outputs[samples], steps.T @ asked
        if method == "cbow":
            change_in = np.repeat(change_in, len(context), axis=0) / (len(context) if divide else 1)
        np.add.at(inputs, context, change_in)
        np.add.at(outputs, samples, change_out)
    return loss, pairs, inputs, outputs


def compiled(method: str, divide: bool, rates: tuple[float, float], state: int, spread: float):
    inputs, outputs = matrices(spread)
    common = (KEPT, len(KEPT), WINDOW, N_NEGATIVES, *noise_table(COUNTS), *rates, np.uint64(state), inputs, outputs)
    loss, pairs = kernels.skip_gram(*common) if method == "skip-gram" else kernels.cbow(*common, divide)
    return loss, pairs, inputs, outputs


@pytest.mark.parametrize(("method", "divide"), [("skip-gram", False), ("cbow", False), ("cbow", True)])
@pytest.mark.parametrize("spread", [0.01, 0.5, 2.0])  # scores up to about 100
@pytest.mark.parametrize("state", [1, 2**63 + 12345])
def test_updates_agree_with_a_plain_loop(method: str, divide: bool, spread: float, state: int) -> None:
    ours, expected = (f(method, divide, (0.1, 0.05), state, spread) for f in (compiled, plain))
    assert ours[0] == pytest.approx(expected[0], rel=2e-5)
    assert ours[1] == expected[1] > 5
    for own, other, start in zip(ours[2:], expected[2:], matrices(spread), strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=4e-5 * max(1.0, spread))
        assert np.abs(other - start).max() > 1e-3  # something moved


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_updates_follow_the_gradients_of_scratch(method: str) -> None:
    """Each step is -rate times the gradient that backpropagation finds, in float64, for the same words."""
    state, rate = 77, 0.05
    layer = (SkipGram if method == "skip-gram" else CBOW)(COUNTS, WIDTH, np.random.default_rng(0), dtype=np.float64)
    for weights, first in zip(layer.params, matrices(0.3), strict=True):
        weights[...] = first
    loss = 0.0
    for _, centre, context, samples in windows(Draws(state), KEPT.tolist()):
        n_asked = len(context) if method == "skip-gram" else 1
        layer.loss.n_negative = len(samples) - 1
        layer.loss.sampler = Fixed(np.tile(samples[1:], (n_asked, 1)))
        if method == "skip-gram":  # the neighbours are what is seen, and the centre is guessed from each of them
            loss += n_asked * layer.forward(np.full((n_asked, 1), centre), np.array(context))
        else:
            loss += layer.forward(np.array([context]), np.array([centre]))
        layer.backward(float(n_asked))  # the layer takes means
        for weights, gradient in zip(layer.params, layer.grads, strict=True):
            weights -= rate * gradient
    ours = compiled(method, True, (rate, rate), state, 0.3)
    assert ours[0] == pytest.approx(loss, rel=1e-5)
    for own, expected in zip(ours[2:], layer.params, strict=True):
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-5)


class Fixed:
    """A sampler whose draws are known."""

    def __init__(self, wrong: NDArray[np.int64]) -> None:
        self.wrong = wrong

    def sample(self, targets: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        assert self.wrong.shape == (len(targets), n)
        return self.wrong
