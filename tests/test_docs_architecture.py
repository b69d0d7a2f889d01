"""The architecture page holds: what it names is there, and the commands that it follows call the functions that it names."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "malmoi"
LANGUAGES = ("en", "ko")
NAMED = re.compile(r"\[`([\w/]+\.py)(?::([\w.]+))?`\]\(([^)]+)\)")
WAYS = {  # which section it is -> the command that it follows; {out} is a folder of its own
    1: ("next", str(ROOT / "tests" / "stored_runs" / "lstm"), "나는"),
    2: (
        "train",
        "lstm",
        str(ROOT / "tests" / "stored_runs" / "text" / "train.txt"),
        *("--out", "{out}", "--budget", "10m", "--precision", "float32", "--hidden-size", "8", "--embed-dim", "8"),
        *("--dropout-output", "0.5"),  # a small text and ten minutes
        *("--learning-rate", "1e-30", "--evaluate-every", "1", "--patience", "1"),  # no gain: it stops
    ),
}
WAYS[3] = WAYS[2]
# Runs a command and writes [file below malmoi/, function] of everything that it calls there, in any thread.
FOLLOW = """
import json, sys, threading
called = set()
def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(sys.argv[1]):
        called.add((code.co_filename[len(sys.argv[1]) + 1 :], code.co_qualname))
threading.setprofile(note)
sys.setprofile(note)
from malmoi.cli import main
code = main(sys.argv[3:])
sys.setprofile(None)
threading.setprofile(None)
open(sys.argv[2], "w").write(json.dumps(sorted(called)))
sys.exit(code)
"""


def sections(language: str) -> list[str]:
    """What stands below each heading of the second degree; first, what stands above them."""
    text = (ROOT / "docs" / language / "architecture.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text, flags=re.MULTILINE)


def named(text: str) -> list[tuple[str, str]]:
    """(file below malmoi/, function in it or "") of every link to the source."""
    return [(file, name) for file, name, _ in NAMED.findall(text)]


def numbered(section: str) -> str:
    """The items of its list."""
    return "\n".join(re.findall(r"^\d+\. .*(?:\n +.*)*", section, re.MULTILINE))


@cache
def names_of(file: str) -> set[str]:
    """Every function and class of a file, those of a class as Class.function."""
    found = set()
    for node in ast.parse((SOURCE / file).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
            found |= {
                f"{node.name}.{inner.name}"
                for inner in ast.iter_child_nodes(node)
                if isinstance(inner, ast.FunctionDef)
            }
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_page_names_is_there(language: str) -> None:
    links = NAMED.findall("".join(sections(language)))
    assert len(links) > 80
    for file, name, link in links:
        assert (ROOT / "docs" / language / link).resolve() == (SOURCE / file).resolve(), link
        assert (SOURCE / file).is_file(), file
        assert not name or name in names_of(file), f"{file}:{name}"


def test_both_languages_name_the_same_in_every_section() -> None:
    english, korean = ([sorted(named(section)) for section in sections(language)] for language in LANGUAGES)
    assert english == korean


@pytest.mark.parametrize("number", WAYS)
def test_a_command_calls_what_its_way_through_the_house_names(
    number: int, tmp_path: Path, followed: dict[tuple[str, ...], set[tuple[str, str]]]
) -> None:
    way = WAYS[number]
    if way not in followed:
        told = tmp_path / "called.json"
        words = [word.format(out=tmp_path / "run") for word in way]
        command = [sys.executable, "-c", FOLLOW, str(SOURCE), str(told), *words]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert answer.returncode == 0, answer.stderr
        followed[way] = {(file, name) for file, name in json.loads(told.read_text())}
    names = [(file, name) for file, name in named(numbered(sections("en")[number])) if name]
    assert len(names) > 10
    assert [f"{file}:{name}" for file, name in names if (file, name) not in followed[way]] == []


@pytest.fixture(scope="module")
def followed() -> dict[tuple[str, ...], set[tuple[str, str]]]:
    """What each command called; one that two sections follow runs once."""
    return {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_counts_its_ways(language: str) -> None:
    assert len(sections(language)) == 2 + len(WAYS)
