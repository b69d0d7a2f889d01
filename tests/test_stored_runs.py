"""Runs that earlier versions wrote open and answer as they did then.

They lie in tests/stored_runs/ and are never made again; make.py there says how they came to be and how new ones are added.
"""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stored_runs.asking import TEXT, answer, digests, environment, is_same

import malmoi
from malmoi.models.registry import RUNGS
from malmoi.runs.folder import read_config

STORED = Path(__file__).parent / "stored_runs"
KEPT: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".answers.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(STORED.glob("*.answers.json"))
}
ANSWERED = [name for name, kept in KEPT.items() if "asked" in kept]
STOPPED = [name for name, kept in KEPT.items() if "resume" in kept]
FAMILIES = {name: read_config(STORED / name).family for name in KEPT}
NEURAL = [name for name in ANSWERED if FAMILIES[name] in RUNGS and RUNGS[FAMILIES[name]].is_network]
ASKED_ABOUT_LINES = [name for name in ANSWERED if any("line" in asked["question"] for asked in KEPT[name]["asked"])]

# How far an answer may lie from the stored one; for numbers from 1 up, as a share of it. In brackets, how far the answers lay
# from those of the processor that made them, when OpenBLAS, MKL, PyTorch and numba were told that it was an older one.
COUNTED = 1e-9  # (0) tables of counts are looked up, and added up in float64
NUMPY = 1e-6  # (3e-7) float32: every BLAS and every processor adds up in an order of its own
TORCH = 1e-5  # (4e-7) float32 of another engine, whose exponentials are others, too
RESUMED = 1e-5  # (7e-7) some dozens of updates one after the other, in float32


def tolerance_of(name: str) -> float:
    return COUNTED if FAMILIES[name] == "ngram" else NUMPY


CASES = [
    *((name, "auto", tolerance_of(name)) for name in ANSWERED if name not in NEURAL),
    *((name, engine, tolerance) for name in NEURAL for engine, tolerance in (("numpy", NUMPY), ("torch", TORCH))),
]


def copied(name: str, folder: Path) -> Path:
    """A copy, so that nothing can happen to the run that is kept."""
    return Path(shutil.copytree(STORED / name, folder / name))


def check_answers(run: malmoi.Run, name: str, tolerance: float) -> None:
    for asked in KEPT[name]["asked"]:
        now, then = answer(run, asked["question"]), asked["answer"]
        if asked["question"]["ask"] == "generate":  # where a character was torn then, another token is drawn by now
            pairs = [_before_the_tear(*texts) for texts in zip(now, then, strict=True)]
            now, then = [one for one, _ in pairs], [other for _, other in pairs]
        assert is_same(now, then, tolerance), (asked, now)


def _before_the_tear(now: str, then: str) -> tuple[str, str]:
    """Both texts, up to the first character that was not whole then."""
    assert "\ufffd" not in now
    whole = then.partition("\ufffd")[0]
    return (now, then) if whole == then else (now[: len(whole)], whole)


def test_every_rung_has_a_stored_run() -> None:
    assert set(RUNGS) <= {FAMILIES[name] for name in ANSWERED}, "make one: tests/stored_runs/make.py"


def test_every_stored_run_has_answers_and_every_answer_a_run() -> None:
    folders = {path.parent.name for path in STORED.glob("*/config.json")}
    assert folders == set(KEPT)
    assert set(ANSWERED) | set(STOPPED) == set(KEPT)


@pytest.mark.parametrize(
    ("name", "message"),
    [("lstm", "lstm is stored already, and a stored run is never made again"), ("lsmt", "There is no recipe for lsmt")],
)
def test_a_stored_run_is_not_made_again(name: str, message: str) -> None:
    made = subprocess.run([sys.executable, STORED / "make.py", name], capture_output=True, text=True)
    assert made.returncode
    assert message in made.stderr


@pytest.mark.parametrize("name", KEPT)
def test_a_stored_run_is_as_it_was_made(name: str) -> None:
    assert digests(STORED / name) == KEPT[name]["files"], f"{name} was changed; a stored run stays as it is"


@pytest.mark.parametrize("name", KEPT)
def test_a_stored_run_names_no_place_of_the_machine_that_made_it(name: str) -> None:
    for path in (STORED / name).rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md"):
            assert not re.search(r"""(^|[\s"'`(=])(/|~/|[A-Za-z]:\\)\w""", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(("name", "engine", "tolerance"), CASES)
def test_it_answers_as_it_did_and_its_folder_stays_as_it_is(
    name: str, engine: str, tolerance: float, tmp_path: Path
) -> None:
    folder = copied(name, tmp_path)
    check_answers(malmoi.load(folder, engine=engine), name, tolerance)
    assert digests(folder) == KEPT[name]["files"]


@pytest.mark.parametrize("name", ASKED_ABOUT_LINES)
def test_explanations_tell_the_probabilities_that_were_stored(name: str) -> None:
    """A line costs what its tokens and its end cost, and the number explained last is that of the end."""
    run = malmoi.load(STORED / name)
    lines = [asked for asked in KEPT[name]["asked"] if asked["question"]["ask"] == "score"]
    assert lines
    for asked in lines:
        explanation = run.explain(asked["question"]["line"] + "\n")
        units = explanation.surprisals["token"]
        tolerance = tolerance_of(name)
        assert is_same(-sum(unit.nats for unit in units), asked["answer"], tolerance)
        assert is_same(explanation.probability, math.exp(-units[-1].nats), tolerance)


@pytest.mark.parametrize("name", [name for name in ANSWERED if FAMILIES[name] == "ngram"])
def test_a_run_of_before_pays_for_its_white_space_by_now(name: str) -> None:
    """It has no layout.json: single spaces are taken for what there is, so they cost little, and others much."""
    run = malmoi.load(STORED / name)
    assert not (STORED / name / "layout.json").exists()
    plain, odd = (malmoi.TextSource.from_texts([line] * 9) for line in ("the cat sat", "the  cat\tsat "))
    nats = [run.evaluate(text).layout_nats for text in (plain, odd)]
    assert nats == [0, 0] if run.tokenizer.is_lossless else 0 < nats[0] < 0.1 < 9 < nats[1]


@pytest.mark.parametrize("name", STOPPED)
def test_a_training_that_was_stopped_then_goes_on_now(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the run that the version that began it trained without a stop: to the byte where packages and processor are
    the same, otherwise up to rounding, since BLAS and compilers add up in an order that suits the processor.
    """
    resume = KEPT[name]["resume"]
    folder, whole = copied(name, tmp_path), KEPT[resume["answers_of"]]
    monkeypatch.chdir(TEXT)  # where the validation text is looked for, by the pattern that the run has recorded
    run = malmoi.train(resume["rung"], TEXT / resume["text"], out=folder, resume=True)
    check_answers(run, resume["answers_of"], RESUMED)
    assert not (folder / "checkpoint").exists()
    if environment() == whole["with"]:
        assert digests(folder)["model.safetensors"] == whole["files"]["model.safetensors"]
