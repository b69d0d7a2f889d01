"""What words leave unsaid of a line: small models of its white space, and of what joining morphemes gets wrong.

A tokenizer that cuts at white space has not said which white space stood there, and one that cuts into morphemes not how they
were written together. To divide by the bytes of the raw text, that has to be paid for: -ln P(line | its words). With it and
the spelling of unknown words a text of any tokenizer can be decoded to the last byte of its NFC form.

Of words, each gap is drawn by itself, given whether it stands before the first word, between two, after the last, or alone:

    P(gap | place) = (count(gap) + (t + what was not kept) P_new(gap)) / (n + t)         t = distinct gaps seen there

P_new spells it character by character; a gap at an edge may be empty, which half of the new ones are. Where all gaps of a text
are single spaces, one costs next to nothing.

Of morphemes, the line is written along the text that joining them gives, by copying its characters, leaving them out, and
putting others between:

    P(edit | what comes next: a space, another character, the end) = (count + 1/2) / (n + 1/2 x edits there are)

Source: Witten & Bell 1991, method C, for the first; Krichevsky & Trofimov 1981 for the one half of the second.

Shapes: L lines, W words of a line and 1 for its end.
"""

import json
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from malmoi.errors import DataError
from malmoi.shapes import Float64, Int64
from malmoi.text.spelling import SpellingModel

PLACES = BEFORE, BETWEEN, AFTER, ALONE = ("before", "between", "after", "alone")
PLAIN_SEEN = 1000  # gaps of each place that are taken for seen, single spaces and none, where nobody has counted any
MAX_DISTINCT = 100_000  # gaps of each place that are counted at once
MOST_GAPS, MOST_GAPS_BYTES = (
    2000,
    50_000,
)  # gaps of each place that are kept, and bytes of the model that spells new ones
OTHER_SPACE = [chr(point) for point in range(0x3001) if chr(point).isspace() and chr(point) not in " \n"]
GAP = re.compile(r"\s+")

COPY, LEAVE_OUT, PUT_SPACE, PUT_OTHER = EDITS = ("copy", "leave out", "put a space", "put another")
SPACE, OTHER, END = NEXT = ("space", "other", "end")  # what comes next; at the end, to copy is to stop
LEARNT_LINES = 5000  # of a text of morphemes


