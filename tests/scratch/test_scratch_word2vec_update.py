"""An update of word2vec with every number kept, against the networks, finite differences, and arithmetic on paper."""

import math

import numpy as np
import pytest

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.gradients import numerical_gradient
from malmoi.scratch.sampling import UnigramSampler, noise_probabilities
from malmoi.scratch.word2vec import CBOW, SimpleCBOW
from malmoi.scratch.word2vec_update import Update, Ways, answers_of_all, by_network, gather, vector_of

V, D = 7, 3
RNG = np.random.default_rng(0)
W_IN, W_OUT = RNG.standard_normal((V, D)), RNG.standard_normal((V, D))


def update(*, is_mean: bool, is_softmax: bool, divide: bool = True) -> Update:
    around, target = np.array([1, 5, 1]), 4
    asked = np.concatenate([[target], np.delete(np.arange(V), target) if is_softmax else [2, 6, 2]])
    right = (np.arange(len(asked)) == 0).astype(np.float64)
    parts = [around] if is_mean else [np.array([i]) for i in around]
    return gather(W_IN, W_OUT, parts, asked, right, is_softmax=is_softmax, divide=divide)


@pytest.mark.parametrize("is_mean", [True, False])
@pytest.mark.parametrize("is_softmax", [True, False])
def test_gradients_are_those_of_the_loss(is_mean: bool, is_softmax: bool) -> None:
    one = update(is_mean=is_mean, is_softmax=is_softmax)
    gradients = one.trace(0.1).gradients
    for weights, gradient in ((one.inputs, gradients.inputs), (one.outputs, gradients.outputs)):
        wanted = numerical_gradient(lambda: one.forward().loss, weights)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("divide", [True, False])
@pytest.mark.parametrize("is_mean", [True, False])
@pytest.mark.parametrize("is_softmax", [True, False])
def test_a_network_makes_the_same_update(is_mean: bool, is_softmax: bool, divide: bool) -> None:
    one = update(is_mean=is_mean, is_softmax=is_softmax, divide=divide)
    theirs, ours = by_network(one), one.trace(0.1).gradients
    assert theirs is not None
    np.testing.assert_allclose(theirs[0], ours.inputs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(theirs[1], ours.outputs, rtol=1e-10, atol=1e-12)


def test_no_network_answers_several_questions_with_yes() -> None:
    several = gather(W_IN, W_OUT, [np.array([1])], np.array([2, 3]), np.array([1.0, 1.0]))
    assert by_network(several) is None


def test_what_moves_and_what_it_costs_afterwards() -> None:
    one = update(is_mean=True, is_softmax=False, divide=False)
    found = one.trace(0.1)
    np.testing.assert_allclose(found.input_moves, -0.1 * found.gradients.inputs)
    np.testing.assert_allclose(found.moved.inputs, one.inputs + found.input_moves)
    np.testing.assert_allclose(found.moved.outputs, one.outputs + found.output_moves)
    assert found.after.loss == found.moved.forward().loss < found.before.loss
    assert found.before.probability == pytest.approx(math.exp(-found.before.loss))
    nothing = gather(np.zeros((V, D)), np.zeros((V, D)), one.parts, np.array([4, 2, 6]), np.array([1.0, 0.0, 0.0]))
    assert nothing.trace(0.1).blind_loss == pytest.approx(nothing.forward().loss)
    blind = update(is_mean=False, is_softmax=True).trace(0.1).blind_loss
    assert blind == pytest.approx(3 * math.log(V))


def test_answers_about_all_words() -> None:
    hidden = RNG.standard_normal((2, D))
    sigmoids = answers_of_all(W_OUT.astype(np.float32), hidden, "negative")
    np.testing.assert_allclose(sigmoids, (1 / (1 + np.exp(-hidden @ W_OUT.T))).mean(axis=0), rtol=1e-6)
    assert answers_of_all(W_OUT, hidden, "softmax").sum() == pytest.approx(1)
    ways = Ways(np.array([0, 1, 3, 5]), np.array([1, 0, 1, 1, 0]), np.array([1, 1, 0]))  # yes; yes and no; no and no
    yes = 1 / (1 + np.exp(-hidden[:1] @ W_OUT[:2].T))[0]
    wanted = [yes[1], yes[0] * (1 - yes[1]), (1 - yes[1]) * (1 - yes[0])]
    np.testing.assert_allclose(answers_of_all(W_OUT[:2], hidden[:1], "hierarchical", ways), wanted)


def test_a_word_is_the_mean_of_its_rows() -> None:
    np.testing.assert_allclose(vector_of(W_IN.astype(np.float32), np.array([2, 4])), (W_IN[2] + W_IN[4]) / 2, rtol=1e-6)


def test_wrong_words_are_drawn_by_what_is_told() -> None:
    counts = np.array([16, 1, 0, 81])
    np.testing.assert_allclose(noise_probabilities(counts, 0.75), np.array([8, 1, 0, 27]) / 36)
    np.testing.assert_array_equal(noise_probabilities(counts), UnigramSampler(counts, rng=RNG).probabilities)


def test_a_network_tells_what_it_expects() -> None:
    simple = SimpleCBOW(V, D, np.random.default_rng(1), np.float64)
    simple.params[0][...], simple.params[1][...] = W_IN, W_OUT.T
    found = simple.trace(np.array([1, 5]))
    assert found.log_probs is not None
    assert simple.forward(np.array([[1, 5]]), np.array([4])) == pytest.approx(-found.log_probs[4], rel=1e-12)
    np.testing.assert_allclose(found.hidden, (W_IN[1] + W_IN[5]) / 2)
    asks = CBOW(np.ones(V), D, np.random.default_rng(1), dtype=np.float64)
    asks.params[0][...], asks.params[1][...] = W_IN, W_OUT
    answers = asks.trace(np.array([1, 5]))
    assert answers.log_probs is None
    np.testing.assert_allclose(answers.probs, 1 / (1 + np.exp(-found.scores)))
    with pytest.raises(DataError, match="context_ids holds 7 at"):
        asks.trace(np.array([V]))
    with pytest.raises(ConfigError, match=r"context_ids has shape \(1, 1\), expected \(C,\)"):
        asks.trace(np.array([[1]]))
