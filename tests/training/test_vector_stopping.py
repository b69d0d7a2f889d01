"""Trainings of vectors that end before their end: by Ctrl-C, a signal, the clock, or between two files."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from vector_runs import QUICK, Listens, lines, numbers_text

import malmoi
from malmoi.cli import main
from malmoi.errors import RunError
from malmoi.training import budget as budgets
from malmoi.training.progress import Interrupted, Reporter, StepReport
from malmoi.training.vectors import train as training

FILES = ("words.json", "vectors.safetensors", "model.safetensors", "tokenizer.json", "metrics.jsonl")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return numbers_text(tmp_path)


class StopsAfter(Reporter):
    """Presses Ctrl-C after so many reports of progress."""

    def __init__(self, n: int) -> None:
        self.left = n

    def trained(self, report: StepReport) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("rung", ["word2vec", "glove"])
def test_a_run_that_was_stopped_and_resumed_is_the_same_to_the_byte(rung: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(lines(4000, " ".join(f"w{i}" for i in range(60))), encoding="utf-8")  # several chunks
    options = {**QUICK[rung], "seed": 3}
    malmoi.train(rung, text, out=tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        malmoi.train(rung, text, out=tmp_path / "stopped", reporter=StopsAfter(5), **options)
    assert (tmp_path / "stopped" / "checkpoint").is_dir()
    with pytest.raises(RunError):
        _ = malmoi.load(tmp_path / "stopped").vectors
    resumed = malmoi.train(rung, None, out=tmp_path / "stopped", resume=True)  # type: ignore[arg-type]
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name
    assert not (resumed.folder / "checkpoint").exists()
    with pytest.raises(RunError, match="no checkpoint to resume from. Its training is finished"):
        malmoi.train(rung, None, out=tmp_path / "stopped", resume=True)  # type: ignore[arg-type]


def test_a_run_that_goes_on_can_be_stopped_and_resumed_too(tmp_path: Path) -> None:
    """What it went on from may be gone by then, and words that the new text lacks stay."""
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(lines(300, "one two three only_old"), encoding="utf-8")
    new.write_text(lines(3000, "one two three only_new", seed=1), encoding="utf-8")
    first = malmoi.train("word2vec", old, out=tmp_path / "first", **QUICK["word2vec"])
    malmoi.train("word2vec", new, out=tmp_path / "whole", initialise_from=first.folder, epochs=3)
    with pytest.raises(Interrupted):
        malmoi.train(
            "word2vec",
            new,
            out=tmp_path / "stopped",
            initialise_from=first.folder,
            epochs=3,
            reporter=StopsAfter(2),
        )
    first.folder.rename(tmp_path / "elsewhere")
    resumed = malmoi.train("word2vec", None, out=tmp_path / "stopped", resume=True)  # type: ignore[arg-type]
    assert "only_old" in resumed.vectors
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name


def test_a_termination_signal_leaves_a_checkpoint(text: Path, tmp_path: Path) -> None:
    class Terminates(Reporter):
        def trained(self, report: StepReport) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="run"):
        malmoi.train("word2vec", text, out=tmp_path / "run", reporter=Terminates(), **QUICK["word2vec"])
    assert (tmp_path / "run" / "checkpoint" / "state.safetensors").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_while_files_are_written_waits_for_them(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files = training.write_files

    def interrupted(*given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_files(*given)

    monkeypatch.setattr(training, "write_files", interrupted)
    run = malmoi.train("cooccurrence", text, out=tmp_path / "run", embed_dim=2)
    assert run.config.figures["words"] == len(run.vectors)


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_a_run_that_dies_between_two_files_is_no_finished_run(
    has_checkpoint: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, folder = tmp_path / "text.txt", tmp_path / "run"
    text.write_text(lines(4000, " ".join(f"w{i}" for i in range(60))), encoding="utf-8")
    again: dict[str, Any] = {"text": text, **QUICK["word2vec"]}
    whole = malmoi.train("word2vec", out=tmp_path / "whole", **again)
    if has_checkpoint:
        with pytest.raises(Interrupted):
            malmoi.train("word2vec", out=folder, reporter=StopsAfter(5), **again)
        again = {"text": None, "resume": True}

    def dies(*given: Any) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_arrays", dies)
        with pytest.raises(OSError, match="the power is gone"):
            malmoi.train("word2vec", out=folder, **again)
    assert (folder / "vectors.safetensors").is_file()
    if has_checkpoint:
        malmoi.train("word2vec", out=folder, **again)
        assert (folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    else:
        with pytest.raises(RunError, match="is not a run: it has no config.json"):
            malmoi.load(folder)


def test_info_tells_how_to_go_on_which_is_refused_on_another_text(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Interrupted):
        malmoi.train("word2vec", text, out=tmp_path / "run", reporter=StopsAfter(1), **QUICK["word2vec"])
    assert main(["info", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert "no weights saved yet" in told.out
    assert f"Go on with: malmoi train --resume --out {tmp_path / 'run'}" in told.err
    with pytest.raises(RunError, match="is not empty; nothing in it was changed.*Go on with it: malmoi train --resume"):
        malmoi.train("word2vec", text, out=tmp_path / "run")
    text.write_text(text.read_text(encoding="utf-8") + "more words\n", encoding="utf-8")
    with pytest.raises(RunError, match="has changed since training began"):
        malmoi.train("word2vec", None, out=tmp_path / "run", resume=True)  # type: ignore[arg-type]


def test_a_budget_ends_training_in_time_with_the_rate_at_its_lowest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(lines(2000, " ".join(f"w{i}" for i in range(60))), encoding="utf-8")
    heard = Listens()
    options = {"embed_dim": 64, "subsample_threshold": 0.0, "objective": "softmax", "window": 20}
    malmoi.train("word2vec", text, out=tmp_path / "first", epochs=1, **options)  # compiles, which may take seconds
    monkeypatch.setattr(budgets, "VECTORS_SHARE", 0.3)  # for a quick test
    run = malmoi.train("word2vec", text, out=tmp_path / "run", budget="5s", reporter=heard, **options)
    figures = run.config.figures
    assert figures["epochs"] < 50
    assert "clock" in figures["promise"]
    assert heard.steps[-1].learning_rate < heard.steps[0].learning_rate
    assert heard.steps[-1].fraction > heard.steps[0].fraction
