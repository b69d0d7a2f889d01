"""The Transformer in NumPy: against PyTorch, against finite differences, and what a language model promises."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from wiggle import worst_gradient_error

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.attention import causal_mask, padding_mask
from malmoi.scratch.gradients import check_gradients
from malmoi.scratch.layers import Affine, Dropout, Layer
from malmoi.scratch.optimisers import Adam, remove_duplicates
from malmoi.scratch.trainer import update
from malmoi.scratch.transformer import (
    DecoderLanguageModel,
    FeedForward,
    Gelu,
    LayerNorm,
    Residual,
    TransformerBlock,
    random_block,
    sinusoidal_positions,
)

sizes = st.integers(1, 4)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def shake(layer: Layer, seed: int = 5) -> None:
    """Gains of 1 and biases of 0 would let mistakes pass."""
    for weight in layer.params:
        weight += 0.3 * np.random.default_rng(seed).normal(size=weight.shape)


def block(d_model: int, n_heads: int, d_ff: int, activation: str = "gelu", norm_first: bool = True) -> TransformerBlock:
    rng = np.random.default_rng(1)
    made = random_block(d_model, n_heads, d_ff, rng, activation=activation, norm_first=norm_first, dtype=np.float64)
    shake(made)
    return made


def decoder(seed: int = 1, **options: object) -> DecoderLanguageModel:
    sizes = {"vocab_size": 11, "d_model": 6, "n_heads": 2, "n_layers": 2, "d_ff": 7, "context_length": 8}
    return DecoderLanguageModel(**sizes | {"dtype": np.float64} | options, rng=np.random.default_rng(seed))


def assert_same(ours: np.ndarray, theirs: torch.Tensor | None) -> None:
    assert theirs is not None
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


# Layers


@settings(deadline=None, max_examples=20)
@given(n=sizes, n_steps=sizes, width=st.integers(2, 6))
def test_layer_norm_agrees_with_torch(n: int, n_steps: int, width: int) -> None:
    layer, theirs = LayerNorm(draw(0, width), draw(1, width)), nn.LayerNorm(width, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(layer.params[0]))
        theirs.bias.copy_(torch.tensor(layer.params[1]))
    x, dout = draw(2, n, n_steps, width), draw(3, n, n_steps, width)
    x_ = torch.tensor(x, requires_grad=True)
    out_ = theirs(x_)
    out_.backward(torch.tensor(dout))
    assert_same(layer.forward(x), out_)
    assert_same(layer.backward(dout), x_.grad)
    assert_same(layer.grads[0], theirs.weight.grad)
    assert_same(layer.grads[1], theirs.bias.grad)


def test_gelu_agrees_with_torch() -> None:
    x, dout, layer = 3 * draw(0, 4, 5), draw(1, 4, 5), Gelu()
    x_ = torch.tensor(x, requires_grad=True)
    out_ = F.gelu(x_)
    out_.backward(torch.tensor(dout))
    assert_same(layer.forward(x), out_)
    assert_same(layer.backward(dout), x_.grad)


def test_positions_are_the_formula_of_the_paper() -> None:
    positions = sinusoidal_positions(7, 5, np.float64)
    for place, i in itertools.product(range(7), range(5)):
        angle = place / 10000 ** (2 * (i // 2) / 5)
        assert positions[place, i] == pytest.approx(np.cos(angle) if i % 2 else np.sin(angle), abs=1e-12)


def test_gradients_of_every_layer() -> None:
    x = draw(0, 2, 3, 4)
    layers = [
        LayerNorm(draw(1, 4), draw(2, 4)),
        Gelu(),
        FeedForward(draw(1, 4, 5), draw(2, 5), draw(3, 5, 4), draw(4, 4), "relu"),
        FeedForward(draw(1, 4, 5), draw(2, 5), draw(3, 5, 4), draw(4, 4), "gelu"),
        Residual(Affine(draw(1, 4, 4), draw(2, 4)), LayerNorm(draw(3, 4), draw(4, 4)), norm_first=True),
        Residual(Affine(draw(1, 4, 4), draw(2, 4)), LayerNorm(draw(3, 4), draw(4, 4)), norm_first=False),
    ]
    for layer in layers:
        error = worst_gradient_error(
            layer,
            lambda layer=layer: layer.forward(x),
            lambda dout, layer=layer: [layer.backward(dout)],
            [x],
        )
        assert error <= 1e-6, layer


# The block


@pytest.mark.parametrize(
    ("norm_first", "activation"), [(True, "gelu"), (False, "relu"), (True, "relu"), (False, "gelu")]
)
@settings(deadline=None, max_examples=10)
@given(n=sizes, n_heads=st.integers(1, 3), d_head=st.integers(1, 3), n_steps=sizes, d_ff=sizes)
def test_the_block_agrees_with_torch(
    norm_first: bool, activation: str, n: int, n_heads: int, d_head: int, n_steps: int, d_ff: int
) -> None:
    d_model = n_heads * d_head + (n_heads * d_head == 1)  # a layer norm over one number always gives 0
    n_heads = 1 if d_model % n_heads else n_heads
    ours = block(d_model, n_heads, d_ff, activation, norm_first)
    theirs = nn.TransformerEncoderLayer(
        d_model, n_heads, d_ff, 0.0, activation, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    Wq, bq, Wk, bk, Wv, bv, Wo, bo, gain1, bias1, W1, b1, W2, b2, gain2, bias2 = ours.params
    weights = {
        "self_attn.in_proj_weight": np.concatenate([Wq.T, Wk.T, Wv.T]),
        "self_attn.in_proj_bias": np.concatenate([bq, bk, bv]),
        **{"self_attn.out_proj.weight": Wo.T, "self_attn.out_proj.bias": bo},
        **{"linear1.weight": W1.T, "linear1.bias": b1, "linear2.weight": W2.T, "linear2.bias": b2},
        **{"norm1.weight": gain1, "norm1.bias": bias1, "norm2.weight": gain2, "norm2.bias": bias2},
    }
    theirs.load_state_dict({name: torch.tensor(weight) for name, weight in weights.items()})
    x, dout = draw(2, n, n_steps, d_model), draw(3, n, n_steps, d_model)
    is_token = np.arange(n_steps) < np.array([1 + i % n_steps for i in range(n)])[:, None]
    mask = causal_mask(n_steps) & padding_mask(is_token)
    out = ours.forward(x, mask)
    d_x = ours.backward(dout)
    x_ = torch.tensor(x, requires_grad=True)
    out_ = theirs(x_, src_mask=torch.tensor(~causal_mask(n_steps)), src_key_padding_mask=torch.tensor(~is_token))
    out_.backward(torch.tensor(dout))
    assert_same(out, out_)
    assert_same(d_x, x_.grad)
    Wq, bq, Wk, bk, Wv, bv, Wo, bo, gain1, bias1, W1, b1, W2, b2, gain2, bias2 = ours.grads
    assert_same(np.concatenate([Wq.T, Wk.T, Wv.T]), theirs.self_attn.in_proj_weight.grad)
    assert_same(np.concatenate([bq, bk, bv]), theirs.self_attn.in_proj_bias.grad)
    assert_same(Wo.T, theirs.self_attn.out_proj.weight.grad)
    for grad, weight in ((W1.T, theirs.linear1.weight), (b1, theirs.linear1.bias), (W2.T, theirs.linear2.weight)):
        assert_same(grad, weight.grad)
    for grad, weight in ((gain1, theirs.norm1.weight), (bias1, theirs.norm1.bias), (gain2, theirs.norm2.weight)):
        assert_same(grad, weight.grad)


@pytest.mark.parametrize("norm_first", [True, False])
def test_gradients_of_the_block(norm_first: bool) -> None:
    x, layer = draw(0, 2, 3, 4), block(4, 2, 5, norm_first=norm_first)
    error = worst_gradient_error(
        layer, lambda: layer.forward(x, causal_mask(3)), lambda dout: [layer.backward(dout)], [x]
    )
    assert error <= 1e-6


def test_dropout_falls_on_what_a_layer_adds_and_not_on_what_passes_by() -> None:
    x = draw(0, 5, 4)
    for norm_first in (True, False):
        dropout = Dropout(0.5, np.random.default_rng(0))
        layer = Residual(Affine(draw(1, 4, 4), draw(2, 4)), LayerNorm(np.ones(4), np.zeros(4)), norm_first, dropout)
        dropout.train_flag = False
        whole = layer.forward(x)
        dropout.train_flag = True
        assert not np.allclose(layer.forward(x), whole)

        def same_mask_again(layer: Residual = layer, dropout: Dropout = dropout) -> np.ndarray:
            dropout.rng = np.random.default_rng(7)
            return layer.forward(x)

        error = worst_gradient_error(layer, same_mask_again, lambda dout, layer=layer: [layer.backward(dout)], [x])
        assert error <= 1e-6


# The language model


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_of_the_decoder(norm_first: bool, tied: bool) -> None:
    model = decoder(vocab_size=5, d_model=4, d_ff=3, n_layers=1, norm_first=norm_first, tie_embeddings=tied)
    shake(model)
    ids = np.random.default_rng(0).integers(5, size=(2, 4))
    targets, is_token = ids.copy(), np.ones((2, 4), bool)
    targets[1, 3:], is_token[1, 3:] = -1, False

    def run() -> float:
        loss = model.forward(ids, targets, is_token)
        model.backward()
        return loss

    assert check_gradients(model, run) <= 1e-6
    assert len(remove_duplicates(model.params, model.grads)[0]) == len(model.params) - tied


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_decoder_agrees_with_the_same_one_made_of_torch_layers(norm_first: bool) -> None:
    model = decoder(norm_first=norm_first)
    shake(model)
    ids, targets = (np.random.default_rng(seed).integers(11, size=(3, 7)) for seed in (0, 1))
    loss = model.forward(ids, targets)
    model.backward()
    params = [torch.tensor(weight, requires_grad=True) for weight in model.params]
    rest = iter(params)
    x = next(rest)[torch.tensor(ids)] * 6**0.5 + torch.tensor(sinusoidal_positions(8, 6, np.float64)[:7])

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (2, 3)).transpose(1, 2)

    for _ in range(2):
        Wq, bq, Wk, bk, Wv, bv, Wo, bo, gain1, bias1, W1, b1, W2, b2, gain2, bias2 = itertools.islice(rest, 16)

        def attend(x: torch.Tensor, Wq=Wq, bq=bq, Wk=Wk, bk=bk, Wv=Wv, bv=bv, Wo=Wo, bo=bo) -> torch.Tensor:
            heads = (split(x @ W + b) for W, b in ((Wq, bq), (Wk, bk), (Wv, bv)))
            return F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2) @ Wo + bo

        def work(x: torch.Tensor, W1=W1, b1=b1, W2=W2, b2=b2) -> torch.Tensor:
            return F.gelu(x @ W1 + b1) @ W2 + b2

        for inner, gain, bias in ((attend, gain1, bias1), (work, gain2, bias2)):
            added = inner(F.layer_norm(x, (6,), gain, bias) if norm_first else x)
            x = x + added if norm_first else F.layer_norm(x + added, (6,), gain, bias)
    if norm_first:
        x = F.layer_norm(x, (6,), next(rest), next(rest))
    logits = x @ next(rest)
    loss_ = F.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten())
    loss_.backward()
    assert loss == pytest.approx(loss_.item(), rel=1e-10)
    assert_same(model.predict(ids), logits)
    for grad, param in zip(model.grads, params, strict=True):
        assert_same(grad, param.grad)


@settings(deadline=None, max_examples=20)
@given(n_steps=st.integers(2, 8), data=st.data())
def test_later_tokens_never_change_earlier_scores(n_steps: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, n_steps - 1))
    model, ids = decoder(), np.random.default_rng(0).integers(11, size=(2, n_steps))
    before = model.predict(ids).copy()
    ids[:, place:] = (ids[:, place:] + 1) % 11
    after = model.predict(ids)
    np.testing.assert_array_equal(after[:, :place], before[:, :place])
    assert (after[:, place] != before[:, place]).any()


def test_padding_changes_neither_scores_nor_loss_nor_gradients() -> None:
    model = decoder()
    ids, targets = (np.random.default_rng(seed).integers(11, size=(2, 5)) for seed in (0, 1))
    loss, scores = model.forward(ids, targets), model.predict(ids)
    model.forward(ids, targets)
    model.backward()
    grads = [grad.copy() for grad in model.grads]
    fill = ((0, 0), (0, 3))
    padded, padded_targets = np.pad(ids, fill), np.pad(targets, fill, constant_values=-1)
    is_token = np.pad(np.ones((2, 5), bool), fill)
    np.testing.assert_allclose(model.predict(padded, is_token)[:, :5], scores, rtol=1e-12)
    assert model.forward(padded, padded_targets, is_token) == pytest.approx(loss, rel=1e-12)
    model.backward()
    for grad, before in zip(model.grads, grads, strict=True):
        np.testing.assert_allclose(grad, before, rtol=1e-9, atol=1e-12)


def test_predict_leaves_nothing_out_and_training_does() -> None:
    model = decoder(dropout=0.5)
    ids = np.random.default_rng(0).integers(11, size=(2, 5))
    np.testing.assert_array_equal(model.predict(ids).copy(), model.predict(ids))
    assert model.forward(ids, ids) != model.forward(ids, ids)
    assert model.forward(ids, ids, train_flag=False) == model.forward(ids, ids, train_flag=False)
    model.backward()


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_small_decoder_learns_to_count_and_goes_on_counting(norm_first: bool) -> None:
    model = decoder(d_model=16, d_ff=32, norm_first=norm_first, tie_embeddings=norm_first, dtype=np.float32)
    optimiser, rng = Adam(lr=0.02), np.random.default_rng(0)
    for _ in range(60):
        ids = (rng.integers(11, size=(16, 1)) + np.arange(9)) % 11
        loss = model.forward(ids[:, :-1], ids[:, 1:])
        model.backward()
        update(model, optimiser, max_grad=1.0)
    assert loss < 0.05
    assert model.generate([5], (), 12, temperature=0) == [(5 + i) % 11 for i in range(13)]
    assert model.generate([5], (), 12, temperature=0, eos_id=8) == [5, 6, 7, 8]
    drawn = model.generate([5], (6,), 12, np.random.default_rng(0), temperature=3)
    assert len(drawn) == 13
    assert 6 not in drawn


def test_float32_stays_float32() -> None:
    model = decoder(dtype=np.float32, dropout=0.1)
    ids = np.random.default_rng(0).integers(11, size=(2, 5))
    model.forward(ids, ids)
    model.backward()
    assert {array.dtype for array in [*model.params, *model.grads, model.predict(ids)]} == {np.dtype(np.float32)}


# Messages


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError, match="9 tokens is longer than context_length=8.*context_length=9"):
        decoder().predict(np.zeros((1, 9), int))
    with pytest.raises(DataError, match=r"ids holds 11 at \(0, 1\), expected ids from 0 to 10"):
        decoder().predict(np.array([[1, 11]]))
    with pytest.raises(ConfigError, match=r"ids has shape \(0, 3\).*nothing in it"):
        decoder().predict(np.zeros((0, 3), int))
    with pytest.raises(DataError, match="mask forbids every place"):
        decoder().predict(np.array([[1, 2]]), np.array([[False, True]]))
    with pytest.raises(ConfigError, match=r"is_token has shape \(1, 3\), expected \(1, 2\)"):
        decoder().predict(np.array([[1, 2]]), np.ones((1, 3), bool))
    with pytest.raises(ConfigError, match="cannot be split evenly over n_heads=4"):
        decoder(n_heads=4)
    with pytest.raises(ConfigError, match="activation='tanh'.*'relu' or 'gelu'"):
        decoder(activation="tanh")
    with pytest.raises(ConfigError, match=r"W2 has shape \(4, 4\), expected \(5, 4\)"):
        FeedForward(draw(1, 4, 5), draw(2, 5), draw(3, 4, 4), draw(4, 4))
    with pytest.raises(ConfigError, match=r"x has shape \(2, 3\), expected \(..., 4\)"):
        LayerNorm(np.ones(4), np.zeros(4)).forward(draw(0, 2, 3))
    with pytest.raises(ConfigError, match=r"gain holds nan"):
        LayerNorm(np.full(4, np.nan), np.zeros(4))
    with pytest.raises(ConfigError, match="start_ids is empty"):
        decoder().generate([])
