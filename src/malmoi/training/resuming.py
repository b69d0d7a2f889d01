"""What --resume finds where a run shall stand: nothing yet, something to go on with, or a run that is finished.

So one command, repeated after each kill, begins a run, goes on with it and ends in the same files: what queues and spot
machines need.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from malmoi.errors import RunError
from malmoi.files import recover_folder, write_error
from malmoi.models.registry import Rung
from malmoi.runs.folder import RunConfig, read_config, run_path
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.checkpoint import can_resume
from malmoi.training.request import Request
from malmoi.training.texts import read_source, recorded_source

FIRST = {  # what training may write before config.json
    *("tokenizer.json", "spelling.json", "layout.json", "phrases.json", CHECKPOINT, f".{CHECKPOINT}.previous"),
}
OURS = FIRST | {  # all that it may have left beside config.json
    *("config.json", "model.safetensors", "metrics.jsonl", "README.md"),
    *("words.json", "vectors.safetensors"),
}
TEMPORARY = ".malmoi-"  # how names of files begin that were being written


class Found(NamedTuple):
    """What is left to do, where, and from which text.

    Attributes:
        text: As it was given, but for a pipe: that can be read only once, and was.
        left: What a run left that has nothing to go on from; to be removed before it begins anew.
    """

    to_do: Literal["begin", "go on", "nothing"]
    folder: Path
    text: Any
    left: Sequence[Path] = ()


def look(asked: Request, rung: Rung) -> Found:
    """Look where the run of this rung on this text shall stand.

    A run that was killed before its first checkpoint has nothing to go on from: its files are to be removed, and it begins
    anew. Files are taken for those of a run only where config.json is among them, or where there are no others than training
    writes before it.

    Raises:
        RunError: If something else stands there. Nothing is changed in any case.
    """
    folder, text = _place(str(asked.out)), asked.text
    recover_folder(folder)
    if not folder.exists():
        return Found("begin", folder, text)
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; nothing in it was changed. A folder was expected. Choose another --out.")
    left, ours = sorted(folder.iterdir()), FIRST
    if (folder / "config.json").is_file():
        ours = OURS
        config = read_config(folder)
        if config.family != rung.name:
            raise RunError(
                f"{folder} is a run of the rung {config.family}, not {rung.name}; nothing in it was changed. Leave the rung "
                f"and the text out to go on with it, as --resume --out {folder}, or choose another --out."
            )
        if can_resume(folder):
            return Found("go on", folder, text)
        if _is_pipe(text):
            options = {"field": asked.field, "encoding": asked.encoding, "unit": asked.unit}
            text = read_source(text, options)
        if recorded_source(folder, config, "train", text) is None:
            raise RunError(
                f"{folder} holds a run that was not trained on a text here; nothing in it was changed. Choose another --out."
            )
        if _is_finished(folder, config):
            return Found("nothing", folder, text)
    is_ours = {path.name for path in left} & {"config.json", CHECKPOINT, f".{CHECKPOINT}.previous"}
    if left and not is_ours and not any(path.name.startswith(TEMPORARY) for path in left):
        raise RunError(
            f"{folder} exists already and holds no run, as a tokenizer that was saved there; nothing in it was changed. Choose "
            "another --out."
        )
    for path in left:
        if path.name not in ours and not path.name.startswith(TEMPORARY):
            raise RunError(
                f"{folder} exists already and holds what no training wrote, as {path.name}; nothing in it was changed. Choose "
                "another --out."
            )
    return Found("begin", folder, text, left)


def remove(left: Iterable[Path]) -> None:
    """Remove what was left; the folder itself stays, as it may be where a disk is mounted."""
    for path in left:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise write_error(error, path, "choose another --out") from None


def _place(out: str) -> Path:
    """The folder itself, or the run of that name under runs/, as elsewhere."""
    try:
        return run_path(out)
    except RunError:
        return Path(out)


def _is_finished(folder: Path, config: RunConfig) -> bool:
    """Whether the figures of the end are made."""
    return "training_seconds" in config.figures and (folder / "model.safetensors").is_file()


def _is_pipe(text: Any) -> bool:
    several = text if isinstance(text, (list, tuple)) else [text]
    return any(isinstance(name, (str, Path)) and (str(name) == "-" or Path(name).is_fifo()) for name in several)
