"""The feed-forward language model in NumPy, against the PyTorch rung and finite differences in float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from malmoi.errors import ConfigError, RunError
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.scratch.gradients import check_gradients, relative_error
from malmoi.scratch.nnlm import NNLM
from malmoi.scratch.optimisers import SGD, remove_duplicates
from malmoi.scratch.rnnlm import eval_perplexity
from malmoi.scratch.trainer_rnnlm import RnnlmTrainer

V, D, H, C = 13, 5, 7, 3
N, T = 2, 6
KINDS: dict[str, dict[str, Any]] = {
    "tied, projected": {},
    "tied": {"hidden_size": D},
    "tied, direct": {"direct": True},
    "untied": {"tie": False},
    "untied, direct": {"tie": False, "direct": True},
    "three layers": {"n_layers": 3},
    "window longer than the text": {"context_size": T + 2},
    "window of one": {"context_size": 1},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind: str, dtype: Any = np.float64) -> NNLM:
    options = {"hidden_size": H, "context_size": C, **KINDS[kind]}
    tie = options.pop("tie", True)
    network = NNLM(V, D, **options, tie_weights=tie, start_id=3, rng=np.random.default_rng(1), dtype=dtype)
    network.embedding.params[0][...] = np.random.default_rng(2).normal(0, 1, (V, D))
    return network


def config_of(kind: str) -> NNLMConfig:
    options = {"hidden_size": H, "context_size": C, **KINDS[kind]}
    return NNLMConfig(vocab_size=V, embed_dim=D, tie_embeddings=options.pop("tie", True), **options)


def ids_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).integers(0, V, shape)


@each_kind
def test_gradients_pass_the_numerical_check(kind: str) -> None:
    network = build(kind)
    ids, targets = ids_of(1, N, T), ids_of(2, N, T)
    targets[1, 4:] = -1

    def run() -> float:
        network.reset_state()
        loss = network.forward(ids, targets)
        network.backward()
        return loss

    assert check_gradients(network, run) <= 1e-6


@each_kind
def test_loss_and_gradients_agree_with_the_torch_rung_on_copied_weights(kind: str) -> None:
    theirs = build_model(find_rung("nnlm"), config_of(kind), start_id=3).double()
    parameters = dict(theirs.named_parameters())
    network = build(kind)
    network.load_arrays({name: parameter.detach().numpy() for name, parameter in parameters.items()})
    ids, targets = ids_of(1, N, T), ids_of(2, N, T)
    logits, _ = theirs(torch.tensor(ids))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).reshape(-1))
    expected.backward()
    assert relative_error(network.predict(ids), logits.detach().numpy()) <= 1e-10
    network.reset_state()
    assert network.forward(ids, targets) == pytest.approx(expected.item(), rel=1e-10)
    network.backward()
    params, grads = remove_duplicates(network.params, network.grads)
    for weight, gradient in zip(params, grads, strict=True):
        weight[...] = gradient  # so that they have the names of the weights
    for name, gradient in network.arrays().items():
        assert relative_error(gradient, parameters[name].grad.numpy()) <= 1e-10, name


@each_kind
@pytest.mark.parametrize("split", [1, 2, 5])
def test_two_windows_are_read_as_one_text(kind: str, split: int) -> None:
    network = build(kind)
    ids = ids_of(1, N, T)
    whole = network.predict(ids)
    network.reset_state()
    parts = [network.predict(ids[:, :split]), network.predict(ids[:, split:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-12)


def test_only_the_last_tokens_are_looked_at() -> None:
    network = build("tied")
    ids = ids_of(1, N, T)
    other = ids.copy()
    other[:, 0] = (other[:, 0] + 1) % V
    first = network.predict(ids)
    network.reset_state()
    second = network.predict(other)
    assert not np.allclose(first[:, : C - 1], second[:, : C - 1])
    assert (first[:, C:] == second[:, C:]).all()


def test_it_learns_generates_and_is_stored(tmp_path: Path) -> None:
    network = NNLM(V, D, H, C, start_id=3, rng=np.random.default_rng(0))
    text = np.tile(np.array([4, 5, 6, 4, 7, 3]), 30)
    RnnlmTrainer(network, SGD(1.0)).fit(text[:-1], text[1:], max_epoch=15, batch_size=4, time_size=9, max_grad=1.0)
    assert eval_perplexity(network, text) < 1.2
    assert network.generate([4, 7, 3], (), 6, temperature=0) == [4, 7, 3, 4, 5, 6, 4, 7, 3]
    network.save(tmp_path / "model.safetensors")
    other = NNLM(V, D, H, C, start_id=3, rng=np.random.default_rng(5))
    other.load(tmp_path / "model.safetensors")
    assert all((a == b).all() for a, b in zip(network.params, other.params, strict=True))
    with pytest.raises(RunError, match=r"layers.0.weight: .* shape \(7, 15\), this network's \(7, 20\)"):
        NNLM(V, D, H, 4, start_id=3, rng=np.random.default_rng(5)).load(tmp_path / "model.safetensors")


def test_sizes_that_cannot_be_and_batches_that_change_are_refused() -> None:
    for name in ("hidden_size", "context_size", "n_layers"):
        with pytest.raises(ConfigError, match=f"{name}=0"):
            NNLM(V, D, **{name: 0}, start_id=3, rng=np.random.default_rng(0))
    network = build("tied")
    network.predict(ids_of(1, N, T))
    with pytest.raises(ConfigError, match=r"carried window has 2 rows, but the batch has 1 .*reset_state"):
        network.predict(ids_of(1, 1, T))
