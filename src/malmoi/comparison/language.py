"""Sentences of comparison and ladder that are put together from several texts (pages/texts/comparison.toml)."""

from collections.abc import Sequence

from malmoi.comparison.contenders import Contender
from malmoi.comparison.measured import Measured
from malmoi.data.overlap import RUN, Overlap
from malmoi.pages.language import Teller


def idea_of(tell: Teller, family: str, summary: str = "") -> str:
    """The idea of a rung ("" for a mixture) in one sentence; its summary where we have none."""
    return tell(f"idea_{family}") if tell.has(f"idea_{family}") else f"{summary[:1].upper()}{summary[1:]}."


def gain_of(tell: Teller, family: str) -> str:
    """What a rung buys, in a few words."""
    return tell(f"gain_{family}") if tell.has(f"gain_{family}") else ""


def say_overlap(tell: Teller, overlap: Overlap) -> str:
    lines, runs = ("–" if share is None else f"{share:.1%}" for share in (overlap.lines, overlap.runs))
    told = tell("overlap", lines=lines, runs=runs, n_words=RUN)
    return f"{told}. {tell('overlap_warning')}" if overlap.is_high else told


def say_read_before(tell: Teller, models: Sequence[Measured]) -> list[str]:
    """What each run from elsewhere may have read of the test text."""
    told = []
    for model in models:
        found = model.read_before
        if found is None or (found.text == "parts" and not found.is_high):
            continue
        key = "trained_elsewhere" if found.text == "unknown" else "read_much" if found.is_high else "read_little"
        told.append(tell(key, model=model.name, lines=f"{found.lines or 0.0:.1%}"))
    return told


def say_scores(tell: Teller, models: Sequence[Measured]) -> list[str]:
    """Which models give no probabilities."""
    names = ", ".join(model.name for model in models if not model.evaluation.is_distribution)
    return [tell("no_probabilities", models=names)] if names else []


def why_not_judged(model: Measured) -> str:
    """The key of the text that says why a model gets no verdict."""
    if not model.evaluation.is_distribution:
        return "no_distribution"
    return "hardly_trained" if model.hardly_trained else "has_read"


def say_time(tell: Teller, seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return tell("seconds", seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    return tell("minutes_and_seconds", minutes=minutes, seconds=rest) if rest else tell("minutes", minutes=minutes)


def say_beginning(tell: Teller, label: str, contender: Contender, seconds: float | None, steps: int | None) -> str:
    """What happens to a contender first."""
    if contender.members:
        return tell("mixing", model=label)
    if contender.run is not None:
        return tell("reading_run", model=label)
    if contender.takes_time:
        return (
            tell("training_steps", model=label, n_steps=steps)
            if steps
            else tell("training", model=label, time=say_time(tell, seconds or 0.0))
        )
    return tell("baseline" if contender.rung in ("uniform", "unigram") else "counting", model=label)
