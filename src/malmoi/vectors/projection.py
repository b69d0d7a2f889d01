"""Many numbers a word, drawn with two: PCA, t-SNE and UMAP, and how far such a picture can be trusted.

A flat picture of a space of a hundred dimensions has to lie somewhere. So each one comes with two figures: its trustworthiness,
and the share of a word's nearest neighbours that are still its nearest on the map.

Source: van der Maaten & Hinton 2008, "Visualizing data using t-SNE"; McInnes et al. 2018 (arXiv:1802.03426) for UMAP; Venna &
Kaski 2001, "Neighborhood preservation in nonlinear projection methods", for trustworthiness; Kobak & Berens 2019 ("The art of
using t-SNE") for starting from the main directions, which keeps the large-scale order and makes pictures repeatable.

Shapes: N points, D numbers each; 2 numbers on the map.
"""

import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError, MissingExtraError
from malmoi.vectors.search import highest

Method = Literal["pca", "tsne", "umap"]
METHODS: tuple[Method, ...] = ("pca", "tsne", "umap")
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
FEWEST = 5  # points of t-SNE and UMAP
PERPLEXITY = 30.0  # neighbours, softly counted, that t-SNE keeps together
UMAP_NEIGHBOURS = 15
START = {"tsne": 1e-4, "umap": 10.0}  # standard deviation, and largest number, of the points to begin with
BLOCK = 1 << 22  # cosines at a time
MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Projection:
    """Points on a map."""

    points: Float32[np.ndarray, "points 2"]
    method: str
    seed: int | None  # None where nothing is drawn by chance
    variance: float | None  # PCA: share of the variance that the two directions hold, 0 to 1


class Trust(NamedTuple):
    """How far a map can be trusted; both from 0 to 1."""

    trustworthiness: float  # 1: whoever is near on the map is near in the full space
    kept: float  # share of the nearest neighbours in the full space that are nearest on the map, too
    k: int  # neighbours looked at


class Nearest(NamedTuple):
    """The nearest neighbours of each point, nearest first."""

    places: Int64[np.ndarray, "points k"]
    cosines: Float32[np.ndarray, "points k"]


def available_method() -> Method:
    """t-SNE where scikit-learn is installed, else PCA."""
    return "tsne" if importlib.util.find_spec("sklearn") else "pca"


def project(units: Float32[np.ndarray, "points dim"], method: str = "pca", *, seed: int = 0) -> Projection:
    """Lay points of a wide space out on a plane.

    The same points, method and seed give the same map, on the same machine.

    Args:
        units: Vectors of length 1 (or 0), so that the distance of two depends on their cosine alone.
        method: `pca`, `tsne` or `umap`.
        seed: Of what t-SNE and UMAP draw by chance.

    Raises:
        ConfigError: If there is no such method, or the seed is out of range.
        DataError: If there are too few points.
        MissingExtraError: If the method's package is not installed.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no method {method[:40]!r} for a map. Expected one of {', '.join(METHODS)}.")
    if not 0 <= seed <= MOST_SEED:
        raise ConfigError(f"The seed {seed} is out of range. Expected a whole number from 0 to {MOST_SEED}.")
    fewest = 2 if method == "pca" else FEWEST
    if len(units) < fewest:
        other = ", or 2 or more for PCA" if method != "pca" else ""
        raise DataError(
            f"A map of {len(units)} words by {TITLES[method]} was asked for. Expected {fewest} or more{other}. Give more words."
        )
    points, share = pca(units.astype(np.float64))
    if method == "pca":
        return Projection(points.astype(np.float32), "pca", None, share)
    drawn = _tsne(units, points, seed) if method == "tsne" else _umap(units, points, seed)
    return Projection(_upright(drawn.astype(np.float64)).astype(np.float32), method, seed, None)


def pca(rows: Float64[np.ndarray, "points dim"], n: int = 2) -> tuple[Float64[np.ndarray, "points {n}"], float]:
    """Where the points lie along the n directions in which they differ most, and the share of the variance there.

    Exact, by the eigenvectors of the covariance or, where there are fewer points than dimensions, of the points' dot
    products.
    """
    centred = rows - rows.mean(axis=0)
    total = float(np.einsum("nd,nd->", centred, centred))
    points = main_directions(centred, n)
    held = float(np.einsum("nd,nd->", points, points))
    return points, min(1.0, held / total) if total > 0 else 1.0


def main_directions(rows: Float64[np.ndarray, "points dim"], n: int) -> Float64[np.ndarray, "points {n}"]:
    """The rows along the n directions that hold most of their lengths: the best n numbers to keep their dot products.

    The sign of each direction is the one in which the point farthest from 0 lies on the positive side.
    """
    n_points, dim = rows.shape
    if dim <= n_points:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        points = rows @ vectors[:, ::-1][:, :n]
    else:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        points = vectors[:, ::-1][:, :n] * np.sqrt(np.maximum(values[::-1][:n], 0))
    points = np.pad(points, ((0, 0), (0, n - points.shape[1])))  # where there are fewer directions than asked for
    farthest = np.abs(points).argmax(axis=0)
    signs = np.where(points[farthest, np.arange(points.shape[1])] < 0, -1.0, 1.0)
    signed: NDArray[np.float64] = points * signs
    return signed


def _upright(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred, and turned so that the widest side lies across: how t-SNE and UMAP turn a map means nothing."""
    return pca(points)[0]


