import codecs
import csv
import gzip
import io
import json
import lzma
import os
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError, MissingExtraError
from malmoi.text import formats, sources
from malmoi.text.sources import Line, TextSource

POEM = "산에는 꽃 피네\n\n꽃이 피네 café\n"
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(source: TextSource) -> list[str]:
    return [line.text for line in source.lines()]


def table(kind: str, rows: list[str]) -> bytes:
    """Rows of a number and a text, as a file of that kind."""
    out = io.BytesIO()
    if kind == ".jsonl":
        out.write("".join(json.dumps({"id": i, "text": row}) + "\n" for i, row in enumerate(rows)).encode())
    elif kind == ".csv":
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([("id", "text"), *enumerate(rows)])
        out.write(lines.getvalue().encode())
    elif kind == ".tsv":
        out.write("".join(f"{i}\t{row}\n" for i, row in [("id", "text"), *enumerate(rows)]).encode())
    else:
        pq.write_table(pa.table({"id": list(range(len(rows))), "text": rows}), out)
    return out.getvalue()


# Lines


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("\na\n\n", ["", "a", ""]),
        (" a \n", [" a "]),
        ("a\u2028b\x0bc\x0cd\x85e\rf\n", ["a\u2028b\x0bc\x0cd\x85e\rf"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("\ufeffa\n", ["a"]),
    ],
)
def test_lines_end_at_line_feeds_and_nowhere_else(tmp_path: Path, content: str, want: list[str]) -> None:
    assert texts(TextSource(put(tmp_path / "a.txt", content))) == want


def test_text_is_composed_and_an_accent_does_not_reach_over_a_line_end(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "한국 café")
    source = TextSource(put(tmp_path / "a.txt", f"{decomposed}\ne\n\u0301a\n"))
    assert texts(source) == ["한국 café", "e", "\u0301a"]


@given(text=st.text(st.characters(exclude_characters="\0", codec="utf-8")), block=st.integers(1, 7))
def test_a_block_border_inside_a_character_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = put(tmp_path_factory.mktemp("borders") / "a.txt", f"{text}\n끝")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "BLOCK", block)
        got = texts(TextSource(path))
    plain = f"{text}\n끝".removeprefix("\ufeff").replace("\r\n", "\n")
    assert got == [unicodedata.normalize("NFC", line) for line in plain.split("\n")]


@pytest.mark.parametrize("encoding", ["cp949", "euc-kr", "utf-16", "utf-16-be", "utf-32", "iso2022_kr"])
@pytest.mark.parametrize("block", [1, 5, 2**18])
def test_other_encodings_are_read_when_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, block: int
) -> None:
    monkeypatch.setattr(formats, "BLOCK", block)
    path = put(tmp_path / "a.txt", "봄이 온다\n물도 흐른다".encode(encoding))
    assert texts(TextSource(path, encoding=encoding)) == ["봄이 온다", "물도 흐른다"]


def test_notes_say_once_what_was_done_to_which_file(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "\ufeffa\r\nb\r\n")
    put(tmp_path / "b.txt", "c\r\n")
    put(tmp_path / "c.txt", "")
    put(tmp_path / "d.md", "1\tgood\n")
    source = TextSource([tmp_path, tmp_path / "d.md"])
    for _ in range(2):
        list(source.lines())
    assert source.notes == [
        f"{tmp_path}/c.txt: empty",
        f"{tmp_path}/d.md: read as plain text in spite of its suffix .md",
        f"{tmp_path}/a.txt: byte order mark dropped",
        f"{tmp_path}/a.txt and 1 more: CRLF line ends read as LF",
        f"{tmp_path}/d.md: has tabs: if it is a table, name the column with --field",
    ]


def test_texts_in_memory_are_a_source_too() -> None:
    source = TextSource.from_texts(["a\nb\n", "", "c"], unit="documents")
    assert list(source.lines()) == [Line("a", True), Line("b"), Line("", True), Line("c", True)]
    assert source.files == []
    assert source.n_bytes() == 5
    assert source.describe() == "3 texts in memory (5 bytes)"
    assert texts(TextSource.from_texts("one text")) == ["one text"]


# Files, folders, tables


