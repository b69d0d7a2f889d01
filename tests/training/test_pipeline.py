"""From a text to a run, whole: plans, budgets, resuming, refusals."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import malmoi
from malmoi.arrays import read_arrays
from malmoi.data.tokens import TextCounts
from malmoi.errors import ConfigError, DataError, RunError, TrainingError
from malmoi.models.options.base import NeuralConfig
from malmoi.models.options.recurrent import LSTMConfig, RNNConfig
from malmoi.models.registry import Rung, build_model, find_rung
from malmoi.runs.folder import read_config, read_metrics
from malmoi.text.choosing import choose_tokenizer
from malmoi.training.budget import parse_budget
from malmoi.training.loop import Trainer
from malmoi.training.objectives.next_token import NextToken
from malmoi.training.pipeline import train
from malmoi.training.planner import check_memory, dropout_for, flops_per_token, make_plan
from malmoi.training.progress import Interrupted, Reporter
from malmoi.training.request import read_recipe, read_request
from malmoi.training.settings import TrainingSettings

RECIPES = Path(__file__).parents[2] / "recipes"
TINY = {
    "embed_dim": 12,
    "hidden_size": 16,
    "batch_size": 4,
    "window": 6,
    "tokenizer": "char",
    "precision": "float32",
    "learning_rate": 2.0,
}


class Listener(Reporter):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.evaluations: list[Any] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def evaluated(self, report: Any) -> None:
        self.evaluations.append(report)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small language: subject, verb, object, with agreement that a model can learn."""
    rng = random.Random(0)
    lines = []
    for _ in range(400):
        animal, verb = rng.choice(
            [("고양이가", "잔다"), ("강아지가", "뛴다"), ("the cat", "sleeps"), ("the dogs", "run")]
        )
        lines.append(f"{animal} {verb} {rng.choice(['오늘', 'today', 'here', '여기'])}")
    path = tmp_path_factory.mktemp("corpus") / "animals.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_model_learns_the_text_and_its_run_can_be_used(corpus: Path, tmp_path: Path) -> None:
    listener = Listener()
    options = {**TINY, "embed_dim": 32, "hidden_size": 32, "window": 16, "learning_rate": 10.0, "clip_norm": 1.0}
    run = malmoi.train(
        "lstm", corpus, out=tmp_path / "run", steps=400, evaluate_every=100, reporter=listener, **options
    )
    figures = run.config.figures
    assert figures["valid"]["bits_per_byte"] < 0.6  # uniform over the characters would be above 3
    assert run.evaluate(corpus).bits_per_byte == pytest.approx(figures["valid"]["bits_per_byte"], rel=0.3)
    assert [word.text for word in run.next("고양이가", 1)] == ["잔다"]
    assert run.complete("the ca", 1)[0].completion == "cat"
    assert run.generate("the dogs", max_tokens=5, temperature=0)[0].startswith(" run")
    assert not (run.folder / "checkpoint").exists()
    assert [row["step"] for row in read_metrics(run.folder)] == [100, 200, 300, 400]
    assert "bits per byte" in (run.folder / "README.md").read_text()
    assert any("validation" in stage for stage in listener.stages)


def test_two_equal_runs_have_equal_bytes(corpus: Path, tmp_path: Path) -> None:
    runs = [malmoi.train("gru", corpus, out=tmp_path / name, steps=30, evaluate_every=10, **TINY) for name in "ab"]
    first, second = (read_arrays(run.folder / "model.safetensors") for run in runs)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def stop_after(folder: Path, step: int) -> Reporter:
    class Stopper(Reporter):
        def trained(self, report: Any) -> None:
            if report.step == step:
                os.kill(os.getpid(), signal.SIGINT)

    return Stopper()


