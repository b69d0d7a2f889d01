"""One command with --resume, repeated until it is done: it begins a run, goes on with it, and leaves a finished one alone."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vector_runs import QUICK, lines

import malmoi
from malmoi.cli import main
from malmoi.errors import MalmoiError, RunError
from malmoi.runs.folder import read_config
from malmoi.training.progress import Interrupted, Reporter, StepReport

LSTM: dict[str, Any] = {
    **{"embed_dim": 5, "hidden_size": 7, "n_layers": 1, "batch_size": 3, "window": 11, "tokenizer": "char"},
    **{"precision": "float32", "learning_rate": 2.0, "steps": 24, "evaluate_every": 6, "seed": 5},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": LSTM,
    "ngram": {"tokenizer": "char", "order": 3},
    "word2vec": {**QUICK["word2vec"], "seed": 5},
}
CAN_STOP = ("lstm", "word2vec")  # counting is one pass: it begins again


class Listens(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, text: str) -> None:
        self.said.append(text)


class CtrlC(Reporter):
    """Presses Ctrl-C as a person would."""

    def __init__(self, after: int) -> None:
        self.left = after

    def trained(self, report: StepReport) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(lines(4000, " ".join(f"w{number}" for number in range(60))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each rung that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return {rung: malmoi.train(rung, text, out=folder / rung, **options).folder for rung, options in OPTIONS.items()}


def again(rung: str, text: Any, out: Path, reporter: Reporter | None = None, **changes: Any) -> Path:
    return malmoi.train(rung, text, out=out, resume=True, reporter=reporter, **{**OPTIONS[rung], **changes}).folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def same_model(one: Path, other: Path) -> bool:
    assert not (other / "checkpoint").exists()
    assert "training_seconds" in read_config(other).figures
    names = ("model.safetensors", "tokenizer.json", "vectors.safetensors")
    return all(files(one).get(name) == files(other).get(name) for name in names)


def stopped(rung: str, text: Path, out: Path) -> Path:
    """A run in the middle of its training."""
    with pytest.raises(Interrupted):
        malmoi.train(rung, text, out=out, reporter=CtrlC(7 if rung == "lstm" else 3), **OPTIONS[rung])
    assert (out / "config.json").is_file()
    assert (out / "checkpoint").is_dir()
    return out


def begun(rung: str, text: Path, out: Path) -> Path:
    """A run without a checkpoint, so that there is nothing to go on from."""
    shutil.rmtree(stopped(rung, text, out) / "checkpoint")
    return out


@pytest.mark.parametrize("rung", OPTIONS)
@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_not_begun_begins(rung: str, is_there: bool, text: Path, whole: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    if is_there:
        out.mkdir()
    assert again(rung, text, out) == out
    assert same_model(whole[rung], out)


@pytest.mark.parametrize("rung", OPTIONS)
def test_what_was_killed_while_it_was_prepared_begins(rung: str, text: Path, whole: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "checkpoint").mkdir(parents=True)
    for name in ("tokenizer.json", "phrases.json", ".malmoi-0123456789abcdef", "checkpoint/state.safetensors"):
        (out / name).write_text("half of it")
    again(rung, text, out)
    assert same_model(whole[rung], out)
    assert not list(out.glob(".malmoi-*"))


@pytest.mark.parametrize("rung", CAN_STOP)
def test_what_was_killed_before_its_first_checkpoint_begins_anew(
    rung: str, text: Path, whole: Any, tmp_path: Path
) -> None:
    out = begun(rung, text, tmp_path / "run")
    (out / "metrics.jsonl").write_text('{"step": 1}\n')
    again(rung, text, out)
    assert same_model(whole[rung], out)
    assert '{"step": 1}' not in (out / "metrics.jsonl").read_text()


@pytest.mark.parametrize("rung", CAN_STOP)
def test_what_was_stopped_goes_on(rung: str, text: Path, whole: Any, tmp_path: Path) -> None:
    out, heard = stopped(rung, text, tmp_path / "run"), Listens()
    again(rung, text, out, heard)
    assert any(told.startswith(f"resuming {out}") for told in heard.said)
    assert same_model(whole[rung], out)


@pytest.mark.parametrize("rung", OPTIONS)
def test_what_is_finished_is_left_alone(rung: str, text: Path, tmp_path: Path) -> None:
    out, heard = malmoi.train(rung, text, out=tmp_path / "run", **OPTIONS[rung]).folder, Listens()
    before, times = files(out), {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert again(rung, text, out, heard) == out
    assert heard.said == [f"{out} is finished already; nothing in it was changed"]
    assert files(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_a_finished_run_is_shown_by_the_command_again(
    text: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ngram", str(text), "--tokenizer", "char", "--resume", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    first = capfd.readouterr()
    assert main(words) == 0
    second = capfd.readouterr()
    assert second.out == first.out
    assert "is finished already; nothing in it was changed" in second.err


@pytest.mark.parametrize("state", ["begun", "stopped", "finished"])
def test_the_run_of_another_rung_is_refused(state: str, text: Path, whole: Any, tmp_path: Path) -> None:
    out = whole["lstm"] if state == "finished" else globals()[state]("lstm", text, tmp_path / "run")
    before = files(out)
    for rung in ("ngram", "word2vec"):
        with pytest.raises(RunError, match=f"is a run of the rung lstm, not {rung}; nothing in it was changed"):
            again(rung, text, out)
    assert files(out) == before


@pytest.mark.parametrize(
    ("rung", "state"),
    [(rung, state) for rung in CAN_STOP for state in ("begun", "stopped", "finished")] + [("ngram", "finished")],
)
def test_another_text_is_refused(rung: str, state: str, text: Path, whole: Any, tmp_path: Path) -> None:
    out = whole[rung] if state == "finished" else globals()[state](rung, text, tmp_path / "run")
    other = tmp_path / "other.txt"
    other.write_text(text.read_text(encoding="utf-8") + "one more line\n", encoding="utf-8")
    before = files(out)
    with pytest.raises(RunError, match="The train text of .* has changed since training began"):
        again(rung, other, out)
    assert files(out) == before


@pytest.mark.parametrize("rung", OPTIONS)
def test_what_no_training_wrote_is_not_touched(rung: str, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "tokenizer.json").write_text("{}")
    (out / ".malmoi-0").write_text("")
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds what no training wrote, as thesis.txt; nothing in it was changed"):
        again(rung, text, out)
    (out / "thesis.txt").rename(tmp_path / "thesis.txt")
    with pytest.raises(RunError, match="thesis.txt is a file; nothing in it was changed"):
        again(rung, text, tmp_path / "thesis.txt")
    assert files(out) == {"tokenizer.json": b"{}", ".malmoi-0": b""}


def test_a_run_with_a_thesis_in_it_does_not_begin_anew(text: Path, tmp_path: Path) -> None:
    out = begun("lstm", text, tmp_path / "run")
    (out / "thesis.txt").write_text("years of work")
    before = files(out)
    with pytest.raises(RunError, match="as thesis.txt; nothing in it was changed"):
        again("lstm", text, out)
    assert files(out) == before


def test_a_run_that_came_from_elsewhere_is_not_touched(text: Path, tmp_path: Path) -> None:
    arpa = tmp_path / "model.arpa"
    arpa.write_text("\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n-1\t</s>\n-1\tw1\n\n\\end\\\n")
    out = malmoi.import_arpa(arpa, tmp_path / "run").folder
    before = files(out)
    with pytest.raises(RunError, match="was not trained on a text here; nothing in it was changed"):
        again("ngram", text, out)
    assert files(out) == before


def test_a_pipe_is_read_once(text: Path, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe() -> None:
        stream = io.BytesIO(text.read_bytes())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream, isatty=lambda: False))

    for state in (begun, stopped):
        out = state("lstm", text, tmp_path / state.__name__)
        pipe()
        again("lstm", "-", out)
        assert same_model(whole["lstm"], out)
    pipe()
    assert again("lstm", ["-"], out) == out


def test_a_recipe_that_is_repeated_begins_and_is_then_finished(
    text: Path, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'rung = "ngram"\ntext = "{text}"\ntokenizer = "char"\nout = "runs/mine"\n', encoding="utf-8")
    for _ in range(2):
        assert main(["train", "--resume", "--recipe", str(recipe), "--order", "3"]) == 0
    assert "runs/mine is finished already" in capfd.readouterr().err
    assert same_model(whole["ngram"], tmp_path / "runs" / "mine")
    assert again("ngram", text, Path("mine")) == Path("runs/mine")  # a run under runs/ is found by its name
    assert not Path("mine").exists()


def test_a_command_that_is_killed_and_repeated_ends_in_the_same_files(text: Path, whole: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [f"--{name.replace('_', '-')}={value}" for name, value in LSTM.items()]
    slow = "import time; import malmoi.training.loop as loop; update = loop.Trainer._update\n"
    slow += "loop.Trainer._update = lambda self: (update(self), time.sleep(0.05))\n"  # so that there is time to kill it
    program = f"{slow}import sys; from malmoi.cli import main; sys.exit(main(sys.argv[1:]))"
    command = ["train", "lstm", str(text), "--resume", "--out", str(out), "--checkpoint-seconds", "0.01", *words]
    for place in ("", "config.json", "checkpoint"):
        with subprocess.Popen(
            [sys.executable, "-c", program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and not (out / place).exists() and place:
                time.sleep(0.01)
            process.kill()
        assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert main(command) == 0
    assert same_model(whole["lstm"], out)


def test_options_that_a_run_does_not_take_up_are_named(text: Path, tmp_path: Path) -> None:
    out, heard = malmoi.train("lstm", text, out=tmp_path / "run", **OPTIONS["lstm"]).folder, Listens()
    again("lstm", text, out, heard, hidden_size=99, seed=7)
    assert heard.said[-1] == f"{out} keeps the options that it was begun with; not used: --hidden-size, --seed"
    heard = Listens()
    again("lstm", text, stopped("lstm", text, tmp_path / "half"), heard, learning_rate=9.0)
    assert any(told.endswith("not used: --learning-rate") for told in heard.said)
    heard = Listens()
    again("lstm", text, out, heard)
    assert not any("not used" in told for told in heard.said)


@pytest.mark.parametrize("rung", OPTIONS)
def test_a_folder_cannot_stand_in_a_file(rung: str, text: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"file is a file, so .*file/a/b cannot stand in it. A folder was expected"):
        malmoi.train(rung, text, out=tmp_path / "file" / "a" / "b", **OPTIONS[rung])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("words", [["nope.txt"], ["TEXT", "--valid", "nope.txt"], ["TEXT", "--tokenizer-from", "nope"]])
def test_what_is_not_there_is_one_message_while_pytorch_is_loaded(words: list[str], text: Path, tmp_path: Path) -> None:
    """In a process of its own: it ends while another thread imports."""
    command = [
        sys.executable,
        "-m",
        "malmoi",
        "train",
        "lstm",
        *(str(text) if word == "TEXT" else word for word in words),
    ]
    ended = subprocess.run([*command, "--out", "z"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "nope" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "z").exists()


@pytest.mark.parametrize("files", [("README.md",), ("words.json", "README.md"), ("tokenizer.json", "spelling.json")])
def test_files_without_a_config_are_not_taken_for_a_run_of_ours(
    files: tuple[str, ...], text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in files:
        (out / name).write_text("my only copy")
    with pytest.raises(RunError, match="holds no run.*nothing in it was changed"):
        malmoi.train("ngram", text, out=out, resume=True, **OPTIONS["ngram"])
    assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(files, "my only copy")
    with pytest.raises(RunError, match="is a file; nothing in it was changed"):
        malmoi.train("ngram", text, out=out / files[0], resume=True, **OPTIONS["ngram"])
    assert (out / files[0]).read_text() == "my only copy"


@pytest.mark.parametrize(
    "wrong", [{"text": "nothere.txt"}, {"order": 0}, {"tokenizer": None, "tokenizer_from": "nothing"}]
)
def test_nothing_is_removed_before_all_that_is_asked_for_is_there(
    wrong: dict[str, Any], text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "tokenizer.json").write_text("of a run that was killed")
    (out / "checkpoint").mkdir()
    request = {"text": text, "out": out, "resume": True, **OPTIONS["ngram"], **wrong}
    with pytest.raises(MalmoiError):
        malmoi.train("ngram", **request)
    assert (out / "tokenizer.json").read_text() == "of a run that was killed"


def test_options_of_texts_and_tokens_are_named_too(text: Path, tmp_path: Path) -> None:
    out, listener = tmp_path / "run", Listens()
    malmoi.train("ngram", text, out=out, **OPTIONS["ngram"])
    other = {"tokenizer": "word", "vocab_size": 300, "min_count": 3, "test": text, "order": 4}
    malmoi.train("ngram", text, out=out, resume=True, reporter=listener, **other)
    assert listener.said[-1].endswith("not used: --min-count, --order, --test, --tokenizer, --vocab-size")
    malmoi.train("ngram", text, out=out, resume=True, reporter=listener, **OPTIONS["ngram"])
    assert listener.said[-1].endswith("nothing in it was changed")
