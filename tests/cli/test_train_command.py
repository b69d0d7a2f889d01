import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from conftest import LINES, Malmoi

from malmoi.cli import train as command
from malmoi.cli.options import TokenizerKind
from malmoi.models.registry import RUNGS, find_rung
from malmoi.runs.folder import read_config
from malmoi.text.tokenizers import KINDS
from malmoi.training import pipeline
from malmoi.training.planner import make_plan
from malmoi.training.progress import Interrupted, Reporter, StepReport
from malmoi.training.schedule import Schedule
from malmoi.training.settings import TrainingSettings

TINY = ("--tokenizer", "char", "--embed-dim", "5", "--hidden-size", "5", "--n-layers", "1", "--precision", "float32")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES * 20) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, char_run: Path) -> list[dict[str, Any]]:
    """What training was asked for; nothing is trained."""
    asked: list[dict[str, Any]] = []

    def train(request: Mapping[str, Any], reporter: Reporter | None = None) -> Path:
        asked.append(dict(request))
        raise Interrupted("runs/it's here")

    monkeypatch.setattr(pipeline, "train", train)
    return asked


def test_flags_become_the_request(malmoi: Malmoi, requests: list[dict[str, Any]]) -> None:
    words = shlex.split(
        "train lstm a.txt b.txt --out runs/x --budget 10m --valid v.txt --tokenizer jamo --vocab-size 300 --field 2 "
        "--encoding cp949 --unit documents --seed 7 --device cuda --precision bfloat16 --n-layers 3 --no-tie-embeddings "
        "--forget-bias -1.5 --schedule.warmup 0.1 --schedule.final 0 --weight-decay 1e-6 --recipe r.toml"
    )
    malmoi(*words)
    (request,) = requests
    assert request.pop("started") == pytest.approx(time.monotonic(), abs=60)
    assert request.pop("command") == shlex.join(["malmoi", *words])
    assert {name: value for name, value in request.items() if value is not None} == {
        "rung": "lstm",
        "text": ["a.txt", "b.txt"],
        **{"out": "runs/x", "budget": "10m", "valid": "v.txt", "tokenizer": "jamo", "vocab_size": 300, "field": "2"},
        **{"encoding": "cp949", "unit": "documents", "seed": 7, "device": "cuda", "precision": "bfloat16"},
        **{"n_layers": 3, "tie_embeddings": False, "forget_bias": -1.5, "weight_decay": 1e-6, "recipe": "r.toml"},
        "schedule": {"warmup": 0.1, "final": 0.0},
    }


def test_what_is_not_given_is_not_asked_for(malmoi: Malmoi, requests: list[dict[str, Any]]) -> None:
    malmoi("train", "gru", "-")
    assert {name for name, value in requests[0].items() if value is not None} == {"rung", "text", "started", "command"}
    assert requests[0]["text"] == ["-"]


@pytest.mark.parametrize(
    ("words", "rung", "text"),
    [
        ("--budget 90s lstm a.txt", "lstm", ["a.txt"]),
        ("--out lstm --resume", None, None),
        ("--no-tie-embeddings rnn lstm", "rnn", ["lstm"]),
        ("--seed=3 gru a.txt --n-layers 1", "gru", ["a.txt"]),
        ("a.txt --recipe lstm", None, ["a.txt"]),
    ],
)
def test_the_rung_is_the_first_word_that_is_no_option(
    malmoi: Malmoi, requests: list[dict[str, Any]], words: str, rung: str | None, text: list[str] | None
) -> None:
    malmoi("train", *words.split())
    assert (requests[0]["rung"], requests[0]["text"]) == (rung, text)


def test_help_lists_every_field_with_its_default(malmoi: Malmoi) -> None:
    code, out, _ = malmoi("train", "lstm", "--help")
    words = " ".join(out.replace("│", " ").split())
    assert code == 0
    for settings in (find_rung("lstm").config, TrainingSettings):
        for name, field in settings.model_fields.items():
            if name not in ("schedule", "vocab_size"):
                assert f"--{name.replace('_', '-')} " in words
                assert str(field.description)[1:].split("(")[0].strip() in words.replace("back- ", "back-")
    for name in Schedule.model_fields:
        assert f"--schedule.{name.replace('_', '-')} FLOAT" in words
    assert "Recurrent layers, one above the other. [default: 2]" in words
    assert "Width of the recurrent layers. [default: planned]" in words
    assert "--budget STR" in words


def test_what_help_calls_planned_is_what_the_planner_fills_in() -> None:
    plan = make_plan(RUNGS["lstm"], 50, 5000, 2.0, None, None, {}, {}, torch.device("cpu"))
    steps = make_plan(RUNGS["lstm"], 50, 5000, None, None, 500, {}, {}, torch.device("cpu"))
    changed = {
        name
        for settings in (plan.model, plan.training, steps.model, steps.training)
        for name, field in type(settings).model_fields.items()
        if not field.is_required() and getattr(settings, name) != field.get_default(call_default_factory=True)
    }
    assert changed - {"steps"} <= command.PLANNED
    assert RUNGS["lstm"].config.model_fields.keys() | TrainingSettings.model_fields.keys() >= command.PLANNED