@pytest.mark.parametrize("compression", COMPRESS)
def test_plain_text_is_read_through_every_compression(tmp_path: Path, compression: str) -> None:
    path = put(tmp_path / f"a.txt{compression}", COMPRESS[compression](POEM.encode()))
    source = TextSource(path)
    n_read: list[int] = []
    assert [line.text for line in source.lines(n_read.append)] == ["산에는 꽃 피네", "", "꽃이 피네 café"]
    assert sum(n_read) == source.n_bytes() == path.stat().st_size


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("kind", sources.TABLE_SUFFIXES)
def test_tables_are_read_through_every_compression(tmp_path: Path, kind: str, compression: str) -> None:
    path = put(tmp_path / f"a{kind}{compression}", COMPRESS[compression](table(kind, ['말을 "모은다"', "b, c"])))
    source = TextSource(str(path))
    assert texts(source) == ['말을 "모은다"', "b, c"]
    assert source.notes == [f"{path}: text taken from 'text'"]


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
def test_a_row_may_hold_several_lines_and_is_one_document(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path / f"a{kind}", table(kind, ["a\nb\r\n", "", "c"]))
    assert list(TextSource(path).lines()) == [Line("a"), Line("b"), Line(""), Line("c")]
    documents = TextSource(path, unit="documents")
    assert list(documents.lines()) == [Line("a", True), Line("b"), Line("", True), Line("c", True)]


def test_a_plain_file_is_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "BLOCK", 2)
    put(tmp_path / "a.txt", "a\nb\n")
    put(tmp_path / "b.txt", "c\nd")
    source = TextSource(tmp_path, unit="documents")
    assert list(source.lines()) == [Line("a", True), Line("b"), Line("c", True), Line("d")]


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "a.txt.gz", ".hidden.txt", ".git/x.txt", "b/picture.png", "C.TXT"):
        put(tmp_path / name, gzip.compress(b"a.txt.gz\n") if name.endswith(".gz") else f"{name}\n")
    assert texts(TextSource(tmp_path)) == ["C.TXT", "a.txt.gz", "b/10.txt", "b/2.txt"]


def test_a_file_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.txt", "a\n")
    put(tmp_path / "b.txt", "b\n")
    os.symlink("a.txt", tmp_path / "link.txt")
    assert texts(TextSource(["b.txt", ".", tmp_path / "a.txt", "link.txt"])) == ["b", "a"]


def test_globs_find_files_and_folders(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a.txt", "a\n")
    put(tmp_path / "x" / "[1].txt", "brackets\n")
    put(tmp_path / "y.text", "y\n")
    assert texts(TextSource(f"{tmp_path}/*")) == ["brackets", "a", "y"]
    assert texts(TextSource(f"{tmp_path}/**/a.*")) == ["a"]
    assert texts(TextSource(f"{tmp_path}/x/[1].txt")) == ["brackets"]


def test_a_korean_name_is_found_in_either_unicode_form(tmp_path: Path) -> None:
    put(tmp_path / unicodedata.normalize("NFD", "말모이.txt"), "a\n")
    assert texts(TextSource(tmp_path / "말모이.txt")) == ["a"]


def test_standard_input_can_be_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("가\n나\n".encode())))
    source = TextSource("-")
    (spool,) = source.files
    assert texts(source) == texts(source) == ["가", "나"]
    assert source.describe() == "standard input (8 bytes)"
    del source
    assert not spool.exists()


def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"a\nb\n")
    os.close(write_end)
    source = TextSource(f"/dev/fd/{read_end}")
    os.close(read_end)
    assert texts(source) == texts(source) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "field", "want"),
    [
        ("a.csv", "text,document\na,b\n", "document", ["b"]),
        ("a.csv", "title\na\n", None, ["a"]),
        ("a.csv", 'id,review\n\n1,"a\nb"\n', None, ["a", "b"]),
        ("a.csv", "x,y\nz,w\n", "2", ["y", "w"]),
        ("a.csv", "\ufeffid,text\n1,a\n", None, ["a"]),
        ("a.tsv", '1\t"a\n2\tb"\n', "2", ['"a', 'b"']),
        ("ratings.txt", "id\tdocument\n1\ta\n", "document", ["a"]),
        ("a.jsonl", '{"body": "a"}\n\n{"body": "b", "text": "c"}\n', None, ["a", "b"]),
    ],
)
def test_fields_are_found_by_name_number_or_custom(
    tmp_path: Path, name: str, content: str, field: str | None, want: list[str]
) -> None:
    assert texts(TextSource(put(tmp_path / name, content), field=field)) == want


