"""Training of word2vec: CBOW or skip-gram over any stream of token ids.

The text is cut into chunks of whole sentences. A chunk has a random generator of its own, made from (seed, epoch, chunk), and a
learning rate that depends on its place alone, so what is drawn for it is the same whoever trains it. There are two modes:

deterministic   The chunks change the matrices one after the other, in order. The same seed gives the same bytes for any number
                of threads, on the same kind of processor, and whether or not training was interrupted on the way.
free            Several threads change the matrices at once, without locks (Hogwild: Niu et al. 2011, arXiv:1106.5730). Steps
                that meet in one row may be lost, and two runs differ slightly. With one thread it is the deterministic mode.

Given a number of seconds, the learning rate falls with the clock wherever the clock is ahead of the text.

Source: Mikolov et al. 2013 (arXiv:1301.3781, arXiv:1310.4546). Vectors of context words are averaged in CBOW, and words that
subsampling leaves out do not count as places in a window, as in the authors' program.

Shapes: T tokens of text, V token ids, D dim.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from malmoi.clock import Clock
from malmoi.errors import ConfigError, DataError
from malmoi.files import return_freed_memory
from malmoi.models.word2vec.chunks import chunk_bounds
from malmoi.models.word2vec.job import Job, Plan
from malmoi.models.word2vec.matrices import first_matrices, padded_width, trimmed
from malmoi.models.word2vec.objectives import chunk_size, make_update
from malmoi.models.word2vec.options import Word2VecOptions
from malmoi.models.word2vec.sampling import keep_limits, keep_probabilities
from malmoi.models.word2vec.state import Progress, State
from malmoi.models.word2vec.subwords import Subwords
from malmoi.store import TokenStream
from malmoi.text.vocabulary import SpecialIds

PROMISES = {
    "deterministic": "the same seed gives the same bytes for any number of threads",
    "free": "threads share the matrices without locks, so two runs differ slightly",
}
BY_THE_CLOCK = "the clock sets the learning rate, so two runs differ slightly"


@dataclass(frozen=True)
class Figures:
    """What a training run did; `words` are tokens of the text that are words, before subsampling, over all epochs."""

    mode: str
    promise: str
    n_threads: int
    words: int
    pairs: list[int]  # of each epoch: (word, neighbour) in skip-gram, (window, word) in CBOW
    seconds: float  # over all calls, where training was resumed
    words_per_second: float  # of this call, once training had begun
    epochs: float  # times the text was read
    stopped_by_clock: bool  # before the text was read as often as asked for


class Trained(NamedTuple):
    """Both matrices have a row for each token id; rows of ids that are no words are 0.

    With subwords, `inputs` has (V + buckets) rows, those of n-grams coming last. With the hierarchical softmax, row k of
    `outputs` belongs to inner node k of the tree and not to a word.
    """

    inputs: Float32[np.ndarray, "rows dim"]
    outputs: Float32[np.ndarray, "vocab dim"]
    losses: list[float]  # nats a pair, for each epoch: all that is asked about a pair, before each update
    figures: Figures
    options: Word2VecOptions
    subwords: Subwords | None

    def vectors(self, keep: str = "input") -> Float32[np.ndarray, "vocab dim"]:
        """The vectors of the words.

        Args:
            keep: `input`, those that are usually meant (with subwords the mean of a word's rows); `output`; or `average`,
                their mean. The first two take no memory of their own, but for the mean of rows.

        Raises:
            ConfigError: If it is none of these, or if words have no output vectors.
        """
        if keep not in ("input", "output", "average"):
            raise ConfigError(f"keep={keep!r} is not known. Choose 'input', 'output' or 'average'.")
        if keep != "input" and self.options.objective == "hierarchical":
            raise ConfigError(
                f"keep={keep!r} needs a vector of each word as an answer, and objective='hierarchical' has vectors for the "
                "nodes of its tree in their place. Choose keep='input', or another objective."
            )
        if keep == "output":
            return self.outputs
        inputs = self.inputs if self.subwords is None else self.subwords.vectors(self.inputs)
        return inputs if keep == "input" else (inputs + self.outputs) * np.float32(0.5)


def train(
    tokens: TokenStream,
    counts: Int64[np.ndarray, " vocab"],
    options: Word2VecOptions,
    *,
    special_ids: SpecialIds,
    seed: int = 0,
    n_threads: int = 1,
    mode: str = "deterministic",
    subwords: Subwords | None = None,
    initial: tuple[Float32[np.ndarray, "_ _"], Float32[np.ndarray, "_ _"]] | None = None,
    seconds: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: Callable[[State], None] | None = None,
    checkpoint_seconds: float | None = None,
    resume: State | None = None,
) -> Trained:
    """Train word vectors.

    Ctrl-C lets the chunks at hand finish, hands their outcome to `checkpoint`, and goes on as KeyboardInterrupt.

    Args:
        tokens: The text; eos ends a sentence. A token that is no word keeps its place in a window and is never read.
        counts: How often each token id occurs in the text. Ids with count 0 and the special ones are no words.
        special_ids: Those of the tokenizer that the text was read with.
        mode: `deterministic` or `free`, as above; `figures.promise` repeats what it keeps.
        n_threads: Used in the free mode; the deterministic one works in one.
        subwords: Of the same token ids: words are learnt as means of n-grams; for the objective `negative`.
        initial: Matrices to go on from with new text, as `Trained` has them; they are not changed. The outputs of the
            hierarchical softmax belong to the tree of their counts: with other counts, give zeros.
        seconds: Training ends when so much time is spent, this call's preparation and the calls before a resume included,
            with the learning rate at its lowest; earlier if all epochs are read.
        progress: Called in this thread after a chunk of text.
        checkpoint: Called in this thread while no other one works; the state holds the matrices at work, so it must be
            written, or copied, before the call ends.
        checkpoint_seconds: Time between two such calls; None: only when training is interrupted.
        resume: A state to go on from, with the same text, options, seed and mode. Its matrices become the run's own.

    Raises:
        ConfigError: If the mode, the seed, the number of threads or of seconds is not possible, the vocabulary is too large
            for the full softmax, or subwords do not go with the objective.
        DataError: If fewer than two words are left, ids have no count, `initial` has another shape or is not finite, or no two
            words of the text stand in one window.
        RunError: If `resume` is of another run, or damaged.
        TrainingError: If the loss stops being a finite number, or the time is over before anything was learnt.
    """
    clock = Clock(seconds, resume.seconds if resume else 0.0)
    _check_request(mode, seed, n_threads, seconds, checkpoint_seconds, initial is not None and resume is not None)
    counts = _word_counts(counts, special_ids)
    if subwords is not None and len(subwords.starts) != len(counts) + 1:
        raise DataError(
            f"The subwords are those of {len(subwords.starts) - 1:,} token ids, and there are counts for {len(counts):,}. "
            "Build them from the words of this vocabulary."
        )
    update = make_update(options, counts, subwords)
    bounds = chunk_bounds(tokens, len(counts), chunk_size(options), special_ids.eos)
    plan = Plan(
        tokens=tokens,
        bounds=bounds,
        limits=keep_limits(keep_probabilities(counts, options.subsample_threshold)),
        update=update,
        eos_id=special_ids.eos,
        options=options,
        seed=seed,
        n_threads=n_threads if mode == "free" else 1,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
    )
    n_rows = len(counts) if subwords is None else subwords.n_rows
    owner = plan.digest(mode, counts, subwords)
    plan.compile()
    return_freed_memory()  # the matrices are the most that a run takes: as little as can be should lie beside them
    if resume is None:
        matrices = first_matrices(counts, n_rows, options.dim, seed, initial)
        job = Job.fresh(plan, clock, *matrices, owner)
    else:
        width = padded_width(options.dim)
        resume.check(owner, (n_rows, width), (len(counts), width), len(bounds) - 1, options.epochs, options.dim)
        job = Job(plan, clock, resume)
    job.run()
    return _trained(job, mode, subwords)


def _trained(job: Job, mode: str, subwords: Subwords | None) -> Trained:
    plan, state = job.plan, job.state
    promise = PROMISES[mode] if job.clock.seconds is None else BY_THE_CLOCK
    figures = Figures(
        mode=mode,
        promise=promise,
        n_threads=plan.n_threads,
        words=state.words,
        pairs=state.pairs.tolist(),
        seconds=job.clock.elapsed(),
        words_per_second=job.words_per_second(),
        epochs=job.epochs_read,
        stopped_by_clock=job.stopped_by_clock,
    )
    inputs, outputs = (trimmed(matrix, plan.options.dim) for matrix in (state.inputs, state.outputs))
    return Trained(inputs, outputs, state.losses.tolist(), figures, plan.options, subwords)


def _check_request(
    mode: str, seed: int, n_threads: int, seconds: float | None, checkpoint_seconds: float | None, begins_twice: bool
) -> None:
    if mode not in PROMISES:
        raise ConfigError(f"mode={mode!r} is not known. Choose 'deterministic' or 'free'.")
    if n_threads < 1 or seed < 0:
        raise ConfigError(
            f"n_threads={n_threads} and seed={seed} are not both possible. Choose 1 thread or more and a seed of 0 or more."
        )
    for name, value in (("seconds", seconds), ("checkpoint_seconds", checkpoint_seconds)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{name}={value} is no time to train. Give a number of seconds above 0, or None.")
    if begins_twice:
        raise ConfigError(
            "initial and resume were both given. Give resume to go on with an interrupted run, or initial to begin a new one "
            "from trained matrices."
        )


def _word_counts(counts: NDArray[np.int64], special_ids: SpecialIds) -> NDArray[np.int64]:
    """Counts of words alone."""
    if (counts < 0).any():
        raise DataError(f"Word counts cannot be negative, and one is {int(counts.min())}. Count the text again.")
    counts = counts.copy()
    counts[special_ids.all] = 0
    n_words = int((counts > 0).sum())
    if n_words < 2:
        raise DataError(
            f"The vocabulary has {n_words} word{'' if n_words == 1 else 's'} that the text holds, and word vectors need two at "
            "least. Give more text, or lower the count below which words are cut."
        )
    return counts
