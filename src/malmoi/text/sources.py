"""Text as people have it, files, folders, tables, pipes, read as a stream of lines in constant memory.

Lines end at "\\n" and nowhere else ("\\r\\n" counts as one "\\n"; U+2028, form feeds and the like are characters of a
line). Every line is in Unicode normal form NFC, a byte order mark is dropped, and `notes` says what was done to a text.

`inputs` finds and opens the files; `formats` takes lines and rows out of them.
"""

import codecs
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn, get_args

from malmoi.errors import ConfigError, DataError
from malmoi.text.formats import Reading, blocks, check_unicode, nfc, row_lines, rows, split
from malmoi.text.inputs import TABLE_SUFFIXES, TEXT_SUFFIX, InputFile, explained, find_files

Unit = Literal["lines", "documents"]

_READING_VERSION = 1  # part of every fingerprint: raise it when the same bytes are read as other lines
_NOT_FOR_TEXT = ("utf-7", "unicode-escape", "raw-unicode-escape", "punycode", "idna", "undefined")


class Line(NamedTuple):
    text: str  # NFC, without its line end
    starts_document: bool = False


class TextSource:
    """One text, made of one or many inputs, that can be read as often as wished.

    Args:
        inputs: Files, folders (every text file inside, in sorted order), globs, or "-" for standard input.
        field: The column or JSON key that holds the text; a number counts from 1 where a table has no header. Without
            it: the one usual name that is there (`formats.USUAL_FIELDS`), or else the only column. With it, inputs that are all
            plain by name are read as TSV.
        encoding: How plain text, CSV, TSV and JSON lines are encoded.
        unit: "lines": every line stands for itself. "documents": each row of a table, or each plain file, is a document
            of one or more lines.

    Raises:
        DataError: If an input is missing, empty or cannot be text; `lines` raises it for what only reading can tell.
    """

    def __init__(
        self,
        inputs: str | Path | Sequence[str | Path],
        *,
        field: str | None = None,
        encoding: str = "utf-8",
        unit: Unit = "lines",
    ) -> None:
        self._set_options(field, encoding, unit)
        found: dict[str, InputFile] = {}  # by real path, so that a file named twice is read once
        for given in [inputs] if isinstance(inputs, str | Path) else inputs:
            for file in find_files(str(given), owner=self):
                found.setdefault(os.path.realpath(file.path), file)
        self._files = list(found.values())
        if not self._files:
            raise DataError("No text was given. Expected files, folders, globs or '-' for standard input. Name one.")
        if not any(file.size for file in self._files):
            self._refuse_blank("is empty")
        if field is not None and all(file.format == TEXT_SUFFIX for file in self._files):  # TSV is often named .txt
            self._files = [file._replace(format=".tsv") for file in self._files]
        for file in self._files:
            if file.size == 0:
                self._note("empty", file.name)
            suffix = Path(file.name.lower().removesuffix(file.compression)).suffix
            if file.format == TEXT_SUFFIX and suffix not in ("", TEXT_SUFFIX):
                self._note(f"read as plain text in spite of its suffix {suffix}", file.name)

    @classmethod
    def from_texts(cls, texts: Iterable[str], unit: Unit = "lines") -> "TextSource":
        """A source over texts in memory; each of them may hold several lines, and is one document."""
        source = cls.__new__(cls)
        source._set_options(None, "utf-8", unit)
        source._texts = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(source._texts, 1):
            check_unicode(text, f"text {number}")
        return source

    def _set_options(self, field: str | None, encoding: str, unit: str) -> None:
        if unit not in get_args(Unit):
            raise ConfigError(f"unit={unit!r} is not known. Expected 'lines' or 'documents': choose one of them.")
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=encoding).close()  # also refuses codecs that do not make text
            self.encoding = codecs.lookup(encoding).name
        except LookupError:
            self.encoding = "undefined"
        if self.encoding in _NOT_FOR_TEXT:
            raise DataError(
                f"Unknown text encoding {encoding!r}. Expected a name such as utf-8, utf-16, cp949, euc-kr or latin-1. "
                "Leave --encoding out for UTF-8, or name another."
            )
        self.field, self.unit = field, unit
        self._files, self._texts = list[InputFile](), list[str]()
        self._notes: dict[str, dict[str, None]] = {}  # what was done -> names of the files, in order, each once

    @property
    def files(self) -> list[Path]:
        return [file.path for file in self._files]

    @property
    def notes(self) -> list[str]:
        """What reading changed or chose, one short line each; complete once `lines` has been read to its end."""
        notes = []
        for what, where in self._notes.items():
            first, *others = where
            notes.append(f"{first}{f' and {len(others)} more' if others else ''}: {what}")
        return notes

    def n_bytes(self) -> int:
        """Size on disk, in bytes: for plans and progress, not what is scored."""
        return sum(file.size for file in self._files) + sum(len(text.encode()) for text in self._texts)

    def describe(self) -> str:
        if self._files:
            others = f" and {len(self._files) - 1} more" if len(self._files) > 1 else ""
            what = self._files[0].name + others
        else:
            what = f"{len(self._texts)} texts in memory"
        n_bytes = self.n_bytes()
        return f"{what} ({f'{n_bytes / 1e6:,.1f} MB' if n_bytes >= 1e5 else f'{n_bytes:,} bytes'})"

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, over the contents and how they are read; names of files do not matter."""
        digest = hashlib.sha256(json.dumps([_READING_VERSION, self.field, self.encoding, self.unit]).encode())
        for file in self._files:
            with explained(file.name), open(file.path, "rb") as content:
                digest.update(
                    f"{file.format}{file.compression}".encode() + hashlib.file_digest(content, "sha256").digest()
                )
        for text in self._texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()

    def lines(self, on_read: Callable[[int], object] | None = None) -> Iterator[Line]:
        """Every line of the text, in order.

        Args:
            on_read: Told how many more bytes have been read from the disk; `n_bytes` is about what they add up to.

        Raises:
            DataError: If some file is not the text that it should be, or all of it is blank.
        """
        is_blank = True
        for starts_document, texts in self._pieces(on_read or (lambda n_bytes: None)):
            is_blank = is_blank and not any(map(str.strip, texts))
            if starts_document and self.unit == "documents":
                yield Line(texts[0], True)
                del texts[0]
            yield from map(Line, texts)
        if is_blank:
            self._refuse_blank("has no line with text in it")

    def _pieces(self, on_read: Callable[[int], object]) -> Iterator[tuple[bool, list[str]]]:
        """Lists of lines, not empty, and whether the first of each starts a document."""
        reading = Reading(self.field, self.encoding, self._note, on_read)
        for file in self._files:
            if file.format in TABLE_SUFFIXES:
                for where, text in rows(file, reading):
                    yield True, row_lines(text, file.name, where, self._note)
            else:
                for number, block in blocks(file, reading):
                    texts = split(block)
                    if number == 1 and "\t" in texts[0]:
                        self._note("has tabs: if it is a table, name the column with --field", file.name)
                    yield number == 1, texts if block.isascii() else list(map(nfc, texts))
        for number, text in enumerate(self._texts, 1):
            yield True, row_lines(text, "texts in memory", f"text {number}", self._note)

    def _note(self, what: str, name: str) -> None:
        self._notes.setdefault(what, {})[name] = None

    def _refuse_blank(self, problem: str) -> NoReturn:
        raise DataError(f"{self.describe()} {problem}. Expected at least one line of text. Name another file.")


def batches(lines: Iterable[Line], most_lines: int, most_characters: int) -> Iterator[list[Line]]:
    """The lines again, some together: a batch is full at so many lines or characters, whichever is reached first."""
    batch: list[Line] = []
    n_characters = 0
    for line in lines:
        batch.append(line)
        n_characters += len(line.text)
        if len(batch) == most_lines or n_characters >= most_characters:
            yield batch
            batch, n_characters = [], 0
    if batch:
        yield batch
