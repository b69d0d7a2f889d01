"""One contract for everything that claims to be a language model.

Every rung that the registry calls one is a member, by itself and, if it is a network, as NumPy serves it. Variants join by
one line in VARIANTS.
"""

from collections.abc import Callable

import numpy as np
import pytest
from small_models import Fading
from streams import Ids

from malmoi.engines.numpy_engine import NumPyLanguageModel
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError
from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.models.combined import Cached, CountCache, Interpolated, LastTokenBuckets, Lookback, MatchedOrderBuckets
from malmoi.models.combined.hidden_cache import HiddenCache
from malmoi.models.interface import LanguageModel, State
from malmoi.models.ngram.estimate import estimate
from malmoi.models.ngram.model import NGramModel
from malmoi.models.options.ngram import NGramConfig
from malmoi.models.registry import LANGUAGE_MODELS, build_model, find_rung
from malmoi.store import Store
from malmoi.text.vocabulary import SpecialIds

pytestmark = pytest.mark.filterwarnings("ignore::malmoi.errors.ContextWarning")  # see test_context.py

V = 23
EOS = 3
SMALL = {"embed_dim": 10, "hidden_size": 14}  # options of a network, where its own defaults would be too big
SMALL_OPTIONS: dict[str, dict[str, object]] = {}  # of networks that have other options, by the rung's name


def neural(name: str, **options: object) -> Callable[[], LanguageModel]:
    def make() -> LanguageModel:
        rung = find_rung(name)
        config = rung.config.parse({"vocab_size": V, **SMALL_OPTIONS.get(name, SMALL), **options})
        network = build_model(rung, config, seed=2, start_id=EOS)
        for parameter in network.parameters():  # far from uniform, so that a mistake cannot hide
            parameter.data *= 4
        return TorchLanguageModel(network, start_id=EOS)

    return make


def scratch(name: str, **options: object) -> Callable[[], LanguageModel]:
    """The same weights, served by NumPy."""

    def make() -> LanguageModel:
        served = neural(name, **options)()
        assert isinstance(served, TorchLanguageModel)
        arrays = {key: weight.detach().numpy() for key, weight in served.network.named_parameters()}
        return NumPyLanguageModel(served.network.config, arrays, start_id=EOS)

    return make


def ngram(**options: object) -> Callable[[], LanguageModel]:
    def make() -> LanguageModel:
        config = NGramConfig.parse({"vocab_size": V, **options})
        text = np.random.default_rng(4).integers(3, V, 600) ** 2 % V
        text[text == 2] = EOS
        tables = estimate(
            Ids(text), config, Store(), special_ids=SpecialIds(0, 1, 2, EOS), memory=1 << 30, n_threads=1
        ).tables
        return NGramModel(tables, 2, EOS)

    return make


def interpolated() -> LanguageModel:
    counted = ngram(order=3)()
    weights = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.0, 0.5, 0.5]]
    return Interpolated(
        [counted, neural("rnn")(), unigram()], weights, MatchedOrderBuckets(counted, place=0, n_buckets=3)
    )


def cached_counts() -> LanguageModel:
    """A window shorter than the text, and weights of which every token has its own."""
    weights = np.random.default_rng(5).dirichlet(np.ones(4), size=4 * V)
    parts = [Lookback(1, half_life=2, rarity=0.5), Lookback(2), Lookback(3, half_life=4)]
    rarity = np.linspace(0, 1, V)
    cache = CountCache(parts, weights, window=6, rarity=rarity, buckets=LastTokenBuckets(np.arange(V), EOS))
    return Cached(neural("gru")(), cache)


def unigram() -> LanguageModel:
    return UnigramModel.fit(np.arange(400) ** 2 % V, V)


