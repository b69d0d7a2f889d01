"""`malmoi vectors similar`, `analogy`, `odd` and `convert`, and vectors in `export`, `import` and `info`."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Malmoi
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from malmoi import api
from malmoi.cli.vectors import ask
from malmoi.interop.exchange import FORMATS
from malmoi.models.registry import RUNGS
from malmoi.runs.folder import RunConfig, write_config
from malmoi.vectors import Vectors
from malmoi.vectors.files.reading import read_vectors
from malmoi.vectors.files.writing import write_vectors
from malmoi.vectors.storage import vector_arrays, write_files

WORDS = ["왕", "여왕", "남자", "여자", "빵", "king"]
ROWS = [[1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 1]]


def vectors_of(words: list[str] = WORDS, rows: list[list[int]] = ROWS) -> Vectors:
    return Vectors(words, np.array(rows, np.float32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_vectors(tmp_path / "small.vec", vectors_of())
    return tmp_path / "small.vec"


def make_run(folder: Path, vectors: Vectors, **model: str) -> Path:
    """A run of word2vec as its training leaves it, as far as these commands look at it."""
    folder.mkdir()
    write_files(folder, vectors.words, vector_arrays(vectors))
    write_config(folder, RunConfig(family="word2vec", model=model, figures={"words": len(vectors)}))
    return folder


def composing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model makes vectors of words that begin with a known one."""
    load = api.load_vectors

    def load_composing(source: str | Path, **options: object) -> Vectors:
        vectors = load(source, **options)  # type: ignore[arg-type]

        def compose(word: str) -> NDArray[np.float32] | None:
            place = vectors.place(word[:-1])
            return None if place is None else vectors.rows(np.array([place]))[0]

        return Vectors(vectors.words, vectors.matrix, unknown=compose)

    monkeypatch.setattr(api, "load_vectors", load_composing)


# similar


def test_the_nearest_words_of_one_and_of_several(malmoi: Malmoi, path: Path) -> None:
    code, out, err = malmoi("vectors", "similar", path, "왕", "-k", "2")
    assert (code, err) == (0, "")
    assert out == f"word\tcosine\n여왕\t{2 / 6**0.5:.4f}\nking\t{2 / 6**0.5:.4f}\n"
    out = malmoi(
        "vectors", "similar", path, "왕", "여자", "--exclude", "여왕", "--exclude", "unheard-of", "-k", "1"
    ).out
    assert out.splitlines()[1].split("\t")[0] == "남자"
    report = json.loads(malmoi("vectors", "similar", path, "왕", "여자", "-k", "1", "--json").out)
    assert report["words"] == ["왕", "여자"]
    assert report["vectors"] == str(path)
    assert report["composed"] == []
    assert [near["word"] for near in report["similar"]] == ["여왕"]
    middle = (np.array([1, 0, 1, 0]) + np.array([1, 1, 0, 0])) / 2**0.5
    cosine = middle @ [1, 1, 1, 0] / (np.linalg.norm(middle) * 3**0.5)
    assert report["similar"][0]["cosine"] == pytest.approx(cosine, abs=1e-6)


