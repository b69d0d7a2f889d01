"""Which words come onto a map, what is worked out for them, and the command that draws it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from malmoi.cli import main
from malmoi.cli.vectors.map import read_words
from malmoi.errors import ConfigError, DataError
from malmoi.vectors import Vectors
from malmoi.vectors.map import draw, drawing
from malmoi.vectors.projection import nearest, pca, trust

# 2 x 2 meanings: (man, woman) x (plain, royal), so that the difference of sex is the same for both
ROYAL = {
    "남자": [1, 0, 0.1],
    "여자": [0, 1, 0.1],
    "왕": [1, 0, 1],
    "여왕": [0, 1, 1],
    "책상": [-1, -1, 0.2],
    "사과": [-0.4, -1, -0.5],
}
PLACES = (*"abcdefghijklmnopqrstuvwxyz",)


@pytest.fixture
def royal() -> Vectors:
    return Vectors(list(ROYAL), np.array([*ROYAL.values()], np.float32))


def letters(n: int = 26, dim: int = 5) -> Vectors:
    return Vectors(list(PLACES[:n]), np.random.default_rng(2).normal(size=(n, dim)).astype(np.float32))


def piecewise(word: str) -> NDArray[Any] | None:
    return np.array([0.5, 0.5, 0.5], np.float32) if word.startswith("남") else None


def test_the_first_words_are_drawn_with_their_ranks() -> None:
    vectors = letters()
    found = draw(vectors, top=7, method="pca", name="runs/abc")
    assert found.words == tuple("abcdefg")
    assert found.ranks.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (found.n_known, found.dim, found.name) == (26, 5, "runs/abc")
    units = np.stack([vectors.unit(word) for word in "abcdefg"])
    np.testing.assert_allclose(found.projection.points, pca(units.astype(np.float64))[0], atol=1e-6)
    np.testing.assert_array_equal(found.nearest.places, nearest(units, 10).places)
    assert found.trust == trust(units, found.projection.points)


def test_without_a_choice_the_most_frequent_words_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "TOP", 20)
    assert len(draw(letters(), method="pca").words) == 20
    assert len(draw(letters(9), method="pca").words) == 9


def test_named_words_stand_alone_or_with_the_first_ones(royal: Vectors) -> None:
    found = draw(royal, words=["사과", "왕", "사과", "없다"], method="pca")
    assert found.words == ("왕", "사과")  # the frequent first
    assert found.ranks.tolist() == [3, 6]
    assert found.missing == ("없다",)
    assert found.trust is None  # of two words there is nothing to tell
    assert draw(royal, words=["사과"], top=2, method="pca").words == ("남자", "여자", "사과")


def test_a_word_made_of_pieces_has_no_rank() -> None:
    vectors = Vectors(list(ROYAL), np.array([*ROYAL.values()], np.float32), unknown=piecewise)
    found = draw(vectors, words=["남쪽", "왕", "남자", "북쪽"], method="pca")
    assert found.words == ("남자", "왕", "남쪽")
    assert found.ranks.tolist() == [1, 3, 0]
    assert found.to_dict()["words"][2]["rank"] is None
    assert found.missing == ("북쪽",)


def test_analogies_bring_their_words_and_find_the_fourth(royal: Vectors) -> None:
    found = draw(royal, words=["책상"], method="pca", analogies=["남자 여자 왕", "왕 남자 여왕 여자"])
    assert set(found.words) == {"남자", "여자", "왕", "여왕", "책상"}
    told = [([found.words[i] for i in one.words], one.is_found) for one in found.analogies]
    assert told == [(["남자", "여자", "왕", "여왕"], True), (["왕", "남자", "여왕", "여자"], False)]


def test_codes_keep_the_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = letters(26, 40)
    units = np.stack([vectors.unit(word) for word in vectors.words])

    def error(codes: NDArray[np.int8]) -> float:
        rows = codes.astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return float(np.abs(rows @ rows.T - units @ units.T).max())

    codes = draw(vectors, method="pca").codes
    assert codes.shape == (26, 40)
    assert error(codes) < 0.02
    monkeypatch.setattr(drawing, "MOST_CODES", 26 * 25)
    codes = draw(vectors, method="pca").codes
    assert codes.shape == (26, 25)  # the main directions of 26 words hold nearly all of 40
    assert error(codes) < 0.1


def test_wide_vectors_are_made_narrow_without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = letters(26, 40)
    wide = draw(vectors, method="pca", analogies=["a b c"])
    monkeypatch.setattr(drawing, "WIDE", 30)
    narrow = draw(vectors, method="pca", analogies=["a b c"])
    assert (narrow.codes.shape, narrow.dim) == ((26, 26), 40)
    np.testing.assert_allclose(narrow.projection.points, wide.projection.points, atol=1e-5)
    np.testing.assert_array_equal(narrow.nearest.places, wide.nearest.places)
    np.testing.assert_allclose(narrow.nearest.cosines, wide.nearest.cosines, atol=1e-6)
    assert narrow.projection.variance == pytest.approx(wide.projection.variance, abs=1e-6)


def test_groups_are_named_by_frequent_words_of_their_middle() -> None:
    rng = np.random.default_rng(5)
    rows = np.repeat(np.eye(4), 10, axis=0) + 0.05 * rng.normal(size=(40, 4))
    rows[0] = [0.9, 0.436, 0, 0]  # the most frequent word of its group, and at its edge
    found = draw(Vectors([f"w{i}" for i in range(40)], rows.astype(np.float32)), method="pca")
    assert {group for group, _ in enumerate(found.heads)} == set(found.groups.tolist())
    for group, heads in enumerate(found.heads):
        assert all(found.groups[i] == group for i in heads)
    heads = found.heads[found.groups[0]]
    assert 0 not in heads
    assert len(heads) < (found.groups == found.groups[0]).sum()


def test_what_cannot_be_drawn_is_refused(royal: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (ConfigError, "first 0 words.*Expected 1 or more", lambda: draw(royal, top=0)),
        (
            DataError,
            "map of 1 words.*no vector for '없다', '몰라'.*Expected 2",
            lambda: draw(royal, words=["왕", "없다", "몰라"]),
        ),
        (DataError, "map of 0 words was asked for. Expected 2", lambda: draw(royal, words=[])),
        (DataError, "'왕 남자' has 2 different words.*three or four", lambda: draw(royal, analogies=["왕 남자"])),
        (DataError, "'왕 남자 왕 남자' has 2 different", lambda: draw(royal, analogies=["왕 남자 왕 남자"])),
        (DataError, "no vector for '여황'.*Did you mean 여왕", lambda: draw(royal, analogies=["왕 남자 여황"])),
        (ConfigError, "no method 'mds'", lambda: draw(royal, method="mds")),
    ]
    for kind, message, attempt in refused:
        with pytest.raises(kind, match=message):
            attempt()
    three = Vectors(["a", "b", "c"], np.eye(3, dtype=np.float32))
    with pytest.raises(DataError, match="'a b c' has no answer.*fourth word"):
        draw(three, analogies=["a b c"], method="pca")
    monkeypatch.setattr(drawing, "MOST_WORDS", 5)
    with pytest.raises(ConfigError, match="map of 6 words.*at most 5.*--top 5"):
        draw(royal, top=10)
    monkeypatch.setattr(drawing, "MOST_NUMBERS", 9)
    with pytest.raises(ConfigError, match="map of 6 words of 3 numbers.*at most 3 words.*memory"):
        draw(royal, top=10)


# The command


@pytest.fixture
def saved(royal: Vectors, tmp_path: Path) -> str:
    royal.save(tmp_path / "royal")
    return str(tmp_path / "royal")


def test_the_command_writes_a_page_and_tells_how_good_it_is(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "map.html"
    command = [
        "vectors",
        "map",
        saved,
        "--html",
        str(page),
        "--method",
        "pca",
        "--analogy",
        "남자 여자 왕",
        "--lang",
        "ko",
    ]
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.err == ""
    rows = dict(line.split("\t") for line in told.out.splitlines() if "\t" in line)
    assert rows["words"] == "6 of 6"
    assert rows["method"] == "PCA"
    assert rows["share of the variance"].endswith("%")
    assert 0 <= float(rows["trustworthiness"]) <= 1
    assert rows["남자 : 여자"] == "왕 : 여왕 (found)"
    assert str(page) in rows["page"]
    assert '<html lang="ko">' in page.read_text(encoding="utf-8")


def test_the_command_as_json(saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.txt").write_text("왕 여왕\n사과\n여황\n", encoding="utf-8")
    command = ["vectors", "map", saved, "--html", str(tmp_path / "m.html"), "--words", str(tmp_path / "words.txt")]
    assert main([*command, "--word", "책상", "--method", "pca", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert [row["word"] for row in found["words"]] == ["왕", "여왕", "책상", "사과"]
    assert [row["rank"] for row in found["words"]] == [3, 4, 5, 6]
    assert (found["vectors"], found["method"], found["seed"], found["dim"]) == ("royal", "pca", None, 3)
    assert found["missing"] == ["여황"]
    assert "여황 (did you mean 여왕?) (1 in all)" in told.err


def test_the_command_says_which_method_it_takes(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("malmoi.vectors.projection.available_method", lambda: "pca")
    assert main(["vectors", "map", saved, "--html", str(tmp_path / "m.html")]) == 0
    assert "Drawing by PCA (for t-SNE: pip install 'malmoi[map]')." in capsys.readouterr().err


def test_the_command_warns_before_it_takes_minutes(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr("malmoi.cli.vectors.map.MANY", 5)
    command = ["vectors", "map", saved, "--html", str(tmp_path / "m.html"), "--method", "tsne"]
    assert main([*command, "--top", "6", "--seed", "3"]) == 0
    told = capsys.readouterr()
    assert "takes minutes" in told.err
    assert "seed\t3" in told.out
    assert main([*command, "--top", "5"]) == 0
    assert capsys.readouterr().err == ""


def test_wrong_input_is_one_message(saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["vectors", "map", saved, "--html", str(tmp_path / "m.html")]
    for more, message in (
        (["--method", "isomap"], "no method 'isomap'"),
        (["--words", str(tmp_path / "none.txt")], "cannot be read (No such file"),
        (["--top", "-3"], "first -3 words"),
    ):
        assert main([*command, *more]) == 2
        told = capsys.readouterr()
        assert message in told.err
        assert "Traceback" not in told.err
        assert told.out == ""
    assert not (tmp_path / "m.html").exists()


def test_lists_of_words_are_read_with_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff영화 배우\n\n\t감독\n".encode())
    assert read_words(path) == ["영화", "배우", "감독"]
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="it is no UTF-8"):
        read_words(path)
    path.write_bytes(b" \n")
    with pytest.raises(DataError, match="is empty.*Write some"):
        read_words(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_words(tmp_path)
    monkeypatch.setattr("malmoi.cli.vectors.map.MOST_LIST", 1)
    path.write_bytes(b"too long")
    with pytest.raises(DataError, match="more than 1 bytes"):
        read_words(path)
