"""From a request to a run folder: which rung trains it, and where it will stand."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from malmoi.errors import ConfigError, RunError
from malmoi.models.registry import Rung, find_rung, resolve
from malmoi.runs.folder import RUN_NAME, RunConfig, read_config, run_path
from malmoi.training.checkpoint import can_resume
from malmoi.training.progress import Reporter
from malmoi.training.request import Asked, Request, read_request
from malmoi.training.resuming import look, remove
from malmoi.training.texts import find_sources


def train(request: Mapping[str, Any], reporter: Reporter | None = None) -> Path:
    """Train a model; the folder of the finished run.

    Args:
        request: The fields of `Request`, of the rung's settings and of its config, by name; what is left out is planned.
            With `resume`, a rung and a text, what was begun goes on, and what was not begun begins, so that the same request
            can be repeated until it is done.
        reporter: Told what happens.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
        Interrupted: If training was stopped; the checkpoint is saved.
    """
    reporter = reporter or Reporter()
    asked = read_request(request)
    wanted = asked.request
    if wanted.resume and None in (wanted.rung, wanted.text, wanted.out):
        return _resume(asked, reporter)
    if wanted.rung is None or wanted.text is None:
        raise ConfigError("Training needs a rung and a text, as: malmoi train lstm corpus.txt --budget 10m")
    rung = find_rung(wanted.rung)
    left: Sequence[Path] = ()
    if wanted.resume:
        seen = look(wanted, rung)
        left = seen.left
        asked = replace(asked, request=wanted.model_copy(update={"out": str(seen.folder), "text": seen.text}))
        if seen.to_do == "go on":
            return _resume(asked, reporter)
        if seen.to_do == "nothing":
            reporter.stage(f"{seen.folder} is finished already; nothing in it was changed")
            _tell_unused(seen.folder, read_config(seen.folder), asked, reporter)
            return seen.folder
    rung.config.parse({"vocab_size": 1, **asked.model})  # refuse a wrong option before any work is done
    if left:
        find_sources(asked.request)  # and a text that is not there
        if wanted.tokenizer_from is not None:
            run_path(wanted.tokenizer_from)
        remove(left)
    folder = _new_folder(asked.request, rung)
    path: Path = resolve(rung.trains)(rung, folder, asked, reporter)
    return path


def _resume(asked: Asked, reporter: Reporter) -> Path:
    wanted = asked.request
    if wanted.out is None:
        raise ConfigError("--resume needs the run to go on with: malmoi train --resume --out runs/NAME")
    folder = run_path(wanted.out)
    config = read_config(folder)
    rung = find_rung(config.family)
    if wanted.rung is not None and wanted.rung != rung.name:
        raise ConfigError(
            f"{folder} is a run of the rung {rung.name}, not {wanted.rung}. Leave the rung out: --resume --out {folder}"
        )
    if rung.resumes is None or not can_resume(folder):
        is_finished = (folder / "model.safetensors").is_file()
        done = "Its training is finished" if is_finished else "It was stopped before its first save"
        raise RunError(f"{folder} has no checkpoint to resume from. {done}; train a new run with another --out.")
    _tell_unused(folder, config, asked, reporter)
    path: Path = resolve(rung.resumes)(rung, folder, config, asked, reporter)
    return path


def _tell_unused(folder: Path, config: RunConfig, asked: Asked, reporter: Reporter) -> None:
    """Say which options a run goes on without, since its own hold."""
    request, data = asked.request, config.data
    given = {**asked.model, **asked.training, "budget_seconds": asked.budget.seconds}
    given |= {name: getattr(request, name) for name in ("device", "epochs", "vocab_size")}
    given |= {"tokenizer": request.tokenizer, "initialise_from": request.initialise_from}
    own = {"vocab_size": config.tokenizer.get("vocab_size"), "tokenizer": config.tokenizer.get("kind")}
    own |= {"device": "cpu", **config.model, **config.training, "initialise_from": data.get("initialised_from")}
    other = {name for name, value in given.items() if value is not None and own.get(name) != value}
    other |= {
        name for name in ("tokenizer_from", "min_count") if getattr(request, name) is not None
    }  # nobody wrote it down
    other |= {name for name in ("valid", "test") if getattr(request, name) is not None and not data.get(name)}
    if other:
        names = ("budget" if name == "budget_seconds" else name.replace("_", "-") for name in sorted(other))
        told = ", ".join(f"--{name}" for name in names)
        reporter.stage(f"{folder} keeps the options that it was begun with; not used: {told}")


def _new_folder(asked: Request, rung: Rung) -> Path:
    """Where the run will stand; nothing is made yet."""
    if asked.out is not None:
        folder = Path(asked.out)
        above = next((parent for parent in folder.parents if parent.exists()), None)
        if above is not None and not above.is_dir():
            raise RunError(
                f"{above} is a file, so {folder} cannot stand in it. A folder was expected. Choose another --out."
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            go_on = (
                f" Go on with it: malmoi train --resume --out {shlex.quote(str(folder))}" if can_resume(folder) else ""
            )
            raise RunError(
                f"{folder} exists already and is not empty; nothing in it was changed. Choose another --out.{go_on}"
            )
        return folder
    first = (
        asked.text
        if isinstance(asked.text, (str, Path))
        else next(iter(asked.text), "text")
        if isinstance(asked.text, Iterable)
        else "text"
    )
    stem = re.sub(r"[^a-z0-9._-]+", "-", Path(str(first)).name.lower().split(".")[0]).strip("-._") or "text"
    name = f"{rung.name}-{stem}"[:56]
    assert RUN_NAME.fullmatch(name)
    candidates = [Path("runs") / name, *(Path("runs") / f"{name}-{number}" for number in range(2, 10_000))]
    return next(path for path in candidates if not path.exists())
