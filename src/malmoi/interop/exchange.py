"""Runs as files that other programs read, and such files as runs."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.files import atomic_folder, write_bytes
from malmoi.interop.arpa import Progress, read_arpa, tables_from_arpa, write_arpa
from malmoi.models.config import NGramConfig
from malmoi.models.ngram.tables import load_tables, save_tables
from malmoi.runs import RunConfig, read_config, run_path, write_config
from malmoi.text.spelling import SpellingModel
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.vocabulary import SPECIALS, Vocabulary
from malmoi.training.texts import describe_tokenizer, versions

FORMATS = {"arpa": ("ngram",)}  # name -> the families that can be written so
MODEL_FILE = "model.safetensors"


def export_run(run: str | Path, out: str | Path, to: str = "arpa", progress: Progress | None = None) -> Path:
    """Write the model of a run as a file that other programs read; its path.

    Args:
        run: A run folder, or the name of one under runs/.
        out: The file to make. Packed with gzip if its name ends in .gz.
        to: One of FORMATS. "arpa": an n-gram model as text, for KenLM, SRILM and speech recognisers.
        progress: Told how much has been written, and of how much.

    Raises:
        ConfigError: If the run has no such form, or `out` exists.
        RunError: If there is no run, it is damaged, or `out` cannot be written.
        TrainingError: If the disk is full.
    """
    folder, out = run_path(run), Path(out)
    if to not in FORMATS:
        raise ConfigError(f"to={to!r} is no form that models are exported in. Choose one of: {', '.join(FORMATS)}.")
    config = read_config(folder)
    if config.family not in FORMATS[to]:
        raise ConfigError(
            f"{folder} is a run of the rung {config.family}, which cannot be written as {to}: that form holds counted n-grams. "
            f"Expected a run of {' or '.join(FORMATS[to])}. Train one: malmoi train {FORMATS[to][0]} corpus.txt"
        )
    if out.exists():
        raise ConfigError(f"{out} exists already and was not changed. Choose another --out, or remove it first.")
    model = NGramConfig.parse(config.model)
    tables = load_tables(folder / MODEL_FILE, model.order, model.vocab_size)
    write_arpa(out, tables, Tokenizer.load(folder).all_tokens, progress)
    return out


def import_run(
    path: str | Path,
    out: str | Path,
    *,
    tokenizer_from: str | Path | None = None,
    note: Callable[[str], object] = lambda text: None,
    progress: Progress | None = None,
    command: str = "",
) -> Path:
    """Make a run of the family ngram out of an ARPA file; its folder, which appears only when it is complete.

    Args:
        path: The file, plain or packed with gzip.
        out: The folder to make.
        tokenizer_from: A run whose tokenizer split the text that the model was made from, as for a file that `export_run` wrote
            from a subword model. Without it, the words of the file become the vocabulary of a `word` tokenizer.
        note: Told what had to be changed or added.
        progress: Told how many bytes have been read, and of how many.
        command: What the user typed, for config.json.

    Raises:
        DataError: If the file is damaged, no ARPA file, or does not fit the tokenizer.
        RunError: If `out` is occupied or cannot be written.
        TrainingError: If the disk is full.
    """
    path, out = Path(path), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already and is not empty; nothing in it was changed. Choose another --out.")
    notes = list[str]()

    def tell(text: str) -> None:
        notes.append(text)
        note(text)

    given = None if tokenizer_from is None else Tokenizer.load(run_path(tokenizer_from))
    model = read_arpa(path, progress)
    try:
        tables, tokens = tables_from_arpa(model, None if given is None else given.all_tokens, tell)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if len(tokens) == len(SPECIALS):
        raise DataError(f"{path} has no words but <s>, </s> and <unk>. Expected at least one. Give a model of a text.")
    tokenizer = given or Tokenizer(Vocabulary("word", tokens), SpellingModel.fit(tokens[len(SPECIALS) :]))
    with open(path, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    config = RunConfig(
        family="ngram",
        model={"vocab_size": tables.vocab_size, "order": tables.order},
        tokenizer=describe_tokenizer(tokenizer),
        data={"imported": {"file": str(path.resolve()), "bytes": path.stat().st_size, "sha256": digest}},
        versions=versions("numpy", "numba", "tokenizers", "safetensors"),
        figures={"parameters": tables.n_nodes + tables.n_inner, "ngrams": tables.level_counts(), "notes": notes},
        command=command,
    )
    with atomic_folder(out) as folder:
        tokenizer.save(folder)
        save_tables(folder / MODEL_FILE, tables)
        _write_card(folder, out.resolve().name, path.name, config)
        write_config(folder, config)
    return out


def _write_card(folder: Path, name: str, source: str, config: RunConfig) -> None:
    """README.md of an imported run."""
    imported, figures = config.data["imported"], config.figures
    notes = "".join(f"* {text}\n" for text in figures["notes"])
    text = f"""# {name}

An `ngram` language model, imported from `{source}` with malmoi {config.versions["malmoi"]}.

| what | value |
|---|---|
| file | {imported["bytes"]:,} bytes, sha256 {imported["sha256"][:16]} |
| n-grams of length 1, 2, ... | {", ".join(f"{count:,}" for count in figures["ngrams"])} |
| tokenizer | {config.tokenizer["kind"]}, {config.tokenizer["vocab_size"]:,} tokens |

{notes}
Reproduce: `{config.command or f"malmoi import {source} --out {name}"}`

License: not stated. Say here under which licence the file, and the text that it was made from, may be used.

Intended use: predicting, completing, scoring and generating text like the text that the file was made from. It knows nothing
else, repeats what that text holds, private passages included, and states no facts.
"""
    write_bytes(folder / "README.md", text.encode())
