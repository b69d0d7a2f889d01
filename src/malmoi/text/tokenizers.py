"""Tokenizers: text to token ids and back, six kinds behind one class.

    word       나는 | 학교에 | 갔다.        what white space parts; rare words are <unk>, and spelled for honest figures
    morpheme   나/NP | 는/JX | 학교/NNG    what Kiwi analyses Korean into; likewise
    char       학 | 교 | 에                every character; unseen ones in bytes
    jamo       ᄒ ᅡ ᆨ | ᄀ ᅭ              every conjoining jamo and other character; unseen ones in bytes
    bpe        나는 | ␣학 | 교에           frequent byte sequences (Sennrich 2016, Radford 2019)
    unigram    나 | 는 | ␣학교 | 에        the most probable pieces (Kudo 2018); unseen characters in bytes

All but `word` and `morpheme` are lossless: decode(encode(text)) == NFC(text) for any Unicode text; what those two leave unsaid
is paid for by a model of its own (`malmoi.text.layout`), so that figures per byte compare. The end of a line is
a token of its own, eos, for every kind. Special tokens that stand in a text are text, unless `encode` is asked to read
those behind the vocabulary by their names, and with one exception: under `word`, the literal <unk> is the unknown word,
since corpora come with their rare words replaced by it.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.files import write_bytes
from malmoi.shapes import Float64, Int32, Int64, Integer
from malmoi.text import hangul
from malmoi.text.codecs import make_codec
from malmoi.text.layout import Layout, plain_layout
from malmoi.text.layout import from_json as layout_from_json
from malmoi.text.printable import printable, visible
from malmoi.text.slicing import to_nfc
from malmoi.text.spelling import SpellingModel
from malmoi.text.vocabulary import (
    BOS,
    EOS,
    FIRST_BYTE,
    KINDS,
    PAD,
    SPECIALS,
    UNK,
    SpecialIds,
    Vocabulary,
    check_specials,
    from_json,
    surfaces,
    to_json,
)

__all__ = ["KINDS", "Tokenizer", "train_tokenizer"]

TokenIds = Int32[np.ndarray, " tokens"]
WITH_UNKNOWN = ("word", "morpheme")
MAX_FILE_BYTES = 200_000_000  # several million pieces
_TOKENIZER, _SPELLING, _LAYOUT = "tokenizer.json", "spelling.json", "layout.json"
Read = TypeVar("Read")


class Tokenizer:
    """Text to token ids and back. `train_tokenizer` makes one from text, `load` from a folder."""

    pad_id, unk_id, bos_id, eos_id = PAD, UNK, BOS, EOS
    special_ids = SpecialIds(PAD, UNK, BOS, EOS)

    def __init__(
        self,
        vocabulary: Vocabulary,
        spelling: SpellingModel | Callable[[], SpellingModel] | None = None,
        layout: Layout | Callable[[], Layout] | None = None,
    ) -> None:
        """Put a vocabulary to use.

        Kinds with unknown words need the model that spells them, and have one of the white space that their tokens leave
        unsaid; either may be a function that fetches it. Without a layout, words are taken to have single spaces between them.
        """
        assert (spelling is not None) == (vocabulary.kind in WITH_UNKNOWN)
        self.kind = vocabulary.kind
        self.vocab_size = len(vocabulary.pieces) + len(vocabulary.specials)
        self.special_ids = SpecialIds(PAD, UNK, BOS, EOS, tuple(range(len(vocabulary.pieces), self.vocab_size)))
        self.is_lossless = self.kind not in WITH_UNKNOWN
        self._vocabulary = vocabulary
        self._given_spelling, self._given_layout = spelling, layout
        self._codec = make_codec(vocabulary)

    def __repr__(self) -> str:
        return f"Tokenizer(kind={self.kind!r}, vocab_size={self.vocab_size})"

    def encode(self, text: str, *, named: bool = False) -> TokenIds:
        """The ids of a text; line breaks become eos, and none is added at the end.

        Args:
            named: Read the names of the special tokens behind the vocabulary as those tokens. Not for text of strangers.
        """
        names = self._vocabulary.specials if named else ()
        if not names:
            return np.concatenate(self._codec.encode(to_nfc(text).split("\n")))[:-1]
        longest_first = sorted(names, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", to_nfc(text))  # text, name, text, ..., text
        ids = [
            np.array([self.special_id(part)], np.int32) if i % 2 else self.encode(part) for i, part in enumerate(parts)
        ]
        return np.concatenate(ids)

    def encode_lines(self, lines: Iterable[str]) -> Iterator[TokenIds]:
        """The ids of each line with eos at its end, many lines at once and so much faster than one by one."""
        for batch in _batches(lines):
            parts = [to_nfc(line).split("\n") for line in batch]
            ids = iter(self._codec.encode([part for line_parts in parts for part in line_parts]))
            for line_parts in parts:
                found = list(islice(ids, len(line_parts)))
                yield found[0] if len(found) == 1 else np.concatenate(found)

    def encode_stream(self, lines: Sequence[str]) -> tuple[TokenIds, Float64[np.ndarray, " unknown"]]:
        """The ids of all lines in one array, eos after each; a line break inside a line is eos too.

        Returns:
            The ids, and for each unk among them -ln P of how its word is spelled; none for lossless kinds.
        """
        if not lines:
            return np.zeros(0, np.int32), np.zeros(0)
        ids, unknown, which = self._codec.encode_stream(to_nfc("\n".join(lines)))
        if not unknown:
            return ids, np.zeros(0)
        return ids, np.array([*map(self._spell, unknown)])[which]

    def decode(self, token_ids: Sequence[int] | Integer[np.ndarray, " tokens"], *, named: bool = False) -> str:
        """The text of the ids: eos is a line break, bos and pad are nothing, half a character is U+FFFD.

        Words are joined by single spaces, morphemes as Kiwi writes them.

        Args:
            named: Write the special tokens behind the vocabulary by their names; otherwise they are nothing, too.

        Raises:
            DataError: If an id is not in the vocabulary.
        """
        ids = [int(token_id) for token_id in token_ids]
        for token_id in ids:
            self._check(token_id)
        first = len(self._vocabulary.pieces)
        if not named or not self._vocabulary.specials:
            return self._codec.decode([token_id for token_id in ids if token_id < first])
        runs = [(is_text, list(run)) for is_text, run in groupby(ids, lambda token_id: token_id < first)]
        parts = [
            part for is_text, run in runs for part in ([self._codec.decode(run)] if is_text else map(self.token, run))
        ]
        if self.is_lossless:
            return "".join(parts)
        joined = ""
        for part in parts:
            joined += " " * (bool(joined) and joined[-1] != "\n" and not part.startswith("\n")) + part
        return joined

    def with_specials(self, names: Sequence[str]) -> "Tokenizer":
        """The same tokenizer, and behind its vocabulary a token of its own for each name; other ids stay what they are.

        Raises:
            ConfigError: If a name is not one word of visible characters, or stands for something else already.
        """
        vocabulary = self._vocabulary
        try:
            check_specials(names, [*vocabulary.pieces, *vocabulary.specials])
        except ValueError as error:
            raise ConfigError(
                f"Special tokens cannot be added: {error}. Names that no text of yours is likely to hold were expected, each "
                "another one, as [MASK] or <extra_id_0>: choose another name."
            ) from None
        return Tokenizer(
            vocabulary._replace(specials=(*vocabulary.specials, *names)), self._spelling, self._given_layout
        )

    def special_id(self, name: str) -> int:
        """The id of a special token: <pad>, <unk>, <bos>, <eos>, or one behind the vocabulary.

        Raises:
            ConfigError: If there is none of that name.
        """
        ids = dict(
            zip((*SPECIALS, *self._vocabulary.specials), (*self.special_ids[:4], *self.special_ids.others), strict=True)
        )
        if name not in ids:
            raise ConfigError(
                f"The tokenizer has no special token {name!r}. Expected one of: {', '.join(ids)}. Add it with "
                f"with_specials([{name!r}]), and train with that tokenizer."
            )
        return ids[name]

    def grown(self, other: "Tokenizer") -> "Tokenizer":
        """This vocabulary, and after it the words of another one that it lacks; ids of this one stay what they are.

        Raises:
            ConfigError: If the two are not both of the kind word, or both of the kind morpheme.
        """
        if self.kind != other.kind or self.kind not in WITH_UNKNOWN:
            raise ConfigError(
                f"A vocabulary of the kind {self.kind} cannot take in one of the kind {other.kind}. Expected word and word, or "
                "morpheme and morpheme. Take the one that is there as it is: --tokenizer-from RUN."
            )
        if self._vocabulary.specials:
            raise ConfigError(
                f"A vocabulary with special tokens behind it ({', '.join(self._vocabulary.specials)}) cannot grow, since their "
                "ids would move. Expected one without: add them when it has grown."
            )
        known = set(self._vocabulary.pieces)
        pieces = [*self._vocabulary.pieces, *(piece for piece in other._vocabulary.pieces if piece not in known)]
        return Tokenizer(Vocabulary(self.kind, pieces), other._given_spelling, other._given_layout)

    @property
    def all_tokens(self) -> list[str]:
        """The token of each id as tokenizer.json spells it."""
        return [*self._vocabulary.pieces, *self._vocabulary.specials]

    def piece(self, token_id: int | np.integer) -> str:
        """One token as tokenizer.json spells it: of `word` the word itself.

        Raises:
            DataError: If the id is not in the vocabulary.
        """
        self._check(token_id)
        behind = token_id - len(self._vocabulary.pieces)
        return self._vocabulary.specials[behind] if behind >= 0 else self._vocabulary.pieces[token_id]

    def token(self, token_id: int | np.integer) -> str:
        """How a person sees one token in a table: ␣ is a space, ⏎ the end of a line, <0xEA> a byte of a character.

        Control characters are written out, as \\x1b. A jamo that ends a syllable has a hyphen before it, as it looks like one
        that begins a syllable.

        Raises:
            DataError: If the id is not in the vocabulary.
        """
        self._check(token_id)
        if token_id == EOS:
            return "⏎"
        behind = token_id - len(self._vocabulary.pieces)
        if behind >= 0:
            return self._vocabulary.specials[behind]
        piece = self._vocabulary.pieces[token_id]
        if not self.is_lossless:
            return printable(piece)
        if token_id < FIRST_BYTE or (self.kind != "bpe" and token_id < FIRST_BYTE + 256):
            return piece
        if self.kind == "jamo" and hangul.is_tail(piece):
            return "-" + hangul.to_compatibility(piece)
        text = self._surfaces[token_id].decode(errors="surrogateescape")
        return "".join(map(visible, hangul.to_compatibility(text) if self.kind == "jamo" else text))

    def token_bytes(self) -> list[bytes]:
        """For each id the bytes of UTF-8 that it adds to a running text.

        Specials add nothing, but eos a line break. A word and the form of a morpheme come with a space before them.
        Jamo are conjoining jamo, so running text under `jamo` is in NFD.
        """
        return list(self._surfaces)

    def count_unknown(self, line: str) -> int:
        """How many tokens of the line are unk."""
        return 0 if self.is_lossless else len(self._codec.encode_stream(to_nfc(line)).which)

    def spelling_nats(self, line: str) -> float:
        """-ln P of how the unknown words of the line are spelled: what <unk> leaves unsaid. 0 for lossless kinds."""
        return math.fsum(self.encode_stream([line])[1])

    @property
    def layout(self) -> Layout | None:
        """P(line | its words): what is paid for the white space that tokens leave unsaid. None for lossless kinds."""
        return self._layout

    def layout_nats(self, lines: Sequence[str], n_words: Int64[np.ndarray, " lines"]) -> Float64[np.ndarray, " lines"]:
        """-ln P of how each line is laid out, given its tokens and the spelling of unknown words. 0 for lossless kinds.

        Args:
            lines: Without line breaks.
            n_words: How many words each has, as `str.split` parts them.
        """
        if self._layout is None:
            return np.zeros(len(lines))
        return self._layout.nats([*map(to_nfc, lines)], n_words)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, and spelling.json and layout.json for kinds with unknown words.

        Raises:
            RunError: If the folder cannot be written to.
            TrainingError: If the disk is full.
        """
        for name, content in self._files.items():
            write_bytes(folder / name, content)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read what `save` wrote, or any file of the same layout; everything in it is checked.

        Only figures need the spelling of unknown words, so what spelling.json holds is read and checked when it is asked for.

        Raises:
            RunError: If a file is missing, damaged or not ours.
        """
        vocabulary = from_json(_read(folder / _TOKENIZER), str(folder / _TOKENIZER))
        spelling = layout = None
        if vocabulary.kind in WITH_UNKNOWN:
            spelling = partial(_checked, SpellingModel.from_json, _read(folder / _SPELLING), folder / _SPELLING)
            if (folder / _LAYOUT).exists():  # earlier versions wrote none
                layout = partial(_checked, layout_from_json, _read(folder / _LAYOUT), folder / _LAYOUT)
        try:
            return cls(vocabulary, spelling, layout)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic inside the library is no Exception
            raise RunError(
                f"{folder / _TOKENIZER} cannot be used: {str(error)[:200]}. Expected a tokenizer that malmoi wrote, "
                "whole and unchanged. Copy the run again, or train its tokenizer again."
            ) from error

    def release(self) -> None:
        """Let go of what makes encoding and saving quick, 200 bytes a word; it is made again when it is needed."""
        self._vocabulary = self._vocabulary._replace(ids=None)
        self._codec.release()
        self.__dict__.pop("_files", None)

    def fingerprint(self) -> str:
        """SHA-256 of what `save` writes, in hexadecimal: the same for tokenizers that give the same ids and figures."""
        return self._fingerprint

    @cached_property
    def _spelling(self) -> SpellingModel | None:
        given = self._given_spelling
        return given() if callable(given) else given

    @cached_property
    def _layout(self) -> Layout | None:
        if self.is_lossless:
            return None
        given = self._given_layout
        if given is None:
            return plain_layout(self.kind)
        return given() if callable(given) else given

    @cached_property
    def _spell(self) -> Callable[[str], float]:
        assert self._spelling is not None
        return lru_cache(2**16)(self._spelling.nats)

    @cached_property
    def _surfaces(self) -> list[bytes]:
        return surfaces(self._vocabulary)

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()

    @cached_property
    def _files(self) -> dict[str, bytes]:
        files = {_TOKENIZER: to_json(self._vocabulary).encode()}
        if self._spelling is not None:
            files[_SPELLING] = self._spelling.to_json().encode()
        if self._given_layout is not None and self._layout is not None:
            files[_LAYOUT] = self._layout.to_json().encode()
        return files

    def _check(self, token_id: int | np.integer) -> None:
        if not 0 <= token_id < self.vocab_size:
            raise DataError(
                f"The token id {token_id} is not in the vocabulary. Expected 0 to {self.vocab_size - 1}. "
                "Check that the ids come from this very tokenizer."
            )


def train_tokenizer(
    kind: str, lines: Iterable[str], *, vocab_size: int | None = None, min_count: int | None = None
) -> Tokenizer:
    """Learn a tokenizer from text. The same text gives the same files, always.

    Args:
        kind: One of KINDS.
        lines: The text. It is read once, in bounded memory.
        vocab_size: The most ids there may be, special tokens and bytes included; a small text gives fewer. Default: all
            words or morphemes, 12,000 for char and jamo, 8,000 for bpe and unigram.
        min_count: How often a word, morpheme, character or merge must occur to get an id. Default: 1 for characters; 2
            for merges; for words and morphemes 2, so that unk has examples to learn from, but 1 if the text has its own
            literal <unk> or fewer than 1,000 distinct words. Not for unigram.

    Raises:
        ConfigError: If an option makes no sense.
        DataError: If there is no text to learn from.
        MissingExtraError: If `morpheme` is asked for and kiwipiepy is not installed.
    """
    from malmoi.text.tokenizer_training import learn

    return Tokenizer(*learn(kind, lines, vocab_size, min_count))


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lists of up to 4,096 lines, fewer where they are long, so that memory is bounded."""
    batch: list[str] = []
    n_characters = 0
    for line in lines:
        batch.append(line)
        n_characters += len(line)
        if len(batch) == 4096 or n_characters >= 2**22:
            yield batch
            batch, n_characters = [], 0
    if batch:
        yield batch


def _checked(read: Callable[[str], Read], text: str, path: Path) -> Read:
    """What a file holds; what is wrong with it is told with its name."""
    try:
        return read(text)
    except DataError as error:
        raise RunError(f"{path}: {error}") from error


def _read(path: Path) -> str:
    """A small UTF-8 file of a run."""
    expected = "Expected a tokenizer that malmoi wrote. Check the folder, or train again."
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RunError(f"{path} has {path.stat().st_size:,} bytes, over the {MAX_FILE_BYTES:,} allowed. {expected}")
        return path.read_bytes().decode()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror or error}. {expected}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8 at byte {error.start}. {expected}") from error
