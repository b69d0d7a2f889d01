"""Word vectors: which words are near, and what can be reckoned with them.

Nearness is the cosine of the angle between two vectors. Every sum of words (analogies, centroids, expressions) is a sum of
vectors of length 1, so that no word counts for more because it is frequent and therefore long.

Source: Mikolov et al. 2013 (arXiv:1301.3781) for analogies by addition (3CosAdd); Levy & Goldberg 2014, "Linguistic
regularities in sparse and explicit word representations", for 3CosMul.

Shapes: V words, D numbers a word, Q queries.
"""

import difflib
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.vectors.expressions import reckon

BLOCK = 1 << 22  # numbers that are float32 at a time
ALONE = 1 << 22  # stored numbers up to which one thread is quicker than several
MOST_ONE_HOT = 10_000  # words; their matrix has as many numbers, squared
EPSILON = 1e-3  # keeps 3CosMul from dividing by 0, as in the paper
MOST_COMPARED = 20_000  # words whose spelling is compared with that of a missing one
SHORTEST = 1e-30  # length below which a stored row has no direction: float32 could not tell

Query = str | NDArray[Any]


class Neighbour(NamedTuple):
    word: str
    cosine: float  # for 3CosMul: its score


class Quantised(NamedTuple):
    vectors: "Vectors"
    largest_error: float  # of the cosine of a stored word with any query


