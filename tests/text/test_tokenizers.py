"""Tokenizers: nothing is lost, the file is one that the library reads alike, and the same text gives the same bytes."""

import hashlib
import math
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError, MissingExtraError
from malmoi.text import morphemes, slicing, tokenizer_training
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer
from malmoi.text.vocabulary import SPECIALS

LOSSLESS = ("char", "jamo", "bpe", "unigram")
LINES = [
    "the small boat came back to the small harbour before the storm",
    "a storm is coming, said the old man, and the boats came back",
    "우리는 아침마다 강가를 걸으며 이야기를 나누었다.",
    "아침 강가에는 안개가 끼고, 우리는 이야기를 멈추었다!",
    "café naïve 12 345 …  two  spaces\tand a tab ",
    "",
    "배가 돌아왔다 the boat is back 🚤",
] * 3
AWKWARD = [
    *(
        "<eos>",
        "<unk> <pad><bos>",
        "a <eos> b",
        "<0x41><0xEA>",
        "▁▁ ▁a",
        " ▅ \u2585",
        "  a   b  ",
        "\t\r\x00\x1f\x7f",
        "\r\n",
    ),
    *(
        "한국\u1112\u1161\u11ab\u11ab",
        "\u1100",
        "\u11a8\u1161",
        "e\u0301\u0327",
        "Å\u212b",
        "\U0010ffff\ufffe",
        "\u2028\x85\u3000",
    ),
    *("ㅋㅋㅋ 윜 뷁", "🚤👩‍👩‍👧", "Ġ Ċ ġ", "a\nb\n\nc\n", "\n", ""),
]
anything = st.text() | st.text("가각힣ㄱㅏ\u1100\u1161\u11a8▁ \t\r\n<>eos0x41AF\u0301\x00", max_size=40)


@cache
def trained(kind: str) -> Tokenizer:
    return train_tokenizer(kind, LINES, vocab_size=400)


@cache
def trained_on_korean(kind: str) -> Tokenizer:
    """Without a single letter that the names of special tokens or bytes are made of."""
    return train_tokenizer(kind, ["나는 학교에 간다", "너는 집에 온다"] * 3, vocab_size=330)


def surface(text: str) -> str:
    return unicodedata.normalize("NFC", text)


# Nothing is lost


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=anything)
def test_any_unicode_text_comes_back(kind: str, text: str) -> None:
    for tokenizer in (trained(kind), trained_on_korean(kind)):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == surface(text)
        assert np.count_nonzero(ids == tokenizer.eos_id) == text.count("\n")
        assert not np.isin(ids, [tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id]).any()


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("text", AWKWARD)
def test_special_tokens_bytes_and_odd_spaces_in_a_text_are_text(kind: str, text: str) -> None:
    for tokenizer in (trained(kind), trained_on_korean(kind)):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == surface(text)
        assert np.count_nonzero(ids < len(SPECIALS)) == text.count("\n")
        assert tokenizer.count_unknown(text) == 0
        assert tokenizer.spelling_nats(text) == 0


@pytest.mark.parametrize("kind", LOSSLESS)
def test_special_tokens_in_the_training_text_stay_text(kind: str) -> None:
    tokenizer = train_tokenizer(kind, ["so <eos> and <unk> and <0x41> it is"] * 50)
    ids = tokenizer.encode("so <eos> <unk> <0x41>")
    assert ids.min() >= len(SPECIALS)
    assert tokenizer.decode(ids) == "so <eos> <unk> <0x41>"
    assert "A" not in [tokenizer.token_bytes()[token_id].decode(errors="replace") for token_id in ids]


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=anything)
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(kind: str, text: str) -> None:
    tokenizer = trained(kind)
    found = b"".join(tokenizer.token_bytes()[token_id] for token_id in tokenizer.encode(text))
    assert surface(found.decode()) == surface(text)


# Lines


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "morpheme"])
def test_lines_end_with_eos_and_agree_with_single_texts(kind: str) -> None:
    tokenizer = trained(kind)
    lines = [*LINES, *AWKWARD]
    encoded = list(tokenizer.encode_lines(iter(lines)))
    assert len(encoded) == len(lines)
    for line, ids in zip(lines, encoded, strict=True):
        assert ids.dtype == np.int32
        assert ids[-1] == tokenizer.eos_id
        np.testing.assert_array_equal(ids[:-1], tokenizer.encode(line))
    whole = tokenizer.encode("\n".join(lines) + "\n")
    np.testing.assert_array_equal(np.concatenate(encoded), whole)
    assert list(tokenizer.encode_lines([])) == []
    assert len(tokenizer.encode("")) == 0


