"""Recurrent layers in NumPy against PyTorch's autograd and finite differences, one step and whole windows, in float64."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from malmoi.errors import ConfigError
from malmoi.scratch import products
from malmoi.scratch.gates import IN_NUMPY, Arithmetic, arithmetic
from malmoi.scratch.gradients import check_gradients, numerical_gradient, relative_error
from malmoi.scratch.products import SMALL, WIDTH, RepeatedProduct
from malmoi.scratch.recurrent import GRU, LSTM, RNN, TimeGRU, TimeLSTM, TimeRNN

Array = np.ndarray
sizes = st.integers(1, 5)
a_few = settings(max_examples=12, deadline=None)
CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
LAYERS = {"rnn": TimeRNN, "lstm": TimeLSTM, "gru": TimeGRU}
THEIRS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
each_kind = pytest.mark.parametrize("kind", LAYERS)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).normal(0, 0.8, shape)


def weights(kind: str, D: int, H: int) -> list[Array]:
    n_sums = {"rnn": 1, "lstm": 4, "gru": 3}[kind] * H
    biases = [normal(3, n_sums)] + ([normal(4, n_sums)] if kind == "gru" else [])
    return [normal(1, D, n_sums), normal(2, H, n_sums), *biases]


def their_layer(kind: str, own: list[Array]) -> Any:
    """PyTorch's layer, batch first, with copies of our weights."""
    layer = THEIRS[kind](own[0].shape[0], own[1].shape[0], batch_first=True).double()
    second_bias = own[3] if kind == "gru" else np.zeros_like(own[2])
    with torch.no_grad():
        for theirs, ours in zip(layer.parameters(), (own[0].T, own[1].T, own[2], second_bias), strict=True):
            theirs.copy_(torch.tensor(ours))
    return layer


def their_gradients(layer: Any) -> list[Array]:
    wx, wh, first, second = (parameter.grad.numpy() for parameter in layer.parameters())
    return [wx.T, wh.T, first, second]


# One step


@each_kind
@given(N=sizes, D=sizes, H=sizes)
@a_few
def test_one_step_agrees_with_torch(kind: str, N: int, D: int, H: int) -> None:
    own = weights(kind, D, H)
    cell = CELLS[kind](*own)
    n_states = 2 if kind == "lstm" else 1
    x, *states = normal(5, N, D), *(normal(6 + k, N, H) for k in range(n_states))
    outputs = cell.forward(x, *states)
    outputs = outputs if kind == "lstm" else (outputs,)
    d_outputs = [normal(8 + k, N, H) for k in range(n_states)]
    gradients = cell.backward(*d_outputs)

    layer = their_layer(kind, own)
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, *states)]
    state = tuple(value[None] for value in inputs[1:])
    _, after = layer(inputs[0][:, None], state if kind == "lstm" else state[0])
    after = after if kind == "lstm" else (after,)
    sum((value[0] * torch.tensor(d)).sum() for value, d in zip(after, d_outputs, strict=True)).backward()
    for ours, theirs in zip(outputs, after, strict=True):
        assert relative_error(ours, theirs[0].detach().numpy()) <= 1e-10
    for ours, leaf in zip(gradients, inputs, strict=True):
        assert relative_error(ours, leaf.grad.numpy()) <= 1e-10
    for ours, theirs in zip(cell.grads, their_gradients(layer), strict=False):
        assert relative_error(ours, theirs) <= 1e-10


@each_kind
def test_one_step_passes_the_numerical_check(kind: str) -> None:
    cell = CELLS[kind](*weights(kind, 3, 5))
    n_states = 2 if kind == "lstm" else 1
    arguments = [normal(5, 2, 3), *(normal(6 + k, 2, 5) for k in range(n_states))]
    d_outputs = [normal(8 + k, 2, 5) for k in range(n_states)]
    found: list[Array] = []

    def run() -> float:
        outputs = cell.forward(*arguments)
        found[:] = cell.backward(*d_outputs)
        pairs = zip(outputs if kind == "lstm" else (outputs,), d_outputs, strict=True)
        return float(sum((output * d).sum() for output, d in pairs))

    assert check_gradients(cell, run) <= 1e-6
    run()
    for gradient, argument in zip(list(found), arguments, strict=True):
        assert relative_error(gradient, numerical_gradient(run, argument)) <= 1e-6


def test_an_lstm_step_worked_by_hand() -> None:
    # All weights 0, so every gate is 1/2 and the candidate 0: half of the cell is kept, and half of its tanh is shown.
    cell = LSTM(np.zeros((1, 4)), np.zeros((1, 4)), np.zeros(4))
    hidden, kept = cell.forward(np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), 4.0))
    assert kept[0, 0] == pytest.approx(2.0)
    assert hidden[0, 0] == pytest.approx(0.5 * np.tanh(2.0))


