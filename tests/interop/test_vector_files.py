"""Files of word vectors: what is read, what is refused, and that gensim and we read each other's files."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.vectors import Vectors
from malmoi.vectors.files import reading as vector_files
from malmoi.vectors.files import stream as vector_stream
from malmoi.vectors.files import writing as vector_writing
from malmoi.vectors.files.reading import Format, holds_vectors, read_vectors
from malmoi.vectors.files.writing import write_vectors

FORMATS: list[Format] = ["word2vec", "word2vec-binary", "glove"]
TEXT = "3 2\nthe 0.5 -1\n왕 1e-3 2.25\n</s> 0 7\n"


def vectors_of(n_dim: int = 5) -> Vectors:
    words = ["the", "왕", "</s>", "C++", "3", ".", "a,b", '"', "\u00e9t\u00e9", "x:y", "\u200b"]
    matrix = np.random.default_rng(3).standard_normal((len(words), n_dim)).astype(np.float32)
    return Vectors(words, matrix)


def written(folder: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder / name


def binary(rows: dict[bytes, list[float]], header: bytes | None = None, after: bytes = b"\n") -> bytes:
    n_dim = len(next(iter(rows.values())))
    return (header or f"{len(rows)} {n_dim}\n".encode()) + b"".join(
        word + b" " + np.array(row, "<f4").tobytes() + after for word, row in rows.items()
    )


@pytest.mark.parametrize("name", ["v.vec", "v.bin", "v.txt.gz", "v.bin.gz", "v"])
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("n_dim", [1, 2, 5, 64])
def test_what_is_written_is_read_to_the_bit(tmp_path: Path, name: str, file_format: Format, n_dim: int) -> None:
    vectors = vectors_of(n_dim)
    told: list[tuple[int, int]] = []
    write_vectors(tmp_path / name, vectors, file_format, progress=lambda *done: told.append(done))
    assert told[-1] == (11, 11)
    for found in (None, file_format):
        again = read_vectors(tmp_path / name, found, progress=lambda *done: told.append(done))
        assert again.words == vectors.words
        np.testing.assert_array_equal(again.matrix, vectors.matrix)
    size = (tmp_path / name).stat().st_size
    assert told[-1] == (size, size)
    assert read_vectors(tmp_path / name, limit=4).words == vectors.words[:4]


@given(st.lists(st.floats(-(2.0**126), 2.0**126, width=32), min_size=1, max_size=9))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_float32_survives_as_text(tmp_path: Path, row: list[float]) -> None:
    matrix = np.array([row], np.float32)
    write_vectors(tmp_path / "v.txt", Vectors(["word"], matrix))
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.txt", "word2vec").matrix, matrix)


def test_small_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of()
    monkeypatch.setattr(vector_files, "ROWS", 3)
    monkeypatch.setattr(vector_writing, "ROWS", 4)
    for file_format in FORMATS:
        write_vectors(tmp_path / file_format, vectors, file_format)
        with monkeypatch.context() as patch:
            patch.setattr(vector_stream, "BLOCK", 7)
            again = read_vectors(tmp_path / file_format, file_format)
        np.testing.assert_array_equal(again.matrix, vectors.matrix)
        assert read_vectors(tmp_path / file_format, limit=6).words == vectors.words[:6]


def test_the_name_tells_how_to_write(tmp_path: Path) -> None:
    for name, head in [("v.vec", b"11 2\nthe 0."), ("v.bin", b"11 2\nthe "), ("v.BIN.gz", b"11 2\nthe ")]:
        write_vectors(tmp_path / name, vectors_of(2))
        data = (tmp_path / name).read_bytes()
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        assert plain.startswith(head[:9])
        assert (b"\n." in plain and plain.isascii()) is False
        assert read_vectors(tmp_path / name).words == vectors_of(2).words


def test_quantised_vectors_are_written_as_numbers(tmp_path: Path) -> None:
    small = vectors_of().quantised("int8").vectors
    write_vectors(tmp_path / "v.bin", small)
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.bin").matrix, small.rows(np.arange(11)))


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip("\n"),
        TEXT.replace("\n", " \n"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace(" ", "\t"),
        "\ufeff" + TEXT,
        TEXT + "\n \n\n",
        TEXT.split("\n", 1)[1],
        "\ufeff" + TEXT.split("\n", 1)[1],
        binary({b"the": [0.5, -1], "왕".encode(): [1e-3, 2.25], b"</s>": [0, 7]}),
        binary({b"the": [0.5, -1], "왕".encode(): [1e-3, 2.25], b"</s>": [0, 7]}, after=b""),
    ],
)
@pytest.mark.parametrize("name", ["v.txt", "v.gz"])
def test_the_forms_in_use_are_told_apart(tmp_path: Path, content: str | bytes, name: str) -> None:
    vectors = read_vectors(written(tmp_path, content, name))
    assert vectors.words == ["the", "왕", "</s>"]
    np.testing.assert_array_equal(vectors.matrix, np.array([[0.5, -1], [1e-3, 2.25], [0, 7]], np.float32))


def test_words_with_spaces_are_read_when_told_so(tmp_path: Path) -> None:
    path = written(tmp_path, "the 1 2\n. . . 3 4\nat 5 6 7\n")
    with pytest.raises(DataError, match=r":2: 5 fields, of which '. . .' would be the word. .*Read it with --spaces"):
        read_vectors(path)
    vectors = read_vectors(path, spaces=True)
    assert vectors.words == ["the", ". . .", "at 5"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4], [6, 7]])


NUMBERS = "found '1 x' after the word 'b'. Expected 2 numbers"
FINITE = "the vector of 'b' holds NaN or infinity, or a number that float32 cannot hold. Expected finite numbers"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("\n\n", "there is no vector in it"),
        ("2\n", "found '2' in the first line. Expected a word and its numbers"),
        ("3 2\na 1 2\nb 3 4\n", "it ends after 2 of 3 words that the first line promises"),
        ("1 2\na 1 2\nb 3 4\n", ":3: more than the 1 words that the first line promises"),
        ("2 3\na 1 2\nb 3 4\n", ":2: 3 fields in 'a 1 2'. Expected 4: a word and 3 numbers"),
        ("2 1\na 1 2\nb 3 4\n", ":2: 3 fields, of which 'a 1' would be the word. Expected 2"),
        ("0 2\n", ":1: the first line promises 0 words of 2 numbers"),
        ("2 0\na\nb\n", ":1: the first line promises 2 words of 0 numbers"),
        (
            "2 999999\na 1\n",
            ":1: the first line promises 2 words of 999,999 numbers. Expected one word or more, and from 1 to",
        ),
        (
            "900000000000 300\na 1\n",
            ":1: the first line promises 900,000,000,000 words of 300 numbers, which take at least",
        ),
        ("a 1 2\nb 1\n", ":2: 2 fields in 'b 1'. Expected 3"),
        ("a 1 2\nb 1 2 3\n", ":2: 4 fields, of which 'b 1' would be the word. Expected 3"),
        ("a 1 2\nb 1\nc 1 2 3\n", ":2: 2 fields"),
        ("a 1 2\nb 1 x\n", NUMBERS),
        ("a 1 2\nb 1 nan\n", ":2: " + FINITE),
        ("a 1 2\nb 1 inf\n", ":2: " + FINITE),
        ("a 1 2\nb 1 1e39\n", ":2: " + FINITE),
        ("2 2\na 1 2\na 3 4\n", ":3: the word 'a' was there before, as line 2. Expected every word once"),
        ("a 1 2\n\nb 3 4\n", ":2: 0 fields in ''. Expected 3"),
        ("a 1 2\n 1 2\n", ":2: 2 fields in ' 1 2'. Expected 3"),
        (b"a 1 2\n\xff 3 4\n", r":2: the word '\\xff' is not UTF-8. Expected UTF-8 throughout. Convert the file first"),
        (binary({b"a": [1, 2], b"b": [1, float("nan")]}), FINITE),
        (binary({b"a" * 20: [1, 2], b"b": [1, 2]}, b"3 2\n"), "it ends after 2 of 3 words"),
        (binary({b"a": [1, 2], b"b": [1, 2]}, b"1 2\n"), "more than the 1 words"),
        (binary({b"a": [1, 2], b"b": [1, 2]}, b"9 2\n"), "which take at least 90 bytes, and the file has"),
        (binary({b"a": [1, 2], b"b": [1, 2]})[:-3], "it ends after 1 of 2 words"),
        (binary({b"a": [1, 2], b"": [1, 2]}), "word 2 is empty. Expected a word before the numbers"),
        (binary({b"a": [1, 2], b"\xff": [1, 2]}), r"word 2, '\\xff' is not UTF-8"),
        (binary({b"a": [1, 2]}) + binary({b"a": [1, 2]}, b" "), "more than the 1 words"),
        ((793712314).to_bytes(4, "little") + b"abc", "it ends after 7 bytes, before the first word"),
        (b"PK\x03\x04abc", "is a zip archive; unpack it first"),
        (b"\x80\x04abc", "is a pickle, which could run anything"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_repeated_words_of_a_binary_file_are_refused(tmp_path: Path) -> None:
    data = b"3 1\n" + b"".join(word + b" \x00\x00\x80\x3f" for word in (b"a", b"b", b"a"))
    with pytest.raises(DataError, match="the word 'a' was there before, as word 1. Expected every word once"):
        read_vectors(written(tmp_path, data))


def test_a_wrong_format_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "a 1 2\nb 3 4\n")
    with pytest.raises(DataError, match=":1: found 'a 1 2' in the first line. .*Give format glove"):
        read_vectors(path, "word2vec")
    long = written(tmp_path, "2 2\n" + "a" * (1 << 17))
    with pytest.raises(DataError, match="word 1 has more than 65,536 bytes. .*Give its format if the file is text"):
        read_vectors(long, "word2vec-binary")
    with pytest.raises(DataError, match="a line of more than 4,194,304 bytes"):
        read_vectors(written(tmp_path, b"a" * 9_000_000))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no .*nowhere\. Expected a file of word vectors"):
        read_vectors(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        read_vectors(tmp_path)
    with pytest.raises(ConfigError, match="At most 0 words were to be read"):
        read_vectors(written(tmp_path, TEXT), limit=0)


def test_packed_files_that_are_cut_off_or_lie_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(TEXT.encode())
    for data in (whole[:-9], whole[:20], whole[:15] + b"zzz" + whole[18:]):
        (tmp_path / "v.gz").write_bytes(data)
        with pytest.raises(DataError, match="is damaged: .* Expected a whole file"):
            read_vectors(tmp_path / "v.gz")
    (tmp_path / "v.gz").write_bytes(gzip.compress(b"99999999999 100\na 1"))
    with pytest.raises(DataError, match=r"and the file has \d+ \(packed\). Expected counts that fit"):
        read_vectors(tmp_path / "v.gz")


@pytest.mark.parametrize("word", ["New York", "a\nb", "\u00a0", "a\u3000", "\ufeffthe"])
def test_words_that_no_reader_would_keep_are_not_written(tmp_path: Path, word: str) -> None:
    vectors = Vectors(["a", word], np.ones((2, 3), np.float32))
    for file_format in FORMATS:
        with pytest.raises(
            DataError, match="holds white space or a byte order mark.*keep the vectors with Vectors.save"
        ):
            write_vectors(tmp_path / "v", vectors, file_format)
    assert not list(tmp_path.iterdir())


def test_a_first_row_that_looks_like_a_header_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The first word, '5', and its one number would be read as the header"):
        write_vectors(tmp_path / "v", Vectors(["5"], np.ones((1, 1), np.float32)), "glove")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        write_vectors(tmp_path / "file" / "v.txt", vectors_of())


@given(st.binary(max_size=120), st.sampled_from([None, *FORMATS]), st.booleans())
@example(b"1 1\n\n \n", "word2vec", True)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_vectors_or_one_message(tmp_path: Path, data: bytes, file_format: Any, spaces: bool) -> None:
    _read_or_refuse(written(tmp_path, data), file_format, spaces)


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_file_is_one_message(tmp_path: Path, data: st.DataObject) -> None:
    good = data.draw(st.sampled_from([TEXT.encode(), binary({b"a": [1, 2], b"b": [3, 4], b"c": [5, 6]})]))
    bad = bytearray(gzip.compress(good, mtime=0) if data.draw(st.booleans()) else good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"\n", b" ", b"9", b"\0", b"nan", b"\xff"])
        )
        bad += b" "
    _read_or_refuse(written(tmp_path, bytes(bad)), None, data.draw(st.booleans()))


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_vectors_are_told_by_their_beginning(tmp_path: Path, file_format: Format, packed: str) -> None:
    write_vectors(tmp_path / f"v{packed}", vectors_of(), file_format)
    assert holds_vectors(tmp_path / f"v{packed}")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "3 2",
        "a text of words",
        "word 0.5",
        "\\data\\\nngram 1=3\n",
        "pi 3.14 2.7\n\\data\\\n",
        b"\x1f\x8bxx",
        b"\xff\x00",
    ],
)
def test_other_files_are_not_taken_for_vectors(tmp_path: Path, content: str | bytes) -> None:
    assert not holds_vectors(written(tmp_path, content))
    assert not holds_vectors(tmp_path / "gone")
    assert not holds_vectors(tmp_path)


@given(data=st.binary(min_size=1, max_size=200), packed=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_beginning_is_looked_at(tmp_path: Path, data: bytes, packed: bool) -> None:
    holds_vectors(written(tmp_path, b"\x1f\x8b" + data if packed else data))  # whatever it is, it raises nothing
    for first_line, holds in (b"3 2\n", True), (b"\\data\\\n", False):
        content = gzip.compress(first_line + data) if packed else first_line + data
        assert holds_vectors(written(tmp_path, content)) is holds


def _read_or_refuse(path: Path, file_format: Any, spaces: bool) -> None:
    message = "Expected"
    try:
        vectors = read_vectors(path, file_format, spaces=spaces)
        assert len(vectors) >= 1
        assert np.isfinite(vectors.matrix).all()
    except DataError as error:
        message = str(error)
    assert "Expected" in message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim leaves a file open
@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`:DeprecationWarning")  # gensim itself calls it
@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.txt.gz", "v.bin.gz"])
def test_gensim_and_we_read_each_others_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gensim")
    from gensim.models import KeyedVectors

    vectors, is_binary = vectors_of(), ".bin" in name
    write_vectors(tmp_path / name, vectors)
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=is_binary)
    assert theirs.index_to_key == vectors.words
    np.testing.assert_array_equal(theirs.vectors, vectors.matrix)
    theirs.save_word2vec_format(str(tmp_path / f"their-{name}"), binary=is_binary)
    again = read_vectors(tmp_path / f"their-{name}")
    assert again.words == vectors.words
    np.testing.assert_array_equal(again.matrix, vectors.matrix)
    write_vectors(tmp_path / "glove.txt", vectors, "glove")
    glove = KeyedVectors.load_word2vec_format(str(tmp_path / "glove.txt"), no_header=True)
    np.testing.assert_array_equal(glove.vectors, vectors.matrix)
    ours = vectors.analogy(["the", "왕"], ["C++"], 4)
    for near, (word, score) in zip(ours, theirs.most_similar(["the", "왕"], ["C++"], topn=4), strict=True):
        assert near.word == word
        assert near.cosine == pytest.approx(score, abs=1e-6)
    monkeypatch.setattr("malmoi.vectors.vectors.EPSILON", 1e-6)  # gensim's; the paper has 0.001
    ours = vectors.analogy(["the", "왕"], ["C++"], 4, method="3cosmul")
    for near, (word, score) in zip(ours, theirs.most_similar_cosmul(["the", "왕"], ["C++"], topn=4), strict=True):
        assert near.word == word
        assert near.cosine == pytest.approx(score, rel=1e-4)
    assert vectors.odd_one_out(["the", "왕", "."]) == theirs.doesnt_match(["the", "왕", "."])
