"""Input files: which ones are meant by what a person gave, and their bytes, unpacked where they are compressed."""

import difflib
import glob
import gzip
import io
import lzma
import os
import stat
import sys
import tempfile
import unicodedata
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

from malmoi.errors import DataError, MissingExtraError
from malmoi.files import write_error

TEXT_SUFFIX, TABLE_SUFFIXES, COMPRESSIONS = ".txt", (".jsonl", ".csv", ".tsv", ".parquet"), (".gz", ".xz", ".zst")
BLOCK = 2**18  # bytes read at a time

_OTHER_TEMPORARY_FOLDER = "set TMPDIR to another folder"


class InputFile(NamedTuple):
    path: Path
    name: str  # as people know it
    format: str  # TEXT_SUFFIX or one of TABLE_SUFFIXES
    compression: str  # "" or one of COMPRESSIONS
    size: int  # bytes on disk


@runtime_checkable
class Readable(Protocol):
    """What is asked of a file, a pipe or a decompressor."""

    def read(self, size: int = -1, /) -> bytes: ...


class DamagedFileError(Exception):
    """A compressed file that ends too early or holds nonsense."""


# Finding files


def find_files(given: str, owner: object) -> Iterator[InputFile]:
    """The files that one input stands for, folders and globs in sorted order.

    Args:
        given: A file, a folder, a glob, a named pipe, or "-" for standard input.
        owner: A pipe can be read only once, so a copy of it is kept on the disk for as long as this object lives.

    Raises:
        DataError: If there is no such file, or none that may be text.
    """
    if given == "-":
        yield _spool_stdin(owner)
        return
    path = _same_name(Path(os.path.expanduser(given)))
    if path.is_dir():
        yield from map(_plain_file, _files_below(path))
    elif path.exists():
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with open(path, "rb") as pipe:
                yield _spool(pipe, given, owner)
        elif stat.S_ISREG(mode):
            yield _plain_file(path)
        else:
            raise DataError(f"{given} is a device. Expected a file, a folder, a glob or '-'. Name another input.")
    elif glob.has_magic(given):
        found = sorted(map(Path, glob.glob(str(path), recursive=True)), key=lambda match: match.parts)
        if not found:
            raise DataError(
                f"No file matches {given!r} (looked from {Path.cwd()}). Expected at least one. Check the pattern; "
                "'**' stands for any folders."
            )
        for match in found:
            yield from map(_plain_file, _files_below(match) if match.is_dir() else [match])
    else:
        _refuse_missing(path)


def _spool_stdin(owner: object) -> InputFile:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "Nothing is piped into standard input, which '-' stands for. Expected text from another program, for "
            "example: cat corpus.txt | malmoi train lstm -. Pipe text in, or name a file."
        )
    return _spool(sys.stdin.buffer, "standard input", owner)


def _spool(stream: Readable, name: str, owner: object) -> InputFile:
    """Keep a stream in a temporary file that lives as long as its owner."""
    descriptor, spool = tempfile.mkstemp(prefix="malmoi-")
    weakref.finalize(owner, Path.unlink, Path(spool), missing_ok=True)
    try:
        with open(descriptor, "wb") as copy:
            while block := stream.read(BLOCK):
                copy.write(block)
    except OSError as error:
        Path(spool).unlink()
        raise write_error(error, Path(spool), _OTHER_TEMPORARY_FOLDER) from error
    return InputFile(Path(spool), name, TEXT_SUFFIX, "", Path(spool).stat().st_size)


def _refuse_missing(path: Path) -> NoReturn:
    parent = path.parent
    if not parent.is_dir():
        hint = f"The folder {parent} does not exist either. Check the path."
    else:
        names = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
        near = difflib.get_close_matches(path.name, names, n=3)
        hint = (
            f"Did you mean {' or '.join(str(parent / name) for name in near)}?"
            if near
            else f"Look into {parent.resolve()}."
        )
    raise DataError(f"There is no {path}. Expected a file, a folder, a glob or '-'. {hint}")


def _same_name(path: Path) -> Path:
    """The file whose name is the same text in another Unicode form, as archives made on a Mac leave them."""
    if path.exists() or path.name.isascii() or not path.parent.is_dir():
        return path
    name = unicodedata.normalize("NFC", path.name)
    return next((entry for entry in path.parent.iterdir() if unicodedata.normalize("NFC", entry.name) == name), path)


