"""Every layer against finite differences and against PyTorch's autograd, in float64, where only rounding is left."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.checks import check_finite, check_ids, check_shape
from malmoi.scratch.classifier import TwoLayerNet
from malmoi.scratch.functions import cross_entropy, log_softmax, sigmoid, softmax, softplus, sum_rows_by_id
from malmoi.scratch.gradients import check_gradients, numerical_gradient, relative_error
from malmoi.scratch.layers import (
    Affine,
    Dropout,
    Embedding,
    EmbeddingDot,
    MatMul,
    Relu,
    Sigmoid,
    SigmoidWithLoss,
    Softmax,
    SoftmaxWithLoss,
    Tanh,
    collect,
    random_weights,
)

Array = np.ndarray
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)  # the axes before the last one
sizes = st.integers(1, 5)
a_few = settings(max_examples=15, deadline=None)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, len(shape), *shape]).normal(0, 1.5, shape)


def leaf(array: Array) -> torch.Tensor:
    return torch.tensor(array, requires_grad=True)


def check_layer(layer: Any, x: Array, torch_function: Callable[..., torch.Tensor]) -> None:
    """Output, gradients of the input and of the weights: equal to PyTorch's, and to finite differences."""
    y = layer.forward(x)
    dout = normal(7, *y.shape)
    dx = layer.backward(dout)
    their_x, weights = leaf(x), [leaf(weight) for weight in layer.params]
    theirs = torch_function(their_x, *weights)
    theirs.backward(torch.tensor(dout))
    assert relative_error(y, theirs.detach().numpy()) <= 1e-10
    assert relative_error(dx, their_x.grad.numpy()) <= 1e-10
    for ours, their_weight in zip(layer.grads, weights, strict=True):
        assert relative_error(ours, their_weight.grad.numpy()) <= 1e-10

    def run() -> float:
        total = float((layer.forward(x) * dout).sum())
        layer.backward(dout)
        return total

    assert check_gradients(layer, run) <= 1e-6
    assert relative_error(dx, numerical_gradient(run, x)) <= 1e-6


@a_few
@given(before=shapes, width=sizes, out=sizes)
def test_matmul_and_affine(before: tuple[int, ...], width: int, out: int) -> None:
    x, W, b = normal(1, *before, width), normal(2, width, out), normal(3, out)
    check_layer(MatMul(W), x, lambda x, W: x @ W)
    check_layer(Affine(W, b), x, lambda x, W, b: x @ W + b)


@pytest.mark.parametrize(
    ("layer", "theirs"),
    [(Sigmoid, torch.sigmoid), (Tanh, torch.tanh), (Relu, torch.relu), (Softmax, lambda x: torch.softmax(x, -1))],
)
@a_few
@given(before=shapes, width=sizes)
def test_curves(layer: type, theirs: Callable[..., torch.Tensor], before: tuple[int, ...], width: int) -> None:
    check_layer(layer(), normal(4, *before, width), theirs)


@a_few
@given(before=shapes, vocab_size=st.integers(1, 6), is_distribution=st.booleans(), scale=st.floats(0.1, 3))
def test_softmax_with_loss(before: tuple[int, ...], vocab_size: int, is_distribution: bool, scale: float) -> None:
    x = normal(5, *before, vocab_size)
    ids = np.random.default_rng(6).integers(vocab_size, size=before)
    targets: Any = softmax(normal(6, *x.shape)) if is_distribution else ids
    layer, their_x = SoftmaxWithLoss(), leaf(x)
    loss = layer.forward(x, targets)
    dx = layer.backward(scale)
    flat = torch.tensor(targets.reshape(-1, vocab_size) if is_distribution else targets.reshape(-1))
    theirs = F.cross_entropy(their_x.reshape(-1, vocab_size), flat)
    (theirs * scale).backward()
    assert loss == pytest.approx(float(theirs.detach()), rel=1e-12)
    assert relative_error(dx, their_x.grad.numpy()) <= 1e-10
    assert relative_error(dx, scale * numerical_gradient(lambda: layer.forward(x, targets), x)) <= 1e-6


