"""Several models on one text: what is mixed, what is tuned on what, and which figures use the test text itself."""

import math
import re

import numpy as np
import pytest
from bigram import Bigram, Words
from letters import Letters

from malmoi.data.tokens import encode_to_disk
from malmoi.errors import ConfigError, DataError
from malmoi.evaluation.mixing import Member, Together, evaluate_together, mixed_log_probs
from malmoi.evaluation.perplexity import evaluate
from malmoi.evaluation.weights import tune_weights
from malmoi.models.baselines import UniformModel
from malmoi.models.combined import Cached, Interpolated, LastTokenBuckets
from malmoi.text.sources import TextSource

WORDS, LETTERS = Words(["a", "b"]), Letters(["a", "b", " a", " b"])
TEST, VALID = TextSource.from_texts(["a b a", "b", "a a b b a"]), TextSource.from_texts(["b a", "a b b", "a"])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MALMOI_CACHE", str(tmp_path / "cache"))


def members(n: int = 2) -> list[Member]:
    return [Member(f"m{i}", Bigram.random(WORDS.vocab_size, seed=i), WORDS) for i in range(n)]


def mixture_of(together: Together, place: int = 0):
    return together.mixtures[place]


def test_the_mixture_is_that_of_the_interpolated_model() -> None:
    group = members(3)
    for weights in (None, [0.5, 0.2, 0.3]):
        found = evaluate_together(group, TEST, interpolate=True, weights=weights)
        model = Interpolated([member.model for member in group], weights)
        assert mixture_of(found).evaluation.nll_nats == pytest.approx(evaluate(model, WORDS, TEST).nll_nats)
        alone = [evaluate(member.model, WORDS, TEST).nll_nats for member in group]
        assert [outcome.evaluation.nll_nats for outcome in found.models] == pytest.approx(alone)
        assert mixture_of(found).weights.tolist() == [pytest.approx(model.weights[0])]
        assert (mixture_of(found).unit, mixture_of(found).uses_cache) == ("token", False)
        assert bool(found.notes) == (weights is None)


def test_weights_are_tuned_on_the_other_text() -> None:
    group = members()
    found = evaluate_together(group, TEST, interpolate=True, tune=VALID)
    tokens = encode_to_disk(VALID, WORDS).view().read(0, 9)
    columns = [member.model.score(tokens[None], member.model.start())[0][0] for member in group]
    weights = tune_weights(np.stack(columns, axis=1))
    assert mixture_of(found).weights[0] == pytest.approx(weights)
    model = Interpolated([member.model for member in group], weights)
    assert mixture_of(found).evaluation.nll_nats == pytest.approx(evaluate(model, WORDS, TEST).nll_nats)
    assert found.notes == []


def test_buckets_go_by_the_last_token_of_the_tuning_text() -> None:
    group = members()
    found = mixture_of(evaluate_together(group, TEST, interpolate=True, tune=VALID, n_buckets=3))
    counts = np.bincount(encode_to_disk(VALID, WORDS).view().read(0, 9), minlength=WORDS.vocab_size)
    model = Interpolated(
        [member.model for member in group], found.weights, LastTokenBuckets.by_count(counts, 3, WORDS.eos_id)
    )
    assert found.weights.shape == (3, 2)
    assert found.evaluation.nll_nats == pytest.approx(evaluate(model, WORDS, TEST).nll_nats)


def test_caches_are_evaluated_beside_the_models_and_mixed_apart() -> None:
    group = members()
    found = evaluate_together(group, TEST, interpolate=True, cache=True)
    assert [outcome.name for outcome in found.models] == ["m0", "m1", "m0 + cache", "m1 + cache"]
    assert [outcome.uses_cache for outcome in [*found.models, *found.mixtures]] == [
        False,
        False,
        True,
        True,
        False,
        True,
    ]
    caches = [Cached(member.model) for member in group]
    expected = [evaluate(model, WORDS, TEST).nll_nats for model in caches]
    assert [outcome.evaluation.nll_nats for outcome in found.models[2:]] == pytest.approx(expected)
    assert mixture_of(found, 1).evaluation.nll_nats == pytest.approx(
        evaluate(Interpolated(caches), WORDS, TEST).nll_nats
    )
    assert found.models[2].cache == caches[0].cache.describe()
    (note,) = found.notes
    assert note == (
        "No weights were tuned: those of the mixture are equal, those of the cache are the usual ones. --tune FILE finds "
        "better ones."
    )


def test_without_a_mixture_there_are_only_models() -> None:
    found = evaluate_together(members(), TEST, cache=True, streams=2)
    assert (len(found.models), found.mixtures) == (4, [])
    assert "the mixture" not in found.notes[0]
    assert evaluate_together(members(1), TEST).notes == []


def test_a_tuned_cache_is_told() -> None:
    found = evaluate_together(members(1), TEST, cache=True, tune=VALID)
    assert found.notes == []
    assert found.models[1].cache
    assert all(re.match("recent tokens|what followed", part) for part in found.models[1].cache)


