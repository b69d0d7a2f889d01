"""`malmoi export` and `import`: models as files of other programs."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from malmoi.cli.console import ConsoleReporter, emit, note, print_facts, size
from malmoi.cli.options import Json, RunName

Format = Literal["arpa", "word2vec", "word2vec-binary", "glove"]  # malmoi.interop.exchange.FORMATS, unimported


def export(
    run: RunName,
    /,
    *,
    to: Annotated[
        Format,
        Parameter(
            help="arpa: an n-gram model as text, for KenLM, SRILM and speech recognisers. word2vec (text, as fastText's .vec), "
            "word2vec-binary, glove: vectors, for gensim and others."
        ),
    ],
    out: Annotated[str, Parameter(help="The file to make; packed with gzip if its name ends in .gz.")],
    json: Json = False,
) -> None:
    from malmoi.interop.exchange import export_run

    with ConsoleReporter(reading="writing_file") as reporter:
        path = export_run(run, out, to, reporter.preparing, reporter.say)
    n_bytes = path.stat().st_size
    if json:
        emit({"run": run, "to": to, "out": str(path), "bytes": n_bytes})
        return
    print_facts([("file", str(path)), ("size", size(n_bytes))])


def import_file(
    file: Annotated[
        str,
        Parameter(name="FILE", help="An n-gram model in ARPA form, or word vectors; plain or packed with gzip."),
    ],
    /,
    *,
    out: Annotated[str, Parameter(help="The run folder to make.")],
    tokenizer_from: Annotated[
        str | None,
        Parameter(
            help="ARPA: a run whose tokenizer split the text of the model; left out, its words are the vocabulary."
        ),
    ] = None,
    limit: Annotated[int | None, Parameter(help="Vectors: the first N words alone.", show_default="all")] = None,
    spaces: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Vectors: words of a text file may hold spaces.")
    ] = False,
    json: Json = False,
    command: Annotated[str, Parameter(parse=False)],
) -> None:
    from malmoi.interop.exchange import import_run
    from malmoi.runs.folder import IMPORTED_VECTORS, read_config

    with ConsoleReporter(reading="reading_file") as reporter:
        folder = import_run(
            file,
            out,
            tokenizer_from=tokenizer_from,
            limit=limit,
            spaces=spaces,
            note=reporter.say,
            progress=reporter.preparing,
            command=command,
        )
    config = read_config(folder)
    about: dict[str, Any]
    if config.family == IMPORTED_VECTORS:
        about = {"words": config.figures["words"], "dim": config.model["embed_dim"]}
        fact = ("words", f"{about['words']:,} of {about['dim']:,} numbers")
        trial = f"malmoi vectors similar {folder} WORD"
    else:
        counts = config.figures["ngrams"]
        about = {"order": len(counts), "ngrams": counts, "vocab_size": config.tokenizer["vocab_size"]}
        fact = ("n-grams", " + ".join(f"{count:,}" for count in counts))
        trial = f'malmoi next {folder} "..."'
    if json:
        emit({"run": str(folder), "family": config.family, **about, "notes": config.figures["notes"]})
        return
    print_facts([("run", str(folder)), fact])
    note(f"Try it:  {trial}")
