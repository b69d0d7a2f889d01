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
from malmoi.explain.explanation import Explanation, Numbers
from malmoi.explain.rungs import recurrent

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
    assert "마지막 4스텝의 게이트" in bounded.notes[1]
    assert "마지막 4스텝만 거슬러" in bounded.notes[2]
    assert numbers(bounded, "through_time").shape[1] == 4
    assert bounded.agreement["NumPy"] < 1e-9
    assert "PyTorch" not in bounded.agreement  # it would have to read the whole text once more


def test_which_rows_move_depends_on_tied_weights(tmp_path: Path) -> None:
    tied = neural_run(tmp_path / "tied", "lstm").explain(TEXT, train_step=True)
    untied = neural_run(tmp_path / "untied", "lstm", tie_embeddings=False).explain(TEXT, train_step=True)
    said = [next(step.sentence for step in found.steps if step.name == "rows") for found in (tied, untied)]
    assert "it moves all" in said[0]
    assert "the gradient of every other row is exactly 0" in said[1]


@pytest.mark.parametrize(
    ("family", "is_tied", "rate"),
    [("rnn", False, 100.0), ("rnn", True, 30.0), ("nnlm", False, 3.0), ("nnlm", True, 30.0)],
)
def test_a_step_that_is_too_long_is_called_so(tmp_path: Path, family: str, is_tied: bool, rate: float) -> None:
    run = neural_run(tmp_path, family, tie_embeddings=is_tied)
    text = TEXT if (family, is_tied) == ("rnn", True) else "나는 학교에 갔다"
    short, long = (run.explain(text, train_step=True, learning_rate=r) for r in (0.01, rate))
    assert short.steps[-1].sentence.endswith("That is what learning is.")
    assert np.diff(numbers(short, "after", "P, P′")) > 0
    assert "The step was too long" in long.steps[-1].sentence
    assert np.diff(numbers(long, "after", "P, P′")) < 0


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    run = neural_run(tmp_path, "gru")
    weights = read_arrays(tmp_path / "model.safetensors")
    weights["layers.0.from_hidden.weight"][2, 1:3] = math.nan
    write_arrays(tmp_path / "model.safetensors", weights)
    with pytest.raises(
        RunError, match=r"2 of the .* numbers of layers.0.from_hidden.weight are NaN.*copy the run again"
    ):
        malmoi.load(run.folder).explain(TEXT)
