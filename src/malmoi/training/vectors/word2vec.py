"""What the rung word2vec makes of a text that is ready: it learns from guessing words and their neighbours.

Shapes: V token ids, W of them words that got a vector, D embed_dim.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from malmoi.models.options.vectors import Word2VecConfig
from malmoi.text.vocabulary import SpecialIds
from malmoi.training.progress import StepReport
from malmoi.training.vectors.job import Job, Made

if TYPE_CHECKING:
    from malmoi.models.word2vec import Progress, Trained
    from malmoi.models.word2vec.subwords import Subwords

TOKENS_TO_READ, LEAST_READINGS, MOST_READINGS = 25_000_000, 5, 30  # small texts want more (docs/log.md)
MOST_EPOCHS = 50  # by the clock: reading a text still more often brings nothing
LAST_RATE = 0.0001  # of word2vec, where none is given


def learn_word2vec(job: Job) -> Made:
    """Learn from guessing words and their neighbours."""
    from malmoi.models.word2vec import State, Word2VecOptions, train
    from malmoi.models.word2vec.options import RATES
    from malmoi.models.word2vec.training import PROMISES

    model: Word2VecConfig = job.model
    settings, subwords = job.settings, _subwords(job)
    names = ("method", "objective", "window", "n_negatives", "noise_power", "subsample_threshold", "divide_gradient")
    usual = min(max(round(TOKENS_TO_READ / len(job.tokens)), LEAST_READINGS), MOST_READINGS)
    epochs = job.epochs(usual, MOST_EPOCHS)
    rate = settings.learning_rate or RATES[model.method]
    options = Word2VecOptions(
        **{name: getattr(model, name) for name in names},
        dim=model.embed_dim,
        epochs=epochs,
        learning_rate=rate,
        min_learning_rate=min(LAST_RATE, rate) if settings.min_learning_rate is None else settings.min_learning_rate,
    )
    state = job.saved_state()

    def tell(reached: "Progress") -> None:
        place, done = reached.tokens / len(job.tokens), reached.tokens / reached.total
        if job.seconds is not None:
            done = max(done, 1 - reached.seconds_left / job.seconds)
        speed, left = reached.words_per_second, reached.seconds_left
        job.reporter.trained(StepReport(reached.tokens, done, reached.loss, speed, left, reached.learning_rate, place))

    job.reporter.stage(f"{settings.mode} mode: {PROMISES[settings.mode]}")
    if job.seconds is None:
        job.reporter.stage(f"reading the text {epochs} times: {epochs * len(job.tokens):,} tokens (--epochs)")
    counts = job.counts if job.before is None else job.counts + job.before
    token_ids = by_frequency(counts, job.special_ids)  # made now: later the matrices take all the room
    trained = train(
        job.tokens,
        job.counts,
        options,
        special_ids=job.special_ids,
        seed=settings.seed,
        n_threads=job.n_threads,
        mode=settings.mode,
        subwords=subwords,
        initial=_initial(job, subwords) if state is None and job.earlier is not None else None,
        seconds=job.seconds,
        progress=tell,
        checkpoint=lambda reached: job.save_state(reached.to_arrays()),
        checkpoint_seconds=settings.checkpoint_seconds,
        resume=None if state is None else State.from_arrays(state),
    )
    return _made(job, trained, counts, token_ids)


def _made(job: Job, trained: "Trained", counts: NDArray[np.int64], token_ids: NDArray[np.int64]) -> Made:
    """What is kept of word2vec's matrices: the rows of words."""
    told = trained.figures
    figures = {
        "parameters": trained.inputs.size + trained.outputs.size,
        "epochs": round(told.epochs, 3),
        "losses": trained.losses,
        "words_per_second": round(told.words_per_second),
        "training_seconds": told.seconds,
        "mode": told.mode,
        "promise": told.promise,
        "threads": told.n_threads,
    }
    epochs = enumerate(zip(trained.losses, told.pairs, strict=True), 1)
    metrics = [{"epoch": i, "loss": loss, "pairs": n} for i, (loss, n) in epochs]
    rows = _chooser(token_ids)
    is_tree = job.model.objective == "hierarchical"  # its rows are those of inner nodes, one fewer than words
    arrays = {"outputs": trained.outputs[: len(token_ids) - 1] if is_tree else rows(trained.outputs)}
    if trained.subwords is not None:
        arrays["subwords"] = trained.inputs[len(job.counts) :]
    if trained.subwords is not None or job.model.keep != "input":
        arrays["inputs"] = rows(trained.inputs)
    vectors = {"matrix": rows(trained.vectors(job.model.keep))}
    return Made(token_ids, counts[token_ids], vectors, arrays, figures, metrics)


def by_frequency(counts: NDArray[np.int64], special_ids: SpecialIds) -> NDArray[np.int64]:
    """The ids of words (W,) that occur at all, most frequent first; of equally frequent ones the lower id comes first."""
    counts = counts.copy()
    counts[special_ids.all] = 0
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0].astype(np.int64)


def _chooser(token_ids: NDArray[np.int64]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Takes the rows of words out of a matrix (V, D); where they follow each other, as they mostly do, without a copy."""
    first = int(token_ids[0])
    if np.array_equal(token_ids, np.arange(first, first + len(token_ids))):
        return lambda matrix: matrix[first : first + len(token_ids)]
    return lambda matrix: matrix[token_ids]


def _subwords(job: Job) -> "Subwords | None":
    if job.model.subwords == "none":
        return None
    from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

    special = set(job.special_ids.all)
    names = ["" if i in special else word for i, word in enumerate(job.words)]
    found = Subwords.build(names, SubwordSettings.of(job.model))
    job.reporter.stage(
        f"pieces of words share {job.model.subword_buckets:,} vectors, {len(found.rows) / len(names):.1f} a word"
    )
    return found


def _initial(job: Job, subwords: "Subwords | None") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices to begin from: the earlier rows, and random ones as any run begins with."""
    assert job.earlier is not None
    n_rows, dim = len(job.words) if subwords is None else subwords.n_rows, job.model.embed_dim
    rng = np.random.default_rng(job.settings.seed)
    inputs = (rng.random((n_rows, dim), np.float32) - np.float32(0.5)) / np.float32(dim)
    outputs = np.zeros((len(job.words), dim), np.float32)
    n_found = job.earlier.fill(job.words, job.special_ids, inputs, outputs)
    n_new = len(job.words) - len(job.special_ids.all) - n_found
    job.reporter.stage(f"going on from {job.earlier.source}: {n_found:,} words are known, {n_new:,} are new")
    return inputs, outputs