@pytest.mark.parametrize(
    ("name", "noise"), [("lstm", "dropout_recurrent"), ("rnn", "dropout_recurrent"), ("nnlm", "dropout_input")]
)
def test_ctrl_c_saves_and_resuming_gives_the_weights_of_an_uninterrupted_run(
    name: str, noise: str, corpus: Path, tmp_path: Path
) -> None:
    options = {"steps": 40, "evaluate_every": 10, noise: 0.3, "checkpoint_seconds": 1e9, **TINY}
    whole = malmoi.train(name, corpus, out=tmp_path / "whole", **options)
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted, match=str(out)):
        malmoi.train(name, corpus, out=out, reporter=stop_after(out, 17), **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train({"resume": True, "out": out})
    expected, got = (read_arrays(folder / "model.safetensors") for folder in (whole.folder, out))
    assert all(np.array_equal(expected[key], got[key]) for key in expected)
    assert [row["step"] for row in read_metrics(out)] == [10, 20, 30, 40]
    first, second = (read_config(folder).figures["valid"] for folder in (whole.folder, out))
    assert first["nll_nats"] == second["nll_nats"]


def test_kill_9_at_random_moments_then_resume_is_bit_identical(corpus: Path, tmp_path: Path) -> None:
    """A real process, killed at points nobody chose, resumed until it is done."""
    options = {"steps": 160, "evaluate_every": 20, "checkpoint_seconds": 0.05, "dropout_output": 0.4, **TINY}
    whole = malmoi.train("lstm", corpus, out=tmp_path / "whole", **options)
    out = tmp_path / "killed"
    script = (
        "import json, sys; from malmoi.training.pipeline import train\n"
        "import torch; torch.set_num_threads(int(sys.argv[2]))\n"
        "train(json.loads(sys.argv[1]))"
    )
    fresh = {"rung": "lstm", "text": str(corpus), "out": str(out), **options}
    rng, kills = random.Random(time.time_ns()), 0
    for attempt in range(12):
        request = {"resume": True, "out": str(out)} if (out / "checkpoint" / "progress.json").is_file() else fresh
        if request is fresh and out.exists():
            for path in sorted(out.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        process = subprocess.Popen([sys.executable, "-c", script, json.dumps(request), str(torch.get_num_threads())])
        if attempt < 3:
            deadline = time.monotonic() + 60
            while not (out / "checkpoint" / "progress.json").is_file() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.25))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
        elif process.wait() == 0:
            break
        if not (out / "checkpoint").exists() and read_config(out).figures.get("valid"):
            break
    assert kills >= 1
    expected, got = (read_arrays(folder / "model.safetensors") for folder in (whole.folder, out))
    assert all(np.array_equal(expected[key], got[key]) for key in expected)
    assert [row["step"] for row in read_metrics(out)] == list(range(20, 161, 20))


def test_a_budget_is_planned_and_kept(corpus: Path, tmp_path: Path) -> None:
    listener = Listener()
    began = time.monotonic()
    run = malmoi.train("lstm", corpus, out=tmp_path / "run", budget="6s", started=began, reporter=listener)
    assert run.config.training["budget_seconds"] == 6
    assert run.config.figures["training_seconds"] < 6
    text = " ".join(listener.stages)
    for chosen in ("tokenizer char", "precision", "batch", "width", "dropout", "memory"):
        assert chosen in text
    assert listener.evaluations


def test_a_validation_text_too_long_for_the_budget_keeps_its_figures_from_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("malmoi.training.budget.VALIDATION_SHARE", 0.0)
    listener = Listener()
    run = malmoi.train("lstm", corpus, out=tmp_path / "run", budget="6s", reporter=listener, **TINY)
    assert not any("evaluating on the valid text" in stage for stage in listener.stages)
    figures = run.config.figures["valid"]
    best = min(math.log(report.figures["perplexity"]) for report in listener.evaluations)
    assert figures["perplexity"] == pytest.approx(math.exp(best))
    assert figures["bits_per_byte"] == pytest.approx(
        (best * figures["tokens"] + figures["spelling_nats"]) / math.log(2) / figures["bytes"]
    )


