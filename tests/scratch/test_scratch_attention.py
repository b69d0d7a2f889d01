"""Attention in NumPy: against PyTorch, against finite differences, and what masks promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from wiggle import worst_gradient_error

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.attention import (
    Attention,
    AttentionWeight,
    ConcatScore,
    DotScore,
    GeneralScore,
    MultiHeadAttention,
    ScaledDotProductAttention,
    Score,
    TimeAttention,
    WeightSum,
    causal_mask,
    hide,
    padding_mask,
    random_score,
)

SCORES: list[str] = ["dot", "general", "concat"]
sizes = st.integers(1, 4)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def score_of(name: str, query_size: int, key_size: int) -> Score:
    return random_score(name, query_size, key_size, np.random.default_rng(1), np.float64)


def heads(n_heads: int, d_model: int, memory_size: int, seed: int = 0, bias: bool = True) -> MultiHeadAttention:
    weights = [draw(seed + i, n, d_model) for i, n in enumerate((d_model, memory_size, memory_size, d_model))]
    biases = tuple(draw(seed + 4 + i, d_model) for i in range(4)) if bias else None
    return MultiHeadAttention(*weights, n_heads, biases)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def assert_same(ours: np.ndarray, theirs: torch.Tensor | None) -> None:
    assert theirs is not None
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


def tokens_first(lengths: list[int], n_places: int) -> np.ndarray:
    return np.arange(n_places) < np.array(lengths)[:, None]


# By hand


def test_attention_worked_by_hand() -> None:
    """Scores ln 1 and ln 3 give shares 1/4 and 3/4 of the values 8 and 4: 5."""
    keys, query = np.array([[[0.0], [np.log(3)]]]), np.array([[1.0]])
    weights = AttentionWeight(DotScore()).forward(keys, query[:, None])
    np.testing.assert_allclose(weights, [[[0.25, 0.75]]], rtol=1e-12)
    np.testing.assert_allclose(WeightSum().forward(np.array([[[8.0], [4.0]]]), weights), [[[5.0]]], rtol=1e-12)


def test_concat_reads_query_and_key_side_by_side() -> None:
    score = ConcatScore(draw(0, 5, 4), draw(1, 4))
    keys, queries = draw(2, 2, 3, 2), draw(3, 2, 1, 3)
    pairs = np.concatenate([np.repeat(queries, 3, axis=1), keys], axis=2)  # (2, 3, 5)
    np.testing.assert_allclose(
        score.forward(keys, queries)[:, 0], np.tanh(pairs @ score.params[0]) @ score.params[1], rtol=1e-12
    )


# Luong's attention


def luong(name: str, score: Score, keys: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, list]:
    """The same written with PyTorch's calls; gives the scores and the weights."""
    weights = tensors(*score.params)
    if name == "dot":
        return torch.einsum("nth,nsh->nts", queries, keys), weights
    if name == "general":
        return torch.einsum("ntq,qh,nsh->nts", queries, weights[0], keys), weights
    n_steps, n_places = queries.shape[1], keys.shape[1]
    pairs = torch.cat(
        [queries[:, :, None].expand(-1, -1, n_places, -1), keys[:, None].expand(-1, n_steps, -1, -1)], dim=-1
    )
    return torch.tanh(pairs @ weights[0]) @ weights[1], weights