def test_a_long_csv_field_is_no_error(tmp_path: Path) -> None:
    long = "long " * 60_000
    assert texts(TextSource(put(tmp_path / "a.csv", f"id,text\n1,{long}\n"))) == [long]


def test_several_zstandard_frames_are_one_text(tmp_path: Path) -> None:
    compress = COMPRESS[".zst"]
    path = put(tmp_path / "a.txt.zst", compress(b"a\nb") + compress(b"c\n" * 90_000))
    assert texts(TextSource(path)) == ["a", "bc", *["c"] * 89_999]


# The fingerprint


def test_the_fingerprint_depends_on_contents_and_options_but_not_on_names(tmp_path: Path) -> None:
    a, b = put(tmp_path / "a.tsv", "text\nx\n"), put(tmp_path / "b.tsv", "text\ny\n")
    copy = put(tmp_path / "copy.tsv", a.read_bytes())
    assert TextSource(a).fingerprint() == TextSource(copy).fingerprint()
    others = [
        TextSource(b),
        TextSource([a, b]),
        TextSource([b, a]),
        TextSource(a, field="1"),
        TextSource(a, unit="documents"),
        TextSource(a, encoding="cp949"),
        TextSource(put(tmp_path / "a.txt", a.read_bytes())),
        TextSource.from_texts(["x"]),
        TextSource.from_texts(["x", ""]),
        TextSource.from_texts(["x"], unit="documents"),
    ]
    assert len({source.fingerprint() for source in (TextSource(a), *others)}) == 11


# Memory


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.txt.zst"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, name: str) -> None:
    line = b'{"text": "' + "말을 모으고 또 모은다 ".encode() * 20 + b'"}\n'
    n_lines = 9_000  # 6 MB
    path = put(tmp_path / name, COMPRESS.get(Path(name).suffix, bytes)(line * n_lines))
    source = TextSource(path)
    tracemalloc.start()
    try:
        assert sum(1 for _ in source.lines()) == n_lines
        source.fingerprint()
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_what_expands_a_thousandfold_is_read_in_small_steps(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt.zst", COMPRESS[".zst"](b"a line of text\n" * 4_000_000))  # 60 MB from 6 kB
    tracemalloc.start()
    try:
        lines = TextSource(path).lines()
        for _ in range(100_000):
            next(lines)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


# Bad input


def refuses(match: str, *inputs: str | Path, **options: object) -> None:
    with pytest.raises(DataError, match=match):
        list(TextSource(list(inputs), **options).lines())  # type: ignore[arg-type]


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    put(tmp_path / "corpus.txt", "a\n")
    put(tmp_path / "말뭉치.txt", "a\n")
    refuses(r"There is no .*corpsu.txt. Expected a file.*Did you mean .*/corpus.txt\?", tmp_path / "corpsu.txt")
    refuses(r"Did you mean .*/말뭉치.txt\?", tmp_path / "말뭉지.txt")
    refuses(r"There is no .*/zzz. Expected.*Look into", tmp_path / "zzz")
    refuses(r"There is no .*The folder .*/no does not exist either", tmp_path / "no" / "a.txt")


def test_no_input_at_all_is_refused() -> None:
    refuses("No text was given. Expected files")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b"\n \n\t\n", "has no line with text in it"),
        ("a.txt", codecs.BOM_UTF8, "has no line with text in it"),
        ("a.txt.gz", gzip.compress(b"", mtime=0), "has no line with text in it"),
        ("a.csv", b"id,text\n", "has no line with text in it"),
        ("a.jsonl", b'{"text": ""}\n', "has no line with text in it"),
        ("a.parquet", table(".parquet", [" "]), "has no line with text in it"),
    ],
)
def test_a_text_without_text_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = put(tmp_path / name, content)
    refuses(rf"{name} \(\d+ bytes|[\d.]+ MB\) {problem}. Expected at least one line of text", path)


def test_binary_files_are_refused_by_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "BLOCK", 4)
    refuses(r"a.bin is not text: byte 7 is NUL. Expected plain text", put(tmp_path / "a.bin", b"abc\ndef\0g"))


