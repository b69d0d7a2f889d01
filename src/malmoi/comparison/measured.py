"""What was measured of one contender, in memory and on disk, so that a comparison can go on where it was stopped."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from malmoi.arrays import read_arrays, write_arrays
from malmoi.errors import RunError
from malmoi.evaluation.perplexity import Evaluation
from malmoi.files import write_json

DERIVED = ("perplexity", "word_perplexity", "bits_per_byte", "bits_per_character", "unk_share")
COUNTED = tuple(field.name for field in fields(Evaluation))


@dataclass(frozen=True)
class ReadBefore:
    """What a run that was not trained in this comparison has read of the test text."""

    text: str  # "parts": it learnt from the parts of this comparison; "another text"; "unknown"
    lines: float | None = None  # share of the test lines that stand in what it learnt from
    runs: float | None = None  # likewise of runs of words
    is_high: bool = False  # so much that its figures say how well it remembers


@dataclass(frozen=True)
class Measured:
    """One model on the test text, and what it took."""

    name: str
    family: str  # its rung; "" for a mixture
    run: str | None  # its run folder
    members: tuple[str, ...]  # of a mixture
    weights: tuple[float, ...]  # of the members
    tokenizer: str  # its kind
    tokenizer_id: str  # its fingerprint: perplexities compare only where this is the same
    vocab_size: int
    evaluation: Evaluation
    streams: int  # how many parts the test text was read as, side by side
    parameters: int
    train_seconds: float
    disk_bytes: int
    memory_bytes: int | None
    ms_per_token: float
    tokens_per_second: float
    curve: tuple[tuple[float, float], ...]  # (seconds of training, bits per byte of the validation text)
    sample: str
    seconds: float  # that all of it took, measuring included
    hardly_trained: str = ""  # why, if it is: its figures say nothing about its rung
    read_before: ReadBefore | None = None  # None for what was trained here

    @property
    def bits_per_byte(self) -> float:
        return self.evaluation.bits_per_byte

    @property
    def is_judged(self) -> bool:
        """Whether a verdict may be given: it is a distribution, has learnt something, and has not read the test text."""
        has_read = self.read_before is not None and self.read_before.is_high
        return self.evaluation.is_distribution and not self.hardly_trained and not has_read

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {**asdict(self), "evaluation": self.evaluation.to_dict()}


def save(folder: Path, measured: Measured, word_nats: Float64[np.ndarray, " words"]) -> None:
    """Keep a result; the figures are written last, so a result that has figures is whole."""
    name = _file_name(measured.name)
    write_arrays(folder / f"{name}.safetensors", {"word_nats": word_nats})
    write_json(folder / f"{name}.json", measured.to_dict())


def load(folder: Path, name: str, n_words: int) -> tuple[Measured, np.ndarray] | None:
    """What `save` kept; None if there is nothing.

    Raises:
        RunError: If it is damaged.
    """
    path = folder / f"{_file_name(name)}.json"
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        told = values["evaluation"]
        if "layout_nats" not in told:  # by an earlier version, which let white space go unpaid
            return None
        counted: dict[str, Any] = {key: math.inf if told[key] is None else told[key] for key in COUNTED}
        pairs: dict[str, Any] = {key: tuple(values[key]) for key in ("members", "weights")}
        curve = tuple((float(seconds), float(bits)) for seconds, bits in values["curve"])
        pairs |= {"read_before": values.get("read_before") and ReadBefore(**values["read_before"])}
        measured = Measured(**{**values, **pairs, "evaluation": Evaluation(**counted), "curve": curve})
        nats = read_arrays(path.with_suffix(".safetensors"))["word_nats"]
        if measured.name != name or nats.shape != (n_words,) or nats.dtype != np.float64:
            raise ValueError("it belongs to another comparison")
    except (OSError, ValueError, KeyError, TypeError, RunError) as error:
        raise RunError(
            f"{path} cannot be used: {error}. Expected what an earlier comparison measured. Remove this file, and {name} is "
            "measured again."
        ) from None
    return measured, nats


def _file_name(name: str) -> str:
    """One part of a path for any name; what cannot stand in one is written as its code point."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"%{ord(c):x}" for c in name)