@pytest.mark.parametrize("name", SCORES)
@settings(deadline=None, max_examples=15)
@given(n=sizes, n_places=sizes, n_steps=sizes, width=sizes, wider=sizes)
def test_luong_attention_agrees_with_torch(
    name: str, n: int, n_places: int, n_steps: int, width: int, wider: int
) -> None:
    query_size = width if name == "dot" else width + wider
    score = score_of(name, query_size, width)
    keys, queries, dout = draw(2, n, n_places, width), draw(3, n, n_steps, query_size), draw(4, n, n_steps, width)
    is_token = tokens_first([1 + i % n_places for i in range(n)], n_places)
    layer = TimeAttention(score)
    contexts = layer.forward(keys, queries, is_token)
    d_keys, d_queries = layer.backward(dout)

    keys_, queries_ = tensors(keys, queries)
    scores, weights = luong(name, score, keys_, queries_)
    shares = scores.masked_fill(~torch.tensor(is_token)[:, None], -torch.inf).softmax(dim=-1)
    contexts_ = shares @ keys_
    contexts_.backward(torch.tensor(dout))
    assert_same(layer.attention_weights, shares)
    assert_same(contexts, contexts_)
    assert_same(d_keys, keys_.grad)
    assert_same(d_queries, torch.zeros_like(queries_) if queries_.grad is None else queries_.grad)
    for grad, weight in zip(layer.grads, weights, strict=True):
        assert_same(grad, weight.grad)


@pytest.mark.parametrize("name", SCORES)
def test_gradients_of_attention(name: str) -> None:
    keys, queries = draw(2, 2, 4, 3), draw(3, 2, 5, 3 if name == "dot" else 2)
    layer = TimeAttention(score_of(name, queries.shape[2], 3))
    is_token = tokens_first([4, 2], 4)
    error = worst_gradient_error(layer, lambda: layer.forward(keys, queries, is_token), layer.backward, (keys, queries))
    assert error <= 1e-6


def test_one_step_of_attention_is_a_step_of_time_attention() -> None:
    keys, queries, dout = draw(2, 2, 4, 3), draw(3, 2, 1, 3), draw(4, 2, 1, 3)
    one, all_steps = Attention(), TimeAttention()
    np.testing.assert_array_equal(one.forward(keys, queries[:, 0]), all_steps.forward(keys, queries)[:, 0])
    np.testing.assert_array_equal(one.attention_weights, all_steps.attention_weights[:, 0])
    d_keys, d_query = one.backward(dout[:, 0])
    d_keys_, d_queries = all_steps.backward(dout)
    np.testing.assert_array_equal(d_keys, d_keys_)
    np.testing.assert_array_equal(d_query, d_queries[:, 0])


@pytest.mark.parametrize("name", SCORES)
def test_padding_of_the_source_changes_nothing(name: str) -> None:
    keys, queries, dout = draw(2, 2, 3, 3), draw(3, 2, 4, 3), draw(4, 2, 4, 3)
    layer = TimeAttention(score_of(name, 3, 3))
    alone = layer.forward(keys, queries)
    d_alone, _ = layer.backward(dout)
    padded = np.concatenate([keys, np.full((2, 2, 3), 9.0)], axis=1)
    contexts = layer.forward(padded, queries, tokens_first([3, 3], 5))
    d_padded, _ = layer.backward(dout)
    np.testing.assert_allclose(contexts, alone, rtol=1e-12)
    np.testing.assert_allclose(d_padded[:, :3], d_alone, rtol=1e-12)
    assert not d_padded[:, 3:].any()
    assert not layer.attention_weights[:, :, 3:].any()


# Scaled dot products and heads


@pytest.mark.parametrize("masked", [False, True])
@settings(deadline=None, max_examples=15)
@given(n=sizes, n_heads=sizes, n_steps=sizes, width=sizes, wider=sizes)
def test_scaled_dot_product_attention_agrees_with_torch(
    masked: bool, n: int, n_heads: int, n_steps: int, width: int, wider: int
) -> None:
    queries, keys = draw(0, n, n_heads, n_steps, width), draw(1, n, n_heads, n_steps, width)
    values, dout = (draw(i, n, n_heads, n_steps, width + wider) for i in (2, 3))
    layer = ScaledDotProductAttention()
    out = layer.forward(queries, keys, values, causal_mask(n_steps) if masked else None)
    gradients = layer.backward(dout)
    inputs = tensors(queries, keys, values)
    out_ = F.scaled_dot_product_attention(*inputs, is_causal=masked)
    out_.backward(torch.tensor(dout))
    assert_same(out, out_)
    for gradient, array in zip(gradients, inputs, strict=True):
        assert_same(gradient, array.grad)


