"""What a word2vec network expects, against the loss of the network itself and against a worked example."""

import math

import numpy as np
import pytest

from malmoi.errors import DataError, MalmoiError
from malmoi.explain.explanation import Explanation
from malmoi.explain.word2vec import explain_cbow
from malmoi.scratch.word2vec import CBOW, SimpleCBOW

NAMES = ["you", "say", "goodbye", "and", "i", "hello", "."]
COUNTS = np.array([5, 4, 3, 2, 2, 1, 1])


def numbers(found: Explanation, name: str) -> np.ndarray:
    (values,) = [part.values for step in found.steps for part in step.numbers if part.name == name]
    return values


def with_large_weights(network: SimpleCBOW | CBOW, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for array in network.params:
        array[...] = rng.standard_normal(array.shape)


def test_cbow_averages_rows_and_ends_in_a_softmax() -> None:
    network = SimpleCBOW(7, 3, np.random.default_rng(0), np.float64)
    with_large_weights(network)
    found = explain_cbow(network, [0, 2], 1, NAMES)
    assert "평균" in explain_cbow(network, [0, 2], 1, NAMES, language="ko").steps[1].sentence
    W_in, W_out = network.params
    h = (W_in[0] + W_in[2]) / 2
    np.testing.assert_allclose(numbers(found, "h"), h)
    scores = np.exp(h @ W_out)
    np.testing.assert_allclose(numbers(found, "P"), scores / scores.sum())
    assert found.probability == pytest.approx(scores[1] / scores.sum())
    assert found.agreement["scratch"] < 1e-12
    assert (found.family, found.text, found.target) == ("cbow", "you ___ goodbye", "say")
    assert [step.name for step in found.steps] == ["neighbours", "mean", "word_scores", "softmax", "surprisal"]
    assert math.log(found.probability) == pytest.approx(-network.forward(np.array([[0, 2]]), np.array([1])))


def test_negative_sampling_answers_yes_or_no() -> None:
    rng = np.random.default_rng(0)
    cbow = CBOW(COUNTS, 3, rng, dtype=np.float64)
    with_large_weights(cbow)
    found = explain_cbow(cbow, [1, 3, 3], 2, NAMES)
    W_in, W_out = cbow.params
    h = (W_in[1] + 2 * W_in[3]) / 3
    assert found.probability == pytest.approx(1 / (1 + math.exp(-h @ W_out[2])))
    assert "no distribution" in found.steps[-1].sentence
    assert found.agreement == {}
    assert [p for _, p in found.likeliest] == sorted((p for _, p in found.likeliest), reverse=True)


@pytest.mark.parametrize(
    ("contexts", "target", "names", "kind", "message"),
    [
        ([], 1, NAMES, DataError, "no context words. At least one was expected"),
        ([0, 7], 1, NAMES, DataError, "The id 7 is not in the vocabulary. Expected 0 to 6"),
        ([0], -1, NAMES, DataError, "The id -1 is not in the vocabulary"),
        ([0], 1, NAMES[:5], DataError, "5 names were given for a vocabulary of 7 words. One for each was expected"),
    ],
)
def test_bad_input(contexts: list[int], target: int, names: list[str], kind: type[MalmoiError], message: str) -> None:
    with pytest.raises(kind, match=message):
        explain_cbow(SimpleCBOW(7, 3, np.random.default_rng(0)), contexts, target, names)


def test_weights_that_are_no_numbers() -> None:
    network = SimpleCBOW(7, 3, np.random.default_rng(0))
    network.params[1][0, 0] = math.nan
    with pytest.raises(MalmoiError, match="W_out"):
        explain_cbow(network, [0], 1, NAMES)
