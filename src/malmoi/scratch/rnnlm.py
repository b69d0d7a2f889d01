"""Recurrent language models: SimpleRnnlm (Elman), Rnnlm (LSTM) and BetterRnnlm (two LSTMs, dropout along depth, tied weights).

    ids -> embedding -> recurrent layers -> affine map -> softmax with loss

Every network here reads a window of ids (N, T), and goes on in the next window where it stopped in this one. Their weights
have the names and shapes of the rungs `rnn` and `lstm` when they are saved, so that a run's `model.safetensors` can be
loaded here and back.

Sources: Mikolov et al. 2010 for the recurrent language model; Zaremba et al. 2014 (arXiv:1409.2329) for dropout along
depth; Gal & Ghahramani 2016 (arXiv:1512.05287) for one mask over all steps; Press & Wolf 2017 (arXiv:1608.05859) for tied
weights.

Symbols: N batch, T steps, V vocab_size, D embed_dim, H hidden_size.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.scratch.checks import Array, Ids, check_finite
from malmoi.scratch.layers import Layer, collect, random_weights
from malmoi.scratch.recurrent import Carried, TimeGRU, TimeLSTM, TimeRecurrent, TimeRNN
from malmoi.scratch.time import TimeAffine, TimeDropout, TimeEmbedding, TimeSoftmaxWithLoss
from malmoi.scratch.writing import write

EMBEDDING_SPREAD = 0.1  # of fresh embeddings; at 0.01 the first epoch is spent on making them larger


class LanguageNetwork(Layer, ABC):
    """Interface: a network that reads a text window by window and predicts each next token.

    Attributes:
        embedding: The table of vectors (V, D).
        output: The affine map to V scores.
    """

    embedding: TimeEmbedding
    output: TimeAffine

    def __init__(self, embedding: TimeEmbedding, hidden: Sequence[Layer], output: TimeAffine) -> None:
        self.embedding, self.output = embedding, output
        self._loss = TimeSoftmaxWithLoss(in_place=True)
        self.params, self.grads = collect([embedding, *hidden, output])

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


class RecurrentNetwork(LanguageNetwork):
    """Embedding, recurrent layers with dropout before, between and after them, affine map, softmax.

    Args:
        embedding: (V, D).
        recurrent: From the bottom; each as wide as the next one's input.
        output: From the last one's width to V.
        dropout: Probability of silencing a unit for a window, along depth.
        rng: Draws the masks.
    """

    def __init__(
        self,
        embedding: TimeEmbedding,
        recurrent: Sequence[TimeRecurrent],
        output: TimeAffine,
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(embedding, recurrent, output)
        self.recurrent = list(recurrent)
        rng = rng or np.random.default_rng(0)
        self.dropouts = [TimeDropout(dropout, rng) for _ in range(len(self.recurrent) + 1)]

    def reset_state(self) -> None:
        for layer in self.recurrent:
            layer.reset_state()

    @property
    def carried(self) -> list[Carried]:
        return [layer.carried for layer in self.recurrent]

    @carried.setter
    def carried(self, state: list[Carried]) -> None:
        for layer, part in zip(self.recurrent, state, strict=True):
            layer.carried = part

    def _hidden(self, ids: Ids, train_flag: bool) -> Array:
        for dropout in self.dropouts:
            dropout.train_flag = train_flag
        x = self.dropouts[0].forward(self.embedding.forward(ids))  # (N, T, D)
        for layer, dropout in zip(self.recurrent, self.dropouts[1:], strict=True):
            x = dropout.forward(layer.forward(x))  # (N, T, H)
        return x

    def _hidden_back(self, d_hidden: Array) -> None:
        for layer, dropout in zip(reversed(self.recurrent), reversed(self.dropouts), strict=False):
            d_hidden = layer.backward(dropout.backward(d_hidden))
        self.embedding.backward(self.dropouts[0].backward(d_hidden))

    def _named(self) -> dict[str, Array]:
        named = {"embedding.weight": self.embedding.params[0], "output.bias": self.output.params[1]}
        if not self.output.transposed:
            named["output.weight"] = self.output.params[0].T
        for depth, layer in enumerate(self.recurrent):
            prefix = f"layers.{depth}."
            named |= {f"{prefix}from_input.weight": layer.params[0].T, f"{prefix}from_hidden.weight": layer.params[1].T}
            named[f"{prefix}from_input.bias"] = layer.params[2]
            if isinstance(layer, TimeGRU):
                named[f"{prefix}from_hidden.bias"] = layer.params[3]
        return named


class SimpleRnnlm(RecurrentNetwork):
    """One Elman layer.

    Args:
        vocab_size: V.
        embed_dim: D.
        hidden_size: H.
        rng: Draws the weights.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 100,
        hidden_size: int = 100,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        embedding = random_embedding(vocab_size, embed_dim, rng, dtype)
        layer = TimeRNN(*_random_recurrent(embed_dim, hidden_size, 1, rng, dtype), stateful=True)
        super().__init__(embedding, [layer], random_output(embedding, hidden_size, False, rng, dtype))


class Rnnlm(RecurrentNetwork):
    """One LSTM layer. The arguments are those of `SimpleRnnlm`."""

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 100,
        hidden_size: int = 100,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        embedding = random_embedding(vocab_size, embed_dim, rng, dtype)
        layer = TimeLSTM(*_random_recurrent(embed_dim, hidden_size, 4, rng, dtype), stateful=True)
        super().__init__(embedding, [layer], random_output(embedding, hidden_size, False, rng, dtype))


