"""Models of fastText (.bin): the vectors of their words, and of unseen words from n-grams.

The file, all numbers in little-endian order:

    int32                   793712314, then the version: 11 or 12
    12 int32, float64       dim, window, epochs, min count, negatives, word n-grams, loss, model (1 cbow, 2 skip-gram,
                            3 supervised), buckets B, shortest and longest n-gram, update rate; subsampling threshold
    3 int32, 2 int64        entries, words V and labels in the dictionary; tokens; pruned n-grams (-1: not pruned)
    the entries             each: the bytes of the word, 0, int64 count, int8 (0 a word, 1 a label); words come first
    int8                    whether the input matrix is quantised
    2 int64, float32s       V + B and D; the input matrix, row by row
    int8, 2 int64, float32s the output matrix in the same way

The input matrix is mapped, not read into memory: for the life of the vectors the file has to stay as it is.

Source: Bojanowski et al. 2017 (arXiv:1607.04606); fastText, `saveModel`, for the layout.

Shapes: V words, D numbers a word, B buckets.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.models.word2vec import subword_kernels
from malmoi.models.word2vec.subwords import MOST_BUCKETS, MOST_SYMBOLS, Subwords, SubwordSettings
from malmoi.text.inputs import explained
from malmoi.vectors.files.stream import FASTTEXT, LARGEST_DIM, LONGEST_WORD, Progress, refuse_wrong_request
from malmoi.vectors.vectors import Vectors

VERSIONS = (11, 12)
SUPERVISED = 3
END_OF_SENTENCE = b"</s>"  # has no n-grams
SMALLEST_ENTRY = 11  # bytes: a letter, 0, count, kind
N_GRAMS_AT_ONCE = 1 << 22  # whose rows are known at a time, about
_AGAIN = "The file was cut off or changed: fetch it or make it again"


@dataclass(frozen=True)
class _Head:
    """What a file says of itself before the words."""

    dim: int
    shortest: int
    longest: int  # 0: no n-grams
    n_buckets: int
    n_entries: int
    n_words: int
    end: int  # where the entries begin


@dataclass(frozen=True)
class _FromNGrams:
    """The vector of an unseen word; see `Subwords.compose`."""

    path: Path
    subwords: Subwords
    bucket_rows: NDArray[Any]

    def __call__(self, word: str) -> Float32[np.ndarray, " dim"] | None:
        vector = self.subwords.compose(word, self.bucket_rows)
        if vector is not None and not np.isfinite(vector).all():
            raise DataError(
                f"{self.path}: the n-grams of {word[:60]!r} hold NaN or infinity. Expected finite numbers. {_AGAIN}."
            )
        return vector


def read_fasttext(path: str | Path, *, limit: int | None = None, progress: Progress | None = None) -> Vectors:
    """Read a model of word vectors that fastText has trained.

    Bytes of a word that are no UTF-8 stand in its name as \\xNN.

    Args:
        limit: How many words to read at most, from the start, where the frequent ones stand.
        progress: Told how many bytes of the file have been worked through, and how many there are.

    Returns:
        The words in their order with the vectors that fastText gives them, and `unknown` for others, which are brought to NFC;
        None where the model has no n-grams.

    Raises:
        DataError: If the file is missing, damaged or cut off, or a kind of model that holds no such vectors.
    """
    path = Path(path)
    refuse_wrong_request(path, limit, "a model of fastText (.bin)")
    with explained(str(path)), open(path, "rb") as file:
        if file.read(len(FASTTEXT)) != FASTTEXT:
            _refuse(path, "it does not begin as models of fastText do. Expected a file that fastText has saved as .bin")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    head = _read_head(path, data)
    names, at = _read_words(path, data, head)
    inputs = _map_inputs(path, data, head, at)
    names = names[:limit]

    def tell(n_done: int) -> None:
        if progress is not None:
            progress(len(data) * n_done // len(names), len(data))

    return _put_together(path, head, names, inputs, tell)


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError(f"{path}: {problem}.")


def _read_head(path: Path, data: mmap.mmap) -> _Head:
    form = struct.Struct("<14id3i2q")
    if len(data) < form.size:
        _refuse(path, f"it ends after {len(data)} bytes, before the first word. {_AGAIN}")
    _, version, dim, *rest = form.unpack_from(data)
    model, n_buckets, shortest, longest = rest[6:10]
    n_entries, n_words, n_labels, _, n_pruned = rest[12:]
    if version not in VERSIONS:
        _refuse(
            path, f"a model of version {version}. Expected version 11 or 12. Train or save it with a newer fastText"
        )
    if model == SUPERVISED:
        _refuse(
            path,
            "a supervised model, whose vectors were trained to tell labels apart. Expected a model of fastText skipgram or "
            "fastText cbow. Write its vectors as text with fastText print-word-vectors, if these are wanted",
        )
    if n_pruned >= 0:
        _refuse(path, f"a pruned model, as quantise -cutoff makes them. {_WHOLE}")
    fits = 1 <= dim <= LARGEST_DIM and model in (1, 2) and n_entries == n_words + n_labels and n_labels >= 0
    fits = fits and 1 <= n_words <= n_entries <= len(data) // SMALLEST_ENTRY
    fits = fits and 0 <= longest <= MOST_SYMBOLS and (1 if longest else 0) <= n_buckets <= MOST_BUCKETS
    if not fits:
        _refuse(
            path,
            f"it promises {n_words:,} words and {n_labels:,} labels of {n_entries:,}, {dim:,} numbers each, model {model}, and "
            f"n-grams from {shortest} to {longest} in {n_buckets:,} buckets. Expected counts that fit together and into "
            f"{len(data):,} bytes. {_AGAIN}",
        )
    shortest = max(shortest, 1)
    longest = longest if shortest <= longest else 0  # then there are none
    return _Head(dim, shortest, longest, n_buckets, n_entries, n_words, form.size)


_WHOLE = "Expected a whole model, with a row for each bucket. Give the .bin file that it was made from"


def _read_words(path: Path, data: mmap.mmap, head: _Head) -> tuple[list[bytes], int]:
    """The words, and where the entries end."""
    names: list[bytes] = []
    at = head.end
    for i in range(head.n_entries):
        end = data.find(b"\0", at, at + LONGEST_WORD + 1)
        if end <= at or end + 10 > len(data):
            _refuse(
                path,
                f"the word after {i:,} of {head.n_entries:,} is empty, has more than {LONGEST_WORD:,} bytes or is cut off. "
                f"Expected its bytes, its count and its kind. {_AGAIN}",
            )
        if data[end + 9] != (0 if i < head.n_words else 1):
            _refuse(
                path,
                f"entry {i + 1:,} is of kind {data[end + 9]}. Expected {head.n_words:,} words (0) and then "
                f"{head.n_entries - head.n_words:,} labels (1). {_AGAIN}",
            )
        if i < head.n_words:
            names.append(data[at:end])
        at = end + 10
    return names, at


def _map_inputs(path: Path, data: mmap.mmap, head: _Head, at: int) -> NDArray[Any]:
    """The input matrix (V + B, D), mapped; the output matrix behind it is looked at for its size alone."""
    after = at
    n_rows = head.n_words + head.n_buckets
    for name, expected in (("input", n_rows), ("output", head.n_words)):
        if after + 17 > len(data):
            _refuse(path, f"it ends before the {name} matrix. {_AGAIN}")
        is_quantised, *shape = struct.unpack_from("<bqq", data, after)
        if is_quantised:
            _refuse(path, f"a quantised model (.ftz), whose numbers are rounded away. {_WHOLE}")
        after += 17 + 4 * expected * head.dim
        if shape != [expected, head.dim] or after > len(data):
            _refuse(
                path,
                f"an {name} matrix of {shape[0]:,} rows of {shape[1]:,} in a file of {len(data):,} bytes. Expected "
                f"{expected:,} rows of {head.dim:,}, which end at byte {after:,}. {_AGAIN}",
            )
    return np.ndarray((n_rows, head.dim), "<f4", data, at + 17)


def _put_together(
    path: Path, head: _Head, names: list[bytes], inputs: NDArray[Any], tell: Callable[[int], None]
) -> Vectors:
    """The vectors of some words; `tell` is told how many are there."""
    settings, unknown = SubwordSettings(), None
    if head.longest:
        settings = SubwordSettings(shortest=head.shortest, longest=head.longest, n_buckets=head.n_buckets)
        unknown = _FromNGrams(path, Subwords.build([], settings), inputs[head.n_words :])
    matrix = np.empty((len(names), head.dim), np.float32)
    start = 0
    while start < len(names):
        stop, n_n_grams = start, 0
        while stop < len(names) and n_n_grams < N_GRAMS_AT_ONCE:
            n_n_grams += 1 + (len(names[stop]) + 2) * head.longest
            stop += 1
        has_n_grams = [head.longest > 0 and name != END_OF_SENTENCE for name in names[start:stop]]
        spelt = [
            name.decode("utf-8", "surrogateescape") if has else ""
            for name, has in zip(names[start:stop], has_n_grams, strict=True)
        ]
        subwords = Subwords.build(spelt, settings)
        rows = subwords.rows + np.int32(head.n_words - len(spelt))  # the buckets of a part, among all rows
        rows[subwords.starts[:-1]] = np.arange(start, stop)
        subword_kernels.mean_rows(subwords.starts, rows, inputs, matrix[start:stop])
        start = stop
        tell(start)
    try:
        return Vectors([name.decode("utf-8", "backslashreplace") for name in names], matrix, unknown=unknown)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
