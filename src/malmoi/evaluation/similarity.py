"""How well word vectors agree with people: similarity of pairs, and analogies.

A similarity set holds pairs of words and how similar people found them. Spearman's rho compares the order of the pairs by
people with their order by cosine. An analogy set holds questions "a is to b as c is to d"; an answer counts if it is exactly
d, among all words but a, b and c.

Words that the vectors lack are never passed over in silence: every result says how many pairs or questions were covered.
The 95 % intervals are percentiles over resampled pairs or questions (bootstrap). Questions of one category share words, so
that their intervals are rather too narrow.

Source: Spearman 1904; Mikolov et al. 2013 (arXiv:1301.3781) for the analogies; Efron & Tibshirani 1993, chapter 13.

Shapes: N pairs, R resamples, V words.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.text.inputs import explained
from malmoi.vectors.vectors import Vectors

RESAMPLES = 1000
CHUNK = 1 << 22  # numbers of a table that are held at a time, at least for one row
LARGEST_SET = 64 << 20  # bytes of a file
EPSILON = 1e-3  # of 3CosMul, as in `Vectors.analogy`
Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class SimilaritySet:
    """Pairs of words, and how similar people found them."""

    name: str
    pairs: list[tuple[str, str]]
    scores: Float64[np.ndarray, " pairs"]


@dataclass(frozen=True)
class AnalogySet:
    """Questions by category: a is to b as c is to d."""

    name: str
    categories: dict[str, list[Question]]


@dataclass(frozen=True)
class SimilarityResult:
    """How the order of the pairs agrees."""

    name: str
    spearman: float  # over the covered pairs, from -1 to 1
    low: float  # of the 95 % interval
    high: float
    n_pairs: int
    n_covered: int
    n_composed: int  # of the covered pairs, those with a word whose vector came from subwords
    n_lowered: int  # of the covered pairs, those with a word that was found in lower case only
    missing: list[str]  # the words without a vector

    @property
    def coverage(self) -> float:
        return self.n_covered / self.n_pairs


@dataclass(frozen=True)
class AnalogyResult:
    """How many questions were answered rightly."""

    name: str
    n_questions: int
    n_covered: int
    n_right: int
    low: float  # of the 95 % interval of `accuracy`
    high: float

    @property
    def accuracy(self) -> float:
        """The share of the covered questions; NaN if there are none."""
        return self.n_right / self.n_covered if self.n_covered else float("nan")

    @property
    def accuracy_of_all(self) -> float:
        """The share of all questions: one that is not covered counts as wrong."""
        return self.n_right / self.n_questions

    @property
    def coverage(self) -> float:
        return self.n_covered / self.n_questions


class AnalogyReport(NamedTuple):
    total: AnalogyResult
    categories: list[AnalogyResult]
    missing: list[str]  # the words without a vector


# Reading


def read_similarity_set(path: str | Path) -> SimilaritySet:
    """Read "word, word, score" lines, with tabs, commas or spaces between them; a first line without a number is a heading.

    Raises:
        DataError: If the file is missing or no such set; with the number of the line.
    """
    path = Path(path)
    pairs: list[tuple[str, str]] = []
    scores: list[float] = []
    for number, line in _lines(path):
        fields = _fields(line)
        score = _score(fields[2]) if len(fields) == 3 else None
        if score is None and number == 1 and len(fields) == 3:
            continue
        if score is None or not fields[0] or not fields[1]:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}. Expected two words and a finite number, with tabs, commas or spaces "
                "between them. Correct this line."
            )
        pairs.append((fields[0], fields[1]))
        scores.append(score)
    if not pairs:
        raise DataError(f"{path} holds no pair. Expected lines of two words and a number. Give another file.")
    return SimilaritySet(path.stem, pairs, np.array(scores, np.float64))


def read_analogy_set(path: str | Path) -> AnalogySet:
    """Read "a b c d" lines; a line ": name" begins a category.

    Raises:
        DataError: If the file is missing or no such set; with the number of the line.
    """
    path = Path(path)
    categories: dict[str, list[Question]] = {}
    category = ""
    for number, line in _lines(path):
        if line.startswith(":"):
            category = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}. Expected four words, or ': name' to begin a category. Correct "
                "this line."
            )
        categories.setdefault(category, []).append((words[0], words[1], words[2], words[3]))
    if not categories:
        raise DataError(f"{path} holds no question. Expected lines of four words. Give another file.")
    return AnalogySet(path.stem, categories)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines that are not blank."""
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"There is no {path}"
        raise DataError(f"{what}. Expected a file of word pairs or analogies. Check the name.")
    with explained(str(path)):
        size = path.stat().st_size
        if size > LARGEST_SET:
            raise DataError(
                f"{path} has {size:,} bytes. Expected at most {LARGEST_SET:,}. Give a set of words, no text."
            )
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{number}: a byte that is not UTF-8. Expected UTF-8 throughout. Convert the file first, for example: "
            "iconv -f cp949 -t utf-8."
        ) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip():
            yield number, stripped


