"""The nodes of a computation graph against finite differences, and put together into what a layer does at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import ConfigError
from malmoi.scratch.gradients import numerical_gradient, relative_error
from malmoi.scratch.graph import Add, Branch, MatMul, Multiply, Repeat, Sum
from malmoi.scratch.layers import Affine

sizes = st.integers(1, 4)
a_few = settings(max_examples=15, deadline=None)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def check_node(node: Any, *inputs: np.ndarray) -> None:
    dout = normal(7, *node.forward(*inputs).shape)
    found = node.backward(dout)
    found = found if isinstance(found, tuple) else (found,)
    for gradient, array in zip(found, inputs, strict=True):
        expected = numerical_gradient(lambda: float((node.forward(*inputs) * dout).sum()), array)
        assert relative_error(gradient, expected) <= 1e-6


@a_few
@given(shape=st.lists(sizes, min_size=1, max_size=3), n=sizes)
def test_nodes_of_any_shape(shape: list[int], n: int) -> None:
    check_node(Add(), normal(1, *shape), normal(2, *shape))
    check_node(Multiply(), normal(1, *shape), normal(2, *shape))
    check_node(Repeat(n), normal(1, *shape))
    check_node(Sum(), normal(1, n, *shape))


@a_few
@given(n=sizes, width=sizes, out=sizes)
def test_matmul_node(n: int, width: int, out: int) -> None:
    check_node(MatMul(), normal(1, n, width), normal(2, width, out))


@a_few
@given(shape=st.lists(sizes, min_size=1, max_size=3), n=sizes)
def test_a_branch_adds_up_what_comes_back(shape: list[int], n: int) -> None:
    x, douts = normal(1, *shape), [normal(2 + i, *shape) for i in range(n)]
    branch = Branch(n)
    kept = [dout.copy() for dout in douts]
    branch.forward(x)
    found = branch.backward(*douts)
    expected = numerical_gradient(
        lambda: float(sum((y * dout).sum() for y, dout in zip(branch.forward(x), douts, strict=True))), x
    )
    assert relative_error(found, expected) <= 1e-6
    for dout, before in zip(douts, kept, strict=True):
        np.testing.assert_array_equal(dout, before)


def test_an_affine_layer_is_a_product_a_repeated_bias_and_a_sum() -> None:
    x, W, b, dout = normal(1, 5, 3), normal(2, 3, 4), normal(3, 4), normal(4, 5, 4)
    product, repeat, add, layer = MatMul(), Repeat(5), Add(), Affine(W, b)
    y = add.forward(product.forward(x, W), repeat.forward(b))
    d_product, d_bias = add.backward(dout)
    np.testing.assert_allclose(y, layer.forward(x), rtol=1e-14)
    dx, dW = product.backward(d_product)
    np.testing.assert_allclose(layer.backward(dout), dx, rtol=1e-14)
    np.testing.assert_allclose(layer.grads[0], dW, rtol=1e-14)
    np.testing.assert_allclose(layer.grads[1], repeat.backward(d_bias), rtol=1e-12)


def after_forward(node: Any, *inputs: np.ndarray) -> Any:
    node.forward(*inputs)
    return node


ones = np.ones


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: Add().forward(ones((2, 3)), ones(3)),
            r"y has shape \(3,\), expected \(2, 3\), because x has shape \(2, 3\)",
        ),
        (lambda: Multiply().forward(ones((2, 3)), ones((3, 2))), r"y has shape \(3, 2\), expected \(2, 3\)"),
        (
            lambda: MatMul().forward(ones((2, 3)), ones((2, 4))),
            r"W has shape \(2, 4\), expected \(3, H\), because x has shape \(2, 3\)",
        ),
        (lambda: MatMul().forward(ones((0, 3)), ones((3, 4))), "nothing in it"),
        (lambda: after_forward(Add(), ones(3), ones(3)).backward(ones(1)), r"dout has shape \(1,\), expected \(3,\)"),
        (
            lambda: after_forward(Multiply(), ones(3), ones(3)).backward(ones(1)),
            r"dout has shape \(1,\), expected \(3,\)",
        ),
        (lambda: after_forward(Repeat(2), ones(3)).backward(ones(3)), r"dout has shape \(3,\), expected \(2, 3\)"),
        (
            lambda: after_forward(Sum(), ones((2, 3))).backward(ones((2, 3))),
            r"dout has shape \(2, 3\), expected \(3,\)",
        ),
        (lambda: after_forward(MatMul(), ones((2, 3)), ones((3, 4))).backward(ones((2, 3))), r"expected \(2, 4\)"),
        (
            lambda: after_forward(Branch(2), ones(3)).backward(ones(3)),
            "1 gradients came back to a branch with 2 readers",
        ),
        (
            lambda: after_forward(Branch(2), ones(3)).backward(ones(3), ones(1)),
            r"gradient 1 has shape \(1,\), expected \(3,\)",
        ),
        (lambda: Repeat(0), "n=0, expected at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrong()
