"""The house stands on its floors: a file imports only from floors below its own, or from its own floor without a circle.

Imports inside functions count, and so do those that only a type checker reads: what a file must know to be understood is below
it. What the registry names by dotted path is not an import: it is resolved by whoever asks for it.
"""

import ast
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from malmoi.models.registry import RUNGS

SOURCE = Path(__file__).parent.parent / "src" / "malmoi"
DOCS = Path(__file__).parent.parent / "docs"
FLOORS = [row["rooms"] for row in tomllib.loads((DOCS / "floors.toml").read_text(encoding="utf-8"))["floor"]]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
PUBLIC = "__init__"  # malmoi itself: the names that users import, each found when it is first asked for


def module_of(path: Path) -> str:
    """The dotted name below malmoi, as models.lstm; a package goes by its own name."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == PUBLIC and len(parts) > 1 else parts)


FILES = {module_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imported(node: ast.AST) -> Iterator[str]:
    """Every module of malmoi that is imported somewhere below a node, by its dotted name below malmoi."""
    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom):
            assert not child.level, "imports are written out from malmoi on"
            if child.module and (child.module + ".").startswith("malmoi."):
                base = child.module.removeprefix("malmoi").removeprefix(".")
                for alias in child.names:
                    full = f"{base}.{alias.name}" if base else alias.name
                    yield full if full in FILES else base
        elif isinstance(child, ast.Import):
            for alias in child.names:
                if (alias.name + ".").startswith("malmoi."):
                    yield alias.name.removeprefix("malmoi").removeprefix(".")


ARROWS = {name: set(imported(ast.parse(path.read_text(encoding="utf-8")))) - {name} for name, path in FILES.items()}


def top(module: str) -> str:
    return module.split(".")[0]


def test_every_file_stands_on_a_floor() -> None:
    assert {top(name) for name in FILES} - {PUBLIC} == set(LEVEL)


def test_a_file_imports_only_from_floors_below_its_own() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in ARROWS.items()
        for target in targets
        if name != PUBLIC and top(target) != top(name) and target and LEVEL[top(target)] >= LEVEL[top(name)]
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_file_imports_the_public_names_of_malmoi() -> None:
    """They are for users; inside, a name is imported from where it stands. demo and the doors above it are users, too."""
    assert not [name for name, targets in ARROWS.items() if "" in targets and LEVEL.get(top(name), 0) < LEVEL["demo"]]


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The groups of files that reach each other (Tarjan 1972). The face of a package only passes names on: it has no arrows."""
    graph = {
        name: {target for target in targets if target in arrows and FILES[target].name != f"{PUBLIC}.py"}
        if FILES[name].name != f"{PUBLIC}.py"
        else set()
        for name, targets in arrows.items()
    }
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in order:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], order[target])
        if low[name] == order[name]:
            place = stack.index(name)
            group = sorted(stack[place:])
            del stack[place:]
            if len(group) > 1:
                groups.append(group)

    for name in graph:
        if name not in order:
            visit(name)
    return groups


def running(path: Path) -> set[str]:
    """What a file imports when it runs: blocks for type checkers are left out."""

    class Cut(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            return node.orelse if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    return set(imported(Cut().visit(ast.parse(path.read_text(encoding="utf-8")))))


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles({name: running(path) - {name} for name, path in FILES.items()}) == []


def test_a_circle_would_be_found() -> None:
    some = sorted(name for name, path in FILES.items() if path.name != f"{PUBLIC}.py")[:3]
    ring = {name: {some[(place + 1) % 3]} for place, name in enumerate(some)}
    assert circles(ring) == [some]
    del ring[some[2]]
    assert circles(ring) == []


HOMES = {  # of rungs below models/: what is not among them is shared
    rung.name: f"models.{rung.name}" for rung in RUNGS.values()
}


@pytest.mark.parametrize("rung", HOMES)
def test_no_rung_imports_a_sibling(rung: str) -> None:
    def home(module: str) -> str | None:
        return next((name for name, place in HOMES.items() if (module + ".").startswith(place + ".")), None)

    files = [name for name in FILES if home(name) == rung]
    assert files, f"{rung} is not in models/{rung}"
    wrong = [f"{name} -> {target}" for name in files for target in ARROWS[name] if home(target) not in (None, rung)]
    assert not wrong, "\n".join(wrong)


def test_models_and_what_stands_on_them_to_the_doors_never_import_pytorch_unasked() -> None:
    """Importing it takes seconds: at the head of a file only networks, their layers and what trains them may do so."""
    may = ("layers.", "models.", "engines.torch_engine", "training.loop", "training.objectives.", "training.optimisers")
    wrong = [
        name
        for name, path in FILES.items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and any(alias.name.split(".")[0] == "torch" for alias in node.names)
        | (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch")
        and not name.startswith(may)
    ]
    assert not wrong


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_picture_of_the_house_is_that_of_its_table(language: str) -> None:
    drawn = runpy.run_path(str(DOCS / "floors.py"))["drawn"]
    assert (DOCS / language / "floors.svg").read_text(encoding="utf-8") == drawn(language), (
        "draw it: python docs/floors.py"
    )
