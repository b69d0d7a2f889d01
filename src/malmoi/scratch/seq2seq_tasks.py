"""Small made-up tasks for networks that turn one sequence into another: additions and dates, as characters.

    "57+5"                        -> "62"
    "Tuesday, March 5, 2024"      -> "2024-03-05"
    "2024년 3월 5일 화요일"           -> "2024-03-05"
    "이천이십사년 삼월 오일"            -> "2024-03-05"

The same seed always gives the same pairs, and no source stands twice, so that a part kept for testing was never seen.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
N_SPECIAL = 4

Ids = NDArray[np.int64]
Pair = tuple[str, str]


def additions(n_pairs: int, seed: int, n_digits: int = 3) -> list[Pair]:
    """Sums of two numbers of up to `n_digits` digits.

    Raises:
        ConfigError: If there are fewer such sums than asked for.
    """
    n_numbers = 10**n_digits
    drawn = _distinct(n_pairs, n_numbers**2, seed, f"sums of numbers of up to {n_digits} digits")
    return [(f"{left}+{right}", str(left + right)) for left, right in (divmod(place, n_numbers) for place in drawn)]


def dates(n_pairs: int, seed: int, languages: Sequence[str] = ("en", "ko")) -> list[Pair]:
    """Days from 1900 to 2099 as people write them, each with its ISO form (2024-03-05).

    Raises:
        ConfigError: If a language is unknown, or there are fewer such dates than asked for.
    """
    unknown = [language for language in languages if language not in _FORMS]
    if unknown or not languages:
        raise ConfigError(f"languages={list(languages)} cannot be used. Choose one or more of {sorted(_FORMS)}.")
    forms = [form for language in languages for form in _FORMS[language]]
    n_days = (_LAST_DAY - _FIRST_DAY).days + 1
    pairs = []
    for place in _distinct(n_pairs, n_days * len(forms), seed, "dates of these forms"):
        day, form = divmod(place, len(forms))
        date = _FIRST_DAY + datetime.timedelta(days=day)
        pairs.append((forms[form](date), date.isoformat()))
    return pairs


def _distinct(n_wanted: int, n_all: int, seed: int, what: str) -> list[int]:
    if not 0 < n_wanted <= n_all:
        raise ConfigError(f"n_pairs={n_wanted} cannot be drawn: there are {n_all} {what}. Ask for 1 to {n_all}.")
    return [int(place) for place in np.random.default_rng(seed).choice(n_all, n_wanted, replace=False)]


# How people write a day

_FIRST_DAY, _LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
_MONTHS = ["January", "February", "March", "April", "May", "June", "July"]
_MONTHS += ["August", "September", "October", "November", "December"]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_KOREAN_WEEKDAYS = "월화수목금토일"
_KOREAN_DIGITS = "일이삼사오육칠팔구"


def korean_number(number: int) -> str:
    """A number from 1 to 9999 in Korean words: 2024 -> 이천이십사. A one is not said before ten, hundred and thousand."""
    words = ""
    for unit, name in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = number // unit % 10
        if digit > 1 or (digit == 1 and unit == 1):
            words += _KOREAN_DIGITS[digit - 1]
        words += name if digit else ""
    return words


def _korean_month(month: int) -> str:
    return {6: "유", 10: "시"}.get(month, korean_number(month)) + "월"  # 육월 and 십월 are said 유월 and 시월


_FORMS: dict[str, list[Callable[[datetime.date], str]]] = {
    "en": [
        lambda d: f"{_MONTHS[d.month - 1]} {d.day}, {d.year}",
        lambda d: f"{_MONTHS[d.month - 1][:3]} {d.day}, {d.year}",
        lambda d: f"{d.day} {_MONTHS[d.month - 1]} {d.year}",
        lambda d: f"{_WEEKDAYS[d.weekday()]}, {_MONTHS[d.month - 1]} {d.day}, {d.year}",
        lambda d: f"{d.month}/{d.day}/{d.year}",  # month first
    ],
    "ko": [
        lambda d: f"{d.year}년 {d.month}월 {d.day}일",
        lambda d: f"{d.year}년 {d.month}월 {d.day}일 {_KOREAN_WEEKDAYS[d.weekday()]}요일",
        lambda d: f"{d.year}. {d.month}. {d.day}.",
        lambda d: f"{korean_number(d.year)}년 {_korean_month(d.month)} {korean_number(d.day)}일",
    ],
}


# Characters as ids


class CharacterPairs:
    """Pairs of strings as two arrays of ids, one id for each character, both sides from one alphabet.

    Attributes:
        alphabet: The characters, id 4 first; 0 to 3 are padding, unknown, begin and end.
        vocab_size: How many ids there are.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.alphabet = sorted({character for pair in pairs for text in pair for character in text})
        self.vocab_size = N_SPECIAL + len(self.alphabet)
        self._ids = {character: N_SPECIAL + place for place, character in enumerate(self.alphabet)}

    def encode(self, pairs: Sequence[Pair]) -> tuple[Ids, Ids]:
        """Sources (N, S), and targets (N, T) between begin and end; what is short is padded at its end.

        Raises:
            DataError: If there is no pair, or a source is empty.
        """
        if not pairs:
            raise DataError("There are no pairs to encode. At least one (source, target) was expected.")
        empty = next((number for number, (source, _) in enumerate(pairs) if not source), None)
        if empty is not None:
            raise DataError(f"The source of pair {empty} is empty. Every source needs at least one character.")
        sources = [self._read(source) for source, _ in pairs]
        targets = [[BOS, *self._read(target), EOS] for _, target in pairs]
        return _padded(sources), _padded(targets)

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """The characters up to the end mark; begin and padding are left out, unknown becomes �."""
        text = ""
        for token in ids:
            if token == EOS:
                break
            if token >= N_SPECIAL:
                text += self.alphabet[int(token) - N_SPECIAL]
            elif token == UNK:
                text += "\N{REPLACEMENT CHARACTER}"
        return text

    def _read(self, text: str) -> list[int]:
        return [self._ids.get(character, UNK) for character in text]


def _padded(rows: Sequence[Sequence[int]]) -> Ids:
    ids = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    return ids
