"""The page about the thesaurus says what is so: its programs print what stands below them, and malmoi measures the same."""

import contextlib
import io
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tiny_wordnet import ENTRIES, Entry, write_wordnet

from malmoi.thesaurus import MEASURES, Thesaurus

DOCS = Path(__file__).parents[2] / "docs"
PROGRAM = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)


def program(language: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What the page defines, and what each program prints and should print."""
    names: dict[str, Any] = {}
    printed = []
    for code, expected in PROGRAM.findall((DOCS / language / "thesaurus.md").read_text(encoding="utf-8")):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)
        printed.append((out.getvalue(), expected))
    return names, printed


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_program_prints_what_stands_below_it(language: str) -> None:
    _, printed = program(language)
    assert len(printed) == 4
    for found, expected in printed:
        assert found == expected


@pytest.mark.parametrize("language", ["en", "ko"])
def test_malmoi_measures_what_the_page_works_out(language: str, tmp_path: Path) -> None:
    names, _ = program(language)
    english = {word: f"word{i}" for i, word in enumerate(names["seen"])}
    nouns = [
        Entry(
            english[word],
            "n",
            (english[word],),
            above=tuple(english[names["above"][word]] for _ in range(word in names["above"])),
            seen=seen,
        )
        for word, seen in names["seen"].items()
    ]
    others = [entry for entry in ENTRIES if entry.pos != "n"]
    found = Thesaurus(write_wordnet(tmp_path, (*nouns, *others)))
    for first, second in product(names["seen"], repeat=2):
        for measure in MEASURES:
            if first == second and measure == "lin":
                continue  # 0 / 0 by the page's short program at the top
            expected = names[measure](first, second)
            assert found.similarity(english[first], english[second], measure) == pytest.approx(expected, abs=1e-12)


def test_both_pages_give_the_same_figures() -> None:
    rows = [
        re.findall(r"\d\.\d{3}|(?<=\| )[\d,]+(?= \|)", (DOCS / language / "thesaurus.md").read_text(encoding="utf-8"))
        for language in ("en", "ko")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) >= 20