def test_other_vectors_stand_beside(malmoi: Malmoi, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    write_vectors(other, vectors_of(["왕", "빵"], [[1, 2], [2, 1]]))
    code, out, err = malmoi("vectors", "similar", path, "왕", "-k", "2", "--with", other)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{path}\tcosine\t{other}\tcosine", "여왕\t0.8165\t빵\t0.8000", "king\t0.8165\t\t"]
    report = json.loads(malmoi("vectors", "similar", path, "왕", "--json", "--with", other).out)
    assert report["vectors"] == str(path)
    assert report["with"][0]["vectors"] == str(other)
    assert report["with"][0]["similar"] == [{"word": "빵", "cosine": pytest.approx(0.8)}]
    code, out, err = malmoi("vectors", "similar", path, "여왕", "--with", other)
    assert (code, out) == (2, "")
    assert err.startswith(f"{other}: There is no vector for '여왕'.")


def test_composed_vectors_are_told(malmoi: Malmoi, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composing(monkeypatch)
    code, out, err = malmoi("vectors", "similar", path, "왕은", "-k", "1")
    assert code == 0
    assert out == "word\tcosine\n왕\t1.0000\n"
    assert err == "왕은 is not in the vocabulary; its vector is made from pieces of the spelling.\n"
    err = malmoi("vectors", "similar", path, "왕은", "빵이", "왕", "--with", path).err
    told = f"왕은, 빵이 are not in the vocabulary of {path}; their vectors are made from pieces of the spelling.\n"
    assert err == told * 2
    assert json.loads(malmoi("vectors", "similar", path, "왕은", "--json").out)["composed"] == ["왕은"]
    assert json.loads(malmoi("vectors", "analogy", path, "왕은 - 남자", "--json").out)["composed"] == ["왕은"]
    assert json.loads(malmoi("vectors", "odd", path, "왕은", "왕", "빵", "--json").out)["composed"] == ["왕은"]
    assert "no vector for '모르는말'" in malmoi("vectors", "similar", path, "모르는말").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["similar", "여앙"], "There is no vector for '여앙'. Did you mean 여왕 or 여자? Expected one of the 6 words"),
        (["similar", "King"], "There is no vector for 'King'. Did you mean king?"),
        (["similar"], "No word was given. Expected one word or more after the vectors."),
        (["similar", "왕", "-k", "0"], "The 0 nearest words were asked for."),
        (["analogy"], "An analogy of 0 words. Expected an expression, as 'king - man + woman', or three words"),
        (["analogy", "왕", "남자"], "An analogy of 2 words. Expected an expression"),
        (["analogy", "왕 - 왕"], "'왕 - 왕' comes to 0, which is near to no word. Expected words that do not cancel"),
        (["analogy", "왕", "-", "낭자"], "There is no vector for '낭자'. Did you mean 남자?"),
        (["analogy", "왕 - "], "Cannot reckon '왕 - '"),
        (
            ["analogy", "왕 / 2", "--method", "3cosmul"],
            "'왕' counts 0.5 times in '왕 / 2'. Expected, for 3cosmul, words",
        ),
        (["odd", "왕", "빵"], "The odd one out of 2 was asked for."),
    ],
)
def test_questions_without_an_answer_are_one_message(
    malmoi: Malmoi, path: Path, words: list[str], message: str
) -> None:
    code, out, err = malmoi("vectors", words[0], path, *words[1:])
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert len(err.splitlines()) == 1


def test_vectors_that_are_none_are_one_message(malmoi: Malmoi, tmp_path: Path) -> None:
    assert malmoi("vectors", "similar", tmp_path / "gone", "왕").code == 2
    (tmp_path / "text").write_text("no vectors at all")
    code, out, err = malmoi("vectors", "similar", tmp_path / "text", "왕")
    assert (code, out) == (2, "")
    assert err.startswith(str(tmp_path / "text"))


# analogy and odd


@pytest.mark.parametrize(
    "question",
    [
        ["왕 - 남자 + 여자"],
        ["왕 − 남자 + 여자"],
        ["왕", "-", "남자", "+", "여자"],
        ["남자", "왕", "여자"],
        ["(왕 - 남자) + 여자", "--method", "3cosmul"],
        ["남자", "왕", "여자", "--method", "3cosmul"],
    ],
)
def test_analogies(malmoi: Malmoi, path: Path, question: list[str]) -> None:
    code, out, err = malmoi("vectors", "analogy", path, *question, "-k", "3")
    assert (code, err) == (0, "")
    by_product = "3cosmul" in question
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["word", "score" if by_product else "cosine"]
    vectors = vectors_of()
    expected = vectors.analogy(["왕", "여자"], ["남자"], 3, method="3cosmul" if by_product else "3cosadd")
    assert [line[0] for line in lines[1:]] == [near.word for near in expected]
    assert [float(line[1]) for line in lines[1:]] == pytest.approx([near.cosine for near in expected], abs=1e-4)
    assert expected[0].word == "여왕"


def test_analogies_as_json(malmoi: Malmoi, path: Path) -> None:
    report = json.loads(malmoi("vectors", "analogy", path, "남자", "왕", "여자", "-k", "1", "--json").out)
    assert (report["a"], report["b"], report["c"], report["method"]) == ("남자", "왕", "여자", "3cosadd")
    assert report["answers"] == [{"word": "여왕", "cosine": pytest.approx(1, abs=0.1)}]
    report = json.loads(malmoi("vectors", "analogy", path, "왕 - 남자", "--method", "3cosmul", "--json").out)
    assert report["expression"] == "왕 - 남자"
    assert set(report["answers"][0]) == {"word", "score"}


def test_the_odd_one_out(malmoi: Malmoi, path: Path) -> None:
    code, out, err = malmoi("vectors", "odd", path, "왕", "여왕", "빵", "남자")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["빵", "word\tcosine with the middle"]
    assert lines[2].split("\t")[0] == "빵"
    cosines = [float(line.split("\t")[1]) for line in lines[2:]]
    assert cosines == sorted(cosines)
    report = json.loads(malmoi("vectors", "odd", path, "왕", "여왕", "빵", "남자", "--json").out)
    assert report["odd"] == "빵"
    assert [round(row["cosine"], 4) for row in report["cosines"]] == cosines


