"""The Python front door: a run that was saved and loaded answers exactly as before, and refusals are one message."""

import copy
import json
import pickle
import sys
from pathlib import Path
from threading import Event, current_thread
from typing import Any

import numpy as np
import pytest
import torch

import malmoi
from malmoi.api import Run
from malmoi.arrays import read_arrays, write_arrays
from malmoi.engines.numpy_engine import NumPyLanguageModel
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError, MissingExtraError, RunError
from malmoi.machine import available_memory, find_device, find_device_ahead, keep_freed_memory, measure_matmul
from malmoi.models.registry import RUNGS, build_model, load_ahead
from malmoi.runs.card import write_card
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer

LINES = ["나는 학교에 간다", "너는 집에 간다", "the cat sat on the mat"]


def saved(folder: Path, name: str) -> TorchLanguageModel:
    """A small run with random weights; the model it was made from."""
    tokenizer = train_tokenizer("char", LINES)
    config = RUNGS[name].config(vocab_size=tokenizer.vocab_size, embed_dim=9, hidden_size=13)
    network = build_model(RUNGS[name], config, seed=4, start_id=tokenizer.eos_id)
    tokenizer.save(folder)
    write_config(folder, RunConfig(family=name, model=config.model_dump()))
    write_arrays(folder / "model.safetensors", {key: p.detach().numpy() for key, p in network.named_parameters()})
    return TorchLanguageModel(network, start_id=tokenizer.eos_id)


@pytest.mark.parametrize("name", sorted(name for name, rung in RUNGS.items() if rung.is_network))
def test_save_load_score_is_exact(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path, name)
    run = malmoi.load(tmp_path, engine="torch")
    token_ids = np.concatenate([run.tokenizer.encode(line) for line in LINES])[None]
    before, _ = model.score(token_ids, model.start())
    after, _ = run.model.score(token_ids, run.model.start())
    np.testing.assert_array_equal(before, after)


def test_a_run_answers_every_question(tmp_path: Path) -> None:
    saved(tmp_path, "lstm")
    run = Run(tmp_path)
    assert repr(run) == f"<malmoi.Run lstm at {tmp_path}>"
    assert len(run.next("나는 ", 4, whole_words=False)) == 4
    assert len(run.generate("나", n=2, max_tokens=3, top_k=5)) == 2
    assert "".join(run.stream("나", max_tokens=3, seed=1)) == run.generate("나", max_tokens=3, seed=1)[0]
    scores = list(run.score(LINES))
    evaluation = run.evaluate(TextSource.from_texts(LINES))
    assert len(scores) == 3
    assert all(score < 0 for score in scores)
    assert evaluation.nll_nats == pytest.approx(-sum(scores), rel=0.05)  # lines apart, or as one stream


def test_the_public_names_can_be_imported() -> None:
    assert all(getattr(malmoi, name) is not None for name in malmoi.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = malmoi.nothing


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "lstm")
    arrays = read_arrays(tmp_path / "model.safetensors")
    arrays["output.bias"] = arrays["output.bias"][:-1]
    write_arrays(tmp_path / "model.safetensors", arrays)
    with pytest.raises(RunError, match=r"output.bias has shape .* but config.json asks for"):
        _ = malmoi.load(tmp_path).model


def test_without_pytorch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, "lstm")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"rung lstm with the engine torch needs PyTorch.*pip install 'malmoi\[neural\]'"
    ):
        _ = malmoi.load(tmp_path, engine="torch").model
    with pytest.raises(MissingExtraError, match=r"needs PyTorch"):
        malmoi.train("lstm", TextSource.from_texts(LINES * 50), out=tmp_path / "new", steps=1, evaluate_every=1)
    assert malmoi.load(tmp_path, device="auto").generate(max_tokens=2)


def test_numpy_serves_on_the_cpu_and_pytorch_where_it_is_asked_for(tmp_path: Path) -> None:
    saved(tmp_path, "gru")
    assert isinstance(malmoi.load(tmp_path).model, NumPyLanguageModel)
    assert isinstance(malmoi.load(tmp_path, engine="numpy", device="auto").model, NumPyLanguageModel)
    assert isinstance(malmoi.load(tmp_path, engine="torch").model, TorchLanguageModel)
    with pytest.raises(ConfigError, match=r"--device cuda:99 cannot be used here"):
        _ = malmoi.load(tmp_path, device="cuda:99").model
    with pytest.raises(ConfigError, match=r"no engine 'jax'. Engines are: auto, torch, numpy"):
        malmoi.load(tmp_path, engine="jax")
    with pytest.raises(ConfigError, match=r"numpy cannot compute on 'cuda'.*Use the device cpu, or the engine torch"):
        malmoi.load(tmp_path, device="cuda", engine="numpy")


