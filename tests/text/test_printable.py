"""What a terminal would act upon never reaches it in a name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.text.printable import printable, printable_text
from malmoi.text.tokenizers import train_tokenizer

CONTROLS = [chr(point) for point in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_character_is_written_out(control: str) -> None:
    shown = printable(f"a{control}b")
    assert shown == f"a{control.encode('unicode_escape').decode()}b"
    assert shown.isprintable()
    assert printable_text(f"a{control}b") == (f"a{control}b" if control in "\t\n" else shown)


@given(st.text())
def test_names_hold_no_control_and_turn_no_direction(name: str) -> None:
    shown = printable(name)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in shown} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "RLI",
    }
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "name", ["안녕", "naïve", "می‌خواهم", "👨‍👩‍👧", "e\u0301", " a "]
)  # with joiners, which words have
def test_words_of_any_script_stay_as_they_are(name: str) -> None:
    assert printable(name) == printable_text(name) == name


def test_the_name_of_a_word_is_printable_and_the_word_is_exact() -> None:
    tokenizer = train_tokenizer("word", ["a\x1b[31m b\x00 c", "a\x1b[31m b\x00 c"])
    ids = tokenizer.encode("a\x1b[31m b\x00 c\n").tolist()
    assert [tokenizer.token(i) for i in ids] == ["a\\x1b[31m", "b\\x00", "c", "⏎"]
    assert [tokenizer.piece(i) for i in ids[:3]] == ["a\x1b[31m", "b\x00", "c"]
