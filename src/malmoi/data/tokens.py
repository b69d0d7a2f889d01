"""Token ids on disk: a text of any size is encoded once, in constant memory, and read back through a memory map.

One file holds everything about one (text, tokenizer) pair:

    magic · ids (uint16 or uint32), padded to 8 bytes · block table (float64) · header (JSON) · header size · magic

The block table has one row for every few consecutive lines, with the fields of `TextCounts`. It lets a part of the text
be cut off later, at line ends, with its bytes and characters known exactly.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int32, Int64, Integer

from malmoi.errors import DataError
from malmoi.files import atomic_file, default_cache_dir, release_pages
from malmoi.text.sources import Line, TextSource, batches
from malmoi.text.units import count_units

_MAGIC = b"malmoi tokens 2\n"  # 16 bytes, so that ids of any width begin aligned
_BATCH = (1024, 2**18)  # lines and characters handed to the tokenizer at once, whichever is reached first
_BLOCK = (16, 2048)  # a block of the table ends after so many lines or tokens
_LONGEST_TABLE = 2**16  # blocks; a table twice as long is halved
_HELD_OUT_LINES = 200  # about how many lines stay together in a validation part


@dataclass(frozen=True)
class TextCounts:
    """How much text there is, in every unit that a figure may be per."""

    n_tokens: int  # ids, with the one of each line end, and of each document start under unit="documents"
    n_lines: int
    n_words: int  # separated by whitespace
    n_characters: int  # NFC code points, with one for each line end
    n_bytes: int  # of the UTF-8 form, with one for each line end
    n_unknown: int  # words that the vocabulary lacks
    spelling_nats: float  # what spelling those words costs: -ln P
    layout_nats: float = 0.0  # what the white space costs that the tokens leave unsaid


_FIELDS = tuple(field.name for field in dataclasses.fields(TextCounts))


@runtime_checkable
class LineEncoder(Protocol):
    """What is asked of a tokenizer here; `malmoi.text.tokenizers.Tokenizer` explains each of these."""

    vocab_size: int
    unk_id: int
    bos_id: int
    eos_id: int

    def encode_stream(self, lines: Sequence[str], /) -> tuple[np.ndarray, np.ndarray]: ...
    def layout_nats(self, lines: Sequence[str], n_words: np.ndarray, /) -> np.ndarray: ...
    def fingerprint(self) -> str: ...


class TokenView:
    """Ids read through a memory map: a whole text, or parts of it joined end to end.

    Args:
        ids: All ids of the text.
        counts: What the parts hold.
        ranges: Where the parts start and stop in `ids`, in order, none of them empty; left out, the whole.
    """

    def __init__(
        self, ids: Integer[np.ndarray, " tokens"], counts: TextCounts, ranges: Sequence[tuple[int, int]] | None = None
    ) -> None:
        self.counts = counts
        self.ranges = [(0, len(ids))] if ranges is None else list(ranges)
        self._ids = ids
        self._ends = np.cumsum([stop - start for start, stop in self.ranges])  # of the parts, in the joined text

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, start: int, stop: int) -> Int64[np.ndarray, " tokens"]:
        """Ids number `start` up to, not including, `stop`, as a new array; all of them must be there."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"ids {start} to {stop} of a text of {len(self)} ids")
        out = np.empty(stop - start, np.int64)
        part, done = int(np.searchsorted(self._ends, start, side="right")), 0
        while done < len(out):
            first = self.ranges[part][1] - (int(self._ends[part]) - (start + done))
            piece = self._ids[first : min(self.ranges[part][1], first + len(out) - done)]
            out[done : done + len(piece)] = piece
            part, done = part + 1, done + len(piece)
        return out

    def release(self) -> None:
        """Let go of the memory that what was read takes; the file keeps it."""
        release_pages(self._ids)


