"""Long training of word2vec: clocks, checkpoints, going on after an interruption, and states that are not to be trusted."""

import dataclasses
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from word2vec_reference import Text, planted, train

from malmoi import clock
from malmoi.arrays import read_arrays, write_arrays
from malmoi.errors import ConfigError, DataError, RunError, TrainingError
from malmoi.models.word2vec import Progress, State, Trained, Word2VecOptions, chunks, objectives
from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

OPTIONS = Word2VecOptions(dim=13, window=3, n_negatives=4, subsample_threshold=0.0, epochs=3, learning_rate=0.05)
N_TOKENS, N_CHUNKS = 8000, 17  # chunks of 62 sentences of 8 tokens, and one of what is left


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "CHUNK", 500)
    monkeypatch.setattr(objectives, "SOFTMAX_CHUNK", 500)
    monkeypatch.setattr(chunks, "READ_AT_ONCE", 1700)


class Watched(Text):
    """A text that calls a function before a chunk is read in a thread of training."""

    def __init__(self, ids: NDArray[np.int64], before_read) -> None:
        super().__init__(ids)
        self.before_read = before_read
        self.n_read = 0

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        if threading.current_thread() is not threading.main_thread():
            self.n_read += 1
            self.before_read(self.n_read)
        return super().read(start, stop)


class Kept:
    """A checkpoint that copies what it is given, as a file would."""

    def __init__(self) -> None:
        self.states: list[dict[str, NDArray]] = []

    def __call__(self, state: State) -> None:
        arrays = state.to_arrays()
        assert np.shares_memory(arrays["inputs"], state.inputs)
        self.states.append({name: array.copy() for name, array in arrays.items()})


def resumed(arrays: dict[str, NDArray], **changes) -> Trained:
    text = planted(1000)
    copied = {name: array.copy() for name, array in arrays.items()}
    request = {"options": OPTIONS, "seed": 3, "resume": State.from_arrays(copied), **changes}
    return train(text, text.counts, **request)  # type: ignore[arg-type]


def same(a: Trained, b: Trained) -> bool:
    return a.inputs.tobytes() + a.outputs.tobytes() == b.inputs.tobytes() + b.outputs.tobytes() and a.losses == b.losses


def nobody_works() -> bool:
    return not any(thread.name.startswith("word2vec") for thread in threading.enumerate())


