"""The recurrent layers agree with PyTorch's own, in float64, forward and backward."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from malmoi.errors import ConfigError
from malmoi.layers.noise import Noise
from malmoi.models.gru import GRULayer
from malmoi.models.lstm import LSTMLayer
from malmoi.models.options.recurrent import GRUConfig, LSTMConfig, RNNConfig
from malmoi.models.recurrent import RecurrentLanguageModel, RecurrentLayer
from malmoi.models.registry import RUNGS, build_model, find_rung
from malmoi.models.rnn import RNNLayer

LAYERS = {LSTMLayer: nn.LSTM, GRULayer: nn.GRU, RNNLayer: nn.RNN}
T, B, X, H = 6, 3, 5, 7  # steps, sequences, input size, hidden size


def paired(layer_class: type[RecurrentLayer]) -> tuple[RecurrentLayer, nn.RNNBase]:
    """Our layer and PyTorch's with the same float64 weights."""
    ours, theirs = layer_class(X, H).double(), LAYERS[layer_class](X, H).double()
    hidden_bias = torch.zeros_like(theirs.bias_hh_l0) if ours.from_hidden.bias is None else ours.from_hidden.bias
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.from_input.weight,
            "weight_hh_l0": ours.from_hidden.weight,
            "bias_ih_l0": ours.from_input.bias,
            "bias_hh_l0": hidden_bias,
        }
    )
    return ours, theirs


def run_theirs(theirs: nn.RNNBase, x: Tensor, state: tuple[Tensor, ...]) -> Tensor:
    start = tuple(part[None] for part in state)
    return theirs(x, start if len(start) > 1 else start[0])[0]


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_layer_and_its_gradients_agree_with_torch(layer_class: type[RecurrentLayer]) -> None:
    torch.manual_seed(3)
    ours, theirs = paired(layer_class)
    x = torch.randn(T, B, X, dtype=torch.float64)
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(ours.n_states))
    seen = torch.randn(T, B, H, dtype=torch.float64)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    outputs, _ = ours(x_ours, state)
    expected = run_theirs(theirs, x_theirs, state)
    assert_close(outputs, expected, rtol=1e-10, atol=1e-10)
    (outputs * seen).sum().backward()
    (expected * seen).sum().backward()
    assert_close(x_ours.grad, x_theirs.grad, rtol=1e-10, atol=1e-10)
    assert_close(ours.from_input.weight.grad, theirs.weight_ih_l0.grad, rtol=1e-10, atol=1e-10)
    assert_close(ours.from_hidden.weight.grad, theirs.weight_hh_l0.grad, rtol=1e-10, atol=1e-10)
    assert_close(ours.from_input.bias.grad, theirs.bias_ih_l0.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_the_fused_path_gives_the_numbers_of_the_cell(layer_class: type[RecurrentLayer]) -> None:
    torch.manual_seed(4)
    layer = layer_class(X, H).double()
    x = torch.randn(T, B, X, dtype=torch.float64)
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(layer.n_states))
    by_cell, last = layer(x, state)
    fused, fused_last = layer.fused(x, state, layer.from_hidden.weight)
    assert_close(fused, by_cell, rtol=1e-12, atol=1e-12)
    assert_close(fused_last, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer_class", [LSTMLayer, RNNLayer])
def test_the_bfloat16_path_and_its_gradients_are_the_float64_ones_rounded(layer_class: type[RecurrentLayer]) -> None:
    """Rounding or bug? Errors stay near 2**-8, the spacing of bfloat16; a wrong gate or index would be of order 1."""
    torch.manual_seed(5)
    layer = layer_class(24, 40)
    for parameter in layer.parameters():
        parameter.data = parameter.data.bfloat16().float()
    exact = layer_class(24, 40).double()
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(9, 4, 24).bfloat16()
    state = tuple(torch.randn(4, 40).bfloat16().float() for _ in range(layer.n_states))
    seen, last_seen = torch.randn(9, 4, 40).bfloat16(), torch.randn(4, 40)
    rows = []
    for module, dtype in ((layer, torch.bfloat16), (exact, torch.float64)):
        inputs = x.to(dtype, copy=True).requires_grad_()
        kept = torch.float64 if dtype == torch.float64 else torch.float32
        start = [part.to(kept, copy=True).requires_grad_() for part in state]
        outputs, after = module(inputs, tuple(start))
        ((outputs * seen.to(dtype)).double().sum() + (after[-1] * last_seen).double().sum()).backward()
        gradients = [parameter.grad for parameter in module.parameters()]
        rows.append([outputs, after[-1], inputs.grad, *[part.grad for part in start], *gradients])
    for got, want in zip(*rows, strict=True):
        assert got is not None
        assert want is not None
        error = (got.double() - want).norm() / want.norm()
        assert error < 0.01, error


@pytest.mark.parametrize("config", [LSTMConfig, GRUConfig, RNNConfig])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_agree_with_a_stack_of_torch_modules(config: type[LSTMConfig], tied: bool) -> None:
    torch.manual_seed(6)
    rung = next(rung for rung in RUNGS.values() if rung.config is config)
    model = build_model(
        rung, config(vocab_size=11, embed_dim=5, hidden_size=7, n_layers=3, tie_embeddings=tied)
    ).double()
    token_ids = torch.randint(11, (B, T))
    x = model.embedding.weight[token_ids].transpose(0, 1)
    for layer in model.layers:
        theirs = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[rung.name](
            layer.input_size, layer.hidden_size
        ).double()
        bias = layer.from_hidden.bias
        theirs.load_state_dict(
            {
                "weight_ih_l0": layer.from_input.weight,
                "weight_hh_l0": layer.from_hidden.weight,
                "bias_ih_l0": layer.from_input.bias,
                "bias_hh_l0": torch.zeros_like(theirs.bias_hh_l0) if bias is None else bias,
            }
        )
        x, _ = theirs(x)
    assert_close(model(token_ids)[0], x.transpose(0, 1) @ model.output.weight.t(), rtol=1e-12, atol=1e-12)
    assert (model.output.weight is model.embedding.weight) == tied


@settings(max_examples=8, deadline=None)
@given(split=st.integers(1, 11), name=st.sampled_from(["rnn", "lstm", "gru"]))
def test_a_window_boundary_changes_nothing(split: int, name: str) -> None:
    torch.manual_seed(7)
    rung = RUNGS[name]
    model = build_model(rung, rung.config(vocab_size=13, embed_dim=6, hidden_size=8)).double()
    token_ids = torch.randint(13, (2, 12))
    whole, _ = model(token_ids)
    first, state = model(token_ids[:, :split])
    second, _ = model(token_ids[:, split:], state)
    assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)


