"""`malmoi vectors eval`: word vectors against people's judgement, side by side."""

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from malmoi.cli.console import emit, note, print_table
from malmoi.cli.options import Json
from malmoi.pages.language import Language, Teller

if TYPE_CHECKING:
    from malmoi.evaluation.vector_comparison import Score, SetOutcome, VectorComparison

SECONDS_BETWEEN = 1.0  # lines that tell how far it is, at least


def evaluate(
    *vectors: Annotated[
        str, Parameter(name="VECTORS", help="Runs or files of vectors; the others are compared with the first.")
    ],
    sets: Annotated[
        tuple[str, ...],
        Parameter(
            consume_multiple=True,
            negative=(),
            show_default="all",
            help="Files or folders of word pairs and analogies; all is $MALMOI_DATA/wordsim.",
        ),
    ] = ("all",),
    report: Annotated[str | None, Parameter(help="Write a page with everything side by side.")] = None,
    method: Annotated[
        Literal["3cosadd", "3cosmul"],
        Parameter(help="How analogies are answered: by adding or by multiplying cosines."),
    ] = "3cosadd",
    first: Annotated[
        int | None,
        Parameter(
            help="Ask analogies among the N first words alone, the most frequent ones.", show_default="all words"
        ),
    ] = None,
    seed: Annotated[int, Parameter(help="Of the resampling.")] = 0,
    language: Annotated[Language, Parameter(name="--lang", help="Language of the report and the table.")] = "en",
    json: Json = False,
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    from malmoi.api import load_vectors
    from malmoi.comparison.vectors.settings import settings_of
    from malmoi.errors import ConfigError
    from malmoi.evaluation.vector_comparison import evaluate_sets
    from malmoi.evaluation.vector_sets import distinct_names, find_sets

    if not vectors:
        raise ConfigError(
            "There are no vectors to evaluate. Expected a run or a file of vectors, or several. Type: malmoi vectors eval "
            "runs/NAME"
        )
    if seed < 0:
        raise ConfigError(f"The seed {seed} was given. Expected 0 or more. Choose another one.")
    if first is not None and first < 1:
        raise ConfigError(f"--first {first} was given. Expected 1 word or more. Give a larger number, or leave it out.")
    tell = Teller(language, "vector_comparison")
    found_sets = find_sets(sets, note)
    progress = _Progress(tell)
    models = {}
    for name, source in zip(distinct_names([Path(source) for source in vectors]), vectors, strict=True):
        note(tell("loading", name=name))
        models[name] = load_vectors(source, progress=progress.loading)
    settings = {name: settings_of(source, models[name]) for name, source in zip(models, vectors, strict=True)}
    found = evaluate_sets(
        models, found_sets, method=method, first=first, seed=seed, settings=settings, progress=progress.evaluating
    )
    if report is not None:
        from malmoi.comparison.vectors.report import write_report

        write_report(found, Path(report), language, command)
        note(report)
    if json:
        emit(found.to_dict())
        return
    print_vectors(found, tell)


class _Progress:
    """A line on standard error now and then."""

    def __init__(self, tell: Teller) -> None:
        self._tell, self._told_at = tell, time.monotonic()

    def loading(self, done: int, total: int) -> None:
        self._say(self._tell("loaded", share=done / max(total, 1)))

    def evaluating(self, model: str, name: str, done: int, total: int) -> None:
        self._say(self._tell("progress", share=done / total, model=model, set=name))

    def _say(self, line: str) -> None:
        now = time.monotonic()
        if now - self._told_at >= SECONDS_BETWEEN:
            self._told_at = now
            note(line)


def print_vectors(found: "VectorComparison", tell: Teller) -> None:
    """Every set and model, the categories of the analogies, and what can be said in the end."""
    columns = ["set", "model", "score", "interval", "covered"]
    columns += ["against", "verdict"] if len(found.models) > 1 else []
    rows = [_row(one, score, found, tell) for one in found.sets for score in one.scores]
    print_table([tell(f"column_{name}", model=found.models[0]) for name in columns], rows, left=(0, 1))
    for one in found.covered:
        if len(one.categories) > 1:
            print()
            cells = [
                [category.name, *(_of_category(score, category.n, tell) for score in category.scores)]
                for category in one.categories
            ]
            print_table([tell("column_category"), *found.models], cells, title=one.name)
    sys.stdout.flush()
    for line in remarks(found, tell):
        note(line)


def remarks(found: "VectorComparison", tell: Teller) -> list[str]:
    """What a reader has to know of the figures, a line each."""
    from malmoi.comparison.vectors.language import THIN, say_counts, say_setting
    from malmoi.comparison.vectors.settings import unfair

    lines = [
        tell("tally", model=model, first=found.models[0], counts=say_counts(tell, found, model))
        for model in found.models[1:]
    ]
    skipped = [one.name for one in found.sets if not one.is_covered]
    if skipped:
        lines.append(tell("skipped", sets=", ".join(skipped)))
    if any(score.n_composed for one in found.sets for score in one.scores):
        lines.append(tell("composed_note"))
    thin = [one.name for one in found.covered if max(score.n_covered for score in one.scores) < THIN * one.n]
    if thin:
        lines.append(tell("thin", sets=", ".join(thin)))
    if names := unfair(found.settings):
        lines.append(tell("unfair", settings=", ".join(say_setting(tell, name) for name in names)))
    return lines


def _row(one: "SetOutcome", score: "Score", found: "VectorComparison", tell: Teller) -> list[str]:
    from malmoi.comparison.vectors.language import say_covered, say_difference, say_interval, say_score

    covered = say_covered(tell, score, one.n)
    row = [one.name, score.model, say_score(one.kind, score.value), say_interval(one.kind, score), covered]
    if len(found.models) > 1:
        difference = one.difference(score.model)
        row += ("", "") if difference is None else say_difference(tell, one.kind, difference)
    return row


def _of_category(score: "Score", n: int, tell: Teller) -> str:
    from malmoi.comparison.vectors.language import say_covered, say_score

    told = say_score("analogies", score.value)
    return told if score.n_covered == n or math.isnan(score.value) else f"{told} ({say_covered(tell, score, n)})"
