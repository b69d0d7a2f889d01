"""A text cut in three: what models learn from, what training is watched on, and what the models are judged on.

Which blocks are held out `data/cutting.py` says. The cut comes before the tokenizer, which therefore never sees the test part.

The parts are files, so that a person can look at them and `malmoi eval` can repeat a figure.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int8

from malmoi.data.cutting import Blocks, choose
from malmoi.errors import DataError, RunError
from malmoi.files import atomic_folder, write_json
from malmoi.text.formats import LONGEST_LINE
from malmoi.text.sources import Line, TextSource, Unit

PARTS = ("train", "valid", "test")
SIZES = "sizes.json"


@dataclass(frozen=True)
class Size:
    """How much text a part holds."""

    lines: int
    documents: int  # 0 where the text has none
    bytes: int  # of the UTF-8 form, with one for each line end


@dataclass(frozen=True)
class Parts:
    """The parts of a text, as files.

    Attributes:
        stretches: Numbers of the test lines that blocks begin with, where the test part was cut out of the text in blocks.
    """

    folder: Path
    unit: Unit
    sizes: Mapping[str, Size]
    stretches: tuple[int, ...] = ()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{_suffix(self.unit)}"

    def source(self, name: str) -> TextSource:
        """One part, by its name in PARTS."""
        return TextSource(self.path(name), field=_field(self.unit), unit=self.unit)

    @property
    def options(self) -> dict[str, str | None]:
        """How the files are read: what training must be told besides their paths."""
        return {"field": _field(self.unit), "unit": self.unit}


def unit_of(source: TextSource) -> Unit:
    """What stands for itself in a text."""
    return "documents" if source.unit == "documents" else "lines"


def _suffix(unit: Unit) -> str:
    return ".jsonl" if unit == "documents" else ".txt"


def _field(unit: Unit) -> str | None:
    return "text" if unit == "documents" else None


def cut(
    source: TextSource,
    folder: Path,
    *,
    valid: TextSource | None = None,
    test: TextSource | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Parts:
    """Write the parts of a text into a folder.

    Args:
        source: The text.
        folder: Where the files go; it appears when all of them are whole.
        valid: A validation text of its own, which is taken as it is; otherwise it is cut from `source`.
        test: Likewise.
        progress: Told (bytes read, bytes in all), now and then.

    Raises:
        DataError: If the text is too short to be cut.
    """
    given = {name: text for name, text in (("valid", valid), ("test", test)) if text is not None}
    missing = [name for name in ("valid", "test") if name not in given]
    blocks, unit = Blocks.of(source, progress), unit_of(source)
    part_of_block = choose(blocks.sizes, len(missing))
    _check(part_of_block, blocks, missing)
    names = ["train", *missing]
    sizes: dict[str, Size] = {}
    stretches: tuple[int, ...] = ()
    with atomic_folder(folder) as unfinished:
        whole = Parts(unfinished, unit, sizes)
        with ExitStack() as files:
            writers = [_Writer(files.enter_context(open(whole.path(name), "wb")), unit) for name in names]
            before = -1
            for number, line in blocks.numbered(source):
                writer = writers[part_of_block[number]]
                if number != before:
                    writer.begin_stretch()
                writer.add(line)
                before = number
            sizes |= {name: writer.close() for name, writer in zip(names, writers, strict=True)}
            if "test" in missing:
                stretches = tuple(writers[names.index("test")].stretches)
        for name, text in given.items():
            with open(whole.path(name), "wb") as file:
                writer = _Writer(file, unit)
                for line in text.lines():
                    writer.add(line)
                sizes[name] = writer.close()
        write_json(unfinished / SIZES, {name: asdict(sizes[name]) for name in PARTS} | {"stretches": list(stretches)})
    return Parts(folder, unit, sizes, stretches)


def load(folder: Path, unit: Unit) -> Parts:
    """What `cut` wrote.

    Raises:
        RunError: If a file is missing or damaged.
    """
    try:
        values = json.loads((folder / SIZES).read_bytes())
        stretches = tuple(map(int, values.get("stretches", ())))  # earlier versions wrote none
        parts = Parts(folder, unit, {name: Size(**values[name]) for name in PARTS}, stretches)
        if not all(parts.path(name).is_file() for name in PARTS):
            raise ValueError("a part is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder} does not hold the parts of a text ({error}). Expected what an earlier comparison wrote there. Remove "
            "the folder, or choose another --out."
        ) from None
    return parts


def _check(part_of_block: Int8[np.ndarray, " blocks"], blocks: Blocks, missing: list[str]) -> None:
    """Raises DataError where a part, that for learning included, would have no text."""
    has_text = [bool((blocks.sizes[part_of_block == part] > 0).any()) for part in range(len(missing) + 1)]
    if all(has_text):
        return
    what = f"{len(blocks.starts)} documents" if blocks.are_documents else f"{blocks.n_lines} lines"
    needed = f"{len(missing) + 1} {'documents' if blocks.are_documents else 'lines'} with text"
    files = " and ".join(f"--{name} FILE" for name in missing)
    lines = ", or leave --unit documents out" if blocks.are_documents else ""
    raise DataError(
        f"The text has {what}, too few to hold some back ({' and '.join(missing)}). Expected at least {needed}, and far "
        f"more for figures that mean something. Give a longer text, or {files}{lines}."
    )


class _Writer:
    """Writes the lines of one part, counting."""

    def __init__(self, file: BinaryIO, unit: Unit) -> None:
        self._file, self._unit = file, unit
        self._document: list[str] = []
        self._lines = self._documents = self._bytes = 0
        self.stretches: list[int] = []  # first line of each

    def begin_stretch(self) -> None:
        """What comes now did not follow, in the text, on what came before."""
        self.stretches.append(self._lines)

    def add(self, line: Line) -> None:
        encoded = f"{line.text}\n".encode()
        self._lines += 1
        self._bytes += len(encoded)
        if self._unit == "lines":
            self._file.write(encoded)
            return
        if line.starts_document:
            self._end_document()
            self._documents += 1
        self._document.append(line.text)

    def close(self) -> Size:
        self._end_document()
        return Size(self._lines, self._documents, self._bytes)

    def _end_document(self) -> None:
        if self._document:
            text = "".join(f"{line}\n" for line in self._document)
            row = json.dumps({"text": text}, ensure_ascii=False).encode()
            if len(row) > LONGEST_LINE:
                raise DataError(
                    f"A document has {len(row):,} bytes. Expected at most {LONGEST_LINE:,} where documents are compared. Leave "
                    "--unit documents out, or cut the document into smaller ones."
                )
            self._file.write(row + b"\n")
            self._document.clear()