class BetterRnnlm(RecurrentNetwork):
    """Two LSTM layers or more, dropout along depth, and one matrix that reads and writes tokens.

    Args:
        vocab_size: V.
        embed_dim: D.
        hidden_size: H; where the weights are tied, the last layer is D wide, as the embeddings that the softmax shares.
        dropout: Probability of silencing a unit for a window.
        rng: Draws the weights and the masks.
        n_layers: LSTM layers.
        tie_weights: Whether the softmax uses the table of embeddings.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 650,
        hidden_size: int = 650,
        dropout: float = 0.5,
        *,
        rng: np.random.Generator,
        n_layers: int = 2,
        tie_weights: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        embedding = random_embedding(vocab_size, embed_dim, rng, dtype)
        widths = [embed_dim] + [hidden_size] * n_layers
        if tie_weights:
            widths[-1] = embed_dim
        layers = [
            TimeLSTM(*_random_recurrent(widths[depth], widths[depth + 1], 4, rng, dtype), stateful=True)
            for depth in range(n_layers)
        ]
        super().__init__(embedding, layers, random_output(embedding, widths[-1], tie_weights, rng, dtype), dropout, rng)


def random_embedding(vocab_size: int, embed_dim: int, rng: np.random.Generator, dtype: DTypeLike) -> TimeEmbedding:
    """A table of small vectors (V, D)."""
    for name, value in (("vocab_size", vocab_size), ("embed_dim", embed_dim)):
        if value < 1:
            raise ConfigError(f"{name}={value}, expected at least 1. Give for example {name}=100.")
    return TimeEmbedding(random_weights(rng, vocab_size, embed_dim, scale=EMBEDDING_SPREAD, dtype=dtype))


def random_output(
    embedding: TimeEmbedding, width: int, is_tied: bool, rng: np.random.Generator, dtype: DTypeLike
) -> TimeAffine:
    """The affine map from `width` units to V scores: with the embedding's own weights, or with fresh ones (width, V)."""
    W = embedding.params[0]
    bias = np.zeros(len(W), dtype)
    return (
        TimeAffine(W, bias, transposed=True)
        if is_tied
        else TimeAffine(random_weights(rng, width, len(W), dtype=dtype), bias)
    )


def _random_recurrent(
    input_size: int, hidden_size: int, n_gates: int, rng: np.random.Generator, dtype: DTypeLike
) -> tuple[Array, Array, Array]:
    """Wx, Wh and b of an RNN (1) or LSTM (4), whose forget gate begins open: remembering is safer (Jozefowicz 2015)."""
    if hidden_size < 1:
        raise ConfigError(f"hidden_size={hidden_size}, expected at least 1. Give for example hidden_size=100.")
    Wx = random_weights(rng, input_size, n_gates * hidden_size, dtype=dtype)
    Wh = random_weights(rng, hidden_size, n_gates * hidden_size, dtype=dtype)
    b = np.zeros(n_gates * hidden_size, dtype)
    if n_gates == 4:
        b[hidden_size : 2 * hidden_size] = 1
    return Wx, Wh, b


def eval_perplexity(network: LanguageNetwork, ids: Ids, batch_size: int = 1, time_size: int = 35) -> float:
    """exp of the mean -ln P of each token of a text but the first, given those before it. What was read before stays as it is.

    Args:
        network: Read without dropout.
        ids: The text, (M,).
        batch_size: Streams that the text is cut into and that are read side by side: faster, but each begins without a
            past, and up to batch_size - 1 tokens at the end are left out. 1 reads the text as the literature does.
        time_size: Tokens read at a time; the result does not depend on it.

    Raises:
        DataError: If the text is too short.
    """
    inputs, targets = streams(ids[:-1], ids[1:], batch_size, time_size=1)
    nll = 0.0
    with network.apart():
        for first in range(0, inputs.shape[1], time_size):
            window = slice(first, first + time_size)
            nll += network.forward(inputs[:, window], targets[:, window], train_flag=False) * targets[:, window].size
    return math.exp(min(nll / targets.size, 700.0))


def streams(xs: Ids, ts: Ids, batch_size: int, time_size: int) -> tuple[Ids, Ids]:
    """A text as `batch_size` equal parts side by side, (batch_size, M // batch_size); what is left over at the end is dropped.

    Args:
        xs: Ids, (M,).
        ts: The token that follows each of them, (M,).
        time_size: Tokens of a window: each part must hold one at least.

    Raises:
        ConfigError: If a size is below 1, or xs and ts are not two equally long rows.
        DataError: If the text does not fill one window.
    """
    for name, value in (("batch_size", batch_size), ("time_size", time_size)):
        if value < 1:
            raise ConfigError(f"{name}={value}, expected at least 1. Give for example {name}=20.")
    if xs.ndim != 1 or xs.shape != ts.shape:
        raise ConfigError(
            f"xs has shape {xs.shape} and ts {ts.shape}, expected two rows of equal length: a text, and the token after "
            "each of its tokens. Give ids[:-1] and ids[1:]."
        )
    length = len(xs) // batch_size
    if length < time_size:
        raise DataError(
            f"The text has {len(xs)} tokens, too few for batch_size={batch_size} streams of one window of "
            f"time_size={time_size} tokens. Give more text, or smaller sizes."
        )
    used = length * batch_size
    return xs[:used].reshape(batch_size, length), ts[:used].reshape(batch_size, length)