def _tsne(units: NDArray[np.float32], start: NDArray[np.float64], seed: int) -> NDArray[Any]:
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtraError("scikit-learn", "map", "A map by t-SNE") from None
    deviation = float(start[:, 0].std())
    first = (start * (START["tsne"] / deviation if deviation > 0 else 0.0)).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
    with threadpool_limits(1):  # several threads add up in any order, and the map would differ from run to run
        points: NDArray[Any] = TSNE(perplexity=perplexity, init=first, random_state=seed).fit_transform(units)
    return points


def _umap(units: NDArray[np.float32], start: NDArray[np.float64], seed: int) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses TensorFlow, and tells of its own defaults
        try:
            from umap import UMAP
        except ImportError:
            raise MissingExtraError("umap-learn", "map", "A map by UMAP") from None
        largest = float(np.abs(start).max())
        first = (start * (START["umap"] / largest if largest > 0 else 0.0)).astype(np.float32)
        n_neighbours = min(UMAP_NEIGHBOURS, len(units) - 1)
        model = UMAP(n_neighbors=n_neighbours, metric="cosine", init=first, random_state=seed, n_jobs=1)
        points: NDArray[Any] = model.fit_transform(units)
    return points


def nearest(units: Float32[np.ndarray, "points dim"], k: int) -> Nearest:
    """The k nearest others of each point by cosine, exact; of equal ones those that come first."""
    k = min(k, len(units) - 1)
    places, cosines = np.empty((len(units), k), np.int64), np.empty((len(units), k), np.float32)
    for start, stop in _blocks(len(units)):
        found = _others(units[start:stop] @ units.T, start)
        for i, scores in enumerate(found, start=start):
            places[i] = highest(scores, k)
            cosines[i] = scores[places[i]]
    return Nearest(places, np.clip(cosines, -1, 1))


def trust(units: Float32[np.ndarray, "points dim"], points: Float32[np.ndarray, "points 2"], k: int = 10) -> Trust:
    """How far a map can be trusted, by the k nearest neighbours of each point there and in the full space.

    Trustworthiness is 1 less what the neighbours on the map that are none in the full space cost, each by how much farther
    than k-th it is there, as a share of the most that this could cost. k is made smaller where there are few points.

    Raises:
        DataError: If there are fewer than 3 points, and so nothing to tell.

    Source: Venna & Kaski 2001, as `sklearn.manifold.trustworthiness`.
    """
    n = len(units)
    k = min(k, (n - 1) // 2)
    if k < 1:
        raise DataError(
            f"How far a map of {n} words can be trusted was asked for. Expected 3 or more. Give more words."
        )
    too_far, kept = 0, 0
    on_map = _nearest_on_map(points, k)
    for start, stop in _blocks(n):
        cosines = _others(units[start:stop] @ units.T, start)
        for neighbours in on_map[start:stop].T:  # the rank, from 1, that each has in the full space
            of_these = np.take_along_axis(cosines, neighbours[:, None], axis=1)
            ranks = 1 + np.count_nonzero(cosines > of_these, axis=1)
            too_far += int(np.maximum(ranks - k, 0).sum())
            kept += int(np.count_nonzero(ranks <= k))
    return Trust(1 - 2 * too_far / (n * k * (2 * n - 3 * k - 1)), kept / (n * k), k)


def _nearest_on_map(points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k nearest others of each point, (N, k)."""
    from scipy.spatial import cKDTree

    _, found = cKDTree(points).query(points, k + 1)
    others = found != np.arange(len(points))[:, None]
    others[others.all(axis=1), k] = False  # of many points in one place one may not find itself
    nearest: NDArray[np.int64] = found[others].reshape(-1, k)
    return nearest


def clusters(units: Float32[np.ndarray, "points dim"], n: int, *, seed: int = 0) -> Int64[np.ndarray, " points"]:
    """Which of at most n groups each point belongs to, by k-means in the full space; group 0 is the largest."""
    from scipy.cluster.vq import kmeans2

    n = min(n, len(np.unique(units, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a group that became empty
        _, labels = kmeans2(units.astype(np.float64), n, iter=20, minit="++", seed=np.random.default_rng(seed))
    sizes = np.bincount(labels, minlength=n)
    by_size = np.argsort(-sizes, kind="stable")
    renamed: Int64[np.ndarray, " points"] = np.argsort(by_size)[labels].astype(np.int64)
    return renamed


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    together = max(1, BLOCK // n)
    for start in range(0, n, together):
        yield start, min(n, start + together)


def _others(scores: NDArray[Any], start: int) -> NDArray[Any]:
    """Scores with everything, in which a point does not count itself."""
    scores[np.arange(len(scores)), start + np.arange(len(scores))] = -np.inf
    return scores
