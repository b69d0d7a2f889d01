"""The parts under the models, against independent arithmetic."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from malmoi.layers import output
from malmoi.layers.gates import lstm_backward, lstm_forward
from malmoi.layers.noise import LEVELS, Noise
from malmoi.layers.output import linear_cross_entropy
from malmoi.layers.products import packed_product


def arrays(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [rng.normal(0, 3, shape).astype(np.float32) for shape in shapes]


def test_compiled_gates_agree_with_float64_torch() -> None:
    rng = np.random.default_rng(1)
    rows, size = 5, 37
    gates, before, d_hidden, d_cell = arrays(rng, (rows, 4 * size), (rows, size), (rows, size), (rows, size))
    sums = torch.from_numpy(gates.copy()).double().requires_grad_()
    cell_before = torch.from_numpy(before).double().requires_grad_()
    i, f, g, o = sums.chunk(4, dim=1)
    want_cell = f.sigmoid() * cell_before + i.sigmoid() * g.tanh()
    want_hidden = o.sigmoid() * want_cell.tanh()
    torch.autograd.backward(
        [want_hidden, want_cell], [torch.from_numpy(d_hidden).double(), torch.from_numpy(d_cell).double()]
    )
    cell, tanh, hidden, d_sums = (np.empty((rows, n), np.float32) for n in (size, size, size, 4 * size))
    lstm_forward(gates, before, cell, tanh, hidden)
    lstm_backward(gates, before, tanh, d_hidden, d_cell, d_sums)
    np.testing.assert_allclose(cell, want_cell.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hidden, want_hidden.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d_sums, sums.grad, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(d_cell, cell_before.grad, rtol=1e-4, atol=2e-6)


def test_compiled_gates_saturate_and_let_nan_through() -> None:
    size = 8
    gates = np.zeros((3, 4 * size), np.float32)
    gates[0], gates[1], gates[2] = 1e30, -np.inf, np.nan
    before = np.ones((3, size), np.float32)
    cell, tanh, hidden = (np.empty((3, size), np.float32) for _ in range(3))
    lstm_forward(gates, before, cell, tanh, hidden)
    assert np.allclose(cell[0], 2)  # keep 1, write 1
    assert np.allclose(hidden[1], 0)
    assert np.isnan(hidden[2]).all()


@settings(max_examples=25, deadline=None)
@given(n_tokens=st.integers(1, 40), vocab_size=st.integers(2, 30), piece=st.integers(1, 400), block=st.integers(1, 100))
def test_the_loss_in_pieces_is_cross_entropy(n_tokens: int, vocab_size: int, piece: int, block: int) -> None:
    torch.manual_seed(n_tokens)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64) for shape in ((n_tokens, 3), (vocab_size, 3), (vocab_size,))
    )
    targets = torch.randint(vocab_size, (n_tokens,))
    ours = [part.clone().requires_grad_() for part in (hidden, weight, bias)]
    theirs = [part.clone().requires_grad_() for part in (hidden, weight, bias)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "PIECE_ELEMENTS", piece)
        patch.setattr(output, "BLOCK_ELEMENTS", block)
        loss = linear_cross_entropy(ours[0], ours[1], ours[2], targets)
    expected = F.cross_entropy(F.linear(*theirs), targets)
    (loss * 1.7).backward()
    (expected * 1.7).backward()
    assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-12)


def test_the_compiled_softmax_gradient_is_the_float64_one_rounded() -> None:
    torch.manual_seed(1)
    logits, targets = (6 * torch.randn(7, 333)).bfloat16(), torch.randint(333, (7,))
    exact = logits.double()
    sums, exact_sums = torch.zeros(333), torch.zeros(333, dtype=torch.float64)
    nll = output._softmax_gradient(logits, targets, sums)
    assert nll == pytest.approx(float(output._softmax_gradient(exact, targets, exact_sums)), rel=1e-6)
    assert_close(logits.double(), exact, rtol=2**-8, atol=1e-12)
    assert_close(sums.double(), exact_sums, rtol=1e-4, atol=1e-6)


def test_the_compiled_softmax_lets_nan_through() -> None:
    logits = torch.zeros(2, 5).bfloat16()
    logits[1, 3] = torch.nan
    assert math.isnan(output._softmax_gradient(logits, torch.tensor([0, 1]), torch.zeros(5)))


def test_the_loss_in_bfloat16_is_close_to_the_exact_one() -> None:
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(64, 32), torch.randn(500, 32) / 5, torch.zeros(500)
    targets = torch.randint(500, (64,))
    exact = F.cross_entropy(F.linear(hidden, weight), targets)
    assert_close(linear_cross_entropy(hidden, weight, bias, targets, torch.bfloat16), exact, rtol=2e-3, atol=2e-3)


def test_a_loss_that_is_no_number_stays_one() -> None:
    hidden = torch.full((2, 3), torch.nan)
    assert linear_cross_entropy(hidden, torch.ones(5, 3), torch.zeros(5), torch.tensor([1, 2])).isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_packed_product_is_a_product(dtype: torch.dtype) -> None:
    x, weight, addend = (torch.randn(*shape).to(dtype) for shape in ((4, 33), (21, 33), (4, 21)))
    exact = x.double() @ weight.double().t() + addend.double()
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float64: 1e-12}[dtype]
    assert_close(packed_product(weight, 4)(x, addend).double(), exact, rtol=tolerance, atol=tolerance)


def test_noise_is_a_function_of_seed_and_step_and_keeps_the_mean() -> None:
    like = torch.zeros(1)
    mask = Noise(7, 100).keep((200, 500), 0.3, like)
    assert torch.equal(mask, Noise(7, 100).keep((200, 500), 0.3, like))
    assert not torch.equal(mask, Noise(7, 101).keep((200, 500), 0.3, like))
    assert not torch.equal(mask, Noise(8, 100).keep((200, 500), 0.3, like))
    assert float((mask == 0).double().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(mask.mean()) == pytest.approx(1, abs=0.01)


def test_one_step_draws_different_masks_in_a_row() -> None:
    noise, like = Noise(1, 1), torch.zeros(1)
    assert not torch.equal(noise.keep((64,), 0.5, like), noise.keep((64,), 0.5, like))


def test_a_device_that_draws_its_own_masks_draws_the_same_for_the_same_step() -> None:
    """What a GPU would do, done here by the generator of this device."""

    def masks(seed: int, step: int) -> list[torch.Tensor]:
        noise = Noise(seed, step)
        return [noise._there((40, 50), threshold, torch.device("cpu")) for threshold in (LEVELS // 4, LEVELS // 4)]

    first, second = masks(7, 12)
    assert torch.equal(first, masks(7, 12)[0])
    assert torch.equal(second, masks(7, 12)[1])
    assert not torch.equal(first, second)  # each purpose has its own
    assert not torch.equal(first, masks(7, 13)[0])
    assert not torch.equal(first, masks(8, 12)[0])
    assert float((~first).float().mean()) == pytest.approx(0.25, abs=0.04)  # 3.6 standard deviations of 2,000 draws


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_masks_of_a_gpu_are_drawn_there() -> None:
    like = torch.zeros(3, device="cuda", dtype=torch.bfloat16)
    first, again = (Noise(3, 9).keep((64, 65), 0.5, like) for _ in range(2))
    assert first.device == like.device
    assert first.dtype == like.dtype
    assert torch.equal(first, again)
    assert set(first.unique().tolist()) == {0.0, 2.0}