# Windows


@each_kind
@given(N=sizes, T=sizes, D=sizes, H=sizes, has_state=st.booleans())
@a_few
def test_a_window_agrees_with_torch(kind: str, N: int, T: int, D: int, H: int, has_state: bool) -> None:
    own = weights(kind, D, H)
    ours = LAYERS[kind](*own)
    xs, dhs = normal(5, N, T, D), normal(6, N, T, H)
    n_states = 2 if kind == "lstm" else 1
    states = [normal(7 + k, N, H) if has_state else np.zeros((N, H)) for k in range(n_states)]
    if has_state:
        ours.set_state(*states)
    hs = ours.forward(xs).copy()
    dxs = ours.backward(dhs)

    layer = their_layer(kind, own)
    x, *start = (torch.tensor(array, requires_grad=True) for array in (xs, *states))
    stacked = tuple(value[None] for value in start)
    outputs, after = layer(x, stacked if kind == "lstm" else stacked[0])
    (outputs * torch.tensor(dhs)).sum().backward()
    assert relative_error(hs, outputs.detach().numpy()) <= 1e-10
    assert relative_error(dxs, x.grad.numpy()) <= 1e-10
    assert relative_error(ours.dh, start[0].grad.numpy()) <= 1e-10
    if kind == "lstm":
        assert relative_error(ours.dc, start[1].grad.numpy()) <= 1e-10
        assert relative_error(ours.c, after[1][0].detach().numpy()) <= 1e-10
    for gradient, theirs in zip(ours.grads, their_gradients(layer), strict=False):
        assert relative_error(gradient, theirs) <= 1e-10


@each_kind
def test_a_window_passes_the_numerical_check(kind: str) -> None:
    layer = LAYERS[kind](*weights(kind, 3, 5))
    xs, dhs, start = normal(5, 2, 4, 3), normal(6, 2, 4, 5), normal(7, 2, 5)
    dxs = np.empty_like(xs)

    def run() -> float:
        layer.set_state(start)
        hs = layer.forward(xs)
        dxs[...] = layer.backward(dhs)
        return float((hs * dhs).sum())

    assert check_gradients(layer, run) <= 1e-6
    run()
    found = dxs.copy()
    d_start = layer.dh.copy()
    assert relative_error(found, numerical_gradient(run, xs)) <= 1e-6
    assert relative_error(d_start, numerical_gradient(run, start)) <= 1e-6


@each_kind
def test_a_window_is_a_chain_of_steps(kind: str) -> None:
    own = weights(kind, 3, 5)
    cell, layer = CELLS[kind](*own), LAYERS[kind](*own)
    xs = normal(5, 2, 7, 3)
    state = (np.zeros((2, 5)),) * (2 if kind == "lstm" else 1)
    expected = []
    for t in range(7):
        after = cell.forward(xs[:, t], *state)
        state = after if kind == "lstm" else (after,)
        expected.append(state[0])
    np.testing.assert_allclose(layer.forward(xs), np.stack(expected, axis=1), rtol=0, atol=1e-12)


@each_kind
@given(split=st.integers(1, 8))
@a_few
def test_a_window_boundary_changes_nothing_in_a_stateful_layer(kind: str, split: int) -> None:
    own = weights(kind, 3, 5)
    whole, parts = LAYERS[kind](*own, stateful=True), LAYERS[kind](*own, stateful=True)
    xs = normal(5, 2, 9, 3)
    expected = whole.forward(xs).copy()
    got = [parts.forward(xs[:, :split]).copy(), parts.forward(xs[:, split:]).copy()]
    np.testing.assert_allclose(np.concatenate(got, axis=1), expected, rtol=0, atol=1e-12)
    parts.reset_state()
    np.testing.assert_allclose(parts.forward(xs), expected, rtol=0, atol=1e-12)


@each_kind
def test_gradients_handed_on_by_hand_make_the_whole_of_two_windows(kind: str) -> None:
    own = weights(kind, 3, 5)
    whole, first, second = (LAYERS[kind](*own) for _ in range(3))
    xs, dhs = normal(5, 2, 6, 3), normal(6, 2, 6, 5)
    whole.forward(xs)
    dxs = whole.backward(dhs).copy()
    first.forward(xs[:, :4])
    second.set_state(first.h, *([first.c] if kind == "lstm" else []))
    second.forward(xs[:, 4:])
    second.backward(dhs[:, 4:])
    d_first = dhs[:, :4].copy()
    d_first[:, -1] += second.dh
    d_early = first.backward(d_first, *([second.dc] if kind == "lstm" else []))
    np.testing.assert_allclose(d_early, dxs[:, :4], rtol=0, atol=1e-12)
    for total, early, late in zip(whole.grads, first.grads, second.grads, strict=True):
        np.testing.assert_allclose(early + late, total, rtol=0, atol=1e-12)


