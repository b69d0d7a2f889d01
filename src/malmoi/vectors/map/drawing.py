"""Choose the words of a map, lay them out, and work out what its page has to know about them.

Shapes: N words on the map, D numbers each, k neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int8, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.vectors import Vectors
from malmoi.vectors.projection import (
    Nearest,
    Projection,
    Trust,
    available_method,
    clusters,
    main_directions,
    nearest,
    project,
    trust,
)

TOP = 2000  # words
WIDE = 1000  # numbers a word, from which it is worth while to have no more than there are words
MOST_WORDS = 20_000  # that a browser draws smoothly
MOST_NUMBERS = 1 << 27  # of all vectors together, while the map is made
MOST_CODES, WIDEST_CODE = 1 << 21, 320  # bytes of vectors in a page: of all, and of one
NEIGHBOURS = 10
GROUPS = 12
FREQUENT, HEADS = 40, 3  # words of a group that may stand for it, and that do


class Analogy(NamedTuple):
    """a is to b as c is to d."""

    words: tuple[int, ...]  # a, b, c, d: their numbers on the map
    is_found: bool  # d is the answer of the vectors, and was not given


@dataclass(frozen=True)
class WordMap:
    """Words on a plane, and what is near to what in the full space."""

    name: str  # of the vectors
    words: tuple[str, ...]
    ranks: Int64[
        np.ndarray, " words"
    ]  # place among all words of the vectors, from 1, the most frequent first; 0: not among them
    n_known: int  # words that the vectors have
    dim: int
    projection: Projection
    trust: Trust | None  # None of fewer than three words
    nearest: Nearest  # among the words on the map, by the cosine of the whole vectors
    groups: Int64[np.ndarray, " words"]
    heads: tuple[
        tuple[int, ...], ...
    ]  # for each group, some frequent words from its middle; by their numbers on the map
    codes: Int8[
        np.ndarray, "words code_dim"
    ]  # the vectors, each to its own scale; only their main directions where all are too many
    analogies: tuple[Analogy, ...] = ()
    missing: tuple[str, ...] = ()  # asked for, and without a vector

    def to_dict(self) -> dict[str, Any]:
        """Figures, and where each word lies, in plain types."""
        told = self.trust
        return {
            "vectors": self.name,
            "method": self.projection.method,
            "seed": self.projection.seed,
            "variance": self.projection.variance,
            "trustworthiness": told and told.trustworthiness,
            "neighbours_kept": told and told.kept,
            "neighbours": told and told.k,
            "dim": self.dim,
            "vocabulary": self.n_known,
            "words": [
                {"word": word, "rank": int(rank) or None, "x": float(x), "y": float(y), "group": int(group)}
                for word, rank, (x, y), group in zip(
                    self.words, self.ranks, self.projection.points, self.groups, strict=True
                )
            ],
            "analogies": [
                {"words": [self.words[i] for i in found.words], "found": found.is_found} for found in self.analogies
            ],
            "missing": list(self.missing),
        }


def draw(
    vectors: Vectors,
    *,
    top: int | None = None,
    words: Sequence[str] | None = None,
    method: str | None = None,
    seed: int = 0,
    analogies: Sequence[str] = (),
    name: str = "",
) -> WordMap:
    """Lay words out on a map.

    Args:
        vectors: Whose words.
        top: The first so many words, which are the most frequent ones; 2,000 where neither this nor `words` is given.
        words: These words; with `top` both. Words without a vector are left out and named in `missing`.
        method: `pca`, `tsne` or `umap`; None is t-SNE where scikit-learn is installed, else PCA.
        seed: Of what the method draws by chance.
        analogies: "a b c d": a is to b as c is to d; "a b c" lets the vectors find d. Their words are on the map, too.
        name: Of the vectors, for people.

    Raises:
        ConfigError: If there are too many words, or a setting is out of range.
        DataError: If there are too few words, or an analogy has a wrong number of words or one without a vector.
        MissingExtraError: If the package of the method is not installed.
    """
    asked = [_four_words(vectors, analogy) for analogy in analogies]
    shown, missing = _choose(vectors, top, words, [word for four, _ in asked for word in four])
    units = np.stack([vectors.unit(word) for word in shown])
    if vectors.dim > max(WIDE, len(shown)):  # N words span N directions at most: nothing is lost
        units = main_directions(units.astype(np.float64), len(shown)).astype(np.float32)
    projection = project(units, method or available_method(), seed=seed)
    ranks = np.array([-1 if (place := vectors.place(word)) is None else place for word in shown]) + 1
    numbers = {word: i for i, word in enumerate(shown)}
    groups = clusters(units, min(GROUPS, max(1, len(shown) // 5)), seed=seed)
    return WordMap(
        name=name,
        words=tuple(shown),
        ranks=ranks,
        n_known=len(vectors),
        dim=vectors.dim,
        projection=projection,
        trust=trust(units, projection.points, NEIGHBOURS) if len(shown) > 2 else None,
        nearest=nearest(units, NEIGHBOURS),
        groups=groups,
        heads=_heads(units, groups),
        codes=_codes(units),
        analogies=tuple(Analogy(tuple(numbers[word] for word in four), is_found) for four, is_found in asked),
        missing=tuple(missing),
    )


def _choose(
    vectors: Vectors, top: int | None, words: Sequence[str] | None, needed: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The words on the map, the frequent ones first as the page likes them; and those without a vector."""
    if top is not None and top < 1:
        raise ConfigError(f"A map of the first {top} words was asked for. Expected 1 or more. Ask for more.")
    n_first = min(len(vectors), TOP if top is None and words is None else top or 0)
    _check_size(n_first, vectors.dim)
    chosen, missing = dict.fromkeys([*needed, *vectors.words[:n_first]]), dict[str, None]()
    for word in words or ():
        known = _known(vectors, word)
        (missing if known is None else chosen)[known or word] = None
    _check_size(len(chosen), vectors.dim)
    if len(chosen) < 2:
        none = f" There is no vector for {', '.join(map(repr, list(missing)[:3]))}." if missing else ""
        raise DataError(f"A map of {len(chosen)} words was asked for.{none} Expected 2 or more. Give more words.")
    last = len(vectors)
    return sorted(chosen, key=lambda word: last if (place := vectors.place(word)) is None else place), list(missing)


