"""`malmoi thesaurus` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from malmoi.cli import main
from malmoi.vectors import Vectors

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["thesaurus", *map(str, words), "--data", str(folder)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    matrix = np.array([[1, 0], [0.6, 0.8], [0, 1], [0.8, -0.6]], np.float32)
    Vectors(["dog", "bird", "song", "animal"], matrix).save(tmp_path / "mine")
    return tmp_path / "mine"


def test_one_word(run: Run, vectors: Path) -> None:
    code, out, err = run("dog", "--vectors", vectors, "-k", "2", "--senses", "1")
    assert (code, err) == (0, "")
    assert "dog in WordNet 3.0: 3 senses" in out
    assert "dog.n.01\tdog, hound dog\t6\tan animal that barks" in out
    tree = out[out.index("Above the first 1 of 3 senses") :].splitlines()[1:8]
    assert tree == [
        "dog.n.01  dog, hound dog",
        "  animal.n.01  animal, beast",
        "    being.n.01  being",
        "      thing.n.01  thing",
        "  pet.n.01  pet",
        "    being.n.01  being  (as above)",
        "",
    ]
    assert "Nearest in WordNet to dog.n.01\nword\tpath\tcosine\nhound dog\t1.0000\t—\nanimal\t0.5000\t0.8000\n" in out
    assert "Nearest by mine\nword\tcosine\tpath\nanimal\t0.8000\t0.5000\nbird\t0.6000\t0.3333\n" in out


def test_two_words(run: Run, vectors: Path) -> None:
    code, out, _ = run("dog", "bird", "--vectors", vectors)
    assert code == 0
    assert "path\t0.3333\tdog.n.01 – bird.n.01\nWu–Palmer\t0.7500\t" in out
    assert "cosine\t0.6000\tof the vectors of mine" in out
    assert "Lowest common concept: animal.n.01  animal, beast: a being that moves" in out
    assert "  dog.n.01 → animal.n.01\n  bird.n.01 → animal.n.01\n" in out
    assert "hammer.n.01 – bird.n.01\t0.1667" in out
    assert "Lin: information content from the 20 tagged words" in out


def test_json_is_one_object(run: Run, vectors: Path) -> None:
    code, out, _ = run("dog", "--json", "--vectors", vectors)
    told = json.loads(out)
    assert code == 0
    assert told["senses"][0]["words"] == ["dog", "hound dog"]
    assert told["senses"][0]["seen"] == 6
    assert told["nearest_by_vectors"][0] == {"word": "animal", "path": 0.5, "cosine": pytest.approx(0.8)}
    assert {concept["name"]: concept["above"] for concept in told["graph"]["concepts"]}["pet.n.01"] == ["being.n.01"]
    told = json.loads(run("dog", "bird", "--json")[1])
    assert told["best"]["path"] == {"similarity": pytest.approx(1 / 3), "senses": ["dog.n.01", "bird.n.01"]}
    assert told["common"]["name"] == "animal.n.01"
    assert told["cosine"] is None
    assert len(told["pairs"]) == 2


def test_korean_labels(run: Run) -> None:
    _, out, _ = run("dog", "bird", "--lang", "ko")
    assert "WordNet 3.0의 dog · bird" in out
    assert "가장 낮은 공통 개념: animal.n.01" in out


def test_words_that_cannot_be_compared(run: Run) -> None:
    _, out, _ = run("glad", "happy")
    assert "Both words can mean" in out
    assert "No similarity: only nouns and verbs" in out
    _, out, _ = run("move", "think")
    assert "The nearest senses have no common concept" in out
    _, out, _ = run("glad")
    assert "Nothing stands above adjectives" in out


def test_html_and_counts_from_a_text(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The dog and the bird.\n")
    code, out, err = run("dog", "bird", "--counts", text, "--html", tmp_path / "two.html")
    assert (code, err) == (0, f"{tmp_path / 'two.html'}\n")
    assert "Lin: information content from 2 nouns and verbs of your text" in out
    assert "<svg" in (tmp_path / "two.html").read_text()


def test_sets_stand_beside_vectors(run: Run, vectors: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("dog\tbird\t7\ndog\tanimal\t9\nbird\tanimal\t8\ndog\thammer\t1\nglad\thappy\t9\n")
    code, out, _ = run("--sets", pairs, "--vectors", vectors)
    assert code == 0
    own, common = out.split("\nThe same on the pairs that WordNet and the vectors both cover\n")
    assert "pairs\tpath\t" in own
    assert own.count("4 / 5") == 3
    assert common.count("3 / 5") == 4
    told = json.loads(run("--sets", pairs, "--json")[1])
    assert told["sets"][0]["own"].keys() == {"path", "wup", "lin"}
    assert told["sets"][0]["common"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["강아지"], "WordNet is a thesaurus of English, and '강아지' is Korean"),
        ([], "A word (with a second one to compare it with) or --sets was expected"),
        (["dog", "--sets", "pairs.txt"], "or --sets was expected"),
        (["--sets", "nowhere.txt"], "nowhere.txt"),
        (["dog", "-k", "0"], "-k 0 were given. Expected 1 or more"),
        (["dog", "--pos", "noun", "--vectors", "nowhere"], "nowhere"),
        (["dog", "birdd"], "Did you mean bird"),
    ],
)
def test_wrong_input_is_one_message(run: Run, words: list[str], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_missing_data_is_one_message(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["thesaurus", "dog", "--data", str(tmp_path)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Type: apt-get install wordnet-base" in err