@pytest.mark.parametrize("block", [3, 2**18])
def test_wrong_encodings_are_refused_by_the_byte_with_a_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(formats, "BLOCK", block)
    korean = put(tmp_path / "ko.txt", "one\nA 말모이\n".encode("cp949"))
    french = put(tmp_path / "fr.txt", "one\nun caf\xe9 noir\n".encode("latin-1"))
    utf_8 = put(tmp_path / "utf8.txt", "one\n말모이\n")
    refuses(r"ko.txt: byte 6 \(0xb8\) is not UTF-8. Expected UTF-8 throughout.*try --encoding cp949", korean)
    refuses(r"fr.txt: byte 10 \(0xe9\) is not UTF-8. Expected.*try --encoding latin-1", french)
    refuses(r"utf8.txt: byte \d+ \(0x..\) is not CP949.*try --encoding utf-8", utf_8, encoding="cp949")


def test_a_character_cut_off_at_the_end_is_refused(tmp_path: Path) -> None:
    refuses(r"a.txt: byte 3 \(0xeb\) is not UTF-8", put(tmp_path / "a.txt", "abc말".encode()[:-1]))


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "utf-16"), ("utf-32", "utf-32")])
def test_a_foreign_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    path = put(tmp_path / "a.txt", "말\n".encode(encoding))
    refuses(rf"byte order mark of {name.upper()}. Expected utf-8. Name its encoding: --encoding {name}", path)


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "rot13", "unicode_escape"])
def test_unknown_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path / "a.txt", "a\n")
    refuses(rf"Unknown text encoding '{encoding}'. Expected a name such as utf-8.*--encoding", path, encoding=encoding)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unit='pages' is not known. Expected 'lines' or 'documents'"):
        TextSource.__init__.__wrapped__(TextSource.__new__(TextSource), "a.txt", unit="pages")  # past the type checker


def test_giant_lines_are_refused_with_their_size(tmp_path: Path) -> None:
    giant = b"one\ntwo\n" + b"word " * 4_000_000
    problem = r":3: one line of 19.1 MiB. Expected at most 16 MiB.*Split the text into lines"
    refuses(f"a.txt{problem}", put(tmp_path / "a.txt", giant + b"\nshort\n"))
    refuses(f"b.txt{problem}", put(tmp_path / "b.txt", giant))
    with pytest.raises(DataError, match=r"text 1: one line of 19.1 MiB"):
        list(TextSource.from_texts([giant.decode()]).lines())


def test_folders_globs_and_devices_without_text_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "picture.png", b"\0")
    refuses(
        r"holds no text file. Expected names ending in .txt, .jsonl, .csv, .tsv, .parquet, or.*\.zst; hidden", tmp_path
    )
    refuses(
        r"No file matches '.*/\*.txt' \(looked from .*\). Expected at least one. Check the pattern", f"{tmp_path}/*.txt"
    )
    refuses("/dev/null is a device. Expected a file", "/dev/null")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    os.symlink("nowhere", tmp_path / "a.txt")
    refuses("Cannot read .*a.txt: No such file or directory. Expected a file that you may read.*permissions", tmp_path)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    refuses("Nothing is piped into standard input.*Expected text from another program.*name a file", "-")


