"""The training loop: windows in, updates out, until the steps or the clock run out.

Everything random depends on (seed, step) alone, so a run that was killed and resumed makes the very updates that it would
have made: with the same thread count, a run planned in steps ends in the same bytes.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from malmoi.data.tokens import TextCounts
from malmoi.data.windows import BPTTWindows, Tokens, Window
from malmoi.errors import TrainingError
from malmoi.layers.noise import Noise
from malmoi.models.network import NetworkState, NextTokenNetwork
from malmoi.runs import append_metrics, write_arrays
from malmoi.training.checkpoint import FOLDER, Progress, load_checkpoint, save_checkpoint
from malmoi.training.objectives import detached, next_token_loss, window_nll
from malmoi.training.optimisers import Optimiser
from malmoi.training.progress import EvaluationReport, Interrupted, Reporter, StepReport
from malmoi.training.settings import TrainingSettings
from malmoi.training.stopping import stop_requests

VALIDATION_STREAMS, VALIDATION_WINDOW = 32, 128
RUNNING_MEAN = 0.02  # weight of the newest update in the loss and speed that are shown
EVALUATION_SPACING = 40  # by the clock, training takes at least so many times as long as the evaluations between it
SHORTEST_EARLY_DESCENT = 0.1  # of the run: what a descent that a plateau brings forward takes at least


class Trainer:
    """Trains one model and keeps its run folder in order.

    Args:
        folder: The run folder; config.json and the tokenizer are in it already.
        seconds: How long training may take, its evaluations included; None where the settings say how many steps.
        resume: Go on from the folder's checkpoint.
    """

    def __init__(
        self,
        model: NextTokenNetwork,
        train: Tokens,
        valid: Tokens,
        valid_counts: TextCounts,
        settings: TrainingSettings,
        folder: Path,
        reporter: Reporter,
        seconds: float | None = None,
        resume: bool = False,
    ) -> None:
        self.model, self.settings, self.folder, self.reporter = model, settings, folder, reporter
        self.seconds, self.valid_counts = seconds, valid_counts
        self.device = model.output.weight.device
        self.windows = BPTTWindows(train, settings.batch_size, settings.window, settings.seed)
        self.valid_windows = validation_windows(valid)
        self.optimiser = Optimiser(
            settings.optimiser,
            model.named_parameters(),
            settings.clip_norm,
            (settings.beta1, settings.beta2),
            settings.weight_decay,
            settings.layer_rate,
        )
        self.progress = Progress()
        self.state: NetworkState | None = None
        self.best: dict[str, Tensor] | None = None  # best weights that are not on disk yet
        self._began = time.monotonic()
        self._rate = 0.0  # tokens per second, running mean
        self._evaluation_seconds = 0.0  # what the last evaluation took
        self._last_evaluation = 0.0  # when it was, in seconds of training
        if resume:
            self._load()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return time.monotonic() - self._began

    @property
    def fraction(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.settings.steps is not None:
            return self.progress.step / self.settings.steps
        assert self.seconds is not None
        return self.elapsed / max(self.seconds - self._evaluation_seconds, 1e-9)  # the last evaluation is still to come

    def run(self) -> None:
        """Train to the end; afterwards the run folder holds the best weights and no checkpoint.

        Raises:
            Interrupted: After a stop request, with a checkpoint saved.
            TrainingError: If the loss is no longer a number, or the disk is full.
        """
        last_save = time.monotonic()
        evaluated_at = self.progress.step
        try:
            with stop_requests() as stop:
                if not self.progress.step:
                    self._save()  # from here on there is something to resume
                while self.fraction < 1 and not self._is_hopeless():
                    self._update()
                    if self._evaluation_is_due():
                        self._evaluate()
                        evaluated_at = self.progress.step
                    if stop.is_set():
                        self._save()
                        raise Interrupted(str(self.folder))
                    if time.monotonic() - last_save > self.settings.checkpoint_seconds:
                        self._save()
                        last_save = time.monotonic()
            if evaluated_at != self.progress.step or self.progress.best_nll is None:
                self._evaluate()
            self._save_best()
        finally:
            self.reporter.finished()

    def _update(self) -> None:
        settings, step = self.settings, self.progress.step
        began = time.monotonic()
        window = self.windows.at(step)
        if window.starts_epoch:
            self.state = None
        learning_rate = settings.learning_rate * self._rate_factor()
        noise = Noise(settings.seed, step)
        inputs, targets = (torch.from_numpy(part).to(self.device) for part in window[:2])
        loss, self.state = next_token_loss(self.model, inputs, targets, self.state, noise)
        nll = float(loss.detach())
        if math.isfinite(nll):
            loss.backward()
            norm = self.optimiser.step(learning_rate)
        if not (math.isfinite(nll) and math.isfinite(norm)):
            self._stop_at_nan(step)
        n_tokens = inputs.numel()
        seconds = max(time.monotonic() - began, 1e-9)
        mean = self.progress.train_nll
        mean = nll if mean is None else mean + RUNNING_MEAN * (nll - mean)
        rate = n_tokens / seconds
        self._rate = self._rate + RUNNING_MEAN * (rate - self._rate) if self._rate else rate
        self.progress = self.progress.model_copy(
            update={
                "step": step + 1,
                "tokens": self.progress.tokens + n_tokens,
                "seconds": self.elapsed,
                "train_nll": mean,
            }
        )
        fraction = self.fraction
        self.reporter.trained(
            StepReport(step + 1, fraction, mean, self._rate, self._seconds_left(fraction), learning_rate)
        )

    def _rate_factor(self) -> float:
        """The schedule, with its descent brought forward if a plateau did so."""
        schedule, began, now = self.settings.schedule, self.progress.decay_began_at, self.fraction
        if began is None:
            return schedule.factor(now)
        descended = (now - began) / self._early_descent(began)
        return schedule.factor(schedule.decay_from + descended * (1 - schedule.decay_from))

    @staticmethod
    def _early_descent(began: float) -> float:
        """How much of the run a descent takes that began early, at a plateau: half as long as what came before it."""
        return max(SHORTEST_EARLY_DESCENT, began / 2)

    def _seconds_left(self, fraction: float) -> float:
        if self.seconds is not None:
            return max(0.0, self.seconds - self.elapsed)
        return self.elapsed * (1 - fraction) / fraction if fraction else math.inf

    def _is_hopeless(self) -> bool:
        """Validation has not improved for `patience` evaluations, or an early descent is over."""
        began = self.progress.decay_began_at
        if began is not None and self.fraction >= began + self._early_descent(began):
            return True
        return self.progress.evaluations_since_best >= self.settings.patience

    def _evaluation_is_due(self) -> bool:
        if self.settings.evaluate_every is not None:
            return self.progress.step % self.settings.evaluate_every == 0
        assert self.seconds is not None
        spacing = max(self.settings.evaluate_share * self.seconds, EVALUATION_SPACING * self._evaluation_seconds)
        return self.elapsed - self._last_evaluation >= spacing

    def _evaluate(self) -> None:
        began = time.monotonic()
        nll = validation_nll(self.model, self.valid_windows)
        self._evaluation_seconds = time.monotonic() - began
        self._last_evaluation = self.elapsed
        progress = self.progress
        is_best = math.isfinite(nll) and (progress.best_nll is None or nll < progress.best_nll)
        update: dict[str, Any] = {"evaluations_since_best": progress.evaluations_since_best + 1}
        if is_best:
            update = {"best_nll": nll, "best_step": progress.step, "evaluations_since_best": 0}
            self.best = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        elif (
            progress.decay_began_at is None
            and self.fraction < self.settings.schedule.decay_from
            and 2 * update["evaluations_since_best"] >= self.settings.patience
        ):
            update["decay_began_at"] = self.fraction
            self.reporter.stage("validation no longer improves: the learning rate descends from here on, early")
        self.progress = progress.model_copy(update=update)
        counts = self.valid_counts
        bits = (nll * counts.n_tokens + counts.spelling_nats) / (math.log(2) * counts.n_bytes)
        report = EvaluationReport(
            progress.step, progress.step / self.windows.steps_per_epoch, nll, bits, is_best, self.elapsed
        )
        append_metrics(
            self.folder,
            {
                "step": report.step,
                "epoch": round(report.epoch, 4),
                "tokens": progress.tokens,
                "train_nll": progress.train_nll,
                "valid_nll": nll,
                "valid_perplexity": report.perplexity,
                "valid_bits_per_byte": bits,
                "learning_rate": self.settings.learning_rate * self._rate_factor(),
                "seconds": round(self.elapsed, 2),
            },
        )
        self.reporter.evaluated(report)

    def _save_best(self) -> None:
        if self.best is not None:
            arrays = {name: tensor.cpu().numpy() for name, tensor in self.best.items()}
            write_arrays(self.folder / "model.safetensors", arrays)
            self.best = None

    def _save(self) -> None:
        """The best weights, then the checkpoint."""
        self._save_best()
        self.progress = self.progress.model_copy(update={"seconds": self.elapsed})
        carried = {
            f"{depth}/{index}": tensor
            for depth, layer in enumerate(self.state or [])
            for index, tensor in enumerate(layer)
        }
        save_checkpoint(
            self.folder,
            self.progress,
            {
                "weights": dict(self.model.named_parameters()),
                "optimiser": self.optimiser.state(),
                "carried": carried,
            },
        )

    def _load(self) -> None:
        self.progress, groups = load_checkpoint(self.folder, ("weights", "optimiser", "carried"))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(groups["weights"][name])
        self.optimiser.load_state(groups["optimiser"])
        carried = groups["carried"]
        if carried:
            depths = range(1 + max(int(key.split("/")[0]) for key in carried))
            self.state = [
                tuple(carried[key].to(self.device) for key in sorted(carried) if key.split("/")[0] == str(depth))
                for depth in depths
            ]
        self._began = time.monotonic() - self.progress.seconds
        self._last_evaluation = self.progress.seconds

    def _stop_at_nan(self, step: int) -> None:
        self._save_best()
        kept = (
            f"The best weights so far (step {self.progress.best_step}) are in {self.folder}"
            if self.progress.best_nll is not None
            else f"No evaluation had been made yet, so {self.folder} holds the checkpoint alone"
        )
        raise TrainingError(
            f"The loss stopped being a number at step {step + 1} (learning rate "
            f"{self.settings.learning_rate * self._rate_factor():.3g}). {kept}; the checkpoint in {self.folder / FOLDER} is "
            "from before. Train again with a smaller --learning-rate or --precision float32."
        )


def validation_windows(tokens: Tokens) -> list[Window]:
    """The validation text cut into a few long streams, all of it but a remainder shorter than the number of streams."""
    streams = max(1, min(VALIDATION_STREAMS, (len(tokens) - 1) // VALIDATION_WINDOW))
    window = min(VALIDATION_WINDOW, (len(tokens) - 1) // streams)
    windows = BPTTWindows(tokens, streams, window, seed=0)
    return [windows.at(step) for step in range(windows.steps_per_epoch)]


def validation_nll(model: NextTokenNetwork, windows: list[Window]) -> float:
    """Mean nats per token, quickly: in the training precision, the state carried along each of a few streams."""
    device = model.output.weight.device
    total, n_tokens = 0.0, 0
    state: NetworkState | None = None
    for window in windows:
        inputs, targets = (torch.from_numpy(part).to(device) for part in window[:2])
        nll, state = window_nll(model, inputs, targets, state)
        total, n_tokens = total + nll, n_tokens + inputs.numel()
        state = detached(state)
    return total / n_tokens
