"""Everything but training the neural rungs works where only malmoi's own dependencies are installed, with the same answers.

A folder of links to the distributions that `pip install malmoi` brings, and to nothing else, stands in for such an environment:
PyTorch is not hidden there, it is not there. One process runs every command in it; this one computes the same with PyTorch.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

import malmoi
from malmoi.arrays import write_arrays
from malmoi.cli import main
from malmoi.models.registry import LANGUAGE_MODELS, RUNGS, build_model
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer, train_tokenizer

LINES = ["나는 학교에 간다", "너는 집에 간다", "the cat sat on the mat", "the dog sat on the mat"]
UNUSUAL = {  # options that reach code which the defaults leave out
    "rnn": {"n_layers": 2},
    "lstm": {"tie_embeddings": False},
    "nnlm": {"direct": True, "context_size": 3},
}
NEURAL = {name: UNUSUAL.get(name, {}) for name, rung in LANGUAGE_MODELS.items() if rung.is_network}
SAMPLING = {"max_tokens": 25, "temperature": 0.9, "top_p": 0.95, "seed": 3}
CHILD = """
import contextlib, importlib.util, io, json, sys
from malmoi.cli import main

answers = {"torch": importlib.util.find_spec("torch") is not None}
for name, words in json.loads(sys.argv[1]).items():
    out, err = io.StringIO(), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"the c\\nna\\n"), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    answers[name] = json.loads(out.getvalue()) if code == 0 else {"code": code, "message": err.getvalue()}
print(json.dumps(answers))
"""


def core_distributions() -> Iterator[importlib.metadata.Distribution]:
    """malmoi's dependencies without any extra, theirs, and so on."""
    wanted, seen = list(importlib.metadata.requires("malmoi") or ()), set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        yield distribution
        wanted += distribution.requires or ()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with malmoi's own dependencies, and malmoi."""
    folder = tmp_path_factory.mktemp("site")
    for distribution in core_distributions():
        for first in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            place = Path(str(distribution.locate_file(first)))
            if place.exists() and not (folder / first).exists():
                (folder / first).symlink_to(place)
    (folder / "malmoi").symlink_to(Path(malmoi.__file__).parent)
    return folder


def save_neural_run(folder: Path, name: str, tokenizer: Tokenizer) -> None:
    folder.mkdir()
    sizes = {"vocab_size": tokenizer.vocab_size, "embed_dim": 9, "hidden_size": 13}
    config = RUNGS[name].config.parse({**sizes, **NEURAL[name]})
    network = build_model(RUNGS[name], config, seed=4, start_id=tokenizer.eos_id)
    arrays = {key: 4 * weight.detach().numpy() for key, weight in network.named_parameters()}
    tokenizer.save(folder)
    write_config(folder, RunConfig(family=name, model=config.model_dump()))
    write_arrays(folder / "model.safetensors", arrays)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of every rung, and a text."""
    folder = tmp_path_factory.mktemp("without-torch")
    (folder / "text.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    tokenizer = train_tokenizer("char", LINES)
    for name in NEURAL:
        save_neural_run(folder / name, name, tokenizer)
    malmoi.train("ngram", TextSource.from_texts(LINES * 9), out=folder / "ngram", tokenizer="char", order=3)
    return folder


def mixture_command(runs: Path) -> list[str]:
    text = str(runs / "text.txt")
    words = ["eval", str(runs / "lstm"), str(runs / "ngram"), text, "--interpolate", "--cache", "--tune", text]
    return [*words, "--json"]


@pytest.fixture(scope="module")
def answers(bare: Path, runs: Path) -> dict[str, Any]:
    """What every command says where PyTorch is not installed, as JSON."""
    text, words = str(runs / "text.txt"), {}
    flags = [part for name, value in SAMPLING.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    for name in (*NEURAL, "ngram"):
        run = str(runs / name)
        words |= {
            f"{name} generate": ["generate", run, "--prompt", "the ", "-n", "2", *flags, "--json"],
            f"{name} next": ["next", run, "the c", "--tokens", "-k", "20", "--json"],
            f"{name} complete": ["complete", run, "--json"],
            f"{name} score": ["score", run, text, "--json"],
            f"{name} eval": ["eval", run, text, "--json"],
            f"{name} info": ["info", run, "--json"],
        }
    words["mixture"] = mixture_command(runs)
    words["train"] = ["train", "gru", text, "--steps", "1", "--out", str(runs / "new")]
    words["torch engine"] = ["next", str(runs / "gru"), "a", "--engine", "torch", "--json"]
    words["gpu"] = ["next", str(runs / "gru"), "a", "--device", "cuda", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(bare), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", CHILD, json.dumps(words)], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_there_is_no_pytorch_in_the_bare_environment(answers: dict[str, Any]) -> None:
    assert not answers["torch"]


@pytest.mark.parametrize("name", [*NEURAL, "ngram"])
def test_a_run_answers_as_with_pytorch(answers: dict[str, Any], runs: Path, name: str) -> None:
    run = malmoi.load(runs / name, engine="torch")
    assert answers[f"{name} generate"]["texts"] == run.generate("the ", n=2, **SAMPLING)
    rows = run.next("the c", 20, whole_words=False)
    found = {row["text"]: row["probability"] for row in answers[f"{name} next"]["next"]}
    assert found == pytest.approx({row.text: row.probability for row in rows}, abs=1e-5)
    for line in answers[f"{name} complete"]["lines"]:
        want = {row.text: row.log_prob for row in run.complete(line["text"])}
        assert {row["text"]: row["log_prob"] for row in line["completions"]} == pytest.approx(want, abs=1e-4)
    np.testing.assert_allclose(answers[f"{name} score"]["log_probs"], list(run.score(LINES)), rtol=0, atol=1e-4)
    evaluation = run.evaluate(runs / "text.txt")
    assert answers[f"{name} eval"]["nll_nats"] == pytest.approx(evaluation.nll_nats, rel=1e-6)
    assert answers[f"{name} info"]["family"] == name


def test_mixtures_and_caches_need_no_pytorch(
    answers: dict[str, Any], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*mixture_command(runs), "--engine", "torch"]) == 0
    want, got = json.loads(capsys.readouterr().out), answers["mixture"]
    for part in ("runs", "mixtures"):
        assert [row["sees_test_text"] for row in got[part]] == [row["sees_test_text"] for row in want[part]]
        assert [row["nll_nats"] for row in got[part]] == pytest.approx(
            [row["nll_nats"] for row in want[part]], rel=1e-4
        )
    assert got["runs"][2]["nll_nats"] < got["runs"][0]["nll_nats"]  # with a cache of hidden vectors, and without


@pytest.mark.parametrize("name", ["train", "torch engine", "gpu"])
def test_what_needs_pytorch_says_how_to_get_it(answers: dict[str, Any], name: str) -> None:
    assert answers[name]["code"] == 2
    assert re.search(
        r"needs PyTorch, which is not installed. Type: pip install 'malmoi\[neural\]'", answers[name]["message"]
    )


def test_every_language_model_was_asked() -> None:
    assert {*NEURAL, "ngram"} == set(LANGUAGE_MODELS)
