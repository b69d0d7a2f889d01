"""One contract for models that are given a source. Joining takes one line: add it to MODELS, or to TRANSLATORS."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from small_models import Copying, WordByWord, log_softmax

from malmoi.errors import ConfigError
from malmoi.generation.sampling import SamplingOptions, generate
from malmoi.models.interface import ConditionalModel, State, Texts, Translator
from malmoi.text.tokenizers import train_tokenizer

V = 13
MODELS: dict[str, Callable[[], ConditionalModel]] = {"copy": lambda: Copying(V, end_id=3)}
TRANSLATORS: dict[str, Callable[[], Translator]] = {
    "word by word": lambda: WordByWord(log_softmax(np.random.default_rng(3).standard_normal((V, 5))))
}
SOURCES = [[4, 5, 6, 7, 8], [9], [10, 4]]  # of different lengths
TARGETS = np.array([[4, 5, 3, 6], [9, 3, 3, 4], [7, 4, 3, 12]])


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> ConditionalModel:
    return MODELS[request.param]()


@pytest.fixture(params=TRANSLATORS)
def translator(request: pytest.FixtureRequest) -> Translator:
    return TRANSLATORS[request.param]()


def test_a_given_source_makes_a_language_model_of_it(model: ConditionalModel) -> None:
    given = model.given(Texts.of(SOURCES))
    assert given.vocab_size == model.vocab_size == V
    assert model.source_vocab_size == V
    log_probs, _ = given.distributions(TARGETS, given.start(3))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)
    scores, state = given.score(TARGETS, given.start(3))
    expected = np.take_along_axis(log_probs, TARGETS[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    again, after = given.score(TARGETS[:, :1], given.start(3))
    rest, after = given.score(TARGETS[:, 1:], after)
    np.testing.assert_allclose(np.concatenate([again, rest], axis=1), scores, rtol=1e-4, atol=1e-5)
    nothing = TARGETS[:, :0]
    np.testing.assert_allclose(given.step(nothing, after)[0], given.step(nothing, state)[0], rtol=1e-4, atol=1e-5)


def test_the_source_matters(model: ConditionalModel) -> None:
    first, second = (model.given(Texts.of([source])) for source in ([4, 5], [6, 5]))
    assert not np.allclose(first.score(TARGETS[:1], first.start())[0], second.score(TARGETS[:1], second.start())[0])


def test_neighbours_and_padding_of_sources_change_nothing(model: ConditionalModel) -> None:
    together = model.given(Texts.of(SOURCES))
    scores, _ = together.score(TARGETS, together.start(3))
    padded = Texts.of([*SOURCES, list(range(4, 12))])
    others = padded.token_ids.copy()
    others[~padded.is_token] = 7
    wide = model.given(Texts(others[:3], padded.is_token[:3]))
    np.testing.assert_allclose(wide.score(TARGETS, wide.start(3))[0], scores, rtol=1e-4, atol=1e-5)
    for row, source in enumerate(SOURCES):
        alone = model.given(Texts.of([source]))
        found, _ = alone.score(TARGETS[row : row + 1], alone.start())
        np.testing.assert_allclose(found[0], scores[row], rtol=1e-4, atol=1e-5)
    turned = model.given(Texts.of(SOURCES[::-1]))
    np.testing.assert_allclose(turned.score(TARGETS[::-1], turned.start(3))[0], scores[::-1], rtol=1e-4, atol=1e-5)


def test_one_source_serves_a_batch_of_any_size(model: ConditionalModel) -> None:
    given = model.given(Texts.of(SOURCES[:1]))
    scores, _ = given.score(np.repeat(TARGETS[:1], 4, axis=0), given.start(4))
    np.testing.assert_allclose(scores, np.repeat(given.score(TARGETS[:1], given.start())[0], 4, axis=0), rtol=1e-4)


def test_a_batch_that_does_not_fit_its_sources_is_refused(model: ConditionalModel) -> None:
    given = model.given(Texts.of(SOURCES))
    with pytest.raises(
        ConfigError, match=r"batch of 2 was asked for, and 3 sources .* start a batch of 3, or give one"
    ):
        given.start(2)


def test_states_of_different_sources_are_joined(model: ConditionalModel) -> None:
    """A batching server: people with sources of their own, who are at different places, and beam search among them."""
    first, second = model.given(Texts.of(SOURCES[:1])), model.given(Texts.of(SOURCES[1:]))
    _, begun = first.step(TARGETS[:1, :2], first.start())
    joined = State.join([begun, second.start(2).select([1, 0, 1])])
    expected = [
        first.score(TARGETS[:1, 2:], begun)[0],
        second.score(TARGETS[[2, 1, 2], 2:], second.start(2).select([1, 0, 1]))[0],
    ]
    for language_model in (first, second):
        scores, _ = language_model.score(TARGETS[[0, 2, 1, 2], 2:], joined)
        np.testing.assert_allclose(scores, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="States of two models cannot be joined"):
        State.join([begun, next(iter(MODELS.values()))().given(Texts.of(SOURCES)).start(3)])


# Generation and scoring know the interface alone, so a source changes nothing for them.
@pytest.mark.parametrize("kind", ["char", "word"])
def test_generation_reads_on_from_a_source(kind: str) -> None:
    tokenizer = train_tokenizer(kind, ["작은 다람쥐 가 도토리 를 모아", "작은 다람쥐 가 도토리 를 모아"])
    model = Copying(tokenizer.vocab_size, tokenizer.eos_id, noise=0.05)
    source = "작은 도토리 를"
    given = model.given(Texts.of([tokenizer.encode(source)]))
    best = generate(given, tokenizer, options=SamplingOptions(temperature=0), stop=["\n"])
    assert [text.strip() for text in best] == [source]
    samples = generate(given, tokenizer, n=40, stop=["\n"], seed=1)
    assert 5 < sum(text.strip() == source for text in samples) < 40
    prompted = generate(given, tokenizer, "작은", options=SamplingOptions(temperature=0), stop=["\n"])
    assert ("작은" + prompted[0]).strip() == source


def test_the_best_translations_come_first_and_differ(translator: Translator) -> None:
    found = translator.translate(Texts.of(SOURCES), 4)
    assert len(found) == 3
    for hypotheses in found:
        assert 1 <= len(hypotheses) <= 4
        scores = [one.score for one in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({one.token_ids for one in hypotheses}) == len(hypotheses)
    assert [hypotheses[:1] for hypotheses in found] == translator.translate(Texts.of(SOURCES))


def test_neighbours_change_no_translation(translator: Translator) -> None:
    found = translator.translate(Texts.of(SOURCES), 3)
    assert translator.translate(Texts.of(SOURCES[::-1]), 3) == found[::-1]
    for source, hypotheses in zip(SOURCES, found, strict=True):
        assert translator.translate(Texts.of([source]), 3) == [hypotheses]


def test_no_translations_at_all_cannot_be_asked_for(translator: Translator) -> None:
    with pytest.raises(ConfigError, match=r"n=0 .* at least 1"):
        translator.translate(Texts.of(SOURCES), 0)


def test_the_small_translator_finds_what_trying_everything_finds() -> None:
    translator = TRANSLATORS["word by word"]()
    assert isinstance(translator, WordByWord)
    everything = sorted(itertools.product(range(5), repeat=3), key=lambda ids: -translator.table[[6, 7, 8], ids].sum())
    found = translator.translate(Texts.of([[6, 7, 8]]), 20)[0]
    assert [one.token_ids for one in found] == everything[:20]
    assert found[7].score == pytest.approx(translator.table[[6, 7, 8], everything[7]].sum())