class TokenFile:
    """An encoded text on disk; `open` checks it before anything is read from it."""

    path: Path
    ids: np.memmap[Any, np.dtype[np.uint16 | np.uint32]]
    blocks: np.ndarray  # (n_blocks, fields of TextCounts), float64, exact for integers
    counts: TextCounts
    vocab_size: int
    notes: list[str]  # what reading the text changed or chose (TextSource.notes)
    key: str  # what the file was made from

    @classmethod
    def open(cls, path: Path) -> "TokenFile":
        """Map a file that `encode_to_disk` wrote.

        Raises:
            DataError: If it is missing, cut off, or its parts do not agree with each other.
        """
        tokens = cls()
        tokens.path = path
        try:
            tokens._map()
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(
                f"{path} is not a whole file of token ids: {error}. Expected a file as malmoi writes it. Delete it: it "
                "is made again from the text."
            ) from error
        return tokens

    def _map(self) -> None:
        size, tail = self.path.stat().st_size, 8 + len(_MAGIC)
        with open(self.path, "rb") as file:
            if size < len(_MAGIC) + tail or file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError("it begins differently")
            file.seek(size - tail)
            header_size = int.from_bytes(file.read(8), "little")
            if file.read() != _MAGIC or header_size > size - tail:
                raise ValueError("its end is missing")
            file.seek(size - tail - header_size)
            header = json.loads(file.read(header_size))
        self.counts, self.key, self.notes = TextCounts(**header["counts"]), header["key"], list(header["notes"])
        self.vocab_size, n_blocks = int(header["vocab_size"]), int(header["n_blocks"])
        dtype, n_tokens = _dtype(self.vocab_size), self.counts.n_tokens
        table_at = _aligned(len(_MAGIC) + n_tokens * dtype.itemsize)
        if n_tokens < 1 or n_blocks < 1 or size != table_at + n_blocks * 8 * len(_FIELDS) + header_size + tail:
            raise ValueError(f"its size is {size} bytes, not what its header tells")
        self.ids = np.memmap(self.path, dtype, "r", len(_MAGIC), (n_tokens,))
        with open(self.path, "rb") as file:
            self.blocks = np.fromfile(file, np.float64, n_blocks * len(_FIELDS), offset=table_at).reshape(n_blocks, -1)
        if _counts(self.blocks) != self.counts:
            raise ValueError("its counts do not add up")

    def view(self) -> TokenView:
        """The whole text."""
        return TokenView(self.ids, self.counts)