@each_kind
def test_a_layer_without_state_begins_every_window_with_zeros_and_uses_a_given_state_once(kind: str) -> None:
    layer = LAYERS[kind](*weights(kind, 3, 5))
    xs = normal(5, 2, 4, 3)
    fresh = layer.forward(xs).copy()
    assert (layer.forward(xs) == fresh).all()
    layer.set_state(normal(6, 2, 5))
    assert not np.allclose(layer.forward(xs), fresh)
    assert (layer.forward(xs) == fresh).all()


@each_kind
def test_a_state_can_be_put_aside_and_given_back(kind: str) -> None:
    layer = LAYERS[kind](*weights(kind, 3, 5), stateful=True)
    xs = normal(5, 2, 4, 3)
    layer.forward(xs)
    kept = layer.carried
    expected = layer.forward(xs).copy()
    layer.reset_state()
    layer.forward(xs[:1])
    layer.carried = kept
    assert (layer.forward(xs) == expected).all()


@each_kind
def test_buffers_are_kept_while_shapes_stay_the_same(kind: str) -> None:
    layer = LAYERS[kind](*weights(kind, 3, 5))
    xs, dhs = normal(5, 2, 4, 3), normal(6, 2, 4, 5)
    hs, dxs = layer.forward(xs), layer.backward(dhs)
    gradients = layer.grads[:]
    assert np.shares_memory(layer.forward(xs), hs)
    assert np.shares_memory(layer.backward(dhs), dxs)
    assert all(now is before for now, before in zip(layer.grads, gradients, strict=True))
    expected = dxs[:, :2].copy()
    layer.forward(xs[:, :2])
    assert layer.backward(dhs[:, :2]).shape == expected.shape


# float32, and the compiled loops


def tensors(dtype: Any, *shapes: tuple[int, ...]) -> list[Array]:
    return [normal(k, *shape).astype(dtype) for k, shape in enumerate(shapes)]


N, H, V = 3, 37, 101
ARGUMENTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "rnn_backward": ((N, H),) * 3,
    "lstm_forward": ((N, 4 * H), *((N, H),) * 4),
    "lstm_backward": ((N, 4 * H), *((N, H),) * 4, (N, 4 * H)),
    "gru_forward": ((N, 3 * H), (N, 3 * H), (N, H), (N, H)),
    "gru_backward": ((N, 3 * H), (N, 3 * H), (N, H), (N, H), (N, 3 * H), (N, 3 * H)),
}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_compiled_gates_equal_their_numpy_twins(name: str, precision: Any) -> None:
    compiled, plain = tensors(np.float32, *ARGUMENTS[name]), tensors(precision, *ARGUMENTS[name])
    quick = arithmetic(np.float32)
    assert quick is not IN_NUMPY
    getattr(quick, name)(*compiled)
    getattr(IN_NUMPY, name)(*plain)
    for ours, twin in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(ours, twin, rtol=0, atol=3e-6)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_compiled_softmax_equals_its_numpy_twin(precision: Any) -> None:
    logits = 8 * normal(0, 5, V)
    targets = np.array([0, V - 1, 7, -1, 7])
    ours, twin = logits.astype(np.float32), logits.astype(precision)
    nll = arithmetic(np.float32).softmax_gradient(ours, targets, -1, 0.25)
    expected = IN_NUMPY.softmax_gradient(twin, targets, -1, 0.25)
    assert nll == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(ours, twin, rtol=0, atol=1e-6)
    assert not ours[3].any()


def test_without_numba_numpy_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import malmoi.scratch

    arithmetic.cache_clear()
    monkeypatch.delattr(malmoi.scratch, "compiled", raising=False)
    monkeypatch.setitem(sys.modules, "malmoi.scratch.compiled", None)
    try:
        assert arithmetic(np.float32) is IN_NUMPY
    finally:
        arithmetic.cache_clear()
    assert arithmetic(np.float64) is IN_NUMPY
    assert isinstance(IN_NUMPY, Arithmetic)


@each_kind
def test_float32_differs_from_float64_by_rounding_alone(kind: str) -> None:
    own = weights(kind, 6, 11)
    exact, single = LAYERS[kind](*own), LAYERS[kind](*(weight.astype(np.float32) for weight in own))
    xs, dhs = normal(5, 4, 9, 6), normal(6, 4, 9, 11)
    assert single.forward(xs.astype(np.float32)).dtype == np.float32
    assert relative_error(single.forward(xs.astype(np.float32)), exact.forward(xs)) <= 1e-5
    assert relative_error(single.backward(dhs.astype(np.float32)), exact.backward(dhs)) <= 1e-4
    for ours, twin in zip(single.grads, exact.grads, strict=True):
        assert relative_error(ours, twin) <= 1e-4


