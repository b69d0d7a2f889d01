"""NLTK's reader of WordNet, made to read one folder and nothing else.

NLTK looks for its own downloads, wants two files that Debian leaves out (`lexnames`, `index.sense`; nothing here needs them),
and only warns where a pointer leads nowhere. This module is imported only where NLTK is there.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.data import PathPointer

from malmoi.thesaurus.files import IRREGULAR, damaged

LEXICOGRAPHER_FILES = 45  # wndb: numbered 00 to 44; their names are not shown


class Lines:
    """A file as NLTK reads it: lines of text, with places counted in bytes. It stands in memory, so nothing is left open."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        return (line.decode() for line in self._file)

    def readline(self) -> str:
        return self._file.readline().decode()

    def seek(self, place: int) -> None:
        self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class Folder(PathPointer):  # type: ignore[misc]  # NLTK has no types
    """Where NLTK reads from: the files of one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, encoding: str | None = None) -> Lines:
        if self.path.name == "lexnames" and not self.path.is_file():
            return Lines("".join(f"{number:02} file.{number:02} 1\n" for number in range(LEXICOGRAPHER_FILES)).encode())
        if self.path.name in IRREGULAR and not self.path.is_file():
            return Lines(b"")
        return Lines(self.path.read_bytes())

    def file_size(self) -> int:
        return self.path.stat().st_size

    def join(self, fileid: str) -> "Folder":
        return Folder(self.path / fileid)


class Reader(WordNetCorpusReader):  # type: ignore[misc]
    """The files of WordNet in one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Folder(folder), ())  # (): no other languages

    def open(self, file: str) -> Lines:
        return Folder(self._root.path / file).open()

    def map_wn(self, version: str = "wordnet") -> None:
        """Only other languages need a map to other versions."""

    def synset_from_pos_and_offset(self, pos: str, offset: int) -> Any:
        """A concept by the place of its line; NLTK gives None, with a warning, where there is none."""
        known = self._synset_offset_cache[pos].get(offset)
        if known is not None:
            return known
        file = self._data_file(pos)
        file.seek(offset)
        line = file.readline()
        if line[:9] != f"{offset:08} ":
            raise damaged(self._root.path, f"no concept stands at byte {offset} of data.{self._FILEMAP.get(pos, pos)}")
        return super().synset_from_pos_and_offset(pos, offset)