def test_a_terminal_shows_bars(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ask.similar(str(path), "왕", k=5)
    lines = capsys.readouterr().out.splitlines()
    assert any("여왕" in line and line.rstrip().endswith("█" * round(24 * 0.8165)) for line in lines)
    assert any("빵" in line and line.rstrip().endswith("▏") for line in lines)
    ask.analogy(str(path), "왕 - 남자 + 여자", method="3cosmul")  # scores above 1 stay within the width
    assert max(line.count("█") for line in capsys.readouterr().out.splitlines()) == 24


# convert, export and import


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove"])
def test_files_are_converted(malmoi: Malmoi, path: Path, tmp_path: Path, form: str) -> None:
    out_path = tmp_path / "out.gz"
    code, out, err = malmoi("vectors", "convert", path, out_path, "--to", form, "--limit", "4")
    assert (code, err) == (0, "")
    assert out == f"file\t{out_path}\nwords\t4 of 4 numbers\nsize\t{out_path.stat().st_size} bytes\n"
    again = read_vectors(out_path)
    assert again.words == WORDS[:4]
    np.testing.assert_array_equal(again.matrix, np.array(ROWS[:4], np.float32))
    assert gzip.decompress(out_path.read_bytes()).startswith(b"4 4\n") == (form != "glove")


def test_vectors_are_kept_small(malmoi: Malmoi, path: Path, tmp_path: Path) -> None:
    report = json.loads(
        malmoi("vectors", "convert", path, tmp_path / "kept", "--to", "saved", "--storage", "int8", "--json").out
    )
    loaded = Vectors.load(tmp_path / "kept")
    assert loaded.matrix.dtype == np.int8
    assert 0 <= report["largest_cosine_error"] < 0.01
    assert (report["words"], report["dim"], report["storage"]) == (6, 4, "int8")
    out = malmoi("vectors", "convert", tmp_path / "kept", tmp_path / "back", "--to", "saved", "--limit", "2").out
    assert out.startswith(f"folder\t{tmp_path / 'back'}\nwords\t2 of 4 numbers\n")
    assert malmoi("vectors", "similar", tmp_path / "back", "왕", "-k", "1").out.splitlines()[1].startswith("여왕")


def test_words_with_spaces_are_converted_when_told_so(malmoi: Malmoi, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the 1 2\nNew York 3 4\n")
    code, _, err = malmoi("vectors", "convert", tmp_path / "in.txt", tmp_path / "a", "--to", "saved")
    assert code == 2
    assert "Read it with --spaces" in err
    assert malmoi("vectors", "convert", tmp_path / "in.txt", tmp_path / "a", "--to", "saved", "--spaces").code == 0
    assert Vectors.load(tmp_path / "a").words == ["the", "New York"]
    code, _, err = malmoi("vectors", "convert", tmp_path / "a", tmp_path / "b.txt", "--to", "glove")
    assert code == 2
    assert "The word 'New York' holds white space" in err


def test_what_cannot_be_converted_is_refused(malmoi: Malmoi, path: Path, tmp_path: Path) -> None:
    code, _, err = malmoi("vectors", "convert", path, tmp_path / "x", "--to", "glove", "--storage", "int8")
    assert code == 2
    assert err == "glove files hold float32, not int8. Expected --storage with --to saved only. Leave it out.\n"
    code, _, err = malmoi("vectors", "convert", path, path, "--to", "glove")
    assert (code, err) == (2, f"{path} exists already and was not changed. Choose another OUT, or remove it first.\n")
    Vectors(["a", "b"], csr_matrix(np.eye(2))).save(tmp_path / "thin")
    code, _, err = malmoi("vectors", "convert", tmp_path / "thin", tmp_path / "x", "--to", "word2vec")
    assert code == 2
    assert err.startswith("The vectors are sparse: 2 words of 2 numbers, nearly all of them 0, which such a file would")
    assert malmoi("vectors", "convert", path, tmp_path / "x", "--to", "glove", "--limit", "0").code == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary", "glove"])
def test_a_run_of_vectors_becomes_a_file_and_the_file_a_run(malmoi: Malmoi, tmp_path: Path, form: str) -> None:
    run = make_run(tmp_path / "run", vectors_of(), subwords="none")
    file, back = tmp_path / "file", tmp_path / "back"
    code, out, err = malmoi("export", run, "--to", form, "--out", file)
    assert (code, err) == (0, "")
    assert out == f"file\t{file}\nsize\t{file.stat().st_size} bytes\n"
    code, out, err = malmoi("import", file, "--out", back)
    assert (code, out) == (0, f"run\t{back}\nwords\t6 of 4 numbers\n")
    assert err == f"Try it:  malmoi vectors similar {back} WORD\n"
    vectors = api.load_vectors(back)
    assert vectors.words == WORDS
    np.testing.assert_array_equal(vectors.matrix, np.array(ROWS, np.float32))
    assert malmoi("export", back, "--to", form, "--out", tmp_path / "again").code == 0
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_an_imported_run_tells_what_it_is(malmoi: Malmoi, path: Path, tmp_path: Path) -> None:
    report = json.loads(malmoi("import", path, "--out", tmp_path / "run", "--limit", "4", "--json").out)
    assert report == {"run": str(tmp_path / "run"), "family": "vectors", "words": 4, "dim": 4, "notes": []}
    code, out, err = malmoi("info", tmp_path / "run")
    assert (code, err) == (0, "")
    size = (tmp_path / "run" / "vectors.safetensors").stat().st_size
    assert f"family\tvectors\nvectors\tof 4 words ({size} bytes)\nmodel\tn_words=4, embed_dim=4\n" in out
    assert json.loads(malmoi("info", tmp_path / "run", "--json").out)["parameters"] == 16
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    for expected in (
        "# run\n",
        "Word vectors, imported from `small.vec`",
        "| words | 4, each of 4 numbers |",
        "License:",
    ):
        assert expected in card
    assert f"malmoi import {path} --out {tmp_path / 'run'} --limit 4" in card
    code, _, err = malmoi("explain", tmp_path / "run", "왕")
    assert code == 2
    assert err.startswith("A model of the kind 'vectors' cannot be explained yet")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"words": 4', '"words": "x"'), encoding="utf-8")
    code, _, err = malmoi("info", tmp_path / "run")
    assert code == 2
    assert err.startswith(f"{config} has figures that cannot be told")


def test_vectors_and_arpa_files_are_told_apart(malmoi: Malmoi, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (tmp_path / "glove.gz").write_bytes(gzip.compress("the 0.5 -1\n왕 1 2\n".encode()))
    assert json.loads(malmoi("import", tmp_path / "glove.gz", "--out", tmp_path / "a", "--json").out)["words"] == 2
    arpa = "pi 3.14 2.72\n\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<s>\n-1\t</s>\n-1\ta\n\n\\end\\\n"
    (tmp_path / "model").write_text(arpa)
    assert json.loads(malmoi("import", tmp_path / "model", "--out", tmp_path / "b", "--json").out)["family"] == "ngram"
    code, _, err = malmoi("import", path, "--out", out, "--tokenizer-from", tmp_path / "b")
    assert code == 2
    assert err.startswith(
        f"{path} holds word vectors, which have no tokenizer. Expected --tokenizer-from with ARPA files"
    )
    for option in (["--limit", "5"], ["--spaces"]):
        code, _, err = malmoi("import", tmp_path / "model", "--out", out, *option)
        assert code == 2
        assert err.startswith(f"{tmp_path / 'model'} holds no word vectors. Expected {option[0]} with those only.")
    err = malmoi("import", tmp_path / "gone", "--out", out).err
    assert err == f"There is no {tmp_path / 'gone'}. Expected an ARPA file or a file of word vectors. Check the name.\n"
    (tmp_path / "ragged").write_text("2 2\nthe 1 2\na 3\n")
    code, _, err = malmoi("import", tmp_path / "ragged", "--out", out)
    assert code == 2
    assert err.startswith(f"{tmp_path / 'ragged'}:3: 2 fields")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"2 2\nthe 1 2\n")[:-9])
    assert malmoi("import", tmp_path / "cut.gz", "--out", out).code == 2
    assert not out.exists()


def test_what_a_file_cannot_hold_is_told(malmoi: Malmoi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", vectors_of(), subwords="jamo")
    code, _, err = malmoi("export", run, "--to", "word2vec", "--out", tmp_path / "file")
    assert (code, err) == (
        0,
        "vectors of unseen words, which are made from pieces of the spelling, are not in it\n",
    )
    composing(monkeypatch)
    vectors_of().save(tmp_path / "plain")
    told = malmoi("vectors", "convert", tmp_path / "plain", tmp_path / "saved", "--to", "saved").err
    assert told == "vectors of unseen words, which are made from pieces of the spelling, are not in it\n"
    code, _, err = malmoi("export", run, "--to", "arpa", "--out", tmp_path / "x")
    assert code == 2
    assert "run of the rung word2vec, which cannot be written as arpa: that form holds counted n-grams." in err


def test_language_models_are_no_vectors(malmoi: Malmoi, char_run: Path, tmp_path: Path) -> None:
    code, _, err = malmoi("export", char_run, "--to", "word2vec", "--out", tmp_path / "x")
    assert code == 2
    assert "is a run of the rung lstm, which cannot be written as word2vec: that form holds vectors of words." in err
    assert "malmoi train word2vec corpus.txt" in err
    assert set(FORMATS["word2vec"]) == {rung.name for rung in RUNGS.values() if rung.kind == "vectors"} | {"vectors"}
    assert malmoi("vectors", "similar", char_run, "왕").code == 2