def test_one_hot_targets_are_ids() -> None:
    x, ids = normal(5, 3, 4), np.array([2, 0, 3])
    by_id, by_row = SoftmaxWithLoss(), SoftmaxWithLoss()
    assert by_id.forward(x, ids) == pytest.approx(by_row.forward(x, np.eye(4)[ids]), rel=1e-14)
    np.testing.assert_allclose(by_id.backward(), by_row.backward(), atol=1e-15)


@a_few
@given(n=st.integers(1, 5), more=st.lists(sizes, max_size=2), scale=st.floats(0.1, 3))
def test_sigmoid_with_loss(n: int, more: list[int], scale: float) -> None:
    x, targets = normal(8, n, *more), sigmoid(normal(9, n, *more))
    layer, their_x = SigmoidWithLoss(), leaf(x)
    loss = layer.forward(x, targets)
    dx = layer.backward(scale)
    theirs = F.binary_cross_entropy_with_logits(their_x, torch.tensor(targets), reduction="sum") / n
    (theirs * scale).backward()
    assert loss == pytest.approx(float(theirs.detach()), rel=1e-12)
    assert relative_error(dx, their_x.grad.numpy()) <= 1e-10
    assert relative_error(dx, scale * numerical_gradient(lambda: layer.forward(x, targets), x)) <= 1e-6


@a_few
@given(before=shapes, vocab_size=st.integers(1, 6), width=sizes)
def test_embedding(before: tuple[int, ...], vocab_size: int, width: int) -> None:
    W = normal(10, vocab_size, width)
    ids = np.random.default_rng(11).integers(vocab_size, size=before)
    layer, their_W = Embedding(W), leaf(W)
    y = layer.forward(ids)
    dout = normal(12, *y.shape)
    layer.backward(dout)
    theirs = F.embedding(torch.tensor(ids), their_W)
    theirs.backward(torch.tensor(dout))
    np.testing.assert_array_equal(y, theirs.detach().numpy())
    assert relative_error(layer.grads[0], their_W.grad.numpy()) <= 1e-10

    def run() -> float:
        total = float((layer.forward(ids) * dout).sum())
        layer.backward(dout)
        return total

    assert check_gradients(layer, run) <= 1e-6


