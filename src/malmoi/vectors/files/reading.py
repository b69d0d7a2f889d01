"""Files of word vectors of other programs, read without trust; `vector_writing` writes them.

    word2vec          text: a line "V D", then V lines "word x1 ... xD". fastText's .vec files are the same.
    word2vec-binary   the line "V D", then V times: word, space, D float32 in little-endian order, maybe a line feed
    glove             text without the first line

Any of them may be packed with gzip, which is told by its first bytes. Files are read as a stream; what their first line claims
is compared with their size before memory is taken. Models of fastText (.bin) are read by `fasttext_files`.

Words are UTF-8 and hold no white space, which parts the fields; some files have words with spaces all the same, and
`spaces=True` reads them: then the last D fields are the numbers.

Source: word2vec.c of Mikolov et al. 2013, and glove.c of Pennington et al. 2014, for the formats.
"""

import codecs
import gzip
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from malmoi.text.inputs import explained
from malmoi.vectors.files.stream import (
    BLOCK,
    FASTTEXT,
    GZIP,
    LARGEST_DIM,
    LONGEST_WORD,
    Progress,
    VectorFile,
    refuse_wrong_request,
)
from malmoi.vectors.vectors import Vectors

Format = Literal["word2vec", "word2vec-binary", "glove"]

ROWS = 1 << 13  # rows parsed at a time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
HEAD = 1 << 16  # bytes that tell what a file is
_HEADER = re.compile(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t\r]*\n?")
_ALL = "Expected all of them. The file was cut off or changed: fetch or make it again"
_AGAIN = "The file was cut off or changed: fetch or make it again"


def read_vectors(
    path: str | Path,
    file_format: Format | None = None,
    *,
    limit: int | None = None,
    spaces: bool = False,
    progress: Progress | None = None,
) -> Vectors:
    """Read word vectors.

    Args:
        path: The file, plain or packed with gzip.
        file_format: How it is laid out; None finds out.
        limit: How many words to read at most, from the start, where frequent words usually stand.
        spaces: Whether words of text files may hold spaces.
        progress: Told how many bytes of the file have been read, and how many there are.

    Raises:
        DataError: If the file is missing, damaged or no file of vectors; if rows differ in length, a word is there twice or a
            number is NaN or infinite; with the number of the line.
    """
    path = Path(path)
    refuse_wrong_request(path, limit, "a file of word vectors, plain or packed with gzip")
    with explained(str(path)), open(path, "rb") as raw:
        if file_format is None and raw.read(len(FASTTEXT)) == FASTTEXT:
            from malmoi.vectors.files.fasttext import read_fasttext

            return read_fasttext(path, limit=limit, progress=progress)
        raw.seek(0)
        file = VectorFile(path, raw, progress)
        file.load()
        if file.data.startswith(FASTTEXT):
            file.refuse(f"a model of fastText packed with gzip. Expected it unpacked. Type: gunzip {path}")
        if file.data.startswith(BYTE_ORDER_MARK):
            file.at = len(BYTE_ORDER_MARK)
        found = file_format or _format(file)
        words, parts = (
            _read_binary(file, limit) if found == "word2vec-binary" else _read_text(file, found, limit, spaces)
        )
    matrix = np.empty((len(words), parts[0].shape[1]), np.float32)
    at = 0
    while parts:  # each part is let go of when it has been copied
        part = parts.pop(0)
        matrix[at : at + len(part)] = part
        at += len(part)
    return Vectors(words, matrix)


def holds_vectors(path: Path) -> bool:
    """Whether a file begins as vectors do, and not as an n-gram model; False if it cannot be read."""
    try:
        with open(path, "rb") as raw:
            packed = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            head = (gzip.GzipFile(fileobj=raw) if packed else raw).read(HEAD)
    except (OSError, EOFError, zlib.error):
        return False
    if head.startswith(FASTTEXT):
        return True
    head = head.removeprefix(BYTE_ORDER_MARK)
    line, rest = head.partition(b"\n")[::2]
    if rest and _HEADER.fullmatch(line):
        return True
    fields = line.split(b" ")
    numbers = None if len(fields) < 3 or b"\\data\\" in head else _numbers(b" ".join(fields[-2:]))
    return numbers is not None and len(numbers) == 2


def _format(file: VectorFile) -> Format:
    """How a file is laid out, by its first bytes: those of float32 numbers are no printable characters for long."""
    end = file.data.find(b"\n", file.at)
    header = _HEADER.fullmatch(file.data, file.at, end + 1) if end >= 0 else None
    if header is None:
        return "glove"
    row = file.data[end + 1 : end + 1 + LONGEST_WORD]
    row = row[: row.find(b" ") + 1 + 4 * int(header[2])]
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(row)  # a last character that was cut is no error
    except UnicodeDecodeError:
        return "word2vec-binary"
    return "word2vec" if all(char >= " " or char in "\t\r\n" for char in text) else "word2vec-binary"


