"""Models side by side: the same text, the same clock, the same test bytes, one report.

    malmoi.compare("corpus.txt", ["ngram", "lstm", "ngram+lstm"], budget="10m").models[0].bits_per_byte

`ladder.py` asks the same machinery another question: what did each idea buy?
"""

import os
import platform
import re
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from malmoi.comparison import bootstrap
from malmoi.comparison.bootstrap import paired_bootstrap
from malmoi.comparison.comparison import Breakdown, Comparison, Contrast, Failure
from malmoi.comparison.contenders import Contender, check_options, read_contenders
from malmoi.comparison.ground import Ground
from malmoi.comparison.language import say_beginning
from malmoi.comparison.measuring import Bench
from malmoi.comparison.options import CompareOptions, takes
from malmoi.comparison.question import QUESTION, Question, differences
from malmoi.comparison.word_costs import FREQUENCIES, POSITIONS, Words, bucket_bits, buckets, line_words
from malmoi.errors import MalmoiError, RunError, TrainingError
from malmoi.files import write_bytes, write_error, write_json
from malmoi.pages.language import Teller
from malmoi.runs.folder import run_path
from malmoi.text.sources import TextSource
from malmoi.training.progress import Reporter

CONTRASTS, CONTRAST_WORDS = 3, 80  # lines shown for each side of a pair; words shown of a line
READABLE = 40  # words: longer lines, and blank ones, are shown only where there are no others
LEAST_GAIN = 1.0  # bits that a line which is shown saves at least
REPORT, FIGURES = "report.html", "comparison.json"


class ComparisonStopped(KeyboardInterrupt):
    """Ctrl-C. What was finished is in `comparison` and in its report; the same call goes on with the rest."""

    def __init__(self, message: str, comparison: Comparison | None) -> None:
        super().__init__(message)
        self.comparison = comparison


@takes(CompareOptions)
def compare(
    text: Any,
    rungs: Sequence[str | Path],
    *,
    reporter: Reporter | None = None,
    command: str = "",
    **options: Any,
) -> Comparison:
    """Train several rungs on one text, measure all of them on the same held-out part of it, and write a report.

    Args:
        text: Files, folders, globs, or a TextSource.
        rungs: Who takes part; `malmoi.comparison.contenders` says how they are named.
        reporter: Told what happens; a silent one by default.
        command: What was typed, for the model cards.
        options: Fields of the rungs' configs and training settings; each goes to the rungs that have it.

    Raises:
        MalmoiError: If the question cannot be asked, or no contender could be measured.
        ComparisonStopped: After Ctrl-C, with what was finished.
    """
    contenders = read_contenders(rungs)
    asked, of_rungs = CompareOptions.divide(options)
    check_options(contenders, of_rungs, CompareOptions.model_fields)
    bench, report = open_bench(text, asked, of_rungs, "compare", reporter, command)
    failures, stopped = take_all(bench, contenders, lambda contender: asked.seconds)
    return conclude(bench, contenders, failures, stopped, report)


def open_bench(
    text: Any, asked: CompareOptions, of_rungs: Mapping[str, Any], verb: str, reporter: Reporter | None, command: str
) -> tuple[Bench, Path]:
    """The bench, prepared, and where the report will go; what cannot be written is refused before any work is done."""
    source, valid, test = (_read(given, asked) for given in (text, asked.valid, asked.test))
    assert source is not None
    question = Question(
        source,
        valid,
        test,
        budget=asked.seconds,
        steps=asked.steps,
        tokenizer=asked.tokenizer,
        tokenizer_from=None if asked.tokenizer_from is None else _tokenizer_folder(Path(asked.tokenizer_from)),
        vocab_size=asked.vocab_size,
        seed=asked.seed,
        prompt=asked.prompt,
        device=asked.device,
        verb=verb,
        options=of_rungs,
        measures_memory=asked.measures_memory,
        command=command,
    )
    if asked.report is not None:
        check_report(Path(asked.report))
    folder = Path(asked.out) if asked.out is not None else _default_folder(question, text)
    ground = Ground(question, folder, reporter or Reporter(), Teller(asked.lang, "comparison"))
    report = Path(asked.report) if asked.report is not None else folder / REPORT
    check_report(report)
    ground.prepare()
    return Bench(ground), report


def _read(given: Any, asked: CompareOptions) -> TextSource | None:
    if given is None or isinstance(given, TextSource):
        return given
    return TextSource(given, field=asked.field, encoding=asked.encoding, unit=asked.unit)