class Layout(ABC):
    """P(line | its words, or its morphemes)."""

    kind: ClassVar[str]

    @abstractmethod
    def word_nats(self, line: str) -> Float64[np.ndarray, " W"]:
        """-ln P of what stands before each word of the line, and before its end."""

    def nats(self, lines: Sequence[str], n_words: Int64[np.ndarray, " L"]) -> Float64[np.ndarray, " L"]:
        """-ln P of each line.

        Args:
            lines: In NFC, without line breaks.
            n_words: How many words each has, as `str.split` parts them.
        """
        return np.array([math.fsum(self.word_nats(line)) for line in lines], np.float64)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes."""

    @classmethod
    @abstractmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Layout":
        """Raises ValueError, KeyError or TypeError if it is anything else than what `to_dict` gave."""

    def to_json(self) -> str:
        """Same counts, same bytes."""
        content = {"version": 1, "kind": self.kind, **self.to_dict()}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class WhiteSpace(Layout):
    """The gaps of a text.

    Args:
        counts: How often each gap occurs, by its place; the frequent ones.
        totals: How many gaps there were at each place, and how many distinct ones.
        spelling: Spells new ones.
    """

    kind = "white space"

    def __init__(
        self,
        counts: Mapping[str, Mapping[str, int]],
        totals: Mapping[str, tuple[int, int]],
        spelling: SpellingModel,
    ) -> None:
        self.counts, self.totals, self._spelling = counts, totals, spelling
        self._gap_nats = lru_cache(1 << 14)(self.gap_nats)

    @classmethod
    def plain(cls) -> "WhiteSpace":
        """Of words with single spaces between them, for tokenizers that nobody has counted the gaps for."""
        counts = GapCounts()
        counts.add(["a b", ""] * PLAIN_SEEN, 2 * PLAIN_SEEN)
        return cls.of_counts(counts)

    @classmethod
    def of_counts(cls, counts: "GapCounts") -> "WhiteSpace":
        """Of all the gaps of a text."""
        kept = {place: dict(_frequent(counts.by_place[place])) for place in PLACES}
        totals = {place: counts.totals(place) for place in PLACES}
        gaps = {gap for place in PLACES for gap in counts.by_place[place] if gap} or {" "}
        return cls(kept, totals, SpellingModel.fit(gaps, max_json_bytes=MOST_GAPS_BYTES))

    def gap_nats(self, gap: str, place: str) -> float:
        """-ln P(gap | place)."""
        n, distinct = self.totals[place]
        counts = self.counts[place]
        new = 0.0 if gap == "" else self._spelling.nats(gap)
        if place != BETWEEN:
            new += math.log(2)
        if n == 0:
            return new
        unseen = distinct + n - sum(counts.values())
        if gap in counts:
            return -math.log((counts[gap] + unseen * math.exp(-new)) / (n + distinct))
        return new - math.log(unseen / (n + distinct))

    def word_nats(self, line: str) -> Float64[np.ndarray, " W"]:
        return np.array([self._gap_nats(gap, place) for place, gap in gaps_of(line)])

    def nats(self, lines: Sequence[str], n_words: Int64[np.ndarray, " L"]) -> Float64[np.ndarray, " L"]:
        cost, may_be_odd = self._gap_nats, _may_be_odd("\n".join(lines))
        found: Float64[np.ndarray, " L"] = np.maximum(n_words - 1, 0) * cost(" ", BETWEEN)
        found += cost("", BEFORE) + cost("", AFTER)
        for i, line in enumerate(lines):
            core = line.strip()
            if may_be_odd and _is_odd(core):
                found[i] = math.fsum(self.word_nats(line))
            elif not core:
                found[i] = cost(line, ALONE)
            elif len(core) < len(line):
                before, after = _edges(line)
                found[i] += cost(before, BEFORE) - cost("", BEFORE) + cost(after, AFTER) - cost("", AFTER)
        return found

    def to_dict(self) -> dict[str, Any]:
        spelling = json.loads(self._spelling.to_json())
        return {"counts": self.counts, "totals": {place: list(self.totals[place]) for place in PLACES}, "new": spelling}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "WhiteSpace":
        counts, totals = content["counts"], content["totals"]
        if counts.keys() != set(PLACES) or totals.keys() != set(PLACES):
            raise ValueError("it lacks a place")
        for place in PLACES:
            _check_counts(counts[place], totals[place], has_empty=place != BETWEEN)
        spelling = SpellingModel.from_json(json.dumps(content["new"]))
        return cls(counts, {place: (totals[place][0], totals[place][1]) for place in PLACES}, spelling)


def gaps_of(line: str) -> Iterator[tuple[str, str]]:
    """(place, gap) before each word and before the end of the line."""
    core = line.strip()
    if not core:
        yield ALONE, line
        return
    before, after = _edges(line)
    yield BEFORE, before
    yield from ((BETWEEN, gap) for gap in GAP.findall(core))
    yield AFTER, after


def _edges(line: str) -> tuple[str, str]:
    """The white space before the first word and after the last."""
    return line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]


class GapCounts:
    """How often each gap stands at each place of a text; bounded, however many different ones there are."""

    def __init__(self) -> None:
        self.by_place: dict[str, Counter[str]] = {place: Counter() for place in PLACES}
        self._dropped = dict.fromkeys(PLACES, (0, 0))  # gaps, and distinct ones, that are no longer in `by_place`

    def totals(self, place: str) -> tuple[int, int]:
        """(gaps, distinct ones); of very many distinct ones that were seen once each, some may count twice."""
        counts, (n, distinct) = self.by_place[place], self._dropped[place]
        return counts.total() + n, len(counts) + distinct

    def add(self, lines: Sequence[str], n_words: int) -> None:
        """Count the gaps of some lines.

        Args:
            lines: In NFC.
            n_words: How many words they have in all.
        """
        found, may_be_odd, n_between = self.by_place, _may_be_odd("\n".join(lines)), n_words
        for line in lines:
            core = line.strip()
            n_between -= bool(core)
            if may_be_odd and _is_odd(core):
                gaps = GAP.findall(core)
                found[BETWEEN].update(gaps)
                n_between -= len(gaps)
            if not core:
                found[ALONE][line] += 1
            else:
                before, after = ("", "") if len(core) == len(line) else _edges(line)
                found[BEFORE][before] += 1
                found[AFTER][after] += 1
        if n_between:
            found[BETWEEN][" "] += n_between
        for place in PLACES:
            while len(found[place]) > MAX_DISTINCT:
                self._drop(place)

    def _drop(self, place: str) -> None:
        """The rarest gaps, as they are not kept in the end."""
        counts, (n, distinct) = self.by_place[place], self._dropped[place]
        least = min(counts.values())
        rare = [gap for gap, count in counts.items() if count == least]
        for gap in rare:
            del counts[gap]
        self._dropped[place] = (n + least * len(rare), distinct + len(rare))


def _may_be_odd(text: str) -> bool:
    """Whether some gap between words may be something else than one space."""
    return "  " in text or any(space in text for space in OTHER_SPACE)


def _is_odd(core: str) -> bool:
    return " ".join(core.split()) != core


def _frequent(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    """Those worth keeping, the most frequent first, and in the order of their code points where they are equally so."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ((gap, n) for gap, n in ordered[:MOST_GAPS] if n > 1 or len(ordered) == 1)