def fake_time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
@pytest.mark.parametrize("objective", ["negative", "hierarchical", "softmax"])
def test_a_resumed_run_gives_the_bytes_of_one_that_was_never_killed(
    method: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(OPTIONS, method=method, objective=objective)
    text, keep = planted(1000), Kept()
    whole = train(text, text.counts, options, seed=3)
    now = fake_time(monkeypatch)

    def tick(_: int) -> None:
        now[0] += 1

    watched = Watched(text.ids, tick)
    again = train(watched, text.counts, options, seed=3, checkpoint=keep, checkpoint_seconds=7.0)
    assert same(whole, again)
    places = [(len(a["losses"]), int(a["place"][0])) for a in keep.states]
    assert places == [divmod(n, N_CHUNKS) for n in range(7, 3 * N_CHUNKS, 7)]
    for arrays in keep.states[1::3]:
        later = resumed(arrays, options=options)
        assert same(whole, later)
        assert later.figures.pairs == whole.figures.pairs
        assert later.figures.words == whole.figures.words == 3 * 7000
        assert later.figures.epochs == 3


def test_subwords_resume_too(tmp_path: Path) -> None:
    words = [""] * 4 + [f"{'xyz'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(30)]
    subwords = Subwords.build(words, SubwordSettings(shortest=2, longest=3, n_buckets=97))
    text = planted(1000)
    whole = train(text, text.counts, OPTIONS, seed=3, subwords=subwords)

    def save(state: State) -> None:
        write_arrays(tmp_path / "state.safetensors", state.to_arrays())

    def stop(progress: Progress) -> None:
        if progress.tokens > N_TOKENS:
            raise KeyboardInterrupt

    slow = Watched(text.ids, lambda _: time.sleep(0.002))
    with pytest.raises(KeyboardInterrupt):
        train(slow, text.counts, OPTIONS, seed=3, subwords=subwords, checkpoint=save, progress=stop)
    arrays = read_arrays(tmp_path / "state.safetensors")
    assert arrays["losses"].tolist() == whole.losses[:1]
    assert same(whole, resumed(arrays, subwords=subwords))
    with pytest.raises(RunError, match="belongs to another training run"):
        resumed(arrays)


@pytest.mark.parametrize(("mode", "n_threads"), [("deterministic", 1), ("free", 3)])
def test_an_interruption_from_the_keyboard_saves_and_goes_on(mode: str, n_threads: int) -> None:
    main = threading.main_thread().ident
    assert main is not None
    text, keep = planted(1000), Kept()

    def press(n_read: int) -> None:
        time.sleep(0.002)
        if n_read == 20:
            signal.pthread_kill(main, signal.SIGINT)

    watched = Watched(text.ids, press)
    request = {"seed": 3, "mode": mode, "n_threads": n_threads}
    with pytest.raises(KeyboardInterrupt):
        train(watched, text.counts, OPTIONS, checkpoint=keep, **request)  # type: ignore[arg-type]
    assert nobody_works()
    (arrays,) = keep.states
    read = len(arrays["losses"]) * N_CHUNKS + int(arrays["place"][0])
    assert 20 <= read == watched.n_read < 3 * N_CHUNKS
    later = resumed(arrays, mode=mode, n_threads=n_threads)
    whole = train(text, text.counts, OPTIONS, **request)  # type: ignore[arg-type]
    if mode == "deterministic":
        assert same(whole, later)
    assert later.figures.pairs == whole.figures.pairs
    assert later.losses == pytest.approx(whole.losses, rel=0.05)


def test_pressing_twice_still_waits_for_the_chunk_at_hand() -> None:
    main, keep = threading.main_thread().ident, Kept()
    assert main is not None

    def press(n_read: int) -> None:
        if n_read == 5:
            for _ in range(2):
                signal.pthread_kill(main, signal.SIGINT)
                time.sleep(0.05)

    text = planted(1000)
    watched = Watched(text.ids, press)
    with pytest.raises(KeyboardInterrupt):
        train(watched, text.counts, OPTIONS, seed=3, checkpoint=keep)
    assert [int(arrays["place"][0]) for arrays in keep.states] == [watched.n_read]
    assert same(resumed(keep.states[0]), train(text, text.counts, OPTIONS, seed=3))


def test_an_interruption_without_a_checkpoint_just_goes_on() -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    text = planted(100)
    with pytest.raises(KeyboardInterrupt):
        train(text, text.counts, OPTIONS, progress=stop)


def test_no_thread_works_while_a_checkpoint_is_written() -> None:
    def look(state: State) -> None:
        before = state.inputs.copy(), state.outputs.copy(), state.sums.copy()
        time.sleep(0.002)
        assert all(np.array_equal(a, b) for a, b in zip(before, state[:3], strict=True))
        assert (state.sums[: state.chunk, 3] > 0).all()
        seen.append(state.chunk)

    text, seen = planted(1000), []
    train(text, text.counts, OPTIONS, mode="free", n_threads=3, checkpoint=look, checkpoint_seconds=1e-4)
    assert len(seen) > 3


def test_the_clock_brings_the_learning_rate_down_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    now = fake_time(monkeypatch)

    def tick(_: int) -> None:
        now[0] += 1

    text, seen = Watched(planted(1000).ids, tick), []
    trained = train(text, text.counts, OPTIONS, seed=3, seconds=22.0, progress=seen.append)
    figures = trained.figures
    assert figures.stopped_by_clock
    assert figures.epochs == pytest.approx((N_TOKENS + 5 * 496) / N_TOKENS)  # 22 chunks, a second each
    assert figures.words == 7000 + 5 * 434
    assert figures.seconds == 22
    assert figures.words_per_second == pytest.approx(figures.words / 22)
    assert len(trained.losses) == len(figures.pairs) == 2
    assert 0 < figures.pairs[1] < figures.pairs[0] / 2
    assert "the clock sets the learning rate" in figures.promise
    assert seen[-1].learning_rate == pytest.approx(OPTIONS.min_learning_rate)
    assert seen[-1].seconds_left == 0
    assert [p.learning_rate for p in seen] == sorted((p.learning_rate for p in seen), reverse=True)
    assert 0 <= seen[0].seconds_left <= 21


def test_a_clock_that_is_never_ahead_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_time(monkeypatch)
    text = planted(1000)
    timed = train(text, text.counts, OPTIONS, seed=3, seconds=1.0)
    assert same(timed, train(text, text.counts, OPTIONS, seed=3))
    assert not timed.figures.stopped_by_clock
    assert timed.figures.epochs == 3


def test_a_real_clock_is_kept() -> None:
    text = planted(200)
    train(text, text.counts, OPTIONS)  # machine code, once made, costs no time
    options = dataclasses.replace(OPTIONS, epochs=1_000_000)
    trained = train(text, text.counts, options, n_threads=2, mode="free", seconds=0.2)
    assert trained.figures.stopped_by_clock
    assert trained.figures.seconds >= 0.2
    assert trained.figures.epochs > 1
    assert len(trained.losses) - trained.figures.epochs < 1


def test_time_spent_before_a_resume_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    keep, now = Kept(), fake_time(monkeypatch)

    def tick(_: int) -> None:
        now[0] += 1

    text = planted(1000)
    watched = Watched(text.ids, tick)
    train(watched, text.counts, OPTIONS, seed=3, checkpoint=keep, checkpoint_seconds=10.0)
    arrays = {name: array.copy() for name, array in keep.states[0].items()}
    later = train(Watched(text.ids, tick), text.counts, OPTIONS, seed=3, seconds=12.0, resume=State.from_arrays(arrays))
    assert later.figures.epochs == pytest.approx(12 * 496 / N_TOKENS)
    assert later.figures.seconds == 12
    assert later.figures.words_per_second == pytest.approx(2 * 434 / 2)


def test_time_that_is_over_at_once_is_reported() -> None:
    text = planted(100)
    with pytest.raises(TrainingError, match=r"The 1e-09 seconds were over before two words"):
        train(text, text.counts, OPTIONS, seconds=1e-9)


@pytest.mark.parametrize("name", ["seconds", "checkpoint_seconds"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_is_refused(name: str, value: float) -> None:
    text = planted(100)
    with pytest.raises(ConfigError, match=f"{name}={value} is no time to train"):
        train(text, text.counts, OPTIONS, **{name: value})  # type: ignore[arg-type]


def a_state() -> dict[str, NDArray]:
    text, keep = planted(1000), Kept()
    watched = Watched(text.ids, lambda n_read: time.sleep(0.001))

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(watched, text.counts, OPTIONS, seed=3, checkpoint=keep, progress=stop)
    return keep.states[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 4},
        {"mode": "free"},
        {"options": dataclasses.replace(OPTIONS, epochs=4)},
        {"options": dataclasses.replace(OPTIONS, method="cbow")},
    ],
)
def test_a_state_of_another_run_is_refused(changes: dict[str, object]) -> None:
    arrays = a_state()
    with pytest.raises(RunError, match="belongs to another training run. Go on with the very text"):
        resumed(arrays, **changes)
    other = planted(1000, seed=2)
    with pytest.raises(RunError, match="belongs to another training run"):
        train(other, other.counts, OPTIONS, seed=3, resume=State.from_arrays(arrays))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("owner", lambda a: a[:31], "owner cannot be as given"),
        ("inputs", lambda a: a.astype(np.float64), r"inputs has type float64 and shape \(34, 16\); expected float32"),
        ("inputs", lambda a: a[:, :12].copy(), "inputs and outputs cannot be as given"),
        ("inputs", lambda a: a[:33], r"matrices and chunks of sizes \(\(33, 16\), \(34, 16\), 17\)"),
        (
            "outputs",
            lambda a: np.where(a == 0, np.float32(np.nan), a),
            "outputs hold NaN, infinity, or numbers outside",
        ),
        ("inputs", lambda a: a + np.float32(1), "outside their 13 columns"),
        ("sums", lambda a: a * np.nan, "sums cannot be as given"),
        ("sums", lambda a: a[:, :3], "sums cannot be as given"),
        ("sums", lambda a: a[:-1], r"matrices and chunks of sizes"),
        ("losses", lambda a: np.array([np.inf]), "losses cannot be as given"),
        ("losses", lambda a: a[:, None], r"losses has type float64 and shape \(0, 1\); expected float64 and 1 axis"),
        ("pairs", lambda a: np.array([3]), "pairs cannot be as given"),
        ("place", lambda a: np.array([18, 0]), "place cannot be as given"),
        ("place", lambda a: np.array([-1, 0]), "place cannot be as given"),
        ("seconds", lambda a: np.array([-1.0]), "seconds cannot be as given"),
    ],
)
def test_a_damaged_state_is_refused(name: str, change, message: str) -> None:
    arrays = a_state()
    arrays[name] = change(arrays[name])
    with pytest.raises(RunError, match=message):
        resumed(arrays)