def _fields(line: str) -> list[str]:
    if "\t" in line or "," not in line:
        return [field.strip() for field in line.split("\t" if "\t" in line else None)]
    try:
        return [field.strip() for field in next(csv.reader([line]))]
    except csv.Error:
        return []


def _score(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


# Similarity


def spearman(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks. NaN if one side has equal values only."""
    counts = np.ones((1, len(first)))
    return float(_correlations(_groups(first), _groups(second), counts)[0])


def evaluate_similarity(
    vectors: Vectors,
    similarity: SimilaritySet,
    *,
    lower: bool = True,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SimilarityResult:
    """Compare cosines with what people said.

    Args:
        vectors: The model; where it can compose vectors of unknown words, those count as covered, and are counted.
        similarity: The pairs.
        lower: Whether to look a missing word up in lower case too.
        n_resamples: R, for the interval.
        seed: Of the resamples.

    Raises:
        DataError: If so few pairs are covered, or so alike, that they have no order.
    """
    found = _Lookup(vectors, lower)
    kept: list[int] = []
    cosines: list[float] = []
    n_composed = n_lowered = 0
    for i, pair in enumerate(similarity.pairs):
        units = [found.unit(word) for word in pair]
        if units[0] is None or units[1] is None:
            continue
        kept.append(i)
        cosines.append(vectors.cosine(units[0], units[1]))
        n_composed += not found.composed.isdisjoint(pair)
        n_lowered += not found.lowered.isdisjoint(pair)
    people, ours = _groups(similarity.scores[kept]), _groups(np.array(cosines, np.float64))
    rho = float(_correlations(people, ours, np.ones((1, len(kept))))[0]) if kept else float("nan")
    if np.isnan(rho):
        raise DataError(
            f"{len(kept)} of the {len(similarity.pairs):,} pairs of {similarity.name} are covered by the vectors; the first "
            f"missing word is {(found.missing or ['(none)'])[0][:60]!r}. Expected two or more that can be put in order. "
            "Evaluate vectors of the language of the set, trained on more text."
        )
    generator = np.random.default_rng(seed)
    together = max(1, CHUNK // len(kept))
    sampled = np.concatenate(
        [
            _correlations(people, ours, _counts(generator, min(together, n_resamples - start), len(kept)))
            for start in range(0, n_resamples, together)
        ]
    )
    low, high = np.nanpercentile(sampled, (2.5, 97.5)) if np.isfinite(sampled).any() else (-1.0, 1.0)
    return SimilarityResult(
        similarity.name,
        rho,
        float(low),
        float(high),
        len(similarity.pairs),
        len(kept),
        n_composed,
        n_lowered,
        found.missing,
    )


def _groups(values: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """0 for the lowest value, 1 for the next higher, and so on: equal values share a number."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _counts(generator: np.random.Generator, n_resamples: int, n: int) -> Float64[np.ndarray, "resamples n"]:
    """How often each pair is drawn in each resample."""
    drawn = generator.integers(n, size=(n_resamples, n)) + n * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def _correlations(
    first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"], counts: Float64[np.ndarray, "resamples n"]
) -> Float64[np.ndarray, " resamples"]:
    """Spearman's rho where each pair is there as often as `counts` says; nothing is sorted again."""
    x, y = _ranks(first, counts), _ranks(second, counts)
    middle = (counts.shape[1] + 1) / 2  # ranks have this mean, however many are equal: as many are drawn as there are
    x -= middle
    y -= middle
    covariance, of_x, of_y = ((counts * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    spread = np.sqrt(of_x * of_y)
    rho = np.full(len(counts), np.nan)
    np.divide(covariance, spread, out=rho, where=spread > 0)
    clipped: NDArray[np.float64] = np.clip(rho, -1, 1)
    return clipped


def _ranks(
    groups: Int64[np.ndarray, " n"], counts: Float64[np.ndarray, "resamples n"]
) -> Float64[np.ndarray, "resamples n"]:
    """The rank of each pair in each resample, from 1; equal values share the mean of the ranks that they take up."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max(initial=0) + 1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)  # (R, groups)
    before = np.cumsum(sizes, axis=1) - sizes
    ranks: NDArray[np.float64] = (before + (sizes + 1) / 2)[:, groups]
    return ranks


class _Lookup:
    """Finds words, and remembers which were missing, composed or found in lower case."""

    def __init__(self, vectors: Vectors, lower: bool) -> None:
        self.vectors, self.lower = vectors, lower
        self.missing: list[str] = []
        self.lowered: set[str] = set()
        self.composed: set[str] = set()
        self._missed: set[str] = set()

    def word(self, word: str) -> str | None:
        """How a word is written in the vocabulary."""
        if word in self.vectors:
            return word
        if self.lower and word.lower() in self.vectors:
            self.lowered.add(word)
            return word.lower()
        return None

    def unit(self, word: str) -> NDArray[np.float32] | None:
        """The direction of a word, also of one that the vectors compose."""
        if (known := self.word(word)) is not None:
            return self.vectors.unit(known)
        composed = None if self.vectors.unknown is None else self.vectors.unknown(word)
        if composed is not None:
            self.composed.add(word)
            return self.vectors.unit(composed)
        self.miss(word)
        return None

    def miss(self, word: str) -> None:
        if word not in self._missed:
            self._missed.add(word)
            self.missing.append(word)


# Analogies


def evaluate_analogies(
    vectors: Vectors,
    analogies: AnalogySet,
    *,
    method: Literal["3cosadd", "3cosmul"] = "3cosadd",
    lower: bool = True,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> AnalogyReport:
    """Answer the questions "a is to b as c is to ?" with the word, other than a, b and c, that scores highest.

    To leave rare words out of the answers, as is often done, give `vectors.first(30_000)`; coverage then says so.

    Args:
        vectors: The model. All four words of a covered question are in its vocabulary.
        analogies: The questions.
        method: As in `Vectors.analogy`.
        lower: Whether to look a missing word up in lower case too.
        n_resamples: R, for the intervals.
        seed: Of the resamples.

    Raises:
        DataError: If no question is covered.
    """
    found = _Lookup(vectors, lower)
    generator = np.random.default_rng(seed)
    results: list[AnalogyResult] = []
    right: list[np.ndarray] = []
    for name, questions in analogies.categories.items():
        covered = list[tuple[int, int, int, int]]()
        for question in questions:
            a, b, c, d = (_id(found, word) for word in question)
            if a is not None and b is not None and c is not None and d is not None:
                covered.append((a, b, c, d))
        ids = np.array(covered, np.int64).reshape(-1, 4)
        right.append(_answers(vectors, ids[:, :3], method) == ids[:, 3])
        results.append(_result(name, len(questions), right[-1], generator, n_resamples))
    n_questions = sum(result.n_questions for result in results)
    total = _result(analogies.name, n_questions, np.concatenate(right), generator, n_resamples)
    if not total.n_covered:
        raise DataError(
            f"0 of the {n_questions:,} questions of {analogies.name} are covered by the vectors; the first missing word is "
            f"{found.missing[0][:60]!r}. Expected questions whose four words are known. Evaluate vectors of the language of "
            "the set, trained on more text."
        )
    return AnalogyReport(total, results, found.missing)


def _id(found: _Lookup, word: str) -> int | None:
    known = found.word(word)
    if known is None:
        found.miss(word)
        return None
    return found.vectors.place(known)


def _result(
    name: str, n_questions: int, right: np.ndarray, generator: np.random.Generator, n_resamples: int
) -> AnalogyResult:
    n, n_right = len(right), int(right.sum())
    # As many right answers as a resample of n questions has: each draw is right with the same probability.
    sampled = generator.binomial(n, n_right / n, n_resamples) / n if n else np.array([np.nan])
    low, high = np.percentile(sampled, (2.5, 97.5))
    return AnalogyResult(name, n_questions, n, n_right, float(low), float(high))


def _answers(
    vectors: Vectors, questions: Int64[np.ndarray, "n 3"], method: Literal["3cosadd", "3cosmul"]
) -> Int64[np.ndarray, " n"]:
    """The answer to each question (a, b, c). The cosines of a word are reckoned once for all questions next to each other."""
    answers = np.empty(len(questions), np.int64)
    together = max(3, CHUNK * 4 // len(vectors))  # words whose cosines (words, V) are held
    start = 0
    while start < len(questions):
        stop, words = start, set[int]()
        while stop < len(questions) and len(words | set(questions[stop].tolist())) <= together:
            words |= set(questions[stop].tolist())
            stop += 1
        listed = sorted(words)
        cosines = vectors.cosines(vectors.rows(np.array(listed, np.int64)))
        if method == "3cosmul":
            cosines = (1 + cosines) / 2
        row = {word: i for i, word in enumerate(listed)}
        for i in range(start, stop):
            a, b, c = (cosines[row[word]] for word in questions[i].tolist())
            scores = b - a + c if method == "3cosadd" else b * c / (a + np.float32(EPSILON))
            scores[questions[i]] = -np.inf
            answers[i] = scores.argmax()
        start = stop
    return answers
