"""The shares of a mixture add up to its probability, and every part is explained by its own explainer."""

import math

import numpy as np
import pytest
import torch
from tiny import LINES, neural_model

from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError
from malmoi.explain.explaining import explain_model
from malmoi.explain.explanation import Explanation
from malmoi.models.baselines import UnigramModel
from malmoi.models.combined import Cached, CountCache, Interpolated, LastTokenBuckets, Lookback
from malmoi.models.combined.hidden_cache import HiddenCache
from malmoi.models.interface import LanguageModel
from malmoi.models.registry import build_model, find_rung
from malmoi.text.tokenizers import Tokenizer, train_tokenizer

TEXT = "the cat sat on the cat"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer("word", LINES)


def shares(explanation: Explanation, name: str = "shares") -> dict[str, np.ndarray]:
    (found,) = [step for step in explanation.steps if step.name == name]
    return {numbers.name: numbers.values for numbers in found.numbers}


def last_score(model: LanguageModel, tokenizer: Tokenizer) -> float:
    scores, _ = model.score(tokenizer.encode(TEXT)[None].astype(np.int64), model.start())
    return float(scores[0, -1])


def test_interpolated_models_share_the_probability(tokenizer: Tokenizer) -> None:
    mixed = Interpolated([neural_model(tokenizer, "lstm"), neural_model(tokenizer, "nnlm")], [0.3, 0.7])
    found = explain_model(mixed, tokenizer, TEXT, name="mix")
    parts = shares(found)
    assert parts["weight_i"].tolist() == [0.3, 0.7]
    assert parts["weight_i P_i(w)"].sum() == pytest.approx(found.probability)
    assert parts["share_i"].sum() == pytest.approx(1)
    assert math.log(found.probability) == pytest.approx(last_score(mixed, tokenizer))
    assert {step.name.partition(":")[0] for step in found.steps} == {"shares", "surprisal", "1", "2"}
    assert [step.part for step in found.steps][:3] == ["mixture", "mixture", "forward"]
    assert found.agreement["the serving engine"] < 1e-9
    assert (found.family, found.run) == ("interpolated", "mix")


def test_buckets_choose_the_weights(tokenizer: Tokenizer) -> None:
    buckets = LastTokenBuckets(np.arange(tokenizer.vocab_size) % 2, tokenizer.eos_id)
    models = [neural_model(tokenizer, "rnn", seed) for seed in (1, 2)]
    mixed = Interpolated(models, [[0.9, 0.1], [0.2, 0.8]], buckets)
    found = explain_model(mixed, tokenizer, TEXT)
    last = int(tokenizer.encode(TEXT)[-2])
    assert shares(found)["weight_i"].tolist() == mixed.weights[last % 2].tolist()
    assert f"bucket {last % 2 + 1} of 2" in found.steps[0].sentence
    assert math.log(found.probability) == pytest.approx(last_score(mixed, tokenizer))


def test_a_cache_tells_what_it_remembers(tokenizer: Tokenizer) -> None:
    cached = Cached(neural_model(tokenizer, "gru"), CountCache([Lookback(1, 100), Lookback(2, 50)]))
    found = explain_model(cached, tokenizer, TEXT, language="en")
    assert math.log(found.probability) == pytest.approx(last_score(cached, tokenizer))
    assert shares(found)["weight_i P_i(w)"].sum() == pytest.approx(found.probability)
    assert "Occurrences of ‘cat’ among them: 1; the last one stands 4 back." in found.steps[0].sentence
    assert found.steps[2].name == "1: gru: ids"
    assert "‘mat’ is not among them" in explain_model(cached, tokenizer, "the cat sat on the mat").steps[0].sentence


def test_a_cache_of_hidden_vectors_and_a_mixture_inside(tokenizer: Tokenizer) -> None:
    rung = find_rung("lstm")
    config = rung.config.parse({"vocab_size": tokenizer.vocab_size, "embed_dim": 6, "hidden_size": 6, "n_layers": 1})
    network = TorchLanguageModel(build_model(rung, config), start_id=tokenizer.eos_id)
    assert network.device == torch.device("cpu")
    cached = Cached(network, HiddenCache([0.5]))
    found = explain_model(cached, tokenizer, TEXT)
    assert math.log(found.probability) == pytest.approx(last_score(cached, tokenizer), abs=1e-5)
    nested = Cached(Interpolated([network, neural_model(tokenizer, "nnlm")]), CountCache([Lookback(1)]))
    steps = [step.name for step in explain_model(nested, tokenizer, TEXT).steps]
    assert {
        "shares",
        "1: interpolated: shares",
        "1: interpolated: 1: lstm: gates",
        "1: interpolated: 2: nnlm: window",
    } < {*steps}


def test_a_training_step_of_a_mixture_is_not_shown(tokenizer: Tokenizer) -> None:
    mixed = Interpolated([neural_model(tokenizer, "rnn")])
    found = explain_model(mixed, tokenizer, TEXT, train_step=True)
    assert "this one is made of counts or of other models (interpolated)" in found.notes[-1]
    assert "backward" not in {step.part for step in found.steps}


def test_a_part_without_an_explainer_says_so(tokenizer: Tokenizer) -> None:
    unigram = UnigramModel.fit(tokenizer.encode(TEXT), tokenizer.vocab_size)
    found = explain_model(Interpolated([neural_model(tokenizer, "rnn"), unigram]), tokenizer, TEXT)
    assert found.notes[-1].startswith("2: UnigramModel: A model of the kind 'UnigramModel' cannot be explained yet")
    assert shares(found)["weight_i P_i(w)"].sum() == pytest.approx(found.probability)
    with pytest.raises(
        ConfigError, match=r"kind 'UnigramModel' cannot be explained yet.*choose a run of one of these rungs"
    ):
        explain_model(unigram, tokenizer, TEXT)
