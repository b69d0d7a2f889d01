"""The training loop knows objectives only: one that has no tokens, no state and no bits per byte is trained by it as well."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from malmoi.arrays import read_arrays
from malmoi.cli.console import ConsoleReporter
from malmoi.layers.noise import Noise
from malmoi.models.registry import RUNGS
from malmoi.runs.card import write_card
from malmoi.runs.folder import RunConfig, read_metrics, trim_metrics
from malmoi.runs.opening import OpenRun
from malmoi.training.loop import Trainer
from malmoi.training.objectives.objective import Batch, Cost, Data, Objective
from malmoi.training.progress import EvaluationReport, Interrupted, Reporter, StepReport
from malmoi.training.settings import TrainingSettings

N_FEATURES, N_CLASSES = 7, 3


class RowClassifier(nn.Module):
    """One row of numbers, one of three classes."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.hidden, self.output = nn.Linear(N_FEATURES, 11), nn.Linear(11, N_CLASSES)

    def forward(self, rows: Float[Tensor, "batch features"], noise: Noise | None) -> Float[Tensor, "batch classes"]:
        hidden = self.hidden(rows).tanh()
        return self.output(hidden if noise is None else hidden * noise.keep(hidden.shape, 0.3, hidden))


class Labels(Objective):
    """-ln P(class | row), the rows drawn anew for each step; validated by how many of them are right.

    `carried` is the running mean of the rows, taken off each batch: something that a resumed run must not lose.
    """

    figure: ClassVar[str] = "valid_accuracy"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        network: RowClassifier,
        rows: Float[np.ndarray, "rows features"],
        labels: Int64[np.ndarray, " rows"],
        settings: TrainingSettings,
    ) -> None:
        self.network: RowClassifier = network
        self.rows, self.labels = torch.from_numpy(rows), torch.from_numpy(labels)
        self.settings, self.steps_per_epoch = settings, len(rows) // settings.batch_size
        self.mean = torch.zeros(N_FEATURES)

    @classmethod
    def on(cls, network: nn.Module, data: Data, settings: TrainingSettings) -> "Labels":
        assert isinstance(network, RowClassifier)
        return cls(network, *data.train, settings)

    def measuring_costs(self, parts: Sequence[Any]) -> list[Cost]:
        return [Cost(0.0, 0.0) for _ in parts]

    def measure(self, run: OpenRun, part: Any) -> dict[str, Any]:
        return {"accuracy": self.validate()}

    @classmethod
    def rehearsal(cls, network: nn.Module, settings: TrainingSettings, noise: Noise) -> Tensor:
        logits: Tensor = network(torch.ones(settings.batch_size, N_FEATURES), noise)
        return logits.logsumexp(dim=1).mean()

    def batch(self, step: int, noise: Noise) -> Batch:
        places = np.random.default_rng([self.settings.seed, step]).integers(
            len(self.rows), size=self.settings.batch_size
        )
        rows = self.rows[places]
        self.mean = 0.9 * self.mean + 0.1 * rows.mean(dim=0)
        loss = nn.functional.cross_entropy(self.network(rows - self.mean, noise), self.labels[places])
        return Batch(loss, len(places))

    @torch.inference_mode()
    def validate(self, share: float = 1.0) -> float:
        guesses = self.network(self.rows - self.mean, None).argmax(dim=1)
        return float((guesses == self.labels).float().mean())

    def told(self, value: float) -> dict[str, float]:
        return {"accuracy": value}

    def recorded(self, value: float) -> dict[str, float]:
        return {self.figure: value}

    def carried(self) -> dict[str, Tensor]:
        return {"mean": self.mean}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        self.mean = tensors["mean"]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Rows of three kinds, each around its own centre."""
    rng = np.random.default_rng(3)
    labels = rng.integers(N_CLASSES, size=120)
    centres = rng.normal(size=(N_CLASSES, N_FEATURES))
    return (centres[labels] + 1.5 * rng.normal(size=(120, N_FEATURES))).astype(np.float32), labels


class Listener(Reporter):
    """Keeps what it is told; stops training after an update where that is asked for."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.evaluations: list[EvaluationReport] = []

    def trained(self, report: StepReport) -> None:
        if report.step == self.stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, report: EvaluationReport) -> None:
        self.evaluations.append(report)


