"""Which kernel reads a chunk: one for each method and objective, with the tables it needs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.models.word2vec import kernels, softmax_kernels, subword_kernels
from malmoi.models.word2vec.huffman import huffman_tree
from malmoi.models.word2vec.options import Word2VecOptions
from malmoi.models.word2vec.sampling import noise_table
from malmoi.models.word2vec.subwords import Subwords

CHUNK = 10_000  # tokens, about: a tenth of a second's work at most
SOFTMAX_CHUNK = 200  # each word of it costs as much as the vocabulary is large
LARGEST_SOFTMAX = 20_000  # words

Matrix = NDArray[np.float32]
Update = Callable[[NDArray[np.int32], int, float, float, np.uint64, Matrix, Matrix], tuple[float, int]]

KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {  # skip-gram, CBOW
    "negative": (kernels.skip_gram, kernels.cbow),
    "hierarchical": (softmax_kernels.skip_gram_tree, softmax_kernels.cbow_tree),
    "softmax": (softmax_kernels.skip_gram_softmax, softmax_kernels.cbow_softmax),
    "subwords": (subword_kernels.skip_gram_subwords, subword_kernels.cbow_subwords),
}


def chunk_size(options: Word2VecOptions) -> int:
    """Tokens of a chunk, about."""
    return SOFTMAX_CHUNK if options.objective == "softmax" else CHUNK


def make_update(options: Word2VecOptions, counts: NDArray[np.int64], subwords: Subwords | None) -> Update:
    """A function of (kept, how many, first rate, last rate, generator, inputs, outputs) that gives (loss in nats, pairs).

    Args:
        counts: (V,), 0 for ids that are no words.

    Raises:
        ConfigError: If the vocabulary is too large for the full softmax, or subwords are given to another objective than
            `negative`.
    """
    if subwords is not None and options.objective != "negative":
        raise ConfigError(
            f"objective={options.objective!r} cannot learn from parts of words. Choose objective='negative', or train without "
            "subwords."
        )
    tables: tuple[Any, ...]
    if options.objective == "hierarchical":
        tables = huffman_tree(counts)
    elif options.objective == "softmax":
        tables = (_few_words(counts),)
    else:
        tables = (options.n_negatives, *noise_table(counts, options.noise_power))
    is_cbow = options.method == "cbow"
    kernel = KERNELS["subwords" if subwords is not None else options.objective][is_cbow]
    rows = () if subwords is None else (subwords.starts, subwords.rows)
    divide = (options.divide_gradient,) if is_cbow else ()

    def update(
        kept: NDArray[np.int32], n: int, first: float, last: float, state: np.uint64, inputs: Matrix, outputs: Matrix
    ) -> tuple[float, int]:
        loss, n_pairs = kernel(kept, n, options.window, *tables, first, last, state, *rows, inputs, outputs, *divide)
        return loss, n_pairs

    return update


def _few_words(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    words = np.flatnonzero(counts)
    if len(words) > LARGEST_SOFTMAX:
        raise ConfigError(
            f"objective='softmax' compares {len(words):,} words at each step, and {LARGEST_SOFTMAX:,} are the most that it is "
            "meant for. Choose objective='negative' or objective='hierarchical', or cut rare words."
        )
    return words
