"""Vectors in a folder: two files, read without trust.

    words.json            the words in order
    vectors.safetensors   matrix (V, D) and, where there are any, scales (V,); never pickle

The matrix is mapped: loading runs through it once, to see that all numbers are finite and how long the vectors are, but keeps
no copy, and several processes share one in memory.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import RunError
from malmoi.files import atomic_folder, recover_folder, write_bytes
from malmoi.runs import write_arrays

if TYPE_CHECKING:
    from malmoi.vectors.vectors import Vectors

WORDS, MATRIX = "words.json", "vectors.safetensors"
LARGEST_HEADER = 1 << 20  # bytes; ours have some hundred
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I8": np.dtype("i1")}
_AGAIN = "Copy the folder again from where it was made, or save the vectors again"


def save_vectors(folder: Path, vectors: "Vectors") -> None:
    """Write vectors into a folder of their own, all of it or nothing; older vectors there are replaced.

    Raises:
        RunError: If something else is in the folder, or it cannot be written.
        TrainingError: If the disk is full.
    """
    others = sorted({path.name for path in folder.iterdir()} - {WORDS, MATRIX}) if folder.is_dir() else []
    if others or (folder.exists() and not folder.is_dir()):
        raise RunError(
            f"{folder} holds {others[0] if others else 'a file'}, which is no part of saved vectors. Expected a folder that is "
            "new, empty, or holds vectors only. Choose another folder."
        )
    arrays: dict[str, NDArray[Any]] = {"matrix": vectors.matrix}
    if vectors.scales is not None:
        arrays["scales"] = vectors.scales
    with atomic_folder(folder) as temporary:
        write_bytes(temporary / WORDS, json.dumps(vectors.words, ensure_ascii=False, indent=0).encode())
        write_arrays(temporary / MATRIX, arrays)


def load_vectors(folder: Path, *, unknown: Callable[[str], NDArray[Any] | None] | None = None) -> "Vectors":
    """What `save_vectors` wrote. The matrix is mapped read-only.

    Raises:
        RunError: If the folder or a file is missing, cut off or damaged.
        DataError: If words and matrix do not fit together.
    """
    from malmoi.vectors.vectors import Vectors

    recover_folder(folder)
    for name in (WORDS, MATRIX):
        if not (folder / name).is_file():
            raise RunError(f"{folder / name} is missing. Expected a folder with saved vectors. Check its name.")
    try:
        words = json.loads((folder / WORDS).read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise RunError(f"{folder / WORDS} is damaged ({error}). Expected a JSON list. {_AGAIN}.") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RunError(f"{folder / WORDS} is no list of words. Expected a JSON list of strings. {_AGAIN}.")
    arrays = _mapped(folder / MATRIX)
    if not {"matrix"} <= arrays.keys() <= {"matrix", "scales"}:
        raise RunError(f"{folder / MATRIX} holds {sorted(arrays)}. Expected matrix, and maybe scales. {_AGAIN}.")
    return Vectors(words, arrays["matrix"], arrays.get("scales"), unknown=unknown)


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file, mapped; every place is checked against the size of the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= min(size - 8, LARGEST_HEADER) else b""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        for name, entry in header.items():
            kind, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            n_bytes = kind.itemsize
            for n in shape:
                if type(n) is not int or n < 1:
                    raise ValueError(f"shape {shape}")
                n_bytes *= n
            if type(begin) is not int or begin < 0 or end - begin != n_bytes or 8 + length + end > size:
                raise ValueError(f"{name} lies outside the file")
            if (8 + length + begin) % kind.itemsize:
                raise ValueError(f"{name} is not aligned")
            arrays[name] = np.memmap(path, kind, "r", 8 + length + begin, shape).view(np.ndarray)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError, OverflowError) as error:
        raise RunError(f"{path} is damaged or cut off ({error or 'its header'}). {_AGAIN}.") from None
    return arrays
