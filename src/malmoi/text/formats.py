"""What a file says: the lines of a plain one, the rows of a table, out of its decoded bytes.

Every error tells where in the file it is, and what to correct.
"""

import codecs
import csv
import json
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, NoReturn

from malmoi.errors import DataError, MissingExtraError
from malmoi.text.inputs import BLOCK, TABLE_SUFFIXES, DamagedFileError, InputFile, opened, seekable

USUAL_FIELDS = ("text", "content", "document", "sentence", "review")
LONGEST_LINE = 16 * 2**20  # UTF-8 bytes; a longer "line" is a file without line ends, or no text at all

nfc = partial(unicodedata.normalize, "NFC")  # returns text that is NFC already as it is, after a quick scan


class Reading(NamedTuple):
    """How files are read, and who is told about it."""

    field: str | None  # the column or JSON key that holds the text; None to choose it
    encoding: str
    note: Callable[[str, str], None]  # takes what was changed or chosen, and the name of the file
    on_read: Callable[[int], object]  # takes how many more bytes have been read from the disk


# Plain text


def blocks(file: InputFile, reading: Reading) -> Iterator[tuple[int, str]]:
    """Decoded text in blocks of whole lines, each with the number of its first line; CRLF is LF already."""
    decoder = codecs.getincrementaldecoder(reading.encoding)()
    has_wide_units = reading.encoding.startswith(("utf-16", "utf-32"))  # in which NUL bytes are normal
    offset, number, rest, is_start = 0, 1, "", True
    with opened(file, reading.on_read) as stream:
        while True:
            data = stream.read(BLOCK)
            if not has_wide_units and (offset == 0 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                width = 32 if data[:4] == codecs.BOM_UTF32_LE else 16
                raise DataError(
                    f"{file.name} begins with the byte order mark of UTF-{width}. Expected {reading.encoding}. "
                    f"Name its encoding: --encoding utf-{width}."
                )
            if not has_wide_units and (nul := data.find(b"\0")) >= 0:
                raise DataError(
                    f"{file.name} is not text: byte {offset + nul} is NUL. Expected plain text, or one of "
                    f"{', '.join(TABLE_SUFFIXES)}. Convert the file to text first."
                )
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeError as error:
                _refuse_bytes(file.name, reading.encoding, rest, offset + len(data), error)
            offset += len(data)
            if is_start and text:
                is_start = False
                if text.startswith("\ufeff"):
                    reading.note("byte order mark dropped", file.name)
                    text = text[1:]
            text = rest + text
            end = text.rfind("\n") + 1
            text, rest = text[:end], text[end:]
            if len(rest) > LONGEST_LINE // 4 and (size := len(rest.encode())) > LONGEST_LINE:
                while more := stream.read(BLOCK):
                    size += len(more.partition(b"\n")[0])
                    if b"\n" in more:
                        break
                _refuse_giant(f"{file.name}:{number + text.count(chr(10))}", size)
            if not data:
                text += rest
            text = _without_crlf(text, file.name, reading.note)
            if text:
                yield number, text
                number += text.count("\n")
            if not data:
                return


def _refuse_bytes(name: str, encoding: str, begun: str, n_read: int, error: UnicodeError) -> NoReturn:
    """Say where decoding failed, and which encoding to try: the first likely one that can read the line.

    Args:
        name: The file where it happened.
        encoding: What it was decoded as.
        begun: The line as far as it was decoded before.
        n_read: How many bytes have been read.
        error: It holds the bytes that were being decoded.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise DataError(
            f"{name} is not {encoding}: {error}. Expected that encoding throughout. "
            "Leave --encoding out for UTF-8, or name another."
        ) from error
    position = n_read - len(error.object) + error.start
    before = begun.encode(encoding) + error.object[: error.start]
    line = before[before.rfind(b"\n") + 1 :] + error.object[error.start :]
    guesses = (guess for guess in ("utf-8", "cp949", "latin-1") if guess != encoding)
    likely = next(guess for guess in guesses if _can_decode(line, guess))
    raise DataError(
        f"{name}: byte {position} (0x{error.object[error.start]:02x}) is not {encoding.upper()}. "
        f"Expected {encoding.upper()} throughout. It may be {likely}: try --encoding {likely}."
    ) from error


def _can_decode(data: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _numbered_lines(file: InputFile, reading: Reading) -> Iterator[tuple[int, str]]:
    for number, block in blocks(file, reading):
        yield from enumerate(split(block), number)


# Tables


def rows(file: InputFile, reading: Reading) -> Iterator[tuple[str, str]]:
    """The text of each row of a table, after where it stands."""
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".tsv": _tsv_rows, ".parquet": _parquet_rows}
    return readers[file.format](file, reading)


def _jsonl_rows(file: InputFile, reading: Reading) -> Iterator[tuple[str, str]]:
    field = None
    for number, line in _numbered_lines(file, reading):
        if not line.strip():
            continue
        where = f"{file.name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: broken JSON ({error}), found {line[:40]!r}. Expected one JSON object a line. "
                "Correct this line."
            ) from error
        if not isinstance(row, dict):
            raise DataError(
                f'{where}: found {line[:40]!r}. Expected a JSON object, for example {{"text": "..."}}. '
                "Correct this line."
            )
        field = field or _choose_field(file, list(row), reading)
        if not isinstance(text := row.get(field), str):
            found = f"is {json.dumps(text)[:40]}" if field in row else "is missing"
            raise DataError(
                f"{where}: {field!r} {found}. Expected a string. Correct this line, or name another --field."
            )
        yield where, text


def _csv_rows(file: InputFile, reading: Reading) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # it can only be set for the whole process
    reader = csv.reader((f"{line}\n" for _, line in _numbered_lines(file, reading)), strict=True)

    def numbered_rows() -> Iterator[tuple[int, list[str]]]:
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise DataError(
                    f"{file.name}:{number}: broken CSV ({error}). Expected every quote to be closed, and quotes "
                    "inside a quoted field to be doubled. Correct the row that begins here."
                ) from error
            if row is None:
                return
            yield number, row

    return _column(file, numbered_rows(), reading)


def _tsv_rows(file: InputFile, reading: Reading) -> Iterator[tuple[str, str]]:
    lines = _numbered_lines(file, reading)
    return _column(file, ((number, line.split("\t") if line else []) for number, line in lines), reading)


def _column(
    file: InputFile, numbered_rows: Iterator[tuple[int, list[str]]], reading: Reading
) -> Iterator[tuple[str, str]]:
    """The column of a CSV or TSV file that holds the text."""
    column, width = -1, 0  # width: how many columns each row must have; 0 where no header tells
    if reading.field is not None and reading.field.isdecimal():
        column = int(reading.field) - 1
    for number, row in numbered_rows:
        if not row:
            continue
        if column < 0:
            column, width = row.index(_choose_field(file, row, reading)), len(row)
            continue
        if len(row) <= column or (width and len(row) != width):
            expected = f"the {width} of the header" if width else f"at least {column + 1}"
            raise DataError(
                f"{file.name}:{number}: found {len(row)} columns. Expected {expected}. Correct this row"
                f"{', or put quotes around fields that hold a comma' if file.format == '.csv' else ''}."
            )
        yield f"{file.name}:{number}", row[column]


def _parquet_rows(file: InputFile, reading: Reading) -> Iterator[tuple[str, str]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "data", "Reading .parquet files") from None
    with opened(file, reading.on_read) as stream, seekable(stream, file.compression) as parquet:
        try:
            table = pyarrow.parquet.ParquetFile(parquet)
            field = _choose_field(file, table.schema_arrow.names, reading)
            number = 0
            for batch in table.iter_batches(batch_size=256, columns=[field]):
                for text in batch.column(0).to_pylist():
                    number += 1
                    where = f"{file.name}: row {number}"
                    if not isinstance(text, str):
                        raise DataError(
                            f"{where}: {field!r} is {str(text)[:40]}. Expected a string. "
                            "Correct this row, or name another --field."
                        )
                    yield where, text
        except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
            raise DamagedFileError(str(error).partition("\n")[0]) from error


def _choose_field(file: InputFile, columns: list[str], reading: Reading) -> str:
    listed = ", ".join(repr(column[:40]) for column in columns[:20]) + (" ..." if len(columns) > 20 else "")
    by_number = ", or by its number if there is no header" if file.format in (".csv", ".tsv") else ""
    if reading.field is not None:
        if reading.field in columns:
            return reading.field
        raise DataError(
            f"{file.name} has no field {reading.field!r}. Expected one of: {listed}. Name one with --field{by_number}."
        )
    usual = [column for column in columns if column in USUAL_FIELDS]
    chosen = usual if len(usual) == 1 else columns
    if len(chosen) != 1:
        raise DataError(
            f"{file.name}: cannot tell which of its fields holds the text: {listed}. Expected exactly one of "
            f"{', '.join(USUAL_FIELDS)}, or a single column. Name it with --field{by_number}."
        )
    reading.note(f"text taken from {chosen[0][:40]!r}", file.name)
    return chosen[0]


# Pieces of text


def row_lines(text: str, name: str, where: str, note: Callable[[str, str], None]) -> list[str]:
    """The lines of a text that was read whole; CRLF is LF in them, and they are NFC.

    Args:
        text: The text.
        name: What it is part of, for the note.
        where: Where it stands, for errors.
        note: See `Reading`.
    """
    check_unicode(text, where)
    texts = split(_without_crlf(text, name, note))
    longest = max(texts, key=len)
    if len(longest) > LONGEST_LINE // 4 and len(longest.encode()) > LONGEST_LINE:
        _refuse_giant(where, len(longest.encode()))
    return list(map(nfc, texts))


def split(text: str) -> list[str]:
    """Lines of a text: the last one counts with or without its line end."""
    texts = text.split("\n")
    if len(texts) > 1 and not texts[-1]:
        texts.pop()
    return texts


def check_unicode(text: str, where: str) -> None:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: character {error.start} is U+{ord(text[error.start]):04X}, half of a surrogate pair. "
            "Expected whole Unicode characters. Remove it, or write the character itself."
        ) from error


def _without_crlf(text: str, name: str, note: Callable[[str, str], None]) -> str:
    if "\r" in text and "\r\n" in text:  # one character is found much faster than two
        note("CRLF line ends read as LF", name)
        return text.replace("\r\n", "\n")
    return text


def _refuse_giant(where: str, size: int) -> NoReturn:
    raise DataError(
        f"{where}: one line of {size / 2**20:.1f} MiB. Expected at most {LONGEST_LINE // 2**20} MiB: a line is a "
        "sentence or a paragraph. Split the text into lines first."
    )
