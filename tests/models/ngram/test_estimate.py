"""Estimation against the definitions, against KenLM's own files, and under every limit."""

import gzip
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_reference import BOS, EOS, Reference
from streams import Ids

from malmoi.errors import ConfigError
from malmoi.models.ngram.estimate import Estimate, estimate, needs_files
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.smoothing import METHODS, discounts_of
from malmoi.models.ngram.tables import save_tables
from malmoi.models.options.ngram import NGramConfig
from malmoi.store import Store, open_store
from malmoi.text.vocabulary import SpecialIds

V = 11
DATA = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[4] / "shared" / "data"))


def fit(
    sentences: list[list[int]], order: int, store: Store | None = None, vocab_size: int = V, **options: Any
) -> Estimate:
    limits = {"memory": options.pop("memory", 1 << 30), "n_threads": options.pop("n_threads", 2)}
    limits |= {"max_bytes": options.pop("max_bytes", None)}
    config = NGramConfig.parse({"vocab_size": vocab_size, "order": order, **options})
    text = Ids([word for sentence in sentences for word in sentence])
    return estimate(text, config, store or Store(), special_ids=SpecialIds(0, 1, BOS, EOS), **limits)


def some_sentences(n: int, seed: int, words: int = V) -> list[list[int]]:
    """Sentences in which some words follow others more often than not."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        sentence = [int(rng.integers(4, words))]
        while rng.random() < 0.85:
            follows = rng.random() < 0.6
            sentence.append((sentence[-1] * 3 + 1) % (words - 4) + 4 if follows else int(rng.integers(4, words)))
        found.append([*sentence, EOS])
    return found


def assert_equal_to_reference(model: NGramModel, reference: Reference, sentences: list[list[int]]) -> None:
    for sentence in sentences:
        scores, _ = model.score(np.array([sentence]), model.start(1))
        np.testing.assert_allclose(scores[0], reference.sentence(sentence), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_definition(method: str, order: int) -> None:
    sentences = some_sentences(120, seed=1)
    found = fit(sentences, order, smoothing=method, add_k=0.3)
    reference = Reference(sentences, order, V, method, k=0.3)
    assert_equal_to_reference(
        NGramModel(found.tables, BOS, EOS), reference, [*sentences[:20], *some_sentences(40, seed=2)]
    )


@pytest.mark.parametrize("method", METHODS)
def test_count_pruning_gives_what_was_dropped_to_the_shorter_context(method: str) -> None:
    sentences = some_sentences(200, seed=3)
    found = fit(sentences, 4, smoothing=method, prune="0,1,2")
    reference = Reference(sentences, 4, V, method, least=(1, 2, 3, 3))
    assert found.tables.n_nodes < fit(sentences, 4, smoothing=method).tables.n_nodes
    assert_equal_to_reference(NGramModel(found.tables, BOS, EOS), reference, some_sentences(40, seed=4))


@settings(max_examples=25, deadline=None)
@given(
    text=st.lists(st.lists(st.integers(4, 7), max_size=6), min_size=1, max_size=12),
    order=st.integers(1, 8),
    method=st.sampled_from(sorted(METHODS)),
)
def test_any_text_gives_a_distribution(text: list[list[int]], order: int, method: str) -> None:
    sentences = [[*words, EOS] for words in text]
    model = NGramModel(fit(sentences, order, smoothing=method, vocab_size=9).tables, BOS, EOS)
    state = model.start(1)
    for word in (*sentences[0], 5, 6, 1, EOS):
        log_probs, state = model.step(np.array([[word]]), state)
        assert np.exp(log_probs.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_a_sentence_without_an_end_is_ended() -> None:
    whole, open_end = fit([[5, 6, EOS]], 3), fit([[5, 6]], 3)
    np.testing.assert_array_equal(whole.tables.log_probs, open_end.tables.log_probs)


def test_documents_predict_their_begin_token() -> None:
    sentences = [[BOS, 4, 5, EOS], [4, 6, EOS], [BOS, 4, EOS]] * 3
    found = fit(sentences, 3)
    reference = Reference(sentences, 3, V, "kneser-ney")
    assert_equal_to_reference(
        NGramModel(found.tables, BOS, EOS), reference, [[BOS, 4, 5, EOS], [4, 4, EOS], [BOS, EOS]]
    )


@pytest.mark.parametrize(
    "limits", [{"memory": 3000}, {"n_threads": 1}, {"n_threads": 5}, {"memory": 20_000, "n_threads": 3}]
)
def test_neither_memory_nor_threads_change_a_byte(limits: dict[str, int], tmp_path: Path) -> None:
    sentences = some_sentences(400, seed=5)
    expected = fit(sentences, 4).tables
    with open_store(True, tmp_path) as store:
        found = fit(sentences, 4, store=store, **limits).tables
        for name, array in expected.arrays().items():
            np.testing.assert_array_equal(found.arrays()[name], array, err_msg=name)
    assert not list(tmp_path.iterdir())


def test_large_texts_go_to_files() -> None:
    assert needs_files(200_000_000, 5, 2_000_000_000)
    assert not needs_files(1_000_000, 5, 2_000_000_000)


def test_discounts_fall_back_by_a_rule_and_say_so() -> None:
    amounts, note = discounts_of(np.array([0, 100, 40, 20, 10]), 2)
    y = 100 / 180
    assert amounts == pytest.approx((1 - 2 * y * 0.4, 2 - 3 * y * 0.5, 3 - 4 * y * 0.5))
    assert note is None
    amounts, note = discounts_of(np.array([0, 100, 40, 0, 10]), 2)
    assert amounts == (y, y, y)
    assert note is not None
    assert "discounts of 2-grams: 100 have a count of 1, 40 of 2, 0 of 3" in note
    amounts, note = discounts_of(np.array([0, 0, 40, 3, 10]), 1)
    assert amounts == (0.5, 1.0, 1.5)
    assert note is not None
    assert fit([[4, EOS]], 3).notes


def test_entropy_pruning_keeps_a_distribution_and_little_is_lost() -> None:
    sentences = some_sentences(400, seed=6)
    whole, pruned = fit(sentences, 4).tables, fit(sentences, 4, prune_entropy=1e-4).tables
    assert 0.1 < pruned.n_nodes / whole.n_nodes < 0.8
    models = [NGramModel(tables, BOS, EOS) for tables in (whole, pruned)]
    text = np.array([[word for sentence in some_sentences(100, seed=7) for word in sentence]])
    losses = [-float(model.score(text, model.start(1))[0].mean()) for model in models]
    assert losses[1] - losses[0] < 0.1
    state = models[1].start(1)
    for word in text[0, :30]:
        log_probs, state = models[1].step(np.array([[word]]), state)
        assert np.exp(log_probs.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_entropy_pruning_drops_what_stolcke_s_formula_says() -> None:
    """Of a bigram model, by the definition: the relative entropy of the model without each bigram alone."""
    sentences = some_sentences(60, seed=8)
    tables = fit(sentences, 2, smoothing="witten-bell").tables
    reference = Reference(sentences, 2, V, "witten-bell")
    n_words = sum(map(len, sentences)) + len(sentences)
    threshold = 2e-3
    kept = {
        tuple(map(int, row))
        for row in fit(sentences, 2, smoothing="witten-bell", prune_entropy=threshold).tables.level_ids(2)
    }
    for context, word in {tuple(map(int, row)) for row in tables.level_ids(2)}:
        probs = {w: reference.prob((context,), w) for w in reference.words}
        seen = {gram[1] for gram in reference.followers[(context,)]} - {word}
        lower = {w: reference.prob((), w) for w in reference.words}
        weight = (1 - sum(probs[w] for w in seen)) / (1 - sum(lower[w] for w in seen))
        changed = {w: probs[w] if w in seen else weight * lower[w] for w in reference.words}
        times = sum(1 for s in sentences for w in s if w == context) if context != BOS else len(sentences)
        loss = times / n_words * sum(probs[w] * math.log(probs[w] / changed[w]) for w in reference.words)
        assert ((context, word) in kept) == (math.expm1(loss) >= threshold), (context, word, loss)


def test_a_size_is_kept_and_used(tmp_path: Path) -> None:
    sentences = some_sentences(900, seed=9, words=40)
    whole = fit(sentences, 4, vocab_size=40).tables
    for quantise in (False, True):
        small = fit(sentences, 4, vocab_size=40, max_bytes=30_000, quantise=quantise).tables
        assert small.n_nodes < whole.n_nodes
        save_tables(tmp_path / "model.safetensors", small)
        assert 0.8 * 30_000 < (tmp_path / "model.safetensors").stat().st_size <= 30_000
    with pytest.raises(
        ConfigError, match="--max-disk leaves 900 bytes for the n-grams, and the 40 single tokens alone take"
    ):
        fit(sentences, 4, vocab_size=40, max_bytes=900)


def test_quantised_models_stay_close() -> None:
    sentences = some_sentences(900, seed=10, words=40)
    plain, coded = (NGramModel(fit(sentences, 4, vocab_size=40, quantise=q).tables, BOS, EOS) for q in (False, True))
    text = np.array([[word for sentence in sentences[:300] for word in sentence]])
    expected, got = (model.score(text, model.start(1))[0] for model in (plain, coded))
    assert np.abs(expected - got).mean() < 0.02
    np.testing.assert_allclose(
        NGramModel(coded.tables.plain(), BOS, EOS).score(text, plain.start(1))[0], got, rtol=1e-6
    )


@pytest.mark.parametrize("prune", ["1", "0,2,1", "0,0,0,1"])
def test_thresholds_that_make_no_sense_are_refused(prune: str) -> None:
    with pytest.raises(ConfigError, match=f"--prune {prune} does not fit order 3"):
        fit([[4, EOS]], 3, prune=prune)


def arpa_entries(path: Path) -> dict[tuple[str, ...], tuple[float, float]]:
    """(log10 probability, log10 back-off weight) of every n-gram in a file of KenLM's."""
    entries = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if len(fields) > 1:
                backoff = float(fields[2]) if len(fields) > 2 else 0.0
                entries[tuple(fields[1].split(" "))] = (float(fields[0]), backoff)
    return entries


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("text", "arpa", "order", "prune"),
    [
        ("ptb/ptb.valid.txt", "ptb-valid.order5.arpa.gz", 5, "0"),
        ("ko-open-text/valid.txt", "ko-open-text-valid.order4.arpa.gz", 4, "0"),
        ("ko-open-text/valid.txt", "ko-open-text-valid.order3.prune001.arpa.gz", 3, "0,0,1"),
    ],
)
def test_every_entry_is_that_of_lmplz(text: str, arpa: str, order: int, prune: str) -> None:
    expected = arpa_entries(DATA.parent / "reference" / "kenlm" / arpa)
    ids: dict[str, int] = {"<unk>": 1, "<s>": BOS, "</s>": EOS}
    sentences = []
    for line in (DATA / text).read_text(encoding="utf-8").split("\n")[:-1]:
        words = line.replace("<unk>", "UNK").replace("\r", " ").replace("\t", " ").split(" ")
        sentences.append([*(ids.setdefault(word, len(ids) + 1) for word in words if word), EOS])
    tables = fit(sentences, order, vocab_size=len(ids) + 1, prune=prune).tables
    names = {number: word for word, number in ids.items()}
    n_seen = 0
    for n in range(1, order + 1):
        first, after = tables.level_range(n)
        backoffs = tables.backoffs[first : min(after, tables.n_inner)]
        for i, row in enumerate(tables.level_ids(n)):
            if n == 1 and row[0] in (0, BOS):
                continue
            log10_prob, log10_backoff = expected[tuple(names[int(word)] for word in row)]
            assert tables.log_probs[first + i] / math.log(10) == pytest.approx(log10_prob, abs=1e-5)
            if i < len(backoffs):
                assert backoffs[i] / math.log(10) == pytest.approx(log10_backoff, abs=1e-5)
            n_seen += 1
    assert n_seen == len(expected) - 1  # all but <s>
