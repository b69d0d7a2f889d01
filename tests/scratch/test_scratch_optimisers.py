"""Optimisers against those of PyTorch, over several steps and changing learning rates."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import ConfigError, TrainingError
from malmoi.scratch import optimisers
from malmoi.scratch.optimisers import (
    SGD,
    AdaGrad,
    Adam,
    Momentum,
    Optimiser,
    RMSprop,
    clip_grads,
    remove_duplicates,
)

PAIRS: list[tuple[Callable[[], Optimiser], Callable[..., torch.optim.Optimizer]]] = [
    (lambda: SGD(0.3), lambda p: torch.optim.SGD(p, lr=0.3)),
    (lambda: Momentum(0.3, 0.8), lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.8)),
    (lambda: AdaGrad(0.3), lambda p: torch.optim.Adagrad(p, lr=0.3)),
    (lambda: RMSprop(0.3, 0.9), lambda p: torch.optim.RMSprop(p, lr=0.3, alpha=0.9)),
    (lambda: Adam(0.3, 0.8, 0.99), lambda p: torch.optim.Adam(p, lr=0.3, betas=(0.8, 0.99))),
]
NAMES = ["SGD", "Momentum", "AdaGrad", "RMSprop", "Adam"]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=NAMES)
@settings(max_examples=10, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple), min_size=1, max_size=3),
    piece=st.integers(1, 9),
)
def test_five_steps_are_those_of_torch(ours: Any, theirs: Any, shapes: list[tuple[int, ...]], piece: int) -> None:
    rng = np.random.default_rng(1)
    params = [rng.normal(size=shape) for shape in shapes]
    copies = [torch.tensor(weight, requires_grad=True) for weight in params]
    mine, other = ours(), theirs(copies)
    assert isinstance(mine, Optimiser)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimisers, "PIECE", piece)
        for step in range(5):
            mine.lr = other.param_groups[0]["lr"] = 0.3 / (1 + step)
            grads = [rng.normal(size=shape) for shape in shapes]
            kept = [gradient.copy() for gradient in grads]
            for weight, gradient in zip(copies, grads, strict=True):
                weight.grad = torch.tensor(gradient)
            mine.update(params, grads)
            other.step()
            for gradient, before in zip(grads, kept, strict=True):
                np.testing.assert_array_equal(gradient, before)
    for weight, copy in zip(params, copies, strict=True):
        np.testing.assert_allclose(weight, copy.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [pair[0] for pair in PAIRS], ids=NAMES)
def test_weights_keep_their_place_and_dtype(make: Callable[[], Optimiser]) -> None:
    weight = np.ones((3, 4), np.float32)
    params = [weight]
    make().update(params, [np.ones((3, 4), np.float32)])
    assert params[0] is weight
    assert weight.dtype == np.float32
    assert (weight < 1).all()


@settings(max_examples=20, deadline=None)
@given(max_norm=st.floats(0.01, 100), scale=st.floats(1e-3, 1e3))
def test_clipping_agrees_with_torch(max_norm: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    grads = [scale * rng.normal(size=shape) for shape in ((3, 4), (5,))]
    copies = [torch.zeros(gradient.shape, dtype=torch.float64, requires_grad=True) for gradient in grads]
    for copy, gradient in zip(copies, grads, strict=True):
        copy.grad = torch.tensor(gradient)
    theirs = torch.nn.utils.clip_grad_norm_(copies, max_norm)
    assert clip_grads(grads, max_norm) == pytest.approx(float(theirs), rel=1e-12)
    for copy, gradient in zip(copies, grads, strict=True):  # torch adds 1e-6 to the norm it divides by
        np.testing.assert_allclose(gradient, copy.grad.numpy(), rtol=1e-6 / min(1, scale))


def test_clipping_by_hand() -> None:
    grads = [np.array([3.0]), np.array([[0.0, 4.0]])]
    assert clip_grads(grads, 10.0) == 5
    assert grads[1].tolist() == [[0, 4]]
    assert clip_grads(grads, 1.0) == 5
    assert grads[0] == pytest.approx(0.6)
    assert grads[1] == pytest.approx(np.array([[0, 0.8]]))


def test_gradients_whose_squares_overflow_are_clipped_all_the_same() -> None:
    grads = [np.full(4, 1e30, np.float32)]
    assert clip_grads(grads, 1.0) == pytest.approx(2e30, rel=1e-6)
    assert grads[0] == pytest.approx(0.5, rel=1e-6)


def test_shared_weights_are_left_once_with_their_gradients_added_up() -> None:
    rng = np.random.default_rng(1)
    W, other = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    gradients = [rng.normal(size=shape) for shape in ((3, 4), (3, 4), (4, 3), (3, 4))]
    total = gradients[0] + gradients[2].T + gradients[3]
    params, grads = remove_duplicates([W, other, W.T, W[:]], gradients)
    assert [weight is kept for weight, kept in zip(params, (W, other), strict=True)] == [True, True]
    np.testing.assert_array_equal(grads[0], total)
    assert grads[1] is gradients[1]


def test_a_square_weight_and_its_transpose_are_told_apart() -> None:
    W, first, second = np.ones((2, 2)), np.array([[1.0, 2], [3, 4]]), np.array([[10.0, 20], [30, 40]])
    _, (same,) = remove_duplicates([W, W], [first.copy(), second])
    _, (turned,) = remove_duplicates([W, W.T], [first.copy(), second])
    assert same.tolist() == [[11, 22], [33, 44]]
    assert turned.tolist() == [[11, 32], [23, 44]]


def test_part_of_a_weight_is_another_weight() -> None:
    W = np.ones((4, 4))
    params, _ = remove_duplicates([W, W[:, :2]], [np.ones((4, 4)), np.ones((4, 2))])
    assert [weight.shape for weight in params] == [(4, 4), (4, 2)]


def test_one_layer_that_is_listed_twice_counts_once() -> None:
    W, gradient = np.ones(3), np.ones(3)
    _, (left,) = remove_duplicates([W, W], [gradient, gradient])
    assert left.tolist() == [1, 1, 1]


ones = np.ones


def two_updates(optimiser: Optimiser) -> None:
    optimiser.update([ones(3)], [ones(3)])
    optimiser.update([ones(4)], [ones(4)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: SGD(-1.0), "lr=-1.0, expected a learning rate above 0"),
        (lambda: Adam(float("nan")), "lr=nan"),
        (lambda: Momentum(0.1, 1.0), "momentum=1.0, expected 0 up to"),
        (lambda: RMSprop(0.1, -0.1), "decay=-0.1"),
        (lambda: Adam(0.1, beta2=1.5), "beta2=1.5"),
        (lambda: SGD(0.1).update([ones(3)], []), "1 weights came with 0 gradients"),
        (lambda: SGD(0.1).update([ones(3)], [ones(2)]), r"grads\[0\] has shape \(2,\), expected \(3,\)"),
        (lambda: remove_duplicates([ones(3)], [ones(2)]), r"grads\[0\] has shape \(2,\), expected \(3,\)"),
        (
            lambda: two_updates(Adam(0.1)),
            r"have shapes \[\(4,\)\], but the steps before changed weights of shapes \[\(3,\)\]",
        ),
        (lambda: clip_grads([ones(3)], 0.0), "max_norm=0.0, expected a number above 0"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrong()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gradients_that_are_no_numbers_stop_the_training(value: float) -> None:
    with pytest.raises(TrainingError, match="norm of the gradients is (nan|inf), expected a finite number"):
        clip_grads([ones(2), np.array([1, value])], 1.0)