def _read_header(file: VectorFile, n_bytes: Callable[[int], int]) -> tuple[int, int]:
    """(V, D), checked against the size of the file; `n_bytes` tells what a row of D numbers takes at least."""
    line = next(file.lines(), b"")
    match = _HEADER.fullmatch(line)
    if match is None:
        file.refuse(
            f"found {_shown(line)} in the first line. Expected how many words and how many numbers a word there are, as in "
            "'400000 100'. Give format glove, if the file has no such line",
            1,
        )
    n_words, n_dim = int(match[1]), int(match[2])
    if not n_words or not 0 < n_dim <= LARGEST_DIM:
        file.refuse(
            f"the first line promises {n_words:,} words of {n_dim:,} numbers. Expected one word or more, and from 1 to "
            f"{LARGEST_DIM:,} numbers. {_AGAIN}",
            1,
        )
    if n_words * n_bytes(n_dim) > file.most_bytes:
        file.refuse(
            f"the first line promises {n_words:,} words of {n_dim:,} numbers, which take at least "
            f"{n_words * n_bytes(n_dim):,} bytes, and the file has {file.size:,}{' (packed)' * file.is_packed}. Expected "
            f"counts that fit. {_AGAIN}",
            1,
        )
    return n_words, n_dim


# Text


def _read_text(
    file: VectorFile, file_format: Format, limit: int | None, spaces: bool
) -> tuple[list[str], list[NDArray[np.float32]]]:
    n_words = n_dim = 0
    first_line = 1
    if file_format == "word2vec":
        n_words, n_dim = _read_header(file, lambda dim: 2 * dim + 1)  # a letter; a space and a digit for each number
        first_line = 2
    words: list[str] = []
    parts: list[NDArray[np.float32]] = []
    lines = file.lines()
    most = min(limit or file.most_bytes, n_words or file.most_bytes)
    n_blank = 0
    while len(words) < most:
        taken = [line for _, line in zip(range(min(ROWS, most - len(words))), lines, strict=False)]
        if not taken:
            break
        n_before = n_blank
        while taken and not taken[-1].strip():  # maybe the file ends here
            taken.pop()
            n_blank += 1
        if n_before and taken:
            file.refuse("an empty line. Expected a word and its numbers. Remove this line", first_line + len(words))
        if not taken:
            continue
        n_dim = n_dim or _dim(file, taken[0])
        names, rows = _parse(file, taken, n_dim, first_line + len(words), spaces)
        words += names
        parts.append(rows)
    if not words:
        file.refuse("there is no vector in it. Expected one word and its numbers a line. Fetch or make it again")
    if n_words and limit is None:
        if len(words) < n_words:
            file.refuse(f"it ends after {len(words):,} of {n_words:,} words that the first line promises. {_ALL}")
        if any(line.strip() for line in lines):
            file.refuse(
                f"more than the {n_words:,} words that the first line promises. Expected as many. Correct the first line, or "
                "fetch or make the file again",
                first_line + n_words,
            )
    _refuse_repeated(file, words, first_line)
    return words, parts


def _dim(file: VectorFile, line: bytes) -> int:
    n_dim = len(line.split()) - 1
    if not 0 < n_dim <= LARGEST_DIM:
        file.refuse(f"found {_shown(line)} in the first line. Expected a word and its numbers. {_NO_VECTORS}", 1)
    return n_dim


_NO_VECTORS = "Give a file of word vectors as word2vec, fastText (.vec) or GloVe write them"


def _parse(
    file: VectorFile, lines: list[bytes], n_dim: int, line_number: int, spaces: bool
) -> tuple[list[str], NDArray[np.float32]]:
    """Words and rows of some lines."""
    names: list[bytes] = []
    numbers: list[bytes] = []
    for i, line in enumerate(lines):
        name, _, rest = line.partition(b" ")
        rest = rest.rstrip()
        if rest.count(b" ") != n_dim - 1 or b"\t" in rest or not name:
            name, rest = _split(file, line, n_dim, line_number + i, spaces)
        names.append(name)
        numbers.append(rest)
    values = _numbers(b" ".join(numbers))
    if values is None or len(values) != len(lines) * n_dim:
        for i, rest in enumerate(numbers):
            one = _numbers(rest)
            if one is None or len(one) != n_dim:
                file.refuse(
                    f"found {_shown(rest)} after the word {_shown(names[i])}. Expected {n_dim} numbers with one space between "
                    "them. Correct this line, or make the file again",
                    line_number + i,
                )
    assert values is not None
    with np.errstate(over="ignore"):
        rows = values.astype(np.float32).reshape(len(lines), n_dim)
    words = [_decoded(file, name, line_number + i) for i, name in enumerate(names)]
    is_finite = np.isfinite(rows).all(axis=1)
    if not is_finite.all():
        i = int(np.flatnonzero(~is_finite)[0])
        file.refuse(f"the vector of {words[i][:60]!r} {_NOT_FINITE}", line_number + i)
    return words, rows