def test_more_epochs_than_there_are_and_missing_arrays_are_refused() -> None:
    arrays = a_state()
    with pytest.raises(RunError, match="after 4 epochs"):
        resumed({**arrays, "losses": np.ones(4), "pairs": np.ones(4, np.int64)})
    del arrays["sums"]
    with pytest.raises(RunError, match="This is no state of word2vec: it has inputs, losses, outputs, owner"):
        State.from_arrays(arrays)
    with pytest.raises(RunError, match="it has nothing; expected inputs"):
        State.from_arrays({})


KINDS = st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_])
SHAPES = st.lists(st.sampled_from([0, 1, 2, 8, 17, 32, 34]), max_size=3).map(tuple)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_arrays_are_a_state_or_one_message(data: st.DataObject) -> None:
    arrays = a_small_state()
    for name in data.draw(st.lists(st.sampled_from(sorted(arrays)), max_size=3)):
        fill = data.draw(st.sampled_from([0.0, 1.0, -1.0, 1e30, float("nan")]))
        with np.errstate(invalid="ignore"):
            arrays[name] = np.full(data.draw(SHAPES), fill).astype(data.draw(KINDS))
    try:
        state = State.from_arrays(arrays)
        state.check(state.owner, (34, 16), (34, 16), N_CHUNKS, 3, 13)
    except RunError as error:
        message = str(error)
    else:
        message = "a state of word2vec"
        assert state.inputs.shape == state.outputs.shape == (34, 16)
        assert 0 <= state.chunk <= len(state.sums) == N_CHUNKS
    assert "word2vec" in message