@a_few
@given(n=st.integers(1, 4), n_ids=st.integers(0, 4), vocab_size=st.integers(1, 6), width=sizes)
def test_embedding_dot(n: int, n_ids: int, vocab_size: int, width: int) -> None:
    W, h = normal(13, vocab_size, width), normal(14, n, width)
    ids = np.random.default_rng(15).integers(vocab_size, size=(n, n_ids) if n_ids else n)  # 0: one id a row

    class WithIds(EmbeddingDot):
        def forward(self, h: Array) -> Array:  # type: ignore[override]
            return super().forward(h, ids)

    def theirs(h: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
        rows = F.embedding(torch.tensor(ids), W)
        return (rows * (h[:, None] if n_ids else h)).sum(-1)

    check_layer(WithIds(W), h, theirs)


def test_gradients_of_a_repeated_id_are_added_up() -> None:
    rng = np.random.default_rng(1)
    ids, rows = rng.integers(50, size=400), rng.normal(size=(400, 7))
    expected = np.zeros((60, 7))
    np.add.at(expected, ids, rows)
    found = np.full((60, 7), np.nan)
    sum_rows_by_id(rows, ids, out=found)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert not found[50:].any()


def test_backward_overwrites_the_gradients_in_place() -> None:
    layer = Affine(normal(1, 3, 4), normal(2, 4))
    W_gradient, b_gradient = layer.grads
    for _ in range(2):
        layer.forward(normal(3, 2, 3))
        layer.backward(np.ones((2, 4)))
    assert layer.grads[0] is W_gradient
    assert layer.grads[1] is b_gradient
    np.testing.assert_array_equal(b_gradient, np.full(4, 2.0))
    assert W_gradient.any()


def test_dropout_keeps_the_mean_and_sends_gradients_where_values_went() -> None:
    layer, x = Dropout(0.3, np.random.default_rng(1)), np.ones((200, 500))
    y = layer.forward(x)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert float(y.mean()) == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(layer.backward(np.full(x.shape, 2.0)), 2 * y)
    assert not np.array_equal(layer.forward(x), y)
    layer.train_flag = False
    assert layer.forward(x) is x
    assert layer.backward(x) is x


def test_dropout_gradients() -> None:
    x, dout = normal(1, 4, 5), normal(2, 4, 5)
    layer = Dropout(0.5, np.random.default_rng(1))

    def run() -> float:
        layer.rng = np.random.default_rng(3)
        return float((layer.forward(x) * dout).sum())

    run()
    assert relative_error(layer.backward(dout), numerical_gradient(run, x)) <= 1e-6


def test_functions_do_not_overflow() -> None:
    x = np.array([-1e5, -800.0, 0.0, 800.0, 1e5])
    assert sigmoid(x).tolist() == [0, 0, 0.5, 1, 1]
    assert softplus(x) == pytest.approx([0, 0, np.log(2), 800, 1e5])
    assert softmax(x).tolist() == [0, 0, 0, 0, 1]
    assert log_softmax(x)[:2] == pytest.approx([-2e5, -100800])
    assert sigmoid(np.float32([-100, 100])).dtype == np.float32
    assert SigmoidWithLoss().forward(x, np.array([0.0, 0, 1, 1, 1])) == pytest.approx(np.log(2) / 5)


def test_float32_stays_float32() -> None:
    net = TwoLayerNet(3, 4, 5, np.random.default_rng(1))
    x = normal(1, 6, 3).astype(np.float32)
    net.forward(x, np.arange(6) % 5)
    assert net.backward().dtype == np.float32
    assert {array.dtype for array in net.params + net.grads} == {np.dtype(np.float32)}


def test_cross_entropy_is_the_loss() -> None:
    x, ids = normal(5, 3, 4), np.array([2, 0, 3])
    assert cross_entropy(log_softmax(x), ids) == pytest.approx(SoftmaxWithLoss().forward(x, ids), rel=1e-14)


@a_few
@given(n=st.integers(1, 5), sizes=st.tuples(sizes, sizes, st.integers(2, 5)))
def test_the_two_layer_network(n: int, sizes: tuple[int, int, int]) -> None:
    net = TwoLayerNet(*sizes, np.random.default_rng(1), dtype=np.float64)
    x, targets = normal(2, n, sizes[0]), np.random.default_rng(3).integers(sizes[2], size=n)

    def run() -> float:
        loss = net.forward(x, targets)
        net.backward()
        return loss

    assert check_gradients(net, run) <= 1e-6
    weights = [leaf(weight) for weight in net.params]
    W1, b1, W2, b2 = weights
    theirs = F.cross_entropy(torch.sigmoid(torch.tensor(x) @ W1 + b1) @ W2 + b2, torch.tensor(targets))
    theirs.backward()
    assert run() == pytest.approx(float(theirs.detach()), rel=1e-12)
    assert max(relative_error(ours, w.grad.numpy()) for ours, w in zip(net.grads, weights, strict=True)) <= 1e-10


def test_a_wrong_gradient_is_found() -> None:
    layer, x = MatMul(normal(1, 3, 4)), normal(2, 2, 3)

    def run() -> float:
        loss = float(layer.forward(x).sum())
        layer.backward(np.ones((2, 4)))
        layer.grads[0][0, 0] *= 1.001
        return loss

    assert check_gradients(layer, run) > 1e-5


def test_gradients_of_a_shared_weight_are_added_up_before_they_are_checked() -> None:
    W, x, dout = normal(1, 3, 3), normal(2, 2, 3), normal(3, 2, 3)
    first, second = MatMul(W), MatMul(W.T)
    net = MatMul(W)
    net.params, net.grads = collect([first, second])

    def run() -> float:
        loss = float((second.forward(first.forward(x)) * dout).sum())
        first.backward(second.backward(dout))
        return loss

    assert check_gradients(net, run) <= 1e-6


def test_random_weights_keep_the_spread_of_what_goes_through() -> None:
    W = random_weights(np.random.default_rng(1), 400, 300)
    assert W.dtype == np.float32
    assert float(W.std()) == pytest.approx(1 / 20, rel=0.01)


ones = np.ones


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: MatMul(ones((3, 4))).forward(ones((2, 5))),
            r"x has shape \(2, 5\), expected \(\.\.\., 3\), because W has shape \(3, 4\)",
        ),
        (lambda: MatMul(ones((3, 4))).forward(ones((0, 3))), r"x has shape \(0, 3\), so there is nothing in it"),
        (lambda: MatMul(ones(3)), r"W has shape \(3,\), expected \(D, H\)"),
        (lambda: MatMul(np.full((3, 4), np.nan)), r"W holds nan at \(0, 0\) \(12 of 12 values are not finite\)"),
        (lambda: MatMul(ones((3, 4), np.float16)), r"W holds float16 numbers, expected float32.*astype"),
        (lambda: Affine(ones((3, 4)), ones(3)), r"b has shape \(3,\), expected \(4,\), because W has shape \(3, 4\)"),
        (lambda: Dropout(1.0, np.random.default_rng(1)), "dropout rate is 1.0, expected 0 up to"),
        (
            lambda: EmbeddingDot(ones((5, 3))).forward(ones((2, 3)), np.array([1, 2, 3])),
            r"ids has shape \(3,\), expected \(2,\)",
        ),
        (
            lambda: EmbeddingDot(ones((5, 3))).forward(ones((2, 4)), np.array([1, 2])),
            r"h has shape \(2, 4\), expected \(N, 3\)",
        ),
        (lambda: SoftmaxWithLoss().forward(ones((2, 4)), np.array([1])), r"targets has shape \(1,\), expected \(2,\)"),
        (lambda: SoftmaxWithLoss().forward(ones((2, 4)), ones((2, 4))), "row of targets adds up to 4, expected 1"),
        (lambda: SigmoidWithLoss().forward(ones(2), np.array([1, 3])), "targets reach from 1 to 3, expected 0"),
        (lambda: SigmoidWithLoss().forward(ones(2), np.array([1, 0, 1])), r"targets has shape \(3,\), expected \(2,\)"),
        (lambda: numerical_gradient(lambda: 0.0, ones(2, np.float32)), "holds float32 numbers, expected float64"),
        (lambda: relative_error(ones(2), ones(3)), r"gradient has shape \(2,\), expected \(3,\)"),
        (
            lambda: check_shape("a", ones((2, 3)), (2, "N", 3)),
            r"a has shape \(2, 3\), expected \(2, N, 3\)\. Bring a into",
        ),
        (lambda: check_finite("a", np.array([1.0, np.inf])), r"a holds inf at \(1,\) \(1 of 2"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: Embedding(ones((5, 3))).forward(np.array([[0, 1], [7, 2]])),
            r"ids holds 7 at \(1, 0\), expected ids from 0 to 4",
        ),
        (lambda: Embedding(ones((5, 3))).forward(np.array([-1])), r"ids holds -1 at \(0,\)"),
        (lambda: Embedding(ones((5, 3))).forward(np.array([], int)), "nothing in it. Give at least one id"),
        (lambda: EmbeddingDot(ones((5, 3))).forward(ones((1, 3)), np.array([5])), r"ids holds 5 at \(0,\)"),
        (lambda: SoftmaxWithLoss().forward(ones((2, 4)), np.array([1, 4])), r"targets holds 4 at \(1,\)"),
        (lambda: check_ids(ones(2), 5), "ids holds float64 numbers, expected integers"),
        (lambda: check_ids(np.array([-1, -2]), 5, ignored=-1), r"holds -2 at \(1,\)"),
    ],
)
def test_ids_out_of_range_are_refused(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        wrong()


@pytest.mark.parametrize("layer", [MatMul(ones((3, 3))), Sigmoid(), Tanh(), Relu(), Softmax()])
def test_a_gradient_of_another_shape_is_refused(layer: Any) -> None:
    layer.forward(ones((2, 3)))
    with pytest.raises(ConfigError, match=r"dout has shape \(1, 3\), expected \(2, 3\)"):
        layer.backward(ones((1, 3)))


def test_ids_that_are_to_be_ignored_are_let_through() -> None:
    check_ids(np.array([-1, 4]), 5, ignored=-1)
