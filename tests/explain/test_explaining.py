"""Which token is explained, what is said where that cannot be, and the languages."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import neural_model, neural_run

import malmoi
from malmoi.errors import ConfigError, DataError, RunError
from malmoi.explain.explaining import explain_model, find_place, largest_difference
from malmoi.explain.registry import COMBINED, find_explainer
from malmoi.models.registry import LANGUAGE_MODELS, RUNGS
from malmoi.text.tokenizers import train_tokenizer

TEXT = "the cat sat"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> malmoi.Run:
    return neural_run(tmp_path_factory.mktemp("runs") / "chars", "gru", "char", n_layers=1)


def test_any_token_can_be_asked_for(run: malmoi.Run) -> None:
    scores, _ = run.model.score(run.tokenizer.encode(TEXT)[None].astype(np.int64), run.model.start())
    for step, place in ((1, 0), ("4", 3), ("last", 10)):
        found = run.explain(TEXT, step=step)
        assert (found.place, found.target) == (place, "␣" if place == 3 else TEXT[place])
        assert np.log(found.probability) == pytest.approx(scores[0, place])


def test_what_follows_the_text_can_be_asked_for(run: malmoi.Run) -> None:
    found = run.explain(TEXT, step="next")
    log_probs, _ = run.model.step(run.tokenizer.encode(TEXT)[None].astype(np.int64), run.model.start())
    assert found.place == len(found.surprisals["token"])
    assert found.target == run.tokenizer.token(int(log_probs.argmax()))
    assert found.likeliest[0] == (found.target, found.probability)
    assert found.notes[0].startswith("Nothing follows the text")


@pytest.mark.parametrize("step", ["last", "next"])
def test_a_text_without_tokens_is_the_start_of_a_line(run: malmoi.Run, step: str) -> None:
    found = run.explain("", step=step, language="ko", train_step=True)
    log_probs, _ = run.model.step(np.zeros((1, 0), np.int64), run.model.start())
    assert np.log(found.probability) == pytest.approx(log_probs.max())
    assert found.surprisals == {"token": [], "word": []}
    assert found.notes[0].startswith("글 뒤에 이어지는 것이 없으므로")
    assert "줄 끝(⏎)만 읽었습니다" in found.steps[0].sentence


def test_decomposed_text_is_composed_first(run: malmoi.Run) -> None:
    assert run.explain("\u1112\u1161\u11ab").text == "한"


def test_unknown_words_are_told(tmp_path: Path) -> None:
    found = neural_run(tmp_path, "lstm", n_layers=1).explain("the zebra sat 얼룩말")
    assert found.target == "<unk>"
    assert found.notes == [
        "Words that are not in the vocabulary: 2. The model reads <unk> for each, and each pays for its spelling as well."
    ]


@pytest.mark.parametrize(
    ("step", "n_tokens", "message"),
    [
        (0, 3, "step=0 is no token of this text, which has 3. Expected a number from 1 to 3, 'last' or 'next'"),
        (4, 3, "step=4 is no token"),
        ("first", 3, "step=first is no token"),
        (1, 0, "step=1 is no token of this text, which has 0. Expected 'next'"),
    ],
)
def test_tokens_that_are_not_there(step: int | str, n_tokens: int, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_place(step, n_tokens)


@pytest.mark.parametrize("rate", [0, -1.0, float("inf"), float("nan")])
def test_learning_rates_that_cannot_be_used(run: malmoi.Run, rate: float) -> None:
    with pytest.raises(ConfigError, match="learning_rate=.* cannot be used. A finite number above 0 was expected"):
        run.explain(TEXT, train_step=True, learning_rate=rate)


def test_a_text_that_is_too_long(run: malmoi.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malmoi.explain.explaining.MOST_TOKENS", 5)
    with pytest.raises(
        DataError, match="The text has 11 tokens. At most 5 can be explained at once: give the part around"
    ):
        run.explain(TEXT)


def test_a_tokenizer_of_another_model() -> None:
    ours, other = train_tokenizer("char", ["abc"]), train_tokenizer("char", ["abcdef"])
    with pytest.raises(RunError, match="The tokenizer of model has 266 tokens and the model 263"):
        explain_model(neural_model(ours, "rnn"), other, "abc")


def test_a_rung_without_an_explainer(run: malmoi.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNGS, "gru", RUNGS["gru"]._replace(explains=None))
    with pytest.raises(
        ConfigError, match="A model of the kind 'gru' cannot be explained yet.*Explained are word2vec, ngram, nnlm"
    ):
        run.explain(TEXT)


def test_a_model_that_gives_nan(run: malmoi.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = type(run.model).score
    monkeypatch.setattr(type(run.model), "score", lambda *args: (scores(*args)[0] * np.nan, scores(*args)[1]))
    with pytest.raises(RunError, match="gives NaN instead of probabilities"):
        run.explain(TEXT)


def test_every_explainer_can_be_imported() -> None:
    assert all(callable(find_explainer(family)) for family in (*LANGUAGE_MODELS, *COMBINED))


def test_differences_of_distributions() -> None:
    ours, theirs = np.log([0.5, 0.25, 0.25]), np.log([0.5, 0.3, 0.2])
    assert largest_difference(ours, theirs) == pytest.approx(np.log(0.25 / 0.2))
    never = np.array([0.0, -np.inf])
    assert largest_difference(never, never) == 0
    assert largest_difference(never, np.array([0.0, -1.0])) == np.inf


def test_without_pytorch_numpy_is_compared_alone(run: malmoi.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert malmoi.load(run.folder).explain(TEXT).agreement.keys() == {"NumPy"}
