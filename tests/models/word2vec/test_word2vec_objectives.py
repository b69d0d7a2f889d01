"""Hierarchical and full softmax: each update against the slope of the loss, measured by small steps in float64."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from word2vec_reference import COUNTS, KEPT, VOCABULARY, WIDTH, WINDOW, Draws, Text, planted, train, windows

from malmoi.errors import ConfigError
from malmoi.models.word2vec import Word2VecOptions, objectives, softmax_kernels
from malmoi.models.word2vec.huffman import huffman_tree
from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

WORDS = np.flatnonzero(COUNTS)
TREE = huffman_tree(COUNTS)
H = 1e-5
SMALL = Word2VecOptions(dim=13, window=3, subsample_threshold=0.0, epochs=3, learning_rate=0.05)


def loss_of(objective: str, asked: NDArray[np.float64], outputs: NDArray[np.float64], centre: int) -> float:
    """-log P(centre) of each row of `asked` (M, D), summed."""
    total = 0.0
    for row in asked:
        scores = outputs @ row
        if objective == "softmax":
            total += math.log(sum(math.exp(s) for s in scores[WORDS])) - scores[centre]
            continue
        nodes = TREE.nodes[TREE.starts[centre] : TREE.starts[centre + 1]].tolist()
        for place, node in enumerate(nodes):
            total += math.log1p(math.exp(-scores[node] if place < TREE.n_yes[centre] else scores[node]))
    return total


def slopes(function, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a function of no arguments towards each number of a matrix that it reads."""
    found = np.zeros_like(matrix)
    for place in np.ndindex(*matrix.shape):
        kept = matrix[place]
        matrix[place] = kept + H
        above = function()
        matrix[place] = kept - H
        found[place] = (above - function()) / (2 * H)
        matrix[place] = kept
    return found


@pytest.mark.parametrize("objective", ["hierarchical", "softmax"])
@pytest.mark.parametrize(("method", "divide"), [("skip-gram", False), ("cbow", False), ("cbow", True)])
def test_updates_go_down_the_slope_of_the_loss(objective: str, method: str, divide: bool) -> None:
    dim = 5  # the other columns are padding
    rng = np.random.default_rng(8)
    inputs, outputs = (rng.normal(0, 0.7, (len(COUNTS), dim)) for _ in range(2))
    ours = [np.zeros((len(COUNTS), WIDTH), np.float32) for _ in range(2)]
    for own, start in zip(ours, (inputs, outputs), strict=True):
        own[:, :dim] = start
    loss, n_pairs, rates = 0.0, 0, (0.1, 0.04)
    for i, centre, context, _ in windows(Draws(31), KEPT.tolist(), n_negatives=0):
        rate = rates[0] + (rates[1] - rates[0]) * i / len(KEPT)

        def lost(centre=centre, context=context) -> float:
            asked = inputs[context] if method == "skip-gram" else inputs[context].mean(axis=0, keepdims=True)
            return loss_of(objective, asked, outputs, centre)

        loss += lost()
        n_pairs += len(context) if method == "skip-gram" else 1
        of_inputs, of_outputs = slopes(lost, inputs), slopes(lost, outputs)
        share = len(context) if method == "cbow" and not divide else 1
        inputs[:] -= rate * share * of_inputs
        outputs[:] -= rate * of_outputs
    tables = TREE if objective == "hierarchical" else (WORDS,)
    name = f"{method.replace('-', '_')}_{'tree' if objective == 'hierarchical' else 'softmax'}"
    more = (divide,) if method == "cbow" else ()
    result = getattr(softmax_kernels, name)(KEPT, len(KEPT), WINDOW, *tables, *rates, np.uint64(31), *ours, *more)
    assert result[0] == pytest.approx(loss, rel=2e-5)
    assert result[1] == n_pairs > 5
    for own, expected in zip(ours, (inputs, outputs), strict=True):
        np.testing.assert_allclose(own[:, :dim], expected, rtol=0, atol=1e-5)
        assert not own[:, dim:].any()
    assert np.abs(ours[1][:, :dim]).max() > 0.1