@pytest.mark.parametrize("bias", [False, True])
@settings(deadline=None, max_examples=15)
@given(n=sizes, n_heads=sizes, d_head=sizes, n_steps=sizes, n_places=sizes, wider=sizes)
def test_multi_head_attention_agrees_with_torch(
    bias: bool, n: int, n_heads: int, d_head: int, n_steps: int, n_places: int, wider: int
) -> None:
    d_model = n_heads * d_head
    memory_size = d_model + wider
    layer = heads(n_heads, d_model, memory_size, bias=bias)
    x, memory, dout = draw(8, n, n_steps, d_model), draw(9, n, n_places, memory_size), draw(10, n, n_steps, d_model)
    is_token = tokens_first([1 + i % n_places for i in range(n)], n_places)
    out = layer.forward(x, memory, padding_mask(is_token))
    d_x, d_memory = layer.backward(dout)

    theirs = torch.nn.MultiheadAttention(
        d_model, n_heads, bias=bias, kdim=memory_size, vdim=memory_size, batch_first=True, dtype=torch.float64
    )
    params = iter(layer.params)
    with torch.no_grad():
        for i, name in enumerate(("q", "k", "v")):
            getattr(theirs, f"{name}_proj_weight").copy_(torch.tensor(next(params).T))
            if bias:
                theirs.in_proj_bias[i * d_model : (i + 1) * d_model].copy_(torch.tensor(next(params)))
        theirs.out_proj.weight.copy_(torch.tensor(next(params).T))
        if bias:
            theirs.out_proj.bias.copy_(torch.tensor(next(params)))
    x_, memory_ = tensors(x, memory)
    out_, weights_ = theirs(x_, memory_, memory_, key_padding_mask=torch.tensor(~is_token), average_attn_weights=False)
    out_.backward(torch.tensor(dout))
    assert_same(out, out_)
    assert_same(layer.attention_weights, weights_)
    assert_same(d_x, x_.grad)
    assert_same(d_memory, memory_.grad)
    grads = iter(layer.grads)
    for i, name in enumerate(("q", "k", "v")):
        assert_same(next(grads).T, getattr(theirs, f"{name}_proj_weight").grad)
        if bias:
            assert_same(next(grads), theirs.in_proj_bias.grad[i * d_model : (i + 1) * d_model])
    assert_same(next(grads).T, theirs.out_proj.weight.grad)


def test_gradients_of_multi_head_attention() -> None:
    layer = heads(2, 4, 3)
    for weight in layer.params:
        weight *= 0.3  # the bias of the keys has gradient 0: a smaller loss leaves less rounding in its place
    x, memory = draw(8, 2, 3, 4), draw(9, 2, 5, 3)
    mask = padding_mask(tokens_first([5, 3], 5))
    error = worst_gradient_error(layer, lambda: layer.forward(x, memory, mask), layer.backward, (x, memory))
    assert error <= 1e-6


@settings(deadline=None, max_examples=20)
@given(n_steps=st.integers(2, 7), data=st.data())
def test_under_the_causal_mask_later_tokens_never_change_earlier_outputs(n_steps: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, n_steps - 1))
    layer, x = heads(2, 4, 4), draw(8, 3, n_steps, 4)
    before = layer.forward(x, x, causal_mask(n_steps))
    x[:, place:] += 1
    after = layer.forward(x, x, causal_mask(n_steps))
    np.testing.assert_array_equal(after[:, :place], before[:, :place])
    assert (after[:, place:] != before[:, place:]).all()


def test_masks_join() -> None:
    mask = causal_mask(3) & padding_mask(np.array([[True, True, False]]))
    np.testing.assert_array_equal(mask, [[[1, 0, 0], [1, 1, 0], [1, 1, 0]]])