def trainer(folder: Path, reporter: Reporter, resume: bool = False, **options: object) -> Trainer:
    settings = TrainingSettings.parse(
        {"batch_size": 8, "learning_rate": 0.01, "steps": 60, "evaluate_every": 10, "seed": 4, **options}
    )
    return Trainer(Labels(RowClassifier(), *data(), settings), settings, folder, reporter, resume=resume)


def test_an_accuracy_is_pushed_up_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    listener = Listener()
    one = trainer(tmp_path, listener)
    one.run()
    metrics = read_metrics(tmp_path)
    accuracies = [row["valid_accuracy"] for row in metrics]
    assert accuracies[-1] > 0.85 > accuracies[0]
    assert [report.figures for report in listener.evaluations] == [{"accuracy": value} for value in accuracies]
    assert one.progress.best == max(accuracies)
    assert metrics[accuracies.index(max(accuracies))]["step"] == one.progress.best_step
    assert metrics[0].keys() == {"step", "epoch", "tokens", "train_loss", "valid_accuracy", "learning_rate", "seconds"}


def test_a_higher_figure_is_better_where_the_objective_says_so(tmp_path: Path) -> None:
    """With a rate that wrecks the network after its first updates, the best weights are early ones."""
    one = trainer(tmp_path, Listener(), learning_rate=50.0, clip_norm=1e6, patience=3, steps=400)
    one.run()
    accuracies = [row["valid_accuracy"] for row in read_metrics(tmp_path)]
    assert one.progress.best == max(accuracies) > min(accuracies)
    assert one.progress.step < 400  # nothing improved `patience` times


@pytest.mark.parametrize("stop", [1, 17, 40])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(tmp_path: Path, stop: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    trainer(whole, Listener()).run()
    with pytest.raises(Interrupted):
        trainer(parts, Listener(stop_after=stop)).run()
    again = trainer(parts, Listener(), resume=True)
    assert again.progress.step == stop
    trim_metrics(parts, again.progress.step)
    again.run()
    once, resumed = (read_arrays(folder / "model.safetensors") for folder in (whole, parts))
    assert all(np.array_equal(once[name], resumed[name]) for name in once)
    without_time = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in read_metrics(folder)]
        for folder in (whole, parts)
    ]
    assert without_time[0] == without_time[1]


def test_the_progress_line_names_the_figure_of_the_objective(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ConsoleReporter() as reporter:
        trainer(tmp_path, reporter).run()
    told = capsys.readouterr().err
    assert "accuracy 0." in told
    assert "bits per byte" not in told


def test_a_card_tells_the_figures_of_any_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run of labels will be described: by its own figures, and nothing of bits per byte."""
    rung = RUNGS["lstm"]._replace(name="labels", kind="classifier")
    monkeypatch.setitem(RUNGS, "labels", rung)
    config = RunConfig(
        family="labels",
        model={"vocab_size": 9, "embed_dim": 3, "hidden_size": 4, "n_layers": 2},
        training={"steps": 60},
        tokenizer={"kind": "word", "vocab_size": 9},
        data={"train": {"bytes": 1234, "sha256": "ab" * 32}},
        figures={"valid": {"accuracy": 0.9, "macro_f1": 0.85}, "steps": 60, "epochs": 4.0, "parameters": 5},
    )
    write_card(tmp_path, config)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "A `labels` classifier, trained with malmoi" in card
    assert "| data | accuracy | macro f1 |\n| --- | --- | --- |\n| valid | 0.9000 | 0.8500 |" in card
    assert "embedding, hidden, layers | 3, 4, 2" in card
    assert "bits per byte" not in card
