"""`malmoi export` and `import`: models as files of other programs."""

from typing import Annotated, Literal

from cyclopts import Parameter

from malmoi.cli.console import ENGLISH, ConsoleReporter, emit, note, print_facts, size
from malmoi.cli.options import Json, RunName

Format = Literal["arpa"]  # malmoi.interop.exchange.FORMATS, unimported


def export(
    run: RunName,
    /,
    *,
    to: Annotated[Format, Parameter(help="arpa: an n-gram model as text, for KenLM, SRILM and speech recognisers.")],
    out: Annotated[str, Parameter(help="The file to make; packed with gzip if its name ends in .gz.")],
    json: Json = False,
) -> None:
    from malmoi.interop.exchange import export_run

    with ConsoleReporter(ENGLISH._replace(reading="writing the file")) as reporter:
        path = export_run(run, out, to, reporter.preparing)
    n_bytes = path.stat().st_size
    if json:
        emit({"run": run, "to": to, "out": str(path), "bytes": n_bytes})
        return
    print_facts([("file", str(path)), ("size", size(n_bytes))])


def import_file(
    file: Annotated[str, Parameter(name="FILE", help="An n-gram model in ARPA form, plain or packed with gzip.")],
    /,
    *,
    out: Annotated[str, Parameter(help="The run folder to make.")],
    tokenizer_from: Annotated[
        str | None,
        Parameter(help="A run whose tokenizer split the text of the model; left out, its words are the vocabulary."),
    ] = None,
    json: Json = False,
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    from malmoi.interop.exchange import import_run
    from malmoi.runs import read_config

    with ConsoleReporter(ENGLISH._replace(reading="reading the file")) as reporter:
        folder = import_run(
            file, out, tokenizer_from=tokenizer_from, note=reporter.say, progress=reporter.preparing, command=command
        )
    config = read_config(folder)
    counts = config.figures["ngrams"]
    if json:
        about = {"order": len(counts), "ngrams": counts, "vocab_size": config.tokenizer["vocab_size"]}
        emit({"run": str(folder), "family": config.family, **about, "notes": config.figures["notes"]})
        return
    print_facts([("run", str(folder)), ("n-grams", " + ".join(f"{count:,}" for count in counts))])
    note(f'Try it:  malmoi next {folder} "..."')
