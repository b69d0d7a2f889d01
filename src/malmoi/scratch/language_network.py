"""What language networks have in common: they read a text window by window, predict each next token, write, and tell how.

Symbols: N batch, T steps, V vocab_size, D embed_dim.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError, RunError
from malmoi.scratch.checks import Array, Ids, check_finite, check_ids, check_shape
from malmoi.scratch.functions import back_in_blocks, length, scores_in_blocks, sum_rows_by_id
from malmoi.scratch.layers import Layer, collect
from malmoi.scratch.recurrent import Carried
from malmoi.scratch.time import TimeAffine, TimeEmbedding, TimeSoftmaxWithLoss
from malmoi.scratch.traces import Lengths, PredictionTrace, RecurrentGradients, RowGradients, StepTrace, TanhGradients
from malmoi.scratch.writing import write


class LanguageNetwork(Layer, ABC):
    """Interface: a network that reads a text window by window and predicts each next token.

    Attributes:
        embedding: The table of vectors (V, D).
        output: The affine map to V scores.
    """

    embedding: TimeEmbedding
    output: TimeAffine

    def __init__(self, embedding: TimeEmbedding, hidden: Sequence[Layer], output: TimeAffine) -> None:
        self._hidden_layers = list(hidden)
        self._loss = TimeSoftmaxWithLoss(in_place=True)
        self.take_ends(embedding, output)

    def take_ends(self, embedding: TimeEmbedding, output: TimeAffine) -> None:
        """Read tokens from another table, and score them by another one."""
        self.embedding, self.output = embedding, output
        self.params, self.grads = collect([embedding, *self._hidden_layers, output])

    @property
    def vocab_size(self) -> int:
        """V."""
        return len(self.embedding.params[0])

    def forward(self, ids: Ids, targets: Ids, train_flag: bool = True) -> float:
        """Mean -ln P(target), in nats, over the places of (N, T) whose target is not -1.

        Raises:
            ConfigError, DataError: If the shapes do not fit, or an id is not in the vocabulary.
        """
        return self._loss.forward(self.output.forward(self._hidden(ids, train_flag)), targets)

    def backward(self, dout: float = 1.0) -> None:
        """Fills `grads`. Valid once after each `forward`."""
        self._hidden_back(self.output.backward(self._loss.backward(dout)))

    def predict(self, ids: Ids, train_flag: bool = False) -> Array:
        """Scores (logits) of every next token: ids (N, T); (N, T, V). It goes on from what was read before, as `forward`."""
        return self.output.forward(self._hidden(ids, train_flag)).copy(order="C")

    @abstractmethod
    def reset_state(self) -> None:
        """Forget what was read: the next window begins a text."""

    @abstractmethod
    def _hidden(self, ids: Ids, train_flag: bool) -> Array:
        """What the output layer reads at each place, (N, T, width)."""

    @abstractmethod
    def _hidden_back(self, d_hidden: Array) -> None:
        """The gradient of that, (N, T, width), through the layers below."""

    @property
    @abstractmethod
    def carried(self) -> list[Carried]:
        """For each layer what the next window begins with."""

    @carried.setter
    @abstractmethod
    def carried(self, state: list[Carried]) -> None: ...

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Read other text in between: a block that begins with a fresh state, and leaves the present one as it was."""
        state = self.carried
        self.reset_state()
        try:
            yield
        finally:
            self.carried = state

    def generate(
        self,
        start_ids: Sequence[int],
        skip_ids: Sequence[int] = (),
        sample_size: int = 100,
        rng: np.random.Generator | None = None,
        *,
        temperature: float | int = 1.0,
        eos_id: int | None = None,
    ) -> list[int]:
        """Write: each token is drawn from P(next | all before), read, and so on. What was read before stays as it is.

        Args:
            start_ids: What stands at the beginning, at least one token.
            skip_ids: Tokens never to be drawn, as that of unknown words.
            sample_size: How many tokens to add.
            rng: Draws them; without it those of seed 0.
            temperature: Divides the scores; 0 always takes the likeliest token.
            eos_id: Stop after this token.

        Returns:
            start_ids, and what was added.
        """
        with self.apart():
            return write(
                lambda ids, n_new: self.predict(np.array([ids[-n_new:]]))[0, -1],
                self.vocab_size,
                start_ids,
                skip_ids,
                sample_size,
                rng,
                temperature=temperature,
                eos_id=eos_id,
            )

    @abstractmethod
    def _named(self) -> dict[str, Array]:
        """Views of all weights, under the names and in the shapes (output, input) of a run's `model.safetensors`."""

    def arrays(self) -> dict[str, Array]:
        """Copies of all weights, under the names and in the shapes of a run's `model.safetensors`."""
        return {name: view.copy(order="C") for name, view in self._named().items()}

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take weights over, as `arrays` gives them.

        Raises:
            RunError: If a name or a shape is another one, or numbers are not finite; then nothing was changed.
        """
        own = self._named()
        for name in sorted(own.keys() | arrays.keys()):
            got = arrays[name].shape if name in arrays else "none"
            expected = own[name].shape if name in own else "none"
            if got != expected:
                raise RunError(
                    f"{name}: the stored weights have shape {got}, this network's {expected}. Build the network with the "
                    "sizes, the number of layers and the tying of the stored one."
                )
        for name, array in arrays.items():
            try:
                check_finite(name, array)
            except ConfigError as error:
                raise RunError(str(error)) from None
        for name, view in own.items():
            view[...] = arrays[name]

    def save(self, path: Path | str) -> None:
        """Write all weights as a safetensors file.

        Raises:
            RunError, TrainingError: If it cannot be written.
        """
        from malmoi.arrays import write_arrays

        write_arrays(Path(path), self.arrays())

    def load(self, path: Path | str) -> None:
        """Read the weights that `save` wrote, or those of a run of the same rung.

        Raises:
            RunError: If the file is missing or damaged, or holds another network.
        """
        from malmoi.arrays import read_arrays

        self.load_arrays(read_arrays(Path(path)))


class TracedNetwork(LanguageNetwork, ABC):
    """Interface: a language network that tells every number of a prediction, and of a training step on it.

    A rung names its own in its row, so that `conversion` can go from a run to the network and back.
    """

    @classmethod
    @abstractmethod
    def of_config(cls, config: Any, start_id: int, rng: np.random.Generator, dtype: DTypeLike) -> "TracedNetwork":
        """A network of these options, a `NeuralConfig` of its rung, whose weights are still to be loaded."""

    @classmethod
    def stands_for(cls, network: LanguageNetwork) -> bool:
        """Whether the rung of this class stores such a network."""
        return isinstance(network, cls)

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Its options, by the names of the rung's; without sizes and ties of embeddings, which all networks have."""

    def trace(self, ids: Ids, n_last: int | None = None) -> PredictionTrace:
        """Every number of P(next token | ids), without dropout. What was read before stays as it is.

        Args:
            ids: The text, (T,), which goes on from what was read before.
            n_last: The numbers of so many of its last tokens are kept; without it, of all.

        Raises:
            ConfigError, DataError: If there are no ids, or one is not in the vocabulary.
        """
        check_shape("ids", ids, ("T",))
        check_ids(ids, self.vocab_size)
        ids = self._read_ids(ids)
        return self._trace(ids, self._rows(ids), len(ids) if n_last is None else min(n_last, len(ids)), self._score)

    def trace_step(self, ids: Ids, target_id: int, learning_rate: float, n_last: int | None = None) -> StepTrace:
        """Every number of a training step on that prediction: W <- W - learning_rate dL/dW of L = -ln P(target).

        The weights are left as they were.

        Args:
            ids: The text, (T,).
            target_id: The token that should be likelier.
            learning_rate: How far the weights move, in lengths of their gradients.
            n_last: The gradients go back through so many tokens; without it, through all.

        Raises:
            ConfigError, DataError: As `trace`, and if the target is not in the vocabulary.
        """
        check_ids(np.array([target_id]), self.vocab_size, "target_id")
        found = self.trace(ids, n_last)
        error = found.probs
        error[target_id] -= 1
        is_tied = self.output.params[0] is self.embedding.params[0]
        d_top = back_in_blocks(error, self._output_rows())
        d_rows, layers = self._trace_back(found, d_top)
        rows = _row_gradients(found.ids, d_rows, error, found.top, is_tied)
        lengths = {"embedding.weight": Lengths(length(self.embedding.params[0]), rows.length())}
        if not is_tied:
            lengths["output.weight"] = Lengths(length(self.output.params[0]), length(error) * length(found.top))
        lengths["output.bias"] = Lengths(length(self.output.params[1]), length(error))
        hidden = self._hidden_named()
        lengths |= {name: Lengths(length(weight), length(gradient)) for name, weight, gradient in hidden}

        def moved_score(top: Array) -> Array:
            """The scores with the ends moved, whose moved tables are never made."""
            scores = self._score(top) - learning_rate * error * (found.top @ top + 1)  # the 1 is the bias
            if is_tied:
                scores[rows.ids] -= learning_rate * rows.read @ top
            return scores

        before = [weight.copy() for _, weight, _ in hidden]
        for _, weight, gradient in hidden:
            weight -= learning_rate * gradient
        ids = self._read_ids(ids)
        after = self._trace(ids, self._rows(ids) - learning_rate * rows.of(ids), len(found.ids), moved_score)
        for (_, weight, _), old in zip(hidden, before, strict=True):
            weight[...] = old
        return StepTrace(found, error, d_top, d_rows, layers, rows, lengths, after.log_probs)

    def _rows(self, ids: Ids) -> Array:
        """Of the embedding, (T, D), in the precision of the layers above."""
        return self.embedding.params[0][ids].astype(self._hidden_layers[0].params[0].dtype)  # type: ignore[no-any-return]

    def _output_rows(self) -> Array:
        """(V, width): a row for each token."""
        W = self.output.params[0]
        return W if self.output.transposed else W.T

    def _score(self, top: Array) -> Array:
        """The scores of all tokens, (V,), for what the softmax reads, (width,)."""
        return self.output.params[1] + scores_in_blocks(self._output_rows(), top)  # type: ignore[no-any-return]

    def _read_ids(self, ids: Ids) -> Ids:
        """The part of a text that a prediction depends on."""
        return ids

    @abstractmethod
    def _trace(self, ids: Ids, rows: Array, n_last: int, score: Callable[[Array], Array]) -> PredictionTrace:
        """From rows of the embedding (T, D) to ln P; the numbers of the last tokens are kept, and `carried` stays."""

    @abstractmethod
    def _trace_back(
        self, found: PredictionTrace, d_top: Array
    ) -> tuple[Array, list[RecurrentGradients] | list[TanhGradients]]:
        """dL/drows of the last trace, and what there is between; fills the gradients of the hidden layers."""

    @abstractmethod
    def _hidden_named(self) -> list[tuple[str, Array, Array]]:
        """Of each weight between the ends: its name in a run, itself, and its gradient."""


def _row_gradients(ids: Ids, d_rows: Array, error: Array, top: Array, is_tied: bool) -> RowGradients:
    """From the gradient of each embedding that was read; a token that was read twice has one row, and both gradients."""
    distinct, which = np.unique(ids, return_inverse=True)
    read = np.empty((len(distinct), d_rows.shape[1]), d_rows.dtype)
    sum_rows_by_id(d_rows, which, out=read)
    return RowGradients(distinct, read, error, top, is_tied)