_NOT_FINITE = (
    "holds NaN or infinity, or a number that float32 cannot hold. Expected finite numbers. Remove the word, or make the file "
    "again"
)


def _split(file: VectorFile, line: bytes, n_dim: int, line_number: int, spaces: bool) -> tuple[bytes, bytes]:
    """(word, numbers) of a line that is no plain "word x1 ... xD", or a message."""
    fields = line.split()
    if len(fields) == n_dim + 1:
        return fields[0], b" ".join(fields[1:])
    if len(fields) > n_dim + 1:
        parts = line.rstrip().rsplit(None, n_dim)
        if spaces:
            return parts[0].lstrip(), b" ".join(parts[1:])
        file.refuse(
            f"{len(fields)} fields, of which {_shown(parts[0])} would be the word. Expected {n_dim + 1}: one word without "
            f"spaces and {n_dim} numbers. Read it with --spaces (spaces=True) if words may hold spaces, or correct this line",
            line_number,
        )
    file.refuse(
        f"{len(fields)} fields in {_shown(line)}. Expected {n_dim + 1}: a word and {n_dim} numbers, as in the first lines. "
        "Correct this line, or make the file again",
        line_number,
    )


def _numbers(text: bytes) -> NDArray[np.float64] | None:
    """The numbers of a text, or None if something in it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            return None


# Binary


def _read_binary(file: VectorFile, limit: int | None) -> tuple[list[str], list[NDArray[np.float32]]]:
    n_words, n_dim = _read_header(file, lambda dim: 4 * dim + 2)  # a letter and a space
    most, width = min(n_words, limit or n_words), 4 * n_dim
    words: list[str] = []
    parts: list[NDArray[np.float32]] = []
    while len(words) < most:
        rows = np.empty((min(ROWS, most - len(words), max(1, BLOCK // n_dim)), n_dim), np.float32)
        for i in range(len(rows)):
            while (end := file.data.find(b" ", file.at)) < 0 or end + 1 + width > len(file.data):
                if end < 0 and len(file.data) - file.at > LONGEST_WORD:
                    file.refuse(f"word {len(words) + 1:,} has more than {LONGEST_WORD:,} bytes. {_NOT_BINARY}")
                if not file.load():
                    file.refuse(
                        f"it ends after {len(words):,} of {n_words:,} words that the first line promises. {_ALL}"
                    )
            name = file.data[file.at : end].lstrip(b"\n")
            rows[i] = np.frombuffer(file.data, "<f4", n_dim, end + 1)
            file.at = end + 1 + width
            words.append(_decoded(file, name, None, len(words) + 1))
        is_finite = np.isfinite(rows).all(axis=1)
        if not is_finite.all():
            word = words[len(words) - len(rows) + int(np.flatnonzero(~is_finite)[0])]
            file.refuse(f"the vector of {word[:60]!r} {_NOT_FINITE}")
        parts.append(rows)
    if limit is None:
        while True:
            if file.data[file.at :].strip(b"\n"):
                file.refuse(f"more than the {n_words:,} words that the first line promises. {_NOT_BINARY}")
            file.at = len(file.data)
            if not file.load():
                break
    _refuse_repeated(file, words, None)
    return words, parts


_NOT_BINARY = (
    "Expected, for each word, the word, a space and its float32 numbers. Give its format if the file is text, or make it "
    "again"
)


# Words


def _decoded(file: VectorFile, name: bytes, line: int | None, number: int = 0) -> str:
    try:
        word = name.decode()
    except UnicodeDecodeError:
        which = f"word {number:,}, " if number else "the word "
        file.refuse(
            f"{which}{_shown(name)} is not UTF-8. Expected UTF-8 throughout. "
            + (_NOT_BINARY if number else "Convert the file first, for example: iconv -f cp949 -t utf-8"),
            line,
        )
    if not word:
        which = f"word {number:,}" if number else "the word"
        file.refuse(f"{which} is empty. Expected a word before the numbers. Correct it, or make the file again", line)
    return word


def _refuse_repeated(file: VectorFile, words: list[str], first_line: int | None) -> None:
    if len(set(words)) == len(words):
        return
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        if word in places:
            where = f"word {places[word] + 1:,}" if first_line is None else f"line {places[word] + first_line:,}"
            file.refuse(
                f"the word {word[:60]!r} was there before, as {where}. Expected every word once. Remove one of the two, or "
                "make the file again",
                None if first_line is None else place + first_line,
            )
        places[word] = place


def _shown(text: bytes) -> str:
    return repr(text[:60].decode(errors="backslashreplace"))
