"""Token embeddings that begin as word vectors: what a text, or a larger one, has taught already.

Only tokens that are words can begin so; every other row keeps its random start, and all of them are trained as ever.

Vectors come in any size, depending on what made them, so their rows are multiplied by one number for all: their directions and
proportions stay, and the size is the one at which they are worth most. Too small, and the first updates wipe out what they
know; too large, and the softmax that shares them is too sure of itself to learn. docs/log.md has the figures.

Shapes: V vocab_size, E embed_dim, C tokens that have a vector.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from malmoi.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch

    from malmoi.text.tokenizers import Tokenizer
    from malmoi.vectors import Vectors


SIZE = 0.2  # root mean square of the numbers that tokens begin with


class Beginning(NamedTuple):
    """The vectors that some tokens begin with."""

    source: str
    token_ids: Int64[np.ndarray, " tokens"]
    rows: Float32[np.ndarray, "tokens embed"]
    n_composed: int  # of them, how many were put together from pieces of the word
    n_tokens: int  # in the vocabulary, special ones not counted

    def describe(self) -> str:
        composed = f", {self.n_composed:,} of them from pieces of words" if self.n_composed else ""
        return f"{len(self.token_ids):,} of {self.n_tokens:,} tokens begin as word vectors{composed}"

    def figures(self) -> dict[str, Any]:
        """For config.json and the model card."""
        return {
            "initialised_from": self.source,
            "initialised_tokens": len(self.token_ids),
            "initialised_share": round(len(self.token_ids) / self.n_tokens, 4),
        }


def read_vectors(source: str, embed_dim: int | None) -> "Vectors":
    """The vectors to begin with.

    Args:
        source: A run of vectors, a folder of saved ones, or a file.
        embed_dim: The width that was asked for, if one was.

    Raises:
        ConfigError: If the vectors have another length.
        MalmoiError: If they cannot be read.
    """
    from malmoi.runs.opening import load_vectors

    vectors = load_vectors(source)
    if embed_dim is not None and embed_dim != vectors.dim:
        raise ConfigError(
            f"The vectors of {source} have {vectors.dim} numbers, and --embed-dim is {embed_dim}. Embeddings that begin as "
            f"vectors are as long as they: leave --embed-dim out, or train vectors with --embed-dim {embed_dim}."
        )
    return vectors


def find_beginning(vectors: "Vectors", tokenizer: "Tokenizer", source: str) -> Beginning:
    """The vector of each token that has one: of its word as it is written, else in lower case, else made from pieces.

    Raises:
        DataError: If no token has one.
    """
    ids, rows, n_composed = list[int](), list[np.ndarray](), 0
    for token_id, spellings in _words(tokenizer).items():
        place = next((place for word in spellings if (place := vectors.place(word)) is not None), None)
        row = None
        if place is not None:
            row = vectors.rows(np.array([place]))[0]
        elif vectors.unknown is not None and not tokenizer.is_lossless:
            row = vectors.unknown(spellings[-1])
            n_composed += row is not None and bool(np.any(row))
        if row is not None and np.any(row):
            ids.append(token_id)
            rows.append(row.astype(np.float32))
    if not ids:
        raise DataError(
            f"No token of the vocabulary ({tokenizer.kind}, {tokenizer.vocab_size:,} tokens) has a vector in {source}, whose "
            f"words are such as {', '.join(map(repr, vectors.words[:3]))}. Expected words that both have. Take vectors of a "
            "text in the same language, and tokens that are words: --tokenizer word."
        )
    n_tokens = tokenizer.vocab_size - len(tokenizer.special_ids.all)
    return Beginning(source, np.array(ids, np.int64), np.stack(rows), n_composed, n_tokens)


def begin_as(embedding: "torch.Tensor", beginning: Beginning) -> float:
    """Put the vectors into the embeddings (V, E), in place; what they were multiplied by."""
    import torch

    rows = torch.from_numpy(beginning.rows).to(embedding.device)
    ids = torch.from_numpy(beginning.token_ids).to(embedding.device)
    with torch.no_grad():
        factor = SIZE / float(rows.double().square().mean().sqrt())
        embedding[ids] = (rows * factor).to(embedding.dtype)
    return factor


def _words(tokenizer: "Tokenizer") -> dict[int, list[str]]:
    """How the word that a token stands for may be spelled, likeliest first; tokens that are no words are left out."""
    if tokenizer.is_lossless:  # a token with a space before it begins a word, and may be all of it
        texts = [surface.decode(errors="replace") for surface in tokenizer.token_bytes()]
        names = [text[1:] if text.startswith(" ") else "" for text in texts]
    else:
        from malmoi.training.vectors.texts import word_names

        names = word_names(tokenizer)
    found: dict[int, list[str]] = {}
    special = set(tokenizer.special_ids.all)
    for token_id, (name, token) in enumerate(zip(names, tokenizer.all_tokens, strict=True)):
        if token_id not in special and name.strip():
            spellings = [name] if tokenizer.is_lossless else [token, name]
            found[token_id] = list(dict.fromkeys([*spellings, *(word.lower() for word in spellings)]))
    return found