def test_a_long_line_is_cut_between_words_and_its_tokens_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    line = " ".join(LINES) + "\u00a0 " + "x" * 200 + " end"
    whole = {kind: trained(kind).encode(line).tolist() for kind in ("bpe", "unigram")}
    monkeypatch.setattr(slicing, "SLICE_LENGTH", 64)
    parts = list(slicing.slices(line))
    assert "".join(parts) == line
    assert max(map(len, parts)) == 64
    between = [right for left, right in pairwise(parts) if re.search(r"\S \S", left)]
    assert len(between) > 1
    assert all(part.startswith(" ") for part in between)
    for kind, ids in whole.items():
        text = line[: line.index("x" * 200)]
        assert trained(kind).encode(text).tolist() == ids[: len(trained(kind).encode(text))]
        assert trained(kind).decode(trained(kind).encode(line)) == line


def test_many_lines_go_in_batches_of_bounded_size() -> None:
    tokenizer = trained("char")
    lines = ["ab"] * 5000 + ["c" * 2**21] * 3
    assert [len(ids) for ids in tokenizer.encode_lines(iter(lines))] == [3] * 5000 + [2**21 + 1] * 3


# Against the library, and against implementations of our own


def library(kind: str, folder: Path) -> "Tokenizer":
    import tokenizers

    trained(kind).save(folder)
    loaded = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded.encode_special_tokens = True
    return loaded


@pytest.mark.parametrize("kind", LOSSLESS)
def test_the_library_reads_the_file_and_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    theirs = library(kind, tmp_path)
    assert theirs.get_vocab_size() == trained(kind).vocab_size <= 400
    for text in [*LINES, *(text for text in AWKWARD if "\n" not in text)]:
        ours = trained(kind).encode(text).tolist()
        assert theirs.encode(text, add_special_tokens=False).ids == ours
        if "▁" not in text:
            assert surface(theirs.decode(ours, skip_special_tokens=False)) == surface(text)


def test_the_library_reads_words_at_all_white_space_of_unicode(tmp_path: Path) -> None:
    theirs = library("word", tmp_path)
    spaces = "".join(chr(i) for i in range(0x110000) if chr(i).isspace() and chr(i) != "\n")
    for text in [*LINES, *(f"the{space}small" for space in spaces), " the <unk> zebra "]:
        ours = trained("word").encode(text).tolist()
        assert theirs.encode(text, add_special_tokens=False).ids == ours
        assert len(ours) == len(text.split())


def test_the_library_takes_morphemes_cut_beforehand(tmp_path: Path) -> None:
    theirs = library("morpheme", tmp_path)
    units = morphemes.cut(["우리는 학교를 걸으며"])[0]
    ours = trained("morpheme").encode("우리는 학교를 걸으며").tolist()
    assert theirs.encode(units, is_pretokenized=True, add_special_tokens=False).ids == ours


def test_bpe_applies_its_merges_in_the_order_learned() -> None:
    merges = {(left, right): rank for rank, (left, right) in enumerate(trained("bpe")._vocabulary.merges)}
    assert len(merges) > 50
    for word in [*re.findall(r"(?: |^)[a-z]+", " ".join(LINES[:2])), " boating", " stormy"]:
        parts = list(word.replace(" ", "Ġ"))
        while ranked := [(merges[pair], i) for i, pair in enumerate(pairwise(parts)) if pair in merges]:
            i = min(ranked)[1]
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        pieces = trained("bpe")._vocabulary.pieces
        assert [pieces[token_id] for token_id in trained("bpe").encode(word)] == parts


