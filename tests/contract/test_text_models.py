"""One contract for models that see a text as a whole. Joining takes one line: add it to the list of its kind."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import Brackets, Chain, LetterBag, NaiveBayes, Neighbours

from malmoi.errors import ConfigError
from malmoi.models.interface import (
    Classifier,
    MaskedModel,
    SpanReader,
    TextEncoder,
    Texts,
    TokenClassifier,
    check_places,
)

V, N_CLASSES = 7, 3
WORDS = ["abba", "cab", "baa", "c", "bca", "aaa", "bb"]


def chain() -> MaskedModel:
    rng = np.random.default_rng(4)
    return Chain(rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V), size=V))


def naive_bayes() -> Classifier:
    return NaiveBayes(["x", "y", "z"], Texts.of([[1, 2, 2], [3], [4, 1], [2, 5, 6, 6]]), [0, 1, 2, 0], V)


def neighbours() -> TokenClassifier:
    return Neighbours(["x", "y", "z"], np.random.default_rng(5).standard_normal((3, V, N_CLASSES)))


MASKED: dict[str, Callable[[], MaskedModel]] = {"chain": chain}
ENCODERS: dict[str, Callable[[], TextEncoder]] = {"letters": lambda: LetterBag(WORDS, "abc")}
CLASSIFIERS: dict[str, Callable[[], Classifier]] = {"naive bayes": naive_bayes}
TAGGERS: dict[str, Callable[[], TokenClassifier]] = {"neighbours": neighbours}
READERS: dict[str, Callable[[], SpanReader]] = {"brackets": lambda: Brackets(1, 2)}

TEXTS = [[3, 1, 4, 2, 5], [6], [2, 2, 1]]  # of different lengths


def answers(model: object, texts: Texts) -> list[np.ndarray]:
    """All that the model says of each text, cut to its length."""
    if isinstance(model, MaskedModel):
        last = texts.lengths[:, None] - 1
        both = np.concatenate([last, np.zeros_like(last)], axis=1)
        whole = [model.fill(texts, last), model.fill(texts, both)]
        along = [model.pseudo_score(texts)]
    elif isinstance(model, TextEncoder):
        whole, along = [model.encode(texts)], [model.encode_tokens(texts)]
    elif isinstance(model, Classifier):
        whole, along = [model.classify(texts)], []
    elif isinstance(model, TokenClassifier):
        whole, along = [], [model.tag(texts)]
    else:
        assert isinstance(model, SpanReader)
        whole, along = [], list(model.find(texts))
    return [
        np.concatenate([*(part[row].ravel() for part in whole), *(part[row, :length].ravel() for part in along)])
        for row, length in enumerate(texts.lengths)
    ]


EVERYTHING: dict[str, Callable[[], Any]] = {**MASKED, **ENCODERS, **CLASSIFIERS, **TAGGERS, **READERS}


@pytest.fixture(params=EVERYTHING)
def model(request: pytest.FixtureRequest) -> object:
    return EVERYTHING[request.param]()


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_no_two_models_share_a_name() -> None:
    assert len(EVERYTHING) == sum(map(len, (MASKED, ENCODERS, CLASSIFIERS, TAGGERS, READERS)))


def test_neighbours_and_their_order_change_nothing(model: object) -> None:
    together = answers(model, Texts.of(TEXTS))
    assert_same([answers(model, Texts.of([text]))[0] for text in TEXTS], together)
    assert_same(answers(model, Texts.of(TEXTS[::-1])), together[::-1])


def test_padding_changes_nothing(model: object) -> None:
    wide = Texts.of([*TEXTS, [0] * 9])
    ids = wide.token_ids.copy()
    for padding in (0, 1, 2):
        ids[~wide.is_token] = padding
        assert_same(answers(model, Texts(ids[:3], wide.is_token[:3])), answers(model, Texts.of(TEXTS)))


def test_the_tokens_matter(model: object) -> None:
    before, after = answers(model, Texts.of([[3, 1, 4, 2, 5]])), answers(model, Texts.of([[6, 4, 1, 5, 2]]))
    assert not np.allclose(before[0], after[0])


# Masked models


@pytest.fixture(params=MASKED)
def masked(request: pytest.FixtureRequest) -> MaskedModel:
    return MASKED[request.param]()


def test_what_fills_a_place_is_a_distribution(masked: MaskedModel) -> None:
    log_probs = masked.fill(Texts.of(TEXTS), np.array([[0, 3], [0, 0], [2, 1]]))
    assert log_probs.shape == (3, 2, masked.vocab_size)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)


def test_what_stands_at_a_hidden_place_is_not_looked_at(masked: MaskedModel) -> None:
    places = np.array([[1, 2]])
    expected = masked.fill(Texts.of([[3, 1, 4, 2, 5]]), places)
    np.testing.assert_allclose(masked.fill(Texts.of([[3, 6, 0, 2, 5]]), places), expected, rtol=1e-4, atol=1e-5)
    order = masked.fill(Texts.of([[3, 1, 4, 2, 5]]), places[:, ::-1])
    np.testing.assert_allclose(order, expected[:, ::-1], rtol=1e-4, atol=1e-5)
    alone = masked.fill(Texts.of([[3, 1, 4, 2, 5]]), places[:, :1])
    assert not np.allclose(alone[:, 0], expected[:, 0])  # the other one is hidden, too


def test_a_pseudo_score_hides_each_token_by_itself(masked: MaskedModel) -> None:
    scores = masked.pseudo_score(Texts.of(TEXTS))
    assert scores.shape == (3, 5)
    for row, text in enumerate(TEXTS):
        for place, token_id in enumerate(text):
            filled = masked.fill(Texts.of([text]), np.array([[place]]))
            assert scores[row, place] == pytest.approx(filled[0, 0, token_id], rel=1e-4)
        assert not scores[row, len(text) :].any()


def test_places_outside_a_text_are_refused(masked: MaskedModel) -> None:
    for place in (3, -1):
        with pytest.raises(ConfigError, match=rf"Text 2 has 3 tokens, and place {place} .*from 0 to 2"):
            masked.fill(Texts.of(TEXTS), np.array([[0], [0], [place]]))
    check_places(Texts.of(TEXTS), np.array([[4], [0], [2]]))


def test_the_small_masked_model_agrees_with_trying_everything() -> None:
    model = chain()
    assert isinstance(model, Chain)
    ids, hidden = [3, 1, 4, 2], [0, 2, 3]
    probs = np.zeros((3, V))
    for values in itertools.product(range(V), repeat=3):
        text = list(ids)
        for place, value in zip(hidden, values, strict=True):
            text[place] = value
        share = model.first[text[0]] * np.prod([model.table[a, b] for a, b in itertools.pairwise(text)])
        probs[np.arange(3), values] += share
    expected = np.log(probs / probs.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.fill(Texts.of([ids]), np.array([hidden]))[0], expected)


# Vectors


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    return ENCODERS[request.param]()


def test_texts_and_tokens_have_vectors_of_one_width(encoder: TextEncoder) -> None:
    texts = Texts.of([*TEXTS, []])
    assert encoder.encode(texts).shape == (4, encoder.width)
    assert encoder.encode_tokens(texts).shape == (4, 5, encoder.width)
    assert np.isfinite(encoder.encode(texts)).all()


# "abba c": 2 a, 2 b, 0 c and 0 a, 0 b, 1 c; the mean is 1, 1, 1/2.
def test_a_text_is_the_mean_of_its_tokens_by_default() -> None:
    encoder = ENCODERS["letters"]()
    np.testing.assert_allclose(encoder.encode(Texts.of([[0, 3], [], [5]])), [[1, 1, 0.5], [0, 0, 0], [3, 0, 0]])


# Classes


@pytest.mark.parametrize("make", [*CLASSIFIERS.values(), *TAGGERS.values()], ids=[*CLASSIFIERS, *TAGGERS])
def test_classes_share_one_probability(make: Callable[[], Classifier | TokenClassifier]) -> None:
    model, texts = make(), Texts.of(TEXTS)
    log_probs = model.classify(texts) if isinstance(model, Classifier) else model.tag(texts)[texts.is_token]
    assert log_probs.shape == (3 if isinstance(model, Classifier) else 9, len(model.classes))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)


# Of 4 texts 2, 1, 1 are of the classes, each count raised by one: 3, 2, 2. Token 1 is seen once among the 7 tokens of x,
# never in the one token of y, once in the two of z: (1 + 1) / (7 + 7), (0 + 1) / (1 + 7), (1 + 1) / (2 + 7).
def test_naive_bayes_worked_by_hand() -> None:
    weights = np.array([3 * 2 / 14, 2 * 1 / 8, 2 * 2 / 9])
    np.testing.assert_allclose(np.exp(naive_bayes().classify(Texts.of([[1]])))[0], weights / weights.sum())


# Parts of a text


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> SpanReader:
    return READERS[request.param]()


def test_a_part_begins_and_ends_with_a_token_of_the_text(reader: SpanReader) -> None:
    texts = Texts.of(TEXTS)
    for log_probs in reader.find(texts):
        assert log_probs.shape == (3, 5)
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-5)
        assert np.isneginf(log_probs[~texts.is_token]).all()


def test_the_small_reader_finds_what_stands_between_marks() -> None:
    span = READERS["brackets"]().find(Texts.of([[0, 1, 5, 6, 2, 4], [1, 3, 2]]))
    assert (span.first.argmax(axis=1).tolist(), span.last.argmax(axis=1).tolist()) == ([2, 1], [3, 1])


# Texts side by side


def test_texts_of_different_lengths_stand_side_by_side() -> None:
    texts = Texts.of([[4, 5], [], [6]])
    assert texts.is_token.tolist() == [[True, True], [False, False], [True, False]]
    assert texts.token_ids[texts.is_token].tolist() == [4, 5, 6]
    assert texts.lengths.tolist() == [2, 0, 1]
    assert Texts.of([[]]).token_ids.shape == (1, 0)
    with pytest.raises(ConfigError, match=r"There is no text\..*give \[ids\]"):
        Texts.of([])
