"""NumPy serves a run as PyTorch does, and weights go from a run to scratch networks and back without losing a bit."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import malmoi
from malmoi.arrays import read_arrays, write_arrays
from malmoi.engines import numpy_engine as serving
from malmoi.engines.numpy_engine import NumPyLanguageModel, transposed
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError, DataError, RunError
from malmoi.generation.sampling import generate
from malmoi.models.options.base import LayeredConfig, NeuralConfig, Shapes
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.options.recurrent import GRUConfig
from malmoi.models.registry import RUNGS, build_model
from malmoi.runs.folder import RunConfig, write_config
from malmoi.scratch.conversion import config_of, network_of
from malmoi.scratch.optimisers import SGD, remove_duplicates
from malmoi.scratch.recurrent import TimeRNN
from malmoi.scratch.rnnlm import BetterRnnlm, LanguageNetwork, RecurrentNetwork, SimpleRnnlm, eval_perplexity
from malmoi.text.tokenizers import train_tokenizer

V, E, H = 23, 5, 7
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("rnn", {"n_layers": 3, "tie_embeddings": False}),
    ("lstm", {}),
    ("lstm", {"n_layers": 1}),
    ("lstm", {"n_layers": 3, "tie_embeddings": False}),
    ("gru", {}),
    ("gru", {"n_layers": 1, "tie_embeddings": False}),
    ("nnlm", {"context_size": 3}),
    ("nnlm", {"hidden_size": E}),
    ("nnlm", {"direct": True, "n_layers": 2}),
    ("nnlm", {"hidden_size": E, "direct": True, "context_size": 1}),
    ("nnlm", {"tie_embeddings": False}),
    ("nnlm", {"tie_embeddings": False, "direct": True, "n_layers": 3}),
]


def weights(
    family: str, options: dict[str, Any], dtype: str = "float64", seed: int = 3
) -> tuple[NeuralConfig, Any, Any]:
    """The options of a small model, its PyTorch module with large weights, and those by name."""
    config = RUNGS[family].config.parse({"vocab_size": V, "embed_dim": E, "hidden_size": H, **options})
    network = build_model(RUNGS[family], config, seed=seed, start_id=3).to(getattr(torch, dtype))
    for parameter in network.parameters():  # far from uniform, so that a mistake cannot hide
        parameter.data *= 4
    assert isinstance(config, NeuralConfig)
    return config, network, {name: weight.detach().numpy() for name, weight in network.named_parameters()}


@pytest.mark.parametrize(("family", "options"), OPTIONS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_numpy_agrees_with_pytorch_in_float64(family: str, options: dict[str, Any], data: st.DataObject) -> None:
    config, network, arrays = weights(family, options)
    theirs, ours = TorchLanguageModel(network, start_id=3), NumPyLanguageModel(config, arrays, start_id=3)
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(0, 6)))
    ids = np.random.default_rng(data.draw(st.integers(0, 99))).integers(V, size=shape)
    want, their_state = theirs.score(ids, theirs.start(shape[0]))
    got, our_state = ours.score(ids, ours.start(shape[0]))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.step(ids, our_state)[0], theirs.step(ids, their_state)[0], rtol=0, atol=1e-10)
    rows, after = ours.distributions(ids, our_state)
    np.testing.assert_allclose(rows, theirs.distributions(ids, their_state)[0], rtol=0, atol=1e-10)
    assert (got.dtype, rows.dtype, after.vector.dtype) == (np.float64,) * 3
    vectors, _ = ours.predictors(ids, our_state)
    np.testing.assert_allclose(vectors, theirs.predictors(ids, their_state)[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.next_predictor(after), after.vector)


@pytest.mark.parametrize(("family", "options"), OPTIONS)
def test_float32_stays_float32_and_close(family: str, options: dict[str, Any]) -> None:
    config, network, arrays = weights(family, options, "float32")
    ids = np.random.default_rng(1).integers(V, size=(2, 30))
    theirs, ours = TorchLanguageModel(network, start_id=3), NumPyLanguageModel(config, arrays, 3)
    want, got = theirs.distributions(ids, theirs.start(2))[0], ours.distributions(ids, ours.start(2))[0]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("family", "options"), OPTIONS)
def test_a_run_s_weights_go_to_a_network_and_back_bit_for_bit(family: str, options: dict[str, Any]) -> None:
    config, _, arrays = weights(family, options, "float32")
    assert {name: array.shape for name, array in arrays.items()} == config.weight_shapes()
    network = network_of(config, arrays, 3)
    back = network.arrays()
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) and back[name].dtype == np.float32 for name in arrays)
    found_family, found = config_of(network)
    assert found_family == family
    assert found.weight_shapes() == config.weight_shapes()
    ids = np.random.default_rng(5).integers(V, size=(2, 6))
    model = NumPyLanguageModel(config, arrays, 3)
    assert model.weights.keys() == arrays.keys()
    assert all(np.array_equal(model.weights[name], arrays[name]) for name in arrays)
    scores = network.predict(ids)
    want = model.distributions(ids, model.start(2))[0][:, 1:]
    if family == "nnlm":  # the window begins with line ends in both; recurrent models have read one, networks have not
        np.testing.assert_allclose(
            (scores - np.logaddexp.reduce(scores, axis=2, keepdims=True))[:, :-1], want, atol=1e-5
        )
    else:
        network.reset_state()
        scores = network.predict(np.concatenate([np.full((2, 1), 3), ids], axis=1))[:, 1:]
        np.testing.assert_allclose(
            (scores - np.logaddexp.reduce(scores, axis=2, keepdims=True))[:, :-1], want, atol=1e-5
        )


def test_a_network_trained_here_is_a_run_that_pytorch_loads(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("char", ["나는 학교에 간다", "너는 집에 간다"])
    network = BetterRnnlm(tokenizer.vocab_size, 6, 9, 0.2, rng=np.random.default_rng(2))
    ids = np.concatenate([tokenizer.encode("나는 학교에 간다\n너는 집에 간다\n")] * 6).astype(np.int64)
    before = eval_perplexity(network, ids)
    for _ in range(8):
        network.forward(ids[None, :-1], ids[None, 1:])
        network.backward()
        SGD(2.0).update(*remove_duplicates(network.params, network.grads))
        network.reset_state()
    assert eval_perplexity(network, ids) < before
    family, config = config_of(network)
    tokenizer.save(tmp_path)
    write_config(tmp_path, RunConfig(family=family, model=config.model_dump()))
    write_arrays(tmp_path / "model.safetensors", network.arrays())
    stored = read_arrays(tmp_path / "model.safetensors")
    assert all(np.array_equal(stored[name], array) for name, array in network.arrays().items())
    by_torch, by_numpy = (malmoi.load(tmp_path, engine=engine).model for engine in ("torch", "numpy"))
    want, _ = by_torch.score(ids[None], by_torch.start())
    np.testing.assert_allclose(by_numpy.score(ids[None], by_numpy.start())[0], want, atol=1e-5)
    nll = -by_numpy.score(ids[None, 1:], by_numpy.step(ids[None, :1], by_numpy.start())[1])[0].mean()
    assert np.exp(nll) == pytest.approx(
        eval_perplexity(network, ids), rel=0.05
    )  # the network has read no line end before


def test_networks_that_no_run_stores_are_refused() -> None:
    rng = np.random.default_rng(0)
    network = BetterRnnlm(V, E, H, rng=rng, n_layers=3, tie_weights=False)
    parts = network.embedding, network.recurrent, network.output
    narrow = TimeRNN(*(np.zeros(shape, np.float32) for shape in ((H, H), (H, H), (H,))), stateful=True)
    mixed = RecurrentNetwork(parts[0], [*parts[1][:2], narrow], parts[2])
    with pytest.raises(ConfigError, match=r"No lstm run stores this network.*layers of one kind, all of one width"):
        config_of(mixed)

    class Other(SimpleRnnlm):
        pass

    assert config_of(Other(V, rng=rng))[0] == "rnn"

    class NoRung(LanguageNetwork):
        carried: ClassVar[list[Any]] = []  # type: ignore[misc]

        def reset_state(self) -> None: ...
        def _hidden(self, ids: Any, train_flag: bool) -> Any: ...
        def _hidden_back(self, d_hidden: Any) -> None: ...
        def _named(self) -> dict[str, Any]:
            return {}

    with pytest.raises(ConfigError, match=r"A NoRung belongs to no rung. Known are: nnlm, rnn, lstm, gru"):
        config_of(NoRung(parts[0], [], parts[2]))


class UnknownConfig(LayeredConfig):
    """A rung of the future."""

    n_hidden_weights: ClassVar[int] = 1
    output_width: ClassVar[int] = 1
    n_kept: ClassVar[int] = 1

    def weight_shapes(self) -> Shapes:
        return {}


def test_what_cannot_be_served_is_refused() -> None:
    config, _, arrays = weights("gru", {})
    with pytest.raises(ConfigError, match=r"A UnknownConfig has no twin in NumPy. Known are: nnlm, rnn, lstm, gru"):
        NumPyLanguageModel(UnknownConfig(vocab_size=V), arrays, 3)
    with pytest.raises(ConfigError, match=r"A UnknownConfig has no twin in NumPy"):
        network_of(UnknownConfig(vocab_size=V), arrays, 3)
    with pytest.raises(ConfigError, match=r"output.bias holds int64 numbers. Floating-point weights were expected"):
        NumPyLanguageModel(config, {**arrays, "output.bias": np.zeros(V, np.int64)}, 3)
    with pytest.raises(RunError, match=r"output.bias: the stored weights have shape \(2,\), this network's \(23,\)"):
        network_of(config, {**arrays, "output.bias": np.zeros(2)}, 3)
    model = NumPyLanguageModel(config, arrays, 3)
    for ids in ([[1, V]], [[-1, 2]]):
        with pytest.raises(DataError, match=r"expected ids from 0 to 22"):
            model.score(np.array(ids), model.start())


def test_half_precision_is_computed_in_float32() -> None:
    config, _, arrays = weights("rnn", {})
    model = NumPyLanguageModel(config, {name: array.astype(np.float16) for name, array in arrays.items()}, 3)
    assert model.step(np.array([[5]]), model.start())[0].dtype == np.float32


@pytest.mark.parametrize(("family", "options"), [("lstm", {}), ("gru", {}), ("rnn", {}), ("nnlm", {"direct": True})])
def test_damaged_and_huge_weights_give_one_message_and_no_warning(family: str, options: dict[str, Any]) -> None:
    config, _, arrays = weights(family, options, "float32")
    tokenizer = train_tokenizer("char", ["가나"])
    config = config.model_copy(update={"vocab_size": tokenizer.vocab_size})
    arrays = {name: np.ones(shape, np.float32) for name, shape in config.weight_shapes().items()}
    huge = NumPyLanguageModel(config, {name: 1e30 * array for name, array in arrays.items()}, 3)
    damaged = NumPyLanguageModel(config, {name: np.nan * array for name, array in arrays.items()}, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        huge.score(np.array([[4, 5]]), huge.start())
        with pytest.raises(RunError, match=r"The model gave NaN.*its weights are damaged"):
            generate(damaged, tokenizer, max_tokens=2)


def test_blocks_of_logits_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config, _, arrays = weights("lstm", {})
    model = NumPyLanguageModel(config, arrays, 3)
    ids = np.random.default_rng(0).integers(V, size=(3, 11))
    whole = model.score(ids, model.start(3))[0]
    monkeypatch.setattr(serving, "BLOCK_ELEMENTS", 4 * V)
    np.testing.assert_allclose(model.score(ids, model.start(3))[0], whole, atol=1e-12)


def test_a_matrix_is_turned_in_strips() -> None:
    matrix = np.random.default_rng(0).random((2 * serving.STRIP + 5, 7), dtype=np.float32)
    turned = transposed(matrix)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, matrix.T)


def test_dropouts_of_the_options_reach_the_network() -> None:
    config = GRUConfig(vocab_size=V, embed_dim=E, hidden_size=H, dropout_hidden=0.4)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in config.weight_shapes().items()}
    network = network_of(config, arrays, 3, np.random.default_rng(1))
    assert isinstance(network, RecurrentNetwork)
    assert {dropout.rate for dropout in network.dropouts} == {0.4}
    assert NNLMConfig in {type(config_of(network_of(*pair, 3))[1]) for pair in [weights("nnlm", {})[::2]]}