class Vectors:
    """Words and their vectors."""

    def __init__(
        self,
        words: Sequence[str],
        matrix: NDArray[Any],
        scales: NDArray[np.float32] | None = None,
        *,
        unknown: Callable[[str], NDArray[Any] | None] | None = None,
    ) -> None:
        """Take words and the rows that stand for them; the matrix is not copied, and may be mapped from a file.

        Args:
            words: V different words; where they are sorted by frequency, `first` and near spellings make use of it.
            matrix: (V, D) float32, float16 or int8; float64 becomes float32.
            scales: (V,) What each row is to be multiplied by; None for 1. int8 needs them.
            unknown: The vector (D,) of a word that is not among `words`, or None if there is none: for subwords.

        Raises:
            DataError: If words and matrix do not fit together, a word is there twice, or a number is NaN or infinite.
        """
        if matrix.ndim != 2 or len(matrix) != len(words) or not matrix.size:
            raise DataError(
                f"{len(words):,} words and a matrix of shape {matrix.shape}. Expected one row for each of one or more words. "
                "Give both from the same model."
            )
        if matrix.dtype == np.float64:
            with np.errstate(over="ignore"):
                matrix = matrix.astype(np.float32)
        if matrix.dtype not in (np.float32, np.float16, np.int8) or (matrix.dtype == np.int8 and scales is None):
            without = " without scales" if matrix.dtype == np.int8 else ""
            raise DataError(
                f"A matrix of {matrix.dtype}{without}. Expected float32, float16, or int8 with a scale for each row. Convert "
                "it: matrix.astype(numpy.float32)."
            )
        if scales is not None and (
            scales.shape != (len(words),)
            or scales.dtype != np.float32
            or not (np.isfinite(scales) & (scales >= 0)).all()
        ):
            raise DataError(
                f"Scales of shape {scales.shape} and type {scales.dtype} for {len(words):,} rows. Expected a finite float32 of "
                "0 or more for each row. Quantise the vectors again."
            )
        self.words = list(words)
        self.matrix, self.scales, self.unknown = np.ascontiguousarray(matrix), scales, unknown
        self.ids = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(self.ids) < len(self.words):
            place = next(i for i, word in enumerate(self.words) if self.ids[word] != i)
            raise DataError(
                f"The word {self.words[place][:60]!r} is there twice, at {place} and {self.ids[self.words[place]]}. Expected "
                "every word once. Remove one of the two."
            )
        try:
            has_letters = "".join(self.words).encode() != b"" and "" not in self.ids
        except UnicodeEncodeError:
            has_letters = False
        if not has_letters:
            raise DataError(
                "A word is empty or no valid Unicode (half of a surrogate pair). Expected letters. Remove the word."
            )
        self._norms = np.empty(len(self.words), np.float32)  # of the rows as they are stored, without scales
        for start, rows in self._blocks():
            with np.errstate(over="ignore"):
                norms = np.sqrt(np.einsum("vd,vd->v", rows, rows, dtype=np.float64)).astype(np.float32)
            if not np.isfinite(norms).all():
                place = start + int(np.flatnonzero(~np.isfinite(norms))[0])
                raise DataError(
                    f"The vector of {self.words[place][:60]!r} holds NaN, infinity or too large numbers. Expected "
                    "finite numbers and a length that float32 can hold. Train again with a lower rate, or remove the word."
                )
            self._norms[start : start + len(rows)] = norms
        with np.errstate(divide="ignore", over="ignore"):
            self._per_norm = np.where(self._norms > SHORTEST, np.float32(1) / self._norms, np.float32(0))

    # What there is

    @property
    def dim(self) -> int:
        """D."""
        return int(self.matrix.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.place(word) is not None

    def __getitem__(self, word: str) -> Float32[np.ndarray, " dim"]:
        """The vector of a word, as it was trained: not of length 1.

        Raises:
            DataError: If there is none; with the nearest spellings.
        """
        place = self.place(word)
        if place is not None:
            row: NDArray[np.float32] = self.rows(np.array([place]))[0]
            return row
        vector = None if self.unknown is None else self.unknown(word)
        if vector is None:
            raise DataError(self._missing(word))
        return self._checked(vector)

    def rows(self, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """The vectors of some words by their place."""
        rows: NDArray[np.float32] = self.matrix[ids].astype(np.float32)
        return rows if self.scales is None else rows * self.scales[ids, None]

    def unit(self, query: Query) -> Float32[np.ndarray, " dim"]:
        """The direction of a word or a vector, with length 1; 0 where there is no direction.

        Raises:
            DataError: If the word is missing, or the vector does not fit.
        """
        vector: np.ndarray = (self[query] if isinstance(query, str) else self._checked(query)).astype(np.float64)
        largest = np.abs(vector).max()
        if largest > 0:
            vector /= largest  # so that no square is too small or too large
            vector /= np.sqrt(vector @ vector)
        return vector.astype(np.float32)

    def first(self, n: int) -> "Vectors":
        """The first n words alone, usually the most frequent ones; all of them if there are fewer."""
        if n < 1:
            raise ConfigError(f"The first {n} words were asked for. Expected 1 or more. Ask for more.")
        scales = None if self.scales is None else self.scales[:n]
        return Vectors(self.words[:n], self.matrix[:n], scales, unknown=self.unknown)

    # Nearness

    def cosine(self, first: Query, second: Query) -> float:
        """The cosine of the angle between two words or vectors, from -1 to 1; 0 if one of them is 0."""
        return float(np.clip(self.unit(first) @ self.unit(second), -1, 1))

    def cosines(self, queries: NDArray[Any]) -> Float32[np.ndarray, "queries words"]:
        """The cosine of each query (Q, D) with every word; it takes 4 Q V bytes.

        Raises:
            DataError: If the queries do not fit.
        """
        if queries.ndim != 2:
            raise DataError(f"Queries of shape {queries.shape}. Expected (queries, {self.dim}). Give one row for each.")
        units = (
            np.stack([self.unit(query) for query in queries]) if len(queries) else np.zeros((0, self.dim), np.float32)
        )
        found = np.empty((len(units), len(self)), np.float32)
        if len(units) == 1 and self.matrix.dtype == np.float32:
            np.matmul(self.matrix, units[0], out=found[0])
        elif len(units) == 1:
            self._stored_dots(units[0], found[0])
        else:
            for start, rows in self._blocks():
                np.matmul(units, rows.T, out=found[:, start : start + len(rows)])
        found *= self._per_norm
        return found

    def similar(self, query: Query, k: int = 10, exclude: Iterable[str] = ()) -> list[Neighbour]:
        """The k words nearest to a word or a vector, nearest first; exact.

        Args:
            query: A word, which is left out itself, or a vector (D,).
            k: How many.
            exclude: Words to leave out; those that are missing are passed over.

        Raises:
            DataError: If the word is missing, or the vector does not fit.
        """
        self._check_k(k)
        left_out = [*exclude, query] if isinstance(query, str) else list(exclude)
        return self._best(self.cosines(self.unit(query)[None])[0], k, left_out)

    def centroid(self, words: Sequence[str]) -> Float32[np.ndarray, " dim"]:
        """The middle of some words, for `similar`: the mean of their directions.

        Raises:
            DataError: If there are none, or one is missing.
        """
        if not words:
            raise DataError("The middle of no words was asked for. Expected one word or more. Give some.")
        units = np.stack([self.unit(word) for word in words]).astype(np.float64)
        middle: NDArray[np.float32] = (units.sum(axis=0) / len(words)).astype(np.float32)
        return middle

    def analogy(
        self,
        positive: Sequence[Query],
        negative: Sequence[Query] = (),
        k: int = 10,
        *,
        method: Literal["3cosadd", "3cosmul"] = "3cosadd",
    ) -> list[Neighbour]:
        """What is near to `positive` and far from `negative`: analogy(["왕", "여자"], ["남자"]) looks for 여왕.

        3cosadd adds the directions and takes the words nearest to the sum. 3cosmul multiplies similarities instead, so that
        none of them drowns the others: prod (1 + cos)/2 over `positive`, divided by the same over `negative` plus 0.001.

        The words asked with are left out of the answer.

        Raises:
            DataError: If both lists are empty, or a word is missing.

        Source: Levy & Goldberg 2014, equations 3 and 5.
        """
        self._check_k(k)
        asked = [*positive, *negative]
        if not asked:
            raise DataError("An analogy of no words was asked for. Expected one word or more. Give some.")
        units = np.stack([self.unit(query) for query in asked])
        left_out = [query for query in asked if isinstance(query, str)]
        if method == "3cosadd":
            signs = np.repeat([1.0, -1.0], [len(positive), len(negative)])
            return self._best(self.cosines((signs @ units)[None])[0], k, left_out)
        scores = np.ones(len(self), np.float32)
        for i, unit in enumerate(units):
            share = (1 + self.cosines(unit[None])[0]) / 2
            scores = scores * share if i < len(positive) else scores / (share + np.float32(EPSILON))
        return self._best(scores, k, left_out)

    def odd_one_out(self, words: Sequence[str]) -> str:
        """The word that lies farthest from the middle of all.

        Raises:
            DataError: If there are fewer than three words, or one is missing.
        """
        if len(words) < 3:
            raise DataError(f"The odd one out of {len(words)} was asked for. Expected three words or more. Add some.")
        middle = self.centroid(words)
        return min(words, key=lambda word: float(self.unit(word) @ middle))

    def evaluate(self, expression: str, k: int = 10) -> list[Neighbour]:
        """The words nearest to the value of an expression, such as `왕 - 남자 + 여자`, without those in it.

        Raises:
            DataError: If the expression is none, or a word is missing.
        """
        self._check_k(k)
        vector, words = self.value(expression)
        return self._best(self.cosines(vector[None])[0], k, words)

    def value(self, expression: str) -> tuple[Float32[np.ndarray, " dim"], list[str]]:
        """The value of an expression of words as in `expressions`, each of length 1, and the words."""
        return reckon(expression, self.unit)

    # Other forms

    def quantised(self, kind: Literal["float16", "int8"]) -> Quantised:
        """The same words with a half or a quarter of the bytes, and what that costs.

        Each row is divided by its largest number (int8: so that this becomes 127) and rounded.

        Returns:
            The vectors, and the largest error of a cosine: however a query lies, its cosine with a stored word is off by no
            more than the distance between the word's directions before and after.
        """
        matrix = np.empty(self.matrix.shape, kind)
        scales, worst = np.empty(len(self), np.float32), 0.0
        for start, stored in self._blocks():
            stop = start + len(stored)
            rows = stored.astype(np.float64)
            if self.scales is not None:
                rows *= self.scales[start:stop, None]
            largest = np.abs(rows).max(axis=1)
            steps = 127 if kind == "int8" else 1
            scales[start:stop] = largest / steps
            parts = rows * (steps / np.where(largest > 0, largest, 1))[:, None]
            matrix[start:stop] = np.rint(parts) if kind == "int8" else parts
            rounded = matrix[start:stop].astype(np.float64)
            distance = np.linalg.norm(_directions(rounded) - _directions(parts), axis=1)
            worst = max(worst, float(distance.max()))
        return Quantised(Vectors(self.words, matrix, scales, unknown=self.unknown), worst)

    @classmethod
    def one_hot(cls, words: Sequence[str]) -> "Vectors":
        """Every word a direction of its own: the cosine, and the dot product, of any two is 0.

        Raises:
            ConfigError: If there are too many words for a matrix of V x V.
        """
        if len(words) > MOST_ONE_HOT:
            raise ConfigError(
                f"One-hot vectors of {len(words):,} words would take {len(words) ** 2:,} bytes, all but {len(words):,} of them "
                f"0. Expected at most {MOST_ONE_HOT:,} words. Give the most frequent ones."
            )
        return cls(words, np.eye(len(words), dtype=np.int8), np.ones(len(words), np.float32))

    def save(self, folder: str | Path) -> None:
        """Write the vectors into a folder of their own; see `storage.save_vectors`."""
        from malmoi.vectors.storage import save_vectors

        save_vectors(Path(folder), self)

    @classmethod
    def load(cls, folder: str | Path, *, unknown: Callable[[str], NDArray[Any] | None] | None = None) -> "Vectors":
        """What `save` wrote, mapped from the file: see `storage.load_vectors`."""
        from malmoi.vectors.storage import load_vectors

        return load_vectors(Path(folder), unknown=unknown)

    # Behind the scenes

    def place(self, word: str) -> int | None:
        """Which row stands for a word; None if there is none."""
        place = self.ids.get(word)
        return self.ids.get(unicodedata.normalize("NFC", word)) if place is None else place

    def _checked(self, vector: NDArray[Any]) -> NDArray[np.float32]:
        if vector.shape != (self.dim,) or vector.dtype.kind not in "fiu" or not np.isfinite(vector).all():
            raise DataError(
                f"A vector of shape {vector.shape} and type {vector.dtype} was given. Expected {self.dim} finite numbers, as "
                "many as each of these words has. Give a vector of the same model."
            )
        return vector.astype(np.float32)

    def _check_k(self, k: int) -> None:
        if k < 1:
            raise ConfigError(f"The {k} nearest words were asked for. Expected 1 or more. Ask for more.")

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, rows as float32 without their scales), some at a time."""
        together = max(1, BLOCK // self.dim)
        for start in range(0, len(self), together):
            yield start, self.matrix[start : start + together].astype(np.float32, copy=False)

    def _stored_dots(self, unit: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """out[v] = the dot product of a query with row v, which is float16 or int8, without its scale."""
        from malmoi.vectors import loops

        loop: Callable[..., None] = loops.code_dots
        rows, query = self.matrix, unit
        if self.matrix.dtype == np.float16:
            loop, rows, query = loops.half_dots, self.matrix.view(np.int16), unit * loops.HALF_FACTOR
        n_threads = _cores() if rows.size > ALONE else 1
        bounds = np.linspace(0, len(rows), n_threads + 1).astype(int)
        if n_threads == 1:
            loop(rows, query, out)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            for done in [
                pool.submit(loop, rows[start:stop], query, out[start:stop]) for start, stop in pairwise(bounds.tolist())
            ]:
                done.result()

    def _best(self, scores: NDArray[np.float32], k: int, left_out: Iterable[str]) -> list[Neighbour]:
        places = {place for word in left_out if (place := self.place(word)) is not None}
        scores[list(places)] = -np.inf
        best = highest(scores, min(k, len(self) - len(places)))
        return [Neighbour(self.words[i], float(scores[i])) for i in best]

    def _missing(self, word: str) -> str:
        near = self.near_spellings(word)
        meant = f" Did you mean {', '.join(near)}?" if near else ""
        return (
            f"There is no vector for {word[:60]!r}.{meant} Expected one of the {len(self):,} words of the model, such as "
            f"{', '.join(self.words[:3])[:100]}. Choose another word, or a model with subwords."
        )

    def near_spellings(self, word: str, n: int = 3) -> list[str]:
        """Words that are spelt much like a missing one; of a large vocabulary, those that come first are looked at."""
        folded = unicodedata.normalize("NFC", word).casefold()
        if not 0 < len(folded) <= 60:
            return []
        same = list(islice((other for other in self.words if other.casefold() == folded), n))
        alike = (
            other
            for other in self.words
            if abs(len(other) - len(folded)) <= 2 and (other[0] == folded[0] or other[-1] == folded[-1])
        )
        close = difflib.get_close_matches(folded, islice(alike, MOST_COMPARED), n, 0.6)
        return list(dict.fromkeys(same + close))[:n]


def highest(scores: Float32[np.ndarray, " n"], k: int) -> Int64[np.ndarray, " k"]:
    """Where the k highest scores stand, highest first, and those that come first where scores are equal.

    The k-th highest of the maxima of pieces is a lower bound for the k-th highest of all, and few scores reach it; finding
    them is several times quicker than partitioning everything.
    """
    if k <= 0:
        return np.zeros(0, np.int64)
    piece = 256
    whole = len(scores) // piece * piece
    maxima = scores[:whole].reshape(-1, piece).max(axis=1)
    if len(maxima) >= 4 * k:
        bound = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
        candidates = np.flatnonzero(scores >= bound)
    else:
        candidates = np.arange(len(scores))
    if len(candidates) > 4 * k:  # many equal scores, or few words
        bound = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
        candidates = candidates[scores[candidates] >= bound]
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    return candidates[order].astype(np.int64)


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    directions = np.zeros_like(rows)
    np.divide(rows, norms, out=directions, where=norms > 0)
    return directions


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
