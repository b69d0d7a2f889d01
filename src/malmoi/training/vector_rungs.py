"""What each rung of word vectors makes of a text that is ready: one function a rung.

Shapes: V token ids, W of them words that got a vector, D embed_dim.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.models.config import CooccurrenceConfig, GloVeConfig, Word2VecConfig
from malmoi.text.vocabulary import SPECIALS
from malmoi.training.progress import StepReport
from malmoi.training.settings import parse_size
from malmoi.training.vector_job import Job, Made

if TYPE_CHECKING:
    from malmoi.models.cooccurrence import Cooccurrence
    from malmoi.models.ngram.counting import Store
    from malmoi.models.word2vec import Progress, Trained
    from malmoi.models.word2vec.subwords import Subwords, SubwordSettings

BYTES_PER_TOKEN, BYTES_PER_CELL = 4, 12
LAST_RATE = 0.0001  # of word2vec, where none is given


def _count_pairs(job: Job, store: "Store") -> "Cooccurrence":
    from malmoi.models.cooccurrence import count_pairs

    job.reporter.stage(f"counting pairs of words at most {job.model.window} places apart")
    found = count_pairs(
        job.tokens,
        len(job.words),
        job.model,
        memory=parse_size(job.settings.memory),
        n_threads=job.n_threads,
        store=store,
        progress=job.reporter.preparing,
    )
    job.reporter.stage(f"{found.counts.nnz:,} different pairs of {len(found.token_ids):,} words")
    return found


def _store(job: Job) -> AbstractContextManager["Store"]:
    """Where counts lie: in memory, or in files if that is too small for them."""
    from malmoi.models.ngram.counting import open_store

    n_words = min(job.model.n_words, len(job.words))
    n_cells = min(2 * job.model.window * len(job.tokens), n_words**2)
    taken = BYTES_PER_TOKEN * len(job.tokens) + BYTES_PER_CELL * n_cells
    return open_store(taken > parse_size(job.settings.memory), job.folder.parent)


def learn_cooccurrence(job: Job) -> Made:
    """Count, weigh, shorten."""
    from malmoi.models.cooccurrence import exact_svd, pmi, ppmi, randomised_svd

    model: CooccurrenceConfig = job.model
    with _store(job) as store:
        found = _count_pairs(job, store)
        if model.association == "counts":
            matrix = found.counts.astype(np.float32)  # a copy: the counts may lie in a file that goes
        elif model.association == "pmi":
            matrix = pmi(found.counts, smoothing=model.smoothing, dtype=np.float32)
        else:
            matrix = ppmi(found.counts, smoothing=model.smoothing, shift=model.shift, dtype=np.float32)
        n_pairs = int(found.counts.nnz)
    if not matrix.nnz:
        raise DataError(
            f"After association={model.association!r} with shift={model.shift:g} every number is 0, so words have no vectors. "
            "Expected some above 0. Lower --shift, or give more text."
        )
    figures: dict[str, Any] = {"pairs": n_pairs, "cells": int(matrix.nnz)}
    if model.reduction == "none":
        vectors = {
            "indptr": matrix.indptr.astype(np.int64),
            "indices": matrix.indices.astype(np.int32),
            "data": matrix.data,
        }
        figures["parameters"] = int(matrix.nnz)
        return Made(found.token_ids, found.frequencies, vectors, {}, figures, [])
    job.reporter.stage(f"the {model.embed_dim} directions in which the rows differ most (SVD)")
    if model.reduction == "exact":
        factors = exact_svd(matrix, model.embed_dim, seed=job.settings.seed)
    else:
        factors = randomised_svd(matrix, model.embed_dim, seed=job.settings.seed, n_threads=job.n_threads)
    rows = np.ascontiguousarray(factors.vectors(model.power), np.float32)
    whole = float((matrix.data.astype(np.float64) ** 2).sum())
    kept = float((factors.values.astype(np.float64) ** 2).sum())
    figures["share_of_squares"] = kept / whole  # that the directions keep
    figures["parameters"] = rows.size
    arrays = {"singular_values": factors.values.astype(np.float32)}
    return Made(found.token_ids, found.frequencies, {"matrix": rows}, arrays, figures, [])


def learn_glove(job: Job) -> Made:
    """Count, then fit the vectors to the counts."""
    from malmoi.models.glove import N_GROUPS, GloVe, GloVeSettings, train_glove

    model: GloVeConfig = job.model
    settings = job.settings
    began = time.monotonic()
    options: Any = {name: getattr(model, name) for name in ("embed_dim", "x_max", "alpha")}
    options |= {"learning_rate": settings.learning_rate, "seed": settings.seed, "n_epochs": job.epochs}
    with _store(job) as store:
        found = _count_pairs(job, store)
        state = job.saved_state()
        resumed = None if state is None else GloVe.from_arrays(state, len(found.token_ids), model.embed_dim)
        seconds = None if job.seconds is None else max(0.1, job.seconds - (time.monotonic() - began))
        n_pairs, began = int(found.counts.nnz), time.monotonic() - (0.0 if resumed is None else resumed.seconds)

        def tell(epochs: float, loss: float) -> None:
            lasted = max(time.monotonic() - began, 1e-9)
            done = min(max(epochs / job.epochs, 0.0 if seconds is None else lasted / seconds), 1.0)
            speed, left = epochs * n_pairs / lasted, lasted * (1 - done) / done
            rate = settings.learning_rate
            job.reporter.trained(StepReport(round(N_GROUPS * epochs), done, loss, speed, left, rate, epochs))

        fitted = train_glove(
            found.counts,
            GloVeSettings(**options),
            n_threads=job.n_threads,
            seconds=seconds,
            resume=resumed,
            checkpoint=lambda reached: job.save_state(reached.to_arrays()),
            checkpoint_seconds=settings.checkpoint_seconds,
            progress=tell,
        )
    sides = (fitted.centres, fitted.contexts)
    arrays = {"centres": sides[0].vectors, "contexts": sides[1].vectors}
    arrays |= {"centre_biases": sides[0].biases, "context_biases": sides[1].biases}
    figures = {
        "pairs": n_pairs,
        "parameters": sum(side.vectors.size + side.biases.size for side in sides),
        "epochs": round(fitted.epochs, 3),
        "losses": fitted.losses,
        "training_seconds": fitted.seconds,
    }
    metrics = [{"epoch": i, "loss": loss} for i, loss in enumerate(fitted.losses, 1)]
    return Made(found.token_ids, found.frequencies, {"matrix": fitted.vectors()}, arrays, figures, metrics)


def learn_word2vec(job: Job) -> Made:
    """Learn from guessing words and their neighbours."""
    from malmoi.models.word2vec import State, Word2VecOptions, train
    from malmoi.models.word2vec.options import RATES
    from malmoi.models.word2vec.training import PROMISES

    model: Word2VecConfig = job.model
    settings, subwords = job.settings, _subwords(job)
    names = ("method", "objective", "window", "n_negatives", "noise_power", "subsample_threshold", "divide_gradient")
    rate = settings.learning_rate or RATES[model.method]
    options = Word2VecOptions(
        **{name: getattr(model, name) for name in names},
        dim=model.embed_dim,
        epochs=job.epochs,
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
        job.reporter.stage(f"reading the text {job.epochs} times: {job.epochs * len(job.tokens):,} tokens (--epochs)")
    counts = job.counts if job.before is None else job.counts + job.before
    token_ids = by_frequency(counts)  # made now: later the matrices take all the room
    trained = train(
        job.tokens,
        job.counts,
        options,
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


def subword_settings(model: Word2VecConfig) -> "SubwordSettings":
    """Which pieces of words have vectors, by the options of a run."""
    from malmoi.models.word2vec.subwords import SubwordSettings

    return SubwordSettings(kind=model.subwords, n_buckets=model.subword_buckets)


def by_frequency(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids of words (W,) that occur at all, most frequent first; of equally frequent ones the lower id comes first."""
    counts = counts.copy()
    counts[: len(SPECIALS)] = 0
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
    from malmoi.models.word2vec.subwords import Subwords

    names = ["" if i < len(SPECIALS) else word for i, word in enumerate(job.words)]
    found = Subwords.build(names, subword_settings(job.model))
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
    n_found = job.earlier.fill(job.words, inputs, outputs)
    n_new = len(job.words) - len(SPECIALS) - n_found
    job.reporter.stage(f"going on from {job.earlier.source}: {n_found:,} words are known, {n_new:,} are new")
    return inputs, outputs


LEARN: dict[str, Callable[[Job], Made]] = {
    "cooccurrence": learn_cooccurrence,
    "glove": learn_glove,
    "word2vec": learn_word2vec,
}
