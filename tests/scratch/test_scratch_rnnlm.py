"""Recurrent language models in NumPy: gradients, agreement with the PyTorch rungs, state, training, generation, files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from malmoi.arrays import write_arrays
from malmoi.errors import ConfigError, DataError, RunError, TrainingError
from malmoi.models.options.recurrent import GRUConfig, LSTMConfig, RecurrentConfig, RNNConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.scratch.functions import softmax
from malmoi.scratch.gradients import check_gradients, relative_error
from malmoi.scratch.optimisers import SGD, remove_duplicates
from malmoi.scratch.recurrent import TimeGRU
from malmoi.scratch.rnnlm import (
    BetterRnnlm,
    RecurrentNetwork,
    Rnnlm,
    SimpleRnnlm,
    eval_perplexity,
    random_embedding,
    random_output,
)
from malmoi.scratch.trainer_rnnlm import RnnlmTrainer

V, D, H = 11, 5, 7
N, T = 3, 4
Array = np.ndarray


Sizes = tuple[int, int, int]  # V, D, H
SIZES = (V, D, H)


def gru_network(rng: np.random.Generator, dtype: Any, sizes: Sizes) -> RecurrentNetwork:
    V, D, H = sizes
    embedding = random_embedding(V, D, rng, dtype)
    shapes = ((D, 3 * H), (H, 3 * H), (3 * H,), (3 * H,))
    layer = TimeGRU(*(rng.normal(size=shape).astype(dtype) for shape in shapes), stateful=True)
    return RecurrentNetwork(embedding, [layer], random_output(embedding, H, False, rng, dtype))


def untied(rng: np.random.Generator, dtype: Any, sizes: Sizes) -> RecurrentNetwork:
    return BetterRnnlm(*sizes, 0.5, rng=rng, n_layers=3, tie_weights=False, dtype=dtype)


BUILDERS: dict[str, Callable[[np.random.Generator, Any, Sizes], RecurrentNetwork]] = {
    "simple": lambda rng, dtype, sizes: SimpleRnnlm(*sizes, rng=rng, dtype=dtype),
    "lstm": lambda rng, dtype, sizes: Rnnlm(*sizes, rng=rng, dtype=dtype),
    "better, tied": lambda rng, dtype, sizes: BetterRnnlm(*sizes, 0.5, rng=rng, dtype=dtype),
    "better, untied": untied,
    "gru": gru_network,
}
CONFIGS: dict[str, tuple[str, RecurrentConfig]] = {
    "simple": ("rnn", RNNConfig(vocab_size=V, embed_dim=D, hidden_size=H, tie_embeddings=False)),
    "lstm": ("lstm", LSTMConfig(vocab_size=V, embed_dim=D, hidden_size=H, n_layers=1, tie_embeddings=False)),
    "better, tied": ("lstm", LSTMConfig(vocab_size=V, embed_dim=D, hidden_size=H)),
    "better, untied": ("lstm", LSTMConfig(vocab_size=V, embed_dim=D, hidden_size=H, n_layers=3, tie_embeddings=False)),
    "gru": ("gru", GRUConfig(vocab_size=V, embed_dim=D, hidden_size=H, n_layers=1, tie_embeddings=False)),
}
each_network = pytest.mark.parametrize("kind", BUILDERS)


def build(kind: str, dtype: Any = np.float64, scale: float = 0.1, sizes: Sizes = SIZES) -> RecurrentNetwork:
    """A network whose embeddings have this spread."""
    network = BUILDERS[kind](np.random.default_rng(1), dtype, sizes)
    network.embedding.params[0][...] = np.random.default_rng(2).normal(0, scale, sizes[:2])
    return network


def ids_of(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).integers(0, V, shape)


@each_network
def test_gradients_pass_the_numerical_check(kind: str) -> None:
    network = build(kind, scale=1.0, sizes=(5, 2, 3))  # every weight takes two runs
    ids, targets = ids_of(1, 2, 3) % 5, ids_of(2, 2, 3) % 5
    targets[1, 2:] = -1

    def run() -> float:
        network.reset_state()
        for dropout in network.dropouts:
            dropout.rng = np.random.default_rng(3)  # the same masks each time
        loss = network.forward(ids, targets)
        network.backward()
        return loss

    assert check_gradients(network, run) <= 1e-6


@each_network
def test_loss_and_gradients_agree_with_the_torch_rung_on_copied_weights(kind: str) -> None:
    rung, config = CONFIGS[kind]
    theirs = build_model(find_rung(rung), config).double()
    parameters = dict(theirs.named_parameters())
    network = build(kind)
    network.load_arrays({name: parameter.detach().numpy() for name, parameter in parameters.items()})
    ids, targets = ids_of(1, N, T), ids_of(2, N, T)
    logits, _ = theirs(torch.tensor(ids))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).reshape(-1))
    expected.backward()
    assert relative_error(network.predict(ids), logits.detach().numpy()) <= 1e-10
    network.reset_state()
    assert network.forward(ids, targets, train_flag=False) == pytest.approx(expected.item(), rel=1e-10)
    network.backward()
    params, grads = remove_duplicates(network.params, network.grads)
    for weight, gradient in zip(params, grads, strict=True):
        weight[...] = gradient  # so that they have the names of the weights
    for name, gradient in network.arrays().items():
        assert relative_error(gradient, parameters[name].grad.numpy()) <= 1e-10, name


@each_network
def test_two_windows_are_read_as_one_text(kind: str) -> None:
    network = build(kind)
    ids = ids_of(1, N, 9)
    whole = network.predict(ids)
    network.reset_state()
    parts = [network.predict(ids[:, :4]), network.predict(ids[:, 4:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-12)


@each_network
def test_padding_and_batch_neighbours_change_nothing(kind: str) -> None:
    network = build(kind)
    ids, targets = ids_of(1, N, T), ids_of(2, N, T)
    expected = network.forward(ids, targets, train_flag=False)
    network.backward()
    gradients = [gradient.copy() for gradient in network.grads]
    network.reset_state()
    padded_ids, marks = np.zeros((N + 1, T + 2), np.int64), np.full((N + 1, T + 2), -1)
    padded_ids[:N, :T], marks[:N, :T] = ids, targets
    assert network.forward(padded_ids, marks, train_flag=False) == pytest.approx(expected, rel=1e-12)
    network.backward()
    for gradient, before in zip(network.grads, gradients, strict=True):
        np.testing.assert_allclose(gradient, before, rtol=0, atol=1e-12)


def test_dropout_acts_in_training_alone() -> None:
    network = build("better, tied", np.float32, scale=0.5)
    ids, targets = ids_of(1, N, T), ids_of(2, N, T)
    losses = []
    for train_flag in (False, False, True, True):
        network.reset_state()
        losses.append(network.forward(ids, targets, train_flag))
    assert losses[0] == losses[1]
    assert len({losses[0], losses[2], losses[3]}) == 3


def test_a_fresh_network_is_close_to_uniform() -> None:
    network = Rnnlm(1000, rng=np.random.default_rng(0))
    assert network.forward(np.zeros((2, 3), np.int64), np.ones((2, 3), np.int64)) == pytest.approx(
        math.log(1000), abs=0.05
    )


# Generation


@each_network
def test_generation_repeats_under_a_seed_and_leaves_the_state_alone(kind: str) -> None:
    network = build(kind, scale=2.0)
    ids = ids_of(1, N, T)
    network.predict(ids)
    state = network.carried
    texts = [network.generate([3, 4], (), 20, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][:2] == [3, 4]
    assert len(texts[0]) == 22
    for kept, now in zip(state, network.carried, strict=True):
        assert all(a is b for a, b in zip(kept, now, strict=True))


def test_generation_skips_stops_and_takes_the_likeliest() -> None:
    network = build("lstm", scale=3.0)
    skipped = list(range(5))
    assert set(network.generate([7], skipped, 60)[1:]) == set(range(5, V))
    text = network.generate([7], (), 500, eos_id=3)
    assert text[-1] == 3
    assert 3 not in text[:-1]
    greedy = network.generate([7], (), 5, temperature=0)
    for place in range(1, 6):
        with network.apart():
            assert greedy[place] == network.predict(np.array([greedy[:place]]))[0, -1].argmax()


def test_generation_draws_from_the_distribution() -> None:
    network = build("simple", scale=2.0)
    with network.apart():
        expected = softmax(network.predict(np.array([[7]]))[0, 0])
    rng = np.random.default_rng(0)
    drawn = [network.generate([7], (), 1, rng)[1] for _ in range(600)]
    np.testing.assert_allclose(np.bincount(drawn, minlength=V) / 600, expected, rtol=0, atol=0.06)


def test_requests_to_generate_that_make_no_sense_are_refused() -> None:
    network = build("lstm")
    with pytest.raises(ConfigError, match="start_ids is empty"):
        network.generate([])
    with pytest.raises(ConfigError, match="skip_ids names all 11 tokens"):
        network.generate([3], range(V))
    with pytest.raises(DataError, match="skip_ids holds 11"):
        network.generate([3], [V])
    with pytest.raises(ConfigError, match="temperature=-1"):
        network.generate([3], temperature=-1.0)
    with pytest.raises(DataError, match="ids holds 99"):
        network.generate([99])


# Files


@each_network
def test_weights_come_back_from_a_file_bit_for_bit(kind: str, tmp_path: Path) -> None:
    network, other = build(kind, np.float32), build(kind, np.float32, scale=2.0)
    network.save(tmp_path / "model.safetensors")
    other.load(tmp_path / "model.safetensors")
    for ours, theirs in zip(network.params, other.params, strict=True):
        assert (ours == theirs).all()
    ids = ids_of(1, N, T)
    assert (network.predict(ids) == other.predict(ids)).all()
    rung, config = CONFIGS[kind]
    expected = {name: tuple(value.shape) for name, value in build_model(find_rung(rung), config).named_parameters()}
    assert {name: array.shape for name, array in network.arrays().items()} == expected


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = build("lstm")
    path = tmp_path / "model.safetensors"
    build("simple").save(path)
    with pytest.raises(RunError, match=r"layers.0.from_hidden.weight: .* shape \(7, 7\), this network's \(28, 7\)"):
        network.load(path)
    build("better, tied").save(path)
    with pytest.raises(RunError, match=r"Build the network with the sizes, the number of layers and the tying"):
        network.load(path)
    arrays = network.arrays()
    arrays["output.bias"][3] = np.inf
    write_arrays(path, arrays)
    with pytest.raises(RunError, match=r"output.bias holds inf at \(3,\)"):
        network.load(path)
    with pytest.raises(RunError, match="is missing"):
        network.load(tmp_path / "nothing")


# Perplexity and training


def test_perplexity_of_a_text_does_not_depend_on_the_window_and_leaves_the_state_alone() -> None:
    network = build("lstm", scale=2.0)
    text = ids_of(4, 40)
    inputs = text[None, :-1]
    with network.apart():
        log_probs = np.log(softmax(network.predict(inputs)))[0]
    expected = math.exp(-log_probs[np.arange(39), text[1:]].mean())
    network.predict(ids_of(1, N, T))
    state = network.carried
    for time_size in (1, 7, 35, 100):
        assert eval_perplexity(network, text, time_size=time_size) == pytest.approx(expected, rel=1e-10)
    assert eval_perplexity(network, text, batch_size=3) != pytest.approx(expected, rel=1e-3)
    assert network.carried[0][0] is state[0][0]


def lines(n_lines: int) -> Array:
    """A text in which every token but the line end follows from the one before."""
    return np.tile(np.array([4, 5, 6, 7, 8, 3]), n_lines)


def test_training_learns_a_simple_text_and_draws_its_curve(tmp_path: Path) -> None:
    network = SimpleRnnlm(V, D, H, rng=np.random.default_rng(0))
    trainer = RnnlmTrainer(network, SGD(2.0))
    text = lines(40)
    curve = trainer.fit(text[:-1], text[1:], max_epoch=12, batch_size=4, time_size=7, max_grad=0.5, eval_interval=9)
    n_steps = 12 * math.ceil(239 // 4 / 7)
    assert trainer.n_steps == n_steps == curve.x[-1]
    assert curve.x[:2] == [9, 18]
    assert curve.y[0] > 2 > 1.2 > curve.y[-1]
    assert eval_perplexity(network, text) < 1.2
    assert network.generate([3], (), 6, temperature=0) == [3, 4, 5, 6, 7, 8, 3]
    trainer.fit(text[:-1], text[1:], max_epoch=1, batch_size=4, time_size=7)
    assert curve.x[-1] == n_steps + 9
    trainer.plot(tmp_path / "curve.html")
    assert "perplexity" in (tmp_path / "curve.html").read_text(encoding="utf-8")


def test_training_reads_every_stream_in_order_and_begins_an_epoch_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("simple")
    seen: list[tuple[Array, bool]] = []
    forward = network.forward

    def watched(ids: Array, targets: Array) -> float:
        assert (targets == (ids + 1) % V).all()
        seen.append((ids.copy(), network.carried[0][0] is None))
        return forward(ids, targets)

    monkeypatch.setattr(network, "forward", watched)
    text = np.arange(24) % V
    RnnlmTrainer(network, SGD(0.1)).fit(text[:-1], text[1:], max_epoch=2, batch_size=2, time_size=4)
    assert [ids.shape for ids, _ in seen] == 2 * [(2, 4), (2, 4), (2, 3)]
    assert [is_fresh for _, is_fresh in seen] == 2 * [True, False, False]
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in seen[:3]], axis=1), text[:22].reshape(2, 11))


def test_training_that_is_interrupted_keeps_its_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("simple")
    trainer = RnnlmTrainer(network, SGD(0.1))
    forward, n_calls = network.forward, 0

    def pressed(ids: Array, targets: Array) -> float:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 5:
            raise KeyboardInterrupt
        return forward(ids, targets)

    monkeypatch.setattr(network, "forward", pressed)
    text = lines(20)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(text[:-1], text[1:], batch_size=2, time_size=5, eval_interval=2)
    assert trainer.curve.x == [2, 4, 5]
    assert all(4 < value < 100 for value in trainer.curve.y)


def test_clipping_and_tied_weights_take_one_step_as_written() -> None:
    network = BetterRnnlm(V, D, H, 0.0, rng=np.random.default_rng(0), dtype=np.float64)
    twin = BetterRnnlm(V, D, H, 0.0, rng=np.random.default_rng(0), dtype=np.float64)
    text = ids_of(3, 21)
    RnnlmTrainer(network, SGD(0.5)).fit(text[:-1], text[1:], max_epoch=1, batch_size=2, time_size=10, max_grad=0.1)
    twin.forward(text[:20].reshape(2, 10), text[1:].reshape(2, 10))
    twin.backward()
    params, grads = remove_duplicates(twin.params, twin.grads)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in grads))
    assert norm > 0.1
    for weight, gradient in zip(params, grads, strict=True):
        weight -= 0.5 * gradient * 0.1 / norm
    for ours, theirs in zip(network.params, twin.params, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert network.embedding.params[0] is network.output.params[0]


def test_training_requests_that_cannot_be_met_are_refused() -> None:
    network = build("simple")
    trainer, text = RnnlmTrainer(network, SGD(0.1)), lines(5)
    with pytest.raises(DataError, match=r"text has 29 tokens, too few for batch_size=2 streams .* time_size=35"):
        trainer.fit(text[:-1], text[1:], batch_size=2, time_size=35)
    with pytest.raises(DataError, match="text has 0 tokens"):
        eval_perplexity(network, text[:1])
    with pytest.raises(ConfigError, match=r"xs has shape \(30,\) and ts \(29,\).*ids\[:-1\]"):
        trainer.fit(text, text[1:])
    with pytest.raises(ConfigError, match="batch_size=0"):
        trainer.fit(text[:-1], text[1:], batch_size=0)
    with pytest.raises(ConfigError, match="max_epoch=0"):
        trainer.fit(text[:-1], text[1:], max_epoch=0)
    with pytest.raises(DataError, match=r"ts holds 11 at"):
        trainer.fit(text[:-1], text[1:] + 4, batch_size=2, time_size=5)
    network.params[2][1, 1] = np.nan
    with pytest.raises(ConfigError, match=r"params\[2\] holds nan at \(1, 1\)"):
        trainer.fit(text[:-1], text[1:], batch_size=2, time_size=5)


def test_a_training_that_runs_away_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("simple")
    losses = iter([2.5, 2.4, math.nan])
    monkeypatch.setattr(network, "forward", lambda ids, targets: next(losses))
    monkeypatch.setattr(network, "backward", lambda: None)
    trainer, text = RnnlmTrainer(network, SGD(0.1)), lines(20)
    with pytest.raises(TrainingError, match="loss at step 2 is nan.*run away"):
        trainer.fit(text[:-1], text[1:], batch_size=2, time_size=5)
    assert trainer.curve.y == [pytest.approx(math.exp(2.45))]


def test_sizes_below_one_and_batches_that_change_are_refused() -> None:
    rng = np.random.default_rng(0)
    for name in ("vocab_size", "embed_dim", "hidden_size"):
        with pytest.raises(ConfigError, match=f"{name}=0"):
            Rnnlm(**{"vocab_size": V, "embed_dim": D, "hidden_size": H, name: 0}, rng=rng)
    network = build("lstm")
    network.predict(ids_of(1, N, T))
    with pytest.raises(ConfigError, match=r"h has 3 rows, but the window has 2 sequences.*reset_state"):
        network.predict(ids_of(1, 2, T))
    with pytest.raises(ConfigError, match="nothing in it"):
        network.predict(np.zeros((2, 0), np.int64))