VARIANTS: dict[str, Callable[[], LanguageModel]] = {
    "uniform": lambda: UniformModel(V),
    "unigram": unigram,
    "interpolated": interpolated,
    "unigram, cached": lambda: Cached(unigram()),
    "counts cached": cached_counts,
    "lstm, cached": lambda: Cached(neural("lstm")(), HiddenCache([0.0, 0.7], [0.5, 0.2, 0.3], window=5)),
    "interpolated, cached twice": lambda: Cached(Cached(neural("nnlm")()), CountCache(window=5)),
    "ngram, witten-bell": ngram(order=3, smoothing="witten-bell"),
    "ngram, add-k": ngram(order=2, smoothing="add-k"),
    "ngram, stupid back-off": ngram(order=3, smoothing="stupid-backoff"),
    "ngram, pruned": ngram(order=4, prune="0,1", prune_entropy=1e-5),
    "nnlm, untied, direct, two layers": neural("nnlm", tie_embeddings=False, direct=True, n_layers=2),
    "nnlm, one token back": neural("nnlm", context_size=1),
    "lstm, untied, three layers": neural("lstm", tie_embeddings=False, n_layers=3),
    "lstm, one layer": neural("lstm", n_layers=1),
    "scratch nnlm, untied, direct, two layers": scratch("nnlm", tie_embeddings=False, direct=True, n_layers=2),
    "scratch nnlm, direct": scratch("nnlm", direct=True),
    "scratch rnn, two layers": scratch("rnn", n_layers=2),
    "scratch lstm, untied, three layers": scratch("lstm", tie_embeddings=False, n_layers=3),
    "scratch lstm, cached": lambda: Cached(scratch("lstm")(), HiddenCache([0.0, 0.7], [0.5, 0.2, 0.3], window=5)),
    "windowed": lambda: Fading(V, context_length=5),
}
COUNTED = {"ngram": ngram(order=4)}  # rungs that are no networks


def members_of(name: str) -> dict[str, Callable[[], LanguageModel]]:
    """The language models that a rung gives."""
    if name in COUNTED:
        return {name: COUNTED[name]}
    return {name: neural(name), f"scratch {name}": scratch(name)}


MODELS = VARIANTS | {member: make for name in LANGUAGE_MODELS for member, make in members_of(name).items()}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return MODELS[request.param]()


def test_every_rung_that_is_a_language_model_is_a_member() -> None:
    assert MODELS.keys() >= LANGUAGE_MODELS.keys()
    assert LANGUAGE_MODELS.keys() >= COUNTED.keys() | SMALL_OPTIONS.keys()  # nothing is left of a rung that has gone


@pytest.fixture
def token_ids() -> np.ndarray:
    return np.random.default_rng(0).integers(V, size=(3, 8))


def test_probabilities_sum_to_one(model: LanguageModel, token_ids: np.ndarray) -> None:
    log_probs, _ = model.distributions(token_ids, model.start(3))
    assert log_probs.shape == (3, 8, V)
    np.testing.assert_allclose(np.exp(log_probs.astype(np.float64)).sum(axis=-1), 1, rtol=1e-5)


def test_score_agrees_with_distributions(model: LanguageModel, token_ids: np.ndarray) -> None:
    scores, _ = model.score(token_ids, model.start(3))
    log_probs, _ = model.distributions(token_ids, model.start(3))
    expected = np.take_along_axis(log_probs, token_ids[:, :, None], axis=-1)[:, :, 0]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_default_distributions_agree_with_the_model_s_own(model: LanguageModel, token_ids: np.ndarray) -> None:
    own, _ = model.distributions(token_ids, model.start(3))
    stepped, _ = LanguageModel.distributions(model, token_ids, model.start(3))
    np.testing.assert_allclose(own, stepped, rtol=1e-4, atol=1e-5)


def test_one_step_of_many_tokens_equals_many_steps_of_one(model: LanguageModel, token_ids: np.ndarray) -> None:
    at_once, state_at_once = model.step(token_ids, model.start(3))
    state = model.start(3)
    for t in range(token_ids.shape[1]):
        log_probs, state = model.step(token_ids[:, t : t + 1], state)
    np.testing.assert_allclose(at_once, log_probs, rtol=1e-4, atol=1e-5)
    more = token_ids[:, :2]
    np.testing.assert_allclose(model.score(more, state_at_once)[0], model.score(more, state)[0], rtol=1e-4, atol=1e-5)


def test_reading_nothing_changes_nothing(model: LanguageModel, token_ids: np.ndarray) -> None:
    log_probs, state = model.step(token_ids, model.start(3))
    again, _ = model.step(token_ids[:, :0], state)
    np.testing.assert_allclose(again, log_probs, rtol=1e-6)
    scores, _ = model.score(token_ids[:, :0], state)
    assert scores.shape == (3, 0)


