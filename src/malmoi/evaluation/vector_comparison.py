"""Word vectors side by side on sets of pairs and analogies: what each covers, and which differences are more than luck.

The first model is the one that the others are compared with. Each is also judged on its own covered pairs, but a difference is
that of two models on the pairs that all models cover, resampled together: what makes a pair hard for both cancels out. A
difference whose 95 % interval leaves out 0 is "above" or "below"; any other is "not told apart". Of twenty comparisons of equal
models, one comes out as "above" or "below" by chance.

Source: Levy, Goldberg & Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings", for the
comparison of counting and training under the same settings; the intervals are as in `similarity` and `analogies`.

Shapes: M models, N pairs or questions, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from malmoi.errors import ConfigError, DataError
from malmoi.evaluation.analogies import (
    Answers,
    Method,
    Questions,
    Resampled,
    accuracy_interval,
    answer,
    resampled_accuracies,
)
from malmoi.evaluation.similarity import (
    LEAST,
    RESAMPLES,
    Nearness,
    interval,
    nearness,
    resampled_correlations,
    spearman,
)
from malmoi.evaluation.vector_sets import AnalogySet, SimilaritySet
from malmoi.vectors.vectors import Vectors

Verdict = Literal["above", "below", "not told apart", "cannot say"]
Progress = Callable[[str, str, int, int], None]  # model, set, how many were done, of how many


@dataclass(frozen=True)
class Score:
    """One model on one set or category: Spearman's rho, or the share of the analogies that it solves."""

    model: str
    value: float  # over what it covers; NaN if that has no order, or is nothing
    low: float  # of the 95 % interval; NaN where fewer than LEAST are covered
    high: float
    n_covered: int
    n_composed: int = 0  # of these, those with a word whose vector came from subwords
    n_lowered: int = 0  # of these, those with a word that was found in lower case only


