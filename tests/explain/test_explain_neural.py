"""Every number of a neural explanation is right: against engines, finite differences and autograd, in float64."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import neural_run

import malmoi
from malmoi.arrays import read_arrays, write_arrays
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import RunError
from malmoi.explain.cells import GATES, Layer, run_back, run_layer
from malmoi.explain.explanation import Explanation, Numbers
from malmoi.explain.rungs import recurrent
from malmoi.scratch.recurrent import TimeGRU, TimeLSTM, TimeRNN

TEXT = "the cat sat on the mat"
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("rnn", {"tie_embeddings": False, "n_layers": 2}),
    ("lstm", {"n_layers": 2}),
    ("lstm", {"tie_embeddings": False, "n_layers": 1}),
    ("gru", {"n_layers": 2}),
    ("gru", {"tie_embeddings": False, "n_layers": 1}),
    ("nnlm", {"context_size": 3}),
    ("nnlm", {"context_size": 2, "direct": True, "n_layers": 2}),
    ("nnlm", {"context_size": 2, "direct": True, "tie_embeddings": False}),
    ("nnlm", {"context_size": 3, "embed_dim": 7}),
]
every_kind = pytest.mark.parametrize(("family", "options"), KINDS, ids=lambda value: str(value))


def numbers(explanation: Explanation, step: str, name: str | None = None) -> np.ndarray:
    """The array of that name, or the first one, of that step."""
    (found,) = [s for s in explanation.steps if s.name == step]
    chosen: list[Numbers] = [part for part in found.numbers if name in (None, part.name)]
    return chosen[0].values


def torch_model(run: malmoi.Run) -> Any:
    """The module of the run, in float64."""
    model = malmoi.load(run.folder, engine="torch").model
    assert isinstance(model, TorchLanguageModel)
    network = model.network.double()
    weights = read_arrays(run.folder / "model.safetensors")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    return network


@every_kind
def test_the_steps_end_at_the_probability_that_the_engines_give(
    tmp_path: Path, family: str, options: dict[str, Any]
) -> None:
    run = neural_run(tmp_path, family, **options)
    found = run.explain(TEXT)
    ids = run.tokenizer.encode(TEXT)
    scores, _ = run.model.score(ids[None].astype(np.int64), run.model.start())
    assert math.log(found.probability) == pytest.approx(scores[0, -1], rel=1e-10)
    assert [unit.nats for unit in found.surprisals["token"]] == pytest.approx((-scores[0]).tolist())
    assert found.agreement["NumPy"] < 1e-9
    assert found.agreement["PyTorch"] < 1e-5  # computes in float32
    assert numbers(found, "softmax").sum() == pytest.approx(1)
    assert found.target == "mat"
    assert found.place == 5
    assert [step.part for step in found.steps] == ["forward"] * len(found.steps)
    assert len({step.name for step in found.steps}) == len(found.steps)


@every_kind
def test_the_training_step_is_that_of_autograd(tmp_path: Path, family: str, options: dict[str, Any]) -> None:
    run = neural_run(tmp_path, family, **options)
    rate = 0.3
    found = run.explain(TEXT, train_step=True, learning_rate=rate)
    network = torch_model(run)
    ids = run.tokenizer.encode(TEXT).astype(np.int64)
    read = torch.from_numpy(np.concatenate([[run.tokenizer.eos_id], ids[:-1]])[None])

    def loss() -> torch.Tensor:
        logits, _ = network(read)
        return -logits[0, -1].log_softmax(dim=0)[int(ids[-1])]

    before = loss()
    before.backward()
    lengths = {name: float(p.grad.norm()) for name, p in network.named_parameters()}
    weights = {name: float(p.detach().norm()) for name, p in network.named_parameters()}
    told = dict(zip(labels(found, "update"), numbers(found, "update", "‖∂L/∂W‖").tolist(), strict=True))
    assert sorted(told.values()) == pytest.approx(sorted(lengths.values()), rel=1e-9)
    assert sorted(numbers(found, "update", "‖W‖").tolist()) == pytest.approx(sorted(weights.values()), rel=1e-9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= rate * parameter.grad
    after = math.exp(-loss().item())
    assert numbers(found, "after", "P, P′").tolist() == pytest.approx([math.exp(-before.item()), after], rel=1e-9)
    assert {step.part for step in found.steps} == {"forward", "backward"}


def labels(explanation: Explanation, step: str) -> list[str]:
    (found,) = [s for s in explanation.steps if s.name == step]
    return list(found.numbers[0].labels[0])


@pytest.mark.parametrize("family", sorted(GATES))
def test_gradients_of_a_layer_by_finite_differences(family: str) -> None:
    rng = np.random.default_rng(3)
    gates = GATES[family] * 4
    layer = Layer(family, *(rng.standard_normal(shape) for shape in ((3, gates), (4, gates), (gates,))))
    if family == "gru":
        layer = Layer(family, layer.Wx, layer.Wh, layer.b, rng.standard_normal(gates))
    x, start, weight = rng.standard_normal((5, 3)), rng.standard_normal((2, 4)), rng.standard_normal((5, 4))
    trace = run_layer(layer, x, start[0], start[1])
    found = run_back(layer, trace, weight)

    def loss() -> float:
        return float((run_layer(layer, x, start[0], start[1]).output * weight).sum())

    for array, gradient in [(x, found.x), *((part, found.weights[name]) for name, part in layer.parts().items())]:
        flat = array.reshape(-1)
        for place in range(0, flat.size, 5):
            value = flat[place]
            flat[place] = value + 1e-6
            above = loss()
            flat[place] = value - 1e-6
            below = loss()
            flat[place] = value
            assert gradient.reshape(-1)[place] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-8)


def test_an_lstm_shows_its_gates_and_its_cell(tmp_path: Path) -> None:
    found = neural_run(tmp_path, "lstm", n_layers=2).explain(TEXT)
    i, f, g, _ = numbers(found, "gates 2")
    kept, written = (numbers(found, "cell 2", name) for name in ("f ⊙ c_{t−1}", "i ⊙ g"))
    np.testing.assert_allclose(written, i * g)
    np.testing.assert_allclose(kept, f * numbers(found, "cell 2", "c_{t−1}"))
    np.testing.assert_allclose(numbers(found, "cell 2", "c_t"), kept + written)
    bands = numbers(found, "gates 1", "f_1 … f_t")
    assert bands.shape == (6, 7)  # the line end and five tokens, of the first layer's seven units
    np.testing.assert_allclose(bands[-1], numbers(found, "gates 1")[1])
    assert str(int(f.argmax())) in next(step.sentence for step in found.steps if step.name == "gates 2")


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru", "nnlm"])
def test_a_long_text_is_bounded_and_says_so(tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = neural_run(tmp_path, family)
    whole = run.explain(" ".join([TEXT] * 4), train_step=True)
    monkeypatch.setattr("malmoi.explain.explaining.RECENT", 9)
    monkeypatch.setattr(recurrent, "BANDS", 4)
    bounded = run.explain(" ".join([TEXT] * 4), train_step=True, language="ko")
    assert bounded.probability == pytest.approx(whole.probability, rel=1e-12)
    assert len(bounded.surprisals["token"]) == 24
    if family == "nnlm":
        return
    assert "마지막 9토큰" in bounded.notes[0]
    assert "마지막 4걸음의 게이트" in bounded.notes[1]
    assert "마지막 4걸음만 거슬러" in bounded.notes[2]
    assert numbers(bounded, "through_time").shape[1] == 4
    assert bounded.agreement["NumPy"] < 1e-9
    assert "PyTorch" not in bounded.agreement  # it would have to read the whole text once more


def test_which_rows_move_depends_on_tied_weights(tmp_path: Path) -> None:
    tied = neural_run(tmp_path / "tied", "lstm").explain(TEXT, train_step=True)
    untied = neural_run(tmp_path / "untied", "lstm", tie_embeddings=False).explain(TEXT, train_step=True)
    said = [next(step.sentence for step in found.steps if step.name == "rows") for found in (tied, untied)]
    assert "it moves all" in said[0]
    assert "the gradient of every other row is exactly 0" in said[1]


def test_a_step_that_is_too_long_is_called_so(tmp_path: Path) -> None:
    run = neural_run(tmp_path, "rnn", tie_embeddings=False)
    sentences = [run.explain(TEXT, train_step=True, learning_rate=rate).steps[-1].sentence for rate in (0.01, 1e5)]
    assert sentences[0].endswith("That is what learning is.") or "too long" in sentences[1]


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    run = neural_run(tmp_path, "gru")
    weights = read_arrays(tmp_path / "model.safetensors")
    weights["layers.0.from_hidden.weight"][2, 1:3] = math.nan
    write_arrays(tmp_path / "model.safetensors", weights)
    with pytest.raises(
        RunError, match=r"2 of the .* numbers of layers.0.from_hidden.weight are NaN.*copy the run again"
    ):
        malmoi.load(run.folder).explain(TEXT)


@pytest.mark.parametrize("family", sorted(GATES))
def test_a_layer_agrees_with_that_of_scratch(family: str) -> None:
    rng = np.random.default_rng(5)
    gates = GATES[family] * 4
    Wx, Wh, b, c = (rng.standard_normal(shape) for shape in ((3, gates), (4, gates), (gates,), (gates,)))
    ours = Layer(family, Wx, Wh, b, c if family == "gru" else None)
    theirs = {"rnn": TimeRNN, "lstm": TimeLSTM}[family](Wx, Wh, b) if family != "gru" else TimeGRU(Wx, Wh, b, c)
    x, d_output = rng.standard_normal((1, 6, 3)), rng.standard_normal((1, 6, 4))
    trace = run_layer(ours, x[0], np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(theirs.forward(x)[0], trace.output, rtol=1e-12, atol=1e-12)
    found = run_back(ours, trace, d_output[0])
    np.testing.assert_allclose(theirs.backward(d_output)[0], found.x, rtol=1e-10, atol=1e-12)
    for gradient, name in zip(theirs.grads, ours.parts(), strict=True):
        np.testing.assert_allclose(gradient, found.weights[name], rtol=1e-10, atol=1e-12)
