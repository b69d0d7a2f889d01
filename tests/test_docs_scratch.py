"""The tutorials of the scratch networks: their programs print what stands below them, in both languages."""

import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from pages import FENCE

import malmoi.scratch

DOCS = Path(__file__).parents[1] / "docs"
LANGUAGES = ("en", "ko")
PAGES = sorted(page for language in LANGUAGES for page in (DOCS / language / "scratch").glob("*.md"))
EXERCISE = {"en": "## Exercise", "ko": "## 연습 문제"}
ANSWER = {"en": "**Answer.**", "ko": "**답.**"}


def name_of(page: Path) -> str:
    return f"{page.parts[-3]}-{page.stem}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_tutorial_does_what_it_says(page: Path) -> None:
    """As readers run it: in a process of its own, where types are not checked at every call, and PyTorch is never imported."""
    command = [sys.executable, "-X", "utf8", "-W", "error", pages.__file__, str(page)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_a_tutorial_in_both_languages() -> None:
    english, korean = ({page.name for page in PAGES if page.parts[-3] == language} for language in LANGUAGES)
    assert english == korean


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_tutorial_is_in_the_index_and_names_its_networks(language: str) -> None:
    folder = DOCS / language / "scratch"
    index = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[[^]]+\]\((\w+\.md)\) \| ([^|]+) \|", index, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(
        page.name for page in folder.glob("*.md") if page.stem != "README"
    )
    for name, networks in rows:
        text = (folder / name).read_text(encoding="utf-8")
        for network in re.findall(r"`(\w+)`", networks):
            assert re.search(rf"^from malmoi\.scratch\.\w+ import .*\b{network}\b", text, re.MULTILINE), (name, network)


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=name_of)
def test_each_exercise_is_answered_by_a_program(page: Path) -> None:
    language = page.parts[-3]
    _, exercise = page.read_text(encoding="utf-8").split(EXERCISE[language])
    _, answer = exercise.split(ANSWER[language])
    assert any(name == "python" for name, _ in FENCE.findall(answer))


def test_every_network_has_a_tutorial() -> None:
    """A network that nobody shows is one that nobody finds."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if page.parts[-3] == "en")
    modules = {path.stem for path in Path(malmoi.scratch.__file__).parent.glob("*.py")}
    for module in ("classifier", "word2vec", "nnlm", "rnnlm", "seq2seq", "transformer"):
        assert module in modules
        assert f"malmoi.scratch.{module} import" in text
