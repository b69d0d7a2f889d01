"""The minimal gated unit against its equations in NumPy, and against its own slow form."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

import malmoi
from malmoi.models.mgu import MGULanguageModel, MGULayer
from malmoi.models.options.mgu import MGUConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.scratch.mgu import TimeMGU
from malmoi.text.sources import TextSource

B, T, SIZE, H = 3, 5, 4, 7
DOCS = Path(__file__).parents[2] / "docs"


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def by_hand(layer: MGULayer, x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Equations 7 to 9 of the paper, gate and candidate each with matrices of their own; (T, B, H)."""
    w_f, w_n = np.split(layer.from_input.weight.detach().numpy(), 2)
    b_f, b_n = np.split(layer.from_input.bias.detach().numpy(), 2)
    u_f, u_n = np.split(layer.from_hidden.weight.detach().numpy(), 2)
    outputs = []
    for x_t in x:
        forget = sigmoid(x_t @ w_f.T + hidden @ u_f.T + b_f)
        candidate = np.tanh(x_t @ w_n.T + (forget * hidden) @ u_n.T + b_n)
        hidden = (1 - forget) * hidden + forget * candidate
        outputs.append(hidden)
    return np.stack(outputs)


def inputs(dtype: torch.dtype) -> tuple[MGULayer, Tensor, Tensor]:
    torch.manual_seed(2)
    layer = MGULayer(SIZE, H).to(dtype)
    return layer, torch.randn(T, B, SIZE, dtype=dtype), torch.randn(B, H, dtype=dtype)


def test_the_cell_is_what_the_paper_says() -> None:
    layer, x, hidden = inputs(torch.float64)
    outputs, (last,) = layer(x, (hidden,))
    want = by_hand(layer, x.numpy(), hidden.numpy())
    assert_close(outputs.detach().numpy(), want, rtol=1e-12, atol=1e-12)
    assert_close(last.detach().numpy(), want[-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_all_steps_at_once_give_the_numbers_and_gradients_of_the_cell(dtype: torch.dtype, error: float) -> None:
    """`fused` reads x in this precision, with weights and states of float32 or float64, as training does."""
    rows = []
    for is_exact in (True, False):
        layer, x, hidden = inputs(torch.float64)
        if not is_exact and dtype != torch.float64:
            layer, x, hidden = layer.float(), x.to(dtype), hidden.float()
        x, hidden = x.requires_grad_(), hidden.requires_grad_()
        outputs, (last,) = layer(x, (hidden,)) if is_exact else layer.fused(x, (hidden,), layer.from_hidden.weight)
        (outputs.double() * torch.arange(H)).sum().backward()
        rows.append([outputs, last, x.grad, hidden.grad, *(parameter.grad for parameter in layer.parameters())])
    for want, got in zip(*rows, strict=True):
        assert want is not None
        assert got is not None
        assert (got.double() - want).norm() / want.norm() < error


def test_gradients_by_finite_differences() -> None:
    layer, x, hidden = inputs(torch.float64)
    hidden.requires_grad_()
    x.requires_grad_()
    weight = layer.from_hidden.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h, w: layer.fused(x, (h,), w)[0], (x, hidden, weight))


@settings(max_examples=8, deadline=None)
@given(split=st.integers(1, 11))
def test_a_window_boundary_changes_nothing(split: int) -> None:
    model = build_model(find_rung("mgu"), MGUConfig(vocab_size=13, embed_dim=6, hidden_size=8), seed=3).double()
    token_ids = torch.randint(13, (2, 12))
    whole, _ = model(token_ids)
    first, state = model(token_ids[:, :split])
    second, _ = model(token_ids[:, split:], state)
    assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)