@pytest.mark.parametrize(
    ("name", "content", "options", "match"),
    [
        ("a.csv", "a,b\nc,d\n", {}, r"cannot tell which of its fields holds the text: 'a', 'b'. Expected.*--field"),
        ("a.csv", "text,review\nc,d\n", {}, "cannot tell which of its fields holds the text: 'text', 'review'"),
        (
            "a.csv",
            "a,b\nc,d\n",
            {"field": "x"},
            r"has no field 'x'. Expected one of: 'a', 'b'. Name one with --field, or",
        ),
        ("a.jsonl", '{"a": "1"}\n', {"field": "x"}, r"has no field 'x'. Expected one of: 'a'. Name one with --field\."),
        (
            "a.csv",
            "id,text\n1,a\n\n2\n",
            {},
            r"a.csv:4: found 1 columns. Expected the 2 of the header. Correct this row",
        ),
        (
            "a.csv",
            "id,text\n1,a, b\n",
            {},
            r"a.csv:2: found 3 columns. Expected the 2 of the header.*put quotes around",
        ),
        ("a.csv", 'id,text\n1,"a\nb"\n2\n', {}, "a.csv:4: found 1 columns"),
        ("a.tsv", "1\ta\n2\n", {"field": "2"}, r"a.tsv:2: found 1 columns. Expected at least 2. Correct this row\."),
        ("a.csv", 'id,text\n1,a\n2,"b\n', {}, r"a.csv:3: broken CSV \(unexpected end of data\). Expected every quote"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": \n',
            {},
            r"a.jsonl:2: broken JSON \(.*found '\{\"text\": '. Expected one JSON",
        ),
        ("a.jsonl", "[" * 100_000, {}, r"a.jsonl:1: broken JSON"),
        ("a.jsonl", "[1, 2]\n", {}, r"a.jsonl:1: found '\[1, 2\]'. Expected a JSON object"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', {}, r"a.jsonl:2: 'text' is missing. Expected a string"),
        ("a.jsonl", '{"text": "a"}\n{"text": 5}\n', {}, r"a.jsonl:2: 'text' is 5. Expected a string"),
        (
            "a.jsonl",
            '{"text": "\\ud83d"}\n',
            {},
            r"a.jsonl:1: character 0 is U\+D83D, half of a surrogate pair. Expected",
        ),
    ],
)
def test_broken_rows_are_refused_by_the_line(
    tmp_path: Path, name: str, content: str, options: dict[str, str], match: str
) -> None:
    refuses(match, put(tmp_path / name, content), **options)


def test_a_parquet_column_that_is_no_text_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", None]}), tmp_path / "a.parquet")
    refuses(r"a.parquet: row 2: 'text' is None. Expected a string", tmp_path / "a.parquet")
    refuses(r"a.parquet: row 1: 'id' is 1. Expected a string.*--field", tmp_path / "a.parquet", field="id")


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
def test_damaged_compressed_files_are_refused(tmp_path: Path, compression: str) -> None:
    whole = COMPRESS[compression](os.urandom(3_000).hex().encode())
    broken = whole[:900] + bytes(byte ^ 0xFF for byte in whole[900:1_000]) + whole[1_000:]
    for name, content in (("cut", whole[:-700]), ("broken", broken), ("nonsense", b"just some words\n")):
        path = put(tmp_path / f"{name}.txt{compression}", content)
        refuses(rf"{name}.txt{compression} is damaged: .*Expected a whole file. Fetch or make it again", path)


def test_damaged_parquet_files_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(999)]}), out)
    whole = out.getvalue()
    broken = whole[:600] + bytes(400) + whole[1_000:]
    for name, content in (("cut", whole[:-9]), ("broken", broken), ("words", b"some words")):
        refuses(rf"{name}.parquet is damaged: .*Expected a whole file", put(tmp_path / f"{name}.parquet", content))
    refuses("packed.parquet.gz is damaged", put(tmp_path / "packed.parquet.gz", gzip.compress(whole)[:-9]))


@pytest.mark.parametrize(("module", "suffix"), [("pyarrow", ".parquet"), ("zstandard", ".txt.zst")])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, suffix: str) -> None:
    if module == "zstandard" and sys.version_info >= (3, 14):
        pytest.skip("Python 3.14 reads .zst by itself")
    monkeypatch.setitem(sys.modules, module, None)
    path = put(tmp_path / f"a{suffix}", b"x")
    with pytest.raises(MissingExtraError, match=rf"needs {module}, which is not installed.*malmoi\[data\]"):
        list(TextSource(path).lines())


def test_half_of_a_surrogate_pair_in_memory_is_refused() -> None:
    with pytest.raises(DataError, match=r"text 2: character 1 is U\+DC80, half of a surrogate pair"):
        TextSource.from_texts(["a", "b\udc80"])


@given(
    kind=st.sampled_from([".txt", *sources.TABLE_SUFFIXES]),
    compression=st.sampled_from(list(COMPRESS)),
    where=st.integers(0, 400),
    n_removed=st.integers(0, 9),
    added=st.binary(max_size=9),
)
def test_no_damage_escapes_as_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, compression: str, where: int, n_removed: int, added: bytes
) -> None:
    rows = ["말모이", "a, b", "e\u0301"]
    whole = COMPRESS[compression]("\n".join(rows).encode() if kind == ".txt" else table(kind, rows))
    path = tmp_path_factory.mktemp("fuzz") / f"a{kind}{compression}"
    path.write_bytes(whole[:where] + added + whole[where + n_removed :])
    with suppress(DataError):
        for line in TextSource(path).lines():
            assert unicodedata.is_normalized("NFC", line.text)
            assert "\n" not in line.text
            line.text.encode()
