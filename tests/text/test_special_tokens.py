"""Special tokens behind the vocabulary: a rung that needs more than the four adds them, and no other id moves."""

import ast
import json
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import malmoi
from malmoi.errors import ConfigError, RunError
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer
from malmoi.text.vocabulary import SpecialIds

LOSSLESS = ("char", "jamo", "bpe", "unigram")
LINES = [
    "the small boat came back [to] the harbour",
    "우리는 아침마다 강가를 걸으며 이야기를 나누었다.",
    "the boats",
] * 3
NAMES = ["[MASK]", "<extra_id_0>", "<extra_id_01>", "[/끝]"]
TEXT = "the [MASK] boat<extra_id_01>\n우리는 [/끝] 강가를"


@cache
def plain(kind: str) -> Tokenizer:
    return train_tokenizer(kind, LINES, vocab_size=400)


@cache
def special(kind: str) -> Tokenizer:
    return plain(kind).with_specials(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_take_the_ids_after_the_vocabulary_and_move_none(kind: str) -> None:
    before, after = plain(kind), special(kind)
    size = before.vocab_size
    assert after.vocab_size == size + 4
    assert [after.special_id(name) for name in NAMES] == [size, size + 1, size + 2, size + 3]
    assert after.all_tokens == [*before.all_tokens, *NAMES]
    assert [after.token(size + i) for i in range(4)] == NAMES
    assert after.token_bytes() == [*before.token_bytes(), b"", b"", b"", b""]
    assert [after.token(i) for i in range(size)] == [before.token(i) for i in range(size)]
    assert after.with_specials(["[SEP]"]).special_id("[SEP]") == size + 4
    assert [after.special_id(name) for name in ("<pad>", "<unk>", "<bos>", "<eos>")] == [0, 1, 2, 3]
    assert before.special_ids == SpecialIds(0, 1, 2, 3)
    assert after.special_ids == SpecialIds(0, 1, 2, 3, (size, size + 1, size + 2, size + 3))
    assert after.special_ids.all == [0, 1, 2, 3, size, size + 1, size + 2, size + 3]
    assert SpecialIds(pad=9, unk=7, bos=9, eos=9, others=(8,)).all == [7, 8, 9]  # as other makers may have them


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_in_a_text_is_text_unless_it_is_asked_for(kind: str) -> None:
    before, after = plain(kind), special(kind)
    assert after.encode(TEXT).tolist() == before.encode(TEXT).tolist()
    assert [ids.tolist() for ids in after.encode_lines([TEXT])] == [ids.tolist() for ids in before.encode_lines([TEXT])]
    assert after.encode_stream([TEXT])[0].tolist() == before.encode_stream([TEXT])[0].tolist()
    assert before.encode(TEXT, named=True).tolist() == before.encode(TEXT).tolist()
    ids = after.encode(TEXT, named=True)
    assert ids.dtype == np.int32
    mask, end, long = (after.special_id(name) for name in ("[MASK]", "[/끝]", "<extra_id_01>"))
    assert [token_id for token_id in ids.tolist() if token_id >= before.vocab_size] == [mask, long, end]
    at = ids.tolist().index(mask)
    assert ids[:at].tolist() == before.encode("the ").tolist()
    assert after.encode("[MASK]", named=True).tolist() == [mask]


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_leaves_special_tokens_out_or_names_them(kind: str) -> None:
    after = special(kind)
    ids = after.encode(TEXT, named=True)
    without = [token_id for token_id in ids.tolist() if token_id < plain(kind).vocab_size]
    assert after.decode(ids) == plain(kind).decode(without)
    assert after.decode(without, named=True) == after.decode(without)
    if kind == "word":
        assert after.decode(ids, named=True) == "the [MASK] boat <extra_id_01>\n우리는 [/끝] 강가를"
    elif kind == "morpheme":
        assert after.decode(ids, named=True).split("\n")[0].split()[1] == "[MASK]"
        assert " [/끝] " in after.decode(ids, named=True)
    else:
        assert after.decode(ids, named=True) == TEXT


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=st.text() | st.text("[MASK]<extra_id01>/끝\n \u0301", max_size=30))
def test_lossless_kinds_lose_nothing(kind: str, text: str) -> None:
    after = special(kind)
    assert after.decode(after.encode(text)) == plain(kind).decode(plain(kind).encode(text))
    assert after.decode(after.encode(text, named=True), named=True) == after.decode(after.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_saved_with_the_tokenizer(kind: str, tmp_path: Path) -> None:
    special(kind).save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.all_tokens == special(kind).all_tokens
    assert again.special_ids == special(kind).special_ids
    assert again.encode(TEXT, named=True).tolist() == special(kind).encode(TEXT, named=True).tolist()
    assert again.fingerprint() == special(kind).fingerprint()
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    assert special(kind).fingerprint() != plain(kind).fingerprint()
    assert special(kind).fingerprint() != plain(kind).with_specials(NAMES[::-1]).fingerprint()
    assert plain(kind).with_specials([]).fingerprint() == plain(kind).fingerprint()  # today's file, byte for byte


@pytest.mark.parametrize("kind", LOSSLESS)
def test_the_library_reads_the_names_as_we_do_when_asked(kind: str, tmp_path: Path) -> None:
    import tokenizers

    special(kind).save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.get_vocab_size() == special(kind).vocab_size
    for text in ("the [MASK] boat<extra_id_01>", "[MASK][MASK]", "우리는 [/끝]"):
        ours = special(kind).encode(text, named=True).tolist()
        assert theirs.encode(text, add_special_tokens=False).ids == ours
        assert unicodedata.normalize("NFC", theirs.decode(ours, skip_special_tokens=False)) == text


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([""], "'' is not one word"),
        (["two words"], "'two words' is not one word of visible"),
        (["a\nb"], r"'a\\nb' is not one word"),
        (["e\u0301"], ".* is not one word of visible characters in NFC"),
        (["<eos>"], "'<eos>' has the name of another token"),
        (["[A]", "[A]"], r"'\[A\]' has the name of another token"),
        (["[MASK]"], r"'\[MASK\]' has the name of another token"),
        (["boats"], "'boats' has the name of another token"),
    ],
)
def test_names_that_cannot_be_are_refused(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be added: the special token {problem}.*choose another name"):
        special("word").with_specials(names)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no special token '\[CLS\]'.*<eos>, \[MASK\], .*with_specials\(\['\[CLS\]'\]\)"
    ):
        special("bpe").special_id("[CLS]")