@pytest.mark.parametrize("objective", ["hierarchical", "softmax"])
@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_words_of_one_topic_become_neighbours(objective: str, method: str) -> None:
    text = planted(1000)
    options = dataclasses.replace(SMALL, method=method, objective=objective, epochs=6)
    trained = train(text, text.counts, options, seed=2)
    again = train(text, text.counts, options, seed=2, n_threads=2)
    assert trained.inputs.tobytes() + trained.outputs.tobytes() == again.inputs.tobytes() + again.outputs.tobytes()
    free = train(text, text.counts, options, seed=2, n_threads=2, mode="free")
    assert free.losses == pytest.approx(trained.losses, rel=0.05)
    assert trained.losses[0] > trained.losses[-1] > math.log(10)  # the topic is all that can be known
    assert trained.losses[-1] < math.log(10) + 0.25
    vectors = trained.inputs[4:] / np.linalg.norm(trained.inputs[4:], axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1)[:, :9]
    assert (nearest // 10 == np.arange(30)[:, None] // 10).all()


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_the_first_losses_are_those_of_scores_of_zero(method: str) -> None:
    text = planted(40)
    still = dataclasses.replace(SMALL, method=method, epochs=1, learning_rate=1e-9, min_learning_rate=0.0)
    softmax = train(text, text.counts, dataclasses.replace(still, objective="softmax")).losses[0]
    assert softmax == pytest.approx(math.log(30), rel=1e-6)
    lengths = np.diff(huffman_tree(text.counts * (np.arange(VOCABULARY) > 3)).starts)
    expected = math.log(2) * (lengths[4:] * text.counts[4:]).sum() / text.counts[4:].sum()
    tree = train(text, text.counts, dataclasses.replace(still, objective="hierarchical")).losses[0]
    assert tree == pytest.approx(expected, rel=0.01 if method == "skip-gram" else 1e-6)  # cbow meets each word once


def test_the_full_softmax_is_refused_for_a_large_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "LARGEST_SOFTMAX", 29)
    text = planted(40)
    with pytest.raises(
        ConfigError, match=r"compares 30 words.*29 are the most.*'negative' or objective='hierarchical'"
    ):
        train(text, text.counts, dataclasses.replace(SMALL, objective="softmax"))


def subwords_of(text: Text) -> Subwords:
    words = [""] * 4 + [f"{'xyz'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(30)]
    return Subwords.build(words, SubwordSettings(shortest=2, longest=3, n_buckets=97))


@pytest.mark.parametrize("objective", ["hierarchical", "softmax"])
def test_subwords_are_for_negative_sampling(objective: str) -> None:
    text = planted(40)
    with pytest.raises(ConfigError, match=f"objective='{objective}' cannot learn from parts of words"):
        train(text, text.counts, dataclasses.replace(SMALL, objective=objective), subwords=subwords_of(text))


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_with_subwords_a_word_is_the_mean_of_its_rows(method: str) -> None:
    text = planted(300)
    subwords = subwords_of(text)
    trained = train(text, text.counts, dataclasses.replace(SMALL, method=method), subwords=subwords, seed=1)
    assert trained.inputs.shape == (VOCABULARY + 97, 13)
    assert trained.outputs.shape == (VOCABULARY, 13)
    assert trained.losses[-1] < trained.losses[0] < 6 * math.log(2)
    rows = subwords.rows[subwords.starts[7] : subwords.starts[8]]
    assert len(rows) > 2
    np.testing.assert_allclose(trained.vectors()[7], trained.inputs[rows].mean(axis=0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(
        trained.vectors("average")[7],
        (trained.inputs[rows].mean(axis=0) + trained.outputs[7]) / 2,
        rtol=1e-5,
        atol=1e-8,
    )
    assert not trained.vectors()[:4].any()
    more = train(
        text, text.counts, SMALL, subwords=subwords, initial=(trained.inputs, trained.outputs), seed=2, mode="free"
    )
    assert more.losses[0] < trained.losses[0]


def test_input_output_and_average_vectors() -> None:
    text = planted(40)
    trained = train(text, text.counts, dataclasses.replace(SMALL, epochs=1))
    assert trained.vectors() is trained.inputs
    assert trained.vectors("output") is trained.outputs
    np.testing.assert_allclose(trained.vectors("average"), (trained.inputs + trained.outputs) / 2)
    with pytest.raises(ConfigError, match="keep='both' is not known"):
        trained.vectors("both")
    tree = train(text, text.counts, dataclasses.replace(SMALL, epochs=1, objective="hierarchical"))
    assert tree.vectors().shape == (VOCABULARY, 13)
    for keep in ("output", "average"):
        with pytest.raises(ConfigError, match=f"keep='{keep}' needs a vector of each word as an answer"):
            tree.vectors(keep)
    assert not tree.outputs[29:].any()  # 30 words, 29 nodes
