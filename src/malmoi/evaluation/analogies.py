"""How many analogies word vectors solve: "a is to b as c is to ?", by category.

An answer counts if it is exactly d, among all words but a, b and c. Questions that hold a word without a vector are never
passed over in silence: every result says how many were covered.

Each category of the published sets crosses a few dozen word pairs, every one with every other, so that its questions are far
from independent: a pair that a model has got right helps it in dozens of questions. The 95 % intervals therefore come from
drawing the word pairs of each category, not the questions; a question counts as often as its first pair was drawn times as
often as its second was. With fewer than LEAST questions there is no interval.

Source: Mikolov et al. 2013 (arXiv:1301.3781); Levy & Goldberg 2014 for 3CosMul; Owen 2007, "The pigeonhole bootstrap", for
drawing both sides.

Shapes: Q covered questions, C categories, M models, R resamples, V words.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from malmoi.errors import DataError
from malmoi.evaluation.similarity import CHUNK, LEAST, RESAMPLES, Lookup, draw_counts, interval
from malmoi.evaluation.vector_sets import AnalogySet
from malmoi.vectors.vectors import EPSILON, Vectors

Method = Literal["3cosadd", "3cosmul"]


@dataclass(frozen=True)
class AnalogyResult:
    """How many questions were answered rightly."""

    name: str
    n_questions: int
    n_covered: int
    n_right: int
    low: float  # of the 95 % interval of `accuracy`; NaN where fewer than LEAST questions are covered
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


class Answers(NamedTuple):
    """The covered questions of a set, numbered through all categories, and which were answered rightly."""

    covered: Int64[np.ndarray, " covered"]
    right: Bool[np.ndarray, " covered"]
    n_lowered: int  # of the covered questions, those with a word that was found in lower case only
    missing: list[str]


def evaluate_analogies(
    vectors: Vectors,
    analogies: AnalogySet,
    *,
    method: Method = "3cosadd",
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
    found = answer(vectors, analogies, method=method, lower=lower)
    if not len(found.covered):
        raise DataError(
            f"0 of the {len(analogies):,} questions of {analogies.name} are covered by the vectors; the first missing word is "
            f"{found.missing[0][:60]!r}. Expected questions whose four words are known. Evaluate vectors of the language of "
            "the set, trained on more text."
        )
    questions = Questions.of(analogies)
    sampled = resampled_accuracies(questions.only(found.covered), [found.right], n_resamples, seed)
    rows = [(analogies.name, len(analogies), np.ones(len(found.covered), np.bool_), sampled.total()[0])]
    for place, (name, asked) in enumerate(analogies.categories.items()):
        rows.append((name, len(asked), questions.category[found.covered] == place, sampled.of_category(place)[0]))
    results = []
    for name, n, here, accuracies in rows:
        right = found.right[here]
        low, high = accuracy_interval(questions.only(found.covered[here]), right, accuracies)
        results.append(AnalogyResult(name, n, len(right), int(right.sum()), low, high))
    return AnalogyReport(results[0], results[1:], found.missing)


def answer(vectors: Vectors, analogies: AnalogySet, *, method: Method = "3cosadd", lower: bool = True) -> Answers:
    """Answer the questions whose four words are in the vocabulary."""
    lookup = Lookup(vectors, lower)
    covered, ids, n_lowered = list[int](), list[list[int]](), 0
    questions = (question for asked in analogies.categories.values() for question in asked)
    for number, question in enumerate(questions):
        places = [lookup.place(word) for word in question]
        known = [place for place in places if place is not None]
        if len(known) == len(question):
            covered.append(number)
            ids.append(known)
            n_lowered += not lookup.lowered.isdisjoint(question)
    asked_ids = np.array(ids, np.int64).reshape(-1, 4)
    right = _answers(vectors, asked_ids[:, :3], method) == asked_ids[:, 3]
    return Answers(np.array(covered, np.int64), right, n_lowered, list(lookup.missing))


def _answers(vectors: Vectors, questions: Int64[np.ndarray, "n 3"], method: Method) -> Int64[np.ndarray, " n"]:
    """The answer to each question (a, b, c). The cosines of a word are reckoned once for all questions next to each other."""
    answers = np.empty(len(questions), np.int64)
    together = max(3, CHUNK * 4 // max(len(vectors), vectors.dim))  # words whose rows and cosines (words, V) are held
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


# Resampling word pairs


class Questions(NamedTuple):
    """The category of each question and its two word pairs; pairs are numbered category by category."""

    category: Int64[np.ndarray, " questions"]
    first: Int64[np.ndarray, " questions"]  # the pair (a, b)
    second: Int64[np.ndarray, " questions"]  # the pair (c, d)
    n_categories: int

    @classmethod
    def of(cls, analogies: AnalogySet) -> "Questions":
        pairs: dict[tuple[int, str, str], int] = {}
        rows = list[tuple[int, int, int]]()
        for category, asked in enumerate(analogies.categories.values()):
            for a, b, c, d in asked:
                first, second = (pairs.setdefault((category, *pair), len(pairs)) for pair in ((a, b), (c, d)))
                rows.append((category, first, second))
        columns = np.array(rows, np.int64).reshape(-1, 3).T
        return cls(columns[0], columns[1], columns[2], len(analogies.categories))

    def only(self, kept: Int64[np.ndarray, " kept"]) -> "Questions":
        """Some of the questions; pairs that occur in none of them are forgotten."""
        category, first, second = self.category[kept], self.first[kept], self.second[kept]
        _, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
        numbers = numbers.astype(np.int64)
        return Questions(category, numbers[: len(kept)], numbers[len(kept) :], self.n_categories)


class Resampled(NamedTuple):
    """Of each resample, how much each category weighs, and how much of that each model has right."""

    right: Float64[np.ndarray, "models resamples categories"]
    weight: Float64[np.ndarray, "resamples categories"]

    def total(self) -> Float64[np.ndarray, "models resamples"]:
        """The accuracy over all categories; NaN where nothing was drawn."""
        return _share(self.right.sum(axis=2), self.weight.sum(axis=1))

    def of_category(self, place: int) -> Float64[np.ndarray, "models resamples"]:
        return _share(self.right[:, :, place], self.weight[:, place])


def resampled_accuracies(
    questions: Questions, models: list[Bool[np.ndarray, " questions"]], n_resamples: int, seed: int
) -> Resampled:
    """Draw the word pairs of each category with replacement, the same draws for all models."""
    n, n_categories = len(questions.category), questions.n_categories
    right = np.zeros((len(models), n_resamples, n_categories))
    weight = np.zeros((n_resamples, n_categories))
    if not n:
        return Resampled(right, weight)
    starts = np.flatnonzero(np.diff(questions.category, prepend=-1))  # questions of a category stand together
    categories = questions.category[starts]
    last = np.maximum.reduceat(np.maximum(questions.first, questions.second), starts)
    n_pairs = np.diff(last, prepend=-1).tolist()
    generators = [np.random.default_rng([seed, category]) for category in categories.tolist()]
    together = max(1, CHUNK // n)
    for start in range(0, n_resamples, together):
        part = slice(start, min(start + together, n_resamples))
        n_drawn = part.stop - part.start
        draws = [draw_counts(generator, n_drawn, n) for generator, n in zip(generators, n_pairs, strict=True)]
        drawn = np.concatenate(draws, axis=1)  # (R, pairs)
        times = drawn[:, questions.first] * drawn[:, questions.second]  # (R, Q)
        weight[part, categories] = np.add.reduceat(times, starts, axis=1)
        for model, answered in enumerate(models):
            right[model][part, categories] = np.add.reduceat(times * answered, starts, axis=1)
    return Resampled(right, weight)


def accuracy_interval(
    questions: Questions, right: Bool[np.ndarray, " questions"], sampled: Float64[np.ndarray, " resamples"]
) -> tuple[float, float]:
    """The 95 % interval of the share of right answers; NaN for both ends with fewer than LEAST questions.

    Where none or all are right, every resample says the same; then the ends are those of the exact binomial interval for as
    many questions as there are word pairs (Clopper & Pearson 1934).
    """
    n, n_right = len(right), int(right.sum())
    if n < LEAST or 0 < n_right < n:
        return interval(sampled, n)
    n_pairs = len(np.union1d(questions.first, questions.second))
    width = 1 - 0.025 ** (1 / n_pairs)
    return (1 - width, 1.0) if n_right else (0.0, width)


def _share(
    right: Float64[np.ndarray, "models resamples"], weight: Float64[np.ndarray, " resamples"]
) -> Float64[np.ndarray, "models resamples"]:
    shares = np.full(right.shape, np.nan)
    np.divide(right, weight, out=shares, where=np.broadcast_to(weight > 0, right.shape))
    return shares