def test_models_of_different_tokenizers_are_mixed_word_by_word() -> None:
    first, second = Bigram.random(WORDS.vocab_size), Bigram.random(LETTERS.vocab_size, seed=1)
    group = [Member("words", first, WORDS), Member("letters", second, LETTERS)]
    found = evaluate_together(group, TEST, interpolate=True, weights=[0.5, 0.5])
    mixture = mixture_of(found)
    assert mixture.unit == "word"
    assert found.notes == ["These runs have different tokenizers: they are mixed word by word."]
    assert (mixture.evaluation.tokens, mixture.evaluation.words, mixture.evaluation.lines) == (12, 9, 3)
    # By hand: the word a is, in letters, as likely as the letter, times the probability of a space or line end after it.
    table, ends = np.exp(second.table), [3, 6, 7]  # of the letters: line end, " a", " b"
    letters = table[3, 4] * table[4, ends].sum()
    words = math.exp(first.table[3, 4])
    one = evaluate_together(group, TextSource.from_texts(["a"]), interpolate=True, weights=[0.5, 0.5])
    end = 0.5 * math.exp(first.table[4, 3]) + 0.5 * table[4, 3] / table[4, ends].sum()
    assert mixture_of(one).evaluation.nll_nats == pytest.approx(-math.log((words + letters) / 2 * end))
    for place, member in enumerate(group):
        alone = evaluate(member.model, member.tokenizer, TEST).nll_nats
        assert found.models[place].evaluation.nll_nats == pytest.approx(alone)


def test_unknown_words_are_paid_for_before_they_are_mixed() -> None:
    group = [
        Member("few", Bigram.random(5), Words(["a"])),
        Member("letters", Bigram.random(LETTERS.vocab_size), LETTERS),
    ]
    found = evaluate_together(group, TEST, interpolate=True, tune=VALID)
    for place, member in enumerate(group):
        alone = evaluate(member.model, member.tokenizer, TEST)
        assert found.models[place].evaluation.bits_per_byte == pytest.approx(alone.bits_per_byte)
        assert mixture_of(found).evaluation.bits_per_byte < alone.bits_per_byte


def test_tokens_across_words_are_mixed_line_by_line() -> None:
    across = Letters(["a", "b", " ", "a b"])
    group = [Member("across", Bigram.random(8), across), Member("letters", Bigram.random(8, seed=1), LETTERS)]
    found = evaluate_together(group, TEST, interpolate=True)
    assert mixture_of(found).unit == "line"
    per_line = []
    for line in ("a b a", "b", "a a b b a"):
        single = [evaluate(member.model, member.tokenizer, TextSource.from_texts([line])).nll_nats for member in group]
        per_line.append(-math.log(sum(math.exp(-nats) for nats in single) / 2))
    assert mixture_of(found).evaluation.nll_nats == pytest.approx(sum(per_line))


def test_white_space_that_a_word_tokenizer_cannot_see_is_told() -> None:
    group = [Member("w", Bigram.random(6), WORDS), Member("l", Bigram.random(LETTERS.vocab_size), LETTERS)]
    found = evaluate_together(group, TextSource.from_texts([" a  b "]), interpolate=True)
    assert "White space was read as single spaces" in found.notes[-1]
    assert mixture_of(found).evaluation.bytes == 4


def test_a_mixture_by_hand() -> None:
    log_probs = np.log([[0.2, 0.4], [0.5, 0.1]])
    assert np.exp(mixed_log_probs(log_probs, np.array([0.25, 0.75]))) == pytest.approx([0.35, 0.2])
    rows = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert np.exp(mixed_log_probs(log_probs, rows, np.array([1, 0]))) == pytest.approx([0.3, 0.5])


def test_options_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"One run cannot be interpolated \(m0\)\..*name another run"):
        evaluate_together(members(1), TEST, interpolate=True)
    with pytest.raises(ConfigError, match=r"--weights are for --interpolate without --tune"):
        evaluate_together(members(), TEST, weights=[0.5, 0.5])
    with pytest.raises(ConfigError, match=r"--weights are for --interpolate without --tune"):
        evaluate_together(members(), TEST, interpolate=True, tune=VALID, weights=[0.5, 0.5])
    with pytest.raises(ConfigError, match=r"weights have shape \(3,\)\. 2 of them"):
        evaluate_together(members(), TEST, interpolate=True, weights=[0.5, 0.25, 0.25])
    with pytest.raises(ConfigError, match=r"buckets=4 cannot be used.*only with --interpolate and --tune"):
        evaluate_together(members(), TEST, interpolate=True, n_buckets=4)
    with pytest.raises(ConfigError, match=r"--tune has nothing to tune"):
        evaluate_together(members(), TEST, tune=VALID)
    group = [*members(1), Member("l", Bigram.random(LETTERS.vocab_size), LETTERS)]
    with pytest.raises(ConfigError, match=r"buckets=2 go by the last token, and these runs have different tokenizers"):
        evaluate_together(group, TEST, interpolate=True, tune=VALID, n_buckets=2)
    impossible = Bigram(np.eye(6))
    with pytest.raises(DataError, match=r"tokens have no probability under any model"):
        evaluate_together([Member("x", impossible, WORDS)] * 2, TEST, interpolate=True, tune=VALID)


def test_everything_that_is_read_can_be_watched() -> None:
    from contextlib import contextmanager

    seen: list[str] = []

    @contextmanager
    def watch(name: str):
        seen.append(name)
        yield lambda done, total: seen.append(f"{done}/{total}")

    evaluate_together([Member("u", UniformModel(6), WORDS)], TEST, cache=True, tune=VALID, watch=watch)
    assert seen == ["u + cache", "9/9", "u", "12/12", "u + cache", "12/12"]
