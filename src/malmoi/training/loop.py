"""The training loop: batches in, updates out, until the steps or the clock run out. What a batch is, the objective knows.

Everything random depends on (seed, step) alone, so a run that was killed and resumed makes the very updates that it would
have made: with the same thread count, a run planned in steps ends in the same bytes.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from malmoi.arrays import write_arrays
from malmoi.clock import Clock
from malmoi.errors import TrainingError
from malmoi.layers.noise import Noise
from malmoi.runs.folder import append_metrics
from malmoi.training.budget import EVALUATION_SPACING, FIRST_VALIDATION, VALIDATION_OF_LEFT
from malmoi.training.checkpoint import FOLDER, Progress, load_checkpoint, save_checkpoint
from malmoi.training.objectives.objective import Objective
from malmoi.training.optimisers import Optimiser
from malmoi.training.progress import EvaluationReport, Interrupted, Reporter, StepReport
from malmoi.training.settings import TrainingSettings
from malmoi.training.stopping import stop_requests

FIRST_SHARE = 0.01  # of the warm-up: what the first update is taken for, as by the clock nobody knows yet
RUNNING_MEAN = 0.02  # weight of the newest update in the loss and speed that are shown
SHORTEST_EARLY_DESCENT = 0.1  # of the run: what a descent that a plateau brings forward takes at least


class Trainer:
    """Trains one network by one objective and keeps its run folder in order.

    Args:
        objective: What is learnt, from what, and how it is judged.
        folder: The run folder; config.json and the tokenizer are in it already.
        seconds: How long training may take, its evaluations included; None where the settings say how many steps.
        resume: Go on from the folder's checkpoint.
    """

    def __init__(
        self,
        objective: Objective,
        settings: TrainingSettings,
        folder: Path,
        reporter: Reporter,
        seconds: float | None = None,
        resume: bool = False,
    ) -> None:
        self.objective, self.settings, self.folder, self.reporter = objective, settings, folder, reporter
        self.optimiser = Optimiser(
            settings.optimiser,
            objective.network.named_parameters(),
            settings.clip_norm,
            (settings.beta1, settings.beta2),
            settings.weight_decay,
            settings.layer_rate,
        )
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None  # best weights that are not on disk yet
        self._rate = 0.0  # tokens per second, running mean
        self._evaluation_seconds = 0.0  # what the last evaluation took
        self._last_evaluation = 0.0  # when it was, in seconds of training
        if resume:
            self._load()
        self.clock = Clock(seconds, spent=self.progress.seconds)

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.clock.elapsed()

    @property
    def fraction(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.settings.steps is not None:
            return self.progress.step / self.settings.steps
        assert self.clock.seconds is not None
        time_for_steps = self.clock.seconds - self._evaluation_seconds  # the last evaluation is still to come
        return self.elapsed / max(time_for_steps, 1e-9)

    def run(self) -> None:
        """Train to the end; afterwards the run folder holds the best weights.

        Raises:
            Interrupted: After a stop request, with a checkpoint saved.
            TrainingError: If there was no time for a single update, the loss is no longer a number, or the disk is full.
        """
        last_save = time.monotonic()
        evaluated_at = self.progress.step
        try:
            with stop_requests() as stop:
                if not self.progress.step:
                    self._save()  # from here on there is something to resume
                while self.fraction < 1 and not self._is_hopeless():
                    self._update()
                    if self.clock.seconds is not None and not self._evaluation_seconds:
                        self._price_evaluation()
                    if self._evaluation_is_due():
                        self._evaluate()
                        evaluated_at = self.progress.step
                    if stop.is_set():
                        self._save()
                        raise Interrupted(str(self.folder))
                    if time.monotonic() - last_save > self.settings.checkpoint_seconds:
                        self._save()
                        last_save = time.monotonic()
            if not self.progress.step:
                raise TrainingError(
                    "No time was left for a single update, so there is no model: preparing the text took nearly all of it. "
                    "Give a longer --budget."
                )
            if evaluated_at != self.progress.step or self.progress.best is None:
                self._evaluate()
            self._save_best()
        finally:
            self.reporter.finished()

    def _update(self) -> None:
        settings, step = self.settings, self.progress.step
        began = time.monotonic()
        learning_rate = settings.learning_rate * self._rate_factor()
        batch = self.objective.batch(step, Noise(settings.seed, step))
        loss = float(batch.loss.detach())
        if math.isfinite(loss):
            batch.loss.backward()
            norm = self.optimiser.step(learning_rate)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._stop_at_nan(step)
        seconds = max(time.monotonic() - began, 1e-9)
        mean = self.progress.train_loss
        mean = loss if mean is None else mean + RUNNING_MEAN * (loss - mean)
        rate = batch.size / seconds
        self._rate = self._rate + RUNNING_MEAN * (rate - self._rate) if self._rate else rate
        self.progress = self.progress.model_copy(
            update={
                "step": step + 1,
                "tokens": self.progress.tokens + batch.size,
                "seconds": self.elapsed,
                "train_loss": mean,
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
            return schedule.factor(now, self._share_of_update(now))
        descended = (now - began) / self._early_descent(began)
        return schedule.factor(schedule.decay_from + descended * (1 - schedule.decay_from))

    def _share_of_update(self, now: float) -> float:
        """How much of the run one update takes; by the clock, as those before it did on average."""
        if self.settings.steps is not None:
            return 1 / self.settings.steps
        step = self.progress.step
        return now / step if step else FIRST_SHARE * self.settings.schedule.warmup

    @staticmethod
    def _early_descent(began: float) -> float:
        """How much of the run a descent takes that began early, at a plateau: half as long as what came before it."""
        return max(SHORTEST_EARLY_DESCENT, began / 2)

    def _seconds_left(self, fraction: float) -> float:
        if self.clock.seconds is not None:
            return self.clock.left()
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
        assert self.clock.seconds is not None
        if self.progress.step < FIRST_VALIDATION or self._evaluation_seconds > VALIDATION_OF_LEFT * self.clock.left():
            return False
        spacing = max(self.settings.evaluate_share * self.clock.seconds, EVALUATION_SPACING * self._evaluation_seconds)
        return self.elapsed - self._last_evaluation >= spacing

    def _price_evaluation(self) -> None:
        """How long an evaluation will take, of how much of the validation data: no more than fits into the time."""
        seconds = max(self.objective.validation_seconds(), 1e-6)
        allowed = VALIDATION_OF_LEFT * self.clock.left()
        self._evaluation_seconds = min(seconds, allowed)
        share = min(1.0, max(allowed, 1e-6) / seconds)
        if share < self.progress.valid_share:
            self.reporter.stage(
                f"validation while training: on {share:.0%} of the validation text, as much as fits into the time"
            )
            self.progress = self.progress.model_copy(update={"valid_share": share})

    def _evaluate(self) -> None:
        began = time.monotonic()
        value = self.objective.validate(self.progress.valid_share)
        self._evaluation_seconds = time.monotonic() - began
        self._last_evaluation = self.elapsed
        progress = self.progress
        is_best = math.isfinite(value) and self.objective.is_better(value, progress.best)
        update: dict[str, Any] = {"evaluations_since_best": progress.evaluations_since_best + 1}
        if is_best:
            update = {"best": value, "best_step": progress.step, "evaluations_since_best": 0}
            self.best = {name: p.detach().clone() for name, p in self.objective.network.named_parameters()}
        elif (
            progress.decay_began_at is None
            and self.fraction < self.settings.schedule.decay_from
            and 2 * update["evaluations_since_best"] >= self.settings.patience
        ):
            update["decay_began_at"] = self.fraction
            self.reporter.stage("validation no longer improves: the learning rate descends from here on, early")
        self.progress = progress.model_copy(update=update)
        epoch = progress.step / self.objective.steps_per_epoch
        append_metrics(
            self.folder,
            {
                "step": progress.step,
                "epoch": round(epoch, 4),
                "tokens": progress.tokens,
                f"train_{self.objective.loss_name}": progress.train_loss,
                **self.objective.recorded(value),
                "learning_rate": self.settings.learning_rate * self._rate_factor(),
                "seconds": round(self.elapsed, 2),
            },
        )
        figures = self.objective.told(value)
        self.reporter.evaluated(EvaluationReport(progress.step, epoch, figures, is_best, self.elapsed))

    def _save_best(self) -> None:
        if self.best is not None:
            arrays = {name: tensor.cpu().numpy() for name, tensor in self.best.items()}
            write_arrays(self.folder / "model.safetensors", arrays)
            self.best = None

    def _save(self) -> None:
        """The best weights, then the checkpoint."""
        self._save_best()
        self.progress = self.progress.model_copy(update={"seconds": self.elapsed})
        groups: dict[str, dict[str, Tensor]] = {
            "weights": {name: weight.data for name, weight in self.objective.network.named_parameters()},
            "optimiser": self.optimiser.state(),
            "carried": self.objective.carried(),
        }
        save_checkpoint(self.folder, self.progress, groups)

    def _load(self) -> None:
        self.progress, groups = load_checkpoint(self.folder, ("weights", "optimiser", "carried"))
        with torch.no_grad():
            for name, parameter in self.objective.network.named_parameters():
                parameter.copy_(groups["weights"][name])
        self.optimiser.load_state(groups["optimiser"])
        self.objective.carry(groups["carried"])
        self._last_evaluation = self.progress.seconds

    def _stop_at_nan(self, step: int) -> None:
        self._save_best()
        kept = (
            f"The best weights so far (step {self.progress.best_step}) are in {self.folder}"
            if self.progress.best is not None
            else f"No evaluation had been made yet, so {self.folder} holds the checkpoint alone"
        )
        raise TrainingError(
            f"The loss stopped being a number at step {step + 1} (learning rate "
            f"{self.settings.learning_rate * self._rate_factor():.3g}). {kept}; the checkpoint in {self.folder / FOLDER} is "
            "from before. Train again with a smaller --learning-rate or --precision float32."
        )