def _tokenizer_folder(given: Path) -> str:
    """The folder of a run, or of a tokenizer alone.

    Raises:
        RunError: If it holds no tokenizer.
    """
    return str(given) if (given / "tokenizer.json").is_file() else str(run_path(given))


def check_report(path: Path) -> None:
    """Raises RunError if a report could not be written there."""
    if path.is_dir():
        raise RunError(
            f"{path} is a folder. Expected a file for the report, as {path / REPORT}. Name one with --report."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "it may not be overwritten")
    except OSError as error:
        raise write_error(error, path, "name another place with --report") from None


def take_all(
    bench: Bench, contenders: Sequence[Contender], seconds_for: Callable[[Contender], float | None]
) -> tuple[list[Failure], bool]:
    """Take each contender in turn; (those that failed, whether Ctrl-C ended it). No failure stops the others."""
    ground, failures = bench.ground, list[Failure]()
    for number, contender in enumerate(contenders, start=1):
        label = f"[{number}/{len(contenders)}] {contender.name}"
        try:
            if (known := bench.recall(contender)) is not None:
                ground.reporter.stage(ground.tell("known", model=label, bits=known.bits_per_byte))
                continue
            seconds = seconds_for(contender)
            ground.reporter.stage(say_beginning(ground.tell, label, contender, seconds, ground.question.steps))
            measured = bench.take(contender, seconds)
            ground.reporter.stage(ground.tell("measured", model=label, bits=measured.bits_per_byte))
        except KeyboardInterrupt:
            return failures, True
        except (SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic inside a library is no Exception
            failures.append(Failure(contender.name, _reason(error)))
            with suppress(MalmoiError):  # the reason is told in any case
                write_bytes(ground.folder / "errors" / f"{contender.folder_name}.txt", traceback.format_exc().encode())
            ground.reporter.stage(ground.tell("failed", model=label, reason=failures[-1].reason))
    return failures, False


def conclude(
    bench: Bench,
    contenders: Sequence[Contender],
    failures: Sequence[Failure],
    stopped: bool,
    report: Path,
    extend: Callable[[Comparison], Comparison] | None = None,
) -> Comparison:
    """Compare what was measured and write the report.

    Args:
        extend: Adds to the result before it is written.

    Raises:
        TrainingError: If nothing was measured.
        ComparisonStopped: If it was stopped.
    """
    ground, tell = bench.ground, bench.ground.tell
    if not bench.measured:
        if stopped:
            raise ComparisonStopped(tell("stopped_empty"), None)
        reasons = " ".join(f"{failure.name}: {failure.reason}" for failure in failures)
        raise TrainingError(f"None of the rungs could be measured, so there is nothing to compare. {reasons}")
    ground.reporter.stage(tell("comparing"))
    found = summarise(bench, contenders, failures, report)
    if extend is not None:
        found = extend(found)
    from malmoi.comparison.report import render

    write_bytes(report, render(found, tell).encode(), advice="name another place with --report")
    write_json(ground.folder / FIGURES, _finite(found.to_dict()))
    if stopped:
        names = ", ".join(model.name for model in found.models)
        raise ComparisonStopped(tell("stopped", models=names, report=report), found)
    return found


def summarise(bench: Bench, contenders: Sequence[Contender], failures: Sequence[Failure], report: Path) -> Comparison:
    """The result, from what the bench has measured; contenders that were not reached are left out."""
    ground, words, question = bench.ground, bench.ground.words, bench.ground.question
    models = [bench.measured[contender.name] for contender in contenders if contender.name in bench.measured]
    nats = {model.name: bench.nats[model.name] for model in models}
    paid = {model.name: nats[model.name] if model.evaluation.is_distribution else None for model in models}
    starts, drawn = bootstrap.block_starts(words.n_lines, words.document_starts, ground.parts.stretches)
    line_nats = np.stack([words.line_sums(nats[model.name]) for model in models], axis=1)  # (lines, models)
    line_bytes = words.line_sums(words.n_bytes.astype(np.float64)).astype(np.int64)
    found = paired_bootstrap(
        np.add.reduceat(line_nats, starts),
        np.add.reduceat(line_bytes, starts),
        left_out=[i for i, model in enumerate(models) if not model.is_judged],
        are_neighbours=drawn == "blocks",
        seed=question.seed,
    )
    return Comparison(
        text=question.text.describe(),
        folder=ground.folder,
        report=report,
        verb=question.verb,
        command=question.command,
        seed=question.seed,
        budget=question.budget,
        sizes=ground.parts.sizes,
        overlap=ground.overlap,
        models=tuple(models),
        failures=tuple(failures),
        differences=tuple(found),
        n_blocks=len(starts),
        drawn=drawn,
        by_frequency=break_down(words, paid, FREQUENCIES, "frequency"),
        by_position=break_down(words, paid, POSITIONS, "position"),
        contrasts=find_contrasts(
            bench,
            {
                model.name: line_nats[:, i] if model.evaluation.is_distribution else np.full(words.n_lines, np.nan)
                for i, model in enumerate(models)
            },
        ),
        prompt=ground.prompt,
        goes_on=ground.goes_on,
        machine=_machine(),
    )


def break_down(words: Words, nats: Mapping[str, np.ndarray | None], starts: Sequence[int], key: str) -> Breakdown:
    """Bits per byte by the frequency of words, or by their position."""
    number, found = buckets(words, starts, key)
    none: tuple[float | None, ...] = (None,) * len(found)  # of scores that are no probabilities
    bits = {
        name: none if values is None else tuple(bucket_bits(number, found, values)) for name, values in nats.items()
    }
    return Breakdown(tuple(found), bits)


def find_contrasts(bench: Bench, line_nats: Mapping[str, np.ndarray]) -> dict[tuple[str, str], tuple[Contrast, ...]]:
    """For each pair of models and either order, the lines where the first one saves most bits."""
    wanted = dict[tuple[str, str], list[int]]()
    n_words = np.bincount(bench.ground.words.line) - 1  # without the line end
    is_readable = (n_words >= 1) & (n_words <= READABLE)
    for one, other in combinations(line_nats, 2):
        for better, worse in ((one, other), (other, one)):
            with np.errstate(invalid="ignore"):
                gains = np.nan_to_num(line_nats[worse] - line_nats[better], nan=0.0) / np.log(2)
            if (gains[is_readable] >= LEAST_GAIN).any():
                gains = np.where(is_readable, gains, 0.0)
            order = np.argsort(-gains, kind="stable")[: 4 * CONTRASTS]
            wanted[better, worse] = [int(line) for line in order if gains[line] >= LEAST_GAIN]
    texts = _lines(bench.ground, {line for lines in wanted.values() for line in lines})
    found = {}
    for (better, worse), lines in wanted.items():
        distinct = {texts[line]: line for line in reversed(lines)}  # a line that stands there twice is shown once
        chosen = [line for line in lines if distinct[texts[line]] == line][:CONTRASTS]
        found[better, worse] = tuple(contrast(bench, texts[line], line, better, worse) for line in chosen)
    return found


def contrast(bench: Bench, text: str, line: int, first: str, second: str) -> Contrast:
    """One line, word by word, under two models."""
    begin, end = np.searchsorted(bench.ground.words.line, (line, line + 1))
    costs = [bench.nats[name][begin:end] / np.log(2) for name in (first, second)]
    rows = list(zip(line_words(text), *(cost.tolist() for cost in costs), strict=True))
    totals = float(costs[0].sum()), float(costs[1].sum())
    return Contrast(line, totals, tuple(rows[:CONTRAST_WORDS]), len(rows) > CONTRAST_WORDS)


def _lines(ground: Ground, wanted: set[int]) -> dict[int, str]:
    lines = ground.parts.source("test").lines()
    return {number: line.text for number, line in enumerate(lines) if number in wanted}


def _default_folder(question: Question, text: Any) -> Path:
    """runs/VERB-TEXT, or the first numbered one that is free or answers this very question."""
    first = text if isinstance(text, (str, Path)) else next(iter(text), "") if isinstance(text, Sequence) else ""
    stem = re.sub(r"[^a-z0-9._-]+", "-", Path(str(first)).name.lower().split(".")[0]).strip("-._") or "text"
    identity = question.identity()
    for candidate in _numbered(f"{question.verb}-{stem}"[:56]):
        if not candidate.exists() or ((candidate / QUESTION).is_file() and not differences(candidate, identity)):
            return candidate
    raise AssertionError


def _numbered(name: str) -> Iterator[Path]:
    number = 1
    while True:
        yield Path("runs") / (name if number == 1 else f"{name}-{number}")
        number += 1


def _reason(error: BaseException) -> str:
    """Why a contender failed, in one line."""
    told = " ".join(str(error).split())
    if isinstance(error, MalmoiError) and told:
        return told
    if isinstance(error, MemoryError):
        return f"memory ran out{f' ({told})' if told else ''}"
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} × {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
