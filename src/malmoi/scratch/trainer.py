"""The loop around a network: a few examples, their loss, the gradients, a step; again until all were read often enough."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, TrainingError
from malmoi.scratch.checks import Array, check_finite
from malmoi.scratch.curve import Curve
from malmoi.scratch.optimisers import Optimiser, clip_grads, remove_duplicates


@runtime_checkable
class Model(Protocol):
    """A network that is trained on pairs (x, t)."""

    params: list[Array]
    grads: list[Array]

    def forward(self, x: Any, t: Any, /) -> float: ...

    def backward(self) -> Any: ...


class Trainer:
    """Trains a network on examples that stand alone. (For texts, where order matters, there is `RnnlmTrainer`.)

    Attributes:
        curve: The mean loss since the point before, over the number of steps; it goes on when `fit` is called again, and
            what was reached stays in it when `fit` is interrupted.
    """

    def __init__(self, model: Model, optimiser: Optimiser) -> None:
        self.model, self.optimiser = model, optimiser
        self.curve = Curve()
        self.n_steps = 0

    def fit(
        self,
        x: NDArray[Any],
        t: NDArray[Any],
        max_epoch: int = 10,
        batch_size: int = 32,
        max_grad: float | None = None,
        eval_interval: int = 20,
        rng: np.random.Generator | None = None,
    ) -> Curve:
        """Read all examples `max_epoch` times, each time in another order; the last batch of an epoch may be smaller.

        Args:
            x: What goes in, (M, ...).
            t: What should come out, (M, ...).
            max_grad: Length at which the gradients of a step are clipped; None leaves them.
            eval_interval: Steps between points of the curve.
            rng: Draws the orders; without it they are those of seed 0.

        Raises:
            ConfigError: If there is no example, x and t are not equally long, or the weights are no finite numbers.
            TrainingError: If the loss stops being a finite number.
        """
        _check_request(x, t, max_epoch, batch_size, eval_interval)
        for place, weight in enumerate(self.model.params):
            check_finite(f"params[{place}]", weight)
        rng = rng or np.random.default_rng(0)
        losses: list[tuple[float, int]] = []  # since the last point, with the number of examples
        for _ in range(max_epoch):
            order = rng.permutation(len(x))
            for first in range(0, len(x), batch_size):
                chosen = order[first : first + batch_size]
                losses.append((self._step(x[chosen], t[chosen], max_grad), len(chosen)))
                if len(losses) == eval_interval:
                    self._add_point(losses)
                    losses = []
        if losses:
            self._add_point(losses)
        return self.curve

    def _step(self, x: NDArray[Any], t: NDArray[Any], max_grad: float | None) -> float:
        """One update; gives the loss before it."""
        loss = self.model.forward(x, t)
        check_loss(loss, self.n_steps)
        self.model.backward()
        update(self.model, self.optimiser, max_grad)
        self.n_steps += 1
        return loss

    def _add_point(self, losses: Sequence[tuple[float, int]]) -> None:
        n_examples = sum(n for _, n in losses)
        self.curve.add(self.n_steps, sum(loss * n for loss, n in losses) / n_examples)

    def plot(self, path: Path | str) -> None:
        """Write the loss curve as an HTML file."""
        self.curve.plot(path, "steps", "loss (nats)")


def update(model: Model, optimiser: Optimiser, max_grad: float | None = None) -> None:
    """One step with the gradients that `backward` left: shared weights added up, clipped, changed."""
    params, grads = remove_duplicates(model.params, model.grads)
    if max_grad is not None:
        clip_grads(grads, max_grad)
    optimiser.update(params, grads)


def check_loss(loss: float, step: int) -> None:
    """Stop a training that has run away.

    Raises:
        TrainingError: If the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss at step {step} is {loss}, expected a finite number: the training has run away. Begin again with a "
            "smaller learning rate, or clip the gradients (max_grad=0.25)."
        )


def _check_request(x: NDArray[Any], t: NDArray[Any], max_epoch: int, batch_size: int, eval_interval: int) -> None:
    if len(x) == 0 or len(x) != len(t):
        raise ConfigError(
            f"x has {len(x)} examples and t has {len(t)}, expected equally many and at least 1. Give a t for each x."
        )
    for name, value in (("max_epoch", max_epoch), ("batch_size", batch_size), ("eval_interval", eval_interval)):
        if value < 1:
            raise ConfigError(f"{name}={value}, expected at least 1. Give for example {name}=10.")
