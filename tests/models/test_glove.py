"""GloVe's update against a numerical gradient and a plain loop, and what it learns from counts that it can explain."""

import itertools
import math
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix

from malmoi.errors import ConfigError, DataError, RunError, TrainingError
from malmoi.models import glove
from malmoi.models.glove import N_GROUPS, PAIR, GloVe, GloVeSettings, Side, train_glove


def sides(n_words: int, embed_dim: int, dtype: Any = np.float64) -> tuple[Side, Side]:
    rng = np.random.default_rng(4)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    shape = (n_words, embed_dim)
    centres, contexts = (
        Side._make([numbers(*shape), numbers(n_words), np.ones(shape, dtype), np.ones(n_words, dtype)])
        for _ in range(2)
    )
    return centres, contexts


def loss_by_hand(pairs: np.ndarray, centres: Any, contexts: Any) -> float:
    total = 0.0
    for i, j, log_count, weight in pairs.tolist():
        error = np.dot(centres[0][i], contexts[0][j]) + centres[1][i] + contexts[1][j] - log_count
        total += weight * float(error) ** 2
    return total


def some_counts(n_words: int = 23, seed: int = 2) -> csr_matrix:
    rng = np.random.default_rng(seed)
    return csr_matrix(rng.poisson(0.7, (n_words, n_words)) * rng.uniform(0.5, 90.0, (n_words, n_words)))


def test_an_update_is_the_numerical_gradient() -> None:
    """With sums of squares at 1 the first step is the gradient of J/2, multiplied by the learning rate."""
    rate = 1e-3
    pairs = np.array([(2, 1, 0.7, 0.4)], PAIR)
    before, after = sides(3, 5), sides(3, 5)
    loss = glove._descend(pairs, *after, rate)
    assert loss == pytest.approx(loss_by_hand(pairs, *before), rel=1e-6)
    for side in range(2):
        for part in range(2):  # vectors, biases
            numerical = np.zeros_like(before[side][part])
            for place in np.ndindex(numerical.shape):
                values = []
                for h in (1e-5, -1e-5):
                    moved = sides(3, 5)
                    moved[side][part][place] += h
                    values.append(loss_by_hand(pairs, *moved) / 2)
                numerical[place] = (values[0] - values[1]) / 2e-5
            assert np.abs(numerical).max() > 0.01
            assert_allclose(before[side][part] - after[side][part], rate * numerical, rtol=1e-6, atol=1e-11)
            assert_allclose(after[side][part + 2] - 1, (rate * numerical) ** 2, rtol=1e-6, atol=1e-15)


def test_the_pairs_are_the_counts_with_their_weights() -> None:
    counts = some_counts()
    pairs, starts = glove._pairs(counts, GloVeSettings(x_max=50.0, alpha=0.5))
    assert len(pairs) == counts.nnz == starts[-1]
    assert (np.diff(starts) > 0).sum() > 20
    for number in range(glove.N_GROUPS**2):
        for i, j, log_count, weight in pairs[starts[number] : starts[number + 1]].tolist():
            assert (i % 8, j % 8) == divmod(number, 8)
            assert log_count == pytest.approx(math.log(counts[i, j]), rel=1e-6)
            assert weight == pytest.approx(min(1.0, math.sqrt(counts[i, j] / 50)), rel=1e-6)


def test_an_epoch_is_a_plain_loop_over_the_pairs() -> None:
    pairs, _ = glove._pairs(some_counts(), GloVeSettings())
    ours, plain = sides(23, 7), sides(23, 7)
    loss = 0.0
    for i, j, log_count, weight in pairs.tolist():
        (w, b, gw, gb), (c, a, gc, ga) = plain
        error = w[i] @ c[j] + b[i] + a[j] - log_count
        loss += weight * error**2
        step = 0.05 * weight * error
        of_w, of_c = step * c[j], step * w[i]
        w[i] -= of_w / np.sqrt(gw[i])
        c[j] -= of_c / np.sqrt(gc[j])
        b[i] -= step / math.sqrt(gb[i])
        a[j] -= step / math.sqrt(ga[j])
        gw[i] += of_w**2
        gc[j] += of_c**2
        gb[i] += step**2
        ga[j] += step**2
    assert glove._descend(pairs, *ours, 0.05) == pytest.approx(loss, rel=1e-12)
    for mine, its in zip((*ours[0], *ours[1]), (*plain[0], *plain[1]), strict=True):
        assert_allclose(mine, its, rtol=1e-10)


