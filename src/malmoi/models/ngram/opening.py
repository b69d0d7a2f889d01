"""A run of the rung ngram as a language model."""

from pathlib import Path
from typing import TYPE_CHECKING

from malmoi.background import in_background
from malmoi.models.ngram.model import NGramModel
from malmoi.models.ngram.tables import tables_of
from malmoi.models.options.ngram import NGramConfig

if TYPE_CHECKING:
    from malmoi.models.opening import Opening


def open_ngram(run: "Opening") -> NGramModel:
    """The tables in `run.folder`, read without trust.

    Raises:
        RunError: If they are damaged.
    """
    assert isinstance(run.config, NGramConfig)
    path: Path = run.folder / "model.safetensors"
    order, vocab_size = run.config.order, run.config.vocab_size
    tables = in_background(lambda: tables_of(run.arrays(), path, order, vocab_size))
    tokenizer = run.tokenizer()
    return NGramModel(tables(), tokenizer.bos_id, tokenizer.eos_id)
