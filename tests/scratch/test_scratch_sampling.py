"""Negative sampling: what is drawn, and what is lost."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.functions import sigmoid
from malmoi.scratch.gradients import check_gradients, numerical_gradient, relative_error
from malmoi.scratch.sampling import NegativeSamplingLoss, UnigramSampler

COUNTS = np.array([10, 0, 3, 500, 40, 1, 0])


class Fixed:
    """Draws what it is told to."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def sample(self, targets: np.ndarray, n: int) -> np.ndarray:
        return self.ids


def sampler(counts: Any = COUNTS, seed: int = 1, **options: float) -> UnigramSampler:
    return UnigramSampler(np.asarray(counts), rng=np.random.default_rng(seed), **options)


def test_words_are_drawn_by_their_count_to_the_power_of_three_quarters() -> None:
    weights = COUNTS**0.75
    np.testing.assert_allclose(sampler().probabilities, weights / weights.sum(), rtol=1e-14)
    np.testing.assert_allclose(sampler(power=1.0).probabilities, COUNTS / COUNTS.sum(), rtol=1e-14)
    np.testing.assert_allclose(sampler(power=0.0).probabilities, (COUNTS > 0) / 5, rtol=1e-14)


@pytest.mark.parametrize("target", range(len(COUNTS)))
def test_other_words_keep_their_proportions_and_the_target_is_never_drawn(target: int) -> None:
    draws = sampler(seed=target).sample(np.full(2000, target), 20)
    assert draws.shape == (2000, 20)
    found = np.bincount(draws.reshape(-1), minlength=len(COUNTS))
    weights = np.where(np.arange(len(COUNTS)) == target, 0, COUNTS**0.75)
    assert not found[weights == 0].any()
    possible = weights > 0
    assert chisquare(found[possible], draws.size * weights[possible] / weights.sum()).pvalue > 0.001


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 10**9), min_size=2, max_size=9).filter(lambda c: np.count_nonzero(c) > 1),
    seed=st.integers(0, 99),
)
def test_only_words_that_occur_and_are_wrong_are_drawn(counts: list[int], seed: int) -> None:
    targets = np.arange(len(counts))
    draws = sampler(counts, seed).sample(targets, 30)
    assert (draws != targets[:, None]).all()
    assert (np.array(counts)[draws] > 0).all()


@pytest.mark.parametrize("drawn", [0.0, np.nextafter(1, 0)])
def test_the_ends_of_the_line_are_never_the_target(drawn: float) -> None:
    class End:
        def random(self, shape: tuple[int, ...]) -> np.ndarray:
            return np.full(shape, drawn)

    for counts in ([1, 1, 1], [7, 3, 11, 13, 17], [1, 10**9], [10**9, 1]):
        drawing = sampler(counts)
        drawing.rng = End()  # type: ignore[assignment]
        targets = np.arange(len(counts))
        draws = drawing.sample(targets, 1)[:, 0]
        assert (draws != targets).all()
        assert ((draws >= 0) & (draws < len(counts))).all()


def test_the_same_seed_draws_the_same_words() -> None:
    targets = np.array([3, 0, 4])
    np.testing.assert_array_equal(sampler(seed=5).sample(targets, 9), sampler(seed=5).sample(targets, 9))


def test_the_loss_with_all_words_as_negatives_is_the_formula_written_out() -> None:
    rng = np.random.default_rng(1)
    W, h, targets = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), np.array([4, 1])
    wrong = np.array([[0, 1, 2, 3], [0, 2, 3, 4]])
    expected = 0.0
    for row in range(2):
        expected -= np.log(1 / (1 + np.exp(-h[row] @ W[targets[row]]))) / 2
        for word in range(5):
            if word != targets[row]:
                expected -= np.log(1 / (1 + np.exp(h[row] @ W[word]))) / 2
    layer = NegativeSamplingLoss(W, Fixed(wrong), n_negative=4)
    assert layer.forward(h, targets) == pytest.approx(expected, rel=1e-12)
    is_right = np.eye(5)[targets]
    surprise = (sigmoid(h @ W.T) - is_right) / 2  # what every word's score should move by
    np.testing.assert_allclose(layer.backward(), surprise @ W, rtol=1e-12)
    np.testing.assert_allclose(layer.grads[0], surprise.T @ h, rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 4), n_negative=st.integers(1, 4), vocab_size=st.integers(2, 6), width=st.integers(1, 4))
def test_negative_sampling_gradients(n: int, n_negative: int, vocab_size: int, width: int) -> None:
    rng = np.random.default_rng(1)
    W, h, targets = rng.normal(size=(vocab_size, width)), rng.normal(size=(n, width)), rng.integers(vocab_size, size=n)
    layer = NegativeSamplingLoss(W, sampler(np.arange(1, vocab_size + 1)), n_negative)

    def run() -> float:
        layer.sampler = sampler(np.arange(1, vocab_size + 1))  # the same draws every time
        loss = layer.forward(h, targets)
        run.dh = layer.backward()  # type: ignore[attr-defined]
        return loss

    run()
    dh = run.dh  # type: ignore[attr-defined]
    assert check_gradients(layer, run) <= 1e-6
    assert relative_error(dh, numerical_gradient(run, h)) <= 1e-6


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: sampler([1, -2, 3]), DataError, "counts hold -2, expected numbers from 0 up"),
        (lambda: sampler([1.0, np.nan]), DataError, "counts hold nan"),
        (lambda: sampler([0, 7, 0]), DataError, "1 of 3 words occur, expected at least 2"),
        (lambda: sampler([[1, 2]]), ConfigError, r"counts has shape \(1, 2\), expected \(V,\)"),
        (lambda: sampler().sample(np.array([7]), 2), DataError, r"targets holds 7 at \(0,\), expected ids from 0 to 6"),
        (
            lambda: NegativeSamplingLoss(np.ones((7, 2)), sampler()).forward(np.ones((2, 2)), np.array([1])),
            ConfigError,
            r"targets has shape \(1,\), expected \(2,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
