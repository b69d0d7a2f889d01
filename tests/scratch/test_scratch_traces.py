"""A trace holds the numbers of the very network: its predictions, its gradients, and the step that training would make."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from malmoi.errors import ConfigError, DataError, MalmoiError
from malmoi.models.options.base import NeuralConfig
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.options.recurrent import GRUConfig, LSTMConfig, RNNConfig
from malmoi.scratch.conversion import network_of, traced_network_of
from malmoi.scratch.functions import back_in_blocks, length, log_softmax, scores_in_blocks
from malmoi.scratch.gradients import numerical_gradient
from malmoi.scratch.nnlm import NNLM
from malmoi.scratch.recurrent import TimeLSTM
from malmoi.scratch.rnnlm import BetterRnnlm, Rnnlm, SimpleRnnlm, TracedNetwork
from malmoi.scratch.traces import PredictionTrace, RecurrentTrace, WindowTrace

V, IDS, START = 11, np.array([3, 5, 1, 5, 9]), 3  # 3: the end of a line
SIZES = {"vocab_size": V, "embed_dim": 5, "hidden_size": 7}
CONFIGS: list[NeuralConfig] = [
    RNNConfig(**SIZES, n_layers=1, tie_embeddings=False),
    RNNConfig(**SIZES, n_layers=2),
    LSTMConfig(**SIZES, n_layers=2),
    LSTMConfig(**SIZES, n_layers=1, tie_embeddings=False),
    GRUConfig(**SIZES, n_layers=2),
    GRUConfig(**SIZES, n_layers=1, tie_embeddings=False),
    NNLMConfig(**SIZES, context_size=3, n_layers=2),
    NNLMConfig(**SIZES, context_size=2, direct=True),
    NNLMConfig(**SIZES, context_size=2, direct=True, tie_embeddings=False),
    NNLMConfig(**{**SIZES, "embed_dim": 7}, context_size=7),
]
every_config = pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: f"{type(c).__name__} {'tied' if c.tie_embeddings else ''}"
)


def weights(config: NeuralConfig, seed: int = 7) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.standard_normal(shape) for name, shape in config.weight_shapes().items()}


def pair(config: NeuralConfig) -> tuple[TracedNetwork, TracedNetwork]:
    """The network to trace, and the ordinary one with the same weights."""
    return traced_network_of(config, weights(config), START), network_of(config, weights(config), START)


def parts(found: PredictionTrace) -> Sequence[RecurrentTrace]:
    return [layer for layer in found.layers if isinstance(layer, RecurrentTrace)]


@every_config
def test_a_trace_ends_where_the_network_does(config: NeuralConfig) -> None:
    traced, plain = pair(config)
    found = traced.trace(IDS)
    logits = plain.predict(IDS[None])[0, -1]
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.log_probs, log_softmax(logits), rtol=1e-12)
    assert found.probs.sum() == pytest.approx(1)
    assert found.rows.shape == (len(found.ids), config.embed_dim)
    np.testing.assert_array_equal(plain.trace(IDS).logits.shape, (V,))


@every_config
def test_a_trace_goes_on_from_what_was_read_and_leaves_it(config: NeuralConfig) -> None:
    traced, plain = pair(config)
    before = IDS[None, :2] if not isinstance(config, NNLMConfig) else np.resize(IDS, (1, config.context_size))
    plain.predict(before)
    traced.carried = plain.carried
    found = [traced.trace(IDS[2:]).log_probs for _ in range(2)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], log_softmax(plain.predict(IDS[None, 2:])[0, -1]), rtol=1e-12)


@every_config
def test_the_step_is_that_of_training(config: NeuralConfig) -> None:
    """With the gradients of `backward`, and the weights really moved."""
    traced, plain = pair(config)
    found = traced.trace(IDS)
    step = traced.trace_step(IDS, 4, 0.3)
    targets = np.full((1, len(IDS)), -1)
    targets[0, -1] = 4
    plain.reset_state()
    assert plain.forward(IDS[None], targets, train_flag=False) == pytest.approx(-found.log_probs[4], rel=1e-12)
    plain.backward()
    gradients = dict(zip(names(plain), plain.grads, strict=True))
    if config.tie_embeddings:
        gradients["embedding.weight"] = gradients["embedding.weight"] + gradients.pop("output.weight")
    told = {name: one.gradient for name, one in step.lengths.items()}
    assert told == pytest.approx({name: length(gradient) for name, gradient in gradients.items()}, rel=1e-10)
    own = {name: length(array) for name, array in weights(config).items()}
    assert {name: one.weight for name, one in step.lengths.items()} == pytest.approx(own, rel=1e-12)
    np.testing.assert_allclose(step.rows.of(np.arange(V)), gradients["embedding.weight"], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        step.rows.lengths(), np.linalg.norm(gradients["embedding.weight"][step.rows.ids], axis=1)
    )
    for weight, gradient in zip(plain.params, plain.grads, strict=True):  # a tied table moves by both of its gradients
        weight -= 0.3 * gradient
    plain.reset_state()
    np.testing.assert_allclose(step.log_probs, log_softmax(plain.predict(IDS[None])[0, -1]), rtol=1e-9)
    np.testing.assert_array_equal(traced.trace(IDS).log_probs, found.log_probs)  # it is left as it was


def names(network: TracedNetwork) -> list[str]:
    """Of the parameters, in their order."""
    return ["embedding.weight", *(name for name, _, _ in network._hidden_named()), "output.weight", "output.bias"]


def test_what_lies_between_is_what_the_equations_say() -> None:
    rng = np.random.default_rng(1)
    rnn, lstm = SimpleRnnlm(V, 5, 7, rng=rng, dtype=np.float64), Rnnlm(V, 5, 7, rng=rng, dtype=np.float64)
    (told,) = parts(rnn.trace(IDS))
    np.testing.assert_allclose(told.sums, told.from_input[:, None] + told.from_hidden[:, None])
    np.testing.assert_allclose(told.output, np.tanh(told.sums[:, 0]))
    (told,) = parts(lstm.trace(IDS))
    i, f, g, o = told.gates.swapaxes(0, 1)
    np.testing.assert_allclose(np.tanh(told.sums[:, 2]), g)
    np.testing.assert_allclose(1 / (1 + np.exp(-told.sums[:, 1])), f)
    np.testing.assert_allclose(told.kept, f * told.cell[:-1])
    np.testing.assert_allclose(told.written, i * g)
    np.testing.assert_allclose(told.cell[1:], told.kept + told.written)
    np.testing.assert_allclose(told.dropped + told.kept, told.cell[:-1])
    np.testing.assert_allclose(told.output, o * np.tanh(told.cell[1:]))
    (told,) = parts(traced_network_of(CONFIGS[5], weights(CONFIGS[5]), START).trace(IDS))
    assert told.sums is None
    assert told.cell is None
    r, z, n = told.gates.swapaxes(0, 1)
    size = n.shape[1]
    np.testing.assert_allclose(np.tanh(told.from_input[:, 2 * size :] + r * told.from_hidden[:, 2 * size :]), n)
    np.testing.assert_allclose(told.kept, z * told.hidden[:-1])
    np.testing.assert_allclose(told.kept + told.written, told.output)


def test_the_gradients_of_a_traced_step_by_finite_differences() -> None:
    network = BetterRnnlm(V, 5, 7, rng=np.random.default_rng(2), dtype=np.float64)
    step = network.trace_step(IDS, 4, 0.1)
    table = network.embedding.params[0]

    def loss() -> float:
        return -float(network.trace(IDS).log_probs[4])

    np.testing.assert_allclose(step.rows.of(np.arange(V)), numerical_gradient(loss, table), rtol=1e-6, atol=1e-9)
    assert step.error.sum() == pytest.approx(0, abs=1e-14)
    assert [layer.hidden.shape for layer in step.layers] == [(5, 7), (5, 5)]
    np.testing.assert_allclose(step.layers[-1].hidden[-1], step.d_top)
    np.testing.assert_allclose(step.layers[0].x, step.d_rows)


@pytest.mark.parametrize("make", [SimpleRnnlm, Rnnlm])
def test_the_numbers_of_the_last_tokens_alone(make: Callable[..., TracedNetwork]) -> None:
    network = make(V, 5, 7, rng=np.random.default_rng(3), dtype=np.float64)
    whole, last = network.trace(IDS), network.trace(IDS, n_last=2)
    np.testing.assert_allclose(last.logits, whole.logits, rtol=1e-12)
    np.testing.assert_array_equal(last.ids, IDS[-2:])
    np.testing.assert_allclose(parts(last)[0].gates, parts(whole)[0].gates[-2:], rtol=1e-12)
    assert parts(last)[0].hidden.shape == (3, 7)
    step, short = network.trace_step(IDS, 4, 0.1), network.trace_step(IDS, 4, 0.1, n_last=2)
    assert short.d_rows.shape == (2, 5)
    np.testing.assert_allclose(short.d_rows, step.d_rows[-2:], rtol=1e-10)


def test_a_window_is_traced_as_it_is_read() -> None:
    network = NNLM(V, 5, 7, 3, start_id=START, rng=np.random.default_rng(4), direct=True, dtype=np.float64)
    found = network.trace(IDS[:2])
    assert isinstance(found, WindowTrace)
    assert found.ids.tolist() == [3, *IDS[:2]]  # the end of a line stands before a text
    (told,) = found.layers
    np.testing.assert_allclose(told.hidden, np.tanh(told.sums))
    assert found.past is not None
    np.testing.assert_allclose(found.top, found.projected + found.past)


def test_tables_of_a_run_are_not_copied() -> None:
    config = LSTMConfig(**SIZES, n_layers=1)
    stored = {name: array.astype(np.float32) for name, array in weights(config).items()}
    network = traced_network_of(config, stored, START)
    assert network.embedding.params[0] is stored["embedding.weight"]
    assert network.output.params[0] is stored["embedding.weight"]
    found = network.trace(IDS)
    assert found.logits.dtype == np.float64
    double = traced_network_of(config, {name: array.astype(np.float64) for name, array in stored.items()}, START)
    np.testing.assert_array_equal(found.logits, double.trace(IDS).logits)


def test_products_by_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    W, h, d = rng.standard_normal((13, 3)).astype(np.float32), rng.standard_normal(3), rng.standard_normal(13)
    monkeypatch.setattr("malmoi.scratch.functions.BLOCK", 12)  # four rows at a time
    np.testing.assert_allclose(scores_in_blocks(W, h), W.astype(np.float64) @ h, rtol=1e-13)
    np.testing.assert_allclose(back_in_blocks(d, W), d @ W.astype(np.float64), rtol=1e-13)
    assert length(np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)) == 5


@pytest.mark.parametrize(
    ("ids", "kind", "message"),
    [
        (np.zeros(0, np.int64), ConfigError, "ids has shape (0,), so there is nothing in it"),
        (np.array([[1]]), ConfigError, "ids has shape (1, 1), expected (T,)"),
        (np.array([1, V]), DataError, f"ids holds {V} at (1,), expected ids from 0 to {V - 1}"),
    ],
)
def test_texts_that_cannot_be_traced(ids: np.ndarray, kind: type[MalmoiError], message: str) -> None:
    network = Rnnlm(V, 5, 7, rng=np.random.default_rng(0))
    with pytest.raises(kind, match=re.escape(message)):
        network.trace(ids)


def test_a_target_that_is_no_token() -> None:
    network = Rnnlm(V, 5, 7, rng=np.random.default_rng(0), dtype=np.float64)
    with pytest.raises(DataError, match=f"target_id holds {V}"):
        network.trace_step(IDS, V, 0.1)


def test_gradients_of_states_are_kept_where_they_are_asked_for() -> None:
    rng = np.random.default_rng(6)
    layer = TimeLSTM(*(rng.standard_normal(shape) for shape in ((3, 16), (4, 16), (16,))))
    layer.forward(rng.standard_normal((2, 5, 3)))
    layer.backward(rng.standard_normal((2, 5, 4)))
    with pytest.raises(ConfigError, match="kept no gradients of its states.*keeps_gradients=True before backward"):
        layer.trace_back()
    layer.keeps_gradients = True
    layer.backward(rng.standard_normal((2, 5, 4)))
    assert layer.trace_back(1).hidden.shape == (5, 4)
