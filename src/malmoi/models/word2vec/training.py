"""Training of word2vec by negative sampling: CBOW or skip-gram over any stream of token ids.

The text is cut into chunks of whole sentences. A chunk has a random generator of its own, made from (seed, epoch, chunk), and a
learning rate that depends on its place alone, so what is drawn for it is the same whoever trains it. There are two modes:

deterministic   The chunks change the matrices one after the other, in order. The same seed gives the same bytes for any number
                of threads, on the same kind of processor.
free            Several threads change the matrices at once, without locks (Hogwild: Niu et al. 2011, arXiv:1106.5730). Steps
                that meet in one row may be lost, and two runs differ slightly. With one thread it is the deterministic mode.

Source: Mikolov et al. 2013 (arXiv:1301.3781, arXiv:1310.4546). Vectors of context words are averaged in CBOW, and words that
subsampling leaves out do not count as places in a window, as in the authors' program.

Shapes: T tokens of text, V words, D dim.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError, TrainingError
from malmoi.models.ngram.counting import TokenStream
from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.sampling import keep_limits, keep_probabilities, noise_table
from malmoi.text.vocabulary import EOS, SPECIALS

PROMISES = {
    "deterministic": "the same seed gives the same bytes for any number of threads",
    "free": "threads share the matrices without locks, so two runs differ slightly",
}
CHUNK = 10_000  # tokens, about: a tenth of a second's work at most
RELEASE_EVERY = 100  # chunks: what was read stays in memory until then
READ_AT_ONCE = 1 << 20  # tokens
MOST = {"dim": 100_000, "window": 1000, "n_negatives": 1000, "epochs": 1_000_000}


@dataclass(frozen=True)
class Word2VecOptions:
    """What is trained, and how.

    Args:
        method: `skip-gram` asks each word of a window about the word in the middle; `cbow` asks their mean.
        dim: Width of a vector, D.
        window: Words each side at most; each time a number from 1 to this is drawn.
        n_negatives: Wrong words for each right one, shared by the words of a window.
        subsample_threshold: Share of the text above which words are thinned out (`sampling.keep_probabilities`); 0: none.
        noise_power: Wrong words are drawn by count^noise_power.
        epochs: Times the text is read.
        learning_rate, min_learning_rate: The rate falls in a straight line from the one to the other.
        divide_gradient: In CBOW, give each word of the window its share of the gradient of their mean, as calculus has it
            (İrsoy et al. 2021, arXiv:2012.15332), and not the whole, as the authors' program does; wants a higher rate.

    Raises:
        ConfigError: If a value is out of its range.
    """

    method: str = "skip-gram"
    dim: int = 100
    window: int = 5
    n_negatives: int = 5
    subsample_threshold: float = 1e-3
    noise_power: float = 0.75
    epochs: int = 5
    learning_rate: float = 0.025
    min_learning_rate: float = 0.0001
    divide_gradient: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("skip-gram", "cbow"):
            raise ConfigError(f"method={self.method!r} is not known. Choose 'skip-gram' or 'cbow'.")
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name}={value} is out of range. Choose a whole number from 1 to {most:,}.")
        if not 0 <= self.subsample_threshold < math.inf:
            raise ConfigError(
                f"subsample_threshold={self.subsample_threshold} is no share of a text. Use 0 to read every word, or a small "
                "share such as 0.001."
            )
        if not 0 <= self.noise_power <= 2:
            raise ConfigError(
                f"noise_power={self.noise_power} is out of range. Choose a number from 0 to 2, such as 0.75."
            )
        if not 0 <= self.min_learning_rate <= self.learning_rate < math.inf or self.learning_rate == 0:
            raise ConfigError(
                f"The learning rate cannot fall from {self.learning_rate} to {self.min_learning_rate}. Choose learning_rate "
                "above 0, and min_learning_rate from 0 to learning_rate."
            )


@dataclass(frozen=True)
class Figures:
    """What a training run did; `words` are tokens of the text that are words, before subsampling, over all epochs."""

    mode: str
    promise: str
    n_threads: int
    words: int
    pairs: list[int]  # of each epoch: (word, neighbour) in skip-gram, (window, word) in CBOW
    seconds: float
    words_per_second: float


class Trained(NamedTuple):
    """Both matrices have a row for each token id; rows of ids that are no words are 0."""

    inputs: Float32[np.ndarray, "vocab dim"]  # the word vectors that are usually meant
    outputs: Float32[np.ndarray, "vocab dim"]
    losses: list[float]  # nats a pair, for each epoch: right word and wrong ones together, before each update
    figures: Figures


class _Chunk(NamedTuple):
    epoch: int
    number: int  # in the text
    start: int  # tokens
    stop: int


def train(
    tokens: TokenStream,
    counts: Int64[np.ndarray, " vocab"],
    options: Word2VecOptions,
    *,
    seed: int = 0,
    n_threads: int = 1,
    mode: str = "deterministic",
    initial: tuple[Float32[np.ndarray, "_ _"], Float32[np.ndarray, "_ _"]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train word vectors.

    Args:
        tokens: The text; eos ends a sentence. A token that is no word keeps its place in a window and is never read.
        counts: How often each token id occurs in the text. Ids with count 0 and the special ones (0 to 3) are no words.
        mode: `deterministic` or `free`, as above; `figures.promise` repeats what it keeps.
        n_threads: Used in the free mode; the deterministic one works in one.
        initial: Matrices to go on from, as `Trained` has them; they are not changed.
        progress: Called with (tokens read, tokens in all), over all epochs, by one thread at a time.

    Raises:
        ConfigError: If the mode, the seed or the number of threads is not possible.
        DataError: If fewer than two words are left, ids have no count, `initial` has another shape or is not finite, or no two
            words of the text stand in one window.
        TrainingError: If the loss stops being a finite number.
    """
    if mode not in PROMISES:
        raise ConfigError(f"mode={mode!r} is not known. Choose 'deterministic' or 'free'.")
    if n_threads < 1 or seed < 0:
        raise ConfigError(
            f"n_threads={n_threads} and seed={seed} are not both possible. Choose 1 thread or more and a seed of 0 or more."
        )
    counts = _word_counts(counts)
    bounds = _chunk_bounds(tokens, len(counts))
    width = -(-options.dim // kernels.BLOCK) * kernels.BLOCK
    inputs, outputs = _first_matrices(counts, options.dim, width, seed, initial)
    limits = keep_limits(keep_probabilities(counts, options.subsample_threshold))
    noise = noise_table(counts, options.noise_power)
    n_chunks, length = len(bounds) - 1, len(tokens)
    sums = np.zeros((options.epochs, n_chunks, 2))  # loss, pairs
    lock, done = threading.Lock(), 0

    def rate_at(position: int) -> float:
        fallen = position / (options.epochs * length)
        return options.learning_rate - (options.learning_rate - options.min_learning_rate) * fallen

    def run(chunk: _Chunk) -> None:
        nonlocal done
        ids = tokens.read(chunk.start, chunk.stop)
        kept = np.empty(len(ids), np.int32)
        state = _generator_state(seed, chunk.epoch, chunk.number)
        n_kept, state = kernels.keep_words(ids, limits, EOS, state, kept)
        before = chunk.epoch * length
        rates = rate_at(before + chunk.start), rate_at(before + chunk.stop)
        common = (kept, n_kept, options.window, options.n_negatives, *noise, *rates, np.uint64(state), inputs, outputs)
        if options.method == "skip-gram":
            sums[chunk.epoch, chunk.number] = kernels.skip_gram(*common)
        else:
            sums[chunk.epoch, chunk.number] = kernels.cbow(*common, options.divide_gradient)
        if chunk.number % RELEASE_EVERY == 0:
            tokens.release()
        with lock:
            done += len(ids)
            if progress is not None:
                progress(done, options.epochs * length)

    losses: list[float] = []
    began = time.perf_counter()
    workers = n_threads if mode == "free" else 1
    with ThreadPoolExecutor(workers) as pool:
        for epoch in range(options.epochs):
            chunks = (_Chunk(epoch, i, *map(int, bounds[i : i + 2])) for i in range(n_chunks))
            if workers == 1:
                for chunk in chunks:
                    run(chunk)
            else:
                _share_out(pool, run, chunks, workers)
            losses.append(_mean_loss(sums[epoch], epoch, options.learning_rate))
    seconds = time.perf_counter() - began
    tokens.release()
    words = int(counts.sum()) * options.epochs
    pairs = [int(total) for total in sums[:, :, 1].sum(axis=1)]
    figures = Figures(mode, PROMISES[mode], workers, words, pairs, seconds, words / max(seconds, 1e-9))
    return Trained(_trimmed(inputs, options.dim), _trimmed(outputs, options.dim), losses, figures)


def _share_out(
    pool: ThreadPoolExecutor, run: Callable[[_Chunk], None], chunks: Iterator[_Chunk], n_threads: int
) -> None:
    """Let each thread take the next chunk whenever it is free; the first error ends them all."""
    lock, failed = threading.Lock(), threading.Event()

    def work() -> None:
        while not failed.is_set():
            with lock:
                chunk = next(chunks, None)
            if chunk is None:
                return
            run(chunk)

    pending = [pool.submit(work) for _ in range(n_threads)]
    try:
        wait(pending, return_when=FIRST_EXCEPTION)
    finally:  # also when this thread is interrupted
        if any(future.done() and future.exception() for future in pending) or not all(f.done() for f in pending):
            failed.set()
        wait(pending)
    for future in pending:
        future.result()


def _word_counts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of words alone."""
    if (counts < 0).any():
        raise DataError(f"Word counts cannot be negative, and one is {int(counts.min())}. Count the text again.")
    counts = counts.copy()
    counts[: len(SPECIALS)] = 0
    n_words = int((counts > 0).sum())
    if n_words < 2:
        raise DataError(
            f"The vocabulary has {n_words} word{'' if n_words == 1 else 's'} that the text holds, and word vectors need two at "
            "least. Give more text, or lower the count below which words are cut."
        )
    return counts


def _chunk_bounds(tokens: TokenStream, vocab_size: int) -> NDArray[np.int64]:
    """Where chunks start, and the end of the text: at ends of sentences, as far as these come often enough."""
    bounds, last_end = [0], 0
    for start in range(0, len(tokens), READ_AT_ONCE):
        block = tokens.read(start, min(start + READ_AT_ONCE, len(tokens)))
        lowest, highest = int(block.min()), int(block.max())
        if lowest < 0 or highest >= vocab_size:
            found = lowest if lowest < 0 else highest
            raise DataError(
                f"The text has token id {found}, and there are counts for ids 0 to {vocab_size - 1}. Give the counts that "
                "belong to this text."
            )
        ends = start + np.flatnonzero(block == EOS) + 1
        while bounds[-1] + CHUNK <= start + len(block):
            aim = bounds[-1] + CHUNK
            i = int(np.searchsorted(ends, aim, side="right"))
            end = int(ends[i - 1]) if i else last_end
            bounds.append(end if end > bounds[-1] else aim)  # a sentence longer than a chunk is cut
        last_end = int(ends[-1]) if len(ends) else last_end
    if bounds[-1] < len(tokens):
        bounds.append(len(tokens))
    tokens.release()
    return np.array(bounds, np.int64)


def _first_matrices(
    counts: NDArray[np.int64], dim: int, width: int, seed: int, initial: tuple[Any, Any] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both matrices (V, width), columns from `dim` on being 0: inputs even within 1/2D of 0, outputs 0."""
    inputs, outputs = (np.zeros((len(counts), width), np.float32) for _ in range(2))
    if initial is None:
        rng = np.random.default_rng(seed)
        for first in range(0, len(counts), 4096):
            part = inputs[first : first + 4096, :dim]
            part[:] = (rng.random(part.shape, np.float32) - np.float32(0.5)) / np.float32(dim)
        inputs[counts == 0] = 0
        return inputs, outputs
    for name, given, own in (("inputs", initial[0], inputs), ("outputs", initial[1], outputs)):
        if given.shape != (len(counts), dim):
            raise DataError(
                f"The {name} to go on from have shape {given.shape}, and {(len(counts), dim)} is needed. Give one row for each "
                "token id, and the dim they were trained with."
            )
        if not np.isfinite(given).all():
            raise DataError(f"The {name} to go on from hold NaN or infinity. Go on from an earlier state of the model.")
        own[:, :dim] = given
    return inputs, outputs


def _generator_state(seed: int, epoch: int, chunk: int) -> np.uint64:
    """The generator of a chunk starts here; never 0, which it could not leave."""
    return np.uint64(int(np.random.SeedSequence([seed, epoch, chunk]).generate_state(1, np.uint64)[0]) | 1)


def _mean_loss(sums: NDArray[np.float64], epoch: int, learning_rate: float) -> float:
    """From the (loss, pairs) of all chunks (n_chunks, 2)."""
    n_pairs = sums[:, 1].sum()
    if n_pairs == 0:
        raise DataError(
            "No two words of the text stand in one window: there is nothing to learn from. Give sentences of two known words "
            "or more, or read every word with subsample_threshold=0."
        )
    loss = math.fsum(sums[:, 0]) / n_pairs if np.isfinite(sums[:, 0]).all() else math.nan
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss of epoch {epoch + 1} is not a finite number: the vectors have grown out of bounds. Lower learning_rate "
            f"(it is {learning_rate})."
        )
    return float(loss)


def _trimmed(matrix: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """The first `dim` columns as a matrix of their own, in the memory of the old one."""
    n_rows, width = matrix.shape
    if width == dim:
        return matrix
    flat = matrix.reshape(-1)
    kernels.drop_padding(flat, n_rows, width, dim)
    return flat[: n_rows * dim].reshape(n_rows, dim)
