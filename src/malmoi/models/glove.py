"""GloVe: word vectors whose dot products are the logarithms of how often words stand near each other.

    J = sum over pairs of f(X_ij) (w_i · w~_j + b_i + b~_j - log X_ij)²,    f(x) = min(1, (x / x_max)^alpha)

Every word has two vectors, one as a centre and one as a context, and its vector in the end is their sum. Only pairs that occur
are visited, in a shuffled order, and each visit moves two vectors and two biases down the gradient with AdaGrad.

Several threads work side by side without ever writing to the same place: words are dealt into 8 groups, which cuts the matrix
into 8 x 8 blocks, and 8 blocks that share neither a row nor a column group are worked on at a time (Gemulla et al. 2011). The
result is the same, to the byte, for any number of threads.

Source: Pennington, Socher & Manning 2014; AdaGrad: Duchi, Hazan & Singer 2011. As in the authors' program the gradient is that
of J/2, the sums of squares begin at 1 and hold gradients multiplied by the learning rate.

Shapes: V words, D embed_dim, P pairs.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.sparse import csr_matrix

from malmoi.errors import DataError, RunError, TrainingError
from malmoi.jit import compiled
from malmoi.settings import Settings

N_GROUPS = 8
PAIR = np.dtype([("row", np.int32), ("column", np.int32), ("log_count", np.float32), ("weight", np.float32)])


class GloVeSettings(Settings):
    """The options of GloVe; the defaults are the paper's, but for embed_dim."""

    embed_dim: PositiveInt = Field(100, description="width of the vectors")
    n_epochs: PositiveInt = Field(25, description="times that every pair is visited")
    learning_rate: float = Field(0.05, gt=0, lt=float("inf"), description="AdaGrad's first step size")
    x_max: float = Field(100.0, gt=0, lt=float("inf"), description="pairs counted so often or more weigh 1 in the loss")
    alpha: float = Field(0.75, ge=0, le=1, description="power with which the weight of rarer pairs falls")
    seed: int = Field(0, ge=0, description="of the first values and the order of the pairs")


class Side(NamedTuple):
    """The vectors of all words in one part, centre or context, with AdaGrad's sums of squares."""

    vectors: Float32[np.ndarray, "words dims"]
    biases: Float32[np.ndarray, " words"]
    vector_squares: Float32[np.ndarray, "words dims"]
    bias_squares: Float32[np.ndarray, " words"]


