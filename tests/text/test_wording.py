"""Raw text to words: what a word is in any script, and texts that are reworded while they are read."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.data.tokens import encode_to_disk
from malmoi.errors import ConfigError, DataError
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer
from malmoi.text.wording import WordedSource, Wording, _marks

PLAIN = Wording()
SIGNS = "'’-‐_.,!?<>\u200d\u200c\u00ad\n\t \u3000\0\u0301\u094d\ufe0f\u20e3❤🙂👍🏽'a B7é한글ㅋกำ์की٣²ΣİunkUNK"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t say: 'co-operate' -- 3.14, 1,000, end.", "don't say co-operate 3.14 1,000 end"),
        ("The U.S. and e.g. a.m.; said--and x.yz 5.km", "the u.s and e.g a.m said and x yz 5 km"),
        ("_very_ new_york __init__ a__b #tag a/b AT&T 100%", "very new_york init a b tag a b at t 100"),
        ("rock 'n' roll, dogs’ o'clock", "rock n roll dogs o'clock"),
        ("a-_b a_-b -x- y''z", "a b a b x y z"),
        ("co\u00adoperate non\u2011stop", "cooperate non-stop"),
        ("<unk> of <UNK>, <unk>'s <b>N</b>", "<unk> of <unk> <unk> s b n b"),
        ("나는 학교에 갔다.그런데ㅋㅋㅋ!! 3.5점 헐.참", "나는 학교에 갔다 그런데ㅋㅋㅋ 3.5점 헐 참"),
        ("\u1112\u1161\u11ab글 (한글)", "한글 한글"),  # conjoining jamo become syllables
        ("cafe\u0301 e\u0328\u0301 \u0301y", "café ę́ y"),  # a mark with no letter to stand on is dropped
        ("हिन्दी में क्\u200dष ไม่มี ภาษา", "हिन्दी में क्\u200dष ไม่มี ภาษา"),
        ("می\u200cخواهم ٣٫٥ «سلام»", "می\u200cخواهم ٣ ٥ سلام"),
        ("I ❤️ you 👍🏽 👩\u200d💻 1️⃣ 🇰🇷!", "i you 1"),
        ("日本語、中文。", "日本語 中文"),
    ],
)
def test_words_of_many_scripts(text: str, words: str) -> None:
    assert PLAIN.words(text) == [unicodedata.normalize("NFC", word) for word in words.split()]


def test_spaces_keep_what_stands_between_them_and_case_can_stay() -> None:
    assert Wording(split="spaces").words("Don’t (say)  IT.") == ["don’t", "(say)", "it."]
    assert Wording(split="spaces", lower=False).lines(["A  b.\t", ""]) == ["A  b.\t", ""]
    assert Wording(lower=False).words("The END.") == ["The", "END"]
    with pytest.raises(ConfigError, match="split='lines' is not known. Choose 'words' or 'spaces'"):
        Wording(split="lines")


def slow_words(text: str) -> list[str]:
    """The rules, one character after the other."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    for sign, usual in (("’", "'"), ("‐", "-"), ("\u00ad", ""), ("\0", " "), ("<unk>", " \0 ")):
        text = text.replace(sign, usual)
    is_letter = [character.isalnum() for character in text]
    is_part = list(is_letter)
    for i, character in enumerate(text):
        if unicodedata.category(character) in ("Mn", "Mc") and character != "\ufe0f":
            is_part[i] = i > 0 and is_part[i - 1]

    def part(i: int) -> bool:
        return 0 <= i < len(text) and is_part[i]

    def single(i: int) -> bool:  # a letter of an abbreviation, alone
        return part(i) and text[i] in "abcdefghijklmnopqrstuvwxyzéσİkun" and not part(i - 1) and not part(i + 1)

    kept = ""
    for i, character in enumerate(text):
        before, after = part(i - 1), i + 1 < len(text) and is_letter[i + 1]
        joins = before and after and character in "'-_\u200c\u200d"
        if before and after and character in ".,":
            joins = text[i - 1].isdecimal() and text[i + 1].isdecimal()
            joins = joins or (character == "." and single(i - 1) and single(i + 1))
        kept += character if is_part[i] or joins or character == "\0" else " "
    return kept.replace("\0", "<unk>").split()


@given(st.text(st.sampled_from(SIGNS), max_size=12))
def test_the_words_are_those_of_a_walk_over_the_characters(text: str) -> None:
    assert PLAIN.words(text) == slow_words(text)


@given(st.text(max_size=40) | st.text(st.sampled_from(SIGNS), max_size=40))
def test_rewording_words_changes_nothing(text: str) -> None:
    for wording in (PLAIN, Wording(lower=False), Wording(split="spaces")):
        words = wording.words(text)
        assert wording.words(" ".join(words)) == words


@given(st.lists(st.text(st.sampled_from(SIGNS), max_size=12), max_size=5))
def test_lines_stay_lines_whoever_stands_beside_them(lines: list[str]) -> None:
    together = PLAIN.lines(lines)
    assert len(together) == len(lines)
    assert [line.split() for line in together] == [PLAIN.words(line.replace("\n", " ")) for line in lines]


def test_every_mark_of_unicode_is_known() -> None:
    import re

    mark = re.compile(f"[{_marks()}]")
    everything = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    assert [character for character in everything if not mark.match(character)] == ["\ufe0e", "\ufe0f"]


def test_a_text_is_reworded_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("The cat, the dog!\n...\nTHE END\n", encoding="utf-8")
    plain = TextSource(path, unit="documents")
    source = WordedSource(plain, Wording())
    lines = list(source.lines())
    assert [line.text.split() for line in lines] == [["the", "cat", "the", "dog"], [], ["the", "end"]]
    assert [line.starts_document for line in lines] == [True, False, False]
    read: list[int] = []
    assert len(list(source.lines(read.append))) == 3
    assert sum(read) == source.n_bytes() == plain.n_bytes()
    assert (source.describe(), source.files, source.notes) == (plain.describe(), plain.files, plain.notes)
    tokenizer = train_tokenizer("word", (line.text for line in source.lines()))
    tokens = encode_to_disk(source, tokenizer, tmp_path / "cache")
    text = tokenizer.decode(tokens.ids.tolist())
    assert text == "the cat the dog\n\nthe end\n"
    assert tokens.counts.n_unknown == 0


def test_the_fingerprint_tells_texts_and_wordings_apart() -> None:
    text, other = TextSource.from_texts(["A b."]), TextSource.from_texts(["a b"])
    sources = [
        text,
        WordedSource(text, Wording()),
        WordedSource(text, Wording(lower=False)),
        WordedSource(other, Wording()),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert sources[1].fingerprint() == WordedSource(TextSource.from_texts(["A b."]), Wording()).fingerprint()


def test_many_lines_come_in_batches_without_a_seam() -> None:
    texts = [f"Line {number}: it's no. {number}.5!" for number in range(3000)]
    lines = [line.text.split() for line in WordedSource(TextSource.from_texts(texts), Wording()).lines()]
    assert lines == [["line", str(number), "it's", "no", f"{number}.5"] for number in range(3000)]


def test_a_text_without_a_word_is_refused() -> None:
    with pytest.raises(DataError, match="holds no word: punctuation.*--split spaces"):
        list(WordedSource(TextSource.from_texts(["... !?", "❤️"]), Wording()).lines())
    spaces = WordedSource(TextSource.from_texts(["... !?"]), Wording(split="spaces"))
    assert [line.text for line in spaces.lines()] == ["... !?"]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(DataError, match=r"U\+D800"):
        PLAIN.words("a \ud800")
