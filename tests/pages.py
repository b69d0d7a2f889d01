"""Runs a page of the documentation from top to bottom and checks what it says about its own code."""

import contextlib
import io
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHAPE = r"(?:\((?:\d+, )+\d+\)|\(\d+,\))"
ROW = re.compile(rf"^\| `([^`]+)` \| ({SHAPE}) \|", re.MULTILINE)
PRODUCT = re.compile(rf"({SHAPE})\s@\s({SHAPE})\s→\s({SHAPE})")
NAMED = re.compile(rf"`(\w+)`\s({SHAPE})")
SUM = re.compile(r"(\d[\d,]*(?:\s[·+]\s\d[\d,]*)+)\s=\s(\d[\d,]*)")


def as_shape(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def as_number(text: str) -> int:
    return int(text.strip().replace(",", ""))


def check_prose(text: str, names: dict[str, Any]) -> None:
    """Hold every shape in the text against the code so far, and redo every sum.

    A row of a table that begins with code and a shape, and a name in back-quotes before a shape, say of what it is the shape;
    products must fit; any other shape has to be that of some array that the code has made.
    """
    for pattern in (ROW, NAMED):
        for code, shape in pattern.findall(text):
            assert np.shape(eval(code, names)) == as_shape(shape), (code, shape)
    for product in PRODUCT.findall(text):
        left, right, result = map(as_shape, product)
        assert left[-1] == right[0], product
        assert left[:-1] + right[1:] == result, product
    made = {np.shape(value) for value in names.values() if isinstance(value, np.ndarray)}
    for shape in re.findall(SHAPE, PRODUCT.sub("", NAMED.sub("", ROW.sub("", text)))):
        assert as_shape(shape) in made, shape
    for terms, result in SUM.findall(text):
        numbers = [[as_number(factor) for factor in term.split("·")] for term in terms.split("+")]
        assert sum(map(math.prod, numbers)) == as_number(result), (terms, result)


def run_page(page: Path) -> dict[str, Any]:
    """Run the Python of a page in order; what it prints must stand below it, as text in a fence.

    Returns:
        The names that the page has defined.
    """
    names: dict[str, Any] = {"__name__": "page"}
    text, end, printed = page.read_text(encoding="utf-8"), 0, ""
    for fence in FENCE.finditer(text):
        between, (language, code) = text[end : fence.start()], fence.groups()
        end = fence.end()
        if language == "text":
            assert not between.strip(), f"this says what a program prints, but stands apart from it: {code}"
            assert printed == code, f"{page.name} says\n{code}\nand its program prints\n{printed}"
            printed = ""
            continue
        assert not printed, f"the page does not say that its program prints {printed}"
        check_prose(between, names)
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, f"{page.name}: {code.splitlines()[0]}", "exec"), names)
            printed = out.getvalue()
    assert not printed, f"the page does not say that its program prints {printed}"
    check_prose(text[end:], names)
    return names


if __name__ == "__main__":
    run_page(Path(sys.argv[1]))
    assert "torch" not in sys.modules, "a page about networks in NumPy alone has imported PyTorch"