def test_unigram_takes_the_likeliest_pieces() -> None:
    """Viterbi by hand: the best score of a text is that of its best beginning plus that of a last piece."""
    vocabulary = trained("unigram")._vocabulary
    score_of = dict(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    n_pieces = 0
    for text in [*LINES[:4], "the boats are small", "우리는 강가에 돌아왔다"]:
        best = [0.0] + [-math.inf] * len(text)
        for end in range(1, len(text) + 1):
            for begin in range(end):
                best[end] = max(best[end], best[begin] + score_of.get(text[begin:end], -math.inf))
        ids = trained("unigram").encode(text)
        if best[-1] > -math.inf:  # every character is known
            assert sum(vocabulary.scores[token_id] for token_id in ids) == pytest.approx(best[-1], rel=1e-9)
            n_pieces += len(ids)
    assert n_pieces > 50


def test_bytes_spell_characters_that_are_not_in_the_vocabulary() -> None:
    for kind in ("char", "jamo", "unigram"):
        tokenizer = trained_on_korean(kind)
        assert [tokenizer.token(token_id) for token_id in tokenizer.encode("é")] == (
            ["<0x65>" if kind != "unigram" else "e", "<0xCC>", "<0x81>"] if kind == "jamo" else ["<0xC3>", "<0xA9>"]
        )


# Same text, same bytes

SCRIPT = """
import hashlib, sys
from pathlib import Path
from malmoi.text.tokenizers import train_tokenizer
lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\\n")
for kind in sys.argv[2:]:
    print(kind, train_tokenizer(kind, lines, vocab_size=380).fingerprint())
"""


def test_another_process_makes_the_same_files(tmp_path: Path) -> None:
    lines = [
        " ".join(f"{a}{b}" for b in ["에서", "는", "다", "를", "ing", "s", "ed"])
        for a in ["강", "배", "집", "boat", "storm", "walk", "talk"]
    ] * 3
    (tmp_path / "text").write_text("\n".join(lines), encoding="utf-8")
    outputs = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "text"), *KINDS]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    here = "".join(f"{kind} {train_tokenizer(kind, lines, vocab_size=380).fingerprint()}\n" for kind in KINDS)
    assert outputs == {here}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_loads_as_it_was(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert repr(loaded) == repr(tokenizer) == f"Tokenizer(kind='{kind}', vocab_size={tokenizer.vocab_size})"
    assert loaded.is_lossless == (kind in LOSSLESS)
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert sorted(path.name for path in tmp_path.iterdir()) == (
        ["tokenizer.json"] if loaded.is_lossless else ["layout.json", "spelling.json", "tokenizer.json"]
    )
    text = LINES[0] + "\nzebras 우리는 새말을"
    np.testing.assert_array_equal(loaded.encode(text), tokenizer.encode(text))
    assert loaded.spelling_nats(text) == tokenizer.spelling_nats(text)


def test_other_text_gives_another_fingerprint() -> None:
    prints = {kind: trained(kind).fingerprint() for kind in KINDS}
    assert len(set(prints.values())) == len(KINDS)
    assert prints["word"] != trained_on_korean("word").fingerprint()


# Words


def test_words_are_ordered_by_count_and_then_alphabetically() -> None:
    tokenizer = train_tokenizer("word", ["b a c", "b  c\u3000b", "d c"], min_count=1)
    assert [tokenizer.token(i) for i in range(tokenizer.vocab_size)] == [*SPECIALS[:3], "⏎", "b", "c", "a", "d"]
    assert tokenizer.encode("d b zebra\nb").tolist() == [7, 4, 1, 3, 4]
    assert tokenizer.decode([7, 4, 1, 3, 4, 0, 2, 3]) == "d b <unk>\nb\n"
    assert tokenizer.token_bytes()[3:6] == [b"\n", b" b", b" c"]
    capped = train_tokenizer("word", ["b a c b"], vocab_size=6)
    assert [capped.token(i) for i in capped.encode("a b c")] == ["a", "b", "<unk>"]


def test_min_count_is_one_unless_the_text_is_large_and_has_no_unk_of_its_own() -> None:
    once = [f"w{i}" for i in range(999)]
    assert train_tokenizer("word", [" ".join(once)]).vocab_size == 4 + 999
    assert train_tokenizer("word", [" ".join([*once, "twice", "twice"])]).vocab_size == 4 + 1
    assert train_tokenizer("word", [" ".join([*once, "twice", "twice", "<unk>"])]).vocab_size == 4 + 1000
    assert train_tokenizer("word", ["a a a b b c"], min_count=2).vocab_size == 4 + 2


def test_the_literal_unk_is_the_unknown_word_and_almost_free() -> None:
    tokenizer = train_tokenizer("word", ["the <unk> sat", "a <unk> <unk> ran"] * 100)
    assert tokenizer.encode("the <unk> zebra").tolist()[1:] == [1, 1]
    assert tokenizer.count_unknown("the <unk> zebra\n<unk>") == 3
    assert tokenizer.spelling_nats("the <unk> sat") == pytest.approx(-math.log(300.5 / 301), rel=1e-6)
    assert tokenizer.spelling_nats("the zebra sat") > 10
    assert tokenizer.spelling_nats("the sat") == 0


def test_other_special_tokens_are_unknown_words() -> None:
    tokenizer = train_tokenizer("word", ["so <eos> it <eos> is <pad> <bos>"])
    assert tokenizer.encode("so <eos> <pad> <bos>").tolist()[1:] == [1, 1, 1]
    assert tokenizer.vocab_size == 4 + 3
    assert tokenizer.spelling_nats("<eos>") > 0


def test_the_spelling_of_a_line_is_that_of_its_unknown_words() -> None:
    tokenizer = trained("word")
    one, other = tokenizer.spelling_nats("zebra"), tokenizer.spelling_nats("얼룩말")
    assert tokenizer.spelling_nats("the zebra\nsmall 얼룩말 zebra") == pytest.approx(2 * one + other)
    assert tokenizer.count_unknown("the zebra\nsmall 얼룩말 zebra") == 3


# Morphemes


def test_morphemes_are_cut_and_joined_by_kiwi() -> None:
    tokenizer = trained("morpheme")
    ids = tokenizer.encode("우리는 이야기를 나누었다.")
    assert [tokenizer.token(i) for i in ids] == [
        "우리/NP",
        "는/JX",
        "이야기/NNG",
        "를/JKO",
        "나누/VV",
        "었/EP",
        "다/EF",
        "./SF",
    ]
    assert tokenizer.decode(ids) == "우리는 이야기를 나눴다."  # Kiwi contracts where people may or may not
    assert tokenizer.token_bytes()[ids[4]] == " 나누".encode()
    mixed = tokenizer.encode("우리는 얼룩말을\n나누었다.")
    assert tokenizer.count_unknown("우리는 얼룩말을\n나누었다.") == np.count_nonzero(mixed == 1) == 2
    assert tokenizer.decode(mixed) == "우리는 <unk> <unk>\n나눴다."
    assert tokenizer.spelling_nats("우리는 얼룩말을") > 5


def test_morphemes_without_kiwi_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = trained("morpheme")
    ids = tokenizer.encode("우리는 이야기를 나누었다.")
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    morphemes._kiwi.cache_clear()
    with pytest.raises(MissingExtraError, match=r"into morphemes needs kiwipiepy.*pip install 'malmoi\[ko\]'"):
        train_tokenizer("morpheme", LINES)
    assert tokenizer.decode(ids) == "우리 는 이야기 를 나누 었 다 ."
    monkeypatch.undo()
    morphemes._kiwi.cache_clear()


# What people see


def test_tokens_are_shown_so_that_they_can_be_told_apart() -> None:
    def shown(kind: str, text: str) -> list[str]:
        return [trained(kind).token(token_id) for token_id in trained(kind).encode(text)]

    assert shown("char", "a 뷁\t\n\u200b") == [
        "a",
        "␣",
        "<0xEB>",
        "<0xB7>",
        "<0x81>",
        "\\t",
        "⏎",
        "<0xE2>",
        "<0x80>",
        "<0x8B>",
    ]
    assert shown("jamo", "는é") == ["ㄴ", "ㅡ", "-ㄴ", "e", "◌\u0301"]
    assert shown("bpe", "the small")[-1] == "␣small"
    assert shown("bpe", "뷁")[0] == "<0xEB>"
    assert shown("unigram", " \u3000") == ["␣", "<0xE3>", "<0x80>", "<0x80>"]
    assert [trained("bpe").token(i) for i in range(4)] == ["<pad>", "<unk>", "<bos>", "⏎"]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_no_two_tokens_look_alike(kind: str) -> None:
    shown = Counter(trained(kind).token(i) for i in range(trained(kind).vocab_size))
    twice = [text for text, n in shown.items() if n > 1]
    assert not twice


@pytest.mark.parametrize("kind", ["char", "jamo", "bpe", "unigram"])
def test_half_a_character_decodes_to_the_replacement_character(kind: str) -> None:
    tokenizer = trained_on_korean(kind)
    ids = tokenizer.encode("a\U0001f6a4")
    assert tokenizer.decode(ids[:-1]) == "a\ufffd"
    assert tokenizer.decode(np.array([2, *ids, 0, 3])) == "a\U0001f6a4\n"


# Learning


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a", "가", "a b", "ㅋ", "▁", "\t", "나는 학교에 간다"])
def test_the_smallest_texts_give_a_tokenizer(kind: str, text: str) -> None:
    if kind in ("word", "morpheme") and not text.split():
        return
    tokenizer = train_tokenizer(kind, [text])
    assert tokenizer.vocab_size < 320
    if tokenizer.is_lossless:
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    ("kind", "smallest"), [("char", 261), ("jamo", 261), ("bpe", 260), ("unigram", 320), ("word", 5)]
)
def test_the_smallest_vocabulary_works(kind: str, smallest: int) -> None:
    tokenizer = train_tokenizer(kind, LINES, vocab_size=smallest)
    assert 5 <= tokenizer.vocab_size <= smallest
    if tokenizer.is_lossless:
        assert tokenizer.decode(tokenizer.encode("\n".join(LINES))) == surface("\n".join(LINES))
    with pytest.raises(
        ConfigError, match=f"vocab_size={smallest - 1} is too small for a {kind} tokenizer.*choose {smallest} or more"
    ):
        train_tokenizer(kind, LINES, vocab_size=smallest - 1)


