"""Runs as files that other programs read, and such files as runs: n-gram models (ARPA) and word vectors."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.files import atomic_folder, write_bytes
from malmoi.interop.arpa import Progress, read_arpa, tables_from_arpa, write_arpa
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.tables import load_tables, save_tables
from malmoi.models.options.ngram import NGramConfig
from malmoi.models.registry import RUNGS
from malmoi.runs.folder import (
    IMPORTED_VECTORS,
    RunConfig,
    describe_tokenizer,
    read_config,
    run_path,
    versions,
    write_config,
)
from malmoi.text.spelling import SpellingModel
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.vocabulary import word_vocabulary
from malmoi.vectors.files.reading import holds_vectors, read_vectors
from malmoi.vectors.files.writing import NO_PIECES, write_vectors
from malmoi.vectors.storage import vector_arrays, write_files
from malmoi.vectors.vectors import Vectors

HOLDS = {"arpa": "counted n-grams"}  # what a file of that form holds; those of the other forms hold vectors
FORMATS = {  # name -> the families that can be written so
    form: (*(rung.name for rung in RUNGS.values() if form in rung.exports), *((IMPORTED_VECTORS,) * (form != "arpa")))
    for form in ("arpa", "word2vec", "word2vec-binary", "glove")
}
MODEL_FILE = "model.safetensors"
MOST_CONTEXTS, FEWEST_CONTEXTS, MOST_NUMBERS = (
    300,
    20,
    30_000_000,
)  # after which the probabilities are added up; of each length
AT_ONCE = 16
ROUNDING = 0.01  # by which the probabilities of a sound file may exceed 1 in all, written in six digits or eight bits
Note = Callable[[str], object]


def _silent(text: str) -> None:
    """Where nobody listens to notes."""


def export_run(
    run: str | Path, out: str | Path, to: str = "arpa", progress: Progress | None = None, note: Note = _silent
) -> Path:
    """Write the model of a run as a file that other programs read; its path.

    Args:
        run: A run folder, or the name of one under runs/.
        out: The file to make. Packed with gzip if its name ends in .gz.
        to: One of FORMATS. "arpa": an n-gram model as text, for KenLM, SRILM and speech recognisers. The others: vectors as
            word2vec, fastText (.vec), GloVe and gensim have them.
        progress: Told how much has been written, and of how much.
        note: Told what the file cannot hold.

    Raises:
        ConfigError: If the run has no such form, or `out` exists.
        RunError: If there is no run, it is damaged, or `out` cannot be written.
        DataError: If a word does not fit the form, or the vectors are sparse.
        TrainingError: If the disk is full.
    """
    folder, out = run_path(run), Path(out)
    if to not in FORMATS:
        raise ConfigError(f"to={to!r} is no form that models are exported in. Choose one of: {', '.join(FORMATS)}.")
    config = read_config(folder)
    families, holds = FORMATS[to], HOLDS.get(to, "vectors of words")
    if config.family not in families:
        usual = next((family for family in families if to.startswith(family)), families[0])
        raise ConfigError(
            f"{folder} is a run of the rung {config.family}, which cannot be written as {to}: that form holds {holds}. "
            f"Expected a run of {' or '.join(families)}. Train one: malmoi train {usual} corpus.txt"
        )
    if out.exists():
        raise ConfigError(f"{out} exists already and was not changed. Choose another --out, or remove it first.")
    if to not in HOLDS:
        if config.model.get("subwords", "none") != "none":
            note(NO_PIECES)
        form: Any = to
        write_vectors(out, Vectors.load(folder), form, progress)
        return out
    model = NGramConfig.parse(config.model)
    tables = load_tables(folder / MODEL_FILE, model.order, model.vocab_size)
    tokenizer = Tokenizer.load(folder)
    write_arpa(out, tables, tokenizer.all_tokens, progress, tokenizer.special_ids)
    return out


def import_run(
    path: str | Path,
    out: str | Path,
    *,
    tokenizer_from: str | Path | None = None,
    limit: int | None = None,
    spaces: bool = False,
    note: Note = _silent,
    progress: Progress | None = None,
    command: str = "",
) -> Path:
    """Make a run out of a file of another program; its folder, which appears only when it is complete.

    What the file holds is told by its beginning: word vectors become a run of the family vectors, which every `malmoi vectors`
    command takes; all else has to be an ARPA file, and becomes a run of the family ngram.

    Args:
        path: The file, plain or packed with gzip.
        out: The folder to make.
        tokenizer_from: For ARPA: a run whose tokenizer split the text that the model was made from, as for a file that
            `export_run` wrote from a subword model. Without it, the words of the file become the vocabulary of a `word`
            tokenizer.
        limit: For vectors: how many words to read at most.
        spaces: For vectors: whether words of a text file may hold spaces.
        note: Told what had to be changed or added.
        progress: Told how many bytes have been read, and of how many.
        command: What the user typed, for config.json.

    Raises:
        ConfigError: If an argument belongs to the other kind of file.
        DataError: If the file is damaged, of neither kind, or does not fit the tokenizer.
        RunError: If `out` is occupied or cannot be written.
        TrainingError: If the disk is full.
    """
    path, out = Path(path), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already and is not empty; nothing in it was changed. Choose another --out.")
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"There is no {path}"
        raise DataError(f"{what}. Expected an ARPA file or a file of word vectors. Check the name.")
    if holds_vectors(path):
        if tokenizer_from is not None:
            raise ConfigError(
                f"{path} holds word vectors, which have no tokenizer. Expected --tokenizer-from with ARPA files only. "
                "Leave it out."
            )
        return _import_vectors(path, out, limit, spaces, note, progress, command)
    if limit is not None or spaces:
        given = "--limit" if limit is not None else "--spaces"
        raise ConfigError(
            f"{path} holds no word vectors. Expected {given} with those only. Leave it out, or check the file."
        )
    return _import_arpa(path, out, tokenizer_from, note, progress, command)


def _import_arpa(
    path: Path, out: Path, tokenizer_from: str | Path | None, note: Note, progress: Progress | None, command: str
) -> Path:
    notes = list[str]()

    def tell(text: str) -> None:
        notes.append(text)
        note(text)

    given = None if tokenizer_from is None else Tokenizer.load(run_path(tokenizer_from))
    special_ids = Tokenizer.special_ids if given is None else given.special_ids
    model = read_arpa(path, progress)
    try:
        tables, tokens = tables_from_arpa(model, None if given is None else given.all_tokens, tell, special_ids)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if len(tokens) == len(special_ids.all):
        raise DataError(f"{path} has no words but <s>, </s> and <unk>. Expected at least one. Give a model of a text.")
    largest = largest_sum(NGramModel(tables, special_ids.bos, special_ids.eos))
    if largest > 1 + ROUNDING:
        tell(
            f"its probabilities are none: after some contexts they add up to {largest:.4g} instead of 1. It predicts and "
            "scores, but has no perplexity and no bits per byte, and no verdict is given on it"
        )
    words = tokens[len(special_ids.all) :]
    tokenizer = given or Tokenizer(word_vocabulary(words), SpellingModel.fit(words))
    config = RunConfig(
        family="ngram",
        model={"vocab_size": tables.vocab_size, "order": tables.order},
        tokenizer=describe_tokenizer(tokenizer),
        data=_origin(path),
        versions=versions("numpy", "numba", "tokenizers", "safetensors"),
        figures={
            "parameters": tables.n_nodes + tables.n_inner,
            "ngrams": tables.level_counts(),
            "notes": notes,
            "is_distribution": largest <= 1 + ROUNDING,
            "largest_sum": round(largest, 6),
        },
        command=command,
    )
    with atomic_folder(out) as folder:
        tokenizer.save(folder)
        save_tables(folder / MODEL_FILE, tables)
        _write_card(folder, out.resolve().name, path.name, config)
        write_config(folder, config)
    return out


def largest_sum(model: NGramModel, seed: int = 0) -> float:
    """The largest sum of the probabilities of all tokens, over the start of a text and a few hundred contexts of the model."""
    tables, rng = model.tables, np.random.default_rng(seed)
    n = min(MOST_CONTEXTS, max(FEWEST_CONTEXTS, MOST_NUMBERS // model.vocab_size))
    found = [_sums(model, np.zeros((1, 0), np.int64))]
    for length in range(1, max(2, tables.order)):
        first, after = tables.level_range(length)
        chosen = rng.choice(after - first, min(n, after - first), replace=False)
        contexts = tables.level_ids(length)[np.sort(chosen)].astype(np.int64)
        for begin in range(0, len(contexts), AT_ONCE):
            found.append(_sums(model, contexts[begin : begin + AT_ONCE]))
    return float(max(sums.max() for sums in found))


def _sums(model: NGramModel, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
    log_probs, _ = model.step(contexts, model.start(len(contexts)))
    total: NDArray[np.float64] = np.exp(log_probs.astype(np.float64)).sum(axis=1)
    return total


def _import_vectors(
    path: Path, out: Path, limit: int | None, spaces: bool, note: Note, progress: Progress | None, command: str
) -> Path:
    vectors = read_vectors(path, limit=limit, spaces=spaces, progress=progress)
    notes = [] if vectors.unknown is None else [f"{NO_PIECES}; give {path.name} itself where those matter"]
    for text in notes:
        note(text)
    config = RunConfig(
        family=IMPORTED_VECTORS,
        model={"n_words": len(vectors), "embed_dim": vectors.dim},
        data=_origin(path),
        versions=versions("numpy", "safetensors"),
        figures={"words": len(vectors), "parameters": len(vectors) * vectors.dim, "notes": notes},
        command=command,
    )
    with atomic_folder(out) as folder:
        write_files(folder, vectors.words, vector_arrays(vectors))
        _write_card(folder, out.resolve().name, path.name, config)
        write_config(folder, config)
    return out


def _origin(path: Path) -> dict[str, Any]:
    with open(path, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"imported": {"file": str(path.resolve()), "bytes": path.stat().st_size, "sha256": digest}}


def _write_card(folder: Path, name: str, source: str, config: RunConfig) -> None:
    """README.md of an imported run."""
    imported, figures = config.data["imported"], config.figures
    notes = "".join(f"* {text}\n" for text in figures["notes"])
    if config.family == IMPORTED_VECTORS:
        what = "Word vectors"
        rows = f"| words | {figures['words']:,}, each of {config.model['embed_dim']:,} numbers |"
        use = """finding words that are used alike, and as the beginning of other models. They hold the prejudices of the
text that they were made from."""
    else:
        what = "An `ngram` language model"
        rows = f"""| n-grams of length 1, 2, ... | {", ".join(f"{count:,}" for count in figures["ngrams"])} |
| tokenizer | {config.tokenizer["kind"]}, {config.tokenizer["vocab_size"]:,} tokens |"""
        use = """predicting, completing, scoring and generating text like the text that the file was made from. It knows nothing
else, repeats what that text holds, private passages included, and states no facts."""
    text = f"""# {name}

{what}, imported from `{source}` with malmoi {config.versions["malmoi"]}.

| what | value |
|---|---|
| file | {imported["bytes"]:,} bytes, sha256 {imported["sha256"][:16]} |
{rows}

{notes}
Reproduce: `{config.command or f"malmoi import {source} --out {name}"}`

License: not stated. Say here under which licence the file, and the text that it was made from, may be used.

Intended use: {use}
"""
    write_bytes(folder / "README.md", text.encode())
