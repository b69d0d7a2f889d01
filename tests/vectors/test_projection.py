"""Maps of many points: PCA against an SVD, neighbours against brute force, trust against scikit-learn, and what is refused."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError, MissingExtraError
from malmoi.vectors import Vectors, projection
from malmoi.vectors.projection import available_method, clusters, main_directions, nearest, pca, project, trust


def units(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def planted(n: int = 60, groups: int = 3, dim: int = 7) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Directions around a few axes, and the axis of each."""
    rng = np.random.default_rng(3)
    labels = np.arange(n) % groups
    rows = np.eye(dim)[labels] + 0.1 * rng.normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(("n", "dim"), [(31, 7), (7, 31), (11, 11)])
def test_pca_agrees_with_a_singular_value_decomposition(n: int, dim: int) -> None:
    rows = np.random.default_rng(1).normal(size=(n, dim))
    points, share = pca(rows)
    centred = rows - rows.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * values[:2]), atol=1e-10)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), rel=1e-12)
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()  # signs are fixed


def test_pca_by_hand() -> None:
    """Points along x at -2 and 2, along y at -1 and 1: 8 of 10 parts of the variance lie along x."""
    rows = np.array([[2.0, 0, 5], [-2, 0, 5], [0, 1, 5], [0, -1, 5]])
    points, share = pca(rows)
    np.testing.assert_allclose(points, [[2, 0], [-2, 0], [0, 1], [0, -1]], atol=1e-12)
    assert share == pytest.approx(1.0)
    one, of_one = pca(rows, 1)
    np.testing.assert_allclose(one[:, 0], [2, -2, 0, 0], atol=1e-12)
    assert of_one == pytest.approx(0.8)


def test_main_directions_keep_dot_products() -> None:
    rows = units(13, 5).astype(np.float64)
    np.testing.assert_allclose((turned := main_directions(rows, 5)) @ turned.T, rows @ rows.T, atol=1e-12)
    wide = units(5, 13).astype(np.float64)
    np.testing.assert_allclose((turned := main_directions(wide, 8)) @ turned.T, wide @ wide.T, atol=1e-12)
    assert turned.shape == (5, 8)


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 9), st.integers(1, 6)), elements=st.floats(-3, 3, width=32)))
def test_any_points_have_a_place(rows: NDArray[np.float64]) -> None:
    points, share = pca(rows)
    assert points.shape == (len(rows), 2)
    assert np.isfinite(points).all()
    assert 0 <= share <= 1
    drawn = points.astype(np.float32)
    if len(rows) >= 3:
        told = trust(rows.astype(np.float32), drawn)
        assert told.trustworthiness <= 1
        assert 0 <= told.kept <= 1


def test_a_map_by_pca_has_no_seed_and_tells_its_share() -> None:
    found = project(units(17, 5), "pca", seed=7)
    assert (found.method, found.seed) == ("pca", None)
    assert found.points.shape == (17, 2)
    assert found.variance is not None
    assert 0 < found.variance < 1


def test_tsne_keeps_groups_together_and_repeats_itself() -> None:
    pytest.importorskip("sklearn")
    rows, labels = planted()
    found = project(rows, "tsne", seed=4)
    assert (found.seed, found.variance) == (4, None)
    np.testing.assert_array_equal(found.points, project(rows, "tsne", seed=4).points)
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=2) + np.diag([np.inf] * 60)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    np.testing.assert_allclose(found.points.mean(axis=0), 0, atol=1e-4)
    assert found.points[:, 0].var() >= found.points[:, 1].var()  # the widest side lies across


def test_tsne_of_few_or_equal_words() -> None:
    pytest.importorskip("sklearn")
    assert np.isfinite(project(units(5, 3), "tsne").points).all()
    assert np.isfinite(project(np.ones((6, 4), np.float32) / 2, "tsne").points).all()


def test_umap_gets_unit_vectors_a_start_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Stub:
        def __init__(self, **settings: Any) -> None:
            asked.update(settings)

        def fit_transform(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
            return rows[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Stub))
    rows = units(9, 4)
    found = project(rows, "umap", seed=5)
    assert (asked["metric"], asked["random_state"], asked["n_neighbors"]) == ("cosine", 5, 8)
    assert np.abs(asked["init"]).max() == pytest.approx(10)
    assert (found.method, found.seed) == ("umap", 5)


