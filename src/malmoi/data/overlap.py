"""How much of the test text the models have already read, measured before anything is trained.

A model that has seen a sentence knows it by heart: figures on such a test text tell how well it remembers, not how well it
predicts. Two shares show it: test lines that stand in the training text as they are, and runs of eight words of the test text
that occur anywhere in the training text, line ends not minded.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64

from malmoi.text.sources import TextSource

RUN = 8  # words; two texts hardly share so many in a row by chance
MANY_RUNS, MANY_BYTES = 0.1, 0.2  # shares from which on figures should not be trusted as they stand
CHUNK = 1 << 16  # words hashed at once


@dataclass(frozen=True)
class Overlap:
    """What test and training text have in common."""

    lines: float  # share of the test lines with text that stand in the training text, too
    in_lines: float  # share of the bytes of the test text that are in such lines: short ones are often alike by chance
    runs: float | None  # share of the runs of RUN words; None where the test text is shorter than that

    @property
    def is_high(self) -> bool:
        return self.in_lines >= MANY_BYTES or (self.runs or 0.0) >= MANY_RUNS


def measure_overlap(train: TextSource, test: TextSource) -> tuple[Overlap, dict[str, int]]:
    """The overlap, and how often each word of the test text occurs in the training text.

    The training text is read once; memory grows with the test text alone.
    """
    lines = Counter[str]()
    words: list[str] = []
    for line in test.lines():
        lines[line.text] += bool(line.text.strip())
        words += line.text.split()
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    keys = np.random.default_rng(0).integers(2**64, size=(RUN, len(numbers)), dtype=np.uint64)
    runs = _hashes(np.array([numbers[word] for word in words], np.int64), keys)
    wanted = np.unique(runs)
    is_seen = np.zeros(len(wanted), bool)
    counts = np.zeros(len(numbers), np.int64)
    seen_lines = set[str]()

    def note(text: str) -> None:
        if text in lines:
            seen_lines.add(text)

    for chunk, n_new in _chunks(train, numbers, note):
        new = chunk[len(chunk) - n_new :]
        counts += np.bincount(new[new >= 0], minlength=len(counts))
        is_seen |= np.isin(wanted, _hashes(chunk, keys))
    n_bytes = {line: count * len(line.encode()) for line, count in lines.items()}
    overlap = Overlap(
        lines=sum(lines[line] for line in seen_lines) / lines.total(),
        in_lines=sum(n_bytes[line] for line in seen_lines) / sum(n_bytes.values()),
        runs=float(is_seen[np.searchsorted(wanted, runs)].mean()) if len(runs) else None,
    )
    return overlap, dict(zip(numbers, counts.tolist(), strict=True))


def _chunks(
    source: TextSource, numbers: dict[str, int], note: Callable[[str], None]
) -> Iterator[tuple[Int64[np.ndarray, " words"], int]]:
    """(numbers of words, -1 for those without one; how many of them are new: the others end the chunk before)."""
    tail: list[int] = []
    ids: list[int] = []
    for line in source.lines():
        note(line.text)
        ids += [numbers.get(word, -1) for word in line.text.split()]
        if len(ids) >= CHUNK:
            yield np.array(tail + ids, np.int64), len(ids)
            tail, ids = (tail + ids)[1 - RUN :], []
    if ids:
        yield np.array(tail + ids, np.int64), len(ids)


def _hashes(ids: Int64[np.ndarray, " words"], keys: UInt64[np.ndarray, "run vocab"]) -> UInt64[np.ndarray, " runs"]:
    """One number for each run of known words; two different runs share one with probability 2^-64.

    Args:
        ids: Numbers of words, -1 for those that are not known.
        keys: A random number for each word at each place of a run.
    """
    n_runs = len(ids) - RUN + 1
    if n_runs < 1:
        return np.zeros(0, np.uint64)
    sums, is_known = np.zeros(n_runs, np.uint64), np.ones(n_runs, bool)
    for place in range(RUN):
        at = ids[place : place + n_runs]
        is_known &= at >= 0
        sums ^= keys[place, np.maximum(at, 0)]
    return sums[is_known]
