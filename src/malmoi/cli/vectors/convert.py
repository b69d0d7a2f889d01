"""`malmoi vectors convert`: vectors from one file form into another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from malmoi.cli.console import ConsoleReporter, emit, note, print_facts, size
from malmoi.cli.options import Json
from malmoi.errors import ConfigError

if TYPE_CHECKING:
    from malmoi.vectors import Vectors

Limit = Annotated[int | None, Parameter(help="The first N words alone, usually the most frequent.", show_default="all")]
Spaces = Annotated[
    bool, Parameter(negative=(), show_default=False, help="Words of a text file may hold spaces, as in glove.840B.")
]


def convert(
    vectors: Annotated[str, Parameter(name="IN", help="A run, a folder of saved vectors, or a file of vectors.")],
    out: Annotated[str, Parameter(name="OUT", help="The file, or for `saved` the folder, to make; .gz packs a file.")],
    /,
    *,
    to: Annotated[
        Literal["word2vec", "word2vec-binary", "glove", "saved"],
        Parameter(
            help="word2vec text (also fastText's .vec), its binary form, GloVe text, or a folder that opens at once."
        ),
    ],
    storage: Annotated[
        Literal["float32", "float16", "int8"],
        Parameter(help="For `saved`: how numbers are stored; float16 takes half the bytes, int8 a quarter."),
    ] = "float32",
    limit: Limit = None,
    spaces: Spaces = False,
    json: Json = False,
) -> None:
    from malmoi.vectors.files.writing import NO_PIECES, write_vectors

    target = Path(out)
    if storage != "float32" and to != "saved":
        raise ConfigError(
            f"{to} files hold float32, not {storage}. Expected --storage with --to saved only. Leave it out."
        )
    if target.exists():
        raise ConfigError(f"{out} exists already and was not changed. Choose another OUT, or remove it first.")
    error = 0.0
    with ConsoleReporter(reading="reading_vectors") as reporter:
        found = _read(vectors, limit, spaces, reporter)
    if found.unknown is not None:
        note(NO_PIECES)
    if storage != "float32":
        found, error = found.quantised(storage)
    if to == "saved":
        found.save(target)
    else:
        with ConsoleReporter(reading="writing_vectors") as reporter:
            write_vectors(target, found, to, progress=reporter.preparing)
    n_bytes = sum(path.stat().st_size for path in target.iterdir()) if target.is_dir() else target.stat().st_size
    if json:
        about = {"words": len(found), "dim": found.dim, "storage": storage, "largest_cosine_error": error}
        emit({"vectors": vectors, "to": to, "out": out, **about, "bytes": n_bytes})
        return
    facts = [("folder" if target.is_dir() else "file", out), ("words", f"{len(found):,} of {found.dim:,} numbers")]
    if error:
        facts.append(("rounding", f"a cosine is off by at most {error:.2g}"))
    print_facts([*facts, ("size", size(n_bytes))])


def _read(source: str, limit: int | None, spaces: bool, reporter: ConsoleReporter) -> "Vectors":
    """Of a file, no more is read than is asked for."""
    from malmoi.api import load_vectors
    from malmoi.vectors.files.reading import read_vectors

    if Path(source).is_file():
        return read_vectors(source, limit=limit, spaces=spaces, progress=reporter.preparing)
    found = load_vectors(source)
    return found if limit is None else found.first(limit)