def a_small_state() -> dict[str, NDArray]:
    zeros = np.zeros((34, 16), np.float32)
    owner = bytes(range(32))
    return State(
        zeros, zeros, np.zeros((N_CHUNKS, 4)), np.zeros(0), np.zeros(0, np.int64), 5, 0, 1.5, owner
    ).to_arrays()


def test_a_state_survives_a_file(tmp_path: Path) -> None:
    arrays = a_state()
    write_arrays(tmp_path / "state.safetensors", arrays)
    read = read_arrays(tmp_path / "state.safetensors")
    assert {name: array.tobytes() for name, array in read.items()} == {n: a.tobytes() for n, a in arrays.items()}
    for array in read.values():
        array.flags.writeable = False  # as a mapped file would be
    text = planted(1000)
    later = train(text, text.counts, OPTIONS, seed=3, resume=State.from_arrays(read))
    assert same(later, train(text, text.counts, OPTIONS, seed=3))


def test_two_beginnings_and_foreign_subwords_are_refused() -> None:
    text, arrays = planted(1000), a_state()
    matrices = np.zeros((34, 13), np.float32), np.zeros((34, 13), np.float32)
    with pytest.raises(ConfigError, match="initial and resume were both given"):
        resumed(arrays, initial=matrices)
    subwords = Subwords.build(["", "", "", "", "a"], SubwordSettings(n_buckets=9))
    with pytest.raises(DataError, match="those of 5 token ids, and there are counts for 34"):
        train(text, text.counts, OPTIONS, subwords=subwords)


def test_an_error_of_the_text_comes_out_of_its_thread() -> None:
    def fail(n_read: int) -> None:
        if n_read == 7:
            raise OSError("the disk is gone")

    text = Watched(planted(1000).ids, fail)
    with pytest.raises(OSError, match="the disk is gone"):
        train(text, text.counts, OPTIONS, mode="free", n_threads=2)
    assert nobody_works()
