"""`malmoi next`, `generate` and `complete`: a trained model at work."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from malmoi.cli.console import emit, note, print_table
from malmoi.cli.options import Device, Engine, Json, RunName
from malmoi.text.printable import printable, printable_text

if TYPE_CHECKING:
    from malmoi.api import Run

BAR_WIDTH = 24  # characters, for a probability of 1
FOR_ONE_ANSWER = {  # what libraries that are not imported yet would do for longer than the answer takes to be found
    "OPENBLAS_THREAD_TIMEOUT": "4",  # NumPy's threads go round and round for their next product: let them sleep at once
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # looked for in every package that is installed
}


def next_words(
    run: RunName,
    context: Annotated[str, Parameter(name="CONTEXT", help="The text before; left out, the start of a line.")] = "",
    /,
    *,
    k: Annotated[int, Parameter(name=("-k", "--k"), help="How many words.")] = 10,
    tokens: Annotated[bool, Parameter(negative=(), show_default=False, help="Tokens instead of whole words.")] = False,
    device: Device = "cpu",
    engine: Engine = "auto",
    json: Json = False,
) -> None:
    for name, value in FOR_ONE_ANSWER.items():
        os.environ.setdefault(name, value)
    with _read_ahead(run):
        from malmoi.api import load

        model = load(run, device, engine)
        warn_unknown(model, context)
    rows = model.next(context, k, whole_words=not tokens)
    if json:
        emit({"run": str(model.folder), "context": context, "next": [row._asdict() for row in rows]})
        return
    print_next_words([(row.text, row.probability) for row in rows], "token" if tokens else "word", "probability")


def _read_ahead(run: str) -> AbstractContextManager[None]:
    """Have the weights checked while the rest of malmoi is imported: each takes about as long as the other."""
    for folder in (Path(run), Path("runs", run)):  # as `run_path` looks for it, which tells what is wrong with it
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            from malmoi.arrays import mapping_ahead

            return mapping_ahead(folder / "model.safetensors")
    return nullcontext()


def print_next_words(rows: list[tuple[str, float]], *columns: str, title: str = "") -> None:
    """A table of words and probabilities; with a bar each on a terminal."""
    if not sys.stdout.isatty():
        print_table(columns, [(text, f"{probability:.6f}") for text, probability in rows], title=title)
        return
    cells = [(text, f"{probability:.2%}", "█" * round(BAR_WIDTH * probability) or "▏") for text, probability in rows]
    print_table([*columns, ""], cells, title=title, left=(0, 2))


def generate(
    run: RunName,
    /,
    *,
    prompt: Annotated[str, Parameter(help="The text to continue; left out, a new line begins.")] = "",
    max_tokens: Annotated[int, Parameter(help="Most tokens to add.")] = 100,
    temperature: Annotated[float, Parameter(help="Below 1 the likely becomes likelier; 0 takes the likeliest.")] = 1.0,
    top_k: Annotated[int | None, Parameter(help="Draw among the k likeliest tokens only.")] = None,
    top_p: Annotated[float | None, Parameter(help="Draw among the likeliest that together reach this share.")] = None,
    min_p: Annotated[
        float | None, Parameter(help="Draw among those at least this share as likely as the best.")
    ] = None,
    repetition_penalty: Annotated[float, Parameter(help="Above 1, what was said already becomes less likely.")] = 1.0,
    n: Annotated[int, Parameter(name=("-n", "--n"), help="How many samples.")] = 1,
    seed: Annotated[int, Parameter(help="Another seed, another text; the same seed, the same text.")] = 0,
    stop: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help=r"Text that ends a sample, such as '\n' for a line end; may be given several times."
        ),
    ] = None,
    device: Device = "cpu",
    engine: Engine = "auto",
    json: Json = False,
) -> None:
    from malmoi.api import load
    from malmoi.generation.sampling import SamplingOptions

    options = SamplingOptions(temperature, top_k, top_p, min_p, repetition_penalty)
    model = load(run, device, engine)
    warn_unknown(model, prompt)
    ends = [text.replace(r"\n", "\n").replace(r"\t", "\t") for text in stop or ()]
    if n == 1 and not json:
        pieces = model.stream(prompt, max_tokens=max_tokens, options=options, seed=seed, stop=ends)
        first = next(pieces, "")  # arguments are checked before the prompt is shown
        print(_running(prompt + first), end="", flush=True)
        for piece in pieces:
            print(_running(piece), end="", flush=True)
        print()
        return
    texts = model.generate(prompt, max_tokens=max_tokens, options=options, n=n, seed=seed, stop=ends)
    if json:
        emit({"run": str(model.folder), "prompt": prompt, "seed": seed, "texts": texts})
        return
    for place, text in enumerate(texts, start=1):
        print(f"{'' if place == 1 else chr(10)}--- {place} ---\n{_running(prompt + text)}")


def _running(text: str) -> str:
    """Running text for standard output: all of it for a file or a program, nothing that a terminal would act upon."""
    return printable_text(text) if sys.stdout.isatty() else text


def complete(
    run: RunName,
    /,
    *,
    k: Annotated[int, Parameter(name=("-k", "--k"), help="How many completions.")] = 5,
    device: Device = "cpu",
    engine: Engine = "auto",
    json: Json = False,
) -> None:
    from malmoi.api import load

    model = load(run, device, engine)
    if sys.stdin.isatty() and not json:
        _complete_interactively(model, k)
        return
    answers = []
    for line in _piped_lines():
        found = model.complete(line, k)
        if json:
            answers.append({"text": line, "completions": [row._asdict() for row in found]})
        else:
            print("\t".join(printable(row.completion) for row in found), flush=True)
    if json:
        emit({"run": str(model.folder), "lines": answers})


def _piped_lines() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _complete_interactively(model: "Run", k: int) -> None:
    """Ask for a line, show how its last word may end, until an empty line or Ctrl-D."""
    with suppress(ImportError):  # Windows has none
        import readline  # noqa: F401 - gives input() arrow keys and a history
    note("Type the beginning of a text and press Enter. An empty line or Ctrl-D ends.")
    asks = "> " if sys.stdout.isatty() else ""
    while True:
        try:
            text = input(asks)
        except EOFError:
            print()
            return
        if not text:
            return
        found = model.complete(text, k)
        if not found:
            note("  (nothing in this vocabulary begins like that)")
        for row in found:
            print(f"  {math.exp(row.log_prob):8.2g}  {printable(row.completion)}")


def warn_unknown(model: "Run", text: str) -> None:
    """Say so where a model with a closed vocabulary cannot read all of a text."""
    model.load()
    n_unknown = model.tokenizer.count_unknown(text)
    if n_unknown:
        words = "1 word is" if n_unknown == 1 else f"{n_unknown} words are"
        note(f"{words} not in the vocabulary; the model reads {'it' if n_unknown == 1 else 'them'} as <unk>.")
