"""`malmoi vectors eval` as people type it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from malmoi.cli import main
from malmoi.vectors import Vectors


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Evaluate = Callable[..., Answer]


@pytest.fixture
def evaluate(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """Runs the command in a folder with two models and some sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MALMOI_DATA", str(tmp_path))
    generator = np.random.default_rng(1)
    matrix = generator.standard_normal((40, 5)).astype(np.float32)
    words = [f"w{i}" for i in range(40)]
    good, bad = Vectors(words, matrix), Vectors(words, generator.standard_normal((40, 5)).astype(np.float32))
    good.save(tmp_path / "good")
    bad.save(tmp_path / "old" / "good")
    (tmp_path / "wordsim").mkdir()
    pairs = [(f"w{i}", f"w{i + 1}") for i in range(39)]
    lines = [f"{a}\t{b}\t{good.cosine(a, b):.3f}" for a, b in [*pairs, ("w0", "w0")]]
    (tmp_path / "wordsim" / "people.txt").write_text("\n".join([*lines, "w1\tgone\t1"]), encoding="utf-8")
    korean = "\ufeff단어 1,단어 2,점수\n사랑,미움,1\n"
    (tmp_path / "wordsim" / "korean.csv").write_text(korean, encoding="utf-8")
    (tmp_path / "more.txt").write_text(": one\nw0 w1 w2 w3\n: two\nw1 w2 w3 w4\n", encoding="utf-8")

    def run(*words: str | Path) -> Answer:
        capfd.readouterr()
        code = main(["vectors", "eval", *map(str, words)])
        return Answer(code, *capfd.readouterr())

    return run


def test_every_set_and_model_has_its_row(evaluate: Evaluate) -> None:
    code, out, err = evaluate("good", "old/good")
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["set", "vectors", "Spearman / right", "95 % interval", "covered", "against good", "verdict"]
    assert [row[:2] for row in rows[1:]] == [
        ["korean", "good"], ["korean", "old/good"], ["people", "good"], ["people", "old/good"],
    ]  # fmt: skip
    assert rows[1][2:] == rows[2][2:] == ["–", "–", "0 of 1", "", ""]
    assert (rows[3][4], rows[4][4]) == ("40 of 41", "40 of 41")
    assert float(rows[3][2]) > 0.99
    assert rows[4][5].startswith("−")
    assert (rows[3][5:], rows[4][6]) == (["", ""], "below")
    assert "old/good against good, over the sets: below on 1" in err
    assert "no pair of these sets is covered, so they say nothing; another language? korean" in err


def test_sets_are_files_and_folders_and_categories_are_told(evaluate: Evaluate) -> None:
    code, out, err = evaluate("good", "--sets", "more.txt", "wordsim", "--method", "3cosmul", "--first", "10")
    assert code == 0
    assert out.splitlines()[3].startswith("more\tgood\t")
    assert "\nmore\ncategory\tgood\none\t" in out
    assert "less than half is covered" not in err
    _, out, err = evaluate("good", "--sets", "more.txt", "wordsim", "--first", "4")
    assert "1 of 2" in out
    code, _, err = evaluate("good", "--sets", "more.txt", "--first", "2")
    assert (code, err.splitlines()[-1][:35]) == (2, "No pair and no analogy is covered b")


def test_json_and_report(evaluate: Evaluate, tmp_path: Path) -> None:
    code, out, err = evaluate(
        "good", "old/good", "--sets", "wordsim/people.txt", "--json", "--report", "r.html", "--seed", "3"
    )
    told = json.loads(out)
    assert (code, out.count("\n"), "r.html" in err.splitlines()) == (0, 1, True)
    assert (told["models"], told["seed"], told["method"]) == (["good", "old/good"], 3, "3cosadd")
    assert told["sets"][0]["differences"][0]["verdict"] == "below"
    assert told["settings"]["good"] == {"file": "good", "words": 40, "dim": 5, "subwords": "none"}
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "malmoi vectors eval good old/good --sets wordsim/people.txt --json" in page


def test_in_korean(evaluate: Evaluate, tmp_path: Path) -> None:
    code, out, err = evaluate("good", "old/good", "--lang", "ko", "--report", "r.html")
    assert code == 0
    assert "평가 세트\t벡터\t" in out
    assert "41개 중 40개" in out
    assert "더 낮음" in out
    assert "old/good (good 대비): 더 낮은 세트 1개" in err
    assert '<html lang="ko">' in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "There are no vectors to evaluate. Expected a run or a file"),
        (["gone"], "There is no run at 'gone'"),
        (["good", "--sets", "gone"], "There is no gone. Expected a file of word pairs or analogies"),
        (["good", "--sets", "good/words.json"], "is no set of words. Expected lines of two words and a number"),
        (
            ["good", "--sets", "wordsim/korean.csv"],
            "No pair and no analogy is covered by the vectors: 0 of 1 in korean",
        ),
        (["good", "--first", "0"], "--first 0 was given. Expected 1 word or more"),
        (["good", "--seed", "-1"], "The seed -1 was given. Expected 0 or more"),
        (["good", "--method", "add"], "--method"),
    ],
)
def test_bad_input_is_one_message(evaluate: Evaluate, words: list[str], message: str) -> None:
    code, out, err = evaluate(*words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_a_missing_data_folder_is_named(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALMOI_DATA", "elsewhere")
    code, _, err = evaluate("good")
    assert code == 2
    assert "There is no elsewhere/wordsim, where 'all' looks for similarity and analogy sets. Set MALMOI_DATA" in err
