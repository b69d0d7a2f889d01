"""What the rung cooccurrence makes of a text that is ready: counts, their weights, fewer columns."""

from typing import Any

import numpy as np

from malmoi.errors import DataError
from malmoi.models.options.vectors import CooccurrenceConfig
from malmoi.training.vectors.job import Job, Made
from malmoi.training.vectors.pairs import count_job, store_for


def learn_cooccurrence(job: Job) -> Made:
    """Count, weigh, shorten."""
    from malmoi.models.cooccurrence import exact_svd, pmi, ppmi, randomised_svd

    model: CooccurrenceConfig = job.model
    with store_for(job) as store:
        found = count_job(job, store)
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