def test_devices_are_checked_before_use() -> None:
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match=r"--device cuda:99 cannot be used here .*Use --device cpu"):
        find_device("cuda:99")


def test_a_device_is_found_while_other_things_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, may_end = list[str](), Event()

    def load() -> None:
        may_end.wait(60)
        loaded.append(current_thread().name)

    found = find_device_ahead("cpu", load)
    assert not loaded  # this thread goes on meanwhile
    may_end.set()
    assert found().type == "cpu"
    assert loaded == ["malmoi-ahead"]
    with pytest.raises(ConfigError, match=r"--device cuda:99 cannot be used here"):
        find_device_ahead("cuda:99", load)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"A neural rung needs PyTorch"):
        find_device_ahead("cpu", load)
    assert len(loaded) == 1  # what is refused loads nothing


@pytest.mark.parametrize("name", sorted(name for name, rung in RUNGS.items() if rung.is_network))
def test_what_a_rung_needs_can_be_loaded_ahead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_ahead(RUNGS[name], lambda: "bfloat16")
    assert {"torch._dynamo", str(RUNGS[name].network).partition(":")[0]} <= sys.modules.keys()
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    load_ahead(RUNGS[name], lambda: "bfloat16")  # what is missing is told when it is needed


def test_the_loops_of_an_lstm_are_compiled_ahead_for_low_precision_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from malmoi.models import lstm

    called = list[str]()
    monkeypatch.setattr(lstm, "warm_up", lambda: called.append("warm"))
    load_ahead(RUNGS["lstm"], lambda: "float32")
    assert not called
    load_ahead(RUNGS["lstm"], lambda: "bfloat16")
    assert called == ["warm"]


def test_the_machine_is_measured() -> None:
    keep_freed_memory()
    assert measure_matmul("float32", size=64) > 0
    assert available_memory(find_device("cpu")) > 1 << 20


def test_a_card_tells_figures_and_what_the_model_is_for(tmp_path: Path) -> None:
    part = {"perplexity": 95.57, "bits_per_byte": 1.2052, "word_perplexity": None, "unk_share": 0.06, "tokens": 82430}
    config = RunConfig(
        family="lstm",
        model={"vocab_size": 10002, "embed_dim": 3, "hidden_size": 4, "n_layers": 2},
        training={"budget_seconds": 600.0},
        tokenizer={"kind": "word", "vocab_size": 10002},
        data={"train": {"bytes": 5_101_618, "sha256": "ab" * 32}},
        figures={"test": part, "steps": 9, "epochs": 1.5, "parameters": 1234},
        command="malmoi train lstm x.txt",
    )
    write_card(tmp_path, config)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for expected in (
        "| test | 95.57 | 1.2052 | too large | 6.00 % | 82,430 |",
        "600 s budget",
        "malmoi train lstm x.txt",
        "License:",
    ):
        assert expected in card


@pytest.mark.parametrize(("key", "value"), [("family", "foo"), ("model", {}), ("model", {"vocab_size": "many"})])
def test_a_config_that_no_rung_understands_is_named_with_its_file(tmp_path: Path, key: str, value: Any) -> None:
    saved(tmp_path, "lstm")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(RunError, match=r"config.json: .*changed by hand or damaged"):
        _ = malmoi.load(tmp_path).model


def test_a_folder_of_ones_own_is_no_stopped_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(RunError, match=r"is not a run: it has no config.json. Give a folder"):
        malmoi.load(tmp_path)


def test_a_run_is_copied_as_its_folder(tmp_path: Path) -> None:
    run = malmoi.train(
        "ngram", malmoi.TextSource.from_texts(["the cat sat"] * 90), out=tmp_path / "run", tokenizer="char"
    )
    for again in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):
        assert again.folder == run.folder
        assert again.next("the ") == run.next("the ")
