"""word2vec by hand: windows, one-hot rows, both networks in both versions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.gradients import check_gradients, relative_error
from malmoi.scratch.optimisers import Adam
from malmoi.scratch.trainer import Trainer
from malmoi.scratch.windows import create_contexts_target, one_hot
from malmoi.scratch.word2vec import CBOW, SimpleCBOW, SimpleSkipGram, SkipGram

V, D = 7, 3
COUNTS = np.arange(1, V + 1)


def test_windows_by_hand() -> None:
    contexts, targets = create_contexts_target(np.array([0, 1, 2, 3, 1]), window=1)
    assert contexts.tolist() == [[0, 2], [1, 3], [2, 1]]
    assert targets.tolist() == [1, 2, 3]
    contexts, targets = create_contexts_target(np.array([0, 1, 2, 3, 1]), window=2)
    assert contexts.tolist() == [[0, 1, 3, 1]]
    assert targets.tolist() == [2]


def test_one_hot_by_hand() -> None:
    assert one_hot(np.array([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def build(kind: Callable[..., Any], seed: int = 1, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(seed)
    is_simple = kind in (SimpleCBOW, SimpleSkipGram)
    model = kind(V, D, rng, dtype=dtype) if is_simple else kind(COUNTS, D, rng, n_negative=4, dtype=dtype)
    for weight in model.params:  # larger weights than training begins with, so that gradients are not almost 0
        weight[...] = rng.normal(size=weight.shape)
    return model


def examples(n: int, n_context: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return rng.integers(V, size=(n, n_context)), rng.integers(V, size=n)


@pytest.mark.parametrize("kind", [SimpleCBOW, SimpleSkipGram, CBOW, SkipGram])
@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 4), n_context=st.integers(1, 4))
def test_gradients(kind: Any, n: int, n_context: int) -> None:
    model, (contexts, targets) = build(kind), examples(n, n_context)

    def run() -> float:
        if kind in (CBOW, SkipGram):
            model.loss.sampler.rng = np.random.default_rng(3)  # the same wrong words every time
        loss = model.forward(contexts, targets)
        model.backward()
        return loss

    assert check_gradients(model, run) <= 1e-6


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 4), n_context=st.integers(1, 4))
def test_the_simple_networks_agree_with_torch(n: int, n_context: int) -> None:
    contexts, targets = examples(n, n_context)
    for kind in (SimpleCBOW, SimpleSkipGram):
        model = build(kind)
        W_in, W_out = (torch.tensor(weight, requires_grad=True) for weight in model.params)
        around, between = torch.tensor(contexts), torch.tensor(targets)
        if kind is SimpleCBOW:
            theirs = F.cross_entropy(W_in[around].mean(1) @ W_out, between)
        else:
            scores = W_in[between] @ W_out
            theirs = sum((F.cross_entropy(scores, around[:, c]) for c in range(n_context)), start=torch.zeros(()))
        theirs.backward()
        assert model.forward(contexts, targets) == pytest.approx(theirs.item(), rel=1e-12)
        model.backward()
        assert relative_error(model.grads[0], W_in.grad.numpy()) <= 1e-10
        assert relative_error(model.grads[1], W_out.grad.numpy()) <= 1e-10


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 4), n_context=st.integers(1, 4))
def test_negative_sampling_networks_agree_with_torch(n: int, n_context: int) -> None:
    contexts, targets = examples(n, n_context)
    for kind in (CBOW, SkipGram):
        model = build(kind)
        answers = targets if kind is CBOW else contexts.reshape(-1)
        model.loss.sampler.rng = np.random.default_rng(3)
        wrong = torch.tensor(model.loss.sampler.sample(answers, 4))
        model.loss.sampler.rng = np.random.default_rng(3)
        W_in, W_out = (torch.tensor(weight, requires_grad=True) for weight in model.params)
        if kind is CBOW:
            h = W_in[torch.tensor(contexts)].mean(1)
        else:
            h = W_in[torch.tensor(targets)].repeat_interleave(n_context, 0)
        right = F.logsigmoid((h * W_out[torch.tensor(answers)]).sum(1))
        others = F.logsigmoid(-(h[:, None] * W_out[wrong]).sum(2)).sum(1)
        theirs = -(right + others).sum() / n
        theirs.backward()
        assert model.forward(contexts, targets) == pytest.approx(theirs.item(), rel=1e-12)
        model.backward()
        assert relative_error(model.grads[0], W_in.grad.numpy()) <= 1e-10
        assert relative_error(model.grads[1], W_out.grad.numpy()) <= 1e-10


@pytest.mark.parametrize("kind", [SimpleCBOW, SimpleSkipGram, CBOW, SkipGram])
def test_words_in_the_same_places_come_to_lie_together(kind: Any) -> None:
    """ "a X b" and "c Y d", where X is 0 or 1 and Y is 2 or 3: 0 and 1 should come to be alike, and 0 and 2 not."""
    rng = np.random.default_rng(1)
    is_first = rng.random(400) < 0.5
    middles = np.where(is_first, rng.integers(0, 2, 400), rng.integers(2, 4, 400))
    text = np.stack([np.where(is_first, 4, 6), middles, np.where(is_first, 5, 7)], axis=1).reshape(-1)
    contexts, targets = create_contexts_target(text)
    first = rng.integers(1, 99)
    make_rng = np.random.default_rng(first)
    model = kind(8, 5, make_rng) if kind in (SimpleCBOW, SimpleSkipGram) else kind(np.bincount(text), 5, make_rng)
    curve = Trainer(model, Adam(0.05)).fit(contexts, targets, max_epoch=8, batch_size=100, rng=rng)
    vectors = model.word_vectors / np.linalg.norm(model.word_vectors, axis=1, keepdims=True)
    assert vectors.shape == (8, 5)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.9
    assert likeness[2, 3] > 0.9
    assert likeness[0, 2] < 0.5
    assert curve.y[-1] < curve.y[0]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: create_contexts_target(np.arange(4), 2), DataError, "text has 4 tokens, expected at least 5"),
        (lambda: create_contexts_target(np.arange(4), 0), ConfigError, "window=0, expected at least 1"),
        (lambda: create_contexts_target(np.ones((2, 3), int)), ConfigError, r"ids has shape \(2, 3\), expected \(T,\)"),
        (lambda: one_hot(np.array([3]), 3), DataError, "ids holds 3"),
        (
            lambda: build(SimpleCBOW).forward(np.ones((2, 2), int), np.array([1])),
            ConfigError,
            r"targets has shape \(1,\), expected \(2,\)",
        ),
        (lambda: build(SkipGram).forward(np.ones((2, 2), int), np.array([1, V])), DataError, "targets holds 7"),
        (lambda: build(SkipGram).forward(np.full((2, 2), V), np.array([1, 2])), DataError, "contexts holds 7"),
        (
            lambda: build(CBOW).forward(np.ones((0, 2), int), np.ones(0, int)),
            ConfigError,
            "contexts has shape .0, 2.*nothing in it",
        ),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