def test_a_shuffle_keeps_every_pair_and_mixes_them_evenly() -> None:
    pairs = np.zeros(5, PAIR)
    pairs["row"] = pairs["column"] = pairs["log_count"] = pairs["weight"] = np.arange(5)
    stood = np.zeros((5, 5))
    for seed in range(3000):
        mixed = pairs.copy()
        glove._shuffle(mixed, np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] | np.uint64(1))
        assert_array_equal(mixed["row"], mixed["weight"])
        assert_array_equal(mixed["column"], mixed["log_count"])
        stood[np.arange(5), mixed["row"]] += 1
    assert_array_equal(stood.sum(axis=0), 3000)
    assert_allclose(stood, 600, atol=120)  # 5 standard deviations


def test_the_loss_of_an_epoch_is_that_of_the_vectors_where_they_hardly_move() -> None:
    counts = some_counts()
    settings = GloVeSettings(embed_dim=5, n_epochs=1, learning_rate=1e-9)
    model = train_glove(counts, settings)
    pairs, _ = glove._pairs(counts, settings)
    assert model.losses == [pytest.approx(loss_by_hand(pairs, model.centres, model.contexts) / len(pairs), rel=1e-5)]


def test_threads_change_no_byte_and_the_seed_does() -> None:
    def trained(seed: int, n_threads: int) -> GloVe:
        settings = GloVeSettings(embed_dim=6, n_epochs=3, seed=seed)
        return train_glove(some_counts(41), settings, n_threads=n_threads)

    one, same, other = trained(1, 1), trained(1, 5), trained(2, 1)
    assert_same(one, same)
    assert not np.allclose(one.vectors(), other.vectors())
    assert_array_equal(one.vectors(), one.centres.vectors + one.contexts.vectors)


class Stops:
    """Presses Ctrl-C at a report of progress, and keeps the state that is then handed over."""

    def __init__(self, after: int) -> None:
        self.left, self.kept = after, dict[str, np.ndarray]()

    def progress(self, epochs: float, loss: float) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def checkpoint(self, model: GloVe) -> None:
        self.kept = {name: array.copy() for name, array in model.to_arrays().items()}


def assert_same(one: GloVe, other: GloVe) -> None:
    assert (one.losses, one.turns, one.partial) == (other.losses, other.turns, other.partial)
    for mine, its in zip((*one.centres, *one.contexts), (*other.centres, *other.contexts), strict=True):
        assert_array_equal(mine, its)


@pytest.mark.parametrize("after", [1, 7, 8, 13, 16, 24])  # within an epoch, at its end, at the very end
@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(after: int, n_threads: int) -> None:
    counts, settings = some_counts(41), GloVeSettings(embed_dim=5, n_epochs=3, seed=3)
    whole, stops = train_glove(counts, settings), Stops(after)
    with pytest.raises(KeyboardInterrupt):
        train_glove(counts, settings, n_threads=n_threads, progress=stops.progress, checkpoint=stops.checkpoint)
    state = GloVe.from_arrays(stops.kept, 41, 5)
    assert state.epochs == after / N_GROUPS
    heard: list[float] = []
    resumed = train_glove(counts, settings, resume=state, progress=lambda epochs, loss: heard.append(epochs))
    assert_same(resumed, whole)
    assert heard == [(i + 1) / N_GROUPS for i in range(after, 24)]  # what was done before is not told again