def test_frequent_characters_come_first_and_rare_ones_are_left_to_bytes() -> None:
    tokenizer = train_tokenizer("char", ["bbb aa", "ccc d"], min_count=2)
    assert [tokenizer.token(i) for i in range(260, tokenizer.vocab_size)] == ["b", "c", "␣", "a"]
    assert tokenizer.encode("d").tolist() == [4 + ord("d")]
    capped = train_tokenizer("char", ["bbb aa", "ccc d"], vocab_size=262)
    assert [tokenizer.token(i) for i in range(260, capped.vocab_size)] == ["b", "c"]


def test_counting_stays_bounded_and_keeps_the_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_training, "MAX_DISTINCT", 10)
    lines = [f"often rare{i}" for i in range(50)]
    tokenizer = train_tokenizer("word", lines, min_count=1)
    assert tokenizer.encode("often").tolist() == [4]
    assert tokenizer.vocab_size <= 4 + 10


def test_a_sample_is_spread_evenly_over_the_text() -> None:
    lines = [f"{i:07d}" for i in range(1000)]
    kept = tokenizer_training._sample(iter(lines), max_bytes=7 * 100)
    assert kept == lines[::16]
    assert tokenizer_training._sample(iter(lines), max_bytes=7 * 1000) == lines


# What is refused


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"tokenizer='wordpiece' is not a kind.*word, char, jamo, bpe, unigram, morpheme"
    ):
        train_tokenizer("wordpiece", LINES)
    with pytest.raises(ConfigError, match=r"min_count=0 is below 1.*choose 1 or more"):
        train_tokenizer("word", LINES, min_count=0)
    with pytest.raises(ConfigError, match=r"min_count=3 has no meaning for a unigram tokenizer.*Leave it out"):
        train_tokenizer("unigram", LINES, min_count=3)
    with pytest.raises(
        DataError, match=r"No word occurs min_count=50 times, the most frequent one 12 times.*12 or less"
    ):
        train_tokenizer("word", ["a b"] * 12, min_count=50)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lines", [[], [""], ["", "\n"]])
