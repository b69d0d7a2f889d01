"""EM finds the weights under which a text is most probable."""

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import ConfigError, DataError
from malmoi.evaluation.weights import tune_weights
from malmoi.models.baselines import UniformModel
from malmoi.models.combined import Cached, CountCache, Lookback


def probable(probs: np.ndarray, weights: np.ndarray, buckets: np.ndarray | None = None) -> float:
    """Mean ln P of a token under the mixture."""
    rows = weights if buckets is None else weights[buckets]
    return float(np.log((probs * rows).sum(axis=1)).mean())


def random_probs(n_tokens: int, n_models: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.001, 1, (n_tokens, n_models)) ** 3


# Two tokens; the models give them 1/2, 1/4 and 1/8, 1/2. The mixture gives w/2 + (1 - w)/8 and w/4 + (1 - w)/2, that is
# (1 + 3w)/8 and (2 - w)/4. Their product is largest where 3 (2 - w) = 1 + 3w: w = 5/6.
def test_two_tokens_worked_by_hand() -> None:
    weights = tune_weights(np.log([[1 / 2, 1 / 8], [1 / 4, 1 / 2]]), tolerance=1e-12)
    assert weights == pytest.approx([5 / 6, 1 / 6], abs=1e-5)


# One round from 1/2, 1/2 on the same: shares of the first model (1/4)/(5/16) = 4/5 and (1/8)/(3/8) = 1/3, mean 17/30.
def test_one_round_of_em_worked_by_hand() -> None:
    weights = tune_weights(np.log([[1 / 2, 1 / 8], [1 / 4, 1 / 2]]), rounds=1)
    assert weights == pytest.approx([17 / 30, 13 / 30])


@settings(deadline=None)
@given(n_models=st.integers(1, 4), seed=st.integers(0, 100))
def test_every_round_makes_the_text_more_probable(n_models: int, seed: int) -> None:
    probs = random_probs(23, n_models, seed)
    path = [probable(probs, tune_weights(np.log(probs), rounds=rounds, tolerance=0.0)) for rounds in range(6)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(path))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100))
def test_no_weights_are_better_by_more_than_the_tolerance(seed: int) -> None:
    probs = random_probs(31, 3, seed)
    found = tune_weights(np.log(probs))
    assert found.sum() == pytest.approx(1)
    best = max(probable(probs, np.array([a, b, 20 - a - b]) / 20) for a in range(21) for b in range(21 - a))
    assert probable(probs, found) >= best - 1e-6


def test_a_token_that_only_one_model_allows_gives_that_model_weight() -> None:
    weights = tune_weights(np.array([[-1.0, -np.inf], [-1.0, -np.inf], [-np.inf, -7.0]]))
    assert weights == pytest.approx([2 / 3, 1 / 3], abs=1e-3)


def test_tiny_probabilities_are_no_problem() -> None:
    assert tune_weights(np.array([[-5000.0, -5001.0]] * 3)) == pytest.approx([1, 0], abs=1e-3)


def test_buckets_are_tuned_apart_and_drawn_together() -> None:
    probs = random_probs(400, 2, 1)
    buckets = np.arange(400) % 3
    probs[buckets == 1, 0] *= 5
    apart = tune_weights(np.log(probs), buckets, prior_tokens=0)
    for bucket in range(3):
        alone = tune_weights(np.log(probs[buckets == bucket]))
        assert apart[bucket] == pytest.approx(alone, abs=5e-3)
    together = tune_weights(np.log(probs))
    strict = tune_weights(np.log(probs), buckets, prior_tokens=1e9)
    assert strict == pytest.approx(np.tile(together, (3, 1)), abs=1e-3)
    between = tune_weights(np.log(probs), buckets)
    assert probable(probs, strict, buckets) < probable(probs, between, buckets) < probable(probs, apart, buckets)


def test_a_bucket_without_tokens_has_the_weights_of_all() -> None:
    probs = random_probs(50, 3, 2)
    weights = tune_weights(np.log(probs), np.full(50, 1), n_buckets=3)
    assert weights.shape == (3, 3)
    assert weights[[0, 2]] == pytest.approx(np.tile(tune_weights(np.log(probs)), (2, 1)), abs=1e-3)


def test_what_is_not_possible_gets_no_weight() -> None:
    probs = random_probs(60, 3, 3)
    possible = np.array([[True, False, True], [True, True, True]])
    weights = tune_weights(np.log(probs), np.arange(60) % 2, possible=possible)
    assert weights[0, 1] == 0
    assert weights.sum(axis=1) == pytest.approx([1, 1])
    assert (weights[possible] > 0).all()


def test_the_bound_that_ends_it_is_kept() -> None:
    probs = random_probs(500, 4, 4)
    rough, exact = (tune_weights(np.log(probs), tolerance=tolerance) for tolerance in (1e-2, 1e-9))
    assert 0 <= probable(probs, exact) - probable(probs, rough) <= 1e-2


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(DataError, match=r"tuned on 0 tokens for 2 models.*give another text"):
        tune_weights(np.zeros((0, 2)))
    hopeless = np.array([[-1.0, -2.0], [-np.inf, -np.inf], [-1.0, -1.0]])
    with pytest.raises(
        DataError, match=r"1 of 3 tokens have no probability under any model.*token number 2;.*add such a model"
    ):
        tune_weights(hopeless)
    with pytest.raises(ConfigError, match=r"buckets go from 0 to 5\. 0 to 1 were expected"):
        tune_weights(np.zeros((2, 2)), np.array([0, 5]), n_buckets=2)
    assert math.isclose(float(tune_weights(np.zeros((2, 2))).sum()), 1)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_worked_examples_of_the_page_come_out(language: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / language / "combining.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ")[1:] for line in page.splitlines() if line.count("/") == 2 and "|" in line][:2]
    log_probs = np.log([[float(Fraction(cell)) for cell in row] for row in rows])
    assert "17/30" in page
    assert tune_weights(log_probs, rounds=1)[0] == pytest.approx(17 / 30)
    assert "5/6" in page
    assert tune_weights(log_probs, tolerance=1e-12)[0] == pytest.approx(5 / 6, abs=1e-5)
    assert "*a b a c a*" in page  # recent tokens: a 3/5, b and c 1/5; what followed a: b and c, 1/2 each
    a, b, c = 4, 5, 6
    for part, expected in ((Lookback(1), {a: 3 / 5, b: 1 / 5, c: 1 / 5}), (Lookback(2), {b: 1 / 2, c: 1 / 2})):
        model = Cached(UniformModel(7), CountCache([part], [0.0, 1.0]))
        found, _ = model.step(np.array([[a, b, a, c, a]]), model.start())
        assert {int(i): float(np.exp(found[0, i])) for i in np.flatnonzero(np.isfinite(found[0]))} == pytest.approx(
            expected
        )