def test_it_has_two_thirds_of_the_weights_of_a_gru() -> None:
    mgu, gru = (find_rung(name).config(vocab_size=50, embed_dim=32, hidden_size=64) for name in ("mgu", "gru"))
    assert mgu.n_hidden_weights * 3 == gru.n_hidden_weights * 2
    network = build_model(find_rung("mgu"), mgu)
    assert isinstance(network, MGULanguageModel)
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == mgu.weight_shapes()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_worked_by_hand_comes_out(language: str) -> None:
    text = (DOCS / language / "mgu.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    steps = [[float(cell) for cell in row] for row in rows if re.fullmatch("[12]", row[0])]
    words = [[float(cell) for cell in row[1:]] for row in rows if len(row) == 4 and re.fullmatch("-?[12]", row[1])]
    hidden, softmax = 0.0, []
    for _, x, forget, candidate, after in steps:
        f = 1 / (1 + np.exp(-(x + 0.5 * hidden)))
        n = np.tanh(x + 0.5 * f * hidden)
        hidden = (1 - f) * hidden + f * n
        assert (f, n, hidden) == pytest.approx((forget, candidate, after), abs=5.1e-5)
        logits = np.exp([word[0] * hidden for word in words])
        softmax.append(logits / logits.sum())
    assert len(words) == 3
    assert pytest.approx(np.array([word[1:] for word in words]), abs=5.1e-5) == np.array(softmax).T


def test_scratch_agrees_with_pytorch_forwards_and_backwards() -> None:
    layer, x, hidden = inputs(torch.float64)
    weights = [layer.from_input.weight.T, layer.from_hidden.weight.T, layer.from_input.bias]
    ours = TimeMGU(*(weight.detach().numpy().copy() for weight in weights))
    ours.set_state(hidden.numpy())
    x.requires_grad_()
    hidden.requires_grad_()
    want, _ = layer(x, (hidden,))
    d_outputs = torch.randn_like(want)
    want.backward(d_outputs)
    got = ours.forward(x.detach().numpy().swapaxes(0, 1))
    assert_close(got.swapaxes(0, 1), want.detach().numpy(), rtol=1e-12, atol=1e-12)
    d_x = ours.backward(d_outputs.numpy().swapaxes(0, 1))
    assert_close(d_x.swapaxes(0, 1), array(x.grad), rtol=1e-10, atol=1e-12)
    assert_close(ours.dh, array(hidden.grad), rtol=1e-10, atol=1e-12)
    for gradient, weight in zip(
        ours.grads, (layer.from_input.weight, layer.from_hidden.weight, layer.from_input.bias), strict=True
    ):
        assert_close(gradient, array(weight.grad).T, rtol=1e-10, atol=1e-12)


def array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.numpy()


def test_a_trace_tells_the_gates_and_what_they_were_made_of() -> None:
    layer, x, hidden = inputs(torch.float64)
    weights = [layer.from_input.weight.T, layer.from_hidden.weight.T, layer.from_input.bias]
    ours = TimeMGU(*(weight.detach().numpy().copy() for weight in weights))
    ours.set_state(hidden.numpy())
    states = ours.forward(x.numpy().swapaxes(0, 1))
    told = ours.trace(row=1)
    assert told.sums is not None
    assert_close(told.output, states[1], rtol=0, atol=0)
    assert_close(told.from_input + told.from_hidden, told.sums.reshape(T, 2 * H), rtol=1e-15, atol=1e-15)
    assert_close(told.gates, np.stack([sigmoid(told.sums[:, 0]), np.tanh(told.sums[:, 1])], axis=1), rtol=1e-12, atol=0)
    assert told.kept is not None
    assert told.written is not None
    assert_close(told.kept + told.written, told.output, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_a_run_is_explained_as_it_is_scored(engine: str, tmp_path: Path) -> None:
    lines = ["바람이 분다", "비가 온다", "the wind blows"] * 30
    options = {"embed_dim": 6, "hidden_size": 8, "tokenizer": "char", "steps": 5, "evaluate_every": 5}
    malmoi.train("mgu", TextSource.from_texts(lines), out=tmp_path / "run", **options)
    run = malmoi.load(tmp_path / "run", engine=engine)
    found = run.explain("바람이 ", train_step=True)
    assert max(found.agreement.values()) < 1e-4
    assert [step.name for step in found.steps if step.name.startswith(("gates", "hidden"))][:2] == [
        "gates 1",
        "hidden 1",
    ]
    told = run.explain("바람이 ", language="ko")
    assert any("하나뿐인 게이트" in step.sentence for step in told.steps)