def test_an_empty_text_is_refused(kind: str, lines: list[str]) -> None:
    with pytest.raises(
        DataError, match=r"The training text holds 0 (word|character)s.*check that the right file or column"
    ):
        train_tokenizer(kind, lines)


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_surrogate_pair_is_refused(kind: str) -> None:
    for use in (
        trained(kind).encode,
        trained(kind).count_unknown if kind in ("word", "morpheme") else trained(kind).encode,
    ):
        with pytest.raises(DataError, match=r"U\+D83D at character 4, half of a surrogate pair.*errors='replace'"):
            use("ab \ud83d")
    with pytest.raises(DataError, match=r"U\+DE00 at character 1"):
        list(trained(kind).encode_lines(["fine", "\ude00"]))
    with pytest.raises(DataError, match=r"U\+DE00 at character 1"):
        train_tokenizer(kind, ["fine", "\ude00"])


@pytest.mark.parametrize("token_id", [-1, 10_000])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int) -> None:
    tokenizer = trained("word")
    for use in (tokenizer.token, lambda token_id: tokenizer.decode([4, token_id])):
        with pytest.raises(
            DataError, match=f"{token_id} is not in the vocabulary. Expected 0 to {tokenizer.vocab_size - 1}"
        ):
            use(token_id)


FORK = """
import os, sys
from malmoi.text.tokenizers import train_tokenizer
tokenizer = train_tokenizer("bpe", ["the boat came back"] * 500)
expected = list(map(list, tokenizer.encode_lines(["the boat"] * 500)))
child = os.fork()
if child == 0:
    same = expected == list(map(list, tokenizer.encode_lines(["the boat"] * 500)))
    os._exit(0 if same else 1)
assert os.waitpid(child, 0)[1] == 0
assert "TOKENIZERS_PARALLELISM" not in os.environ
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_encodes_without_a_warning() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path) -> None:
    trained("bpe").save(tmp_path)
    content = (tmp_path / "tokenizer.json").read_bytes()
    expected = hashlib.sha256(f"tokenizer.json {len(content)} ".encode() + content).hexdigest()
    assert trained("bpe").fingerprint() == expected