def _plain_file(path: Path) -> InputFile:
    name = path.name.lower()
    compression = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    suffix = Path(name.removesuffix(compression)).suffix
    with explained(str(path)):
        size = path.stat().st_size
    return InputFile(path, str(path), suffix if suffix in TABLE_SUFFIXES else TEXT_SUFFIX, compression, size)


def _files_below(folder: Path) -> list[Path]:
    suffixes = tuple(kind + packed for kind in (TEXT_SUFFIX, *TABLE_SUFFIXES) for packed in ("", *COMPRESSIONS))
    found = []

    def refuse(error: OSError) -> NoReturn:
        raise DataError(
            f"Cannot look into {error.filename}: {error.strerror}. Expected a folder that you may read."
        ) from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if name.lower().endswith(suffixes) and not name.startswith(".")]
    if not found:
        raise DataError(
            f"{folder} holds no text file. Expected names ending in {TEXT_SUFFIX}, {', '.join(TABLE_SUFFIXES)}, or "
            f"these with {', '.join(COMPRESSIONS)}; hidden files do not count. Name others by a glob: '{folder}/*'."
        )
    return sorted(found, key=lambda path: path.parts)


# Opening files


class _CountedFile(io.FileIO):
    """Tells how many bytes have been read."""

    def __init__(self, path: Path, on_read: Callable[[int], object]) -> None:
        super().__init__(path)
        self._on_read = on_read

    def readinto(self, buffer: Any) -> int:
        n_bytes = super().readinto(buffer) or 0
        self._on_read(n_bytes)
        return n_bytes


class _ZstdReader(io.RawIOBase):
    """Zstandard frames in a row. Unlike the stream reader of `zstandard` it notices a frame that is cut off."""

    _STEP = 1024  # compressed bytes at a time: what they can expand to stays below about 32 MiB

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._packed, self._unpacked = b"", memoryview(b"")
        self._new_frame, self._error = _zstd()
        self._frame: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            self._packed = self._packed or self._stream.read(self._STEP)
            if not self._packed:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("the file ends in the middle of a frame")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._new_frame()
            try:
                self._unpacked = memoryview(self._frame.decompress(self._packed))
            except self._error as error:
                raise DamagedFileError(str(error)) from error
            self._packed = self._frame.unused_data
        n_bytes = min(len(buffer), len(self._unpacked))
        buffer[:n_bytes] = self._unpacked[:n_bytes]
        self._unpacked = self._unpacked[n_bytes:]
        return n_bytes


def _zstd() -> tuple[Callable[[], Any], type[Exception]]:
    """How to start decompressing a frame, and the error that it raises; part of Python itself since 3.14."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor, zstd.ZstdError
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError("zstandard", "data", "Reading .zst files") from None
    return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


@contextmanager
def opened(file: InputFile, on_read: Callable[[int], object]) -> Iterator[Readable]:
    """The decompressed bytes of a file."""
    with explained(file.name), io.BufferedReader(_CountedFile(file.path, on_read), BLOCK) as raw:
        if file.compression == ".gz":
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
        elif file.compression == ".xz":
            with lzma.LZMAFile(raw) as stream:
                yield stream
        elif file.compression == ".zst":
            yield io.BufferedReader(_ZstdReader(raw), BLOCK)
        else:
            yield raw


@contextmanager
def seekable(stream: Readable, compression: str) -> Iterator[Readable]:
    """Parquet is read from its end, which a compressed stream cannot offer, so that is unpacked to the disk first."""
    if not compression:
        yield stream
        return
    with tempfile.TemporaryFile(prefix="malmoi-") as unpacked:
        while block := stream.read(BLOCK):
            try:
                unpacked.write(block)
            except OSError as error:
                raise write_error(error, Path(tempfile.gettempdir(), "malmoi"), _OTHER_TEMPORARY_FOLDER) from error
        yield unpacked


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one message."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, DamagedFileError) as error:
        raise DataError(f"{name} is damaged: {error}. Expected a whole file. Fetch or make it again.") from error
    except OSError as error:
        raise DataError(
            f"Cannot read {name}: {error.strerror or error}. Expected a file that you may read. Check its permissions."
        ) from error
