"""Runs the shell examples of a page, and compares what they print with what the page shows.

A page shows its commands in a fence named `sh` or `bash`, and what the last of them prints in a fence named `text` directly
below. `...` there stands for what was left out: lines, or a part of one. Commands run in order, in one folder, in this process.

What depends on a clock, a machine or a text that is not the page's own is not compared: a number there only has to be a number,
and a word of such a text a word. Where the commands make their text themselves, with `printf ... > FILE`, everything is
compared, and nothing may be missing but what `...` stands for.
"""

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from malmoi.cli import main

EXAMPLE = re.compile(r"^```(?:sh|bash)\n(.*?)^```$(?:\n\s*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
MAKES_ITS_TEXT = re.compile(r"^printf .*> \S+$", re.MULTILINE)
NUMBER = r"(?:\d[\d,.]*(?::\d\d)*)"
FIGURE = rf"{NUMBER}(?: (?:s|bytes|kB|MB|GB)\b)?"  # times and sizes choose their unit by how large they are
END = "(the end)"
PROMISED = re.compile(r"([^\s,]+) (-?\d\.\d{4,6})(?=,|$)")  # in a comment: a word and its number


class Example(NamedTuple):
    """Commands of a page that stand together."""

    page: Path
    line: int  # of the page, where they begin
    commands: list[str]
    shown: str  # what stands below, "" if nothing does
    is_exact: bool


def examples(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in EXAMPLE.finditer(text):
        is_exact = MAKES_ITS_TEXT.search(fence[1]) is not None
        line = text.count("\n", 0, fence.start()) + 2
        found.append(Example(page, line, fence[1].splitlines(), fence[2] or "", is_exact))
    return found


def words_of(command: str) -> list[str]:
    """The words of a line of shell; `|`, `>` and `&&` are words, comments are not."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|>&")
    lexer.whitespace_split = True
    return list(lexer)


def stages(command: str) -> list[list[str]]:
    """The words of each program of a pipe."""
    found: list[list[str]] = [[]]
    for word in words_of(command):
        if word == "|":
            found.append([])
        else:
            found[-1].append(word)
    return found


class Answer(NamedTuple):
    code: int
    out: str
    told: str  # standard output and standard error, as they came


class _Both(io.TextIOWrapper):
    """A stream that is also written to another one."""

    def __init__(self, other: io.StringIO) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        self._other = other

    def write(self, text: str) -> int:
        self._other.write(text)
        return super().write(text)

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def malmoi(words: list[str], given: bytes = b"") -> Answer:
    """One command in this process."""
    told = io.StringIO()
    out, err = _Both(told), _Both(told)
    stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    with mock.patch("sys.stdin", stdin), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return Answer(code, out.text(), told.getvalue())


def program(words: list[str], given: bytes) -> bytes:
    """What another program prints. Python is this one, and does for jq, which not everyone has, what the pages ask of it."""
    if words[0] == "jq":
        _, key = words[1].split(".")
        return f"{json.loads(given)[key]}\n".encode()
    command = [sys.executable, *words[1:]] if words[0] == "python" else ["bash", "-c", shlex.join(words)]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


# Comparing


def lines_of(text: str) -> list[str]:
    """What is on each line, with one tab between columns; empty lines are left out."""
    return ["\t".join(re.split(r" *\t *| {2,}", line.strip())) for line in text.splitlines() if line.strip()]


def differs(shown: str, printed: str, *, is_exact: bool, alike: re.Pattern[str] | None = None) -> str:
    """What the page shows and the command did not print, "" if there is nothing of that kind.

    Args:
        shown: The page.
        printed: The command.
        is_exact: Numbers are compared too, and everything printed must be shown.
        alike: Cells of a table that may stand for each other, because the text decides between them.
    """
    lines = lines_of(printed)
    place, may_skip = 0, not is_exact  # lines before the first that is shown
    for line in [*lines_of(shown), *[END] * is_exact]:
        if line == "...":
            may_skip = True
            continue
        pattern = _pattern(line, is_exact, alike)
        near = range(place, len(lines) + 1 if may_skip else place + 1)
        found = [i for i in near if re.fullmatch(pattern, [*lines, END][i])]
        if not found:
            rest = "\n".join(lines[place:])
            return f"the page shows {line!r}, the command prints, from its line {place + 1} on:\n{rest}"
        place, may_skip = found[0] + 1, False
    return ""


def _pattern(line: str, is_exact: bool, alike: re.Pattern[str] | None) -> str:
    cells = []
    for cell in line.split("\t"):
        if alike is not None and alike.fullmatch(cell):
            cells.append(alike.pattern)
            continue
        escape = re.escape if is_exact else _loosely
        cells.append(".*".join(map(escape, cell.split("..."))))
    return "\t".join(cells)


def _loosely(text: str) -> str:
    return FIGURE.join(map(re.escape, re.split(FIGURE, text)))


def differs_in_columns(shown: str, printed: str) -> str:
    """The same where all words are those of a text: as many lines, and in no line more words than the page has at most."""
    mine, theirs = ([line.split("\t") for line in lines_of(text)] for text in (printed, shown))
    if not shown:
        return ""
    holds = len(mine) == len(theirs) and max(map(len, mine), default=0) <= max(map(len, theirs))
    return "" if holds else f"the page shows\n{shown}\nthe command prints\n{printed}"


def promised(command: str) -> list[str]:
    """The numbers that a comment promises, after words."""
    comment = command.partition(" # ")[2].strip()
    return [number for _, number in PROMISED.findall(comment)]