@dataclass
class GloVe:
    """A model, whose training may still be under way.

    Attributes:
        centres, contexts: w, b and w~, b~.
        losses: J divided by the number of pairs, for each whole epoch, each pair's share taken just before its update.
        turns: Rounds done since the last whole epoch; there are N_GROUPS of them in one.
        partial: What J has summed up to in them.
        seconds: Spent on training so far.
    """

    centres: Side
    contexts: Side
    losses: list[float] = field(default_factory=list)
    turns: int = 0
    partial: float = 0.0
    seconds: float = 0.0

    @property
    def epochs(self) -> float:
        """How often every pair was visited."""
        return len(self.losses) + self.turns / N_GROUPS

    def vectors(self) -> Float32[np.ndarray, "words dims"]:
        """w + w~."""
        total: NDArray[np.float32] = self.centres.vectors + self.contexts.vectors
        return total

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything by name, without a copy of the vectors."""
        sides = (("centres", self.centres), ("contexts", self.contexts))
        arrays = {f"{name}.{part}": array for name, side in sides for part, array in side._asdict().items()}
        reached = np.array([self.turns, self.partial, self.seconds])
        return arrays | {"losses": np.array(self.losses, np.float64), "reached": reached}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], n_words: int, embed_dim: int) -> "GloVe":
        """What `to_arrays` gave.

        Raises:
            RunError: If it does not fit a model of this size.
        """
        sides = []
        for name in ("centres", "contexts"):
            parts = [np.asarray(arrays.get(f"{name}.{part}", ())) for part in Side._fields]
            shapes = [(n_words, embed_dim), (n_words,)] * 2
            if any(part.shape != shape or part.dtype != np.float32 for part, shape in zip(parts, shapes, strict=True)):
                raise RunError(
                    f"The state of training holds no {name} of {n_words} words, {embed_dim} numbers each. Expected the state "
                    "of this very run: copy its folder again, or train again."
                )
            sides.append(Side(*parts))
        losses, reached = np.asarray(arrays.get("losses", ())), np.asarray(arrays.get("reached", ()))
        if losses.ndim != 1 or reached.shape != (3,) or not 0 <= reached[0] < N_GROUPS:
            raise RunError(
                "The state of training does not say how far it came. Expected the state of this very run: copy its folder "
                "again, or train again."
            )
        turns, partial, seconds = reached.tolist()
        return cls(sides[0], sides[1], losses.tolist(), int(turns), partial, seconds)


def train_glove(
    counts: csr_matrix,
    settings: GloVeSettings | None = None,
    *,
    n_threads: int | None = None,
    seconds: float | None = None,
    resume: GloVe | None = None,
    checkpoint: Callable[[GloVe], None] | None = None,
    checkpoint_seconds: float | int = 60.0,
    progress: Callable[[float, float], None] | None = None,
) -> GloVe:
    """Fit the vectors to counts.

    Args:
        counts: How often each word (row) stands near each word (column), as `cooccurrence.count_pairs` gives them; the paper
            counts with harmonic weights.
        n_threads: As many as there are cores if left out; the result does not depend on it.
        seconds: Stop before so much time is spent, in the middle of an epoch if need be, but not before a round of blocks; what
            calls before a resume took is counted. None: after n_epochs.
        resume: A state that `checkpoint` was given, with the same counts and settings: the result is the same, to the byte, as
            if training had never stopped. It is changed.
        checkpoint: Given the state, to keep it, about every `checkpoint_seconds` and when training is interrupted.
        progress: Called after each eighth of an epoch with (epochs done, mean loss of the last eighth).

    Raises:
        DataError: If the matrix is not square, holds no pair, or a count that is negative, NaN or infinite.
        TrainingError: If the loss stops being a number.
    """
    settings, saved = settings or GloVeSettings(), time.monotonic()
    _check(counts)
    model = resume or _first_model(counts.shape[0], settings)
    began, reached = saved - model.seconds, (len(model.losses), model.turns)
    pairs, block_starts = _pairs(counts, settings)

    def work(epoch: int, number: int, is_replay: bool) -> float:
        mine = pairs[block_starts[number] : block_starts[number + 1]]
        # A seed of its own for each block and epoch: which thread comes first does not matter.
        seed = np.random.SeedSequence([settings.seed, epoch, number]).generate_state(1, np.uint64)[0]
        _shuffle(mine, seed | np.uint64(1))
        if is_replay:
            return 0.0
        return float(_descend(mine, model.centres, model.contexts, np.float32(settings.learning_rate)))

    with ThreadPoolExecutor(n_threads or os.cpu_count() or 1) as pool:
        for epoch, place, blocks in _rounds(settings):
            round_began = time.monotonic()
            is_replay = (epoch, place) < reached  # in a resumed run: the pairs are put in order again, and that is all
            total, stopped = _all_done([pool.submit(work, epoch, number, is_replay) for number in blocks])
            if not is_replay:
                _advance(model, total, len(pairs), settings.learning_rate)
                now = time.monotonic()
                model.seconds, lasted = now - began, now - round_began
                n_pairs = sum(int(block_starts[number + 1] - block_starts[number]) for number in blocks)
                try:
                    if progress is not None and stopped is None:
                        progress(model.epochs, total / max(n_pairs, 1))
                except KeyboardInterrupt as interruption:
                    stopped = interruption
                if checkpoint is not None and (stopped or time.monotonic() - saved > checkpoint_seconds):
                    checkpoint(model)
                    saved = time.monotonic()
            if stopped is not None:
                raise stopped
            if not is_replay and seconds is not None and model.seconds + lasted > seconds:
                break  # one more round would take too long
    return model


def _rounds(settings: GloVeSettings) -> Iterator[tuple[int, int, list[int]]]:
    """(epoch, place in it, numbers of the blocks that are worked on side by side) of the whole training."""
    for epoch in range(settings.n_epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(N_GROUPS)
        for place, turn in enumerate(order.tolist()):
            yield epoch, place, [group * N_GROUPS + (group + turn) % N_GROUPS for group in range(N_GROUPS)]


def _all_done(pending: list[Future[float]]) -> tuple[float, KeyboardInterrupt | None]:
    """The sum of the results, and the interruption, if one came while they were waited for."""
    try:
        return sum(future.result() for future in pending), None
    except KeyboardInterrupt as stopped:
        return sum(future.result() for future in pending), stopped


def _advance(model: GloVe, total: float, n_pairs: int, learning_rate: float) -> None:
    """Count one more round, and with the last one of an epoch that epoch."""
    model.partial += total
    model.turns += 1
    if not np.isfinite(model.partial):
        raise TrainingError(
            f"The loss of epoch {len(model.losses) + 1} is {model.partial}: the vectors grew without end. "
            f"Expected a loss that falls; lower learning_rate (now {learning_rate}), for example to {learning_rate / 10:g}."
        )
    if model.turns == N_GROUPS:
        model.losses.append(model.partial / n_pairs)
        model.turns, model.partial = 0, 0.0


def _check(counts: csr_matrix) -> None:
    if counts.shape[0] != counts.shape[1]:
        raise DataError(
            f"The counts have {counts.shape[0]} rows and {counts.shape[1]} columns; the same words were expected on both "
            "sides. Count with count_pairs."
        )
    if counts.nnz and not (np.isfinite(counts.data).all() and counts.data.min() >= 0):
        raise DataError(
            "The counts hold a negative number, NaN or infinity; numbers of 0 or more were expected. Count again."
        )
    if not counts.nnz or not counts.data.any():
        raise DataError("No pair was counted, so there is nothing to learn. Give counts with a number above 0.")


def _first_model(n_words: int, settings: GloVeSettings) -> GloVe:
    rng = np.random.default_rng(settings.seed)

    def first_values(*shape: int) -> NDArray[np.float32]:
        return (rng.random(shape, np.float32) - np.float32(0.5)) / np.float32(settings.embed_dim)

    def side() -> Side:
        vectors, biases = first_values(n_words, settings.embed_dim), first_values(n_words)
        return Side(vectors, biases, np.ones_like(vectors), np.ones_like(biases))

    return GloVe(side(), side())


def _pairs(counts: csr_matrix, settings: GloVeSettings) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All pairs above 0, block by block, and where each block begins."""
    sizes, starts = np.zeros(N_GROUPS**2, np.int64), np.zeros(N_GROUPS**2 + 1, np.int64)
    _block_sizes(counts.indptr, counts.indices, counts.data, sizes)
    np.cumsum(sizes, out=starts[1:])
    pairs = np.empty(int(starts[-1]), PAIR)
    _deal(counts.indptr, counts.indices, counts.data, settings.x_max, settings.alpha, starts[:-1].copy(), pairs)
    return pairs, starts


