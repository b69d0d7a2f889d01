"""Sets of pairs and analogies: the forms in use are read, recognised and found, damaged ones refused."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import DataError
from malmoi.evaluation import vector_sets as module
from malmoi.evaluation.vector_sets import (
    AnalogySet,
    SimilaritySet,
    distinct_names,
    find_sets,
    read_analogy_set,
    read_set,
    read_similarity_set,
)

DATA = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "wordsim"


@pytest.mark.parametrize(
    "text",
    [
        "사랑\t미움\t1.5\nb\tc d\t2\n",
        "\ufeffword 1,word 2,score\r\n사랑,미움,1.5\r\n\r\nb,c d,2",
        '사랑,"미움",1.5\nb,"c d",2\n',
        "one\ttwo\tscore\n사랑 \t 미움\t1.50\nb\tc d\t2e0\n",
    ],
)
def test_pairs_are_read_in_the_forms_in_use(tmp_path: Path, text: str) -> None:
    (tmp_path / "name.csv").write_bytes(text.encode())
    found = read_similarity_set(tmp_path / "name.csv")
    assert found.name == "name"
    assert found.pairs == [("사랑", "미움"), ("b", "c d")]
    assert found.scores.tolist() == [1.5, 2]


def test_analogies_are_read_by_category(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_bytes(
        "\ufeff: 수도\n서울 한국 도쿄 일본\r\n\n: family\na b c d\na c b d\n: 수도\ne f g h\n".encode()
    )
    found = read_analogy_set(tmp_path / "q.txt")
    assert {name: len(questions) for name, questions in found.categories.items()} == {"수도": 2, "family": 2}
    assert found.categories["수도"][0] == ("서울", "한국", "도쿄", "일본")


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (read_similarity_set, b"a b 1\nc d\n", ":2: found 'c d'. Expected two words and a finite number"),
        (read_similarity_set, b"a b 1\nc d e\n", ":2: found 'c d e'"),
        (read_similarity_set, b"a b nan\n", "holds no pair"),
        (read_similarity_set, b"a b 1\na b inf\n", ":2: found 'a b inf'"),
        (read_similarity_set, b"a,b,1\n,b,2\n", ":2: found ',b,2'"),
        (read_similarity_set, b"a,b,1\n" + b"x," + b"y" * 200_000, ":2: found 'x,yyy"),
        (read_similarity_set, b"a b 1\n\xff b 2\n", ":2: a byte that is not UTF-8. Expected UTF-8"),
        (read_similarity_set, b"", "holds no pair. Expected lines"),
        (read_analogy_set, b": x\na b c\n", ":2: found 'a b c'. Expected four words, or ': name'"),
        (read_analogy_set, b": x\n", "holds no question. Expected lines of four words"),
    ],
)
def test_damaged_sets_are_refused(tmp_path: Path, reader: Any, content: bytes, message: str) -> None:
    (tmp_path / "set.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        reader(tmp_path / "set.txt")


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"There is no .*nowhere\. Expected a file of word pairs"):
        read_similarity_set(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        read_analogy_set(tmp_path)
    (tmp_path / "large").write_bytes(b"a b 1\n")
    monkeypatch.setattr(module, "LARGEST_SET", 3)
    with pytest.raises(DataError, match=r"has 6 bytes\. Expected at most 3"):
        read_similarity_set(tmp_path / "large")


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_set_or_one_message(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-set"
    path.write_bytes(data)
    for reader in (read_similarity_set, read_analogy_set, read_set):
        message = "Expected"
        try:
            reader(path)
        except DataError as error:
            message = str(error)
        assert "Expected" in message


@pytest.mark.shared_data
def test_every_published_set_is_read_whole() -> None:
    sizes = {
        path.stem: len(read_similarity_set(path).pairs) for path in [*DATA.glob("EN-*.txt"), *DATA.glob("KO-*.csv")]
    }
    assert sizes == {
        "EN-MC-30": 30,
        "EN-MEN-TR-3k": 3000,
        "EN-MTurk-287": 287,
        "EN-RG-65": 65,
        "EN-RW-STANFORD": 2034,
        "EN-SIMLEX-999": 999,
        "EN-VERB-143": 144,
        "EN-WS-353-ALL": 353,
        "EN-WS-353-REL": 252,
        "EN-WS-353-SIM": 203,
        "EN-YP-130": 130,
        "KO-WS353_korean": 353,
    }
    questions = {
        name: [len(questions) for questions in read_analogy_set(DATA / name).categories.values()]
        for name in ("questions-words.txt", "questions-phrases.txt", "KO-word_analogy_korean.txt")
    }
    assert [(len(counts), sum(counts)) for counts in questions.values()] == [(14, 19544), (5, 3218), (10, 10000)]


# Recognising and finding


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b 1\n", SimilaritySet),
        ("\ufeffword 1,word 2,score\n사랑,미움,1.5\n", SimilaritySet),
        ("the big apple,New York,2\n", SimilaritySet),
        ("New York\tthe big apple\t2\n", SimilaritySet),
        (": family\na b c d\n", AnalogySet),
        ("\n아테네 그리스 방콕 태국\n", AnalogySet),
    ],
)
def test_the_content_says_which_kind_a_set_is(tmp_path: Path, text: str, kind: type) -> None:
    (tmp_path / "set.txt").write_text(text, encoding="utf-8")
    found = read_set(tmp_path / "set.txt", "another name")
    assert isinstance(found, kind)
    assert (found.name, len(found)) == ("another name", 1)
    assert read_set(tmp_path / "set.txt").name == "set"


@pytest.mark.parametrize("text", ["", "\n\n", "only words here\n", "a b c d e\n", "one\ttwo\tthree\n"])
def test_what_is_no_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.txt").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError, match=r"set\.txt is no set of words\. Expected lines of two words and a number .* Give"
    ):
        read_set(tmp_path / "set.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "z.txt": "a b 1\n",
        "A.tsv": "a\tb\t1\n",
        "b.csv": ": x\na b c d\n",
        "notes.txt": "one two\n",
        "README.md": "a b 1\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "z.txt").write_text("c d 1\ne f 2\n", encoding="utf-8")
    return tmp_path


def test_folders_are_searched_and_what_is_no_set_is_named(folder: Path) -> None:
    told: list[str] = []
    found = find_sets([folder, folder / "z.txt", folder / "more"], told.append)
    assert [(one.name, len(one)) for one in found] == [("A", 1), (f"{folder.name}/z", 1), ("more/z", 2), ("b", 1)]
    assert len(told) == 1
    assert told[0].startswith(f"Passed over: {folder / 'notes.txt'} is no set of words")


def test_a_damaged_set_of_a_folder_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text("a b 1\nc d\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"notes\.txt:2: found 'c d'"):
        find_sets([folder])


def test_all_is_the_data_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("MALMOI_DATA", str(data))
    with pytest.raises(DataError, match=r"There is no .*wordsim, where 'all' looks .* Set MALMOI_DATA .*--sets"):
        find_sets(["all"])
    (data / "wordsim").symlink_to(folder / "more")
    assert [one.name for one in find_sets(["all"])] == ["z"]


def test_nothing_to_evaluate_on_is_refused(tmp_path: Path) -> None:
    for given_sets in ([tmp_path], []):
        with pytest.raises(
            DataError, match="There is no set of words in .* Expected all, files of word pairs or analogies"
        ):
            find_sets(given_sets)
    with pytest.raises(DataError, match=r"There is no .*gone"):
        find_sets([tmp_path / "gone"])


def test_names_are_as_long_as_tells_them_apart() -> None:
    paths = [Path(name) for name in ("runs/a/x", "runs/b/x", "y", "y", "old/b/x")]
    assert distinct_names(paths) == ["a/x", "runs/b/x", "y", "y (2)", "old/b/x"]
    assert distinct_names([]) == []


@pytest.mark.shared_data
def test_all_published_sets_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALMOI_DATA", str(DATA.parent))
    found = find_sets(["all"])
    assert [isinstance(one, AnalogySet) for one in found] == [False] * 12 + [True] * 3
    assert sum(map(len, found)) == 7850 + 32762