@pytest.mark.slow
def test_umap_keeps_groups_together_and_repeats_itself() -> None:
    pytest.importorskip("numba")
    rows, labels = planted()
    found = project(rows, "umap", seed=4)
    np.testing.assert_array_equal(found.points, project(rows, "umap", seed=4).points)
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=2) + np.diag([np.inf] * 60)
    assert (labels[distances.argmin(axis=1)] == labels).all()


@pytest.mark.parametrize("block", [1 << 22, 100])
def test_neighbours_are_those_of_the_vectors(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "BLOCK", block)
    rows = units(41, 6)
    words = [f"w{i}" for i in range(41)]
    vectors, found = Vectors(words, rows), nearest(rows, 4)
    for i, word in enumerate(words):
        wanted = vectors.similar(word, 4)
        assert [words[place] for place in found.places[i]] == [one.word for one in wanted]
        np.testing.assert_allclose(found.cosines[i], [one.cosine for one in wanted], atol=1e-6)
    assert nearest(rows[:3], 10).places.shape == (3, 2)


@pytest.mark.parametrize(("n", "k", "used"), [(47, 5, 5), (200, 10, 10), (8, 10, 3), (3, 10, 1)])
def test_trust_agrees_with_scikit_learn(n: int, k: int, used: int, monkeypatch: pytest.MonkeyPatch) -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    monkeypatch.setattr(projection, "BLOCK", 900)
    rows = units(n, 6, seed=n)
    points = rows[:, :2].copy()
    told = trust(rows, points, k)
    assert told.k == used
    assert told.trustworthiness == pytest.approx(
        manifold.trustworthiness(rows, points, n_neighbors=used, metric="cosine")
    )
    assert told.trustworthiness < 1


def test_trust_by_hand() -> None:
    """Five directions in the plane at 0, 11, 20, 28 and 90 degrees, k = 1.

    Drawn as they are, all is kept. With the first put beside the last, each of the two has the other as its nearest on the
    map, which is its 4th in truth: twice 3 too far of at most 5 * 1 * (10 - 3 - 1) / 2 = 15, and 3 of 5 neighbours are kept.
    """
    angles = np.deg2rad([0, 11, 20, 28, 90])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert trust(rows, rows, 1)[:2] == (1.0, 1.0)
    drawn = np.array([[90.0, 0], [11, 0], [20, 0], [28, 0], [91, 0]], np.float32)
    told = trust(rows, drawn, 1)
    assert told.trustworthiness == pytest.approx(1 - 6 / 15)
    assert told.kept == pytest.approx(3 / 5)


def test_the_middle_of_equal_points_does_not_count_a_point_as_its_own_neighbour() -> None:
    rows = units(40, 5)
    told = trust(rows, np.zeros((40, 2), np.float32), 3)
    assert 0 < told.trustworthiness < 0.9


def test_clusters_find_planted_groups_the_largest_first() -> None:
    rows, labels = planted(61)
    found = clusters(rows, 3, seed=1)
    assert len(set(zip(found.tolist(), labels.tolist(), strict=True))) == 3
    sizes = np.bincount(found)
    assert (np.diff(sizes) <= 0).all()
    np.testing.assert_array_equal(found, clusters(rows, 3, seed=1))
    assert set(clusters(np.ones((9, 2), np.float32), 4)) == {0}


def test_what_cannot_be_drawn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no method 'isomap'.*pca, tsne, umap"):
        project(units(9, 3), "isomap")
    with pytest.raises(ConfigError, match="seed -1 is out of range.*from 0 to 4294967295"):
        project(units(9, 3), "tsne", seed=-1)
    with pytest.raises(
        DataError, match="map of 4 words by t-SNE.*Expected 5 or more, or 2 or more for PCA.*Give more words"
    ):
        project(units(4, 3), "tsne")
    with pytest.raises(DataError, match="map of 1 words by PCA.*Expected 2 or more. Give"):
        project(units(1, 3), "pca")
    with pytest.raises(DataError, match="map of 2 words can be trusted.*Expected 3 or more"):
        trust(units(2, 3), units(2, 2))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    monkeypatch.setitem(sys.modules, "umap", None)
    assert available_method() == "pca"
    with pytest.raises(MissingExtraError, match=r"t-SNE needs scikit-learn.*pip install 'malmoi\[map\]'"):
        project(units(9, 3), "tsne")
    with pytest.raises(MissingExtraError, match=r"UMAP needs umap-learn.*pip install 'malmoi\[map\]'"):
        project(units(9, 3), "umap")
