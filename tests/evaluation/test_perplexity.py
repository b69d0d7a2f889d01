import json
import math

import numpy as np
import pytest
from bigram import Bigram, Words
from hypothesis import given
from hypothesis import strategies as st

from malmoi.data.tokens import TextCounts, TokenView, encode_to_disk
from malmoi.errors import ConfigError, DataError, RunError
from malmoi.evaluation.perplexity import evaluate
from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.text.sources import TextSource


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MALMOI_CACHE", str(tmp_path / "cache"))


def view(ids) -> TokenView:
    """A text of which only the ids matter."""
    return TokenView(np.array(ids, dtype=np.uint16), TextCounts(len(ids), 1, 1, 1, 1, 0, 0.0))


# Two lines, "가 나" and "다", where 다 is unknown. Tokens: 가 나 <eos> <unk> <eos>. With probabilities 1/4, 1/8, 1/2,
# 1/8, 1/2 they cost 2 + 3 + 1 + 3 + 1 = 10 bits, so the perplexity is 2 ** (10 / 5) = 4. Spelling 다 costs 14 more.
# Bytes: 3 + 1 + 3 + 1 and 3 + 1, together 12: (10 + 14) / 12 = 2 bits a byte. Characters: 4 and 2: 24 / 6 = 4 bits.
# Words and line ends: 3 + 2, so the word perplexity is 2 ** (24 / 5).
def test_two_lines_worked_by_hand() -> None:
    model = UnigramModel(np.log([1e-300, 1 / 8, 1e-300, 1 / 2, 1 / 4, 1 / 8]))
    result = evaluate(model, Words(["가", "나"]), TextSource.from_texts(["가 나", "다"]))
    assert (result.tokens, result.words, result.bytes, result.characters, result.lines) == (5, 3, 12, 6, 2)
    assert result.nll_nats == pytest.approx(10 * math.log(2))
    assert result.spelling_nats == pytest.approx(14 * math.log(2))
    assert result.perplexity == pytest.approx(4)
    assert result.word_perplexity == pytest.approx(2 ** (24 / 5))
    assert result.bits_per_byte == pytest.approx(2)
    assert result.bits_per_character == pytest.approx(4)
    assert result.unk_share == pytest.approx(1 / 3)
    assert result.seconds > 0


def test_the_dictionary_has_the_promised_keys_and_is_json() -> None:
    result = evaluate(UniformModel(5), Words(["가"]), TextSource.from_texts(["가"]))
    promised = (
        "tokens words bytes nll_nats perplexity word_perplexity bits_per_byte bits_per_character unk_share seconds"
    )
    extra = "characters lines unknown spelling_nats layout_nats is_distribution"
    assert set(result.to_dict()) == set(f"{promised} {extra}".split())
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["perplexity"] == pytest.approx(5)


def test_the_state_is_carried_from_the_first_token_to_the_last() -> None:
    model = Bigram.random(7)
    ids = np.random.default_rng(1).integers(3, 7, 101)
    expected = -sum(model.table[before, after] for before, after in zip([3, *ids[:-1]], ids, strict=True))
    assert evaluate(model, Words(["a", "b", "c"]), view(ids)).nll_nats == pytest.approx(expected, rel=1e-12)


@given(window=st.integers(1, 120), n=st.integers(1, 101))
def test_the_window_changes_nothing(window, n) -> None:
    model = Bigram.random(7)
    ids = np.random.default_rng(n).integers(3, 7, n)
    whole = evaluate(model, Words(["a", "b", "c"]), view(ids), window=1000)
    assert evaluate(model, Words(["a", "b", "c"]), view(ids), window=window).nll_nats == pytest.approx(whole.nll_nats)


