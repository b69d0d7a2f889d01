"""tokenizer.json as a file that may come from anywhere: it is what we write, or it is refused with a message."""

import re
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.errors import RunError
from malmoi.text import tokenizers
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer
from malmoi.text.vocabulary import from_json, to_json

LINES = [
    "the small boat came back to the small harbour",
    "우리는 아침마다 강가를 걸으며 이야기를 나누었다.",
    "the boats",
] * 3


@cache
def trained(kind: str) -> Tokenizer:
    return train_tokenizer(kind, LINES, vocab_size=400)


def test_vocabularies_round_trip_as_json() -> None:
    for kind in KINDS:
        vocabulary = trained(kind)._vocabulary
        read = from_json(to_json(vocabulary), "x")
        assert read.ids is None or list(read.ids) == read.pieces
        read = read._replace(merges=list(read.merges), scores=list(read.scores), ids=None)
        assert read == vocabulary._replace(merges=list(vocabulary.merges), scores=list(vocabulary.scores))


def broken(kind: str, old: str, new: str) -> str:
    text = to_json(trained(kind)._vocabulary)
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("kind", "old", "new", "problem"),
    [
        ("bpe", '"version":"1.0"', '"version":"9.0"', "its layout belongs to none of the kinds word, char"),
        ("word", '"Regex":"', '"Regex":"(a+)+$|', "its layout belongs to none of the kinds"),
        ("unigram", '"truncation":null', '"truncation":{"max_length":1}', "its layout belongs to none"),
        ("char", '"merges":[]', '"merges":[["a","b"]]', "its layout belongs to none"),
        ("jamo", '"model":{', '"model":{"more":1,', "its layout belongs to none"),
        ("bpe", '"model":{', '"model":7,"x":{', "it has no model"),
        ("word", '"<pad>":0,', "", "its 17 ids are not 0 to 16, each once"),
        (
            "word",
            '"<pad>":0,"<unk>":1',
            '"<unk>":0,"<pad>":1',
            r"its ids 0 to 3 are \['<unk>', '<pad>', '<bos>', '<eos>'\]",
        ),
        ("word", '"<pad>":0', '"<pad>":0.0', "does not give each piece a whole number"),
        ("word", '"<pad>":0', '"<pad>":-1', "are not 0 to 17, each once"),
        ("word", '"<pad>":0', '"<pad>":99999999999999999999', "are not 0 to 17, each once"),
        ("word", '"the":4', '"\\ud800":4', "is not text"),
        ("word", '"the":4', '"":4', "the piece '' is not text"),
        ("char", '"<0x41>":69', '"<0x4l>":69', "its ids 4 to 259 are not the 256 bytes"),
        ("char", '" ":260', '"  ":260', "a piece is longer than one character"),
        ("bpe", '"merges":[[', '"merges":[["a","b","c"],[', "is not a pair"),
        ("bpe", '"merges":[[', '"merges":[["zz","qq"],[', r"the merge \['zz', 'qq'\] does not join two pieces"),
        ("bpe", '"merges":[[', '"merges":[[1,2],[', "is not a pair"),
        ("bpe", '"Ġ":', '"가":', "its pieces are not made of the 256 bytes"),
        ("unigram", '["<0x41>",-10000.0]', '["<0x41>",0.0]', "a byte has another score than -10000.0"),
        ("unigram", '["<eos>",-10000.0]', '["<eos>",NaN]', "another score than"),
        ("unigram", '["<eos>",-10000.0]', '["<eos>",1]', "is not a list of pieces with their scores"),
        ("unigram", '["<eos>",-10000.0]', '["<bos>",-10000.0]', "a piece stands in it twice"),
        ("unigram", '[" ",-', '[" ",', "a score is not the logarithm of a probability"),
        ("unigram", '[" ",-', '[" ",-1e999,0],[" ",-', "is not a list of pieces"),
        ("unigram", '["x",', '["xx",', "it lacks the piece 'x'"),
        ("word", "}", "", "Expecting"),
        ("word", '"version"', '"a":' + "[" * 100_000 + ',"version"', "recursion"),
    ],
)
def test_a_changed_file_is_refused(kind: str, old: str, new: str, problem: str, tmp_path: Path) -> None:
    trained(kind).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text(broken(kind, old, new), encoding="utf-8")
    with pytest.raises(
        RunError, match=f"tokenizer.json is damaged or not ours: .*{problem}.*train its tokenizer again"
    ):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_mutation_of_a_file_gets_past_with_anything_but_a_message(kind: str, data: st.DataObject) -> None:
    """Cut, delete, double or change parts of a good file: it is refused, or gives a tokenizer that works."""
    parts = re.split(r"([\[\]{},:])", to_json(trained(kind)._vocabulary))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(parts) - 1))
        new = data.draw(
            st.sampled_from(["", "0", "-1", "1e400", "null", '"a"', '"\\udfff"', "[]", "{}", parts[at] * 2])
        )
        parts[at : at + data.draw(st.integers(0, 3))] = [new]
    with tempfile.TemporaryDirectory() as folder:
        trained(kind).save(Path(folder))
        (Path(folder) / "tokenizer.json").write_text("".join(parts), encoding="utf-8")
        try:
            tokenizer = Tokenizer.load(Path(folder))
        except RunError:
            return
    text = "the boat 우리는 <eos> 뷁" if kind != "morpheme" else ""
    assert tokenizer.encode(text).max(initial=0) < tokenizer.vocab_size
    if tokenizer.is_lossless:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"Cannot read .*tokenizer.json: No such file.*Check the folder, or train again"):
        Tokenizer.load(tmp_path)
    trained("word").save(tmp_path)
    (tmp_path / "spelling.json").write_text("{}", encoding="utf-8")
    damaged = Tokenizer.load(tmp_path)  # which the spelling of unknown words alone needs
    assert damaged.encode("the boat").tolist() == trained("word").encode("the boat").tolist()
    assert damaged.count_unknown("the zebra") == 1
    for use in (lambda: damaged.spelling_nats("the zebra"), damaged.fingerprint, lambda: damaged.save(tmp_path)):
        with pytest.raises(RunError, match=r"spelling.json: The spelling model has other keys than version"):
            use()
    (tmp_path / "spelling.json").unlink()
    with pytest.raises(RunError, match=r"Cannot read .*spelling.json: No such file"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b'{"a":"\xff"}')
    with pytest.raises(RunError, match=r"tokenizer.json is not UTF-8 at byte 6"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"x" * 11)
    monkeypatch.setattr(tokenizers, "MAX_FILE_BYTES", 10)
    with pytest.raises(RunError, match=r"tokenizer.json has 11 bytes, over the 10 allowed"):
        Tokenizer.load(tmp_path)


def test_a_panic_inside_the_library_becomes_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # as the library's own, which cannot be imported
        pass

    def panic(vocabulary: object) -> None:
        raise PanicException("index out of bounds")

    trained("bpe").save(tmp_path)
    monkeypatch.setattr(tokenizers, "make_codec", panic)
    with pytest.raises(RunError, match=r"tokenizer.json cannot be used: index out of bounds.*Expected a tokenizer"):
        Tokenizer.load(tmp_path)