@compiled()
def _block(row, column):  # type: ignore[no-untyped-def]
    """Words come by frequency: dealt out in turn, each group has its share of the frequent ones."""
    return (row % N_GROUPS) * N_GROUPS + column % N_GROUPS


@compiled()
def _block_sizes(starts, columns, counts, sizes):  # type: ignore[no-untyped-def]
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            if counts[k] > 0:
                sizes[_block(row, np.int64(columns[k]))] += 1


@compiled()
def _deal(starts, columns, counts, x_max, alpha, nexts, pairs):  # type: ignore[no-untyped-def]
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            if counts[k] > 0:
                block = _block(row, np.int64(columns[k]))
                pair = pairs[nexts[block]]
                nexts[block] += 1
                pair.row, pair.column = row, columns[k]
                pair.log_count = np.log(np.float64(counts[k]))
                pair.weight = min(1.0, (counts[k] / x_max) ** alpha)


@compiled()
def _shuffle(pairs, state):  # type: ignore[no-untyped-def]
    """Fisher & Yates, with the numbers of xorshift64 (Marsaglia 2003)."""
    for i in range(len(pairs) - 1, 0, -1):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        j = np.int64(((state >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        row, column, log_count, weight = pairs[i].row, pairs[i].column, pairs[i].log_count, pairs[i].weight
        pairs[i].row, pairs[i].column = pairs[j].row, pairs[j].column
        pairs[i].log_count, pairs[i].weight = pairs[j].log_count, pairs[j].weight
        pairs[j].row, pairs[j].column, pairs[j].log_count, pairs[j].weight = row, column, log_count, weight


@compiled()
def _descend(pairs: NDArray[Any], centres: Side, contexts: Side, rate):  # type: ignore[no-untyped-def]
    """Visit the pairs in turn and update both sides; the sum of their shares of J before each update."""
    loss = 0.0
    for p in range(len(pairs)):
        pair = pairs[p]
        i, j = pair.row, pair.column
        w, c = centres.vectors[i], contexts.vectors[j]
        w_squares, c_squares = centres.vector_squares[i], contexts.vector_squares[j]
        error = centres.biases[i] + contexts.biases[j] - pair.log_count
        for d in range(len(w)):
            error += w[d] * c[d]
        loss += np.float64(pair.weight * error) * error
        step = rate * pair.weight * error
        for d in range(len(w)):
            of_w, of_c = step * c[d], step * w[d]
            w[d] -= of_w / np.sqrt(w_squares[d])
            c[d] -= of_c / np.sqrt(c_squares[d])
            w_squares[d] += of_w * of_w
            c_squares[d] += of_c * of_c
        centres.biases[i] -= step / np.sqrt(centres.bias_squares[i])
        contexts.biases[j] -= step / np.sqrt(contexts.bias_squares[j])
        centres.bias_squares[i] += step * step
        contexts.bias_squares[j] += step * step
    return loss
