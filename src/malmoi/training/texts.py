"""What every rung needs before it is trained: the texts, the tokenizer, the token ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from malmoi.errors import ConfigError, RunError
from malmoi.runs.folder import RunConfig, run_path
from malmoi.text.sources import TextSource
from malmoi.training.progress import Reporter
from malmoi.training.request import Request


@dataclass(frozen=True)
class Prepared:
    """Texts as token ids, and where they came from."""

    tokenizer: Any
    train: Any  # token views; valid and test may be None
    valid: Any
    test: Any
    data: dict[str, Any]  # for config.json


class Sources(NamedTuple):
    """The texts of a request, found but not read yet."""

    train: TextSource
    valid: TextSource | None
    test: TextSource | None
    options: dict[str, Any]  # how they are read


def find_sources(asked: Request) -> Sources:
    """The texts that are asked for.

    Raises:
        DataError: If one is not there.
    """
    options: Any = {"field": asked.field, "encoding": asked.encoding, "unit": asked.unit}
    train = read_source(asked.text, options)
    valid, test = (None if given is None else read_source(given, options) for given in (asked.valid, asked.test))
    return Sources(train, valid, test, options)


def prepare(asked: Request, sources: Sources, reporter: Reporter) -> Prepared:
    """Read, choose or train a tokenizer, encode."""
    source, valid_source, test_source, options = sources
    tokenizer = make_tokenizer(asked, source, reporter)
    reporter.stage(f"reading {source.describe()}")
    train, valid, test = encode(source, valid_source, test_source, tokenizer, reporter)
    for texts in (source, valid_source, test_source):
        for note in texts.notes if texts is not None else []:
            reporter.stage(note)
    data = {
        "train": described(source, asked.text),
        "valid": None if valid_source is None else described(valid_source, asked.valid),
        "test": None if test_source is None else described(test_source, asked.test),
        "options": options,
        "train_tokens": len(train),
        "valid_tokens": len(valid),
    }
    return Prepared(tokenizer, train, valid, test, data)


def encode(
    source: TextSource,
    valid_source: TextSource | None,
    test_source: TextSource | None,
    tokenizer: Any,
    reporter: Reporter,
) -> tuple[Any, Any, Any]:
    """(train, valid, test) as token views; without a validation text, a twentieth of the training text is held back."""
    from malmoi.data.tokens import encode_to_disk, split_token_file

    whole = encode_to_disk(source, tokenizer, progress=reporter.preparing)
    if valid_source is not None:
        train_tokens, valid_tokens = whole.view(), encode_to_disk(valid_source, tokenizer).view()
    else:
        train_tokens, valid_tokens = split_token_file(whole)
        reporter.stage(f"validation: {len(valid_tokens):,} tokens held back, the same ones every time")
    return train_tokens, valid_tokens, None if test_source is None else encode_to_disk(test_source, tokenizer).view()


def make_tokenizer(asked: Request, source: TextSource, reporter: Reporter, why: str = "as asked") -> Any:
    """The one asked for: taken from elsewhere, or trained on the source."""
    from malmoi.text.choosing import choose_tokenizer
    from malmoi.text.tokenizers import Tokenizer, train_tokenizer

    if asked.tokenizer_from is not None:
        if any(option is not None for option in (asked.tokenizer, asked.vocab_size, asked.min_count)):
            raise ConfigError(
                "--tokenizer-from takes a tokenizer as it is. Leave out --tokenizer, --vocab-size and --min-count."
            )
        folder = Path(asked.tokenizer_from)  # a run, or a folder that holds a tokenizer alone
        return Tokenizer.load(folder if (folder / "tokenizer.json").is_file() else run_path(folder))
    kind, vocab_size = asked.tokenizer, asked.vocab_size
    if kind is None:
        kind, default_size, why = choose_tokenizer((line.text for line in source.lines()), source.n_bytes())
        vocab_size = vocab_size or default_size
    reporter.stage(f"tokenizer {kind}: {why}")
    lines = (line.text for line in source.lines())
    tokenizer = train_tokenizer(kind, lines, vocab_size=vocab_size, min_count=asked.min_count)
    reporter.stage(f"vocabulary of {tokenizer.vocab_size:,} tokens")
    return tokenizer


def read_source(text: Any, options: Mapping[str, Any]) -> TextSource:
    return text if isinstance(text, TextSource) else TextSource(text, **options)


def described(source: TextSource, given: Any) -> dict[str, Any]:
    """For config.json: where a text came from, and what it was."""
    paths = None
    if not isinstance(given, TextSource):
        several = given if isinstance(given, (list, tuple)) else [given]
        paths = [
            str(item) if str(item) == "-" or any(c in str(item) for c in "*?[") else str(Path(item).resolve())
            for item in several
        ]
        if "-" in paths:
            paths = None
    return {"inputs": paths, "sha256": source.fingerprint(), "bytes": source.n_bytes()}


def recorded_source(folder: Path, config: RunConfig, name: str, text: Any) -> TextSource | None:
    """The train, valid or test text that a run began with, unchanged; None if it began without one."""
    recorded = config.data.get(name)
    if recorded is None:
        return None
    given = text if name == "train" and text is not None else recorded["inputs"]
    if given is None:
        raise RunError(
            f"The {name} text of {folder} came from memory or a pipe and is gone. Give the same text again to resume, or train "
            "a new run from a file."
        )
    source = read_source(given, config.data["options"])
    if source.fingerprint() != recorded["sha256"]:
        raise RunError(
            f"The {name} text of {folder} has changed since training began. Resuming on other text would not give the "
            "same model. Put the old text back, or train a new run with another --out."
        )
    return source
