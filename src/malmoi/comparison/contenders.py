"""Who takes part in a comparison, by name.

uniform, unigram        baselines, computed on the spot
ngram, lstm, ...        rungs of the ladder, trained
lstm:char               a rung with a tokenizer of its own kind
runs/mine               a run that exists already, measured as it is
ngram+lstm              the mixture of others that take part, its weights tuned on the validation text
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from malmoi.comparison.options import TokenizerKind
from malmoi.errors import ConfigError
from malmoi.models.registry import LANGUAGE_MODELS, RUNGS
from malmoi.runs.folder import run_path

BASELINES = ("uniform", "unigram")
KINDS = get_args(TokenizerKind)
MOST = 16  # contenders: pairs of them are compared, and their number grows with the square


@dataclass(frozen=True)
class Contender:
    """One that takes part."""

    name: str
    rung: str = ""  # a baseline or a rung of the registry; "" for a mixture and for a run
    tokenizer: str | None = None  # a kind of its own
    members: tuple[str, ...] = ()  # of a mixture
    run: Path | None = None

    @property
    def folder_name(self) -> str:
        """Its name as one part of a path."""
        return re.sub(r"[^a-z0-9._-]+", "-", self.name.lower()).strip("-.") or "run"

    @property
    def takes_time(self) -> bool:
        """Whether it is trained for as long as it is given; counting takes what it takes."""
        return self.rung in RUNGS and RUNGS[self.rung].is_network


def read_contenders(names: Iterable[str | Path], runs: Mapping[str, Path] | None = None) -> list[Contender]:
    """Those that take part, in the order given.

    Args:
        names: As the head of this file says.
        runs: Runs that exist already, for some of the rungs by name.

    Raises:
        ConfigError: If a name is unknown or given twice, or a mixture names one that does not take part.
    """
    found: dict[str, Contender] = {}
    for given in filter(None, (str(name).strip() for name in names)):
        contender = Contender(given, run=run_path(runs[given])) if runs and given in runs else _read(given)
        taken = {other.folder_name for other in found.values()}
        if contender.name in found or contender.folder_name in taken:
            raise ConfigError(f"{contender.name!r} takes part twice. Expected each rung once: leave one of them out.")
        for member in contender.members:
            if member not in found or found[member].members:
                raise ConfigError(
                    f"The mixture {contender.name!r} needs {member!r} to take part before it, as a model of its own. "
                    f"Expected as in --rungs ngram,lstm,ngram+lstm: add {member!r}, or leave the mixture out."
                )
        found[contender.name] = contender
    if not 1 <= len(found) <= MOST:
        raise ConfigError(
            f"{len(found)} rungs were given. Expected 1 to {MOST}, as --rungs ngram,lstm. Name them, with commas between."
        )
    return list(found.values())


def options_for(contender: Contender, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that this rung has."""
    if contender.rung not in RUNGS:
        return {}
    rung = RUNGS[contender.rung]
    known = rung.config.model_fields.keys() | rung.training_settings.model_fields.keys()
    return {name: value for name, value in options.items() if name in known and name != "vocab_size"}


def check_options(contenders: Iterable[Contender], options: Mapping[str, Any], others: Collection[str] = ()) -> None:
    """Raises ConfigError if some option belongs to none of the rungs; it may have been meant for one of the others."""
    rungs = [RUNGS[contender.rung] for contender in contenders if contender.rung in RUNGS]
    known = {field for rung in rungs for field in (*rung.config.model_fields, *rung.training_settings.model_fields)}
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, [*others, *known], n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`malmoi train RUNG --help` lists the options of a rung."
            raise ConfigError(f"Unknown option {name!r}: none of the rungs has it. {hint}")


def _read(name: str) -> Contender:
    if name in BASELINES or name in LANGUAGE_MODELS:
        return Contender(name, name)
    if (Path(name) / "config.json").is_file():
        return Contender(name, run=run_path(name))
    if "+" in name:
        members = tuple(part.strip() for part in name.split("+"))
        if len(set(members)) < len(members):
            raise ConfigError(f"The mixture {name!r} names a model twice. Expected different ones, as ngram+lstm.")
        return Contender("+".join(members), members=members)
    if "/" in name:
        return Contender(name, run=run_path(name))  # raises, saying what is wrong with it
    rung, colon, kind = name.partition(":")
    if colon and (rung in LANGUAGE_MODELS or rung in BASELINES):
        if kind not in KINDS:
            raise ConfigError(f"{name!r} asks for tokens of the kind {kind!r}. Expected one of {', '.join(KINDS)}.")
        return Contender(name, rung, tokenizer=kind)
    if rung in RUNGS:
        raise ConfigError(
            f"The rung {rung} makes vectors of words, which give no probabilities of a text to compare. Expected language "
            f"models, as {', '.join(LANGUAGE_MODELS)}. Compare vectors with: malmoi vectors eval RUN RUN --sets all"
        )
    known = [*BASELINES, *LANGUAGE_MODELS]
    near = difflib.get_close_matches(rung, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"There is no rung named {name!r}. Expected {', '.join(known)}, a run folder such as runs/NAME, or several joined by + "
        f"for their mixture.{hint}"
    )
