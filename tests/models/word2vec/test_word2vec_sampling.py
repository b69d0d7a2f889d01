"""Draws of word2vec: the alias table, noise, and the thinning of frequent words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError
from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.sampling import alias_table, keep_limits, keep_probabilities, noise_table


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda weights: sum(weights) > 1e-3))
def test_an_alias_table_has_the_distribution_it_was_made_from(weights: list[float]) -> None:
    expected = np.array(weights) / np.sum(weights)
    table = alias_table(np.array(weights))
    assert table.probabilities() == pytest.approx(expected, abs=1e-9)
    assert (table.probabilities()[expected == 0] == 0).all()


def test_noise_follows_counts_to_the_power_of_three_quarters() -> None:
    counts = np.array([0, 16, 0, 81, 1])
    assert noise_table(counts).probabilities() == pytest.approx(np.array([0, 8, 0, 27, 1]) / 36, abs=1e-9)


def test_draws_follow_the_table_and_never_hit_the_right_word() -> None:
    counts = np.array([1, 16, 0, 81, 256])
    table = noise_table(counts)
    samples, state, drawn = np.empty(6, np.int64), np.uint64(12345), np.zeros(5)
    draw = pytest.importorskip("numba").njit(_draw)
    for _ in range(8000):
        s, state = draw(3, 5, table.own, table.alias, np.uint64(state), samples)
        assert samples[0] == 3
        drawn += np.bincount(samples[1:s], minlength=5)
    assert drawn[3] == 0
    expected = np.array([1, 8, 0, 0, 64]) / 73
    assert drawn / drawn.sum() == pytest.approx(expected, abs=0.01)


def _draw(centre, n, own, alias, state, samples):  # type: ignore[no-untyped-def]
    return kernels.draw_wrong(centre, n, own, alias, state, samples)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_weights_that_are_no_distribution_are_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="cannot be drawn by these weights"):
        alias_table(np.array(weights))


def test_subsampling_by_hand() -> None:
    # threshold * total = 1: a word seen 4 times stays with sqrt(1/4) + 1/4, one seen 95 times with sqrt(1/95) + 1/95
    chances = keep_probabilities(np.array([0, 4, 95, 1]), threshold=0.01)
    assert chances == pytest.approx([0, 0.75, 95**-0.5 + 1 / 95, 1])
    assert keep_probabilities(np.array([0, 4, 95, 1]), threshold=0.0).tolist() == [0, 1, 1, 1]


def test_subsampling_keeps_the_share_it_should() -> None:
    counts = np.array([0, 0, 0, 0, 40_000, 160_000])
    ids = np.repeat([4, 5, 3, 1], [40_000, 160_000, 7, 9])
    chances = keep_probabilities(counts, threshold=0.05)
    kept = np.empty(len(ids), np.int32)
    n, n_words, _ = kernels.keep_words(ids, keep_limits(chances), 3, np.uint64(99), kept)
    assert n_words == 200_000
    assert (kept[:n] == kernels.END).sum() == 7
    assert (kept[:n] == kernels.HOLE).sum() == 9
    shares = [(kept[:n] == 4).sum() / 40_000, (kept[:n] == 5).sum() / 160_000]
    assert shares == pytest.approx(chances[4:].tolist(), abs=0.01)


@pytest.mark.parametrize("threshold", [-0.1, np.nan])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="is no share of a text"):
        keep_probabilities(np.array([1, 2]), float(threshold))
