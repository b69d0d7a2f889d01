"""Layers over all steps of a window, against PyTorch's autograd and finite differences in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.gradients import check_gradients, numerical_gradient, relative_error
from malmoi.scratch.layers import collect
from malmoi.scratch.optimisers import SGD, remove_duplicates
from malmoi.scratch.time import TimeAffine, TimeDropout, TimeEmbedding, TimeSoftmaxWithLoss

Array = np.ndarray
sizes = st.integers(1, 5)
a_few = settings(max_examples=15, deadline=None)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).normal(0, 1.5, shape)


def ids_of(seed: int, V: int, *shape: int) -> Array:
    return np.random.default_rng([seed, V, *shape]).integers(0, V, shape)


def leaf(array: Array) -> torch.Tensor:
    return torch.tensor(array, requires_grad=True)


# Embedding


@given(N=sizes, T=sizes, D=sizes, V=sizes)
@a_few
def test_embedding_agrees_with_torch(N: int, T: int, D: int, V: int) -> None:
    W, ids, dout = normal(1, V, D), ids_of(2, V, N, T), normal(3, N, T, D)
    layer = TimeEmbedding(W)
    theirs = leaf(W)
    y = F.embedding(torch.tensor(ids), theirs)
    assert (layer.forward(ids) == y.detach().numpy()).all()
    y.backward(torch.tensor(dout))
    assert layer.backward(dout) is None
    assert relative_error(layer.grads[0], theirs.grad.numpy()) <= 1e-10


def test_an_id_that_stands_twice_collects_both_gradients() -> None:
    layer = TimeEmbedding(np.zeros((4, 1)))
    layer.forward(np.array([[2, 0, 2]]))
    layer.backward(np.array([[[1.0], [10.0], [100.0]]]))
    np.testing.assert_array_equal(layer.grads[0], [[10], [0], [101], [0]])


def test_ids_without_a_row_and_empty_batches_are_refused() -> None:
    layer = TimeEmbedding(np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"ids holds 4 at \(1, 0\), expected ids from 0 to 3"):
        layer.forward(np.array([[1, 2], [4, 0]]))
    with pytest.raises(ConfigError, match="nothing in it"):
        layer.forward(np.zeros((0, 4), np.int64))
    layer.forward(np.array([[1, 2]]))
    with pytest.raises(ConfigError, match=r"dout has shape \(2, 1, 3\), expected \(1, 2, 3\)"):
        layer.backward(np.zeros((2, 1, 3)))


# Affine map


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@given(N=sizes, T=sizes, D=sizes, H=sizes)
@a_few
def test_affine_agrees_with_torch(transposed: bool, has_bias: bool, N: int, T: int, D: int, H: int) -> None:
    W, b = (normal(1, H, D) if transposed else normal(1, D, H)), normal(2, H)
    xs, dout = normal(3, N, T, D), normal(4, N, T, H)
    layer = TimeAffine(W, b if has_bias else None, transposed)
    x, weight, bias = leaf(xs), leaf(W), leaf(b)
    y = F.linear(x, weight if transposed else weight.T, bias if has_bias else None)
    y.backward(torch.tensor(dout))
    assert relative_error(layer.forward(xs), y.detach().numpy()) <= 1e-10
    assert relative_error(layer.backward(dout), x.grad.numpy()) <= 1e-10
    assert relative_error(layer.grads[0], weight.grad.numpy()) <= 1e-10
    if has_bias:
        assert relative_error(layer.grads[1], bias.grad.numpy()) <= 1e-10


@pytest.mark.parametrize("transposed", [False, True])
def test_affine_passes_the_numerical_check(transposed: bool) -> None:
    layer = TimeAffine(normal(1, 5, 3) if transposed else normal(1, 3, 5), normal(2, 5), transposed)
    xs, dout = normal(3, 2, 4, 3), normal(4, 2, 4, 5)

    def run() -> float:
        y = layer.forward(xs)
        layer.backward(dout)
        return float((y * dout).sum())

    assert check_gradients(layer, run) <= 1e-6


def test_tied_weights_stay_one_matrix_and_add_their_gradients_up() -> None:
    W = normal(1, 7, 3)
    before = W.copy()
    embedding, output = TimeEmbedding(W), TimeAffine(W, normal(2, 7), transposed=True)
    ids, dout = ids_of(3, 7, 2, 4), normal(4, 2, 4, 7)

    output.forward(embedding.forward(ids))
    embedding.backward(output.backward(dout))
    expected = before - 0.1 * (embedding.grads[0] + output.grads[0])
    SGD(0.1).update(*remove_duplicates(*collect([embedding, output])))
    np.testing.assert_allclose(W, expected, rtol=0, atol=1e-12)
    assert embedding.params[0] is output.params[0]


def test_affine_names_shapes_that_do_not_fit() -> None:
    layer = TimeAffine(np.zeros((3, 5)), np.zeros(5))
    with pytest.raises(ConfigError, match=r"xs has shape \(2, 4, 5\), expected \(N, T, 3\)"):
        layer.forward(np.zeros((2, 4, 5)))
    layer.forward(np.zeros((2, 4, 3)))
    with pytest.raises(ConfigError, match=r"dout has shape \(2, 4, 3\), expected \(2, 4, 5\)"):
        layer.backward(np.zeros((2, 4, 3)))
    with pytest.raises(ConfigError, match=r"b has shape \(3,\), expected \(5,\)"):
        TimeAffine(np.zeros((3, 5)), np.zeros(3))


# Softmax with loss


@pytest.mark.parametrize("in_place", [False, True])
@given(N=sizes, T=sizes, V=st.integers(2, 6), data=st.data())
@a_few
def test_loss_agrees_with_torch(in_place: bool, N: int, T: int, V: int, data: Any) -> None:
    xs = normal(1, N, T, V)
    flat = data.draw(st.lists(st.integers(-1, V - 1), min_size=N * T, max_size=N * T))
    targets = np.array(flat).reshape(N, T)
    targets[0, 0] = 1  # one at least counts
    x = leaf(xs)
    theirs = F.cross_entropy(x.reshape(-1, V), torch.tensor(targets).reshape(-1), ignore_index=-1)
    (3 * theirs).backward()
    layer = TimeSoftmaxWithLoss(in_place=in_place)
    assert layer.forward(xs.copy(), targets) == pytest.approx(theirs.item(), rel=1e-10)
    assert relative_error(layer.backward(3.0), x.grad.numpy()) <= 1e-10


def test_loss_passes_the_numerical_check_and_leaves_scores_as_they_are() -> None:
    xs, targets = normal(1, 2, 3, 5), ids_of(2, 5, 2, 3)
    targets[1, 2] = -1
    before = xs.copy()
    layer = TimeSoftmaxWithLoss()
    layer.forward(xs, targets)
    gradient = layer.backward().copy()
    assert relative_error(gradient, numerical_gradient(lambda: layer.forward(xs, targets), xs)) <= 1e-6
    np.testing.assert_allclose(xs, before, rtol=0, atol=1e-15)


def test_loss_of_scores_worked_by_hand() -> None:
    # P(0) = 1/4 and P(1) = 3/4; the third place is padding.
    xs = np.log(np.array([[[1.0, 3.0], [1.0, 3.0], [9.0, 1.0]]]))
    layer = TimeSoftmaxWithLoss(ignore_id=-100)
    loss = layer.forward(xs, np.array([[0, 1, -100]]))
    assert loss == pytest.approx((np.log(4) + np.log(4 / 3)) / 2)
    np.testing.assert_allclose(layer.backward(), [[[-3 / 8, 3 / 8], [1 / 8, -1 / 8], [0, 0]]], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_changes_nothing(dtype: Any) -> None:
    xs, targets = normal(1, 2, 3, 5).astype(dtype), ids_of(2, 5, 2, 3)
    padded = np.concatenate([xs, 50 * normal(3, 2, 2, 5).astype(dtype)], axis=1)
    marks = np.concatenate([targets, np.full((2, 2), -1)], axis=1)
    layer, other = TimeSoftmaxWithLoss(), TimeSoftmaxWithLoss()
    assert layer.forward(padded, marks) == other.forward(xs, targets)
    gradient = layer.backward()
    assert (gradient[:, :3] == other.backward()).all()
    assert not gradient[:, 3:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_any_size_give_a_finite_loss(dtype: Any) -> None:
    xs = np.array([[[1000.0, -1000.0], [0.0, 88.0]]], dtype)
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, np.array([[1, 1]])) == pytest.approx(1000)
    assert np.isfinite(layer.backward()).all()


def test_targets_that_cannot_be_are_refused() -> None:
    layer, xs = TimeSoftmaxWithLoss(), np.zeros((2, 3, 5))
    with pytest.raises(ConfigError, match=r"targets has shape \(2, 4\), expected \(2, 3\)"):
        layer.forward(xs, np.zeros((2, 4), np.int64))
    with pytest.raises(DataError, match="targets holds 5"):
        layer.forward(xs, np.full((2, 3), 5))
    with pytest.raises(DataError, match="All 6 targets are -1, the mark of padding"):
        layer.forward(xs, np.full((2, 3), -1))


# Dropout


def test_dropout_silences_the_same_units_at_every_step() -> None:
    layer = TimeDropout(0.4, np.random.default_rng(0))
    y = layer.forward(np.ones((3, 7, 200)))
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, 1 / 0.6}
    assert not (y[0] == y[1]).all()
    assert y.mean() == pytest.approx(1, abs=0.1)
    assert (layer.backward(np.ones((3, 7, 200))) == y).all()
    assert not (layer.forward(np.ones((3, 7, 200)))[:, 0] == 0).all()


def test_dropout_in_use_or_of_rate_zero_lets_everything_through() -> None:
    xs = normal(1, 2, 3, 4)
    used, idle = TimeDropout(0.5, np.random.default_rng(0)), TimeDropout(0.0, np.random.default_rng(0))
    used.train_flag = False
    for layer in (used, idle):
        assert (layer.forward(xs) == xs).all()
        assert (layer.backward(xs) == xs).all()
    with pytest.raises(ConfigError, match="dropout rate is 1"):
        TimeDropout(1.0, np.random.default_rng(0))
