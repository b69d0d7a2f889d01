"""Hangul as arithmetic on code points: syllables, jamo and the keys that type them.

A syllable of modern Korean is a number: (lead * 21 + vowel) * 28 + tail, counted from U+AC00 가. Three alphabets write
its parts:

    conjoining jamo     ᄒ ᅡ ᆫ   U+1100..  what Unicode's NFD splits a syllable into; lead and tail differ
    compatibility jamo  ㅎ ㅏ ㄴ   U+3131..  what a person types and sees alone; lead and tail look the same
    keystrokes          ㅎ ㅏ ㄴ             compatibility jamo, one for each key of the two-set (두벌식) keyboard

Keystrokes serve the completion of a half-typed word: whatever stage the last syllable is in, its keystrokes are a
prefix of the finished word's. 안녕ㅎ, 안녕하 and 안녕핫 all lead to 안녕하세요, as 윜 leads to 위키.

Source: The Unicode Standard, section 3.12, "Conjoining Jamo Behavior".
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

FIRST_SYLLABLE, N_SYLLABLES = 0xAC00, 11172
FIRST_JAMO, LAST_JAMO = 0x1100, 0x318F  # conjoining and compatibility jamo, and other characters between them
N_VOWELS, N_TAILS = 21, 28
MOST_KEYS = 5  # of a syllable: one for its lead, two each for its vowel and its tail
NO_KEY = 0xFFFF_FFFF
WORTH_ARRAYS = 1 << 10  # characters

# Compatibility jamo in the order of Unicode's arithmetic; tail 0 is "no tail".
LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
TAILS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

CONJOINING_LEADS = "".join(chr(0x1100 + i) for i in range(len(LEADS)))
CONJOINING_VOWELS = "".join(chr(0x1161 + i) for i in range(N_VOWELS))
CONJOINING_TAILS = "".join(chr(0x11A7 + i) for i in range(1, N_TAILS))

# Two keys make one of these; ㄲ, ㅆ, ㅒ and ㅖ are one key with shift, so they stay whole.
TWO_KEYS = {
    **{"ㅘ": "ㅗㅏ", "ㅙ": "ㅗㅐ", "ㅚ": "ㅗㅣ", "ㅝ": "ㅜㅓ", "ㅞ": "ㅜㅔ", "ㅟ": "ㅜㅣ", "ㅢ": "ㅡㅣ"},
    **{"ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ"},
    **{"ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ", "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ"},
}
_COMPATIBILITY = dict(
    zip(CONJOINING_LEADS + CONJOINING_VOWELS + CONJOINING_TAILS, [*LEADS, *VOWELS, *TAILS[1:]], strict=True)
)


def is_syllable(character: str) -> bool:
    """True for one precomposed syllable, 가 to 힣."""
    return len(character) == 1 and FIRST_SYLLABLE <= ord(character) < FIRST_SYLLABLE + N_SYLLABLES


def parts(syllable: str) -> tuple[str, str, str]:
    """Lead, vowel and tail ("" where there is none) as compatibility jamo: 한 -> ㅎ, ㅏ, ㄴ.

    Raises:
        ValueError: If the argument is not one syllable.
    """
    if not is_syllable(syllable):
        raise ValueError(f"{syllable!r} is not a Hangul syllable: expected one character from 가 to 힣.")
    lead_and_vowel, tail = divmod(ord(syllable) - FIRST_SYLLABLE, N_TAILS)
    lead, vowel = divmod(lead_and_vowel, N_VOWELS)
    return LEADS[lead], VOWELS[vowel], TAILS[tail]


def compose(lead: str, vowel: str, tail: str = "") -> str:
    """One syllable from its parts, given as compatibility or as conjoining jamo: ㅎ, ㅏ, ㄴ -> 한.

    Raises:
        ValueError: If the parts do not make a modern syllable.
    """
    lead, vowel, tail = (_COMPATIBILITY.get(jamo, jamo) for jamo in (lead, vowel, tail))
    try:
        number = (tuple(LEADS).index(lead) * N_VOWELS + tuple(VOWELS).index(vowel)) * N_TAILS + TAILS.index(tail)
    except ValueError:
        raise ValueError(
            f"{lead!r}, {vowel!r}, {tail!r} do not make a syllable: expected a consonant that can lead, a vowel, and "
            "a consonant that can end a syllable, or nothing."
        ) from None
    return chr(FIRST_SYLLABLE + number)


def to_conjoining(syllable: str) -> str:
    """The conjoining jamo of one syllable, two or three characters: what NFD gives."""
    lead, vowel, tail = parts(syllable)
    return (
        CONJOINING_LEADS[LEADS.index(lead)]
        + CONJOINING_VOWELS[VOWELS.index(vowel)]
        + (CONJOINING_TAILS[TAILS.index(tail) - 1] if tail else "")
    )


def to_compatibility(text: str) -> str:
    """Modern conjoining jamo become the compatibility jamo that stand alone on a screen; all else stays as it is."""
    return "".join(_COMPATIBILITY.get(character, character) for character in text)


def is_tail(character: str) -> bool:
    """True for a conjoining jamo that ends a syllable (U+11A8 to U+11C2)."""
    return len(character) == 1 and character in CONJOINING_TAILS


def keystrokes(text: str) -> str:
    """The keys of a two-set keyboard that type the text, one compatibility jamo for each: 닭과 -> ㄷㅏㄹㄱㄱㅗㅏ.

    Characters other than syllables and jamo stay as they are.
    """
    if len(text) > WORTH_ARRAYS:
        return _keystrokes_at_once(text)
    keys = []
    for character in text:
        for jamo in parts(character) if is_syllable(character) else (to_compatibility(character),):
            keys.append(TWO_KEYS.get(jamo, jamo))
    return "".join(keys)


def _keystrokes_at_once(text: str) -> str:
    """`keystrokes` of a long text, with arrays of code points."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    keys = np.full((len(points), MOST_KEYS), NO_KEY, np.dtype("<u4"))
    keys[:, 0] = points
    leads, vowels, tails, jamo = _key_tables()
    is_jamo = (points >= FIRST_JAMO) & (points <= LAST_JAMO)
    keys[is_jamo, :2] = jamo[points[is_jamo] - FIRST_JAMO]
    is_syllable = (points >= FIRST_SYLLABLE) & (points < FIRST_SYLLABLE + N_SYLLABLES)
    lead_and_vowel, tail = np.divmod(points[is_syllable] - FIRST_SYLLABLE, N_TAILS)
    lead, vowel = np.divmod(lead_and_vowel, N_VOWELS)
    keys[is_syllable] = np.concatenate([leads[lead, :1], vowels[vowel], tails[tail]], axis=1)
    return str(keys[keys != NO_KEY].tobytes(), "utf-32-le", "surrogatepass")


@cache
def _key_tables() -> tuple[NDArray[np.uint32], ...]:
    """The one or two keys of each lead, vowel and tail of a syllable, and of each character that may be a jamo."""
    jamo = map(chr, range(FIRST_JAMO, LAST_JAMO + 1))
    return tuple(_key_table(map(keystrokes, parts)) for parts in (LEADS, VOWELS, TAILS, jamo))


def _key_table(keys: Iterable[str]) -> NDArray[np.uint32]:
    return np.array([[ord(key) for key in typed] + [NO_KEY] * (2 - len(typed)) for typed in keys], np.uint32)
