"""A file of vectors as a stream of blocks or lines, plain or packed with gzip."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from malmoi.errors import ConfigError, DataError

Progress = Callable[[int, int], None]  # told (how much is done, of how much)

BLOCK = 1 << 22  # bytes read at a time
LONGEST_WORD, LARGEST_DIM = 1 << 16, 100_000  # bytes; numbers in a vector
LONGEST_LINE = 1 << 22  # bytes
GZIP, LARGEST_EXPANSION = b"\x1f\x8b", 1032  # how gzip files begin; how many bytes it can pack into one
FASTTEXT = (793712314).to_bytes(4, "little")  # how its models (.bin) begin
OTHER_FILES = {
    FASTTEXT: "is a model of fastText; leave its format out",
    b"PK\x03\x04": "is a zip archive; unpack it first: unzip FILE",
    b"\xfd7zXZ": "is packed with xz; unpack it first: unxz FILE",
    b"BZh": "is packed with bzip2; unpack it first: bunzip2 FILE",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; unpack it first: unzstd FILE",
    b"\x80\x04": "is a pickle, which could run anything when it is read; write the vectors as word2vec text first",
    b"\x93NUMPY": "is an array without words; write the vectors as word2vec text first",
}


def refuse_wrong_request(path: Path, limit: int | None, expected: str) -> None:
    """Raise for a limit below 1, and where there is no such file; `expected` says what should be there."""
    if limit is not None and limit < 1:
        raise ConfigError(f"At most {limit} words were to be read. Expected 1 or more. Ask for more, or for all.")
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"There is no {path}"
        raise DataError(f"{what}. Expected {expected}. Check the name.")


class VectorFile:
    """A file of vectors, read in blocks."""

    def __init__(self, path: Path, raw: BinaryIO, progress: Progress | None) -> None:
        self.path, self._raw, self._progress = path, raw, progress
        self.size = os.fstat(raw.fileno()).st_size
        head = raw.read(8)
        raw.seek(0)
        self.is_packed = head.startswith(GZIP)
        self.most_bytes = self.size * (LARGEST_EXPANSION if self.is_packed else 1)  # that it can hold, unpacked
        self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if self.is_packed else raw
        self.data, self.at, self.has_ended = b"", 0, False
        if not self.size:
            self.refuse("it is empty. Expected vectors. Fetch or make it again")
        for magic, what in OTHER_FILES.items():
            if head.startswith(magic):
                raise DataError(
                    f"{path} {what}. Expected text or binary vectors of word2vec, fastText (.vec) or GloVe."
                )

    def refuse(self, problem: str, line: int | None = None) -> NoReturn:
        raise DataError(f"{self.path}{'' if line is None else f':{line}'}: {problem}.")

    def load(self) -> bool:
        """Put the next block behind what has not been read yet; False at the end of the file."""
        block = self._stream.read(BLOCK)
        self.data, self.at = self.data[self.at :] + block, 0
        self.has_ended = not block
        if self._progress is not None:
            self._progress(self._raw.tell(), self.size)
        return bool(block)

    def lines(self) -> Iterator[bytes]:
        """The lines that are left, without their line feeds."""
        while True:
            end = self.data.find(b"\n", self.at)
            if end >= 0:
                line, self.at = self.data[self.at : end], end + 1
                yield line
            elif len(self.data) - self.at > LONGEST_LINE:
                self.refuse(
                    f"a line of more than {LONGEST_LINE:,} bytes. Expected one word and its vector a line. Give its format, if "
                    "it is a binary file: word2vec-binary"
                )
            elif not self.load():
                rest, self.at = self.data[self.at :], len(self.data)
                if rest:
                    yield rest
                return
