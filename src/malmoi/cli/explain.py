"""`malmoi explain`: why a token got its probability, step by step, and what every word of the text cost."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from malmoi.cli.console import emit, note, print_facts, print_table
from malmoi.cli.options import Device, Json, RunName
from malmoi.pages.language import Language, Teller
from malmoi.text.printable import printable_text

if TYPE_CHECKING:
    from malmoi.explain.explanation import Explanation, Numbers, Unit

SHOWN = 6  # numbers of an array, from its beginning
ROWS = 5  # of a matrix
LARGEST = 3  # entries of a long array with labels
BAR_WIDTH = 24  # characters, for a probability of 1
AROUND = 40  # units of a long text that are shown, the explained token among them
MOST_BITS = 16.0  # of the strongest colour


def explain(
    run: RunName,
    text: Annotated[str, Parameter(name="TEXT", help="The text; left out, the start of a line.")] = "",
    /,
    *,
    step: Annotated[
        str, Parameter(help="Which token: its number from 1, last, or next for the likeliest one after the text.")
    ] = "last",
    train_step: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Also show what a training step on that token does.")
    ] = False,
    learning_rate: Annotated[
        float | None, Parameter(help="Of that training step: 0.1, and in a run of word2vec its own, if left out.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of the window and the wrong words that word2vec draws.")] = 0,
    html: Annotated[str | None, Parameter(help="Write a page with every number drawn.")] = None,
    csv: Annotated[str | None, Parameter(help="Write what each token, word and morpheme cost.")] = None,
    arrays: Annotated[str | None, Parameter(help="Write every array whole, as safetensors.")] = None,
    language: Annotated[Language, Parameter(name="--lang", help="Language of the explanation.")] = "en",
    device: Device = "cpu",
    json: Json = False,
) -> None:
    from malmoi.api import load
    from malmoi.explain.output import to_dict, write_all_arrays, write_csv

    found = load(run, device).explain(
        text, step=step, train_step=train_step, learning_rate=learning_rate, seed=seed, language=language
    )
    if html is not None:
        from malmoi.explain.page import write_page

        write_page(found, Path(html))
    if csv is not None:
        write_csv(found.surprisals, Path(csv))
    if arrays is not None:
        write_all_arrays(found, Path(arrays))
    for path in filter(None, (html, csv, arrays)):
        note(path)
    if json:
        emit(to_dict(found))
        return
    print_explanation(found)


def print_explanation(found: "Explanation") -> None:
    """The text with what it cost, the likeliest tokens, the steps, and whether the engines agree."""
    tell = Teller(found.language, "explanation")
    nats = -math.log(found.probability) if found.probability > 0 else math.inf
    between, rows = "_between" * (found.among == "neighbours"), "_rows" * (found.compares == "rows")
    letter = "P" if found.is_distribution else "σ(s)"
    facts = [(tell(f"cli_target{between}"), f"{found.place + 1}: {found.target}"), (letter, f"{found.probability:.6g}")]
    if found.is_distribution:
        facts += [("−ln P", f"{nats:.4f}"), (tell("cli_bits"), f"{nats / math.log(2):.4f}")]
    print_facts(facts, title=f"{found.run} · {found.family}")
    for kind, units in found.surprisals.items():
        _print_units(tell(f"cli_{kind}"), units, found.place if kind == "token" else -1, tell("cli_bits"))
    bars = [(token, f"{p:.6f}", "█" * round(BAR_WIDTH * p)) for token, p in found.likeliest]
    title = tell(f"cli_likeliest{between}")
    print_table((tell(f"cli_target{between}"), letter, ""), bars, title=f"\n{title}", left=(0, 2))
    part = ""
    for number, step in enumerate(found.steps, start=1):
        if step.part != part:
            part = step.part
            print(f"\n{tell(f'cli_part_{part}')}")
        print(f"\n{number}. {step.title}\n   {step.formula}" + f"    {step.shapes}" * bool(step.shapes))
        print(f"   {step.sentence}")
        for numbers in step.numbers:
            print("\n".join(f"     {line}" for line in abbreviated(numbers)))
    print()
    for engine, difference in found.agreement.items():
        print(tell(f"cli_agreement{rows}", engine=engine, difference=f"{difference:.2g}"))
    for remark in found.notes:
        print(remark)
    sys.stdout.flush()


def abbreviated(numbers: "Numbers") -> list[str]:
    """An array in a few lines: its first numbers or rows, and the largest where they have names."""
    values, shape = numbers.values, f"({', '.join(map(str, numbers.values.shape))})"
    if values.ndim == 0:
        return [f"{numbers.name} = {_short(values)}"]
    head = f"{numbers.name} {shape}"
    labels = numbers.labels.get(0)
    if values.ndim == 1:
        if labels is None:
            return [f"{head} = [{_row(values)}]"]
        if len(values) <= SHOWN:
            shown: Sequence[int] = range(len(values))
        else:
            shown = np.argsort(-np.abs(values), kind="stable")[:LARGEST].tolist() if numbers.axes == ("token",) else []
            shown = shown or range(len(values) - SHOWN, len(values))
        return [f"{head}: " + ", ".join(f"{labels[i]} {_short(values[i])}" for i in shown)]
    skipped = max(0, len(values) - ROWS)
    rows = [f"{labels[i] if labels else i}: [{_row(values[i])}]" for i in range(skipped, len(values))]
    return [head, *(["  …"] if skipped else []), *(f"  {row}" for row in rows)]


def _row(values: np.ndarray) -> str:
    return ", ".join(_short(value) for value in values.ravel()[:SHOWN]) + (", …" if values.size > SHOWN else "")


def _short(value: object) -> str:
    number = np.asarray(value)
    return str(int(number)) if number.dtype.kind in "iu" else f"{float(number):.4g}"


def _print_units(title: str, units: Sequence["Unit"], place: int, bits: str) -> None:
    """A heat strip on a terminal, a table elsewhere; of a long text what stands around the explained token."""
    last = min(len(units), (place if place >= 0 else len(units)) + AROUND // 2)
    first = max(0, last - AROUND)
    shown = list(enumerate(units))[first:last]
    if not shown:
        return
    if not sys.stdout.isatty():
        rows = [(str(i + 1), _visible(unit), f"{unit.nats / math.log(2):.4f}") for i, unit in shown]
        print_table(("", title, bits), rows, title="", left=(1,))
        return
    from rich.console import Console
    from rich.text import Text

    strip = Text(f"{title:12}")
    strip.append("… " * (first > 0))
    for i, unit in shown:
        share = min(unit.nats / math.log(2) / MOST_BITS, 1.0)
        red, other = 255, round(235 * (1 - share))
        style = f"black on rgb({red},{other},{other})" + " underline bold" * (i == place)
        strip.append(printable_text(unit.text).replace("\n", "⏎\n") or unit.name, style)
    Console(highlight=False).print(strip)


def _visible(unit: "Unit") -> str:
    return unit.name or unit.text.strip() or unit.text.replace("\n", "⏎").replace(" ", "␣")
