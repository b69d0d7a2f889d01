"""What comes out of a comparison: figures, differences, examples, and what each step of a ladder bought."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from malmoi.comparison.bootstrap import RESAMPLES, Difference, Drawn, Verdict
from malmoi.comparison.measured import Measured
from malmoi.comparison.split import Size
from malmoi.comparison.word_costs import Bucket
from malmoi.data.overlap import Overlap
from malmoi.errors import ConfigError


@dataclass(frozen=True)
class Failure:
    """A contender that could not be measured."""

    name: str
    reason: str


@dataclass(frozen=True)
class Contrast:
    """A line of the test text that two models find differently hard."""

    line: int  # its number in the test text, from 0
    bits: tuple[float, float]  # what it costs the first and the second model
    words: tuple[tuple[str, float, float], ...]  # each word with the white space before it, and its costs
    is_cut: bool  # more words follow

    @property
    def gain(self) -> float:
        """Bits that the first model saves."""
        return self.bits[1] - self.bits[0]


@dataclass(frozen=True)
class Breakdown:
    """Bits per byte of parts of the test text, for each model: all parts together are the whole text."""

    buckets: tuple[Bucket, ...]
    bits_per_byte: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Step:
    """What one rung bought against the rung before it, and a mixture against the best of what it mixes."""

    name: str
    before: str | None  # None for the first rung
    gain: float | None = None  # bits per byte saved: below 0 it was a step back
    low: float | None = None  # of the 95 % interval of the gain
    high: float | None = None
    p: float | None = None
    verdict: Verdict | None = None  # None where the bootstrap could say nothing
    example: Contrast | None = None  # the line of the test text where it helped most

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """What came out. `to_dict` is what --json prints; the report at `report` shows it."""

    text: str  # what was given, in words
    folder: Path
    report: Path
    verb: str
    command: str
    seed: int
    budget: float | None  # seconds
    sizes: Mapping[str, Size]  # of train, valid and test
    overlap: Overlap
    models: tuple[Measured, ...]
    failures: tuple[Failure, ...]
    differences: tuple[Difference, ...]  # `first` and `second` are places in `models`
    n_blocks: int  # that the bootstrap draws
    drawn: Drawn  # what these blocks are
    by_frequency: Breakdown
    by_position: Breakdown
    contrasts: Mapping[tuple[str, str], tuple[Contrast, ...]]  # (better, worse) -> lines, the widest gap first
    prompt: str
    goes_on: str
    machine: str
    steps: tuple[Step, ...] = ()  # of a ladder

    @property
    def is_complete(self) -> bool:
        return not self.failures

    def model(self, name: str) -> Measured:
        """One of the models.

        Raises:
            ConfigError: If there is none of that name.
        """
        for measured in self.models:
            if measured.name == name:
                return measured
        raise ConfigError(
            f"There is no model {name!r} in this comparison. Expected one of {', '.join(m.name for m in self.models)}."
        )

    def difference(self, first: str, second: str) -> Difference | None:
        """Of two models by name, whichever was listed first; None where the bootstrap could say nothing."""
        names = [model.name for model in self.models]
        i, j = names.index(self.model(first).name), names.index(self.model(second).name)
        for found in self.differences:
            if (found.first, found.second) == (i, j):
                return found
            if (found.first, found.second) == (j, i):
                return found.turned()
        return None

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        names = [model.name for model in self.models]
        pairs = [
            {
                **asdict(found),
                "first": names[found.first],
                "second": names[found.second],
                "verdict": found.verdict,
                "is_real": found.is_real,
            }
            for found in self.differences
        ]
        lines = [
            {"better": better, "worse": worse, **asdict(contrast), "gain": contrast.gain}
            for (better, worse), found in self.contrasts.items()
            for contrast in found
        ]
        models = []
        for model in self.models:
            parts = {
                "by_frequency": self.by_frequency.bits_per_byte[model.name],
                "by_position": self.by_position.bits_per_byte[model.name],
            }
            models.append({**model.to_dict(), **model.evaluation.to_dict(), **parts})
        return {
            "verb": self.verb,
            "text": self.text,
            "folder": str(self.folder),
            "report": str(self.report),
            "command": self.command,
            "seed": self.seed,
            "budget_seconds": self.budget,
            "sizes": {name: asdict(size) for name, size in self.sizes.items()},
            "overlap": {**asdict(self.overlap), "is_high": self.overlap.is_high},
            "models": models,
            "failures": [asdict(failure) for failure in self.failures],
            "bootstrap": {"blocks": self.n_blocks, "drawn": self.drawn, "resamples": RESAMPLES},
            "differences": pairs,
            "frequency_buckets": [bucket._asdict() for bucket in self.by_frequency.buckets],
            "position_buckets": [bucket._asdict() for bucket in self.by_position.buckets],
            "contrasts": lines,
            "prompt": self.prompt,
            "goes_on": self.goes_on,
            "machine": self.machine,
            "steps": [step.to_dict() for step in self.steps],
        }