@dataclass(frozen=True)
class VectorDifference:
    """A model less the first one, over what all models cover."""

    model: str
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Is it more than luck? Nothing can be said of fewer than LEAST, or of cosines that are all equal."""
        if np.isnan(self.low):
            return "cannot say"
        return "above" if self.low > 0 else "below" if self.high < 0 else "not told apart"


@dataclass(frozen=True)
class Category:
    """A category of analogies."""

    name: str
    n: int
    scores: tuple[Score, ...]  # in the order of the models


@dataclass(frozen=True)
class SetOutcome:
    """All models on one set.

    Models that cover fewer than LEAST stay out of what is common where others cover more, lest vectors of another language that
    share a word by chance leave the others nothing to be compared on.
    """

    name: str
    kind: Literal["similarity", "analogies"]
    n: int  # pairs or questions
    scores: tuple[Score, ...]  # in the order of the models
    n_common: int  # pairs or questions that all models cover which are compared
    differences: tuple[VectorDifference, ...]  # of the other models, where they and the first one cover anything
    categories: tuple[Category, ...]  # of analogies
    missing: Mapping[str, tuple[str, ...]]  # model -> the words that it has no vector for

    @property
    def is_covered(self) -> bool:
        """Whether any model covers anything of it."""
        return any(score.n_covered for score in self.scores)

    def difference(self, model: str) -> VectorDifference | None:
        return next((found for found in self.differences if found.model == model), None)


@dataclass(frozen=True)
class VectorComparison:
    """Models x sets."""

    models: tuple[str, ...]
    sets: tuple[SetOutcome, ...]
    method: Method
    first: int | None  # analogies were asked among so many words, all of them if None
    n_resamples: int
    seed: int
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # model -> how it was made

    @property
    def covered(self) -> tuple[SetOutcome, ...]:
        """The sets of which some model covers something."""
        return tuple(one for one in self.sets if one.is_covered)

    def tally(self, model: str) -> dict[Verdict, int]:
        """How often a model is above the first one, below it, and so on."""
        verdicts: dict[Verdict, int] = {"above": 0, "below": 0, "not told apart": 0, "cannot say": 0}
        for one in self.sets:
            if (difference := one.difference(model)) is not None:
                verdicts[difference.verdict] += 1
        return verdicts

    def to_dict(self) -> dict[str, Any]:
        """For JSON; verdicts included."""
        told = asdict(self)
        for one, outcome in zip(told["sets"], self.sets, strict=True):
            for row, difference in zip(one["differences"], outcome.differences, strict=True):
                row["verdict"] = difference.verdict
        told["tally"] = {model: self.tally(model) for model in self.models[1:]}
        return told


def evaluate_sets(
    models: Mapping[str, Vectors],
    sets: Sequence[SimilaritySet | AnalogySet],
    *,
    method: Method = "3cosadd",
    first: int | None = None,
    lower: bool = True,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> VectorComparison:
    """Judge word vectors on sets of pairs and analogies, and say which differences are more than luck.

        evaluate_sets({"sgns": load_vectors("runs/sgns"), "glove": load_vectors("runs/glove")}, find_sets(["all"]))

    Args:
        models: Name -> vectors; the others are compared with the first.
        sets: From `vector_sets.find_sets` or `read_set`.
        method: How analogies are answered, as in `Vectors.analogy`.
        first: Ask analogies among the N words that come first alone, usually the most frequent ones.
        lower: Whether to look a missing word up in lower case too.
        n_resamples: R, for the intervals.
        seed: Of the resamples.
        settings: Model -> how it was made, for the report.
        progress: Told what is measured, before it is.

    Raises:
        ConfigError: If there is no model, `first` is below 1 or `n_resamples` below 1.
        DataError: If no set has a covered pair or question.
    """
    if not models or n_resamples < 1 or (first is not None and first < 1):
        raise ConfigError(
            f"{len(models)} models, n_resamples={n_resamples}, first={first}. Expected one model or more, and numbers of 1 or "
            "more. Change them."
        )
    asked = {name: vectors if first is None else vectors.first(first) for name, vectors in models.items()}
    outcomes: list[SetOutcome] = []
    done, total = 0, len(models) * len(sets)
    for one in sets:
        nearnesses: dict[str, Nearness] = {}
        answers: dict[str, Answers] = {}
        for name in models:
            if progress is not None:
                progress(name, one.name, done, total)
            done += 1
            if isinstance(one, SimilaritySet):
                nearnesses[name] = nearness(models[name], one, lower=lower)
            else:
                answers[name] = answer(asked[name], one, method=method, lower=lower)
        if isinstance(one, SimilaritySet):
            outcomes.append(_similarity_outcome(one, nearnesses, n_resamples, seed))
        else:
            outcomes.append(_analogy_outcome(one, answers, n_resamples, seed))
    if not any(one.is_covered for one in outcomes):
        counts = ", ".join(f"0 of {one.n:,} in {one.name}" for one in outcomes[:3])
        more = f" and {len(outcomes) - 3} sets more" if len(outcomes) > 3 else ""
        missing = next((words[0] for one in outcomes for words in one.missing.values() if words), "(none)")
        raise DataError(
            f"No pair and no analogy is covered by the vectors: {counts or 'no sets'}{more}; the first missing word is "
            f"{missing[:60]!r}. Expected sets in the language of the vectors. Give others with --sets, or train on more text."
        )
    return VectorComparison(tuple(models), tuple(outcomes), method, first, n_resamples, seed, settings or {})


def _common(found: Mapping[str, Nearness] | Mapping[str, Answers]) -> tuple[list[str], Int64[np.ndarray, " common"]]:
    """The models that are compared, and what all of them cover."""
    covered = {name: one.covered for name, one in found.items()}
    least = LEAST if any(len(one) >= LEAST for one in covered.values()) else 1
    enough = {name: one for name, one in covered.items() if len(one) >= least}
    return list(enough), reduce(np.intersect1d, enough.values()) if enough else np.zeros(0, np.int64)


def _similarity_outcome(
    similarity: SimilaritySet, found: Mapping[str, Nearness], n_resamples: int, seed: int
) -> SetOutcome:
    taking_part, common = _common(found)
    on_common = {name: found[name].cosines[np.isin(found[name].covered, common)] for name in taking_part}
    people = similarity.scores[common]
    sampled = dict(
        zip(
            taking_part,
            resampled_correlations(people, [on_common[name] for name in taking_part], n_resamples, seed),
            strict=True,
        )
    )
    scores = []
    for name, one in found.items():
        rated, n = similarity.scores[one.covered], len(one.covered)
        own = sampled.get(name)
        if own is None or n > len(common):
            own = resampled_correlations(rated, [one.cosines], n_resamples, seed)[0]
        scores.append(Score(name, spearman(rated, one.cosines), *interval(own, n), n, one.n_composed, one.n_lowered))
    values = {name: spearman(people, cosines) for name, cosines in on_common.items()}
    return SetOutcome(
        similarity.name,
        "similarity",
        len(similarity),
        tuple(scores),
        len(common),
        _differences(scores, values, sampled, len(common)),
        (),
        {name: tuple(one.missing) for name, one in found.items()},
    )


def _analogy_outcome(analogies: AnalogySet, found: Mapping[str, Answers], n_resamples: int, seed: int) -> SetOutcome:
    questions = Questions.of(analogies)
    taking_part, common = _common(found)
    on_common: dict[str, Bool[np.ndarray, " common"]] = {
        name: found[name].right[np.isin(found[name].covered, common)] for name in taking_part
    }
    together = resampled_accuracies(
        questions.only(common), [on_common[name] for name in taking_part], n_resamples, seed
    )
    own: dict[str, Resampled] = {}
    for place, name in enumerate(taking_part):
        one = found[name]
        own[name] = Resampled(together.right[place : place + 1], together.weight)
        if len(one.covered) > len(common):
            own[name] = resampled_accuracies(questions.only(one.covered), [one.right], n_resamples, seed)
    scores = []
    categories: list[list[Score]] = [[] for _ in analogies.categories]
    for name, one in found.items():
        of_all, everywhere = own.get(name), np.ones(len(one.covered), np.bool_)
        score = _accuracy(name, one, everywhere, questions, None if of_all is None else of_all.total()[0])
        scores.append(replace(score, n_lowered=one.n_lowered))
        for place, rows in enumerate(categories):
            here = questions.category[one.covered] == place
            sampled_here = None if of_all is None else of_all.of_category(place)[0]
            rows.append(_accuracy(name, one, here, questions, sampled_here))
    values = {name: float(right.mean()) if len(right) else float("nan") for name, right in on_common.items()}
    sampled = dict(zip(taking_part, together.total(), strict=True))
    return SetOutcome(
        analogies.name,
        "analogies",
        len(analogies),
        tuple(scores),
        len(common),
        _differences(scores, values, sampled, len(common)),
        tuple(
            Category(category, len(asked), tuple(rows))
            for (category, asked), rows in zip(analogies.categories.items(), categories, strict=True)
        ),
        {name: tuple(one.missing) for name, one in found.items()},
    )


def _accuracy(
    name: str,
    found: Answers,
    here: Bool[np.ndarray, " covered"],
    questions: Questions,
    sampled: Float64[np.ndarray, " resamples"] | None,
) -> Score:
    """Over some of the covered questions."""
    right, low, high = found.right[here], float("nan"), float("nan")
    if sampled is not None:
        low, high = accuracy_interval(questions.only(found.covered[here]), right, sampled)
    return Score(name, float(right.mean()) if len(right) else float("nan"), low, high, len(right))


def _differences(
    scores: Sequence[Score],
    values: Mapping[str, float],
    sampled: Mapping[str, Float64[np.ndarray, " resamples"]],
    n_common: int,
) -> tuple[VectorDifference, ...]:
    """Of each other model, less the first; NaN where one of the two covers too little."""
    first = scores[0].model
    others = [score.model for score in scores[1:] if score.n_covered] if scores[0].n_covered else []
    differences = []
    for name in others:
        value = low = high = float("nan")
        if name in values and first in values:
            value = values[name] - values[first]
            low, high = interval(sampled[name] - sampled[first], n_common)
        differences.append(VectorDifference(name, value, low, high))
    return tuple(differences)
