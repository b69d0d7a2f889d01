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
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError, DataError
from malmoi.models.options.recurrent import RecurrentConfig
from malmoi.scratch.checks import Array, Ids
from malmoi.scratch.functions import log_softmax
from malmoi.scratch.language_network import LanguageNetwork as LanguageNetwork
from malmoi.scratch.language_network import TracedNetwork
from malmoi.scratch.layers import random_weights
from malmoi.scratch.recurrent import Carried, TimeGRU, TimeLSTM, TimeRecurrent, TimeRNN
from malmoi.scratch.time import TimeAffine, TimeDropout, TimeEmbedding
from malmoi.scratch.traces import PredictionTrace, RecurrentGradients

WEIGHTS = (
    "from_input.weight",
    "from_hidden.weight",
    "from_input.bias",
    "from_hidden.bias",
)  # of a recurrent layer, in order
EMBEDDING_SPREAD = 0.1  # of fresh embeddings; at 0.01 the first epoch is spent on making them larger


class RecurrentNetwork(TracedNetwork):
    """Embedding, recurrent layers with dropout before, between and after them, affine map, softmax.

    Args:
        embedding: (V, D).
        recurrent: From the bottom; each as wide as the next one's input.
        output: From the last one's width to V.
        dropout: Probability of silencing a unit for a window, along depth.
        rng: Draws the masks.
    """

    layer: ClassVar[Callable[..., TimeRecurrent]]  # of a rung's network: all its layers are of this class

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

    @classmethod
    def of_config(
        cls, config: RecurrentConfig, start_id: int, rng: np.random.Generator, dtype: DTypeLike
    ) -> "RecurrentNetwork":
        table = np.zeros((config.vocab_size, config.embed_dim), dtype)
        layers = []
        for size, width in config.layer_sizes():
            n_sums, n_biases = config.n_gates * width, 1 + config.has_hidden_bias
            shapes = [(size, n_sums), (width, n_sums), *[(n_sums,)] * n_biases]
            layers.append(cls.layer(*(np.zeros(shape, dtype) for shape in shapes), stateful=True))
        weight = table if config.tie_embeddings else np.zeros((config.output_width, config.vocab_size), dtype)
        output = TimeAffine(weight, np.zeros(config.vocab_size, dtype), transposed=config.tie_embeddings)
        return cls(TimeEmbedding(table), layers, output, config.dropout_hidden, rng)

    @classmethod
    def stands_for(cls, network: LanguageNetwork) -> bool:
        return isinstance(network, RecurrentNetwork) and type(network.recurrent[0]) is cls.layer

    def options(self) -> dict[str, Any]:
        return {"hidden_size": len(self.recurrent[0].params[1]), "n_layers": len(self.recurrent)}

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

    def _trace(self, ids: Ids, rows: Array, n_last: int, score: Callable[[Array], Array]) -> PredictionTrace:
        start, first = self.carried, len(ids) - n_last
        earlier, x = rows[None, :first], rows[None, first:]
        layers = []
        for layer in self.recurrent:
            if first:
                earlier = layer.forward(earlier)
            x = layer.forward(x)
            layers.append(layer.trace())
        self.carried = start
        top = layers[-1].output[-1]
        logits = score(top)
        return PredictionTrace(ids[first:], rows[first:], layers, top, logits, log_softmax(logits))

    def _trace_back(self, found: PredictionTrace, d_top: Array) -> tuple[Array, list[RecurrentGradients]]:
        d = np.zeros((1, len(found.ids), len(d_top)), d_top.dtype)
        d[0, -1] = d_top
        gradients: list[RecurrentGradients] = []
        for layer in reversed(self.recurrent):
            layer.keeps_gradients = True
            d = layer.backward(d)
            layer.keeps_gradients = False
            gradients.insert(0, layer.trace_back())
        return gradients[0].x, gradients

    def _hidden_named(self) -> list[tuple[str, Array, Array]]:
        return [
            (f"layers.{depth}.{name}", weight, gradient)
            for depth, layer in enumerate(self.recurrent)
            for name, weight, gradient in zip(WEIGHTS, layer.params, layer.grads, strict=False)  # the last is a GRU's
        ]

    def _named(self) -> dict[str, Array]:
        named = {"embedding.weight": self.embedding.params[0], "output.bias": self.output.params[1]}
        if not self.output.transposed:
            named["output.weight"] = self.output.params[0].T
        return named | {name: weight.T for name, weight, _ in self._hidden_named()}  # a bias is its own transpose


class RNNNetwork(RecurrentNetwork):
    """What a run of the rung `rnn` stores."""

    layer = TimeRNN


class LSTMNetwork(RecurrentNetwork):
    """What a run of the rung `lstm` stores."""

    layer = TimeLSTM


class GRUNetwork(RecurrentNetwork):
    """What a run of the rung `gru` stores."""

    layer = TimeGRU


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
