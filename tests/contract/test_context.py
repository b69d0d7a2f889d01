"""What a model does past the longest context that it can take in. A model with a `context_length` joins by one line."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from small_models import Fading

from malmoi.errors import ContextError, ContextWarning, DataError
from malmoi.models.baselines import UniformModel
from malmoi.models.combined import Cached, CountCache, Interpolated
from malmoi.models.interface import LanguageModel, State

V = 11
WINDOWED: dict[str, Callable[[], LanguageModel]] = {"fading": lambda: Fading(V, context_length=5)}
REFUSING: dict[str, Callable[[], LanguageModel]] = {
    "fading": lambda: Fading(V, context_length=5, past_context="refused"),
    "mixed with a shorter window": lambda: Interpolated(
        [Fading(V, 3), Fading(V, 6, "refused"), Fading(V, 5, "refused")]
    ),
    "mixed with a model without a limit": lambda: Interpolated([UniformModel(V), Fading(V, 5, "refused")]),
    "cached": lambda: Cached(Fading(V, 5, "refused"), CountCache(window=20)),
}


@pytest.fixture
def token_ids() -> np.ndarray:
    return np.random.default_rng(2).integers(V, size=(2, 20))


@pytest.fixture(params=WINDOWED)
def windowed(request: pytest.FixtureRequest) -> LanguageModel:
    return WINDOWED[request.param]()


@pytest.fixture(params=REFUSING)
def refusing(request: pytest.FixtureRequest) -> LanguageModel:
    return REFUSING[request.param]()


def test_a_window_answers_from_the_last_tokens_alone_and_says_so(
    windowed: LanguageModel, token_ids: np.ndarray
) -> None:
    length = windowed.context_length
    assert length is not None
    assert windowed.past_context == "windowed"
    with pytest.warns(
        ContextWarning, match=rf"longer than the {length:,} tokens .* answers from the last {length:,} alone"
    ):
        log_probs, _ = windowed.step(token_ids, windowed.start(2))
    expected, _ = windowed.step(token_ids[:, -length:], windowed.start(2))
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-5)
    shorter, _ = windowed.step(token_ids[:, 1 - length :], windowed.start(2))
    assert not np.allclose(log_probs, shorter, atol=1e-3)  # the oldest token of the window is seen


@pytest.mark.filterwarnings("ignore::malmoi.errors.ContextWarning")
def test_a_window_is_the_same_however_the_tokens_are_handed_over(
    windowed: LanguageModel, token_ids: np.ndarray
) -> None:
    at_once, _ = windowed.step(token_ids, windowed.start(2))
    state = windowed.start(2)
    for part in np.split(token_ids, [2, 3, 13, 14], axis=1):
        in_parts, state = windowed.step(part, state)
    np.testing.assert_allclose(in_parts, at_once, rtol=1e-4, atol=1e-5)


def test_as_many_tokens_as_fit_are_read_without_a_word(windowed: LanguageModel, token_ids: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        windowed.step(token_ids[:, : windowed.context_length], windowed.start(2))


@pytest.mark.filterwarnings("ignore::malmoi.errors.ContextWarning")  # of a part with a shorter window
def test_a_refusal_names_the_length_and_what_to_do(refusing: LanguageModel, token_ids: np.ndarray) -> None:
    assert (refusing.context_length, refusing.past_context) == (5, "refused")
    message = (
        r"has 6 tokens, and Fading reads 5 at most\. .* no more than 5 .* shorten it, or use a model with a longer"
    )
    for read in (refusing.step, refusing.score):
        with pytest.raises(ContextError, match=message):
            read(token_ids[:, :6], refusing.start(2))
    _, state = refusing.step(token_ids[:, :4], refusing.start(2))
    _, state = refusing.step(token_ids[:, 4:5], state)
    with pytest.raises(ContextError, match=message):
        refusing.step(token_ids[:, 5:6], state)
    assert issubclass(ContextError, DataError)


def test_what_a_mixture_refuses_it_refuses_of_joined_rows_too(token_ids: np.ndarray) -> None:
    model = Fading(V, 5, "refused")
    joined = State.join([model.step(token_ids[:1, :4], model.start(1))[1], model.start(1)])
    _, joined = model.step(token_ids[:, :1], joined)
    with pytest.raises(ContextError, match=r"has 6 tokens"):
        model.step(token_ids[:, :1], joined)


@pytest.mark.filterwarnings("ignore::malmoi.errors.ContextWarning")
def test_a_model_that_forgets_reads_on_for_ever(token_ids: np.ndarray) -> None:
    model = Interpolated([Fading(V, 3), UniformModel(V)])
    assert model.context_length is None
    assert Cached(Fading(V, 3)).context_length is None
    assert model.score(token_ids, model.start(2))[0].shape == token_ids.shape
