"""Sets that word vectors are judged on: pairs of words that people have rated, and analogies; read, recognised and found.

A similarity set holds pairs of words and how similar people found them; an analogy set holds questions "a is to b as c is to
d" by category. Which of the two a file is, its content says.

Shapes: N pairs.
"""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from malmoi.errors import DataError
from malmoi.text.inputs import explained

LARGEST_SET = 64 << 20  # bytes of a file
ALL = "all"  # stands for every set of the data folder
SUFFIXES = (".txt", ".csv", ".tsv")  # of files in a folder that may be sets
Question = tuple[str, str, str, str]


class NoSetError(DataError):
    """A file whose first lines are those of no set."""


@dataclass(frozen=True)
class SimilaritySet:
    """Pairs of words, and how similar people found them."""

    name: str
    pairs: list[tuple[str, str]]
    scores: Float64[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class AnalogySet:
    """Questions by category: a is to b as c is to d."""

    name: str
    categories: dict[str, list[Question]]

    def __len__(self) -> int:
        return sum(map(len, self.categories.values()))


# Finding


def find_sets(
    given: Sequence[str | Path], told: Callable[[str], None] | None = None
) -> list[SimilaritySet | AnalogySet]:
    """The sets that files and folders hold, similarity before analogies; "all" stands for $MALMOI_DATA/wordsim.

    Args:
        given: Files, folders (their .txt, .csv and .tsv files), or "all".
        told: Told of each file of a folder that is passed over because it is no set.

    Raises:
        DataError: If something is missing, no set, or damaged; a file with the number of the line.
    """
    paths: dict[Path, bool] = {}  # each file once, and whether it was named itself
    for one in given:
        folder = _data_folder() if str(one) == ALL else Path(one)
        if not folder.is_dir():
            paths[folder] = True
            continue
        with explained(str(folder)):
            inside = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
        paths |= {path: paths.get(path, False) for path in inside}
    names = distinct_names([path.with_suffix("") for path in paths])
    sets: list[SimilaritySet | AnalogySet] = []
    for name, (path, was_named) in zip(names, paths.items(), strict=True):
        try:
            sets.append(read_set(path, name))
        except NoSetError as error:
            if was_named:
                raise
            if told is not None:
                told(f"Passed over: {error}")
    if not sets:
        raise DataError(
            f"There is no set of words in {', '.join(map(str, given)) or 'nothing'}. Expected {ALL}, files of word pairs or "
            "analogies, or folders with such files. Give one."
        )
    return sorted(sets, key=lambda one: isinstance(one, AnalogySet))


def _data_folder() -> Path:
    folder = Path(os.environ.get("MALMOI_DATA", "../shared/data")) / "wordsim"
    if not folder.is_dir():
        raise DataError(
            f"There is no {folder}, where {ALL!r} looks for similarity and analogy sets. Set MALMOI_DATA to the folder that "
            "holds wordsim, or give files or folders: --sets wordsim353.txt analogies/."
        )
    return folder


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as many parts before it as tell them apart; a number where nothing does."""
    names = [path.name or str(path) for path in paths]
    for depth in range(2, 1 + max((len(path.parts) for path in paths), default=0)):
        twice = {name for name in names if names.count(name) > 1}
        names = [
            "/".join(path.parts[-depth:]) if name in twice else name for path, name in zip(paths, names, strict=True)
        ]
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[place] = f"{name} ({seen[name]})" if seen[name] > 1 else name
    return names


def read_set(path: str | Path, name: str | None = None) -> SimilaritySet | AnalogySet:
    """Read a set of either kind, as its first two lines say.

    Raises:
        DataError: If the file is missing or no such set; with the number of the line.
    """
    path = Path(path)
    kind = _kind(path)
    if kind is None:
        raise NoSetError(
            f"{path} is no set of words. Expected lines of two words and a number (tabs, commas or spaces between them), or "
            "lines of four words, which ': name' may group. Give another file."
        )
    found = read_similarity_set(path) if kind is SimilaritySet else read_analogy_set(path)
    return replace(found, name=name or found.name)


def _kind(path: Path) -> type[SimilaritySet] | type[AnalogySet] | None:
    first = [line for _, line in islice(_lines(path), 2)]
    for line in first:
        fields = _fields(line)
        if len(fields) == 3 and _score(fields[2]) is not None:
            return SimilaritySet
    return AnalogySet if first and (first[0].startswith(":") or len(first[0].split()) == 4) else None


# Reading


def read_similarity_set(path: str | Path) -> SimilaritySet:
    """Read "word, word, score" lines, with tabs, commas or spaces between them; a first line without a number is a heading.

    Raises:
        DataError: If the file is missing or no such set; with the number of the line.
    """
    path = Path(path)
    pairs: list[tuple[str, str]] = []
    scores: list[float] = []
    for number, line in _lines(path):
        fields = _fields(line)
        score = _score(fields[2]) if len(fields) == 3 else None
        if score is None and number == 1 and len(fields) == 3:
            continue
        if score is None or not fields[0] or not fields[1]:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}. Expected two words and a finite number, with tabs, commas or spaces "
                "between them. Correct this line."
            )
        pairs.append((fields[0], fields[1]))
        scores.append(score)
    if not pairs:
        raise DataError(f"{path} holds no pair. Expected lines of two words and a number. Give another file.")
    return SimilaritySet(path.stem, pairs, np.array(scores, np.float64))


def read_analogy_set(path: str | Path) -> AnalogySet:
    """Read "a b c d" lines; a line ": name" begins a category.

    Raises:
        DataError: If the file is missing or no such set; with the number of the line.
    """
    path = Path(path)
    categories: dict[str, list[Question]] = {}
    category = ""
    for number, line in _lines(path):
        if line.startswith(":"):
            category = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}. Expected four words, or ': name' to begin a category. Correct "
                "this line."
            )
        categories.setdefault(category, []).append((words[0], words[1], words[2], words[3]))
    if not categories:
        raise DataError(f"{path} holds no question. Expected lines of four words. Give another file.")
    return AnalogySet(path.stem, categories)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines that are not blank."""
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"There is no {path}"
        raise DataError(f"{what}. Expected a file of word pairs or analogies. Check the name.")
    with explained(str(path)):
        size = path.stat().st_size
        if size > LARGEST_SET:
            raise DataError(
                f"{path} has {size:,} bytes. Expected at most {LARGEST_SET:,}. Give a set of words, no text."
            )
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{number}: a byte that is not UTF-8. Expected UTF-8 throughout. Convert the file first, for example: "
            "iconv -f cp949 -t utf-8."
        ) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip():
            yield number, stripped


def _fields(line: str) -> list[str]:
    if "\t" in line or "," not in line:
        return [field.strip() for field in line.split("\t" if "\t" in line else None)]
    try:
        return [field.strip() for field in next(csv.reader([line]))]
    except csv.Error:
        return []


def _score(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