def test_ctrl_c_while_threads_work_waits_for_them_and_keeps_what_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, settings = some_counts(41), GloVeSettings(embed_dim=5, n_epochs=2)
    whole, stops, waits = train_glove(counts, settings), Stops(0), [0]
    result = Future.result

    def interrupted(self: Any, timeout: float | None = None) -> Any:
        waits[0] += 1
        if waits[0] == 3 * N_GROUPS + 5:  # in the fourth round, at its fifth block
            raise KeyboardInterrupt
        return result(self, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_glove(counts, settings, progress=stops.progress, checkpoint=stops.checkpoint)
    state = GloVe.from_arrays(stops.kept, 41, 5)
    assert state.turns == 4
    assert_same(train_glove(counts, settings, resume=state), whole)


def test_checkpoints_come_by_the_clock() -> None:
    counts, settings, kept = some_counts(), GloVeSettings(embed_dim=3, n_epochs=2), list[float]()
    train_glove(counts, settings, checkpoint=lambda model: kept.append(model.epochs), checkpoint_seconds=0)
    assert kept == [(i + 1) / N_GROUPS for i in range(2 * N_GROUPS)]
    train_glove(counts, settings, checkpoint=lambda model: kept.append(0), checkpoint_seconds=3600)
    assert 0 not in kept


def test_it_stops_before_the_time_is_over_and_counts_what_was_spent_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that moves by a second whenever it is read: twice in a round, and once before the first."""
    counts, settings = some_counts(), GloVeSettings(embed_dim=3, n_epochs=9)

    def trained(seconds: float, resume: GloVe | None = None) -> GloVe:
        clock = itertools.count(100)
        monkeypatch.setattr(glove, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        return train_glove(counts, settings, seconds=seconds, resume=resume)

    model = trained(20.5)
    assert model.seconds == 20
    assert model.turns == 2
    assert len(model.losses) == 1
    spent = model.seconds
    assert trained(1.0, resume=model).epochs == 11 / N_GROUPS  # one round at least
    assert model.seconds > spent
    assert trained(0.1).epochs == 1 / N_GROUPS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centres.vectors": None}, "The state of training holds no centres of 23 words, 5 numbers each"),
        ({"contexts.biases": np.zeros(22, np.float32)}, "holds no contexts of 23 words"),
        ({"contexts.vector_squares": np.zeros((23, 5))}, "holds no contexts of 23 words"),
        ({"losses": np.zeros((2, 2))}, "does not say how far it came"),
        ({"reached": None}, "does not say how far it came. Expected the state of this very run"),
        ({"reached": np.array([8.0, 0.0, 0.0])}, "does not say how far it came"),
        ({"reached": np.array([np.nan, 0.0, 0.0])}, "does not say how far it came"),
    ],
)
def test_a_state_that_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    model = train_glove(some_counts(), GloVeSettings(embed_dim=5, n_epochs=1))
    arrays = {name: array for name, array in (model.to_arrays() | changes).items() if array is not None}
    with pytest.raises(RunError, match=message):
        GloVe.from_arrays(arrays, 23, 5)


def test_it_learns_a_planted_structure() -> None:
    """Counts whose logarithms are dot products of 3 numbers and biases are explained, and so are those it never saw."""
    rng = np.random.default_rng(0)
    n = 60
    planted = rng.standard_normal((n, 3))
    bias = rng.uniform(0, 2, n)
    logs = planted @ planted.T + bias[:, None] + bias
    seen = rng.random((n, n)) < 0.8
    seen |= seen.T
    losses: list[float] = []
    model = train_glove(
        csr_matrix(np.exp(logs) * seen),
        GloVeSettings(embed_dim=3, n_epochs=400, learning_rate=0.1, x_max=1.0, seed=1),
        progress=lambda epoch, loss: losses.append(loss),
    )
    assert len(losses) == 400 * N_GROUPS  # one after each round
    assert len(model.losses) == 400
    assert model.losses[-1] < model.losses[0] / 1000
    w, b, *_ = model.centres
    c, a, *_ = model.contexts
    guesses = (w @ c.T + b[:, None] + a)[~seen]
    assert np.corrcoef(guesses, logs[~seen])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"embed_dim": 0}, "embed_dim=0 does not fit"),
        ({"alpha": 1.5}, "alpha=1.5 does not fit"),
        ({"x_max": 0}, "x_max=0 does not fit"),
        ({"learning_rate": math.inf}, "learning_rate=inf does not fit"),
        ({"xmax": 10}, "Unknown option 'xmax' for GloVeSettings. Did you mean 'x_max'"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GloVeSettings.parse(values)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (csr_matrix((3, 2)), "3 rows and 2 columns; the same words were expected on both sides"),
        (csr_matrix((3, 3)), "No pair was counted, so there is nothing to learn"),
        (csr_matrix([[1.0, -1.0], [0.0, 1.0]]), "a negative number, NaN or infinity"),
        (csr_matrix([[1.0, math.nan], [0.0, 1.0]]), "a negative number, NaN or infinity"),
    ],
)
def test_counts_that_do_not_fit_are_named(counts: csr_matrix, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train_glove(counts)


def test_a_loss_without_end_is_named() -> None:
    with pytest.raises(
        TrainingError, match=r"The loss of epoch \d+ is .*lower learning_rate .now 1e\+30., for example to 1e\+29"
    ):
        train_glove(some_counts(), GloVeSettings(embed_dim=3, learning_rate=1e30))