def test_float32_stays_float32() -> None:
    rng = np.random.default_rng(0)
    keys, queries = (rng.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(2))
    for name in SCORES:
        layer = TimeAttention(random_score(name, 4, 4, rng))
        out = layer.forward(keys, queries, tokens_first([3, 2], 3))
        assert {out.dtype, *(d.dtype for d in layer.backward(out))} == {np.dtype(np.float32)}
    scaled = ScaledDotProductAttention()
    out = scaled.forward(queries, keys, keys, causal_mask(3))
    assert {out.dtype, *(d.dtype for d in scaled.backward(out))} == {np.dtype(np.float32)}


# Messages


def test_a_row_that_may_look_nowhere_is_refused() -> None:
    mask = np.array([[True, False], [False, False]])
    with pytest.raises(DataError, match=r"Row \(1,\) of the mask forbids every place.*padding alone"):
        hide(np.zeros((3, 2, 2)), mask)
    with pytest.raises(DataError, match=r"Row \(1, 0\) of the mask"):
        TimeAttention().forward(draw(0, 2, 3, 4), draw(1, 2, 5, 4), tokens_first([3, 0], 3))


def test_masks_that_are_not_boolean_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="dtype float64.*Booleans were expected"):
        hide(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ConfigError, match=r"mask has shape \(3, 2\), the scores have shape \(2, 2\)"):
        hide(np.zeros((2, 2)), np.ones((3, 2), bool))
    with pytest.raises(ConfigError, match=r"mask has shape \(4, 2, 2\)"):
        hide(np.zeros((2, 2)), np.ones((4, 2, 2), bool))
    with pytest.raises(ConfigError, match=r"is_token has shape \(2, 4\), expected \(2, 3\)"):
        TimeAttention().forward(draw(0, 2, 3, 4), draw(1, 2, 5, 4), tokens_first([3, 0], 4))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match=r"queries has shape \(2, 5, 3\), expected \(2, T, 4\).*keys have shape"):
        TimeAttention().forward(draw(0, 2, 3, 4), draw(1, 2, 5, 3))
    with pytest.raises(ConfigError, match=r"keys has shape \(2, 3, 4\), expected \(N, S, 2\).*W has shape \(3, 2\)"):
        TimeAttention(GeneralScore(draw(0, 3, 2))).forward(draw(0, 2, 3, 4), draw(1, 2, 5, 3))
    with pytest.raises(ConfigError, match=r"queries has shape \(2, 5, 3\), expected \(2, T, 2\)"):
        TimeAttention(ConcatScore(draw(0, 6, 2), draw(1, 2))).forward(draw(0, 2, 3, 4), draw(1, 2, 5, 3))
    with pytest.raises(ConfigError, match=r"query has shape \(2, 5, 3\), expected \(2, Q\)"):
        Attention().forward(draw(0, 2, 3, 3), draw(1, 2, 5, 3))
    with pytest.raises(ConfigError, match=r"weights has shape \(2, 5, 3\), expected \(2, T, 4\)"):
        WeightSum().forward(draw(0, 2, 4, 3), draw(1, 2, 5, 3))
    with pytest.raises(ConfigError, match=r"v has shape \(3,\), expected \(2,\)"):
        ConcatScore(draw(0, 6, 2), draw(1, 3))


def test_heads_that_cannot_share_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="Wq makes 6 numbers.*n_heads=4.*divisors of 6"):
        heads(4, 6, 6)
    with pytest.raises(ConfigError, match=r"Wo has shape \(5, 6\), expected \(6, 6\)"):
        MultiHeadAttention(*(draw(0, 6, 6) for _ in range(3)), draw(0, 5, 6), 2)
    with pytest.raises(ConfigError, match=r"x has shape \(2, 3, 5\), expected \(2, T, 4\)"):
        heads(2, 4, 4).forward(draw(0, 2, 3, 5), draw(0, 2, 3, 4))
    with pytest.raises(ConfigError, match=r"memory has shape \(2, 3, 5\), expected \(N, S, 4\)"):
        heads(2, 4, 4).forward(draw(0, 2, 3, 4), draw(0, 2, 3, 5))


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ConfigError, match="score='cosine'.*'dot', 'general' or 'concat'"):
        random_score("cosine", 2, 2, np.random.default_rng(0))