def test_tokenizer_kinds_are_those_of_the_tokenizers() -> None:
    assert get_args(TokenizerKind) == KINDS


@pytest.mark.parametrize(("epoch", "place"), [(None, "at step 1,234"), (2.5, "after 2.50 epochs")])
def test_ctrl_c_says_how_to_go_on(
    malmoi: Malmoi,
    requests: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    epoch: float | None,
    place: str,
) -> None:
    def train(request: Mapping[str, Any], reporter: Reporter) -> Path:
        reporter.trained(StepReport(1234, 0.5, 4.0, 100.0, 60.0, 0.001, epoch))
        raise Interrupted("runs/it's here")

    monkeypatch.setattr(pipeline, "train", train)
    code, out, err = malmoi("train", "lstm", "a.txt", "--json")
    assert (code, out) == (130, "")
    assert f"Stopped {place}. Saved. Go on with: malmoi train --resume --out 'runs/it'\"'\"'s here'\n" in err


def test_ctrl_c_outside_the_training_loop(malmoi: Malmoi, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(request: Mapping[str, Any], reporter: Reporter) -> Path:
        raise KeyboardInterrupt

    def after(request: Mapping[str, Any], reporter: Reporter) -> Path:
        reporter.trained(StepReport(9, 1.0, 4.0, 100.0, 0.0, 0.001))
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", before)
    assert malmoi("train", "lstm", "a.txt") == (130, "", "Stopped before training began.\n")
    monkeypatch.setattr(pipeline, "train", after)
    err = malmoi("train", "lstm", "a.txt", "--out", "runs/x").err
    assert err.endswith(
        "Stopped before the figures at the end were made. Go on with: malmoi train --resume --out runs/x\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "train lstn a.txt",
            f"There is no rung named 'lstn'. Rungs are: {', '.join(RUNGS)}. Did you mean lstm?",
        ),
        ("train", "Training needs a rung and a text"),
        ("train --resume", "--resume needs the run to go on with"),
        ("train lstm none.txt --steps 3", "There is no none.txt. Expected a file, a folder, a glob or '-'."),
        ("train lstm a.txt --budget soon", "--budget soon is no training time"),
        ("train lstm a.txt --forget-bias 99", "forget_bias=99.0 saturates the gate"),
    ],
)
def test_wrong_input_is_one_message(malmoi: Malmoi, in_folder: Path, words: str, message: str) -> None:
    code, out, err = malmoi(*words.split())
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(message)
    assert not (in_folder / "runs").exists()


def test_a_few_steps_end_in_figures_and_what_to_type_next(malmoi: Malmoi, text: Path, in_folder: Path) -> None:
    code, out, err = malmoi("train", "lstm", text, "--test", text, "--steps", "4", "--out", "runs/my one", *TINY)
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert rows[0] == ["run", "runs/my one"]
    assert rows[3] == ["text", "bits per byte", "perplexity"]
    assert [row[0] for row in rows[4:]] == ["valid", "test"]
    assert rows[5][1] == f"{read_config(in_folder / 'runs/my one').figures['test']['bits_per_byte']:.4f}"
    assert "100%  step 4  loss" in err
    assert "Hardly trained: 4 updates were made" in err  # test_floor.py
    _, out, err = malmoi("train", "ngram", text, "--out", "runs/my other one")
    assert err.endswith(
        "Try it:  malmoi next 'runs/my other one' \"...\"\n         malmoi generate 'runs/my other one'\n"
    )


def test_the_same_as_json(malmoi: Malmoi, text: Path, in_folder: Path) -> None:
    code, out, _ = malmoi("train", "gru", text, "--steps", "2", "--json", "--out", "runs/j", *TINY)
    report = json.loads(out)
    assert (code, report["run"], report["family"], report["steps"]) == (0, "runs/j", "gru", 2)
    assert report["valid"]["bits_per_byte"] > 0
    assert read_config(in_folder / "runs/j").command == shlex.join(
        ["malmoi", "train", "gru", str(text), "--steps", "2", "--json", "--out", "runs/j", *TINY]
    )


def test_an_interrupted_process_is_saved_and_says_so(malmoi: Malmoi, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["lstm", str(text), "--epochs", "400", "--out", str(run), *TINY]
    started = [sys.executable, "-m", "malmoi", "train", *options]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "step" not in (line := process.stderr.readline()):
            assert line, "training ended by itself"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"Saved. Go on with: malmoi train --resume --out {run}\n" in err
    assert "Traceback" not in err
    info = malmoi("info", run)
    assert info.err == f"Training was stopped before its end. Go on with: malmoi train --resume --out {run}\n"
    assert malmoi("train", *options).err.splitlines()[-1].endswith(f"Go on with it: malmoi train --resume --out {run}")
