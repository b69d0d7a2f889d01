"""Lines to token ids and back, one class for each way of cutting.

    WordCodec        at white space, or where Kiwi cuts; what is not in the vocabulary is <unk>
    CharacterCodec   into characters, or the jamo of NFD; what is not in the vocabulary is spelled in bytes
    SubwordCodec     bpe and unigram, by the `tokenizers` library

A codec sees lines in NFC without line breaks, and ends each with EOS.
"""

import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from malmoi.text import morphemes
from malmoi.text.slicing import slices
from malmoi.text.units import WORTH_COMPILING
from malmoi.text.vocabulary import BOS, EOS, FIRST_BYTE, PAD, UNK, Encoded, TokenIds, Vocabulary, surfaces

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

    from malmoi.text.word_table import WordTable

_END = np.array([EOS], np.int32)
_PARALLELISM = "TOKENIZERS_PARALLELISM"


class Codec(ABC):
    @abstractmethod
    def encode(self, lines: Sequence[str]) -> list[TokenIds]:
        """The ids of each line, with EOS at its end."""

    def encode_stream(self, text: str) -> Encoded:
        """The ids of all lines of a text in one array, with EOS after each, and the words that UNK stands for."""
        return Encoded(np.concatenate(self.encode(text.split("\n"))), [], np.zeros(0, np.int64))

    @abstractmethod
    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids that are in the vocabulary; EOS is a line break, PAD and BOS are nothing."""

    def release(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of tables that can be made again."""


def make_codec(vocabulary: Vocabulary) -> Codec:
    if vocabulary.kind == "word":
        return WordCodec(vocabulary, lambda lines: [line.split() for line in lines], " ".join, is_white_space=True)
    if vocabulary.kind == "morpheme":
        return WordCodec(vocabulary, morphemes.recently_cut, morphemes.join)
    return CharacterCodec(vocabulary) if vocabulary.kind in ("char", "jamo") else SubwordCodec(vocabulary)


class WordCodec(Codec):
    def __init__(
        self,
        vocabulary: Vocabulary,
        cut: Callable[[Sequence[str]], list[list[str]]],
        join: Callable[[Sequence[str]], str],
        is_white_space: bool = False,
    ) -> None:
        """Take what makes words (or morphemes) of lines, what makes a line of words, and whether `cut` is str.split."""
        self._pieces = vocabulary.pieces
        self._cut = cut
        if vocabulary.ids is not None:
            self._ids = vocabulary.ids
        self._join = join
        self._is_white_space = is_white_space

    def release(self) -> None:
        for name in ("_ids", "_table"):
            self.__dict__.pop(name, None)

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {piece: token_id for token_id, piece in enumerate(self._pieces)}

    @cached_property
    def _table(self) -> "WordTable":
        from malmoi.text.word_table import WordTable

        return WordTable({piece: token_id for piece, token_id in self._ids.items() if token_id > EOS})

    def encode(self, lines: Sequence[str]) -> list[TokenIds]:
        if self._is_white_space and sum(map(len, lines)) > WORTH_COMPILING:
            joined = self.encode_stream("\n".join(lines)).ids
            ends = np.flatnonzero(joined == EOS) + 1
            return [joined[begin:end] for begin, end in pairwise([0, *ends.tolist()])]
        return [np.array([*map(self._id, units), EOS], np.int32) for units in self._cut(lines)]

    def encode_stream(self, text: str) -> Encoded:
        if self._is_white_space and len(text) > WORTH_COMPILING:
            return self._table.encode(text, UNK, EOS)
        ids: list[int] = []
        places: dict[str, int] = {}
        which: list[int] = []
        for units in self._cut(text.split("\n")):
            for unit in units:
                ids.append(token_id := self._id(unit))
                if token_id == UNK:
                    which.append(places.setdefault(unit, len(places)))
            ids.append(EOS)
        return Encoded(np.array(ids, np.int32), list(places), np.array(which, np.int64))

    def _id(self, unit: str) -> int:
        token_id = self._ids.get(unit, UNK)
        return token_id if token_id > EOS else UNK  # what is written like a special token is text

    def decode(self, token_ids: Sequence[int]) -> str:
        lines: list[list[str]] = [[]]
        for token_id in token_ids:
            if token_id == EOS:
                lines.append([])
            elif token_id not in (PAD, BOS):
                lines[-1].append(self._pieces[token_id])
        return "\n".join(map(self._join, lines))


