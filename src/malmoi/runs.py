"""A trained model as a folder: what lies in it, and how it is written and read without trust.

    config.json         family, its options, training settings, data fingerprint, seed, versions
    model.safetensors   the best weights so far; never pickle
    tokenizer.json      (and spelling.json where words can be unknown)
    metrics.jsonl       one line an evaluation
    README.md           model card
    checkpoint/         only while training can be resumed

Every file is written under a temporary name, flushed and renamed. A folder without config.json is not a run.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from malmoi.errors import RunError
from malmoi.files import atomic_file, release_pages, write_json
from malmoi.models.config import Settings

FORMAT = 1
READ_AT_ONCE = 1 << 26  # bytes of an array
LARGEST_CONFIG = 4 << 20  # bytes; ours are a few kB
IMPORTED_VECTORS = "vectors"  # the family of a run that holds vectors of another program
RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Arrays = dict[str, NDArray[Any]]


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
        unfinished = " Its training stopped before the first save; train again." if any(path.iterdir()) else ""
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


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of names, types, shapes and numbers, in hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        for piece in _pieces(array):
            total.update(piece)
    return total.hexdigest()


def _pieces(array: NDArray[Any]) -> Iterator[memoryview]:
    """The bytes of an array, some at a time, so that one mapped from a file is never in memory as a whole."""
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, len(data), READ_AT_ONCE):
        yield data[start : start + READ_AT_ONCE].data
        release_pages(array)


def write_arrays(path: Path, arrays: Arrays, also: Mapping[str, str] | None = None) -> None:
    """A safetensors file that carries a digest of what it holds, and what is to be told `also`.

    Nothing is copied, so mapped arrays may exceed the memory.
    """
    header: dict[str, Any] = {"__metadata__": {**(also or {}), "sha256": digest_of(arrays)}}
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # so that each begins aligned
    end = 0
    for name in names:
        array, begin = arrays[name], end
        end += array.nbytes
        kind = f"{array.dtype.kind}{8 * array.dtype.itemsize}".upper()
        header[name] = {
            "dtype": "BOOL" if kind == "B8" else kind,
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            for piece in _pieces(np.ascontiguousarray(arrays[name])):
                file.write(piece)


def read_arrays(path: Path) -> Arrays:
    """What `write_arrays` wrote. Sizes are checked against the real file before anything is allocated.

    Raises:
        RunError: If the file is missing, truncated or altered.
    """
    from safetensors import SafetensorError, safe_open

    advice = "Copy the run again from where it was made, or train again."
    if not path.is_file():
        raise RunError(f"{path} is missing. {advice}")
    try:
        with safe_open(path, framework="numpy") as file:
            expected = (file.metadata() or {}).get("sha256")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged or cut off ({error}). {advice}") from None
    if expected != digest_of(arrays):
        raise RunError(f"{path} does not match its own checksum: it was altered after it was written. {advice}")
    return arrays


def checked(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]], path: Path) -> Arrays:
    """The arrays, if their names and shapes are the expected ones.

    Raises:
        RunError: Naming the first that differs.
    """
    for name in sorted(shapes.keys() | arrays.keys()):
        got = arrays[name].shape if name in arrays else None
        if got != shapes.get(name):
            raise RunError(
                f"{path}: {name} has shape {got}, but config.json asks for {shapes.get(name)}. The two files are not of one "
                "run; copy the whole folder again."
            )
    return arrays


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
