"""A trained model as a folder: what lies in it, and how it is written and read without trust.

    config.json         family, its options, training settings, data fingerprint, seed, versions
    model.safetensors   the best weights so far; never pickle
    tokenizer.json      (and spelling.json, layout.json where tokens are words)
    metrics.jsonl       one line an evaluation
    README.md           model card
    checkpoint/         only while training can be resumed

Every file is written under a temporary name, flushed and renamed. A folder without config.json is not a run.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from malmoi._version import __version__
from malmoi.errors import RunError
from malmoi.files import atomic_file, write_json
from malmoi.settings import Settings

FORMAT = 1
LARGEST_CONFIG = 4 << 20  # bytes; ours are a few kB
IMPORTED_VECTORS = "vectors"  # the family of a run that holds vectors of another program
RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class RunConfig(Settings):
    """What config.json holds. The keys are a closed list."""

    format: int = FORMAT
    family: str
    model: dict[str, Any]
    training: dict[str, Any] = Field(default_factory=dict)
    tokenizer: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)
    command: str = ""


def run_path(name: str | Path) -> Path:
    """The folder of a run given by path or by its name under runs/.

    Raises:
        RunError: If there is no run there.
    """
    path = Path(name)
    if not path.exists() and RUN_NAME.fullmatch(str(name)) and (Path("runs") / path / "config.json").is_file():
        path = Path("runs") / path
    if not path.is_dir():
        raise RunError(f"There is no run at {str(name)!r}. Expected a folder that `malmoi train` wrote, as runs/NAME.")
    if not (path / "config.json").is_file():
        unfinished = (
            " Its training stopped before the first save; train again." if (path / "tokenizer.json").is_file() else ""
        )
        raise RunError(
            f"{path} is not a run: it has no config.json.{unfinished} Give a folder that `malmoi train` wrote."
        )
    return path


def write_config(folder: Path, config: RunConfig) -> None:
    write_json(folder / "config.json", config.model_dump())


def read_config(folder: Path) -> RunConfig:
    """The run's config.json, checked.

    Raises:
        RunError: If it is missing, damaged, or was written by a newer version.
    """
    path = run_path(folder) / "config.json"
    if path.stat().st_size > LARGEST_CONFIG:
        raise RunError(f"{path} is {path.stat().st_size:,} bytes; a run's config is a few kB. Use an undamaged run.")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not valid JSON ({error}). The file is damaged; restore it or train again.") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} should hold a JSON object, found {type(values).__name__}. Restore it or train again.")
    version = values.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{path} has format {version}; this malmoi reads up to {FORMAT}. The run was made by a newer version: "
            "upgrade with pip install --upgrade malmoi."
        )
    try:
        return RunConfig.parse(values, where="key")
    except Exception as error:
        raise RunError(f"{path}: {error} The file was changed by hand or damaged; restore it or train again.") from None


def append_metrics(folder: Path, values: Mapping[str, Any]) -> None:
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(dict(values)) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every evaluation so far; a last line cut off by a crash is left out."""
    path = folder / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def trim_metrics(folder: Path, last_step: int) -> None:
    """Forget evaluations after `last_step`, which a resumed run will make again."""
    rows = [row for row in read_metrics(folder) if row.get("step", 0) <= last_step]
    with atomic_file(folder / "metrics.jsonl") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())


def describe_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """For config.json."""
    return {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "fingerprint": tokenizer.fingerprint()}


def versions(*packages: str) -> dict[str, str]:
    """Of malmoi, Python and the packages that a result depends on."""
    import platform
    from importlib.metadata import version

    return {"malmoi": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}
