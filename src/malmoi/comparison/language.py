"""What comparison and ladder say; the sentences stand in texts.toml."""

from pathlib import Path

from malmoi.comparison.contenders import Contender
from malmoi.comparison.overlap import RUN, Overlap
from malmoi.language import Language as Language
from malmoi.language import Teller as Sentences
from malmoi.language import read_sentences

SENTENCES = Path(__file__).with_name("texts.toml")


def texts() -> dict[str, dict[str, str]]:
    """Key -> language -> sentence with {} where values go."""
    return read_sentences(SENTENCES)


class Teller(Sentences):
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        super().__init__(language, SENTENCES)

    def idea(self, family: str, summary: str = "") -> str:
        """The idea of a rung ("" for a mixture) in one sentence; its summary where we have none."""
        return self(f"idea_{family}") if self.has(f"idea_{family}") else f"{summary[:1].upper()}{summary[1:]}."

    def gain(self, family: str) -> str:
        """What a rung buys, in a few words."""
        return self(f"gain_{family}") if self.has(f"gain_{family}") else ""

    def overlap(self, overlap: Overlap) -> str:
        shares = ["–" if share is None else f"{share:.1%}" for share in (overlap.lines, overlap.runs)]
        told = self("overlap", *shares, RUN)
        return f"{told}. {self('overlap_warning')}" if overlap.is_high else told

    def lasting(self, seconds: float) -> str:
        """A time as people say it."""
        if seconds < 100:
            return self("seconds", seconds)
        minutes, rest = divmod(round(seconds), 60)
        return self("minutes_and_seconds", minutes, rest) if rest else self("minutes", minutes)

    def begins(self, label: str, contender: Contender, seconds: float | None, steps: int | None) -> str:
        """What happens to a contender first."""
        if contender.members:
            return self("mixing", label)
        if contender.run is not None:
            return self("reading_run", label)
        if contender.takes_time:
            return (
                self("training_steps", label, steps) if steps else self("training", label, self.lasting(seconds or 0.0))
            )
        return self("baseline" if contender.rung in ("uniform", "unigram") else "counting", label)