def test_scoring_in_parts_equals_scoring_the_whole(model: LanguageModel, token_ids: np.ndarray) -> None:
    whole, _ = model.score(token_ids, model.start(3))
    first, state = model.score(token_ids[:, :3], model.start(3))
    second, _ = model.score(token_ids[:, 3:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-4, atol=1e-5)


def test_neighbours_in_the_batch_change_nothing(model: LanguageModel, token_ids: np.ndarray) -> None:
    together, _ = model.score(token_ids, model.start(3))
    for row in range(3):
        alone, _ = model.score(token_ids[row : row + 1], model.start(1))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_padding_after_the_end_and_later_tokens_change_nothing(model: LanguageModel, token_ids: np.ndarray) -> None:
    scores, _ = model.score(token_ids, model.start(3))
    edited = token_ids.copy()
    edited[:, 5:] = 0  # padding
    np.testing.assert_allclose(model.score(edited, model.start(3))[0][:, :5], scores[:, :5], rtol=1e-4, atol=1e-5)


def test_select_repeats_and_reorders_the_batch(model: LanguageModel, token_ids: np.ndarray) -> None:
    log_probs, state = model.step(token_ids, model.start(3))
    chosen, _ = model.step(np.zeros((4, 0), int), state.select([2, 0, 0, 1]))
    np.testing.assert_allclose(chosen, log_probs[[2, 0, 0, 1]], rtol=1e-5, atol=1e-6)


def test_a_state_can_be_used_twice(model: LanguageModel, token_ids: np.ndarray) -> None:
    _, state = model.step(token_ids, model.start(3))
    first = model.score(token_ids, state)[0]
    np.testing.assert_array_equal(model.score(token_ids, state)[0], first)


def states_of_different_lengths(model: LanguageModel, token_ids: np.ndarray) -> list[State]:
    """Two rows that have read 8 tokens, two that have read none, one that has read 3."""
    long, short = model.step(token_ids[:2], model.start(2))[1], model.step(token_ids[2:, :3], model.start(1))[1]
    return [long, model.start(2), short]


def test_a_joined_batch_goes_on_as_its_parts_would(model: LanguageModel, token_ids: np.ndarray) -> None:
    states, more = states_of_different_lengths(model, token_ids), np.concatenate([token_ids, token_ids])[:5, ::-1]
    joined = State.join(states)
    parts = [(rows, state) for rows, state in zip(np.split(more, [2, 4]), states, strict=True)]
    close = {"rtol": 1e-4, "atol": 1e-5}
    nothing_read, _ = model.step(more[:, :0], joined)
    np.testing.assert_allclose(nothing_read, np.concatenate([model.step(r[:, :0], s)[0] for r, s in parts]), **close)
    scores, after = model.score(more, joined)
    found = [model.score(rows, state) for rows, state in parts]
    np.testing.assert_allclose(scores, np.concatenate([values for values, _ in found]), **close)
    log_probs, after = model.step(more[:, :1], after)
    found = [model.step(rows[:, :1], state) for (rows, _), (_, state) in zip(parts, found, strict=True)]
    np.testing.assert_allclose(log_probs, np.concatenate([values for values, _ in found]), **close)
    last, _ = model.step(more[:3, :0], after.select([4, 1, 3]))
    np.testing.assert_allclose(last, log_probs[[4, 1, 3]], **close)


def test_what_was_taken_apart_is_whole_when_it_is_joined(model: LanguageModel, token_ids: np.ndarray) -> None:
    log_probs, state = model.step(token_ids, model.start(3))
    whole = State.join([state.select([0]), state.select([1, 2])])
    np.testing.assert_allclose(model.step(token_ids[:, :0], whole)[0], log_probs, rtol=1e-6)
    np.testing.assert_allclose(model.score(token_ids, whole)[0], model.score(token_ids, state)[0], rtol=1e-4, atol=1e-5)


def test_joining_changes_no_state(model: LanguageModel, token_ids: np.ndarray) -> None:
    states = states_of_different_lengths(model, token_ids)
    nothing = [np.zeros((n_rows, 0), int) for n_rows in (2, 2, 1)]
    before = [model.step(ids, state)[0] for ids, state in zip(nothing, states, strict=True)]
    model.step(np.full((5, 3), 7), State.join(states))
    for ids, state, log_probs in zip(nothing, states, before, strict=True):
        np.testing.assert_array_equal(model.step(ids, state)[0], log_probs)


@pytest.mark.parametrize("name", MODELS)
def test_states_of_two_models_are_not_joined(name: str) -> None:
    """Not even of two with the same numbers: nobody can tell from the outside that they are the same."""
    with pytest.raises(ConfigError, match=r"States of two models cannot be joined: .*join those of each model"):
        State.join([MODELS[name]().start(1), MODELS[name]().start(1)])


def test_a_refusal_to_join_names_the_models() -> None:
    with pytest.raises(ConfigError, match=r"a UnigramModel and a NGramModel\. States of one and the same"):
        State.join([unigram().start(1), ngram(order=2)().start(1)])
    with pytest.raises(ConfigError, match=r"no state to join.*model\.start\(\)"):
        State.join([])
