"""Mixtures and caches agree with loops in plain Python, and with arithmetic that a person can redo."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError
from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.models.combined import (
    Cached,
    CountCache,
    CrossedBuckets,
    Interpolated,
    LastTokenBuckets,
    Lookback,
    MatchedOrderBuckets,
)
from malmoi.models.combined.cache import CachedState
from malmoi.models.combined.hidden_cache import HiddenCache
from malmoi.models.combined.interpolated import log_mix
from malmoi.models.interface import LanguageModel
from malmoi.models.registry import RUNGS, build_model

V, EOS = 7, 3
MODEL = UnigramModel(np.log([0.05, 0.05, 0.1, 0.2, 0.1, 0.3, 0.2]))


def lstm() -> TorchLanguageModel:
    config = RUNGS["lstm"].config.parse({"vocab_size": V, "embed_dim": 5, "hidden_size": 5, "n_layers": 1})
    network = build_model(RUNGS["lstm"], config, seed=3)
    for parameter in network.parameters():
        parameter.data *= 6
    return TorchLanguageModel(network, start_id=EOS)


# What is mixed: 0.25 x 0.2 + 0.75 x 0.4 = 0.35.
def test_a_mixture_worked_by_hand() -> None:
    first, second = UnigramModel(np.log([0.2, 0.8])), UnigramModel(np.log([0.4, 0.6]))
    model = Interpolated([first, second], [0.25, 0.75])
    log_probs, state = model.step(np.array([[1, 0]]), model.start())
    assert np.exp(log_probs) == pytest.approx(np.array([[0.35, 0.65]]))
    assert np.exp(model.score(np.array([[0, 1]]), state)[0]) == pytest.approx(np.array([[0.35, 0.65]]))


@given(
    probs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    weights=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)),
)
def test_mixing_logarithms_is_mixing_probabilities(probs: list[tuple[float, ...]], weights: tuple[float, ...]) -> None:
    shares = np.array(weights) / sum(weights)
    with np.errstate(divide="ignore"):
        columns = np.log(np.array(probs)).T
    mixed = np.exp(log_mix(list(columns), shares))
    assert mixed == pytest.approx(np.array(probs) @ shares, rel=1e-12, abs=1e-300)


def test_probabilities_too_small_for_a_float_are_mixed_in_logarithms() -> None:
    assert log_mix([np.array([-2000.0]), np.array([-2001.0])], np.array([0.5, 0.5])) == pytest.approx(
        -2000 + math.log(0.5 * (1 + math.exp(-1)))
    )
    assert log_mix([np.array([-np.inf]), np.array([-np.inf])], np.array([0.5, 0.5])) == -np.inf


def test_each_bucket_has_its_own_weights() -> None:
    first, second = UniformModel(V), MODEL
    table = np.array([0, 0, 0, 2, 1, 1, 1])
    weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    model = Interpolated([first, second], weights, LastTokenBuckets(table, EOS))
    token_ids = np.array([[4, 1, 3], [6, 6, 0]])
    before = np.array([[3, 4, 1], [3, 6, 6]])  # text begins after the end of a line
    expected = [
        [
            weights[table[b], 0] / V + weights[table[b], 1] * math.exp(MODEL.log_probs[t])
            for b, t in zip(bs, ts, strict=True)
        ]
        for bs, ts in zip(before, token_ids, strict=True)
    ]
    scores, state = model.score(token_ids, model.start(2))
    assert np.exp(scores) == pytest.approx(np.array(expected))
    again, _ = model.step(np.zeros((2, 0), int), state.select([1, 0]))
    assert np.exp(again[0]) == pytest.approx(np.full(V, 1 / V))  # after 0
    assert np.exp(again[1]) == pytest.approx(0.25 / V + 0.75 * np.exp(MODEL.log_probs))  # after 3


class Matching(UnigramModel):
    """Claims to know as many tokens of context as it was told at the last token."""

    def matched_order(self, state: object) -> np.ndarray:
        return np.array([5])


def test_buckets_by_matched_order_and_their_product_with_others() -> None:
    counted = Matching(MODEL.log_probs)
    matched = MatchedOrderBuckets(counted, place=1, n_buckets=3)
    states, last, ids = [counted.start(), counted.start()], np.array([4]), np.array([[5, 6]])
    assert matched.of(last, states).tolist() == [2]
    assert matched.along(ids, last, states).tolist() == [[2, 2]]
    crossed = CrossedBuckets(LastTokenBuckets(np.arange(V), EOS), matched)
    assert crossed.n_buckets == 3 * V
    assert crossed.of(last, states).tolist() == [3 * 4 + 2]
    assert crossed.along(ids, last, states).tolist() == [[3 * 4 + 2, 3 * 5 + 2]]
    with pytest.raises(
        ConfigError, match=r"UnigramModel does not tell how much of a context it knows.*LastTokenBuckets"
    ):
        MatchedOrderBuckets(MODEL, 0, 3)


# Counts 10 5 5 0: rising 0 | 5 5 | 10. Rarer tokens of ids 3, 1, 2, 0: 0, 0, 5, 10 of 20, so with 4 buckets 0, 0, 1, 2.
def test_buckets_by_count_hold_equal_shares() -> None:
    assert LastTokenBuckets.by_count([10, 5, 5, 0], 4, EOS).table.tolist() == [2, 0, 1, 0]
    assert LastTokenBuckets.by_count([10, 5, 5, 0], 1, EOS).n_buckets == 1
    assert LastTokenBuckets.by_count([0, 0], 5, 1).table.tolist() == [0, 0]
    with pytest.raises(ConfigError, match=r"buckets=0 cannot be used.*at least 1"):
        LastTokenBuckets.by_count([1, 2], 0, 1)
    with pytest.raises(ConfigError, match=r"shape \(0,\).*by_count"):
        LastTokenBuckets([], EOS)


def test_a_mixture_restarts_at_line_ends_if_all_its_models_do() -> None:
    model = UniformModel(V)
    assert not Interpolated([model, MODEL]).restarts_at_line_end
    model.restarts_at_line_end = True
    assert Interpolated([model]).restarts_at_line_end


def test_mixtures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no model to interpolate.*give a list"):
        Interpolated([])
    with pytest.raises(ConfigError, match=r"vocabularies of 7, 8 tokens cannot be interpolated.*--tokenizer-from"):
        Interpolated([UniformModel(7), UniformModel(8)])
    with pytest.raises(ConfigError, match=r"weights have shape \(3,\)\. 2 of them.*leave them out"):
        Interpolated([MODEL, MODEL], [1, 0, 0])
    with pytest.raises(ConfigError, match=r"shape \(3, 2\)\..*or 7 rows of them, one for each bucket"):
        Interpolated([MODEL, MODEL], np.full((3, 2), 0.5), LastTokenBuckets(np.arange(V), EOS))
    with pytest.raises(ConfigError, match=r"weights 0\.5, 0\.6 cannot be used: they sum to 1\.1.*divide each"):
        Interpolated([MODEL, MODEL], [0.5, 0.6])
    with pytest.raises(ConfigError, match=r"weights 1\.5, -0\.5 cannot be used"):
        Interpolated([MODEL, MODEL], [1.5, -0.5])


# The cache of counts


def recalled(
    history: Sequence[int], parts: Sequence[Lookback], window: int, rarity: Sequence[float]
) -> tuple[int, list[list[float]]]:
    """Level, and P of each token under each part, by loops over everything."""
    seen = list(history)[-window:]
    n, level, rows = len(seen), min(len(seen), 1), []
    for order in range(2, max(part.order for part in parts) + 1):
        context = seen[n - order + 1 :]
        if any(seen[i : i + order - 1] == context for i in range(n - order + 1)) and len(context) == order - 1:
            level = order
    for part in parts:
        sums = [0.0] * V
        for i in range(part.order - 1, n):
            if seen[i - part.order + 1 : i] == seen[n - part.order + 1 :] or part.order == 1:
                worth = max(max(rarity[seen[i]], 1e-3) ** part.rarity, 1e-3) if part.order == 1 else 1.0
                sums[seen[i]] += worth * 2 ** (-(n - 1 - i) / part.half_life)
        total = sum(sums)
        rows.append([value / total if total else 0.0 for value in sums])
    return level, rows


PARTS = (Lookback(1, 5), Lookback(1, math.inf, 0.5), Lookback(2), Lookback(3, 4), Lookback(4, 9))


@settings(max_examples=40, deadline=None)
@given(
    ids=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    window=st.integers(2, 15),
    n_before=st.integers(0, 40),
    seed=st.integers(0, 9),
)
def test_a_cache_of_counts_agrees_with_loops(ids: list[int], window: int, n_before: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rarity, weights = rng.uniform(0, 1, V), rng.dirichlet(np.ones(6), size=5)
    cache = CountCache(PARTS, weights, window=window, rarity=rarity)
    model = Cached(MODEL, cache)
    sequence = np.array([ids])
    _, state = model.score(sequence[:, :n_before], model.start())
    reading = cache.read(MODEL, sequence[:, n_before:], state)
    for place in range(n_before, len(ids)):
        level, rows = recalled(ids[:place], PARTS, window, rarity)
        found = np.exp(reading.log_probs[0, place - n_before])
        assert reading.rows[0, place - n_before] == level
        assert found == pytest.approx([math.exp(MODEL.log_probs[ids[place]]), *(row[ids[place]] for row in rows)])
    level, rows = recalled(ids, PARTS, window, rarity)
    mixed = cache.weights[level] @ np.array([np.exp(MODEL.log_probs), *rows])
    log_probs, _ = model.step(sequence, model.start())
    assert np.exp(log_probs[0]) == pytest.approx(mixed)
    assert np.exp(log_probs).sum() == pytest.approx(1)


# After "4 5 4 6 4", with weights 1/2, 1/4 and 1/4: the unigram cache gives 4 three fifths, and what followed 4 was 5 and 6.
def test_a_cache_of_counts_worked_by_hand() -> None:
    cache = CountCache([Lookback(1), Lookback(2)], [0.5, 0.25, 0.25])
    model = Cached(UniformModel(V), cache)
    log_probs, _ = model.step(np.array([[4, 5, 4, 6, 4]]), model.start())
    expected = np.full(V, 0.5 / V)
    expected[4] += 0.25 * 3 / 5
    expected[5] += 0.25 / 5 + 0.25 / 2
    expected[6] += 0.25 / 5 + 0.25 / 2
    assert np.exp(log_probs[0]) == pytest.approx(expected)


def test_weights_of_what_was_not_found_go_to_the_others() -> None:
    cache = CountCache([Lookback(1), Lookback(3)], [0.0, 0.25, 0.75])
    assert cache.weights.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0.25, 0.75]]
    model = Cached(MODEL, cache)
    log_probs, _ = model.step(np.zeros((1, 0), int), model.start())
    assert log_probs[0] == pytest.approx(MODEL.log_probs)


def test_buckets_of_a_cache_go_by_the_last_token() -> None:
    weights = np.tile([[0.5, 0.5], [0.9, 0.1]], (2, 1))  # two levels, two buckets
    cache = CountCache([Lookback(1)], weights, buckets=LastTokenBuckets([0, 0, 0, 0, 0, 0, 1], EOS))
    model = Cached(MODEL, cache)
    scores, state = model.score(np.array([[5, 6, 5]]), model.start())
    probs = np.exp(MODEL.log_probs)
    assert np.exp(scores[0]) == pytest.approx([probs[5], 0.5 * probs[6], 0.9 * probs[5] + 0.1 / 2])
    assert np.exp(model.step(np.zeros((1, 0), int), state)[0][0, 6]) == pytest.approx(0.5 * probs[6] + 0.5 / 3)


def test_caches_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"by the orders \[0\]. One or more from 1 to 8.*try Lookback"):
        CountCache([Lookback(0)])
    with pytest.raises(ConfigError, match=r"window=1 tokens cannot be remembered.*try 5000"):
        CountCache(window=1)
    with pytest.raises(
        ConfigError, match=r"half_life=1 with rarity=0 .* window of 5000 tokens. A half-life of at least 5 "
    ):
        CountCache([Lookback(1, 1)])
    with pytest.raises(ConfigError, match=r"rarity=0\.5 needs to know how rare each token is.*leave the exponent at 0"):
        CountCache([Lookback(1, 100, 0.5)])
    model = Cached(MODEL, CountCache([Lookback(1, 100, 0.5)], rarity=[1.0, 0.5]))
    with pytest.raises(ConfigError, match=r"rarity of 2 tokens, and the model has 7.*tune the cache"):
        model.step(np.array([[1]]), model.start())
    with pytest.raises(ConfigError, match=r"theta=-1 cannot be used.*try 0\.3"):
        HiddenCache([-1.0])
    with pytest.raises(ConfigError, match=r"theta=nothing cannot be used"):
        HiddenCache([])
    with pytest.raises(ConfigError, match=r"window=0 vectors cannot be remembered.*try 2000"):
        HiddenCache(window=0)
    hidden = Cached(MODEL, HiddenCache())
    with pytest.raises(ConfigError, match=r"cannot be put around a UnigramModel.*use CountCache"):
        hidden.score(np.array([[1]]), hidden.start())


def test_the_usual_cache_suits_the_model() -> None:
    assert isinstance(Cached(MODEL).cache, CountCache)
    assert isinstance(Cached(lstm()).cache, HiddenCache)
    expected = [
        "recent tokens, half-life 100",
        "what followed the last 1, half-life 300",
        "what followed the last 2, half-life 500",
    ]
    assert Cached(MODEL).cache.describe() == expected
    inner = lstm()
    vectors, _ = inner.predictors(np.array([[4, 5, 6]]), inner.start())
    theta = 7 / float(np.square(vectors, dtype=np.float64).sum(axis=-1).mean())
    assert Cached(inner).cache.thetas == pytest.approx([theta])
    assert Cached(inner).cache.describe() == [f"states that agree, theta {theta:g}"]


# The cache of hidden vectors


def hidden_vectors(model: TorchLanguageModel, ids: Sequence[int]) -> list[np.ndarray]:
    """The vector from which each token is predicted, and the one after all of them, token by token."""
    state, vectors = model.start(), []
    for token_id in ids:
        vectors.append(model.next_predictor(state)[0].astype(np.float64))
        _, state = model.step(np.array([[token_id]]), state)
    return [*vectors, model.next_predictor(state)[0].astype(np.float64)]


@settings(max_examples=10, deadline=None)
@given(
    ids=st.lists(st.integers(0, V - 1), min_size=1, max_size=14), window=st.integers(1, 9), n_before=st.integers(0, 14)
)
def test_a_cache_of_hidden_vectors_agrees_with_loops(ids: list[int], window: int, n_before: int) -> None:
    inner, thetas, weights = lstm(), (0.0, 0.4), np.array([0.6, 0.1, 0.3])
    model = Cached(inner, HiddenCache(thetas, weights, window=window))
    vectors = hidden_vectors(inner, ids)
    plain, _ = inner.score(np.array([ids]), inner.start())
    rows, _ = inner.step(np.array([ids]), inner.start())
    first, state = model.score(np.array([ids[:n_before]], dtype=int).reshape(1, -1), model.start())
    rest, _ = model.score(np.array([ids[n_before:]], dtype=int).reshape(1, -1), state)
    scores = np.concatenate([first, rest], axis=1)[0]
    for place in range(len(ids) + 1):
        past = range(max(0, place - window), place)
        found = [np.zeros(V), np.zeros(V)]
        for row, theta in zip(found, thetas, strict=True):
            agreement = [math.exp(theta * float(vectors[place] @ vectors[i])) for i in past]
            for i, share in zip(past, agreement, strict=True):
                row[ids[i]] += share / sum(agreement)
        if place < len(ids):
            own = math.exp(plain[0, place])
            expected = weights @ [own, *(row[ids[place]] for row in found)] if place else own
            assert math.exp(scores[place]) == pytest.approx(expected, rel=1e-4)
    log_probs, _ = model.step(np.array([ids]), model.start())
    assert np.exp(log_probs[0]) == pytest.approx(weights @ np.array([np.exp(rows[0]), *found]), rel=1e-4)


def test_blocks_of_the_hidden_cache_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Cached(lstm(), HiddenCache(window=6))
    ids = np.random.default_rng(1).integers(V, size=(2, 23))
    whole, _ = model.score(ids, model.start(2))
    monkeypatch.setattr("malmoi.models.combined.hidden_cache.BLOCK", 4)
    assert model.score(ids, model.start(2))[0] == pytest.approx(whole, rel=1e-5)


def test_a_network_shows_the_vectors_it_predicts_from() -> None:
    model = lstm()
    ids = np.array([[4, 5, 6, 3]])
    vectors, after = model.predictors(ids, model.start())
    expected = np.stack(hidden_vectors(model, ids[0].tolist()))
    np.testing.assert_allclose(vectors[0], expected[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.next_predictor(after)[0], expected[-1], rtol=1e-5, atol=1e-6)
    assert model.score_vectors(vectors, ids) == pytest.approx(model.score(ids, model.start())[0])
    assert model.predictors(ids[:, :0], after)[0].shape == (1, 0, 5)


def test_a_cache_makes_a_repetition_likelier() -> None:
    ids = np.array([[4, 5, 6, 3] * 5])
    for inner in (MODEL, lstm()):
        model: LanguageModel = Cached(inner)
        scores, plain = model.score(ids, model.start())[0], inner.score(ids, inner.start())[0]
        assert scores[0, 8:].sum() > plain[0, 8:].sum()
        assert isinstance(model.start(), CachedState)


def test_a_cache_is_a_distribution_for_every_past() -> None:
    model = Cached(MODEL)
    for past in itertools.product([4, 5], repeat=4):
        log_probs, _ = model.step(np.array([past]), model.start())
        assert np.exp(log_probs).sum() == pytest.approx(1)
