import json
from pathlib import Path
from typing import Any

import pytest
from comparisons import comparison
from conftest import LINES, Malmoi

from malmoi.cli import compare as command
from malmoi.comparison import compare as compare_module
from malmoi.comparison import ladder as ladder_module
from malmoi.comparison.compare import ComparisonStopped
from malmoi.comparison.comparison import Comparison
from malmoi.pages.language import Teller
from malmoi.training.progress import StepReport

ENGLISH = Teller("en", "comparison")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(f"{line} {number}" for number, line in enumerate(LINES * 8)) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked for; nothing is compared."""
    questions: list[dict[str, Any]] = []

    def answer(text: Any, *rungs: Any, **options: Any) -> Comparison:
        questions.append({"text": text, "rungs": rungs, **options})
        return comparison(unigram=4.0, ngram=2.5, lstm=2.75)

    monkeypatch.setattr(compare_module, "compare", answer)
    monkeypatch.setattr(ladder_module, "ladder", answer)
    return questions


def test_flags_become_the_question(malmoi: Malmoi, asked: list[dict[str, Any]]) -> None:
    words = (
        "a.txt b.txt --rungs unigram,lstm:char --budget 90s --valid v --test t --report r.html --out o --tokenizer jamo"
    )
    more = "--vocab-size 300 --prompt 나는 --seed 7 --lang ko --field 2 --encoding cp949 --unit documents --device cuda --json"
    assert malmoi("compare", *words.split(), *more.split()).code == 0
    (question,) = asked
    assert question.pop("reporter") is not None
    assert question.pop("command") == f"malmoi compare {words} {more}".replace("나는", "'나는'")
    assert question == {
        "text": ["a.txt", "b.txt"],
        "rungs": (["unigram", "lstm:char"],),
        **{
            "budget": "90s",
            "valid": "v",
            "test": "t",
            "report": "r.html",
            "out": "o",
            "tokenizer": "jamo",
        },
        **{"vocab_size": 300, "prompt": "나는", "seed": 7, "lang": "ko", "field": "2"},
        **{"encoding": "cp949", "unit": "documents", "device": "cuda"},
    }


def test_a_ladder_needs_a_text_alone(malmoi: Malmoi, asked: list[dict[str, Any]]) -> None:
    code, out, err = malmoi("ladder", "a.txt")
    assert code == 0
    (question,) = asked
    assert (question.keys(), question["text"], question["rungs"]) == (
        {"text", "rungs", "reporter", "command", "started"},
        ["a.txt"],
        (),
    )
    assert isinstance(question["started"], float)
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["model", "bits per byte", "training", "disk", "ms per token", "what it bought"]
    assert rows[1] == ["unigram", "4.00", "1.5 s", "3.0 kB", "0.20", "where we start"]
    assert rows[2][-1] == "−1.50  word order"
    assert rows[3][-1] == "+0.25  worse than ngram"
    assert "ngram: 10 bits instead of 30\n    the cat\n" in err
    assert "All differences are real (p ≤ 0.0002).\n" in err
    assert "overlap: 1.0% of the test lines and 2.0% of its runs of 8 words stand in the training text\n" in err
    assert err.endswith("report: runs/c/report.html\n")


def test_a_comparison_is_a_table(malmoi: Malmoi, asked: list[dict[str, Any]]) -> None:
    code, out, _ = malmoi("compare", "a.txt", "--rungs", "unigram,ngram,lstm")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert rows[0] == ["model", "bits per byte", "perplexity", "training", "disk", "memory", "ms per token"]
    assert rows[2] == ["ngram", "2.5000", "32.00", "1.5 s", "3.0 kB", "250.0 MB", "0.200"]


def test_korean_is_korean(malmoi: Malmoi, asked: list[dict[str, Any]]) -> None:
    _, out, err = malmoi("ladder", "a.txt", "--lang", "ko")
    assert out.startswith("모델\t바이트당 비트\t학습 시간\t디스크\t토큰당 ms\t무엇을 얻었나\n")
    assert "−1.50  단어의 순서" in out
    assert "모든 차이가 실제 차이입니다" in err
    assert "보고서: runs/c/report.html" in err


def test_the_json_is_the_whole_result(malmoi: Malmoi, asked: list[dict[str, Any]]) -> None:
    told = json.loads(malmoi("ladder", "a.txt", "--json").out)
    assert [model["bits_per_byte"] for model in told["models"]] == pytest.approx([4.0, 2.5, 2.75])
    assert told["steps"][1]["gain"] == pytest.approx(1.5)
    assert told["differences"][0]["is_real"]


def test_doubtful_differences_are_named() -> None:
    found = comparison(p=0.3, unigram=4.0, ngram=2.5)
    assert command.significance(found, ENGLISH) == ("Differences that may be luck: unigram – ngram (p = 0.3).")
    assert command.bought(found.steps[1], "ngram", ENGLISH) == "-1.50  no real difference to unigram"
    found = comparison(p=0.0002, unigram=4.0, ngram=2.5, lstm=2.4999)
    assert command.significance(found, ENGLISH) == (
        "Too small to matter: ngram – lstm. All others are real (p ≤ 0.0002)."
    )
    assert command.bought(found.steps[2], "lstm", ENGLISH) == "-0.00  too small a difference to ngram to matter"
    alone = comparison(unigram=4.0)
    assert command.significance(alone, ENGLISH) == ""


def test_a_real_comparison_from_the_command_line(malmoi: Malmoi, text: Path, in_folder: Path) -> None:
    rungs = "uniform,ngram,uniform+ngram"
    words = ("compare", text, "--rungs", rungs, "--steps", "2", "--tokenizer", "char", "--report", "r.html", "--json")
    first = malmoi(*words)
    assert first.code == 0
    told = json.loads(first.out)
    assert [model["name"] for model in told["models"]] == rungs.split(",")
    assert (in_folder / "r.html").stat().st_size > 4e6
    assert "[2/3] ngram: counting" in first.err
    assert [model["memory_bytes"] is None for model in told["models"]][::2] == [True, True]  # no process can load these
    again = malmoi(*words)
    assert json.loads(again.out)["models"] == told["models"]
    assert "[2/3] ngram: measured before" in again.err
    assert told["folder"] == "runs/compare-text"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rungs", "lstn"], "There is no rung named 'lstn'. Expected uniform, unigram,"),
        (["--rungs", "unigram", "--budget", "1s"], "--budget 1s is no training time."),
        (["--rungs", "unigram", "--report", "."], ". is a folder. Expected a file for the report"),
        (
            ["--rungs", "unigram", "--tokenizer", "char", "--tokenizer-from", "x"],
            "--tokenizer-from takes a tokenizer as it is",
        ),
        (["--rungs", "unigram", "--tokenizer-from", "x"], "There is no run at 'x'."),
        ([], 'Command "compare" parameter --rungs requires an argument'),
    ],
)
def test_wrong_questions_are_one_message(
    malmoi: Malmoi, text: Path, in_folder: Path, words: list[str], message: str
) -> None:
    code, out, err = malmoi("compare", text, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (in_folder / "runs").exists()


def test_no_text_is_told(malmoi: Malmoi) -> None:
    assert "No text was given" in malmoi("ladder").err


def test_ctrl_c_says_what_is_finished(malmoi: Malmoi, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(text: Any, **options: Any) -> Comparison:
        raise ComparisonStopped("Stopped. Finished are: unigram.", None)

    monkeypatch.setattr(ladder_module, "ladder", stopped)
    code, out, err = malmoi("ladder", text)
    assert (code, out) == (130, "")
    assert err == "Stopped. Finished are: unigram.\n"


def test_the_display_begins_anew_with_each_run(capsys: pytest.CaptureFixture[str]) -> None:
    with command.SeveralRuns("en") as reporter:
        for steps in (7, 9):
            reporter.trained(StepReport(steps, 1.0, 2.0, 10.0, 0.0, 0.1))
            reporter.finished()
            assert reporter.latest is None
    err = capsys.readouterr().err
    assert "stopped training after 7 steps (0:00)" in err
    assert "stopped training after 9 steps (0:00)" in err
