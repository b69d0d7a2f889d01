"""explain/ computes nothing of a model: what it shows comes from traces, and the conversions of a reader have one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from malmoi import explain

FOLDER = Path(explain.__file__).parent
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))
CONVERSIONS = "conversions.py"
LAYOUT = ("page.py", "figures.py", "output.py")  # shares of a width, places on a page: no numbers of a model
FUNCTIONS = {
    *(
        "exp",
        "expm1",
        "exp2",
        "log",
        "log1p",
        "log2",
        "log10",
        "logaddexp",
        "tanh",
        "sqrt",
        "cbrt",
        "hypot",
        "power",
        "square",
    ),
    *(
        "dot",
        "vdot",
        "inner",
        "outer",
        "matmul",
        "einsum",
        "tensordot",
        "kron",
        "convolve",
        "linalg",
        "norm",
        "multiply",
    ),
    *(
        "divide",
        "true_divide",
        "prod",
        "cumprod",
        "add",
        "subtract",
        "softmax",
        "log_softmax",
        "sigmoid",
        "softplus",
        "erf",
    ),
}
METHODS = ("dot", "prod", "cumprod")
ALLOWED = {  # what reads like arithmetic and is none, or is one that a reader would do
    ("figures.py", "math.prod"): "cells of an array",
    ("rungs/recurrent.py", "first / last"): "a share, of two lengths that are shown",
    ("softmax.py", "1 / prob"): "odds",
    ("word2vec/agreement.py", "np.add"): "the loops' own last step: what they changed goes back to its rows",
    (
        "word2vec/agreement.py",
        "-(-matrix.shape[1] // kernels.BLOCK) * kernels.BLOCK",
    ): "the width that the loops work in",
    ("word2vec/explaining.py", "rate * by_scratch"): "a difference of gradients as one of rows",
    ("word2vec/explaining.py", "len(moment.targets) * network.config.n_negatives"): "how many were drawn",
    ("word2vec/steps.py", "n_hidden * n_asked"): "how many scores there are",
}


def arithmetic(source: str, *, has_layout: bool = False) -> Iterator[str]:
    """Every expression of a file that computes with numbers beyond adding up, as it is written."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS and _is_function(node):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name in FUNCTIONS)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult | ast.Pow):
            yield ast.unparse(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div) and not has_layout:
            sides = (node.left, node.right)
            is_path_or_text = any(isinstance(s, ast.List | ast.Constant) and not _is_number(s) for s in sides)
            if not is_path_or_text:
                yield ast.unparse(node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult | ast.Div):
            yield ast.unparse(node)


def _is_function(node: ast.Attribute) -> bool:
    """Of NumPy, or a product as a method of an array; not a field of ours that has such a name."""
    return node.attr in METHODS or (isinstance(node.value, ast.Name) and node.value.id in ("np", "math"))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


@pytest.mark.parametrize("file", [file for file in FILES if file != CONVERSIONS])
def test_no_file_computes_what_a_model_computes(file: str) -> None:
    source = (FOLDER / file).read_text(encoding="utf-8")
    found = {written for written in arithmetic(source, has_layout=file in LAYOUT) if (file, written) not in ALLOWED}
    assert found == set()


def test_what_is_allowed_is_still_there() -> None:
    seen = {
        (file, written)
        for file in FILES
        for written in arithmetic((FOLDER / file).read_text(encoding="utf-8"), has_layout=file in LAYOUT)
    }
    assert ALLOWED.keys() <= seen


@pytest.mark.parametrize(
    "line",
    [
        "p = np.exp(x)",
        "h = hidden @ W",
        "h = W.dot(hidden)",
        "kept = f * before",
        "x /= 2",
        "square = a ** 2",
        "from malmoi.scratch.functions import sigmoid",
        "n = np.linalg.norm(x)",
    ],
)
def test_the_scan_sees_arithmetic(line: str) -> None:
    assert list(arithmetic(line))
    assert not list(arithmetic('path = folder / "model.safetensors"; name = "+ c" * is_gru; n = a + b'))
