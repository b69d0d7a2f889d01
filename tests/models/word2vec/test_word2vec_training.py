"""Training of word2vec: what it promises, what it learns, and what it refuses."""

import dataclasses
import math

import numpy as np
import pytest
from word2vec_reference import VOCABULARY, Text, planted, train

from malmoi.errors import ConfigError, DataError, TrainingError
from malmoi.models.word2vec import Progress, Trained, Word2VecOptions, chunks, objectives

SMALL = Word2VecOptions(dim=13, window=3, n_negatives=4, subsample_threshold=0.0, epochs=3, learning_rate=0.05)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "CHUNK", 500)
    monkeypatch.setattr(chunks, "READ_AT_ONCE", 1700)


def run(
    method: str = "skip-gram", n_threads: int = 1, mode: str = "deterministic", seed: int = 3, **changes
) -> Trained:
    options = dataclasses.replace(SMALL, method=method, **changes)
    text = planted()
    return train(text, text.counts, options, seed=seed, n_threads=n_threads, mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_the_deterministic_mode_gives_the_same_bytes_for_any_number_of_threads(method: str) -> None:
    runs = [run(method, n_threads) for n_threads in (1, 2, 3)]
    assert len({r.inputs.tobytes() + r.outputs.tobytes() for r in runs}) == 1
    assert runs[0].losses == runs[1].losses == runs[2].losses
    assert runs[0].inputs.tobytes() == run(method, 1, "free").inputs.tobytes()  # one thread leaves nothing to chance
    assert runs[0].inputs.tobytes() != run(method, seed=4).inputs.tobytes()
    assert "same bytes" in runs[2].figures.promise


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
@pytest.mark.parametrize(("mode", "n_threads"), [("deterministic", 1), ("free", 3)])
def test_words_of_one_topic_become_neighbours(method: str, mode: str, n_threads: int) -> None:
    trained = run(method, n_threads, mode, epochs=6)
    first = 5 * math.log(
        2
    )  # all scores start at 0: 1 right word and 4 wrong ones, fewer where a draw hits the right one
    assert first > trained.losses[0] > trained.losses[-1]
    vectors = trained.inputs[4:] / np.linalg.norm(trained.inputs[4:], axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1)[:, :9]
    assert (nearest // 10 == np.arange(30)[:, None] // 10).all()


def test_the_result_says_what_was_done() -> None:
    trained = run("skip-gram", n_threads=2, mode="free")
    assert trained.inputs.shape == trained.outputs.shape == (VOCABULARY, 13)
    assert trained.inputs.dtype == np.float32
    assert trained.inputs.flags.c_contiguous
    assert not trained.inputs[:4].any()
    assert not trained.outputs[:4].any()
    figures = trained.figures
    assert (figures.mode, figures.n_threads, figures.words) == ("free", 2, 3 * 21_000)
    assert figures.words_per_second > 0
    # a window of 3 in sentences of 7: reach 1, 2, 3 have 12, 22, 30 pairs
    assert figures.pairs == pytest.approx([3000 * 64 / 3] * 3, rel=0.02)
    cbow = run("cbow")
    assert cbow.figures.pairs == [21_000] * 3
    assert cbow.figures.n_threads == 1


def test_the_first_loss_is_that_of_scores_of_zero() -> None:
    text = planted(40)
    options = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-9, min_learning_rate=0.0)
    loss = train(text, text.counts, options, seed=1).losses[0]
    p = text.counts[4:] ** 0.75
    expected = math.log(2) * (1 + 4 * (1 - (p / p.sum() * text.counts[4:] / 280).sum()))
    assert loss == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("dim", [1, 8, 13])
def test_any_width(dim: int) -> None:
    assert run(dim=dim, epochs=1).inputs.shape == (VOCABULARY, dim)


def test_progress_reaches_the_end() -> None:
    text = planted(500)
    seen: list[Progress] = []
    trained = train(text, text.counts, SMALL, n_threads=3, mode="free", progress=seen.append)
    done = [p.tokens for p in seen]
    assert done == sorted(done)
    last = seen[-1]
    assert (last.tokens, last.total) == (12_000, 12_000)
    assert last.loss == pytest.approx(trained.losses[-1])
    assert last.learning_rate == pytest.approx(SMALL.min_learning_rate)
    assert last.seconds_left == 0
    rates = [p.learning_rate for p in seen]
    assert SMALL.learning_rate > rates[0] > rates[len(rates) // 2] > rates[-1]
    assert all(p.words_per_second > 0 for p in seen)


def test_an_error_in_a_thread_ends_the_training() -> None:
    def stop(progress: Progress) -> None:
        raise KeyError(progress)

    text = planted(500)
    with pytest.raises(KeyError):
        train(text, text.counts, SMALL, n_threads=2, mode="free", progress=stop)


def test_training_goes_on_from_given_matrices() -> None:
    first = run(epochs=6)
    text, before = planted(seed=2), first.inputs.copy()
    more = train(text, text.counts, SMALL, seed=5, initial=(first.inputs, first.outputs))
    assert more.losses[0] < 0.97 * first.losses[0]
    assert (first.inputs == before).all()


def test_words_without_a_count_are_never_read_and_keep_their_place() -> None:
    text = Text(np.array([4, 1, 5, 3, 4, 6, 5, 3] * 50))
    counts = text.counts
    counts[6] = 0
    with pytest.raises(DataError, match="No two words of the text stand in one window"):
        train(text, counts, dataclasses.replace(SMALL, window=1), seed=1)
    wider = train(text, counts, dataclasses.replace(SMALL, window=2, epochs=1), seed=1)
    assert wider.figures.pairs[0] == pytest.approx(100, abs=40)
    assert not wider.inputs[6].any()


def test_a_window_longer_than_every_sentence_is_fine() -> None:
    assert run(window=1000, epochs=1).losses[0] < 5 * math.log(2)


def test_chunks_are_whole_sentences_where_these_end_in_time() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(4, VOCABULARY, 20_000)
    ids[rng.random(20_000) < 0.02] = 3
    ids[4000:8000] = 9  # one long sentence
    bounds = chunks.chunk_bounds(Text(ids), VOCABULARY, 500, eos_id=3)
    assert bounds[0] == 0
    assert bounds[-1] == 20_000
    assert (np.diff(bounds) > 0).all()
    assert np.diff(bounds).max() <= 500
    at_ends = ids[bounds[1:-1] - 1] == 3
    assert at_ends.sum() >= len(at_ends) - 9  # the long one is cut
    assert len(bounds) < 60


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([9, 9, 9, 9, 0, 0], "The vocabulary has 0 words that the text holds"),
        ([0, 5, 0, 2, 7, 0], "The vocabulary has 1 word that the text holds"),
        ([0, 0, 0, 0, 3, -2], "cannot be negative, and one is -2"),
        ([0, 0, 0, 0, 1, 1], "token id 6, and there are counts for ids 0 to 5"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        train(Text(np.array([4, 5, 6, 3])), np.array(counts), SMALL)


def test_a_text_without_pairs_or_tokens_is_refused() -> None:
    for ids in (np.array([4, 3, 5, 3] * 9), np.array([], np.int64)):
        with pytest.raises(DataError, match="No two words of the text stand in one window"):
            train(Text(ids), np.bincount([4, 5], minlength=VOCABULARY), SMALL)


def test_matrices_to_go_on_from_are_checked() -> None:
    text, right = planted(9), np.zeros((VOCABULARY, 13), np.float32)
    with pytest.raises(DataError, match=r"outputs to go on from have shape \(34, 12\), and \(34, 13\) is needed"):
        train(text, text.counts, SMALL, initial=(right, right[:, :12]))
    with pytest.raises(DataError, match="inputs to go on from hold NaN or infinity"):
        train(text, text.counts, SMALL, initial=(right * np.float32(np.nan), right))


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_vectors_that_grow_out_of_bounds_are_reported(method: str) -> None:
    with pytest.raises(TrainingError, match=r"loss of epoch \d is not a finite number.*Lower learning_rate"):
        run(method, learning_rate=1e20, divide_gradient=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "glove"}, "Choose 'skip-gram' or 'cbow'"),
        ({"dim": 0}, "dim=0 is out of range. Choose a whole number from 1 to 100,000"),
        ({"window": 1001}, "window=1001 is out of range"),
        ({"n_negatives": 0}, "n_negatives=0 is out of range"),
        ({"epochs": 0}, "epochs=0 is out of range"),
        ({"subsample_threshold": math.nan}, "subsample_threshold=nan is no share"),
        ({"noise_power": -1.0}, "noise_power=-1.0 is out of range"),
        ({"learning_rate": 0.0, "min_learning_rate": 0.0}, "cannot fall from 0.0 to 0.0"),
        ({"min_learning_rate": 0.5}, "cannot fall from 0.05 to 0.5"),
        ({"learning_rate": math.nan}, "cannot fall from nan"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]


def test_a_mode_or_a_number_of_threads_that_is_not_possible_is_refused() -> None:
    text = planted(9)
    with pytest.raises(ConfigError, match="Choose 'deterministic' or 'free'"):
        run(mode="fast")
    with pytest.raises(ConfigError, match="n_threads=0 and seed=0 are not both possible"):
        train(text, text.counts, SMALL, n_threads=0)
