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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.sparse import csr_matrix

from malmoi.errors import DataError, TrainingError
from malmoi.jit import compiled
from malmoi.models.config import Settings

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


@dataclass(frozen=True)
class GloVe:
    """A trained model.

    Attributes:
        centres, contexts: w, b and w~, b~.
        losses: J divided by the number of pairs, for each epoch, each pair's share taken just before its update.
    """

    centres: Side
    contexts: Side
    losses: list[float] = field(default_factory=list)

    def vectors(self) -> Float32[np.ndarray, "words dims"]:
        """w + w~."""
        total: NDArray[np.float32] = self.centres.vectors + self.contexts.vectors
        return total


def train_glove(
    counts: csr_matrix,
    settings: GloVeSettings | None = None,
    *,
    n_threads: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> GloVe:
    """Fit the vectors to counts.

    Args:
        counts: How often each word (row) stands near each word (column), as `cooccurrence.count_pairs` gives them; the paper
            counts with harmonic weights.
        n_threads: As many as there are cores if left out; the result does not depend on it.
        progress: Called after each epoch with (epochs done, mean loss of the last one).

    Raises:
        DataError: If the matrix is not square, holds no pair, or a count that is negative, NaN or infinite.
        TrainingError: If the loss stops being a number.
    """
    settings = settings or GloVeSettings()
    _check(counts)
    rng = np.random.default_rng(settings.seed)
    centres, contexts = (_first_values(counts.shape[0], settings.embed_dim, rng) for _ in range(2))
    pairs, block_starts = _pairs(counts, settings)
    losses: list[float] = []
    rounds = [[(group, (group + turn) % N_GROUPS) for group in range(N_GROUPS)] for turn in range(N_GROUPS)]

    def work(block: tuple[int, int]) -> float:
        number = block[0] * N_GROUPS + block[1]
        mine = pairs[block_starts[number] : block_starts[number + 1]]
        # A seed of its own for each block and epoch: which thread comes first does not matter.
        seed = np.random.SeedSequence([settings.seed, epoch, number]).generate_state(1, np.uint64)[0]
        _shuffle(mine, seed | np.uint64(1))
        return float(_descend(mine, centres, contexts, np.float32(settings.learning_rate)))

    with ThreadPoolExecutor(n_threads or os.cpu_count() or 1) as pool:
        for epoch in range(settings.n_epochs):
            total = sum(sum(pool.map(work, rounds[turn])) for turn in rng.permutation(N_GROUPS))
            losses.append(total / len(pairs))
            if not np.isfinite(losses[-1]):
                raise TrainingError(
                    f"The loss of epoch {epoch + 1} is {losses[-1]}: the vectors grew without end. "
                    f"Expected a loss that falls; lower learning_rate (now {settings.learning_rate}), for example to "
                    f"{settings.learning_rate / 10:g}."
                )
            if progress is not None:
                progress(epoch + 1, losses[-1])
    return GloVe(centres, contexts, losses)


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


def _first_values(n_words: int, embed_dim: int, rng: np.random.Generator) -> Side:
    vectors = (rng.random((n_words, embed_dim), np.float32) - np.float32(0.5)) / np.float32(embed_dim)
    biases = (rng.random(n_words, np.float32) - np.float32(0.5)) / np.float32(embed_dim)
    return Side(vectors, biases, np.ones_like(vectors), np.ones_like(biases))


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