@pytest.mark.parametrize(("n_rows", "K", "M"), [(20, 131, 520), (40, 501, 71), (33, 997, 2 * WIDTH)])
def test_a_product_in_blocks_equals_one_product(n_rows: int, K: int, M: int) -> None:
    x, W = normal(1, n_rows, K).astype(np.float32), normal(2, K, M).astype(np.float32)
    product = RepeatedProduct(n_rows, K, M, n_times=10, dtype=np.float32)
    assert product.is_blocked
    assert n_rows * K * M > SMALL
    for matrix in (W, np.ascontiguousarray(W.T).T):
        product.lay_out(matrix)
        for _ in range(2):
            np.testing.assert_allclose(product(x), x @ W, rtol=0, atol=1e-3)


def test_the_number_of_threads_changes_no_bit_of_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    x, W = normal(1, 40, 501).astype(np.float32), normal(2, 501, 300).astype(np.float32)
    results = []
    for threads in (1, 2, 3, 9):
        monkeypatch.setattr(products, "n_threads", lambda threads=threads: threads)
        product = RepeatedProduct(40, 501, 300, n_times=10, dtype=np.float32)
        product.lay_out(W)
        results.append(product(x).copy())
    assert all((result == results[0]).all() for result in results)


@pytest.mark.parametrize(("n_rows", "n_times", "dtype"), [(1, 10, "f4"), (65, 10, "f4"), (20, 1, "f4"), (20, 10, "f8")])
def test_a_product_that_gains_nothing_is_left_whole(n_rows: int, n_times: int, dtype: str) -> None:
    x, W = normal(1, n_rows, 500).astype(dtype), normal(2, 500, 500).astype(dtype)
    product = RepeatedProduct(n_rows, 500, 500, n_times, dtype)
    product.lay_out(W)
    assert not product.is_blocked
    assert (product(x) == x @ W).all()


@each_kind
def test_a_layer_large_enough_for_blocks_agrees_with_a_chain_of_small_ones(kind: str) -> None:
    own = [weight.astype(np.float32) / 12 for weight in weights(kind, 8, 160)]
    xs, dhs = normal(5, 44, 8, 8).astype(np.float32), normal(6, 44, 8, 160).astype(np.float32)
    blocked, exact = LAYERS[kind](*own), LAYERS[kind](*(weight.astype(np.float64) for weight in own))
    assert relative_error(blocked.forward(xs), exact.forward(xs.astype(np.float64))) <= 1e-5
    assert relative_error(blocked.backward(dhs), exact.backward(dhs.astype(np.float64))) <= 1e-4
    assert relative_error(blocked.grads[1], exact.grads[1]) <= 1e-4


# Bad input


@each_kind
def test_shapes_that_do_not_fit_are_named(kind: str) -> None:
    own = weights(kind, 3, 5)
    layer, cell = LAYERS[kind](*own), CELLS[kind](*own)
    with pytest.raises(ConfigError, match=r"xs has shape \(2, 4, 6\), expected \(N, T, 3\), because Wx"):
        layer.forward(np.zeros((2, 4, 6)))
    with pytest.raises(ConfigError, match="nothing in it"):
        layer.forward(np.zeros((0, 4, 3)))
    layer.forward(np.zeros((2, 4, 3)))
    with pytest.raises(ConfigError, match=r"dhs has shape \(2, 4, 3\), expected \(2, 4, 5\)"):
        layer.backward(np.zeros((2, 4, 3)))
    with pytest.raises(ConfigError, match=r"h has shape \(2, 3\), expected \(N, 5\)"):
        layer.set_state(np.zeros((2, 3)))
    with pytest.raises(ConfigError, match=r"x has shape \(2, 4\), expected \(N, 3\)"):
        cell.forward(*[np.zeros((2, 4))] * (3 if kind == "lstm" else 2))
    with pytest.raises(ConfigError, match=r"Wx has shape \(3, 7\)"):
        LAYERS[kind](np.zeros((3, 7)), *own[1:])
    with pytest.raises(ConfigError, match="expected one precision for all"):
        LAYERS[kind](own[0].astype(np.float32), *own[1:])


@each_kind
def test_a_state_of_other_text_is_refused(kind: str) -> None:
    layer = LAYERS[kind](*weights(kind, 3, 5), stateful=True)
    layer.forward(np.zeros((2, 4, 3)))
    with pytest.raises(ConfigError, match=r"h has 2 rows, but the window has 1 sequences.*reset_state"):
        layer.forward(np.zeros((1, 4, 3)))


def test_weights_that_are_no_numbers_are_refused() -> None:
    own = weights("lstm", 3, 5)
    own[1][2, 7] = np.nan
    with pytest.raises(ConfigError, match=r"Wh holds nan at \(2, 7\)"):
        TimeLSTM(*own)