def _check_size(n: int, dim: int) -> None:
    most = min(MOST_WORDS, MOST_NUMBERS // dim)
    if n > most:
        raise ConfigError(
            f"A map of {n:,} words was asked for. Expected at most {most:,}: so many can be looked at in a browser. Take the "
            f"most frequent ones, as with --top {min(most, TOP)}, or a list of words."
            if most == MOST_WORDS
            else f"A map of {n:,} words of {dim:,} numbers each was asked for. Expected at most {most:,} words, so that they "
            f"fit into memory. Take fewer, as with --top {min(most, TOP)}."
        )


def _known(vectors: Vectors, word: str) -> str | None:
    """A word as the vectors spell it; None if they have none for it."""
    place = vectors.place(word)
    if place is not None:
        return vectors.words[place]
    try:
        vectors.unit(word)  # its pieces may have one
    except DataError:
        return None
    return word


def _four_words(vectors: Vectors, analogy: str) -> tuple[list[str], bool]:
    """The four words of an analogy, and whether the last one was looked for, as only three were given."""
    words = analogy.split()
    if len(words) not in (3, 4) or len(set(words)) < 3:
        raise DataError(
            f"The analogy {analogy[:60]!r} has {len(set(words))} different words. Expected three or four, as in "
            "'man king woman queen': man is to king as woman is to queen."
        )
    for word in words:
        vectors.unit(word)  # says so where it is missing
    words = [_known(vectors, word) or word for word in words]
    if len(words) == 3:
        a, b, c = words
        words += [found.word for found in vectors.analogy([b, c], [a], k=1)]
        if len(words) == 3:
            raise DataError(
                f"The analogy {analogy[:60]!r} has no answer: there are no other words. Give a fourth word."
            )
        return words, True
    return words, False


def _heads(units: Float32[np.ndarray, "words dim"], groups: Int64[np.ndarray, " words"]) -> tuple[tuple[int, ...], ...]:
    """What a group is about: of its most frequent words those nearest to its middle, the nearest first."""
    heads = []
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        frequent = members[:FREQUENT]
        nearness = units[frequent] @ units[members].sum(axis=0)
        heads.append(tuple(int(i) for i in frequent[np.argsort(-nearness, kind="stable")[:HEADS]]))
    return tuple(heads)


def _codes(units: Float32[np.ndarray, "words dim"]) -> Int8[np.ndarray, "words code_dim"]:
    """Vectors of a byte a number, each to its own scale, so that a page can reckon with them.

    Where they would be too many bytes, they are turned first to their main directions, as many as there is room for.
    """
    room = min(WIDEST_CODE, MOST_CODES // len(units))
    rows: NDArray[np.float64] = units.astype(np.float64)
    if rows.shape[1] > room:
        rows = main_directions(rows, room)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    codes: NDArray[np.int8] = np.rint(rows * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
    return codes