class CharacterCodec(Codec):
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._form: Literal["NFC", "NFD"] = "NFD" if vocabulary.kind == "jamo" else "NFC"
        self._surfaces = surfaces(vocabulary)
        self._table = np.full(0x110000, -1, np.int32)  # code point -> id
        for token_id, piece in enumerate(vocabulary.pieces[FIRST_BYTE + 256 :], FIRST_BYTE + 256):
            self._table[ord(piece)] = token_id
        self._table[ord("\n")] = EOS

    def encode(self, lines: Sequence[str]) -> list[TokenIds]:
        text = unicodedata.normalize(self._form, "\n".join(lines) + "\n")
        points = np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))
        ids = self._table[points]
        if np.any(unknown := ids < 0):
            n_bytes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
            spelled = points[unknown].tobytes().decode("utf-32-le").encode()
            ids = np.repeat(ids, np.where(unknown, n_bytes, 1))
            ids[ids < 0] = FIRST_BYTE + np.frombuffer(spelled, np.uint8).astype(np.int32)
        ends = np.flatnonzero(ids == EOS) + 1
        return [ids[begin:end] for begin, end in pairwise([0, *ends.tolist()])]

    def decode(self, token_ids: Sequence[int]) -> str:
        text = b"".join([self._surfaces[token_id] for token_id in token_ids]).decode(errors="replace")
        return unicodedata.normalize("NFC", text) if self._form == "NFD" else text


class SubwordCodec(Codec):
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._surfaces = surfaces(vocabulary)
        self._backend = _backend(vocabulary)

    def encode(self, lines: Sequence[str]) -> list[TokenIds]:
        parts = [list(slices(line)) for line in lines]
        ids = self._ids([part for line_parts in parts for part in line_parts])
        return [np.concatenate([*islice(ids, len(line_parts)), _END]) for line_parts in parts]

    def encode_stream(self, text: str) -> Encoded:
        ids: list[int] = []
        parts = [list(slices(line)) for line in text.split("\n")]
        found = self._encodings([part for line_parts in parts for part in line_parts])
        for line_parts in parts:
            for _ in line_parts:
                ids += next(found)
            ids.append(EOS)
        return Encoded(np.array(ids, np.int32), [], np.zeros(0, np.int64))

    def _ids(self, parts: Sequence[str]) -> Iterator[TokenIds]:
        return (np.array(ids, np.int32) for ids in self._encodings(parts))

    def _encodings(self, parts: Sequence[str]) -> Iterator[list[int]]:
        for begin in range(0, len(parts), 512):
            for encoding in self._backend.encode_batch_fast(parts[begin : begin + 512], add_special_tokens=False):
                yield encoding.ids

    def decode(self, token_ids: Sequence[int]) -> str:
        return b"".join([self._surfaces[token_id] for token_id in token_ids]).decode(errors="replace")


def _backend(vocabulary: Vocabulary) -> "Backend":
    """The library's tokenizer, built from parts that we have checked. It gets NFC, so it needs no normalizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    keep_forks_quiet()
    if vocabulary.kind == "bpe":
        vocab = {piece: token_id for token_id, piece in enumerate(vocabulary.pieces)}
        backend = Tokenizer(models.BPE(vocab, list(vocabulary.merges)))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        pieces = list(zip(vocabulary.pieces, vocabulary.scores, strict=True))
        backend = Tokenizer(models.Unigram(pieces, unk_id=UNK, byte_fallback=True))
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    return backend


@cache
def keep_forks_quiet() -> None:
    """The library's threads do not survive a fork, and it prints a warning. Tell it to do without them in the child."""
    ours = False

    def before() -> None:
        nonlocal ours
        ours = _PARALLELISM not in os.environ
        if ours:
            os.environ[_PARALLELISM] = "false"

    def in_parent() -> None:
        if ours:
            os.environ.pop(_PARALLELISM, None)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent)
