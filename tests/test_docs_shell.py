"""The shell examples of the documentation do what the pages say: each runs, on small texts, and prints what stands below it.

Both languages of a page are followed in one folder, English first; a command that both have runs once.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import shell
import stand_ins
from shell import Answer, Example

from malmoi import machine
from malmoi.cli.console import ConsoleReporter
from malmoi.comparison import measuring
from malmoi.models.registry import RUNGS
from malmoi.pages.language import read_texts
from malmoi.training import planner, steps

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
NOT_RUN = {  # beginnings of commands that are only parsed (in test_docs.py), and why
    "make ": "installs what the tests run in, and runs them",
    "python3 -m venv ": "makes the environment that the tests run in",
    ". ": "enters it",
    "pip install ": "needs a network",
    "apt-get install ": "needs a network",
    "malmoi demo": "trains by the clock, on what is on this machine; tests/cli/test_demo.py takes the tour",
}
WRITES = ("--out", "--html", "--report", "--csv", "--arrays")  # before a name: the command makes it
PRINTS_WORDS = ("complete",)  # verbs that print words of the text and nothing else
ENOUGH = 320_000  # bytes of a text that a page makes: a little more than where subwords are planned
LASTING, WIDTHS, NARROW = {"--budget", "--epochs", "--steps"}, ("--hidden-size", "--embed-dim"), 16
IN_VAIN = (
    "--learning-rate",
    "1e-30",
    "--evaluate-every",
    "1",
    "--patience",
    "1",
    "--valid",
    "valid.txt",
)  # no gain: it stops
LADDER = ("costs", "same", "saves", "untested")  # keys of what the last column of a ladder says; the figures choose


def by_topic() -> dict[str, list[Example]]:
    """The examples that run, by the name of their page."""
    found: dict[str, list[Example]] = {}
    for page in sorted(PAGES, key=lambda page: (page.name.endswith(".ko.md"), "ko" in page.parts, page)):
        for example in shell.examples(page):
            if commands := [line for line in example.commands if not line.startswith(tuple(NOT_RUN))]:
                topic = page.name.removesuffix(".md").removesuffix(".ko")
                found.setdefault(topic, []).append(example._replace(commands=commands))
    return found


TOPICS = by_topic()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts and runs for every page."""
    folder = tmp_path_factory.mktemp("shelf")
    stand_ins.write_texts(folder)
    for recipe in (folder / "recipes").rglob("*.toml"):
        recipe.write_text(soon_done(recipe.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


@pytest.fixture
def desk(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Desk":
    folder = tmp_path / "desk"
    shutil.copytree(shelf, folder, ignore=shutil.ignore_patterns("made"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MALMOI_DATA", str(folder / "data"))
    monkeypatch.setenv("MALMOI_WORDNET", str(folder / "wordnet"))
    monkeypatch.setattr(planner, "DEFAULT_WIDTH", NARROW)
    monkeypatch.setattr(steps, "shortfall", lambda *_: "")  # which those of a page are not
    monkeypatch.setattr(machine, "measure_matmul", lambda *_: 1e3)  # GFLOP/s; to measure takes longer than to train
    monkeypatch.setattr(measuring, "peak_memory", lambda *_: 100_000_000)  # bytes; else a process for each model
    return Desk(stand_ins.Runs(shelf), monkeypatch)


class Desk:
    """Where a page is followed, command by command."""

    def __init__(self, runs: stand_ins.Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs, self.monkeypatch = runs, monkeypatch
        self.answers: dict[str, Answer] = {}
        self.trained: dict[str, list[str]] = {}  # run -> the command that made it

    def follow(self, example: Example) -> Answer:
        """Run the commands of an example; the answer to the last one."""
        write_recipe(example.page)
        answer = Answer(0, "", "")
        for command in example.commands:
            answer = self.run(command, is_shown=bool(example.shown) and not example.is_exact)
            assert answer.code == 0, f"{command}\n{answer.told}"
            assert not re.search(r"Traceback|Warning:", answer.told), f"{command}\n{answer.told}"
            if promised := shell.promised(command):
                numbers = re.findall(r"\t(-?\d\.\d+)$", answer.out, re.MULTILINE)
                assert [len(number) for number in numbers] == [len(number) for number in promised], command
        return answer

    def run(self, command: str, *, is_shown: bool) -> Answer:
        given, answer = b"", Answer(0, "", "")
        for words in shell.stages(command):
            words, target = (words[:-2], words[-1]) if ">" in words else (words, "")
            if words[0] == "malmoi":
                answer = self.malmoi(shortened(words[1:], is_shown), given)
            else:
                answer = Answer(0, shell.program(words, given).decode(), "")
            given = answer.out.encode()
            if target:
                Path(target).write_bytes(given[:ENOUGH].rpartition(b"\n")[0] + b"\n")
        return answer

    def malmoi(self, words: list[str], given: bytes) -> Answer:
        key = repr((words, given))
        if key not in self.answers:
            for name in names_in(words):
                if not Path(name).exists():
                    self.runs.lay(name, Path.cwd())
            if "--resume" in words:
                self.stop(words[words.index("--out") + 1])
            elif words[0] == "train" and "--out" in words:
                self.trained[words[words.index("--out") + 1]] = words
            self.answers[key] = shell.malmoi(words, given)
        return self.answers[key]

    def stop(self, run: str) -> None:
        """Train the run once more, and press Ctrl-C."""
        shutil.rmtree(run)
        with self.monkeypatch.context() as patch:
            patch.setattr(ConsoleReporter, "evaluated", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            answer = shell.malmoi(shortened(self.trained[run], is_shown=False))
        assert answer.code == 130, answer.told
        assert f"Go on with: malmoi train --resume --out {run}" in answer.told


def write_recipe(page: Path) -> None:
    """The recipe that a page shows is the file that its commands name."""
    for recipe in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        Path("small.toml").write_text(soon_done(recipe), encoding="utf-8")


def soon_done(recipe: str) -> str:
    return re.sub(r"^budget = .*$", "epochs = 0.1", recipe, flags=re.MULTILINE)


def names_in(words: list[str]) -> Iterator[str]:
    """The files and runs that a command reads."""
    for before, word in pairwise(["", *words]):
        if before not in WRITES:
            yield from word.split(",")


def shortened(words: list[str], is_shown: bool) -> list[str]:
    """The same command with less to train: a few updates, or where the page shows what is planned, no use in more of them."""
    words = [str(NARROW) if before in WIDTHS else word for before, word in pairwise(["", *words])]
    lasting = [word for before, word in pairwise(["", *words]) if not {before, word} & LASTING]
    if words[0] in ("compare", "ladder"):
        return [words[0], "corpus.txt", *lasting[2:], "--steps", "1"]  # which is small, whatever the page made
    if words[0] == "train" and words[1] in RUNGS and RUNGS[words[1]].is_network:
        return [*words, *IN_VAIN] if is_shown and "--budget" in words else [*lasting, "--steps", "2"]
    return words


def gains() -> re.Pattern[str]:
    """What may stand in the last column of a ladder."""
    told = read_texts("comparison")
    sentences = [sentence.split("  ")[-1] for key in LADDER for sentence in told[key].values()]
    spoken = [sentence for sentence in sentences if not re.fullmatch(r"\{\w+\}", sentence)]
    patterns = [re.sub(r"\\\{\w+\\\}", "[a-z0-9+:-]+", re.escape(sentence)) for sentence in spoken]
    patterns += [re.escape(gain) for key in told if key.startswith("gain_") for gain in told[key].values()]
    return re.compile(rf"(?:[−+-]{shell.NUMBER}|{'|'.join(patterns)})")


@pytest.mark.parametrize("topic", TOPICS)
def test_each_command_runs_and_prints_what_stands_below_it(topic: str, desk: Desk) -> None:
    for example in TOPICS[topic]:
        answer = desk.follow(example)
        verb = shell.stages(example.commands[-1])[-1][1]
        found = ""
        if example.is_exact:
            found = shell.differs(example.shown, answer.out, is_exact=True)
        elif verb in PRINTS_WORDS:
            found = shell.differs_in_columns(example.shown, answer.out)
        elif example.shown:
            alike = gains() if verb == "ladder" else None
            found = shell.differs(example.shown, answer.told, is_exact=False, alike=alike)
        assert not found, f"{example.page.relative_to(ROOT)}:{example.line}: {found}"


def test_what_is_not_run_is_on_some_page() -> None:
    lines = [line for page in PAGES for example in shell.examples(page) for line in example.commands]
    assert [begins for begins in NOT_RUN if not any(line.startswith(begins) for line in lines)] == []


@pytest.mark.parametrize(
    ("shown", "printed", "is_exact", "holds"),
    [
        ("a  0.5\nb  7", "a\t0.25\nb\t9\nmore", False, True),
        ("a  0.5\nc  7", "a\t0.25\nb\t9", False, False),  # a word
        ("a  0.5\nb", "a\t0.25\nb\t9", False, False),  # a column
        ("a  0.5\nb  7", "a\t0.25\n\nx\nb\t9", False, False),  # a line between
        ("a  0.5\n...\nb  7", "first\na\t0.25\nx\nb\t9", False, True),
        ("took  2.5 s", "took\t1:23", False, True),
        ("3.6 MB  ...  end", "12 kB\t1\t2\tend", False, True),
        ("a  0.5\nb  7", "a\t0.5\nb\t7\n", True, True),
        ("a  0.5\nb  7", "a\t0.5\nb\t8\n", True, False),
        ("a  0.5\nb  7", "a\t0.5\nb\t7\nmore", True, False),
        ("a  0.5\n...", "a\t0.5\nb\t7\nmore", True, True),
        ("b  7", "a\t0.5\nb\t7", True, False),
    ],
)
def test_a_difference_is_found(shown: str, printed: str, is_exact: bool, holds: bool) -> None:
    assert (shell.differs(shown, printed, is_exact=is_exact) == "") == holds


@pytest.mark.parametrize(
    ("printed", "holds"), [("x\ty\tz\nu", True), ("x\ty\tz", False), ("x\ty\tz\nu\tv\tw\tx", False)]
)
def test_columns_are_counted(printed: str, holds: bool) -> None:
    assert (shell.differs_in_columns("a  b  c\nd  e  f", printed) == "") == holds
