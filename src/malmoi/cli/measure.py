"""`malmoi eval` and `score`: how well a model predicts a text."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from malmoi.cli.console import emit, note, number, print_table
from malmoi.cli.options import Device, Encoding, Engine, Json, RunName, TextField, TextUnit
from malmoi.errors import ConfigError

if TYPE_CHECKING:
    from malmoi.evaluation.mixing import Outcome
    from malmoi.evaluation.perplexity import Evaluation
    from malmoi.evaluation.rescoring import NBest, RescoredNBest

EXPLANATION = (
    "perplexity: per token of the model's own vocabulary; compare it between runs of one tokenizer only.\n"
    "bits per byte: for every byte of the text, unknown words and white space paid for; compare it between any two models."
)


def evaluate(
    *words: Annotated[str, Parameter(name="RUN... TEXT", help="One or more runs, and last the text to read.")],
    streams: Annotated[
        int, Parameter(help="Read the text as so many parts side by side: faster; 1 is the literature's convention.")
    ] = 1,
    interpolate: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Also evaluate the mixture of all runs.")
    ] = False,
    cache: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Also evaluate each run with a cache of the text read so far."),
    ] = False,
    tune: Annotated[
        str | None, Parameter(help="A text on which the weights of mixture and caches are tuned, as valid.txt.")
    ] = None,
    weights: Annotated[
        str | None, Parameter(help="The weights of the runs in a mixture that is not tuned, as 0.4,0.6.")
    ] = None,
    buckets: Annotated[
        int, Parameter(help="With --tune: so many sets of weights, by how frequent the last token is.")
    ] = 1,
    field: TextField = None,
    encoding: Encoding = "utf-8",
    unit: TextUnit = "lines",
    device: Device = "cpu",
    engine: Engine = "auto",
    json: Json = False,
) -> None:
    if len(words) < 2:
        raise ConfigError(
            f"malmoi eval was given {' '.join(words) or 'nothing'}. Expected a run and a text: malmoi eval RUN... TEXT"
        )
    given = None if weights is None else _weights(weights)
    from malmoi.api import load
    from malmoi.evaluation.mixing import Member, evaluate_together
    from malmoi.text.sources import TextSource

    *names, text = words
    runs = [load(name, device, engine) for name in names]
    source = TextSource(text, field=field, encoding=encoding, unit=unit)
    tuning = None if tune is None else TextSource(tune, field=field, encoding=encoding, unit=unit)
    found = evaluate_together(
        [Member(str(run.folder), run.model, run.tokenizer) for run in runs],
        source,
        interpolate=interpolate,
        tune=tuning,
        weights=given,
        n_buckets=buckets,
        cache=cache,
        streams=streams,
        watch=_counter,
    )
    for remark in [*source.notes, *found.notes]:
        note(remark)
    if json:
        families = [run.config.family for run in runs] * (1 + cache)
        reports = [
            {"run": str(run.folder), "family": family, "text": text, **_report(outcome)}
            for run, family, outcome in zip(runs * (1 + cache), families, found.models, strict=True)
        ]
        if len(reports) == 1:
            emit(reports[0])
            return
        mixtures = [{"text": text, "tuned_on": tune, **_report(outcome)} for outcome in found.mixtures]
        emit({"runs": reports, **({"mixtures": mixtures} if mixtures else {})})
        return
    outcomes = [*found.models, *found.mixtures]
    _print_evaluations([_heading(outcome) for outcome in outcomes], [outcome.evaluation for outcome in outcomes])
    for outcome in found.mixtures:
        _tell_weights(outcome, [str(run.folder) for run in runs])
    note(EXPLANATION)
    if len({run.tokenizer.fingerprint() for run in runs}) > 1 and not interpolate:
        note("These runs have different tokenizers: their perplexities do not compare, their bits per byte do.")


def _weights(given: str) -> list[float]:
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise ConfigError(
            f"--weights {given} cannot be read. Numbers with commas between them were expected, one for each run: 0.4,0.6"
        ) from None


def _report(outcome: "Outcome") -> dict[str, Any]:
    """What --json says of a model or a mixture."""
    report: dict[str, Any] = {**outcome.evaluation.to_dict(), "sees_test_text": outcome.uses_cache}
    if outcome.cache:
        report["cache"] = list(outcome.cache)
    if outcome.weights is not None:
        report |= {"mixed_by": outcome.unit, "weights": outcome.weights.tolist()}
    return report


def _heading(outcome: "Outcome") -> str:
    mixture = " + cache" if outcome.uses_cache and outcome.weights is not None else ""
    return f"{outcome.name}{mixture}" + (" (uses test text already seen)" if outcome.uses_cache else "")


def _tell_weights(outcome: "Outcome", names: list[str]) -> None:
    assert outcome.weights is not None
    for bucket, row in enumerate(outcome.weights, start=1):
        which = f", bucket {bucket} of {len(outcome.weights)}, rare to frequent" if len(outcome.weights) > 1 else ""
        told = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, row, strict=True))
        note(f"weights of the {_heading(outcome).split(' (')[0]}{which}: {told}")


def _print_evaluations(names: list[str], results: "list[Evaluation]") -> None:
    figures: tuple[tuple[str, Callable[[Evaluation], str]], ...] = (
        ("bits per byte", lambda e: number(e.bits_per_byte, 4)),
        ("bits per character", lambda e: number(e.bits_per_character, 4)),
        ("perplexity", lambda e: number(e.perplexity)),
        ("word perplexity", lambda e: number(e.word_perplexity)),
        ("unknown tokens", lambda e: f"{e.unk_share:.2%}"),
        ("tokens", lambda e: f"{e.tokens:,}"),
        ("words", lambda e: f"{e.words:,}"),
        ("lines", lambda e: f"{e.lines:,}"),
        ("bytes", lambda e: f"{e.bytes:,}"),
        ("nll in nats", lambda e: number(e.nll_nats, 1)),
        ("seconds", lambda e: number(e.seconds, 1)),
    )
    print_table(["", *names], [[name, *map(shown, results)] for name, shown in figures])


@contextmanager
def _counter(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def score(
    run: RunName,
    file: Annotated[str, Parameter(name="FILE", help="Lines of text, or n-best lists; - for standard input.")],
    /,
    *,
    rescore: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="FILE holds n-best lists; write each of them best first."),
    ] = False,
    lm_weight: Annotated[float, Parameter(help="With --rescore: combined = score + lm_weight * ln P + ...")] = 1.0,
    word_bonus: Annotated[float, Parameter(help="With --rescore: ... + word_bonus * words.")] = 0.0,
    field: TextField = None,
    encoding: Encoding = "utf-8",
    device: Device = "cpu",
    engine: Engine = "auto",
    json: Json = False,
) -> None:
    from malmoi.api import load

    model = load(run, device, engine)
    if rescore:
        from malmoi.evaluation.rescoring import rescore as reorder

        is_json, lines = _read_nbest(file)
        lists = reorder(model.model, model.tokenizer, lines, lm_weight=lm_weight, word_bonus=word_bonus)
        _print_rescored(str(model.folder), lists, is_json, json)
        return
    from malmoi.text.sources import TextSource

    source = TextSource(file, field=field, encoding=encoding)
    log_probs = model.score(line.text for line in source.lines())
    if json:
        emit({"run": str(model.folder), "unit": "nats", "log_probs": list(log_probs)})
        return
    for log_prob in log_probs:
        print(f"{log_prob:.6f}")


def _read_nbest(file: str) -> "tuple[bool, Iterable[NBest]]":
    """Whether the lists are JSON lines, and the lists."""
    from malmoi.evaluation.rescoring import parse_nbest, read_nbest

    if file == "-":
        head = _head(sys.stdin.buffer)
        return _is_json(head), parse_nbest(chain(head, sys.stdin.buffer), "standard input")
    head = []
    with suppress(OSError), Path(file).open("rb") as lines:  # read_nbest says what is wrong
        head = _head(lines)
    return _is_json(head), read_nbest(file)


def _head(lines: Iterable[bytes]) -> list[bytes]:
    """The lines up to the first that is not blank."""
    head: list[bytes] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    return head


def _is_json(head: list[bytes]) -> bool:
    return bool(head) and head[-1].removeprefix(b"\xef\xbb\xbf").startswith(b"{")


def _print_rescored(run: str, lists: "Iterable[RescoredNBest]", is_json: bool, json: bool) -> None:
    from dataclasses import asdict

    if json:
        rows = [{"id": nbest.key, "hypotheses": [asdict(row) for row in nbest.hypotheses]} for nbest in lists]
        emit({"run": run, "lists": rows})
        return
    for nbest in lists:
        print(nbest.to_json() if is_json else nbest.to_tsv())