def test_a_budget_that_preparing_used_up_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"Preparing the text took \d+ of the 30 seconds.*so another try needs less time"
    ):
        malmoi.train("lstm", corpus, out=tmp_path / "run", budget="30s", started=time.monotonic() - 28)
    assert not (tmp_path / "run").exists()


def test_a_budget_run_goes_on_with_the_time_it_has_left(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        malmoi.train("lstm", corpus, out=out, budget="8s", reporter=stop_after(out, 5), **TINY)
    spent = json.loads((out / "checkpoint" / "progress.json").read_text())["seconds"]
    assert 0 < spent < 8
    train({"resume": True, "out": out, "started": time.monotonic()})
    assert spent < read_config(out).figures["training_seconds"] < 8.5


def test_other_text_is_not_resumed_on(corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(corpus.read_bytes())
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        malmoi.train("lstm", text, out=out, steps=20, evaluate_every=5, reporter=stop_after(out, 3), **TINY)
    with open(text, "a") as file:
        file.write("one more line\n")
    with pytest.raises(RunError, match="The train text of .* has changed since training began.*Put the old text back"):
        train({"resume": True, "out": out})


def test_a_finished_run_cannot_be_resumed(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    malmoi.train("lstm", corpus, out=out, steps=2, evaluate_every=1, **TINY)
    with pytest.raises(RunError, match="has no checkpoint to resume from. Its training is finished"):
        train({"resume": True, "out": out})


def test_a_folder_in_use_is_not_touched(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "diary.txt").write_text("secret")
    with pytest.raises(
        RunError, match="exists already and is not empty; nothing in it was changed. Choose another --out"
    ):
        malmoi.train("lstm", corpus, out=out, steps=1, evaluate_every=1, **TINY)
    assert [path.name for path in out.iterdir()] == ["diary.txt"]


def test_default_names_count_up(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [malmoi.train("rnn", corpus, steps=1, evaluate_every=1, **TINY).folder for _ in range(2)]
    assert names == [Path("runs/rnn-animals"), Path("runs/rnn-animals-2")]
    assert malmoi.load("rnn-animals").config.family == "rnn"


def test_a_tokenizer_is_taken_over_from_another_run(corpus: Path, tmp_path: Path) -> None:
    first = malmoi.train("lstm", corpus, out=tmp_path / "a", steps=1, evaluate_every=1, **TINY)
    options = {key: value for key, value in TINY.items() if key != "tokenizer"}
    second = malmoi.train(
        "rnn", corpus, out=tmp_path / "b", steps=1, evaluate_every=1, tokenizer_from=first.folder, **options
    )
    assert second.tokenizer.fingerprint() == first.tokenizer.fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "10m", "epochs": 2.0}, "--budget, --epochs and --steps all say how long"),
        ({"budget": "soon"}, "--budget soon is no training time"),
        ({"budget": "1s"}, "Give at least 5 seconds"),
        ({"hiden_size": 3, "steps": 1}, "Unknown option 'hiden_size' for training. Did you mean 'hidden_size'"),
        ({"tokenizer_from": "x", "tokenizer": "bpe", "steps": 1}, "--tokenizer-from takes a tokenizer as it is"),
        ({"device": "warp", "steps": 1}, "--device warp cannot be used here.*--device cpu"),
        ({"recipe": "missing.toml"}, "There is no recipe 'missing.toml'"),
        ({"dropout_hidden": 2.0, "steps": 1}, "dropout_hidden=2.0 does not fit"),
        ({"steps": 1, "vocab_size": 2}, "vocab_size=2 does not fit"),
    ],
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    options: dict[str, Any], message: str, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        malmoi.train("lstm", corpus, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a rung and a text, as: malmoi train lstm corpus.txt"):
        train({})
    with pytest.raises(ConfigError, match="--resume needs the run to go on with"):
        train({"resume": True})


def test_a_text_shorter_than_one_window_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("a b\n" * 40)
    with pytest.raises(DataError, match=r"too few for batch_size=50 streams of one window of 30 tokens"):
        malmoi.train(
            "lstm", text, valid=text, out=tmp_path / "run", steps=1, evaluate_every=1, batch_size=50, window=30
        )
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_read_and_flags_win_over_it(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('rung = "lstm"\nepochs = 3\n[model]\nhidden_size = 50\n[training]\nwindow = 9\n')
    sorted_request = read_request({"recipe": recipe, "window": 11})
    asked, model, training = sorted_request.request, sorted_request.model, sorted_request.training
    assert (asked.rung, asked.epochs, model, training) == ("lstm", 3, {"hidden_size": 50}, {"window": 11})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rung = lstm", "cannot be read: .*A recipe is a TOML file"),
        ("[modle]\nhidden_size = 3", r"unknown table \[modle\]. Known are \[model\] and \[training\]"),
    ],
)
def test_a_broken_recipe_is_named(text: str, message: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_recipe(recipe)


def test_an_unknown_recipe_key_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('rung = "lstm"\nlerning_rate = 3\n')
    with pytest.raises(ConfigError, match="Unknown option 'lerning_rate'.*Did you mean 'learning_rate'"):
        read_request({"recipe": recipe})


@pytest.mark.parametrize("recipe", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_understood(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALMOI_DATA", "/data")
    asked = read_request({"recipe": recipe}).request
    assert asked.rung == recipe.parent.name
    (written,) = re.findall(r"^text = (.+)$", recipe.read_text(encoding="utf-8"), re.MULTILINE)
    assert asked.text == re.findall(r'"([^"]+)"', written.replace("$MALMOI_DATA", "/data"))
    assert (asked.budget is None) == (not find_rung(recipe.parent.name).is_network)
    parse_budget(asked.budget)


def test_budgets_are_read() -> None:
    assert [parse_budget(text) for text in ("90s", "10m", "1.5h", "30", 12.0)] == [90, 600, 5400, 30, 12]
    assert parse_budget(None) is None


@pytest.mark.parametrize("name", ["nnlm", "rnn", "lstm", "gru"])
@pytest.mark.parametrize("options", [{}, {"tie_embeddings": False, "n_layers": 3}])
def test_the_plan_counts_the_weights_that_there_are(name: str, options: dict[str, Any]) -> None:
    config = find_rung(name).config.parse({"vocab_size": 29, "embed_dim": 5, "hidden_size": 7, **options})
    assert isinstance(config, NeuralConfig)
    parameters = build_model(find_rung(name), config).named_parameters()
    matrices = {key: p.numel() for key, p in parameters if p.dim() == 2}
    between = sum(size for key, size in matrices.items() if not key.startswith(("embedding", "output")))
    assert config.n_hidden_weights == between
    assert flops_per_token(config) == 6 * (between + config.output_width * 29)


def planned(rung: Rung, n_tokens: int = 1_000_000, **training: Any) -> TrainingSettings:
    options = {"precision": "float32", **training}
    return make_plan(rung, 50, n_tokens, None, 1.0, None, {"embed_dim": 8}, options, torch.device("cpu")).training


class Eager(RNNConfig):
    training_defaults: ClassVar[Mapping[str, Any]] = {"optimiser": "adam", "learning_rate": 0.5, "batch_size": 70}


def test_a_rung_has_settings_of_its_own_where_nobody_says_otherwise() -> None:
    rung = find_rung("rnn")._replace(options=f"{__name__}:Eager")
    usual, own = planned(find_rung("lstm")), planned(rung)
    assert (usual.optimiser, usual.learning_rate, usual.batch_size, usual.window) == ("sgd", 30, 20, 20)
    assert (own.optimiser, own.learning_rate, own.batch_size, own.window) == ("adam", 0.5, 70, 20)
    asked = planned(rung, learning_rate=0.25, batch_size=3)
    assert (asked.optimiser, asked.learning_rate, asked.batch_size) == ("adam", 0.25, 3)
    assert planned(rung, optimiser="sgd").learning_rate == 30  # a rate for adam says nothing about sgd
    small = planned(rung, n_tokens=1501)
    assert (small.batch_size, small.window) == (7, 20)  # ten updates an epoch


def test_an_impossible_plan_is_refused_with_advice() -> None:
    config = LSTMConfig(vocab_size=2_000_000, embed_dim=1024, hidden_size=1024)
    with pytest.raises(TrainingError, match=r"would take about \d+\.\d GB and 8.0 GB are free.*smaller --vocab-size"):
        check_memory(config, TrainingSettings(), available=8_000_000_000)


def test_the_tokenizer_follows_from_the_text() -> None:
    assert choose_tokenizer(["the <unk> sat"] * 3, 10**7)[0] == "word"
    assert choose_tokenizer(["a small text"], 1000)[0] == "char"
    assert choose_tokenizer(["a larger text"] * 220_000, 200_000)[:2] == ("bpe", 4000)  # 3 MB, compressed
    assert choose_tokenizer(["a large text"] * 400_000, 50_000_000)[:2] == ("bpe", 8000)


def test_more_epochs_mean_more_dropout() -> None:
    rates = [dropout_for(epochs) for epochs in (0.5, 2.0, 5.0, 10.0, 20.0, 100.0)]
    assert rates == sorted(rates)
    assert rates[0] == 0


class Ids:
    """A small text in memory."""

    def __init__(self, n_tokens: int) -> None:
        self.ids = np.random.default_rng(0).integers(9, size=n_tokens)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.ids[start:stop]


def trainer(folder: Path, seconds: float | None = None, **options: Any) -> Trainer:
    settings = TrainingSettings.parse(
        {"batch_size": 2, "window": 5, "optimiser": "sgd", "learning_rate": 1.0, **options}
    )
    counts = TextCounts(200, 10, 100, 400, 400, 0, 0.0)
    model = build_model(find_rung("lstm"), LSTMConfig(vocab_size=9, embed_dim=4, hidden_size=4), seed=0)
    objective = NextToken(model, Ids(400), Ids(200), counts, settings)
    return Trainer(objective, settings, folder, Reporter(), seconds=seconds)


def test_time_that_was_over_before_the_first_update_makes_no_run(tmp_path: Path) -> None:
    one = trainer(tmp_path, seconds=1e-9)
    with pytest.raises(TrainingError, match="No time was left for a single update"):
        one.run()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_loss_that_is_no_number_stops_training_and_keeps_the_good_weights(tmp_path: Path) -> None:
    one = trainer(tmp_path, steps=30, evaluate_every=5)
    update = one._update

    def poisoned() -> None:
        if one.progress.step == 12:
            with torch.no_grad():
                one.objective.network.output.bias[0] = math.nan
        update()

    one._update = poisoned  # type: ignore[method-assign]
    with pytest.raises(
        TrainingError,
        match=r"stopped being a number at step 13 .*best weights so far \(step \d+\).*--precision float32",
    ):
        one.run()
    kept = read_arrays(tmp_path / "model.safetensors")
    assert all(np.isfinite(array).all() for array in kept.values())


def test_training_stops_early_and_keeps_the_best_weights(tmp_path: Path) -> None:
    """Random text cannot be learned: validation only gets worse."""
    one = trainer(tmp_path, steps=4000, evaluate_every=20, patience=4, learning_rate=5.0)
    one.run()
    assert one.progress.step < 4000
    assert one.progress.best_step < one.progress.step
    best = min(read_metrics(tmp_path), key=lambda row: row["valid_nll"])
    assert best["step"] == one.progress.best_step


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(tmp_path, steps=30, evaluate_every=5)
    one.progress = one.progress.model_copy(update={"step": 3})
    one._save()
    before = (tmp_path / "checkpoint" / "progress.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    one.progress = one.progress.model_copy(update={"step": 6})
    with pytest.raises(TrainingError, match="(?i)full|space"):
        one._save()
    monkeypatch.undo()
    assert (tmp_path / "checkpoint" / "progress.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]
