"""Which texts the code asks for, read from its source: every call of a Teller with the keys that its first argument can be.

Keys that a call spells out, chooses between, or takes from names of the same function are found by themselves. For those put
together from what only a run knows, COMPOSED says what the open part can be.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, get_args

import malmoi
from malmoi.comparison.bootstrap import Drawn
from malmoi.comparison.bootstrap import Verdict as OfModels
from malmoi.comparison.vectors.settings import FAIR, FIRST
from malmoi.evaluation.vector_comparison import Verdict
from malmoi.models.options.vectors import Word2VecConfig
from malmoi.models.registry import RUNGS
from malmoi.pages.language import Catalogue
from malmoi.thesaurus.concepts import MEASURES

SOURCE = Path(malmoi.__file__).parent
CALLED = ("tell", "_tell", "said")  # what a Teller is called where it is used; `said` is the explanation page's own
CATALOGUES: dict[str, Catalogue] = {  # by the beginning of a file's path; the first that fits
    "cli/compare.py": "comparison",
    "cli/console.py": "progress",
    "cli/demo.py": "demo",
    "cli/explain.py": "explanation",
    "cli/thesaurus.py": "thesaurus",
    "cli/vectors/evaluate.py": "vector_comparison",
    "comparison/vectors/": "vector_comparison",
    "comparison/": "comparison",
    "explain/page.py": "explanation_page",
    "explain/figures.py": "explanation_page",
    "explain/": "explanation",
    "thesaurus/": "thesaurus",
    "vectors/map/": "vector_map",
}
BINDING = (ast.FunctionDef, ast.For, ast.GeneratorExp, ast.ListComp, ast.DictComp, ast.SetComp)
UNITS = ("token", "word", "morpheme", "question")
AXES = (
    "unit",
    "gate",
    "time",
    "token",
    "context",
    "order",
    "part",
    "layer",
    "moment",
    "count",
    "factor",
    "weight",
    "row",
)
SECTIONS = (
    *(
        "ladder",
        "table",
        "failures",
        "differences",
        "curves",
        "pareto",
        "frequency",
        "position",
        "prompt",
        "lines",
        "method",
    ),
)
TABLE = (
    "bits_per_byte",
    "perplexity",
    "word_perplexity",
    "train",
    "disk",
    "memory",
    "latency",
    "throughput",
    "parameters",
)
COMPOSED: dict[tuple[str, str], tuple[str, ...]] = {  # file, first argument -> what its open part can be
    ("cli/console.py", "self._reading"): (
        *("reading", "reading_vectors", "writing_vectors", "reading_file", "writing_file"),
    ),
    ("cli/demo.py", "f'unit_{c}'"): ("s", "m", "h"),
    ("cli/explain.py", "f'cli_{kind}'"): UNITS,
    ("cli/explain.py", "f'cli_part_{part}'"): ("forward", "backward", "mixture"),
    ("cli/thesaurus.py", "measure"): MEASURES,
    ("cli/thesaurus.py", "name"): (*MEASURES, "cosine"),
    ("cli/thesaurus.py", "f'lin_{pair.source}'"): ("wordnet", "text"),
    ("comparison/language.py", "f'idea_{family}'"): (*RUNGS, "uniform", "unigram", ""),
    ("comparison/language.py", "f'gain_{family}'"): (*RUNGS, "uniform", "unigram", ""),
    ("comparison/report.py", "f'section_{name}'"): SECTIONS,
    ("comparison/report.py", "f'fact_budget_{found.verb}'"): ("compare", "ladder"),
    ("comparison/report.py", "f'axis_{name}'"): ("frequency", "position"),
    ("comparison/report.py", "key"): TABLE,
    ("comparison/report.py", "why_not_judged(model)"): ("no_distribution", "hardly_trained", "has_read"),
    ("cli/compare.py", "why_not_judged(model)"): ("no_distribution", "hardly_trained", "has_read"),
    ("comparison/report.py", "verdict"): get_args(OfModels),
    ("comparison/report.py", "f'lead_{difference.verdict}'"): get_args(OfModels),
    ("comparison/report.py", "f'of_{found.drawn}'"): get_args(Drawn),
    ("comparison/vectors/language.py", "f\"verdict_{verdict.replace(' ', '_')}\""): get_args(Verdict),
    ("comparison/vectors/language.py", "f\"count_{verdict.replace(' ', '_')}\""): get_args(Verdict),
    ("comparison/vectors/language.py", "f'setting_{name}'"): (*FIRST, *Word2VecConfig.model_fields),
    ("comparison/vectors/report.py", "f'section_{name}'"): (
        *("similarity", "analogies", "table", "categories", "missing", "settings", "method"),
    ),
    ("comparison/vectors/report.py", "f'n_{one.kind}'"): ("similarity", "analogies"),
    ("comparison/vectors/report.py", "label"): (),  # a wrapper: its callers spell their keys out
    ("explain/figures.py", "f'axis_{name}'"): AXES,
    ("explain/page.py", "f'unit_{kind}'"): UNITS,
    ("explain/page.py", "f'part_{part}'"): ("forward", "backward", "mixture"),
    ("explain/page.py", "between if self.found.among == 'neighbours' and self.tell.has(between) else key"): (),
    ("explain/rungs/ngram.py", "f'method_{named}'"): (
        "kneser-ney",
        "witten-bell",
        "add-k",
        "stupid-backoff",
        "unknown",
    ),
    ("explain/word2vec/steps.py", "f'say_pair_{scene.objective}'"): ("negative", "hierarchical"),
    ("thesaurus/page.py", "measure"): MEASURES,
    ("thesaurus/page.py", "column"): (*MEASURES, "cosine"),
    ("thesaurus/page.py", "f'lin_{pair.source}'"): ("wordnet", "text"),
    ("vectors/map/page.py", "label"): ("search_label", "analogy_a", "analogy_b", "analogy_c"),
    ("vectors/map/page.py", "f'method_{method}'"): ("pca", "tsne", "umap"),
    ("vectors/map/page.py", "f'honest_{method}'"): ("pca", "tsne", "umap"),
}
assert set(FAIR) <= set(FIRST)


@dataclass(frozen=True)
class Asked:
    """One call: where it stands, its first argument, the keys that this can be, and the values that come with it."""

    file: str
    line: int
    written: str
    catalogue: Catalogue
    keys: frozenset[str]
    values: frozenset[str]


def all_asked() -> list[Asked]:
    """Every call of a Teller.

    Raises:
        AssertionError: If the keys of a call are neither found nor declared.
    """
    return [asked for path in sorted(SOURCE.rglob("*.py")) for asked in _of_file(path)]


def _of_file(path: Path) -> Iterator[Asked]:
    file = path.relative_to(SOURCE).as_posix()
    catalogue = next((found for start, found in CATALOGUES.items() if file.startswith(start)), None)
    source = path.read_text(encoding="utf-8")
    if "Teller" not in source and ".tell(" not in source:
        return
    tree = ast.parse(source)
    binding = [node for node in ast.walk(tree) if isinstance(node, BINDING)]
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and call.args and _name(call.func) in CALLED):
            continue
        assert catalogue is not None, f"{file}:{call.lineno} uses a Teller: say in CATALOGUES which texts are its own"
        assert len(call.args) == 1, f"{file}:{call.lineno}: the values of a text are given by name"
        scopes = sorted(
            (node for node in binding if _span(node)[0] <= _span(call)[0] <= _span(node)[1]), key=_span, reverse=True
        )
        written = ast.unparse(call.args[0])
        keys = _declared(file, call.args[0]) if (file, written) in COMPOSED else _found(call.args[0], scopes)
        assert keys is not None, f"{file}:{call.lineno}: say in COMPOSED what keys {written} can be"
        values = frozenset(keyword.arg for keyword in call.keywords if keyword.arg is not None)
        if _name(call.func) == "said":  # of a word between others, where there is such a text
            keys |= {f"{key}_between" for key in keys or ()}
        yield Asked(file, call.lineno, written, catalogue, frozenset(keys), values)


def _name(function: ast.expr) -> str:
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _declared(file: str, key: ast.expr) -> set[str]:
    parts = COMPOSED[file, ast.unparse(key)]
    pieces = key.values if isinstance(key, ast.JoinedStr) else [ast.FormattedValue(key, -1)]
    written = ["{}" if not isinstance(piece, ast.Constant) else str(piece.value) for piece in pieces]
    return {"".join(written).format(part.replace(" ", "_")) for part in parts}


def _span(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    """From where to where it stands in its file."""
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _found(key: ast.expr, scopes: Sequence[ast.AST]) -> set[str] | None:
    """What an expression can be, as far as what stands around it says, innermost first; None where that says nothing."""
    if isinstance(key, ast.Constant):
        return {str(key.value)}
    if isinstance(key, ast.IfExp):
        return _all(_found(part, scopes) for part in (key.body, key.orelse))
    if isinstance(key, ast.BinOp) and isinstance(key.op, ast.Mult) and isinstance(key.left, ast.Constant):
        return {"", str(key.left.value)}  # "_between" * (...): with or without
    if isinstance(key, ast.JoinedStr):
        so_far = {""}
        for piece in key.values:
            ends = _found(piece.value if isinstance(piece, ast.FormattedValue) else piece, scopes)
            if ends is None:
                return None
            so_far = {begin + end for begin in so_far for end in ends}
        return so_far
    if isinstance(key, ast.Name):
        return next((_all(iter(bound)) for scope in scopes if (bound := _bound(key.id, scope, scopes))), None)
    return None


def _bound(name: str, scope: ast.AST, scopes: Sequence[ast.AST]) -> list[set[str] | None]:
    """What each place of the scope that binds the name gives it."""
    found = []
    for node in ast.walk(scope):
        pairs: list[tuple[ast.expr, ast.expr, bool]] = []  # target, source, whether the source is gone through
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value, False) for target in node.targets]
        elif isinstance(node, ast.For | ast.comprehension):
            pairs = [(node.target, node.iter, True)]
        for target, source, is_each in pairs:
            if isinstance(target, ast.Name) and target.id == name:
                found.append(_each(source, scopes) if is_each else _found(source, scopes))
            elif isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple | ast.List):
                rows = [row.elts for row in source.elts if isinstance(row, ast.Tuple)] if is_each else [source.elts]
                pairs += [(part, row[place], False) for place, part in enumerate(target.elts) for row in rows]
    return found


def _each(source: ast.expr, scopes: Sequence[ast.AST]) -> set[str] | None:
    """The entries of a list, spelt out here or under a name of the same function."""
    if isinstance(source, ast.Constant) and isinstance(source.value, str):
        return set(source.value)
    if isinstance(source, ast.Tuple | ast.List):
        return _all(_found(part, scopes) for part in source.elts)
    if isinstance(source, ast.BinOp):  # a list that is there or not
        return _each(source.left, scopes)
    if isinstance(source, ast.IfExp):
        return _all(_each(part, scopes) for part in (source.body, source.orelse))
    if isinstance(source, ast.Name):
        lists = [node.value for node in ast.walk(scopes[-1]) if _binds(node, source.id)]
        both = [side for value in lists for side in ((value.left, value.right) if _is_sum(value) else (value,))]
        return _all(_each(value, scopes) for value in both) if both else None
    return None


def _binds(node: ast.AST, name: str) -> TypeGuard[ast.Assign | ast.AugAssign]:
    if not isinstance(node, ast.Assign | ast.AugAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _is_sum(value: ast.expr) -> bool:
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add)


def _all(found: Iterator[set[str] | None]) -> set[str] | None:
    """All of them, or None if one is not known."""
    sets = list(found)
    return None if None in sets else set().union(*(one for one in sets if one is not None))
