"""A tuned cache is as probable as its text allows, and drops what does not help."""

import numpy as np
import pytest
from bigram import Bigram, Words

from malmoi.data.tokens import TextCounts, TokenView
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.evaluation import caching
from malmoi.evaluation.caching import first_tokens, tune_cache
from malmoi.evaluation.perplexity import evaluate
from malmoi.models.baselines import UnigramModel
from malmoi.models.combined import Cached, CountCache, LastTokenBuckets, Lookback
from malmoi.models.combined.hidden_cache import HiddenCache
from malmoi.models.registry import RUNGS, build_model

V = 12
TOKENIZER = Words([f"w{i}" for i in range(V - 4)])


def view(ids: np.ndarray) -> TokenView:
    return TokenView(ids.astype(np.uint16), TextCounts(len(ids), 1, 1, 1, 1, 0, 0.0))


def bursts(seed: int) -> TokenView:
    """Topics of 30 tokens, each with two words of its own."""
    rng = np.random.default_rng(seed)
    topics = [rng.choice(rng.integers(4, V, 2), 30) for _ in range(20)]
    return view(np.concatenate(topics))


def nll(model, text: TokenView) -> float:
    return evaluate(model, TOKENIZER, text).nll_nats


def test_a_tuned_cache_beats_the_model_and_the_usual_cache() -> None:
    model, text = UnigramModel.fit(np.arange(V), V), bursts(1)
    tuned = tune_cache(model, text, 3)
    assert nll(tuned, text) < nll(Cached(model), text) < nll(model, text)
    assert nll(tuned, bursts(2)) < nll(Cached(model), bursts(2))  # also on a text that it was not tuned on
    assert isinstance(tuned.cache, CountCache)
    assert isinstance(tuned.cache.buckets, LastTokenBuckets)


def test_parts_that_do_not_help_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Lookback(1, 10), Lookback(1), Lookback(5, 50)]
    model, text = UnigramModel.fit(np.arange(V), V), bursts(3)
    tuned = tune_cache(model, text, 3, CountCache(parts, window=60))
    assert Lookback(1, 10) in tuned.cache.parts
    monkeypatch.setattr(caching, "LEAST_SHARE", 2.0)
    alone = tune_cache(model, text, 3, CountCache(parts, window=60))
    assert alone.cache.parts == (Lookback(1, 10),)  # the best one always stays
    assert len(alone.cache.weights) == 2  # an empty memory, and another
    assert nll(tuned, text) < nll(alone, text) < nll(model, text)


def test_the_window_of_reading_changes_nothing() -> None:
    model, text = Bigram.random(V), bursts(4)
    first, second = (tune_cache(model, text, 3, window=window).cache.weights for window in (256, 7))
    assert first == pytest.approx(second)


def test_hidden_vectors_are_cached_of_a_neural_model() -> None:
    config = RUNGS["rnn"].config.parse({"vocab_size": V, "embed_dim": 6, "hidden_size": 6, "n_layers": 1})
    model = TorchLanguageModel(build_model(RUNGS["rnn"], config, seed=1), start_id=3)
    text = bursts(5)
    tuned = tune_cache(model, text, 3)
    assert isinstance(tuned.cache, HiddenCache)
    assert 1 <= len(tuned.cache.thetas) <= len(caching.SHARPNESS)
    assert nll(tuned, text) < nll(model, text)


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    text = bursts(6)
    assert first_tokens(text, 10**6) is text
    assert first_tokens(text, 5).read(0, 5).tolist() == text.read(0, 5).tolist()
    assert len(first_tokens(text, 5)) == 5
