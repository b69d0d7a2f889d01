import csv
import io
import json
import sys
from pathlib import Path

import pytest
from conftest import Malmoi

import malmoi as package
from malmoi.arrays import read_arrays
from malmoi.cli.explain import print_explanation


def test_the_steps_are_printed(malmoi: Malmoi, char_run: Path) -> None:
    code, out, err = malmoi("explain", char_run, "the ca", "--train-step", "--learning-rate", "0.1")
    found = package.load(char_run).explain("the ca", train_step=True, learning_rate=0.1)
    assert (code, err) == (0, "")
    for number, step in enumerate(found.steps, start=1):
        assert f"{number}. {step.title}\n   {step.formula}" in out
        assert step.sentence in out
    assert out.index("The prediction") < out.index("The training step")
    assert "Largest difference in ln P to PyTorch: " in out
    assert "Largest difference in ln P to NumPy: " in out
    assert f"P\t{found.probability:.6g}" in out
    assert f"6\ta\t{found.surprisals['token'][5].nats / 0.6931471805599453:.4f}" in out


def test_in_korean(malmoi: Malmoi, word_run: Path) -> None:
    _, out, _ = malmoi("explain", word_run, "고양이가 방에", "--lang", "ko", "--step", "1")
    assert "토큰\t1: 고양이가" in out
    assert "예측" in out
    assert "형태소" in out


def test_json_is_one_object(malmoi: Malmoi, char_run: Path) -> None:
    code, out, err = malmoi("explain", char_run, "the", "--step", "next", "--json")
    told = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert (told["run"], told["place"], told["family"]) == (str(char_run), 3, "lstm")
    assert len(told["steps"]) == 9


def test_files_are_written(malmoi: Malmoi, char_run: Path, in_folder: Path) -> None:
    options = ("--html", "why.html", "--csv", "costs.csv", "--arrays", "all.safetensors")
    code, _, err = malmoi("explain", char_run, "고양이가", *options)
    assert (code, err.splitlines()) == (0, ["why.html", "costs.csv", "all.safetensors"])
    assert Path("why.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert next(csv.reader(Path("costs.csv").read_text(encoding="utf-8-sig").splitlines()))[:2] == ["unit", "number"]
    assert "02 embedding: x_t" in read_arrays(Path("all.safetensors"))


def test_no_text_is_the_start_of_a_line(malmoi: Malmoi, char_run: Path) -> None:
    code, out, _ = malmoi("explain", char_run)
    assert code == 0
    assert "Nothing stands before the explained token" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "9"], "step=9 is no token of this text, which has 3. Expected a number from 1 to 3"),
        (["--step", "x"], "step=x is no token of this text"),
        (["--train-step", "--learning-rate", "0"], "learning_rate=0 cannot be used"),
        (["--csv", "/dev/null/x.csv"], "Cannot write /dev/null/x.csv"),
    ],
)
def test_wrong_input_is_one_message(malmoi: Malmoi, char_run: Path, words: list[str], message: str) -> None:
    code, out, err = malmoi("explain", char_run, "the", *words)
    assert (code, out) == (2, "")
    assert err.startswith(message)


def test_no_run(malmoi: Malmoi, in_folder: Path) -> None:
    assert malmoi("explain", "nowhere", "the").err.startswith("There is no run at 'nowhere'.")
    (in_folder / "empty").mkdir()
    assert "is not a run: it has no config.json" in malmoi("explain", "empty", "the").err


def test_a_terminal_shows_a_strip_in_colour(char_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    print_explanation(package.load(char_run).explain("the cat\nsat", language="ko"))
    assert "\x1b[" in screen.getvalue()
    assert "어절" in screen.getvalue()
