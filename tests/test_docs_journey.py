"""The journey of a matrix: its code runs, and what its text says about sizes, costs and weights is so.

`run_page` holds each shape of the page against the arrays, and redoes each sum; here stands what it cannot know.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pages import run_page

DOCS = Path(__file__).parents[1] / "docs"
PARTS = re.compile(r"524,288 \+ 1,048,576 \+ 3,072 \+ 10,240,000 = ([\d,]+)")


class Journey(NamedTuple):
    text: str
    names: dict[str, Any]


@pytest.fixture(scope="module", params=["en", "ko"])
def journey(request: pytest.FixtureRequest) -> Journey:
    page = DOCS / request.param / "journey.md"
    return Journey(page.read_text(encoding="utf-8"), run_page(page))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def cells(text: str, first: str) -> list[str]:
    """The cells of the first row that begins with this."""
    row = re.findall(rf"^\| {re.escape(first)} \|(.+)\|$", text, re.MULTILINE)[0]
    return [cell.strip() for cell in row.split("|")]


def test_the_letters_stand_for_these_numbers(journey: Journey) -> None:
    for letter in "VDH":
        assert number(cells(journey.text, letter)[0]) == journey.names[letter]
    assert journey.names["ids"].shape == (int(cells(journey.text, "N")[0]), int(cells(journey.text, "T")[0]))


def test_the_weights_have_so_many_numbers(journey: Journey) -> None:
    for name in ("E", "Wx", "Wh", "b", "W_out", "b_out"):
        assert number(cells(journey.text, f"`{name}`")[2]) == journey.names[name].size


def test_the_softmax_layer_costs_that_share(journey: Journey) -> None:
    (total,) = PARTS.findall(journey.text)
    n_steps = 4
    assert number(total) == n_steps * (128 * 1024 + 256 * 1024 + 3 * 256 + 256 * 10_000)
    assert f"{n_steps * 256 * 10_000 / number(total):.1%}".replace("%", " %") in journey.text


def test_only_the_rows_that_were_read_move(journey: Journey) -> None:
    n_still = journey.names["V"] - len(journey.names["rows"])
    assert f"{n_still:,}" in journey.text
    assert sorted(journey.names["rows"]) == sorted(journey.names["ids"][0])


def test_the_first_loss_is_that_of_a_guess(journey: Journey) -> None:
    assert f"ln 10,000 = {np.log(10_000):.4f}" in journey.text


def test_a_word_that_is_read_twice_collects_two_gradients(journey: Journey) -> None:
    """The exercise: three words read, one of them twice."""
    names = journey.names
    embedding = type(names["embedding"])(names["E"])
    read = np.array([[names["number"][word] for word in ("<SOS>", "AI", "love", "AI")]])
    embedding.forward(read)
    embedding.backward(np.ones((1, 4, 128), np.float32))
    moved = {int(row): embedding.grads[0][row, 0] for row in np.flatnonzero(embedding.grads[0].any(axis=1))}
    assert moved == {2: 1, names["number"]["love"]: 1, names["number"]["AI"]: 2}
