"""The words of a text as a run of word2vec reads them, and a run as `explain` needs it.

A text goes the way that the training text went: line by line through the run's wording, its tokenizer, and the joining of
words that belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from malmoi.arrays import Arrays, checked, read_arrays
from malmoi.errors import DataError, RunError
from malmoi.explain.word2vec.window import Network, Word
from malmoi.models.options.vectors import Word2VecConfig
from malmoi.models.phrases import Phrases
from malmoi.models.word2vec.options import RATES
from malmoi.models.word2vec.subwords import Subwords, SubwordSettings
from malmoi.runs.folder import RunConfig
from malmoi.store import Store
from malmoi.text.slicing import to_nfc
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.wording import Wording
from malmoi.vectors.vectors import Vectors

MOST_WORDS = 200_000


def read_network(folder: Path, config: RunConfig) -> Network:
    """The weights and options of a run of word2vec.

    Raises:
        RunError: If a file is missing or damaged, or the files do not belong together.
        DataError: If the vectors are damaged.
    """
    model = Word2VecConfig.parse(config.model)
    if model.objective == "hierarchical" and config.data.get("initialised_from") is not None:
        raise RunError(
            f"{folder} went on from other vectors, and its counts are those of both texts together, so the tree of the second "
            "training cannot be built again. Expected a run of one text, or one with negative sampling: explain that one."
        )
    vectors = Vectors.load(folder)
    arrays = _weights(folder, model, len(vectors))
    if vectors.dim != model.embed_dim:
        raise RunError(
            f"{folder}: its vectors have {vectors.dim} numbers, and config.json says {model.embed_dim}. The two files are not "
            "of one run; copy the whole folder again."
        )
    is_plain = vectors.matrix.dtype == np.float32 and vectors.scales is None
    matrix = vectors.matrix if is_plain else vectors.rows(np.arange(len(vectors)))
    inputs = arrays.get("inputs", matrix)
    pieces = spelling = None
    if model.subwords != "none":
        spelling = SubwordSettings(kind=model.subwords, n_buckets=model.subword_buckets)
        found = Subwords.build(vectors.words, spelling)
        inputs = np.concatenate([inputs, arrays["subwords"]])
        pieces = Pieces(found.starts, found.rows)
    rate = config.training.get("learning_rate") or RATES[model.method]
    if not isinstance(rate, int | float) or not 0 < rate < np.inf:
        raise RunError(
            f"{folder}/config.json has the learning rate {rate!r}. Expected a number above 0. The file was changed by hand or "
            "damaged; restore it, or train again."
        )
    matrices = inputs, arrays["outputs"]
    return Network(str(folder), model, vectors.words, arrays["counts"], *matrices, float(rate), pieces, spelling)


def _weights(folder: Path, model: Word2VecConfig, n_words: int) -> Arrays:
    """What lies in model.safetensors, if it fits.

    Raises:
        RunError: If it does not.
    """
    arrays = read_arrays(folder / "model.safetensors")
    n_nodes = n_words - 1 if model.objective == "hierarchical" else n_words
    shapes = {"counts": (n_words,), "token_ids": (n_words,), "outputs": (n_nodes, model.embed_dim)}
    has_pieces = model.subwords != "none"
    if has_pieces or model.keep != "input":
        shapes["inputs"] = (n_words, model.embed_dim)
    if has_pieces:
        shapes["subwords"] = (model.subword_buckets, model.embed_dim)
    where = folder / "model.safetensors"
    checked(arrays, shapes, where)
    for name in shapes:
        kind, array = "iu" if name in ("counts", "token_ids") else "f", arrays[name]
        if array.dtype.kind not in kind or (kind == "f" and not np.isfinite(array).all()):
            raise RunError(
                f"{where}: {name} holds NaN, infinity or {array.dtype} numbers, so no update can be explained. Finite "
                f"{'weights' if kind == 'f' else 'whole numbers'} were expected: copy the run again, or train it again with a "
                "smaller --learning-rate."
            )
    if arrays["counts"].min() < 1:
        raise RunError(
            f"{where}: a word was counted {arrays['counts'].min()} times. Expected 1 or more: copy the run again."
        )
    return arrays


@dataclass(frozen=True)
class Pieces(Sequence[NDArray[np.int64]]):
    """For each word the rows whose mean it is, its own first."""

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, word: Any) -> Any:
        return self.rows[self.starts[word] : self.starts[word + 1]].astype(np.int64)


@dataclass(frozen=True)
class Reader:
    """How a run reads a text.

    Attributes:
        names: By row.
        rows: The row of each token id, joined words included; -1 where it has no vector.
        phrases: Which words are joined; None for none.
    """

    wording: Wording
    tokenizer: Tokenizer
    names: Sequence[str]
    rows: Int64[np.ndarray, " tokens"]
    phrases: Phrases | None = None

    @classmethod
    def of_run(cls, folder: Path, config: RunConfig, tokenizer: Tokenizer, names: Sequence[str]) -> "Reader":
        """That of a run's folder.

        Raises:
            RunError: If its files do not belong together.
        """
        phrases, path = None, folder / "phrases.json"
        if path.is_file():
            phrases = Phrases.from_json(path.read_text(encoding="utf-8"))
        n_tokens = tokenizer.vocab_size + (0 if phrases is None else len(phrases.pairs))
        if phrases is not None and phrases.vocab_size != tokenizer.vocab_size:
            raise RunError(
                f"{path} joins words of a vocabulary of {phrases.vocab_size:,}, and the tokenizer has "
                f"{tokenizer.vocab_size:,}. Both were expected to be of one run: copy the whole folder again."
            )
        token_ids = read_arrays(folder / "model.safetensors")["token_ids"]
        if len(token_ids) and not 0 <= token_ids.min() <= token_ids.max() < n_tokens:
            raise RunError(
                f"{folder}: model.safetensors speaks of token {int(token_ids.max()):,}, and there are {n_tokens:,}. All files "
                "were expected to be of one run: copy the whole folder again."
            )
        rows = np.full(n_tokens, -1, np.int64)
        rows[token_ids] = np.arange(len(token_ids))
        wording = Wording(lower=config.model["lower"], split=config.model["split"])
        return cls(wording, tokenizer, names, rows, phrases)

    def read(self, text: str) -> tuple[str, list[Word]]:
        """The text in NFC, and its words in order.

        Raises:
            DataError: If there are too many.
        """
        text, words, begin = to_nfc(text), list[Word](), 0
        for number, line in enumerate(text.split("\n")):
            words += self._line(line, number, begin)
            begin += len(line) + 1
            if len(words) > MOST_WORDS:
                raise DataError(
                    f"The text has more than {MOST_WORDS:,} words. Give the part around the word that you want to understand."
                )
        return text, words

    def _line(self, line: str, number: int, offset: int) -> list[Word]:
        """The words of a line, found in it again; one that is written otherwise there, as a verb's stem, has no letters."""
        worded = self.wording.lines([line])[0]
        ids = self.tokenizer.encode(worded).astype(np.int64)
        rows = self.rows[ids].tolist()
        pieces = worded.split() if self.tokenizer.kind == "word" else list(map(self._name, ids.tolist(), rows))
        lowered = line.lower()
        searched = lowered if self.wording.lower and len(lowered) == len(line) else line
        words, end = list[Word](), 0
        for piece, row in zip(pieces, rows, strict=True):
            found = searched.find(piece, end)
            begin, end = (found, found + len(piece)) if found >= 0 else (end, end)
            words.append(Word(piece, offset + begin, offset + end, number, row))
        return words if self.phrases is None else self._joined(words, ids)

    def _name(self, token_id: int, row: int) -> str:
        return self.names[row] if row >= 0 else self.tokenizer.token(token_id)

    def _joined(self, words: list[Word], ids: Int64[np.ndarray, " words"]) -> list[Word]:
        """Words that belong together as one."""
        assert self.phrases is not None
        stream = self.phrases.join(_Line(ids), Store())
        joined, first = list[Word](), 0
        for token_id in stream.read(0, len(stream)).tolist():
            part = words[first : first + self._length(token_id)]
            row = int(self.rows[token_id])
            name = part[0].text if len(part) == 1 else "_".join(word.text for word in part)
            joined.append(Word(name, part[0].begin, part[-1].end, part[0].line, row))
            first += len(part)
        return joined

    def _length(self, token_id: int) -> int:
        """How many words a token was made of."""
        vocab_size = self.tokenizer.vocab_size
        if token_id < vocab_size:
            return 1
        assert self.phrases is not None
        return sum(map(self._length, self.phrases.pairs[token_id - vocab_size].tolist()))


@dataclass(frozen=True)
class _Line:
    """A line as a stream of tokens."""

    ids: Int64[np.ndarray, " tokens"]

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        return self.ids[start:stop]

    def release(self) -> None:
        """Nothing is mapped."""
