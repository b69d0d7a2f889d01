"""Information content: how much a concept tells, from how often it is met (Resnik 1995; Lin 1998).

A concept is met whenever it, or any concept below it, is meant: count(c) = sum over c and all below of (times seen + 1), each
of them once however many ways lead down to it. The 1 is add-one smoothing: every concept counts as seen once more than it
was, before the sums are taken, so that none has probability 0. Then IC(c) = -ln(count(c) / N), where N is the same sum over
all nouns, or over all verbs.

What was seen is either the sense-tagged text that WordNet brings the counts of (`cntlist.rev`), or any text: each
occurrence of a word form is then shared out equally among the senses the form may have, as nobody tagged them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from malmoi.errors import DataError
from malmoi.thesaurus.files import SENSE_COUNTS, damaged, understood

TAXONOMIES = {"n": "noun", "v": "verb"}  # what has concepts above it
SMOOTHING = 1.0
DEEPEST = 100  # concepts above one another; WordNet's longest chain has 20
WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")

Counts = dict[
    str, dict[int, float]
]  # part of speech -> place in its file -> count(c); under 0 stands N, as NLTK wants it


class Taxonomy(NamedTuple):
    """The concepts of one part of speech, by the byte at which their line begins."""

    above: dict[int, tuple[int, ...]]
    keys: dict[str, int]  # sense key as in cntlist.rev -> concept


class Information(NamedTuple):
    counts: Counts
    n_seen: float  # how much was seen in all, without smoothing
    source: str  # "wordnet" or "text"


def read_taxonomy(folder: Path, pos: str) -> Taxonomy:
    """Read what is above what from data.noun or data.verb.

    Raises:
        DataError: If a line is none of WordNet's; with its number.
    """
    path = folder / f"data.{TAXONOMIES[pos]}"
    kind = {"n": 1, "v": 2}[pos]
    above: dict[int, tuple[int, ...]] = {}
    keys: dict[str, int] = {}
    with understood(path), path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.startswith(b" "):
                continue
            try:
                fields = raw.split(b"|", 1)[0].decode().split()
                place, n_words = int(fields[0]), int(fields[3], 16)
                after = 4 + 2 * n_words
                pointers = fields[after + 1 : after + 1 + 4 * int(fields[after])]
                if len(pointers) < 4 * int(fields[after]):
                    raise ValueError("too few pointers")
                above[place] = tuple(
                    int(pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")
                )
                for i in range(4, after, 2):
                    keys[f"{fields[i].lower()}%{kind}:{int(fields[1]):02}:{int(fields[i + 1], 16):02}::"] = place
            except (ValueError, IndexError) as error:
                raise damaged(path, f"line {number} ({error})") from error
    return Taxonomy(above, keys)


def spread(above: Mapping[int, tuple[int, ...]], seen: Mapping[int, float]) -> dict[int, float]:
    """count(c) of every concept, and N under 0.

    Args:
        above: The concepts right above each concept.
        seen: How often each concept itself was seen; those left out, 0 times.

    Raises:
        DataError: If a concept stands above itself, or a pointer leads nowhere.
    """
    ancestors: dict[int, frozenset[int]] = {}
    counts = dict.fromkeys(above, 0.0)
    total = 0.0
    for concept in above:
        weight = seen.get(concept, 0.0) + SMOOTHING
        total += weight
        for met in _ancestors(concept, above, ancestors):
            counts[met] += weight
    return {**counts, 0: total}


def _ancestors(
    concept: int, above: Mapping[int, tuple[int, ...]], known: dict[int, frozenset[int]], depth: int = 0
) -> frozenset[int]:
    """A concept and all above it."""
    if (found := known.get(concept)) is not None:
        return found
    if depth > DEEPEST or concept not in above:
        what = f"a chain of more than {DEEPEST} concepts" if depth > DEEPEST else "no concept"
        raise DataError(
            f"WordNet's files are damaged: {what} at byte {concept}. Expected WordNet 3.x as it was published. Install it anew."
        )
    found = frozenset([concept]).union(*(_ancestors(parent, above, known, depth + 1) for parent in above[concept]))
    known[concept] = found
    return found


def read_sense_counts(folder: Path) -> dict[str, int] | None:
    """Sense key -> how often WordNet's tagged text has it; None if the file is missing.

    Raises:
        DataError: If a line is wrong; with its number.
    """
    path = folder / SENSE_COUNTS
    if not path.is_file():
        return None
    counts: dict[str, int] = {}
    with understood(path):
        for number, line in enumerate(path.read_bytes().decode().splitlines(), start=1):
            fields = line.split()
            if len(fields) != 3 or not fields[2].isdecimal():
                raise damaged(path, f"line {number} is no 'sense key, number, count'")
            counts[fields[0]] = int(fields[2])
    return counts


def from_sense_counts(folder: Path, sense_counts: Mapping[str, int]) -> Information:
    """Information content from WordNet's own tagged text."""
    counts: Counts = {}
    n_seen = 0.0
    for pos in TAXONOMIES:
        taxonomy = read_taxonomy(folder, pos)
        seen: dict[int, float] = defaultdict(float)
        for key, times in sense_counts.items():
            if (place := taxonomy.keys.get(key)) is not None:
                seen[place] += times
        n_seen += sum(seen.values())
        counts[pos] = spread(taxonomy.above, seen)
    return Information(counts, n_seen, "wordnet")


def from_text(folder: Path, lines: Iterable[str], senses: Callable[[str], Iterable[Any]]) -> Information:
    """Information content from a text.

    Args:
        folder: WordNet's files.
        lines: English text; words are runs of letters, in lower case.
        senses: The concepts (NLTK's) that a word form may mean, of all parts of speech.

    Raises:
        DataError: If no word of the text is in WordNet.
    """
    forms = Counter(word.lower() for line in lines for word in WORD.findall(line))
    seen: dict[str, dict[int, float]] = {pos: defaultdict(float) for pos in TAXONOMIES}
    for form, times in forms.items():
        concepts = list(senses(form))
        for concept in concepts:
            if concept.pos() in seen:
                seen[concept.pos()][concept.offset()] += times / len(concepts)
    n_seen = sum(sum(times.values()) for times in seen.values())
    if not n_seen:
        raise DataError(
            "No noun or verb of the text is in WordNet. Expected English text to count words in. Give another with --counts, "
            "or leave --counts out to use the counts that come with WordNet."
        )
    counts = {pos: spread(read_taxonomy(folder, pos).above, seen[pos]) for pos in TAXONOMIES}
    return Information(counts, n_seen, "text")
