"""A training run of word2vec at work: chunk after chunk, with a clock, reports and checkpoints."""

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from malmoi.clock import Clock
from malmoi.errors import DataError, TrainingError
from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.chunks import generator_state, share_out
from malmoi.models.word2vec.objectives import Update
from malmoi.models.word2vec.options import Word2VecOptions
from malmoi.models.word2vec.state import COLUMNS, Progress, State
from malmoi.models.word2vec.subwords import Subwords
from malmoi.store import TokenStream

RELEASE_EVERY = 100  # chunks: what was read stays in memory until then


@dataclass(frozen=True)
class Plan:
    """What a run does; as in `training.train`."""

    tokens: TokenStream
    bounds: NDArray[np.int64]  # (chunks + 1,), tokens
    limits: NDArray[np.uint64]  # (V,), of `sampling.keep_limits`
    update: Update
    eos_id: int
    options: Word2VecOptions
    seed: int
    n_threads: int
    progress: Callable[[Progress], None] | None
    checkpoint: Callable[[State], None] | None
    checkpoint_seconds: float | None

    @property
    def n_chunks(self) -> int:
        return len(self.bounds) - 1

    @property
    def total(self) -> int:
        """Tokens to read, over all epochs."""
        return self.options.epochs * len(self.tokens)

    def compile(self) -> None:
        """Have the machine code made before anything is timed and the matrices are there, by reading no text."""
        kept, generator = np.zeros(0, np.int32), generator_state(0, 0, 0)
        inputs, outputs = (np.zeros((1, kernels.BLOCK), np.float32) for _ in range(2))
        kernels.keep_words(np.zeros(0, np.int64), self.limits, self.eos_id, generator, kept)
        self.update(kept, 0, 0.0, 0.0, generator, inputs, outputs)

    def digest(self, mode: str, counts: NDArray[np.int64], subwords: Subwords | None) -> bytes:
        """Of all that decides what is learnt, as far as it is known before the text is read."""
        digest = hashlib.sha256(f"{self.options} {self.seed} {mode}".encode())
        arrays = [counts, self.bounds] if subwords is None else [counts, self.bounds, subwords.starts, subwords.rows]
        for array in arrays:
            digest.update(f" {array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.digest()


class Job:
    """A run between its first chunk and its last.

    `state` is what is settled: it is replaced while no thread works. `taken` is the next chunk of this epoch to be given out.
    """

    def __init__(self, plan: Plan, clock: Clock, state: State) -> None:
        self.plan, self.clock = plan, clock
        own = {
            name: np.require(getattr(state, name), requirements=["C", "W"]) for name in ("inputs", "outputs", "sums")
        }
        self.state = state._replace(**own)  # copies only what cannot be changed
        sums = own["sums"]
        sums[state.chunk :] = 0
        self.taken = state.chunk
        self.epochs_read, self.stopped_by_clock = float(len(state.losses)), False
        self._lock = threading.Lock()
        self._now = sums.sum(axis=0)  # loss, pairs, words, tokens of this epoch, for reports
        self._before = state.words + self._now[2], self._tokens_read()
        self._began_at = self._saved_at = clock.elapsed()
        self._saved_place = self.epoch, self.taken

    @classmethod
    def fresh(
        cls, plan: Plan, clock: Clock, inputs: NDArray[np.float32], outputs: NDArray[np.float32], owner: bytes
    ) -> "Job":
        sums = np.zeros((plan.n_chunks, COLUMNS))
        state = State(inputs, outputs, sums, np.zeros(0), np.zeros(0, np.int64), 0, 0, 0.0, owner)
        return cls(plan, clock, state)

    def run(self) -> None:
        """Train to the end of the last epoch, or of the time."""
        self._began_at = self._saved_at = self.clock.elapsed()
        try:
            while self.epoch < self.plan.options.epochs and not self.stopped_by_clock:
                share_out(self._work, self.plan.n_threads, self._report)
                if self.taken == self.plan.n_chunks:
                    self._close_epoch()
                elif self.clock.is_over():
                    self.stopped_by_clock = True
                    self._close_epoch()
                elif self._checkpoint_is_due():
                    self._save()
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            self.plan.tokens.release()

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return len(self.state.losses)

    def words_per_second(self) -> float:
        """Since training began or went on, without its preparation."""
        words = self.state.words + self._now[2] - self._before[0]
        return float(words / max(self.clock.elapsed() - self._began_at, 1e-9))

    def _work(self) -> bool:
        """Read the next chunk; False if there is none to be read now."""
        with self._lock:
            number = self.taken
            if number == self.plan.n_chunks or self.clock.is_over() or self._checkpoint_is_due():
                return False
            self.taken += 1
        self._read(number)
        return True

    def _read(self, number: int) -> None:
        plan, state = self.plan, self.state
        start, stop = map(int, plan.bounds[number : number + 2])
        ids = plan.tokens.read(start, stop)
        kept = np.empty(len(ids), np.int32)
        generator = generator_state(plan.seed, self.epoch, number)
        n_kept, n_words, generator = kernels.keep_words(ids, plan.limits, plan.eos_id, generator, kept)
        rates = self._rate(start), self._rate(stop)
        loss, n_pairs = plan.update(kept, n_kept, *rates, np.uint64(generator), state.inputs, state.outputs)
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss of epoch {self.epoch + 1} is not a finite number: the vectors have grown out of bounds. Lower "
                f"learning_rate (it is {plan.options.learning_rate})."
            )
        with self._lock:
            state.sums[number] = loss, n_pairs, n_words, len(ids)
            self._now += state.sums[number]
        if number % RELEASE_EVERY == 0:
            plan.tokens.release()

    def _rate(self, position: int) -> float:
        """The learning rate at a token of this epoch."""
        options = self.plan.options
        read = (self.epoch * len(self.plan.tokens) + position) / self.plan.total
        return options.learning_rate - (options.learning_rate - options.min_learning_rate) * max(
            read, self.clock.share()
        )

    def _tokens_read(self) -> int:
        return self.epoch * len(self.plan.tokens) + int(self._now[3])

    def _report(self) -> None:
        if self.plan.progress is None:
            return
        loss, n_pairs, _, n_tokens = self._now.tolist()
        read, elapsed = self._tokens_read(), self.clock.elapsed()
        pace = (read - self._before[1]) / max(elapsed - self._began_at, 1e-9)
        left = (self.plan.total - read) / max(pace, 1e-9)
        if self.clock.seconds is not None:
            left = min(left, max(self.clock.seconds - elapsed, 0.0))
        self.plan.progress(
            Progress(
                tokens=read,
                total=self.plan.total,
                loss=loss / n_pairs if n_pairs else math.nan,
                words_per_second=self.words_per_second(),
                seconds_left=left,
                learning_rate=self._rate(int(n_tokens)),
            )
        )

    def _close_epoch(self) -> None:
        """Settle this epoch, or the part of it that the clock has left."""
        state = self.state
        _, n_pairs, n_words, n_tokens = map(int, state.sums.sum(axis=0))
        losses, pairs = state.losses, state.pairs
        if n_pairs:
            losses = np.append(losses, math.fsum(state.sums[:, 0]) / n_pairs)
            pairs = np.append(pairs, n_pairs)
        elif not self.stopped_by_clock:
            raise DataError(
                "No two words of the text stand in one window: there is nothing to learn from. Give sentences of two known "
                "words or more, or read every word with subsample_threshold=0."
            )
        elif not self.epoch:
            raise TrainingError(
                f"The {self.clock.seconds} seconds were over before two words in one window had been read. Give more time, or "
                "less text to prepare."
            )
        self.epochs_read = self.epoch + n_tokens / len(self.plan.tokens)
        fresh = state._replace(
            sums=np.zeros_like(state.sums), losses=losses, pairs=pairs, chunk=0, words=state.words + n_words
        )
        now = np.zeros(COLUMNS)
        self.state, self.taken, self._now = fresh, 0, now  # together: no interruption comes between these

    def _checkpoint_is_due(self) -> bool:
        every = self.plan.checkpoint_seconds
        if every is None or self.plan.checkpoint is None or (self.epoch, self.taken) == self._saved_place:
            return False
        return self.clock.elapsed() - self._saved_at >= every

    def _save(self) -> None:
        self.state = self.state._replace(chunk=self.taken, seconds=self.clock.elapsed())
        if self.plan.checkpoint is not None:
            self.plan.checkpoint(self.state)
        self._saved_at, self._saved_place = self.clock.elapsed(), (self.epoch, self.taken)
