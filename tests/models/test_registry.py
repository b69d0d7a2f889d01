"""A row of the registry names what there is, and what it names fits where it is used."""

import ast
import re
from pathlib import Path

import pytest

from malmoi.cli import main
from malmoi.engines.networks.network import Network
from malmoi.models.network import NextTokenNetwork
from malmoi.models.options.base import ModelConfig, NeuralConfig
from malmoi.models.registry import LANGUAGE_MODELS, RUNGS, Rung, resolve, rung_of
from malmoi.settings import Settings
from malmoi.training.objectives.objective import Objective

PATH = re.compile(r"malmoi[\w.]*:\w+")
PATHS = [
    (rung, name) for rung in RUNGS.values() for name, value in rung._asdict().items() if PATH.fullmatch(str(value))
]
SOURCE = Path(__file__).parents[2] / "src" / "malmoi"
each = pytest.mark.parametrize("rung", RUNGS.values(), ids=list(RUNGS))


@pytest.mark.parametrize(("rung", "name"), PATHS, ids=lambda value: getattr(value, "name", value))
def test_every_path_of_a_row_leads_somewhere(rung: Rung, name: str) -> None:
    assert callable(resolve(getattr(rung, name)))


@each
def test_what_a_row_names_is_of_the_kind_that_is_asked_for(rung: Rung) -> None:
    assert issubclass(rung.config, ModelConfig)
    assert issubclass(rung.training_settings, Settings)
    assert rung.is_network == issubclass(rung.config, NeuralConfig) == (rung.objective is not None)
    assert (rung.kind == "vectors") == (rung.learns is not None) == (rung.opens is None)
    for path, base in ((rung.network, NextTokenNetwork), (rung.objective, Objective), (rung.numpy, Network)):
        assert path is None or issubclass(resolve(path), base)
    assert set(LANGUAGE_MODELS) == {name for name, row in RUNGS.items() if row.kind == "language model"}


@each
def test_a_rung_is_found_by_its_options(rung: Rung) -> None:
    assert rung_of(rung.config(vocab_size=5)) == rung
    assert rung_of(ModelConfig(vocab_size=5)) is None


def rungs_in(node: ast.AST) -> list[str]:
    """The members of a literal, if they are names of rungs and nothing else."""
    members = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    names = [member.value for member in members if isinstance(member, ast.Constant)]
    return names if len(names) == len(members) > 1 and set(names) <= set(RUNGS) else []


def test_no_table_of_rungs_stands_beside_the_registry() -> None:
    """A literal whose members are all rungs would have to grow with each new one."""
    wrong = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {names}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Dict, ast.Tuple, ast.List, ast.Set)) and (names := rungs_in(node))
    ]
    assert not wrong, "\n".join(wrong)
    assert rungs_in(ast.parse('{"lstm": 1, "gru": 2}', mode="eval").body) == ["lstm", "gru"]


@pytest.mark.parametrize("value", ['["lstm"]', "3", "true", '{name = "lstm"}'])
def test_a_recipe_whose_rung_is_no_name_is_one_message(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'rung = {value}\ntext = "corpus.txt"\n', encoding="utf-8")
    assert main(["train", "--recipe", str(recipe)]) == 2
    told = capsys.readouterr().err
    assert "names no rung. The name of one was expected, as rung = " in told or "unknown table [rung]" in told
    assert "Traceback" not in told
