"""Hangul arithmetic, against Unicode's own tables and against what a person types."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.text import hangul

SYLLABLES = [chr(i) for i in range(0xAC00, 0xD7A4)]
OPEN = [syllable for syllable in SYLLABLES if not hangul.parts(syllable)[2]]
BEGIN_AS_TAILS = [syllable for syllable in SYLLABLES if hangul.parts(syllable)[0] in hangul.TAILS]


def test_every_syllable_comes_apart_as_unicode_says_and_goes_together_again() -> None:
    for syllable in SYLLABLES:
        conjoining = hangul.to_conjoining(syllable)
        assert conjoining == unicodedata.normalize("NFD", syllable)
        assert hangul.compose(*hangul.parts(syllable)) == syllable
        assert hangul.compose(*conjoining) == syllable


@settings(deadline=None)
@given(
    st.text(st.sampled_from("가각값뷁힣ㄱㅏㄳㅘ각ᆪᇂ\u1160\u11ff\u3130ab \n\0\udcff\U0001f6a4"), min_size=1, max_size=9)
)
def test_keystrokes_of_a_long_text_are_those_of_its_characters(text: str) -> None:
    long = text * (hangul.WORTH_ARRAYS // len(text) + 1)
    assert hangul.keystrokes(long) == "".join(map(hangul.keystrokes, long))


def test_keystrokes_of_all_syllables_at_once() -> None:
    assert hangul.keystrokes("".join(SYLLABLES)) == "".join(map(hangul.keystrokes, SYLLABLES))


def test_compatibility_jamo_are_the_ones_unicode_maps_to_the_same_letters() -> None:
    """NFKD of a compatibility jamo is a conjoining lead or vowel: an independent table of the same letters."""
    for jamo in hangul.LEADS + hangul.VOWELS:
        assert hangul.to_compatibility(unicodedata.normalize("NFKD", jamo)) == jamo
    for tail, conjoining in zip(hangul.TAILS[1:], hangul.CONJOINING_TAILS, strict=True):
        assert hangul.to_compatibility(conjoining) == tail
        letter = unicodedata.name(conjoining).removeprefix("HANGUL JONGSEONG ")
        assert unicodedata.name(tail) == f"HANGUL LETTER {letter}"


def test_only_precomposed_syllables_are_syllables() -> None:
    assert hangul.is_syllable("가")
    assert hangul.is_syllable("힣")
    for other in ["", "ㄱ", "ㅏ", "a", "\uabff", "\ud7a4", "가나", "\u1100\u1161"]:
        assert not hangul.is_syllable(other)
    assert hangul.is_tail("\u11ab")
    assert not hangul.is_tail("\u1102")
    assert not hangul.is_tail("ㄴ")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("안녕하ㅅ", "ㅇㅏㄴㄴㅕㅇㅎㅏㅅ"),
        ("닭과", "ㄷㅏㄹㄱㄱㅗㅏ"),
        ("값의", "ㄱㅏㅂㅅㅇㅡㅣ"),
        ("꽤 썼다", "ㄲㅗㅐ ㅆㅓㅆㄷㅏ"),
        ("얘기, OK!", "ㅇㅒㄱㅣ, OK!"),
        ("ㅘㄳ", "ㅗㅏㄱㅅ"),
        ("\u1112\u1161\u11ab", "ㅎㅏㄴ"),
        ("", ""),
    ],
)
def test_keystrokes_are_the_keys_of_a_two_set_keyboard(text: str, keys: str) -> None:
    assert hangul.keystrokes(text) == keys


@pytest.mark.parametrize(
    ("typed", "word"),
    [("안녕ㅎ", "안녕하세요"), ("안녕하ㅅ", "안녕하세요"), ("안녕핫", "안녕하세요"), ("윜", "위키"), ("값", "갑시다")],
)
def test_a_half_typed_syllable_is_a_prefix_of_the_finished_word(typed: str, word: str) -> None:
    assert hangul.keystrokes(word).startswith(hangul.keystrokes(typed))
    assert not word.startswith(typed)


@given(first=st.sampled_from(OPEN), second=st.sampled_from(BEGIN_AS_TAILS))
def test_the_next_lead_typed_early_joins_the_syllable_and_stays_a_prefix(first: str, second: str) -> None:
    """An input method shows the next lead as a tail of the open syllable, until its vowel comes."""
    lead, vowel, _ = hangul.parts(first)
    half_typed = hangul.compose(lead, vowel, hangul.parts(second)[0])
    assert hangul.keystrokes(first + second).startswith(hangul.keystrokes(half_typed))


@given(st.text())
def test_keystrokes_of_a_text_are_those_of_its_characters(text: str) -> None:
    assert hangul.keystrokes(text) == "".join(map(hangul.keystrokes, text))


def test_what_is_no_syllable_is_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match="'ㄱ' is not a Hangul syllable: expected one character from 가 to 힣"):
        hangul.parts("ㄱ")
    with pytest.raises(ValueError, match="'ㄳ', 'ㅏ', '' do not make a syllable: expected a consonant that can lead"):
        hangul.compose("ㄳ", "ㅏ")
    with pytest.raises(ValueError, match="'ㄱ', '', '' do not make a syllable"):
        hangul.compose("ㄱ", "")
    with pytest.raises(ValueError, match="'ㄱ', 'ㅏ', 'ㄸ' do not make a syllable"):
        hangul.compose("ㄱ", "ㅏ", "ㄸ")
