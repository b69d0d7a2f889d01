"""Korean cut into morphemes, and put together again, by Kiwi (Lee 2024), which the extra `ko` installs.

A morpheme is written form/TAG: 먹었다 is 먹/VV 었/EP 다/EF. Another version of Kiwi may cut some words differently.
"""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

from malmoi.errors import MissingExtraError
from malmoi.text.slicing import slices


class Cutter:
    """Lines to morphemes. The last lines are remembered: they come once to be encoded and once to be counted."""

    def __init__(self) -> None:
        self._recent: dict[str, list[str]] = {}

    def __call__(self, lines: Sequence[str]) -> list[list[str]]:
        recent = self._recent  # another thread may put its own in its place
        if not all(line in recent for line in lines):
            recent = self._recent = dict(zip(lines, cut(lines), strict=True))
        return [recent[line] for line in lines]


recently_cut = Cutter()


def rejoined(lines: Sequence[str]) -> list[str]:
    """What comes of each line when its morphemes are joined again."""
    return [join(units) for units in recently_cut(lines)]


def cut(lines: Sequence[str]) -> list[list[str]]:
    """The morphemes of each line.

    Raises:
        MissingExtraError: If kiwipiepy is not installed.
    """
    parts = [list(slices(line)) for line in lines]
    analysed = iter(_kiwi().tokenize([part for line_parts in parts for part in line_parts]))
    return [
        [f"{token.form}/{token.tag}" for tokens in islice(analysed, len(line_parts)) for token in tokens]
        for line_parts in parts
    ]


def starts(lines: Sequence[str]) -> list[list[int]]:
    """Where each morpheme of `cut` begins: the number of a character of its line."""
    found = []
    for line in lines:
        begin, places = 0, list[int]()
        for part in slices(line):
            places += [begin + token.start for token in _kiwi().tokenize(part)]
            begin += len(part)
        found.append(places)
    return found


def join(units: Sequence[str]) -> str:
    """One line of morphemes as text. Kiwi knows how they contract and where spaces go; around <unk> it cannot know."""
    runs: list[list[tuple[str, str]]] = [[]]
    for unit in units:
        form, slash, tag = unit.rpartition("/")
        if slash:
            runs[-1].append((form, tag))
        else:
            runs += [[(unit, "")], []]
    return " ".join(filter(None, map(_joined, runs)))


def _joined(run: list[tuple[str, str]]) -> str:
    try:
        return str(_kiwi().join(run))
    except (MissingExtraError, ValueError):  # a tag that Kiwi does not know, as of <unk>
        return " ".join(form for form, _ in run)


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise MissingExtraError("kiwipiepy", "ko", "Cutting Korean into morphemes") from error
    return Kiwi()