def test_a_vocabulary_with_special_tokens_does_not_grow() -> None:
    with pytest.raises(
        ConfigError, match=r"special tokens behind it \(\[MASK\], .*cannot grow.*add them when it has grown"
    ):
        special("word").grown(plain("word"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda token: token | {"id": token["id"] + 1}, "not numbered from there"),
        (lambda token: token | {"normalized": True}, "not numbered from there"),
        (lambda token: token | {"content": "<unk>"}, "has the name of another token"),
        (lambda token: token | {"content": 5}, "not numbered from there"),
        (lambda token: "[MASK]", "not numbered from there"),
    ],
)
def test_a_changed_file_is_refused(change, problem: str, tmp_path: Path) -> None:
    special("bpe").save(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"][4] = change(content["added_tokens"][4])
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=f"damaged or not ours: .*{problem}"):
        Tokenizer.load(tmp_path)


# Who uses a tokenizer


SOURCE = Path(malmoi.__file__).parent
ORDER = {"PAD", "UNK", "BOS", "EOS", "SPECIALS", "FIRST_BYTE"}  # what malmoi.text.vocabulary knows of ids
ABOVE = [path for path in sorted(SOURCE.rglob("*.py")) if "text" not in path.relative_to(SOURCE).parts[:1]]


def test_ids_come_from_the_tokenizer_and_from_no_constant() -> None:
    """Tokenizers of other makers have their special tokens elsewhere."""
    found = []
    for path in ABOVE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "malmoi.text.vocabulary":
                found += [f"{path.name}: {name.name}" for name in node.names if name.name in ORDER]
            elif isinstance(node, ast.Attribute) and node.attr in ORDER:
                found.append(f"{path.name}: .{node.attr}")
    assert found == []
    assert len(ABOVE) > 100


def test_no_id_of_a_special_token_has_a_number_by_default() -> None:
    found = []
    for path in (path for path in ABOVE if path.parent.name != "scratch"):  # whose tasks have vocabularies of their own
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arguments):
                given = [*node.posonlyargs, *node.args][::-1], node.defaults[::-1]
                for argument, default in [
                    *zip(*given, strict=False),
                    *zip(node.kwonlyargs, node.kw_defaults, strict=True),
                ]:
                    is_number = isinstance(default, ast.Constant) and isinstance(default.value, int)
                    if is_number and argument.arg.endswith("_id"):
                        found.append(f"{path.name}: {argument.arg}={ast.unparse(default)}")
    assert found == []
