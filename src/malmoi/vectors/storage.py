"""Vectors in a folder: two files, read without trust.

    words.json            the words in order
    vectors.safetensors   matrix (V, D) and, where there are any, scales (V,); never pickle

Of sparse vectors, only the numbers that are not 0 are there, row by row: indptr (V + 1,) tells where each row begins, indices
(N,) in which column each number stands, data (N,) the numbers, n_columns (1,) how many columns there are, if not V.

The numbers are mapped: loading runs through them once, to see that all are finite and how long the vectors are, but keeps no
copy, and several processes share one in memory.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import digest_of, mapped, write_arrays
from malmoi.errors import DataError, RunError
from malmoi.files import atomic_file, atomic_folder, recover_folder

if TYPE_CHECKING:
    from malmoi.vectors.vectors import Vectors

WORDS, MATRIX = "words.json", "vectors.safetensors"
WORDS_AT_ONCE = 1 << 12
MOST_COLUMNS = 1 << 24  # of sparse vectors; a query has as many numbers
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
    arrays = vector_arrays(vectors)
    with atomic_folder(folder) as temporary:
        write_files(temporary, vectors.words, arrays)


def write_files(folder: Path, words: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """The two files of some vectors, whose arrays are those of `vector_arrays`, in a folder that may hold others: a run."""
    digest = hashlib.sha256()
    with atomic_file(folder / WORDS) as file:  # some at a time: a JSON text of all takes more than the words themselves
        for piece in _json(words):
            file.write(piece)
            digest.update(piece)
    write_arrays(folder / MATRIX, dict(arrays), {"words": digest.hexdigest()})


def _json(words: Sequence[str]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(words), WORDS_AT_ONCE):
        part = (json.dumps(word, ensure_ascii=False) for word in words[start : start + WORDS_AT_ONCE])
        yield ((",\n" if start else "\n") + ",\n".join(part)).encode()
    yield b"\n]"


def vector_arrays(vectors: "Vectors") -> dict[str, NDArray[Any]]:
    """What vectors.safetensors holds.

    Raises:
        DataError: If sparse vectors are 0 everywhere.
    """
    if vectors.is_sparse:
        matrix = vectors.matrix
        if not matrix.nnz:
            raise DataError(
                "Sparse vectors that are 0 everywhere cannot be saved. Expected numbers other than 0. Count on more text, or "
                "with a wider window."
            )
        arrays = {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data}
        return arrays if vectors.dim == len(vectors) else {**arrays, "n_columns": np.array([vectors.dim], np.int64)}
    return (
        {"matrix": vectors.matrix} if vectors.scales is None else {"matrix": vectors.matrix, "scales": vectors.scales}
    )


class Saved(NamedTuple):
    """What `Vectors` are made of: W words, and their vectors as one matrix with D columns, dense or sparse."""

    words: list[str]
    matrix: Any
    scales: NDArray[np.float32] | None
    is_intact: bool  # whether words and numbers are those that were written


def read_files(folder: Path) -> Saved:
    """What `write_files` wrote. The matrix is mapped read-only.

    Raises:
        RunError: If the folder or a file is missing, cut off or damaged.
    """
    recover_folder(folder)
    for name in (WORDS, MATRIX):
        if not (folder / name).is_file():
            raise RunError(f"{folder / name} is missing. Expected a folder with saved vectors. Check its name.")
    try:
        text = (folder / WORDS).read_bytes()
        words = json.loads(text)
    except (ValueError, RecursionError, OSError) as error:
        raise RunError(f"{folder / WORDS} is damaged ({error}). Expected a JSON list. {_AGAIN}.") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RunError(f"{folder / WORDS} is no list of words. Expected a JSON list of strings. {_AGAIN}.")
    arrays, told = mapped(folder / MATRIX, f"{_AGAIN}.")
    if empty := [name for name, array in arrays.items() if not array.size]:
        raise RunError(f"{folder / MATRIX} is damaged or cut off ({empty[0]} is empty). {_AGAIN}.")
    if "matrix" in arrays and arrays.keys() - {"matrix", "scales"}:
        raise RunError(f"{folder / MATRIX} holds {sorted(arrays)}. Expected matrix, and maybe scales. {_AGAIN}.")
    matrix = arrays["matrix"] if "matrix" in arrays else _sparse(folder / MATRIX, arrays, len(words))
    is_intact = told.get("sha256") == digest_of(arrays) and told.get("words") == hashlib.sha256(text).hexdigest()
    return Saved(words, matrix, arrays.get("scales"), is_intact)


def altered(folder: Path) -> RunError:
    """The error for files that fit together but are not what was written."""
    return RunError(
        f"{folder}: {WORDS} and {MATRIX} do not match their checksums: one was altered after it was written. {_AGAIN}."
    )


def _sparse(path: Path, arrays: dict[str, NDArray[Any]], n_words: int) -> Any:
    """A csr_matrix of mapped parts, once it is sure that they fit together."""
    from scipy.sparse import csr_matrix

    from malmoi.vectors.loops import first_bad_row

    if not {"indptr", "indices", "data"} <= arrays.keys() <= {"indptr", "indices", "data", "n_columns"}:
        raise RunError(
            f"{path} holds {sorted(arrays)}. Expected matrix, or indptr, indices and data of a sparse one. {_AGAIN}."
        )
    starts, columns, numbers = arrays["indptr"], arrays["indices"], arrays["data"]
    n_columns = arrays.get("n_columns", np.array([n_words], np.int64))
    fits = (
        starts.shape == (n_words + 1,)
        and n_columns.shape == (1,)
        and columns.shape == numbers.shape == (len(numbers),)
        and starts.dtype.kind == columns.dtype.kind == n_columns.dtype.kind == "i"
        and numbers.dtype == np.float32
    )
    if not fits or starts[0] or starts[-1] != len(numbers) or not 0 < n_columns[0] <= MOST_COLUMNS:
        raise RunError(
            f"{path} holds a sparse matrix whose parts do not fit together, or not the {n_words:,} words. Expected a row for "
            f"each word, and as many places as numbers. {_AGAIN}."
        )
    if (row := first_bad_row(starts, columns, int(n_columns[0]))) >= 0:
        raise RunError(
            f"{path}: row {row:,} of the sparse matrix is damaged. Expected columns in rising order, each below "
            f"{n_columns[0]:,}. {_AGAIN}."
        )
    return csr_matrix((numbers, columns, starts), (n_words, int(n_columns[0])))