def _check_counts(counts: Any, totals: Any, has_empty: bool) -> None:
    n, distinct = totals
    if not isinstance(counts, dict) or not all(type(value) is int and value >= 0 for value in (n, distinct)):
        raise ValueError("its counts are of another kind")
    for gap, count in counts.items():
        if type(count) is not int or count < 1 or "\n" in gap or not (gap.isspace() or (has_empty and gap == "")):
            raise ValueError(f"it has the gap {gap[:10]!r} with the count {count!r:.20}")
    if sum(counts.values()) > n or len(counts) > distinct or distinct > n or n >= 2**53:
        raise ValueError("its counts do not add up")


class Joining(Layout):
    """The edits that make a line of the text that its joined morphemes give.

    Args:
        counts: How often each edit was made before a space, another character, or the end.
        spelling: Spells characters that are put in.
        join: Gives what comes of each line when its morphemes are joined.
    """

    kind = "joining"

    def __init__(
        self,
        counts: Mapping[str, Mapping[str, int]],
        spelling: SpellingModel,
        join: Callable[[Sequence[str]], list[str]],
    ) -> None:
        self.counts, self._spelling, self._join = counts, spelling, join
        self._nats = {
            (following, edit): -math.log(
                (counts[following].get(edit, 0) + 0.5)
                / (sum(counts[following].values()) + 0.5 * len(_possible(following)))
            )
            for following in NEXT
            for edit in _possible(following)
        }

    @classmethod
    def fit(cls, lines: Sequence[str], join: Callable[[Sequence[str]], list[str]]) -> "Joining":
        """Learn from lines of a text; their characters are those that are spelled."""
        counts: dict[str, Counter[str]] = {following: Counter() for following in NEXT}
        characters: set[str] = set()
        for joined, line in zip(join(lines), lines, strict=True):
            characters.update(line)
            for following, edit, _ in edits(joined, line):
                counts[following][edit] += 1
        return cls(counts, SpellingModel.fit(sorted(characters - {" "}) or ["?"], max_json_bytes=MOST_GAPS_BYTES), join)

    def word_nats(self, line: str) -> Float64[np.ndarray, " W"]:
        (joined,) = self._join([line])
        found, is_in_word = [0.0], False
        for following, edit, character in edits(joined, line):
            is_end = following == END and edit == COPY
            if is_in_word and (is_end or character.isspace()):  # what stands before a word belongs to it
                found.append(0.0)
            is_in_word = not character.isspace() if character else is_in_word and not is_end
            found[-1] += self._nats_of(following, edit, character)
        return np.array(found)

    def nats(self, lines: Sequence[str], n_words: Int64[np.ndarray, " L"]) -> Float64[np.ndarray, " L"]:
        pairs = zip(self._join(lines), lines, strict=True)
        return np.array([math.fsum(self._nats_of(*edit) for edit in edits(*pair)) for pair in pairs], np.float64)

    def _nats_of(self, following: str, edit: str, character: str) -> float:
        spelled = -math.log(self._spelling.prob(character, "")) if edit == PUT_OTHER else 0.0
        return self._nats[following, edit] + spelled

    def to_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "new": json.loads(self._spelling.to_json())}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Joining":
        from malmoi.text import morphemes

        counts = content["counts"]
        if counts.keys() != set(NEXT):
            raise ValueError("it lacks what may come next")
        for following in NEXT:
            for edit, n in counts[following].items():
                if edit not in _possible(following) or type(n) is not int or not 0 <= n < 2**53:
                    raise ValueError(f"it has the edit {edit[:20]!r} with the count {n!r:.20}")
        return cls(counts, SpellingModel.from_json(json.dumps(content["new"])), morphemes.rejoined)


