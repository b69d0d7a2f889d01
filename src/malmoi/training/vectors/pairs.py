"""Counting which words stand near each other: what cooccurrence and glove begin with."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from malmoi.store import Store, open_store
from malmoi.training.settings import parse_size
from malmoi.training.vectors.job import Job

if TYPE_CHECKING:
    from malmoi.models.cooccurrence import Cooccurrence

BYTES_PER_TOKEN, BYTES_PER_CELL = 4, 12


def count_job(job: Job, store: Store) -> "Cooccurrence":
    """The pairs of the text of a job."""
    from malmoi.models.cooccurrence import count_pairs

    job.reporter.stage(f"counting pairs of words at most {job.model.window} places apart")
    found = count_pairs(
        job.tokens,
        len(job.words),
        job.model,
        special_ids=job.special_ids,
        memory=parse_size(job.settings.memory),
        n_threads=job.n_threads,
        store=store,
        progress=job.reporter.preparing,
    )
    job.reporter.stage(f"{found.counts.nnz:,} different pairs of {len(found.token_ids):,} words")
    return found


def store_for(job: Job) -> AbstractContextManager[Store]:
    """Where counts lie: in memory, or in files if that is too small for them."""
    n_words = min(job.model.n_words, len(job.words))
    n_cells = min(2 * job.model.window * len(job.tokens), n_words**2)
    taken = BYTES_PER_TOKEN * len(job.tokens) + BYTES_PER_CELL * n_cells
    return open_store(taken > parse_size(job.settings.memory), job.folder.parent)
