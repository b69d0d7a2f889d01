"""Serving n-gram tables: scores, distributions, the likeliest tokens, states, files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ngram_reference import BOS, EOS
from test_estimate import V, fit, some_sentences

from malmoi.arrays import read_arrays, write_arrays
from malmoi.errors import ConfigError, RunError
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.tables import Level, NGramTables, load_tables, save_tables, tables_from_levels

pytestmark = pytest.mark.usefixtures("loops")


@pytest.fixture(scope="module")
def tables() -> NGramTables:
    return fit(some_sentences(300, seed=1), 4).tables


@pytest.fixture
def model(tables: NGramTables) -> NGramModel:
    return NGramModel(tables, BOS, EOS)


def test_the_state_is_the_longest_context_that_can_matter(model: NGramModel) -> None:
    state = model.start(2)
    assert state.nodes.tolist() == [BOS, BOS]
    assert model.matched_order(state).tolist() == [1, 1]
    _, state = model.score(np.array([[4, 5, 6, 7], [1, 1, 1, 1]]), state)
    assert model.matched_order(state)[0] >= 1
    assert model.matched_order(state)[1] == 0  # never seen: nothing is remembered
    _, state = model.score(np.array([[EOS], [EOS]]), state)
    assert state.nodes.tolist() == [BOS, BOS]


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("k", [1, 3, V, 50])
def test_the_likeliest_tokens_are_those_of_the_whole_distribution(quantise: bool, k: int) -> None:
    model = NGramModel(fit(some_sentences(300, seed=2), 4, quantise=quantise).tables, BOS, EOS)
    state = model.start(3)
    for words in np.random.default_rng(0).integers(4, V, (20, 3, 1)):
        log_probs, _ = model.step(words, state)
        ids, values, state = model.top(words, state, k)
        for row in range(3):
            expected = np.lexsort((np.arange(V), -log_probs[row]))[:k]
            assert ids[row].tolist() == expected.tolist()
            np.testing.assert_array_equal(values[row], log_probs[row, expected])


def test_threads_change_nothing(tables: NGramTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malmoi.models.ngram.model.WORTH_A_THREAD", 10)
    one, many = NGramModel(tables, BOS, EOS, n_threads=1), NGramModel(tables, BOS, EOS, n_threads=4)
    stream = np.array([[word for sentence in some_sentences(60, seed=3) for word in sentence]])
    for ids in (stream, stream[:, :-3], np.repeat(stream[:, :50], 7, axis=0), stream[:, stream[0] != EOS]):
        expected, got = one.score(ids, one.start(len(ids))), many.score(ids, many.start(len(ids)))
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1].nodes, expected[1].nodes)


def test_ids_of_another_vocabulary_are_refused(model: NGramModel) -> None:
    with pytest.raises(ConfigError, match=r"Token ids from -1 to 4 were given to a model of 11 tokens"):
        model.score(np.array([[4, -1]]), model.start(1))
    with pytest.raises(ConfigError, match="encode the text with the model's own tokenizer"):
        model.step(np.array([[V]]), model.start(1))


def test_levels_make_the_tables_they_came_from(tables: NGramTables) -> None:
    levels = []
    for n in range(1, 5):
        first, after = tables.level_range(n)
        backoffs = tables.backoffs[first:after] if n < 4 else np.zeros(after - first, np.float32)
        levels.append(Level(tables.level_ids(n), tables.log_probs[first:after], backoffs))
    again = tables_from_levels(levels, V)
    for name, array in tables.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)


def level(*ngrams: tuple[int, ...]) -> Level:
    values = np.full(len(ngrams), -1, np.float32)
    return Level(np.array(ngrams, np.uint32).reshape(len(ngrams), -1), values, values)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([level((4,), (5,)), level((5, 4)), level((4, 5, 4))], "not the shorter one without its last word"),
        ([level((4,), (5,)), level((4, 5)), level((4, 5, 4))], "not the shorter one without its first word"),
    ],
)
def test_n_grams_without_their_parts_are_refused(levels: list[Level], message: str) -> None:
    with pytest.raises(RunError, match=message):
        tables_from_levels(levels, V)


@pytest.mark.parametrize("quantise", [False, True])
def test_tables_are_read_as_they_were_written(quantise: bool, tmp_path: Path) -> None:
    tables = fit(some_sentences(100, seed=4), 3, quantise=quantise).tables
    save_tables(tmp_path / "model.safetensors", tables)
    again = load_tables(tmp_path / "model.safetensors", 3, V)
    assert again.arrays().keys() == tables.arrays().keys()
    for name, array in tables.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)
        assert again.arrays()[name].dtype == array.dtype


def altered(name: str, change: Any) -> Any:
    def alter(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = change(arrays[name].copy())

    return alter


def put(place: int, value: int) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda arrays: arrays.pop("suffix"), "an n-gram model needs"),
        (altered("words", lambda a: a.astype(np.int64)), "words is int64"),
        (altered("words", lambda a: a[:-1]), "words has"),
        (altered("words", put(-1, V)), "tokens that the vocabulary lacks"),
        (altered("first_child", put(5, 10**6)), "first_child is not in order"),
        (altered("first_child", put(0, 0)), "children of its 1-grams do not lie"),
        (altered("suffix", put(-1, 10**6)), "suffixes of its 3-grams point outside"),
        (altered("suffix", put(0, 3)), "suffixes of its 1-grams point outside"),
        (altered("suffix", put(V, -5)), "suffixes of its 2-grams point outside"),
        (altered("level_ends", put(0, 3)), "its levels end at"),
        (lambda arrays: arrays.update(prob_book=np.zeros((2, 256), np.float32)), "an n-gram model needs"),
    ],
)
def test_altered_tables_are_refused(alter: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    arrays = dict(fit(some_sentences(100, seed=4), 3).tables.arrays())
    alter(arrays)
    write_arrays(path, arrays)
    with pytest.raises(RunError, match=message):
        load_tables(path, 3, V)


def test_random_damage_never_leaves_the_arrays(tmp_path: Path) -> None:
    """Whatever is read can be walked: every accepted file answers with numbers."""
    rng, path = np.random.default_rng(0), tmp_path / "model.safetensors"
    save_tables(path, fit(some_sentences(100, seed=4), 3).tables)
    whole = read_arrays(path)
    refused = 0
    for _ in range(150):
        arrays = {name: array.copy() for name, array in whole.items()}
        for _ in range(3):
            name = str(rng.choice(sorted(arrays)))
            if arrays[name].dtype.kind in "iu" and name != "level_ends":
                place = rng.integers(len(arrays[name]))
                arrays[name][place] = rng.choice([0, 1, int(arrays[name][place]) + 1, 2**15, int(rng.integers(900))])
        write_arrays(path, arrays)
        try:
            model = NGramModel(load_tables(path, 3, V), BOS, EOS)
        except RunError:
            refused += 1
            continue
        model.step(rng.integers(0, V, (2, 30)), model.start(2))
        model.top(rng.integers(0, V, (2, 3)), model.start(2), 4)
    assert 20 < refused < 150


def test_an_empty_level_is_no_level(tables: NGramTables) -> None:
    model = NGramModel(fit([[4, EOS]] * 2, 8).tables, BOS, EOS)
    log_probs, _ = model.step(np.array([[4, 4, 4]]), model.start(1))
    assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
    assert replace(tables, order=4).level_counts()[0] == V
