"""Word vectors: which words are near, and what can be reckoned with them.

Nearness is the cosine of the angle between two vectors. Every sum of words (analogies, centroids, expressions) is a sum of
vectors of length 1, so that no word counts for more because it is frequent and therefore long.

Source: Mikolov et al. 2013 (arXiv:1301.3781) for analogies by addition (3CosAdd); Levy & Goldberg 2014, "Linguistic
regularities in sparse and explicit word representations", for 3CosMul.

Shapes: V words, D numbers a word, Q queries.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.vectors.dense import DenseRows
from malmoi.vectors.expressions import reckon
from malmoi.vectors.search import highest
from malmoi.vectors.wordlist import WordList

if TYPE_CHECKING:
    from malmoi.vectors.sparse import SparseRows

MOST_ONE_HOT = 10_000  # words; their matrix has as many numbers, squared
EPSILON = 1e-3  # keeps 3CosMul from dividing by 0, as in the paper

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
        matrix: Any,
        scales: NDArray[np.float32] | None = None,
        *,
        unknown: Callable[[str], NDArray[Any] | None] | None = None,
    ) -> None:
        """Take words and the rows that stand for them; the matrix is not copied, and may be mapped from a file.

        Args:
            words: V different words; where they are sorted by frequency, `first` and near spellings make use of it.
            matrix: (V, D) An array of float32, float16 or int8; float64 becomes float32. Or a scipy csr_matrix, for rows that
                are 0 nearly everywhere, as those of PPMI: it never becomes dense.
            scales: (V,) What each row of an array is to be multiplied by; None for 1. int8 needs them.
            unknown: The vector (D,) of a word that is not among `words`, or None if there is none: for subwords.

        Raises:
            DataError: If words and matrix do not fit together, a word is there twice, or a number is NaN or infinite.
        """
        if len(matrix.shape) != 2 or matrix.shape[0] != len(words) or not all(matrix.shape):
            raise DataError(
                f"{len(words):,} words and a matrix of shape {matrix.shape}. Expected one row for each of one or more words. "
                "Give both from the same model."
            )
        self._list = WordList(words)
        self._rows = _stored(matrix, scales, self._list.words)
        self.words, self.ids = self._list.words, self._list.ids
        self.matrix: Any = self._rows.matrix
        self.scales: NDArray[np.float32] | None = self._rows.scales
        self.unknown = unknown

    # What there is

    @property
    def dim(self) -> int:
        """D."""
        return self._rows.dim

    @property
    def is_sparse(self) -> bool:
        """Whether `matrix` is a csr_matrix."""
        return not isinstance(self._rows, DenseRows)

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
            raise DataError(self._list.missing(word))
        return self._checked(vector)

    def rows(self, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """The vectors of some words by their place."""
        return self._rows.take(ids)

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
        return Vectors(self.words[:n], *self._rows.first(n), unknown=self.unknown)

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
        return self._rows.cosines(units)

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
            DataError: If the expression is none or comes to 0, or a word is missing.
        """
        self._check_k(k)
        vector, words = self.value(expression)
        if not vector.any():
            raise DataError(
                f"{expression[:60]!r} comes to 0, which is near to no word. Expected words that do not cancel each other. "
                "Change the expression."
            )
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

        Raises:
            ConfigError: If the vectors are sparse.
        """
        matrix, scales, error = self._rows.quantised(kind)
        return Quantised(Vectors(self.words, matrix, scales, unknown=self.unknown), error)

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
        """What `save` wrote, mapped from the file.

        Args:
            folder: Where it was written.
            unknown: Gives the vector (D,) of a word that is not among them, or None.

        Raises:
            RunError: If the folder or a file is missing, cut off or damaged.
            DataError: If words and matrix do not fit together.
        """
        from malmoi.vectors.storage import altered, read_files

        saved = read_files(Path(folder))
        vectors = cls(saved.words, saved.matrix, saved.scales, unknown=unknown)
        if not saved.is_intact:
            raise altered(Path(folder))
        return vectors

    # Behind the scenes

    def place(self, word: str) -> int | None:
        """Which row stands for a word; None if there is none."""
        return self._list.place(word)

    def near_spellings(self, word: str, n: int = 3) -> list[str]:
        """Words that are spelt much like a missing one; see `WordList`."""
        return self._list.near_spellings(word, n)

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

    def _best(self, scores: NDArray[np.float32], k: int, left_out: Iterable[str]) -> list[Neighbour]:
        places = {place for word in left_out if (place := self.place(word)) is not None}
        scores[list(places)] = -np.inf
        best = highest(scores, min(k, len(self) - len(places)))
        return [Neighbour(self.words[i], float(scores[i])) for i in best]


def _stored(matrix: Any, scales: NDArray[np.float32] | None, words: Sequence[str]) -> "DenseRows | SparseRows":
    if isinstance(matrix, np.ndarray):
        return DenseRows(matrix, scales, words)
    from scipy.sparse import issparse

    if not issparse(matrix) or matrix.format != "csr" or matrix.dtype.kind != "f" or scales is not None:
        raise DataError(
            f"A matrix of the type {type(matrix).__name__}{'' if scales is None else ' with scales'}. Expected an array, or a "
            "scipy csr_matrix of floats without scales. Convert it: matrix.tocsr().astype(numpy.float32)."
        )
    from malmoi.vectors.sparse import SparseRows

    return SparseRows(matrix, words)
