"""What every rung needs before it is trained: the texts, the tokenizer, the token ids."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from malmoi.data.cutting import CUT, hold_out
from malmoi.data.overlap import RUN, measure_overlap
from malmoi.errors import ConfigError, RunError
from malmoi.runs.folder import RunConfig, run_path
from malmoi.text.sources import TextSource
from malmoi.training.budget import Budget
from malmoi.training.progress import Reporter
from malmoi.training.request import Request


class Texts(NamedTuple):
    """The texts that a run is made of: what it learns from, what it is validated on, and what is only measured in the end."""

    train: TextSource
    valid: TextSource
    test: TextSource | None


OVERLAP_SECONDS = 1e-7  # a byte of the training text


@dataclass(frozen=True)
class Prepared:
    """Texts as token ids, and where they came from."""

    tokenizer: Any
    train: Any  # token views; test may be None
    valid: Any
    test: Any
    texts: Texts
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
    """Hold some of the text out if nothing else is given to validate on, choose or train a tokenizer on the rest, encode."""
    whole, valid_source, test_source, options = sources
    texts = held_out(whole, valid_source, test_source, reporter)
    tokenizer = make_tokenizer(asked, texts.train, reporter)
    reporter.stage(f"reading {whole.describe()}")
    train, valid, test = encode(texts, tokenizer, reporter)
    if valid_source is None:
        reporter.stage(
            f"validation: {len(valid):,} tokens held back, the same ones every time; no tokenizer has read them"
        )
    for source in (whole, valid_source, test_source):
        for note in source.notes if source is not None else []:
            reporter.stage(note)
    data = {
        "train": described(whole, asked.text),
        "valid": None if valid_source is None else described(valid_source, asked.valid),
        "test": None if test_source is None else described(test_source, asked.test),
        "options": options,
        "cut": CUT if valid_source is None else None,
        "train_tokens": len(train),
        "valid_tokens": len(valid),
    }
    return Prepared(tokenizer, train, valid, test, texts, data)


def held_out(whole: TextSource, valid: TextSource | None, test: TextSource | None, reporter: Reporter) -> Texts:
    """The texts of a run, a twentieth of the training text held out where there is none to validate on.

    Raises:
        DataError: If the training text is too short for that.
    """
    if valid is not None:
        return Texts(whole, valid, test)
    train, part = hold_out(whole, reporter.preparing)
    return Texts(train, part, test)


def encode(texts: Texts, tokenizer: Any, reporter: Reporter) -> tuple[Any, Any, Any]:
    """(train, valid, test) as token views."""
    from malmoi.data.tokens import encode_to_disk

    train = encode_to_disk(texts.train, tokenizer, progress=reporter.preparing).view()
    valid, test = (
        None if text is None else encode_to_disk(text, tokenizer).view() for text in (texts.valid, texts.test)
    )
    return train, valid, test


def encode_recorded(
    folder: Path, config: RunConfig, text: Any, tokenizer: Any, reporter: Reporter
) -> tuple[Texts, tuple[Any, Any, Any]]:
    """The texts that a run began with, and their token views, cut as they were then.

    Raises:
        RunError: If a text has changed, or is gone.
    """
    from malmoi.data.tokens import encode_to_disk, split_token_file

    whole, valid, test = (recorded_source(folder, config, name, text) for name in ("train", "valid", "test"))
    assert whole is not None
    if valid is not None or config.data.get("cut") is not None:
        texts = held_out(whole, valid, test, reporter)
        return texts, encode(texts, tokenizer, reporter)
    views = split_token_file(encode_to_disk(whole, tokenizer, progress=reporter.preparing))  # as earlier versions did
    return Texts(whole, whole, test), (*views, None if test is None else encode_to_disk(test, tokenizer).view())


def overlap_seconds(texts: Texts) -> float:
    """About how long `tell_overlaps` takes: the training text is read once for each other text."""
    return OVERLAP_SECONDS * texts.train.n_bytes() * (1 + (texts.test is not None))


def tell_overlaps(texts: Texts, budget: Budget, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """How much of the texts that figures are made of stands in the training text, for config.json; told, and warned of.

    Nothing is measured where it would take too much of the budget, or where the parts of a text are not known one by one.
    """
    found = {}
    for name, text in (("valid", texts.valid), ("test", texts.test)):
        if text is None or text is texts.train:
            continue
        if not budget.allows_overlap(overlap_seconds(texts)):
            reporter.stage(f"overlap of the {name} text with the training text: not measured, it would take too long")
            continue
        overlap, _ = measure_overlap(texts.train, text)
        runs = "" if overlap.runs is None else f" and {overlap.runs:.1%} of its runs of {RUN} words"
        warning = ": figures say how well the model remembers, not how well it predicts" if overlap.is_high else ""
        shares = f"{overlap.lines:.1%} of the lines of the {name} text{runs}"
        reporter.stage(f"overlap: {shares} stand in the training text{warning}")
        found[name] = {**asdict(overlap), "is_high": overlap.is_high}
    return found


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