@given(streams=st.integers(1, 120), n=st.integers(1, 101), window=st.integers(1, 30))
def test_streams_without_warm_up_start_as_after_a_line_end(streams, n, window) -> None:
    model, tokenizer = Bigram.random(7), Words(["a", "b", "c"])
    ids = np.random.default_rng(n).integers(3, 7, n)
    length = -(-n // min(streams, n))
    parts = [ids[begin : begin + length] for begin in range(0, n, length)]
    expected = sum(evaluate(model, tokenizer, view(part)).nll_nats for part in parts)
    result = evaluate(model, tokenizer, view(ids), streams=streams, window=window, warm_up=0)
    assert result.nll_nats == pytest.approx(expected)
    assert result.tokens == n


@given(streams=st.integers(2, 120), n=st.integers(1, 101), window=st.integers(1, 30), warm_up=st.integers(1, 40))
def test_streams_that_warm_up_are_as_good_as_one_where_the_model_remembers_no_further(
    streams, n, window, warm_up
) -> None:
    model, tokenizer = Bigram.random(7), Words(["a", "b", "c"])
    text = view(np.random.default_rng(n).integers(3, 7, n))
    expected = evaluate(model, tokenizer, text).nll_nats
    result = evaluate(model, tokenizer, text, streams=streams, window=window, warm_up=warm_up)
    assert result.nll_nats == pytest.approx(expected)


def test_a_text_may_come_as_source_or_as_tokens_on_disk() -> None:
    model, tokenizer, source = (
        Bigram.random(6),
        Words(["가", "나"]),
        TextSource.from_texts(["가 나", "나", "", "다 가"]),
    )
    tokens = encode_to_disk(source, tokenizer)
    results = [evaluate(model, tokenizer, text).to_dict() | {"seconds": 0} for text in (source, tokens, tokens.view())]
    assert results[0] == results[1] == results[2]


def test_progress_goes_from_window_to_window() -> None:
    calls: list[tuple[int, int]] = []
    evaluate(
        UniformModel(4), Words([]), view([3] * 10), window=4, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(4, 10), (8, 10), (10, 10)]


def test_what_the_model_rules_out_costs_infinitely_much_and_json_says_none() -> None:
    model = Bigram(np.array([[0.0, 0.0, 0.0, 1.0, 0.0]] * 5))
    result = evaluate(model, Words(["가"]), view([4, 3]))
    assert result.perplexity == result.bits_per_byte == math.inf
    assert result.to_dict()["perplexity"] is None
    assert result.to_dict()["nll_nats"] is None


def test_a_perplexity_beyond_the_largest_float_is_infinite() -> None:
    model = UnigramModel([0.0, -1000.0, -1000.0, -1000.0])
    result = evaluate(model, Words([]), view([3, 3]))
    assert result.perplexity == math.inf
    assert result.nll_nats == pytest.approx(2000)


def test_a_model_that_gives_nan_is_named_as_the_cause() -> None:
    with pytest.raises(RunError, match=r"gave NaN.*at most 0 were expected.*train again"):
        evaluate(Bigram(np.full((4, 4), np.nan)), Words([]), view([3, 3]))


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(DataError, match=r"text is empty: 0 tokens.*At least one line was expected: check the file"):
        evaluate(UniformModel(4), Words([]), view([]))


@pytest.mark.parametrize(("window", "streams", "warm_up"), [(0, 1, 1), (1, 0, 0), (-5, 1, 1), (1, 1, -1)])
def test_windows_and_streams_are_at_least_one(window, streams, warm_up) -> None:
    message = rf"window={window}, streams={streams} and warm_up={warm_up} cannot be used.*at least 1.*leave them out"
    with pytest.raises(ConfigError, match=message):
        evaluate(UniformModel(4), Words([]), view([3]), window=window, streams=streams, warm_up=warm_up)


def test_unigram_counts_are_smoothed_by_one() -> None:  # counts 0 2 1 of three ids: (0 + 1) / (3 + 3) and so on
    model = UnigramModel.fit(np.array([1, 1, 2]), vocab_size=3)
    assert np.exp(model.log_probs) == pytest.approx([1 / 6, 3 / 6, 2 / 6])


def test_baselines_keep_the_contract_of_a_language_model() -> None:
    for model in (UniformModel(5), UnigramModel.fit([0, 1, 1, 4], 5)):
        token_ids = np.array([[1, 2, 3], [4, 0, 1]])
        state = model.start(2)
        log_probs, after = model.step(token_ids, state)
        assert log_probs.shape == (2, 5)
        assert np.exp(log_probs).sum(axis=1) == pytest.approx([1, 1])
        scores, _ = model.score(token_ids, state)
        rows, _ = model.distributions(token_ids, state)
        assert np.take_along_axis(rows, token_ids[:, :, None], axis=2)[:, :, 0] == pytest.approx(scores)
        assert model.step(token_ids[[1, 0, 0], :0], after.select([1, 0, 0]))[0].shape == (3, 5)


def test_baselines_refuse_what_is_not_a_distribution() -> None:
    with pytest.raises(ConfigError, match=r"shape \(2,\) and sum to 2 .*One row that sums to 1.*UnigramModel\.fit"):
        UnigramModel([0.0, 0.0])
    with pytest.raises(ConfigError, match=r"ids go up to 7, but vocab_size=3.*from 0 to 2 were expected"):
        UnigramModel.fit([7], 3)
