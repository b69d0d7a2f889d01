"""Arrays in safetensors files, written and read without trust: sizes are checked first, and a digest of the numbers last."""

import errno
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from malmoi.background import in_background
from malmoi.errors import ConfigError, RunError
from malmoi.files import atomic_file, release_pages

READ_AT_ONCE = 1 << 26  # bytes of an array
LARGEST_HEADER = 1 << 20  # bytes, of a file of arrays; ours have some thousand
Arrays = dict[str, NDArray[Any]]
_begun: dict[Path, Callable[[], Arrays]] = {}  # what is being mapped ahead
_AGAIN = "Copy the run again from where it was made, or train again."
_TYPES: dict[str, np.dtype[Any]] = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(np.bool_),
}


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

    if not path.is_file():
        raise RunError(f"{path} is missing. {_AGAIN}")
    try:
        with safe_open(path, framework="numpy") as file:
            expected = (file.metadata() or {}).get("sha256")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged or cut off ({error}). {_AGAIN}") from None
    if expected != digest_of(arrays):
        raise RunError(f"{path} does not match its own checksum: it was altered after it was written. {_AGAIN}")
    return arrays


def mapped(path: Path, advice: str, mode: Literal["r", "c"] = "r") -> tuple[Arrays, dict[str, Any]]:
    """The arrays of a safetensors file, mapped, and what it says of itself; places are checked, numbers are not.

    Args:
        path: The file.
        advice: How the message ends if it is damaged.
        mode: "r" for arrays that cannot be written to; "c" for such that can, in memory, while the file stays as it is.

    Raises:
        RunError: If the parts of the file do not agree with each other.
    """
    arrays: Arrays = {}
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, LARGEST_HEADER):
                raise ValueError(f"its header of {length:,} bytes is not all there")
            header = json.loads(file.read(length))
        told = dict(header.pop("__metadata__", {}))
        for name, entry in header.items():
            kind, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
                raise ValueError(f"{name} has the shape {shape}")
            if end - begin != math.prod(shape) * kind.itemsize or 8 + length + end > size:
                raise ValueError(f"{name} lies outside the file")
            if (8 + length + begin) % kind.itemsize:
                raise ValueError(f"{name} is not aligned")
            if begin == end:  # which no system maps
                arrays[name] = np.empty(shape, kind)
            else:
                arrays[name] = np.memmap(path, kind, mode, 8 + length + begin, shape).view(np.ndarray)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"{path} has {path.stat().st_size:,} bytes") from None
        raise RunError(f"Cannot read {path}: {error.strerror or error}. {advice}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise RunError(f"{path} is damaged or cut off ({error or 'its header'}). {advice}") from None
    return arrays, told


@contextmanager
def mapping_ahead(path: Path) -> Iterator[None]:
    """Within the block, what `arrays_of(path)` gives is mapped, and another thread begins with it at once.

    For a process that ends with one answer, and has a while of imports before it: a file that is written over meanwhile would
    change what was mapped, so no model that is to last stands on it.
    """
    _begun[path] = in_background(lambda: map_arrays(path))
    try:
        yield
    finally:
        del _begun[path]


def arrays_of(path: Path) -> Arrays:
    """What `write_arrays` wrote, read, or mapped within `mapping_ahead`.

    Raises:
        RunError: If the file is missing, truncated or altered.
    """
    begun = _begun.get(path)
    return read_arrays(path) if begun is None else begun()


def map_arrays(path: Path) -> Arrays:
    """What `write_arrays` wrote, checked like that, but mapped: nothing is copied, and several processes share one in memory.

    The file must stay as it is while the arrays are used: what is written into it changes them, and where it is cut off,
    reading them ends the process.

    Raises:
        RunError: If the file is missing, truncated or altered.
    """
    if not path.is_file():
        raise RunError(f"{path} is missing. {_AGAIN}")
    arrays, told = mapped(path, _AGAIN, "c")  # compiled loops would have to be made anew for arrays that are read-only
    if told.get("sha256") != digest_of(arrays):
        raise RunError(f"{path} does not match its own checksum: it was altered after it was written. {_AGAIN}")
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


def in_one_precision(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """float64 if any of the weights are, otherwise float32."""
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ConfigError(
                f"{name} holds {array.dtype} numbers. Floating-point weights were expected: use the files of a trained run."
            )
    dtype = np.result_type(np.float32, *{array.dtype for array in arrays.values()})
    return {name: array.astype(dtype, copy=False) for name, array in arrays.items()}