def encode_to_disk(
    source: TextSource,
    tokenizer: LineEncoder,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> TokenFile:
    """Encode a text once; the second call with the same text and tokenizer only maps the file.

    Args:
        source: Each of its lines becomes its tokens and eos_id; where a document starts, bos_id stands first.
        tokenizer: Its fingerprint is part of the file's name, so a changed tokenizer never meets old ids.
        cache_dir: Where encoded texts are kept; `default_cache_dir()` / "tokens" if left out.
        progress: Told (bytes read, bytes in all), now and then.

    Raises:
        DataError: If the text cannot be read.
        TrainingError: If the disk is full; nothing is left behind then.
    """
    cache_dir = cache_dir or default_cache_dir() / "tokens"
    contents = source.fingerprint()
    key = hashlib.sha256(_MAGIC + f"{contents} {tokenizer.fingerprint()}".encode()).hexdigest()
    path = cache_dir / f"{key}.tokens"
    try:
        tokens = TokenFile.open(path)
        if tokens.key == key and tokens.vocab_size == tokenizer.vocab_size:
            return tokens
    except DataError:
        pass  # not there, or damaged: it is made anew, in one stroke, so that others never see half of it

    n_bytes, n_read = source.n_bytes(), 0

    def count_read(more: int) -> None:
        nonlocal n_read
        n_read += more

    dtype, table = _dtype(tokenizer.vocab_size), _BlockTable()
    with atomic_file(path, advice="set MALMOI_CACHE to a folder on another disk") as file:
        file.write(_MAGIC)
        for batch in batches(source.lines(count_read), *_BATCH):
            ids, lines = _encode(batch, tokenizer)
            file.write(ids.astype(dtype).tobytes())
            table.add(_blocks(lines))
            if progress:
                progress(min(n_read, n_bytes), n_bytes)
        blocks = table.joined()
        header = {
            "key": key,
            "vocab_size": tokenizer.vocab_size,
            "n_blocks": len(blocks),
            "notes": source.notes,
            "counts": dataclasses.asdict(_counts(blocks)),
        }
        text = json.dumps(header, ensure_ascii=False).encode()
        file.write(bytes(_aligned(file.tell()) - file.tell()))
        file.write(blocks.tobytes() + text + len(text).to_bytes(8, "little") + _MAGIC)
        if source.fingerprint() != contents:
            raise DataError(
                f"{source.describe()} changed while it was being read. Expected files that stay as they are. "
                "Start again when nothing writes to them."
            )
    return TokenFile.open(path)


def split_token_file(
    tokens: TokenFile, fraction: float = 0.05, max_tokens: int = 200_000
) -> tuple[TokenView, TokenView]:
    """Cut a validation part off a text that came without one: the same part, whoever cuts.

    The text is laid out in as many equal stretches as blocks are wanted, and from each stretch comes one block of whole
    lines, picked by a hash of its number. So every region of the text is sampled, and nothing is drawn at random.

    Args:
        tokens: The whole text.
        fraction: Wanted share of the tokens, above 0 and below 0.5.
        max_tokens: More than this is never wanted, since it would only cost time.

    Returns:
        The training part, and the validation part.

    Raises:
        DataError: If the text has too few lines to be cut in two.
    """
    assert 0 < fraction < 0.5
    table = tokens.blocks
    together = max(1, min(len(table) // 100, int(_HELD_OUT_LINES * len(table) / tokens.counts.n_lines)))
    table = np.add.reduceat(table, np.arange(0, len(table), together))
    if len(table) < 2:
        raise DataError(
            f"The text has {tokens.counts.n_lines} lines, too few to hold some back for validation. Expected more than "
            f"{_BLOCK[0]} lines. Give a validation text of its own: --valid FILE."
        )
    sizes, average = table[:, 0], table[:, 0].mean()
    wanted = min(fraction * tokens.counts.n_tokens, max_tokens)
    largest = np.clip(wanted, average, 2 * average)  # a larger block would leave too little to train on
    held_out = np.zeros(len(table), bool)
    for stretch in np.array_split(np.arange(len(table)), math.ceil(wanted / average)):
        if fitting := [int(number) for number in stretch if sizes[number] <= largest]:
            held_out[min(fitting, key=lambda number: hashlib.sha256(str(number).encode()).digest())] = True
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def part(is_chosen: np.ndarray) -> TokenView:
        edges = np.flatnonzero(np.diff(is_chosen, prepend=False, append=False)).reshape(-1, 2)
        ranges = [(int(starts[first]), int(starts[stop])) for first, stop in edges]
        return TokenView(tokens.ids, _counts(table[is_chosen]), ranges)

    return part(~held_out), part(held_out)


def _encode(
    batch: list[Line], tokenizer: LineEncoder
) -> tuple[Int32[np.ndarray, " tokens"], Float64[np.ndarray, "lines fields"]]:
    """The ids of these lines, joined, and what to count of each line."""
    texts = [line.text for line in batch]
    ids, spelling = tokenizer.encode_stream(texts)
    ends = np.flatnonzero(ids == tokenizer.eos_id) + 1
    is_start = np.array([line.starts_document for line in batch])
    counts = np.zeros((len(batch), len(_FIELDS)))
    counts[:, 0] = np.diff(ends, prepend=0) + is_start
    counts[:, 1] = 1
    counts[:, 2:5] = count_units(texts)
    if len(spelling):
        lines = np.searchsorted(ends, np.flatnonzero(ids == tokenizer.unk_id), side="right")
        counts[:, 5] = np.bincount(lines, minlength=len(batch))
        counts[:, 6] = np.bincount(lines, spelling, minlength=len(batch))
    counts[:, 7] = tokenizer.layout_nats(texts, counts[:, 2].astype(np.int64))
    if is_start.any():
        ids = np.insert(ids, (ends - np.diff(ends, prepend=0))[is_start], tokenizer.bos_id)
    assert ids.max() < tokenizer.vocab_size
    return ids, counts


class _BlockTable:
    """Blocks in order. When there are too many, neighbours are joined, so that any text fits into a few megabytes."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._length = 0

    def add(self, blocks: Float64[np.ndarray, "blocks fields"]) -> None:
        self._pieces.append(blocks)
        self._length += len(blocks)
        if self._length >= 2 * _LONGEST_TABLE:
            table = self.joined()
            self._pieces = [np.add.reduceat(table, np.arange(0, len(table), 2))]
            self._length = len(self._pieces[0])

    def joined(self) -> Float64[np.ndarray, "blocks fields"]:
        return np.concatenate(self._pieces)


def _blocks(lines: Float64[np.ndarray, "lines fields"]) -> Float64[np.ndarray, "blocks fields"]:
    """Add up consecutive lines until a block is full."""
    tokens_before = np.cumsum(lines[:, 0]) - lines[:, 0]
    number = np.arange(len(lines)) // _BLOCK[0] + tokens_before // _BLOCK[1]  # grows wherever one of the two is full
    return np.add.reduceat(lines, np.flatnonzero(np.diff(number, prepend=-1)))


def _counts(table: Float64[np.ndarray, "blocks fields"]) -> TextCounts:
    totals: list[Any] = [*map(int, table[:, :6].sum(axis=0)), math.fsum(table[:, 6]), math.fsum(table[:, 7])]
    return TextCounts(**dict(zip(_FIELDS, totals, strict=True)))


def _dtype(vocab_size: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    return np.dtype(np.uint16) if vocab_size <= 2**16 else np.dtype(np.uint32)


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