def small(**options: object) -> RecurrentLanguageModel:
    config = LSTMConfig.parse({"vocab_size": 17, "embed_dim": 6, "hidden_size": 8, **options})
    return build_model(find_rung("lstm"), config, seed=1)


def test_gradients_of_the_whole_model_by_finite_differences() -> None:
    model = small(tie_embeddings=False, hidden_size=3).double()
    token_ids = torch.randint(17, (2, 3))

    def loss(weight: Tensor) -> Tensor:
        return torch.func.functional_call(model, {"layers.1.from_hidden.weight": weight}, (token_ids,))[0].sum()

    weight = model.layers[1].from_hidden.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (weight,))


@pytest.mark.parametrize("where", ["embedding", "input", "hidden", "output", "recurrent"])
def test_each_dropout_acts_in_training_alone_and_changes_with_the_step(where: str) -> None:
    """Weight drop that is silently off is the best known failure of re-implementations (salesforce/awd-lstm-lm#5)."""
    noiseless = {f"dropout_{name}": 0.0 for name in ("embedding", "input", "hidden", "output", "recurrent")}
    model = small(**{**noiseless, f"dropout_{where}": 0.5})
    token_ids = torch.randint(17, (3, 5))
    plain, _ = model(token_ids)
    assert_close(plain, small(**noiseless)(token_ids)[0])
    first, again, second = (model(token_ids, None, Noise(0, step))[0] for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, plain)
    assert not torch.allclose(first, second)


def test_locked_dropout_has_one_mask_for_all_steps_and_plain_dropout_has_many() -> None:
    x = torch.ones(50, 2, 8)
    locked, fresh = (
        small(locked_dropout=is_locked, dropout_hidden=0.5)._drop(x, 0.5, Noise(0, 0)) for is_locked in (True, False)
    )
    assert all(torch.equal(step, locked[0]) for step in locked)
    assert not all(torch.equal(step, fresh[0]) for step in fresh)
    assert set(locked.unique().tolist()) <= {0.0, 2.0}


def test_embedding_dropout_takes_out_whole_words_everywhere_in_the_window() -> None:
    model = small(dropout_embedding=0.5)
    token_ids = torch.arange(17).repeat(2)[:, None]  # every word twice
    x = model._embed(token_ids, Noise(3, 0))[:, 0]
    is_dropped = (x == 0).all(dim=1)
    assert torch.equal(is_dropped[:17], is_dropped[17:])
    assert 0 < is_dropped.sum() < 34
    assert_close(x[~is_dropped], 2 * model.embedding.weight[token_ids[:, 0]][~is_dropped])


def test_the_forget_gate_remembers_at_the_start() -> None:
    layer = small(forget_bias=2.5).layers[0]
    assert torch.equal(layer.from_input.bias[8:16], torch.full((8,), 2.5))
    assert layer.from_input.bias[:8].abs().max() == 0


def test_weights_are_a_function_of_the_seed_alone() -> None:
    config = LSTMConfig(vocab_size=9, embed_dim=4, hidden_size=4)
    models = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        models.append(build_model(find_rung("lstm"), config, seed=5))
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_unknown_option_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="'hiden_size' for LSTMConfig.*Did you mean 'hidden_size'"):
        LSTMConfig.parse({"vocab_size": 5, "hiden_size": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 5, "dropout_hidden": 1.5}, "dropout_hidden=1.5 does not fit"),
        ({"vocab_size": 0}, "vocab_size=0 does not fit"),
        ({"vocab_size": 5, "forget_bias": 99.0}, "forget_bias=99.0 saturates the gate"),
    ],
)
def test_a_value_out_of_range_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LSTMConfig.parse(values)


def test_an_unknown_rung_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no rung named 'lsmt'.*Did you mean lstm"):
        find_rung("lsmt")


def test_tied_layers_end_as_wide_as_the_embeddings() -> None:
    assert LSTMConfig(vocab_size=5, embed_dim=4, hidden_size=9, n_layers=3).layer_sizes() == [(4, 9), (9, 9), (9, 4)]
    untied = LSTMConfig(vocab_size=5, embed_dim=4, hidden_size=9, n_layers=2, tie_embeddings=False)
    assert untied.layer_sizes() == [(4, 9), (9, 9)]
    assert np.prod(build_model(find_rung("lstm"), untied).output.weight.shape) == 5 * 9
