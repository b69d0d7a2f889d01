"""The page about co-occurrence says what is so: its programs print what stands below them, its arithmetic comes out."""

import contextlib
import io
import math
import re
from pathlib import Path
from typing import Any

import pytest

from malmoi.models.cooccurrence import PairSettings

DOCS = Path(__file__).parents[1] / "docs"
PROGRAM = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)


@pytest.fixture(params=["en", "ko"])
def page(request: pytest.FixtureRequest) -> str:
    return (DOCS / request.param / "cooccurrence.md").read_text(encoding="utf-8")


def test_every_program_prints_what_stands_below_it(page: str) -> None:
    names: dict[str, Any] = {}
    found = PROGRAM.findall(page)
    assert len(found) == page.count("```python") == 4
    for program, expected in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, names)
        assert out.getvalue() == expected


def test_the_table_is_that_of_the_sentence(page: str) -> None:
    _, shown = PROGRAM.findall(page)[0]
    rows = [line.split() for line in shown.splitlines()]
    words = [row[0] for row in rows]
    sentence = ["you", "say", "goodbye", "and", "i", "say", "hello", "."]
    assert sorted(words) == sorted(set(sentence))
    for word, row in zip(words, rows, strict=True):
        for other, count in zip(words, row[1:], strict=True):
            met = [
                abs(i - j) == 1
                for i, a in enumerate(sentence)
                for j, b in enumerate(sentence)
                if (a, b) == (word, other)
            ]
            assert int(count) == sum(met)


def test_the_worked_pmi_comes_out(page: str) -> None:
    worked = re.findall(r"PMI\((\w+), (\w+)\) += log2 +(\S+) · (\S+) / \((\S+) · (\S+)\) += log2 (\d+) += (\S+)", page)
    assert [row[:2] for row in worked] == [("the", "car"), ("car", "drive")]
    for *_, pair, total, first, second, ratio, value in worked:
        pair, total, first, second = (float(number.replace(",", "")) for number in (pair, total, first, second))
        assert pair * total / (first * second) == float(ratio)
        assert f"{math.log2(float(ratio)):.2f}" == value
    assert [row[-1] for row in worked] == ["2.32", "7.97"]


def test_the_settings_are_those_there_are(page: str) -> None:
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(PairSettings.model_fields)
