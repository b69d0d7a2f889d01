"""Writing files so that a reader, or a crash, finds all of one version or all of another, never a mixture.

Everything is first written beside its final place under a temporary name, flushed to the disk, and then renamed, which
file systems do in one stroke. If anything goes wrong the temporary file is removed and one message says what to do.
"""

import errno
import json
import mmap
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from malmoi.errors import MalmoiError, RunError, TrainingError

_TEMPORARY = ".malmoi-"
_LEFTOVER_AGE = 24 * 3600  # seconds after which a temporary name can only come from a process that was killed
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CHOOSE_ANOTHER_FOLDER = "choose another folder"


def write_bytes(path: Path, data: bytes, *, advice: str = CHOOSE_ANOTHER_FOLDER) -> None:
    """Put `data` at `path`; the folder is made if it is missing."""
    with atomic_file(path, advice=advice) as file:
        file.write(data)


def write_json(path: Path, value: Any, *, advice: str = CHOOSE_ANOTHER_FOLDER) -> None:
    """Put `value` at `path` as indented UTF-8 JSON; NaN and infinity, which JSON does not have, raise ValueError."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), advice=advice)


@contextmanager
def atomic_file(path: Path, *, advice: str = CHOOSE_ANOTHER_FOLDER) -> Iterator[BinaryIO]:
    """A file to write into, which appears at `path` when the block ends well and leaves no trace when it does not.

    Args:
        path: The final place. What stands there is replaced.
        advice: What a person can do besides freeing space or changing permissions, as the end of a sentence.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the file cannot be written for another reason.
    """
    if (
        path.exists() and not path.is_file() and not path.is_dir()
    ):  # it would be gone: for all programs, if it is /dev/null
        raise RunError(f"{path} is a device or a pipe. Expected the name of a file to write. Choose another one.")
    with _explained(path, advice):
        temporary = _temporary_sibling(path)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, *, advice: str = CHOOSE_ANOTHER_FOLDER) -> Iterator[Path]:
    """An empty folder to fill, which stands at `path` when the block ends well and leaves no trace when it does not.

    A folder that stands at `path` already is replaced. Not every file system can swap two folders, so the old one steps
    aside for a moment; if the process dies in that moment, `recover_folder` brings it back.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the folder cannot be written for another reason.
    """
    with _explained(path, advice):
        recover_folder(path)
        temporary = _temporary_sibling(path)
        try:
            temporary.mkdir()
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    with open(Path(folder, name), "rb+") as file:
                        os.fsync(file.fileno())
                _sync_folder(Path(folder))
            _remove(_previous(path))
            if path.exists():
                os.rename(path, _previous(path))
            os.rename(temporary, path)
        except BaseException:
            _remove(temporary)
            recover_folder(path)
            raise
        _sync_folder(path.parent)
        _remove(_previous(path))


def recover_folder(path: Path) -> None:
    """Bring back the folder that `atomic_folder` was about to replace when it was killed. Call it before reading."""
    if not path.exists() and _previous(path).exists():
        with suppress(FileNotFoundError):  # another process was quicker
            os.rename(_previous(path), path)


def write_error(error: OSError, path: Path, advice: str = CHOOSE_ANOTHER_FOLDER) -> MalmoiError:
    """What to tell a person when writing `path` failed with `error`."""
    if error.errno in _NO_ROOM:
        free = ""
        with suppress(OSError):
            free = f" ({shutil.disk_usage(path.parent).free / 1e6:.1f} MB free)"
        return TrainingError(
            f"Cannot write {path}: {error.strerror}{free}. Nothing half-written was left behind, and what stood there "
            f"before still stands. Free some space, or {advice}."
        )
    return RunError(
        f"Cannot write {path}: {error.strerror or error}. Expected a folder that you may write to. "
        f"Change its permissions, or {advice}."
    )


def make_folder(path: Path, advice: str = CHOOSE_ANOTHER_FOLDER) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        RunError: If it cannot be, as where one of them is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path, advice) from error


@contextmanager
def packed(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """What is written to `file` packed with gzip if the name of `path` ends in .gz."""
    if path.suffix.lower() != ".gz":
        yield file
        return
    import gzip

    with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:  # no name and no time: same content, same bytes
        yield cast(BinaryIO, stream)


@contextmanager
def _explained(path: Path, advice: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise write_error(error, path, advice) from error


def _temporary_sibling(path: Path) -> Path:
    """A fresh name beside `path`; what processes killed long ago left there is removed on the way."""
    for leftover in path.parent.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE:
                _remove(leftover)
    return path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut; Windows has no such call and does not need it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def default_cache_dir() -> Path:
    """Where what can be made again is kept: $MALMOI_CACHE, or malmoi under $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("MALMOI_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "malmoi"


def release_pages(*arrays: Any) -> None:
    """Let go of the memory behind arrays that are mapped from files, which keep the content; other arrays stay as they are."""
    for array in arrays:
        owner: Any = array
        while hasattr(owner, "base"):  # a NumPy array, seen through views
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)


def return_freed_memory() -> None:
    """Hand back to the system what was freed and the C library keeps for later; only glibc has a way."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