def _possible(following: str) -> tuple[str, ...]:
    return (COPY, PUT_SPACE, PUT_OTHER) if following == END else EDITS


def edits(joined: str, line: str) -> Iterator[tuple[str, str, str]]:
    """(what comes next in `joined`, edit, the character of `line` that it writes, "" if none), from one to the other.

    The last edit copies the end.
    """

    def following(i: int) -> str:
        return END if i == len(joined) else SPACE if joined[i] == " " else OTHER

    for tag, begin, after, first, last in _opcodes(joined, line):
        if tag == "equal":
            yield from ((following(i), COPY, joined[i]) for i in range(begin, after))
            continue
        for character in line[first:last]:
            yield following(begin), PUT_SPACE if character == " " else PUT_OTHER, character
        yield from ((following(i), LEAVE_OUT, "") for i in range(begin, after))
    yield END, COPY, ""


def _opcodes(joined: str, line: str) -> Iterator[tuple[str, int, int, int, int]]:
    """As `SequenceMatcher.get_opcodes`; quickly where the two differ in spaces alone, as they nearly always do."""
    if joined.replace(" ", "") != line.replace(" ", ""):
        yield from SequenceMatcher(None, joined, line, autojunk=False).get_opcodes()
        return
    i = j = 0
    while i < len(joined) or j < len(line):
        here, there = joined[i : i + 1], line[j : j + 1]
        if here == there:
            yield "equal", i, i + 1, j, j + 1
            i, j = i + 1, j + 1
        elif there == " ":
            yield "insert", i, i, j, j + 1
            j += 1
        else:
            yield "delete", i, i + 1, j, j
            i += 1


KINDS: dict[str, type[Layout]] = {layout.kind: layout for layout in (WhiteSpace, Joining)}


def from_json(text: str) -> Layout:
    """Read what `Layout.to_json` wrote; every size and value is checked, as the file may come from anywhere.

    Raises:
        DataError: If it is anything else.
    """
    try:
        content = json.loads(text)
        if content["version"] != 1 or content["kind"] not in KINDS:
            raise ValueError(f"it has version {content['version']!r:.20} and kind {content['kind']!r:.20}")
        return KINDS[content["kind"]].from_dict(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError) as error:
        raise DataError(
            f"The model of white space cannot be used ({str(error)[:120]}): expected a file that malmoi wrote, whole and "
            "unchanged. Copy the run again, or train its tokenizer again."
        ) from None


def plain_layout(kind: str) -> Layout:
    """For tokenizers of this kind that came without one: those of earlier versions, and of files of other programs."""
    if kind == "word":
        return WhiteSpace.plain()
    from malmoi.text import morphemes

    counts = {following: {COPY: PLAIN_SEEN} for following in NEXT}
    return Joining(counts, SpellingModel.fit(["?"]), morphemes.rejoined)
