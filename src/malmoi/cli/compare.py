"""`malmoi compare` and `malmoi ladder`: models side by side, and what each idea bought."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from malmoi.cli.console import ConsoleReporter, duration, emit, note, number, print_table, size
from malmoi.cli.flags import flags_of, given, taking
from malmoi.cli.options import Json
from malmoi.comparison.bootstrap import FEWEST
from malmoi.comparison.language import gain_of, say_overlap, say_read_before, say_scores, why_not_judged
from malmoi.comparison.options import CompareOptions, LadderOptions
from malmoi.pages.language import Language, Teller
from malmoi.training.progress import StepReport

if TYPE_CHECKING:
    from malmoi.comparison.comparison import Comparison, Step

LONGEST = 160  # characters shown of a line
TEXT = Parameter(name="TEXT", help="Files, folders, globs, or - for standard input.")
RUNGS = Parameter(
    help="Who takes part, with commas between: uniform, unigram, rungs, rung:tokenizer, runs/NAME, ngram+lstm."
)
NO_FLAG = {"measure_memory"}  # of use to Python alone


@taking(flags_of(CompareOptions, without=NO_FLAG), before="json")
def compare(
    *text: Annotated[str, TEXT],
    rungs: Annotated[str, RUNGS],
    json: Json = False,
    command: Annotated[str, Parameter(parse=False)],
    **options: Any,
) -> None:
    from malmoi.comparison.compare import compare as run

    typed = given(options)
    lang = CompareOptions.parse(typed).lang
    with SeveralRuns(lang) as reporter:
        found = run(list(text), rungs.split(","), reporter=reporter, command=command, **typed)
    if json:
        emit(found.to_dict())
        return
    print_comparison(found, Teller(lang, "comparison"))


@taking(flags_of(LadderOptions, without=NO_FLAG), before="json")
def ladder(
    *text: Annotated[str, TEXT],
    json: Json = False,
    started: Annotated[float, Parameter(parse=False)],
    command: Annotated[str, Parameter(parse=False)],
    **options: Any,
) -> None:
    from malmoi.comparison.ladder import ladder as climb

    typed = given(options)
    lang = LadderOptions.parse(typed).lang
    with SeveralRuns(lang) as reporter:
        found = climb(list(text), reporter=reporter, command=command, started=started, **typed)
    if json:
        emit(found.to_dict())
        return
    print_ladder(found, Teller(lang, "comparison"))


class SeveralRuns(ConsoleReporter):
    """The display of training, for one run after another."""

    def __init__(self, lang: Language) -> None:
        self._language = lang
        super().__init__(lang)

    def trained(self, report: StepReport) -> None:
        if self.latest is None:
            self._began = time.monotonic()
        super().trained(report)

    def finished(self) -> None:
        super().finished()
        ConsoleReporter.__init__(self, self._language)  # the next run begins anew


def print_comparison(found: "Comparison", tell: Teller) -> None:
    """The figures of all models, which differences are real, and where the report is."""
    columns = ["model", "bits_per_byte", "perplexity", "train", "disk", "memory", "latency"]
    rows = [
        [
            model.name,
            number(model.bits_per_byte, 4),
            number(model.evaluation.perplexity),
            duration_of(model.train_seconds),
            size(model.disk_bytes),
            "–" if model.memory_bytes is None else size(model.memory_bytes),
            f"{model.ms_per_token:.3f}",
        ]
        for model in found.models
    ]
    print_table([tell(name) for name in columns], rows)
    _print_end(found, tell)


def print_ladder(found: "Comparison", tell: Teller, title: str = "") -> None:
    """What each rung bought, a line where it helped most, and where the report is."""
    rows = []
    for step, model in zip(found.steps, found.models, strict=True):
        figures = [number(model.bits_per_byte, 2), duration_of(model.train_seconds), size(model.disk_bytes)]
        told = bought(step, model.family, tell)
        if not model.is_judged:
            told = tell(why_not_judged(model))
        rows.append([model.name, *figures, f"{model.ms_per_token:.2f}", told])
    columns = ["model", "bits_per_byte", "train", "disk", "latency", "bought"]
    print_table([tell(name) for name in columns], rows, title=title, left=(0, 5))
    for step in found.steps:
        if step.example is not None and step.before is not None and step.gain is not None and step.gain > 0:
            line = "".join(word for word, _, _ in step.example.words)
            line = f"{line[:LONGEST]} …" if len(line) > LONGEST or step.example.is_cut else line
            better, worse = step.example.bits
            cost = tell("line_cost", better=better, worse=worse)
            note(f"{step.name}: {cost}\n    {line}")
    _print_end(found, tell)


def bought(step: "Step", family: str, tell: Teller) -> str:
    """One cell: bits saved against the rung before, and by what."""
    if step.before is None or step.gain is None:
        return tell("first_step")
    if step.verdict != "real":
        key = "untested" if step.verdict is None else "same" if step.verdict == "luck" else "hardly"
        return tell(key, change=-step.gain, model=step.before)
    return (
        tell("saves", gain=step.gain, idea=gain_of(tell, family))
        if step.gain > 0
        else tell("costs", loss=-step.gain, model=step.before)
    )


def duration_of(seconds: float) -> str:
    """Below ten seconds, tenths matter."""
    return f"{seconds:.1f} s" if 0 < seconds < 9.95 else duration(seconds)


def _print_end(found: "Comparison", tell: Teller) -> None:
    note(significance(found, tell))
    if untrained := [model.name for model in found.models if model.hardly_trained]:
        note(tell("hardly_trained_models", models=", ".join(untrained)))
    for told in [*say_scores(tell, found.models), *say_read_before(tell, found.models)]:
        note(told)
    note(say_overlap(tell, found.overlap))
    for failure in found.failures:
        note(tell("failed", model=failure.name, reason=failure.reason))
    note(f"{tell('report')}: {found.report}")


def significance(found: "Comparison", tell: Teller) -> str:
    """Which differences are real, in one line."""
    if not found.differences:
        if len(found.models) < 2:
            return ""
        return tell("too_few", least=FEWEST) if found.n_blocks < FEWEST else tell("nothing_to_compare")
    names: Sequence[str] = [model.name for model in found.models]

    def pairs(verdict: str, with_p: bool) -> str:
        several = [d for d in found.differences if d.verdict == verdict]
        return ", ".join(
            f"{names[d.first]} – {names[d.second]}" + (f" (p = {d.p_adjusted:.2g})" if with_p else "") for d in several
        )

    told = [tell("maybe_luck", pairs=luck)] if (luck := pairs("luck", True)) else []
    told += [tell("too_small", pairs=small)] if (small := pairs("negligible", False)) else []
    if real := [d.p_adjusted for d in found.differences if d.verdict == "real"]:
        told.append(tell("others_real" if told else "all_real", p=max(real)))
    return " ".join(told)
