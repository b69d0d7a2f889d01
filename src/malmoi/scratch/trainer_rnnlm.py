"""The loop around a language model: a text is read in order, window by window, in several streams side by side."""

import math
from pathlib import Path

from malmoi.errors import ConfigError
from malmoi.scratch.checks import Ids, check_finite, check_ids
from malmoi.scratch.curve import Curve
from malmoi.scratch.language_network import LanguageNetwork
from malmoi.scratch.optimisers import Optimiser
from malmoi.scratch.rnnlm import streams
from malmoi.scratch.trainer import check_loss, update


class RnnlmTrainer:
    """Trains a language model by truncated back-propagation through time.

    Attributes:
        curve: The training perplexity since the point before, over the number of steps. It goes on when `fit` is called again,
            and what was reached stays in it when `fit` is interrupted, by Ctrl-C as well.
    """

    def __init__(self, model: LanguageNetwork, optimiser: Optimiser) -> None:
        self.model, self.optimiser = model, optimiser
        self.curve = Curve()
        self.n_steps = 0
        self._nll, self._n_tokens = 0.0, 0  # since the last point

    def fit(
        self,
        xs: Ids,
        ts: Ids,
        max_epoch: int = 10,
        batch_size: int = 20,
        time_size: int = 35,
        max_grad: float | None = None,
        eval_interval: int = 20,
    ) -> Curve:
        """Read the text `max_epoch` times.

        It is cut into `batch_size` equal parts, the streams; stream n begins n parts into the text. Each step reads the
        next window of every stream, and the state goes on from window to window; a new epoch begins without one.

        Args:
            xs: The text as ids, (M,).
            ts: The token after each of them, (M,).
            time_size: Tokens of a window, after which gradients stop; the last window of an epoch may be shorter.
            max_grad: Length at which the gradients of a step are clipped; None leaves them.
            eval_interval: Steps between points of the curve.

        Raises:
            ConfigError: If a size is below 1, the rows do not fit together, or the weights are no finite numbers.
            DataError: If the text is shorter than one window for each stream, or an id is not in the vocabulary.
            TrainingError: If the loss stops being a finite number.
        """
        for name, value in (("max_epoch", max_epoch), ("eval_interval", eval_interval)):
            if value < 1:
                raise ConfigError(f"{name}={value}, expected at least 1. Give for example {name}=10.")
        inputs, targets = streams(xs, ts, batch_size, time_size)
        check_ids(inputs, self.model.vocab_size, "xs")
        check_ids(targets, self.model.vocab_size, "ts")
        for place, weight in enumerate(self.model.params):
            check_finite(f"params[{place}]", weight)
        try:
            for _ in range(max_epoch):
                self.model.reset_state()
                for first in range(0, inputs.shape[1], time_size):
                    window = slice(first, first + time_size)
                    self._step(inputs[:, window], targets[:, window], max_grad)
                    if self.n_steps % eval_interval == 0:
                        self._add_point()
        finally:
            self._add_point()
        return self.curve

    def _step(self, inputs: Ids, targets: Ids, max_grad: float | None) -> None:
        loss = self.model.forward(inputs, targets)
        check_loss(loss, self.n_steps)
        self.model.backward()
        update(self.model, self.optimiser, max_grad)
        self.n_steps += 1
        self._nll += loss * targets.size
        self._n_tokens += targets.size

    def _add_point(self) -> None:
        if self._n_tokens:
            self.curve.add(self.n_steps, math.exp(min(self._nll / self._n_tokens, 700.0)))
        self._nll, self._n_tokens = 0.0, 0

    def plot(self, path: Path | str) -> None:
        """Write the perplexity curve as an HTML file."""
        self.curve.plot(path, "steps", "perplexity")
