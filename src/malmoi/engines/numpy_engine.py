"""A trained run served by NumPy alone: the twin of the PyTorch engine, with the same answers and nothing to wait for.

Importing PyTorch takes seconds, and installing it hundreds of MB. Reading a text takes a few matrix products for each token,
which NumPy makes just as fast; so a person who asks for the next word gets it from here.

    rnn    h_t = tanh(W x_t + U h_{t-1} + b)
    lstm   i, f, g, o = four slices of W x_t + U h_{t-1} + b;  c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)
    gru    r, z, n = three slices of W x_t + b and U h_{t-1} + c;  h_t = (1 - z) * n + z * h_{t-1}
    nnlm   h_t = tanh(W [e(w_{t-C+1}); ...; e(w_t)] + b), perhaps projected, perhaps with the window added or beside it

Sources: those of the rungs, see `malmoi.models.recurrent` and `malmoi.models.nnlm`.

Weights are laid out (input, output), as everywhere in `scratch/`: a product with a single vector then runs along whole rows,
which takes half the time that the stored layout (output, input) does. They are computed with in their own precision, float32 or
float64.

Shapes: B sequences, T tokens each, E embed_dim, I input width, H hidden width, C context_size, W output_width, V vocab_size.
Inside, time comes first, (T, B, ...), so that one step of all sequences lies together in memory.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.files import release_pages
from malmoi.models.interface import LogProbs, State, TokenIds, VectorLanguageModel
from malmoi.models.options.base import NeuralConfig
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.options.recurrent import GRUConfig, LSTMConfig, RecurrentConfig, RNNConfig
from malmoi.scratch.checks import check_ids
from malmoi.shapes import Float, Integer

BLOCK_ELEMENTS = 1 << 22  # logits held at a time: 16 MB in float32
STRIP = 128  # rows turned into columns at a time
STRIPS_IN_MEMORY = 16  # of a matrix that is mapped from a file

Array = NDArray[Any]
Carried = tuple[tuple[Array, ...], ...]  # for each layer what it carries from token to token, each array (B, ...)


@dataclass(frozen=True)
class NumPyState(State):
    """What the network carries on, and the vector that the softmax predicts the next token from."""

    carried: Carried
    vector: Float[np.ndarray, "batch width"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "NumPyState":
        index = np.asarray(rows, dtype=np.int64)
        carried = tuple(tuple(part[index] for part in layer) for layer in self.carried)
        return NumPyState(carried, self.vector[index], self.owner)

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "NumPyState":
        layers = zip(*(state.carried for state in states), strict=True)
        carried = tuple(tuple(np.concatenate(parts) for parts in zip(*layer, strict=True)) for layer in layers)
        return cls(carried, np.concatenate([state.vector for state in states]), states[0].owner)


class NumPyLanguageModel(VectorLanguageModel):
    """Serves the weights of a run of the rungs rnn, lstm, gru and nnlm without PyTorch.

    Attributes:
        config: As given.
        weights: As given, but laid out in memory as they are used.

    Args:
        config: The run's options.
        arrays: The run's weights by name, with the shapes of `config.weight_shapes()`.
        start_id: The token that stands before the first one: the end of a line.

    Raises:
        ConfigError: If this family cannot be served here, or the weights are no floating-point numbers.
    """

    def __init__(self, config: NeuralConfig, arrays: Mapping[str, Array], start_id: int) -> None:
        self.config, self.vocab_size, self.start_id = config, config.vocab_size, start_id
        weights = laid_out(arrays)
        self.weights = {name: array for name, array in weights.items() if name in config.weight_shapes()}
        self._network: _Network
        if isinstance(config, NNLMConfig):
            self._network = _Window(config, self.weights, start_id)
        elif isinstance(config, RecurrentConfig):
            self._network = _Stack(config, self.weights)
        else:
            raise no_twin(config)
        self._output = weights["output.weight"].T  # (W, V)
        self._bias = self.weights["output.bias"]  # (V,)

    def start(self, batch_size: int = 1) -> NumPyState:
        ends = np.full((batch_size, 1), self.start_id, dtype=np.int64)
        return self._read(ends, self._network.start(batch_size))[1]

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, NumPyState]:
        assert isinstance(state, NumPyState)
        if token_ids.shape[1]:
            _, state = self._read(token_ids, state.carried)
        return self._log_probs(state.vector), state

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], NumPyState]:
        vectors, after = self.predictors(token_ids, state)
        return self.score_vectors(vectors, token_ids), after

    def distributions(
        self, token_ids: TokenIds, state: State
    ) -> tuple[Float[np.ndarray, "batch time vocab"], NumPyState]:
        vectors, after = self.predictors(token_ids, state)
        flat = self._log_probs(vectors.reshape(-1, vectors.shape[2]))
        return flat.reshape(*token_ids.shape, self.vocab_size), after

    def predictors(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time width"], NumPyState]:
        assert isinstance(state, NumPyState)
        if not token_ids.shape[1]:
            return state.vector[:, None][:, :0], state
        hidden, after = self._read(token_ids, state.carried)
        return np.concatenate([state.vector[:, None], hidden[:, :-1]], axis=1), after

    def next_predictor(self, state: State) -> Float[np.ndarray, "batch width"]:
        assert isinstance(state, NumPyState)
        return state.vector

    @np.errstate(all="ignore")
    def score_vectors(
        self, vectors: Float[np.ndarray, "batch time width"], token_ids: TokenIds
    ) -> Float[np.ndarray, "batch time"]:
        flat, targets = vectors.reshape(-1, vectors.shape[2]), token_ids.reshape(-1)
        scores = np.empty(len(targets), flat.dtype)
        rows = max(1, BLOCK_ELEMENTS // self.vocab_size)
        for start in range(0, len(targets), rows):
            chosen = slice(start, start + rows)
            logits = self._logits(flat[chosen])
            own = np.take_along_axis(logits, targets[chosen, None].astype(np.int64), axis=1)[:, 0]
            scores[chosen] = own - _log_sum_in_place(logits)[:, 0]
        return scores.reshape(token_ids.shape)

    @np.errstate(all="ignore")  # NaN in damaged weights is told of by those who asked
    def _read(self, token_ids: TokenIds, carried: Carried) -> tuple[Float[np.ndarray, "batch time width"], NumPyState]:
        check_ids(token_ids, self.vocab_size)
        hidden, carried = self._network.read(token_ids.T, carried)  # (T, B, W)
        last = hidden[-1].copy()  # a view would keep all of `hidden` in memory
        return hidden.swapaxes(0, 1), NumPyState(carried, last, self)

    @np.errstate(all="ignore")
    def _log_probs(self, vectors: Float[np.ndarray, "rows width"]) -> LogProbs:
        logits = self._logits(vectors)
        logits -= _log_sum_in_place(logits.copy())
        return logits

    def _logits(self, vectors: Float[np.ndarray, "rows width"]) -> Float[np.ndarray, "rows vocab"]:
        logits: Array = vectors @ self._output
        logits += self._bias
        return logits


class _Network(ABC):
    """Interface: what the softmax reads at every place of a text."""

    @abstractmethod
    def start(self, batch_size: int) -> Carried:
        """What is carried before any token has been read."""

    @abstractmethod
    def read(
        self, token_ids: Integer[np.ndarray, "time batch"], carried: Carried
    ) -> tuple[Float[np.ndarray, "time batch width"], Carried]:
        """The vectors after each of T >= 1 tokens, and what is carried on."""


class _Stack(_Network):
    """Recurrent layers, each reading the one below."""

    def __init__(self, config: RecurrentConfig, arrays: Mapping[str, Array]) -> None:
        kinds: dict[type, Callable[..., _Recurrence]] = {RNNConfig: _Elman, LSTMConfig: _LSTM, GRUConfig: _GRU}
        layer = kinds[type(config)]
        self._embedding = arrays["embedding.weight"]
        self._layers = [layer(arrays, f"layers.{depth}.") for depth in range(config.n_layers)]

    def start(self, batch_size: int) -> Carried:
        return tuple(layer.start(batch_size) for layer in self._layers)

    def read(
        self, token_ids: Integer[np.ndarray, "time batch"], carried: Carried
    ) -> tuple[Float[np.ndarray, "time batch width"], Carried]:
        x = self._embedding[token_ids]  # (T, B, E)
        after = []
        for layer, state in zip(self._layers, carried, strict=True):
            x, state = layer.read(x, state)
            after.append(state)
        return x, tuple(after)


class _Recurrence(ABC):
    """Interface: one recurrent layer."""

    n_states: int = 1  # how many (B, H) arrays it carries; the first is its output

    def __init__(self, arrays: Mapping[str, Array], prefix: str) -> None:
        self.from_input = arrays[f"{prefix}from_input.weight"].T  # (I, gates H)
        self.bias = arrays[f"{prefix}from_input.bias"]
        self.from_hidden = arrays[f"{prefix}from_hidden.weight"].T  # (H, gates H)
        self.hidden_bias = arrays.get(f"{prefix}from_hidden.bias")
        self.size = self.from_hidden.shape[0]

    def start(self, batch_size: int) -> tuple[Array, ...]:
        return (np.zeros((batch_size, self.size), self.bias.dtype),) * self.n_states

    def read(
        self, x: Float[np.ndarray, "time batch input"], state: tuple[Array, ...]
    ) -> tuple[Float[np.ndarray, "time batch hidden"], tuple[Array, ...]]:
        """Outputs of all steps, and the last state. The products with the input need no recurrence: they are one product."""
        n_steps, batch_size, width = x.shape
        sums = x.reshape(-1, width) @ self.from_input
        sums += self.bias
        sums = sums.reshape(n_steps, batch_size, -1)  # (T, B, gates H)
        outputs = np.empty((n_steps, batch_size, self.size), sums.dtype)
        for t in range(n_steps):
            state = self.advance(sums[t], state)
            outputs[t] = state[0]
        return outputs, state

    @abstractmethod
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        """One step: the new state, from the products with the input (which may be overwritten) and the old state."""


class _Elman(_Recurrence):
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        sums += state[0] @ self.from_hidden
        return (np.tanh(sums),)


class _LSTM(_Recurrence):
    n_states = 2

    def __init__(self, arrays: Mapping[str, Array], prefix: str) -> None:
        super().__init__(arrays, prefix)
        # sigmoid(x) = 1/2 + tanh(x/2) / 2: one call of tanh makes all four gates, and nothing can overflow
        self._slope = np.full(4 * self.size, 0.5, self.bias.dtype)
        self._slope[2 * self.size : 3 * self.size] = 1

    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        hidden, cell = state
        size, slope = self.size, self._slope
        sums += hidden @ self.from_hidden
        sums *= slope
        gates = np.tanh(sums, out=sums)
        gates *= slope
        gates += 1 - slope
        cell = gates[:, size : 2 * size] * cell
        cell += gates[:, :size] * gates[:, 2 * size : 3 * size]
        hidden = np.tanh(cell)
        hidden *= gates[:, 3 * size :]
        return hidden, cell


class _GRU(_Recurrence):
    def advance(self, sums: Float[np.ndarray, "batch gates"], state: tuple[Array, ...]) -> tuple[Array, ...]:
        (hidden,) = state
        size = self.size
        before = hidden @ self.from_hidden
        before += self.hidden_bias
        gates = sums[:, : 2 * size]
        gates += before[:, : 2 * size]
        gates *= 0.5
        gates = np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        candidate = before[:, 2 * size :]
        candidate *= gates[:, :size]
        candidate += sums[:, 2 * size :]
        candidate = np.tanh(candidate, out=candidate)
        return (candidate + gates[:, size:] * (hidden - candidate),)


class _Window(_Network):
    """Bengio's network: the last C tokens side by side. What it carries is those tokens."""

    def __init__(self, config: NNLMConfig, arrays: Mapping[str, Array], start_id: int) -> None:
        self._start_id = start_id
        self._context_size, self._joins_window = config.context_size, config.direct and not config.tie_embeddings
        self._embedding = arrays["embedding.weight"]
        self._layers = [
            (arrays[f"layers.{depth}.weight"].T, arrays[f"layers.{depth}.bias"]) for depth in range(config.n_layers)
        ]
        self._projection = arrays["projection.weight"].T if "projection.weight" in arrays else None  # (H, E)
        self._direct = arrays["direct.weight"].T if "direct.weight" in arrays else None  # (C E, E)

    def start(self, batch_size: int) -> Carried:
        return ((np.full((batch_size, self._context_size), self._start_id, dtype=np.int64),),)

    def read(
        self, token_ids: Integer[np.ndarray, "time batch"], carried: Carried
    ) -> tuple[Float[np.ndarray, "time batch width"], Carried]:
        n_steps, batch_size = token_ids.shape
        ids = np.concatenate([carried[0][0].T, token_ids.astype(np.int64)])  # (C + T, B)
        places = np.arange(1, n_steps + 1)[:, None] + np.arange(self._context_size)  # of the tokens in each window
        x = self._embedding[ids[places].swapaxes(1, 2)]  # (T, B, C, E)
        x = x.reshape(n_steps * batch_size, -1)
        hidden = x
        for weight, bias in self._layers:
            hidden = hidden @ weight
            hidden += bias
            np.tanh(hidden, out=hidden)
        if self._projection is not None:
            hidden = hidden @ self._projection
        if self._direct is not None:
            hidden = hidden + x @ self._direct
        elif self._joins_window:
            hidden = np.concatenate([hidden, x], axis=1)
        after = np.ascontiguousarray(ids[-self._context_size :].T)
        return hidden.reshape(n_steps, batch_size, -1), ((after,),)


def laid_out(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The same weights, their matrices turned in memory to be read along (input, output); turned ones stay as they are.

    Tied embeddings are there twice then: rows are taken from one, products made with the other.
    """
    weights = in_one_precision(arrays)
    weights.setdefault("output.weight", weights["embedding.weight"])
    for name, array in weights.items():
        if array.ndim > 1 and name != "embedding.weight" and not array.T.flags.c_contiguous:
            weights[name] = transposed(array).T
    return weights


def transposed(weight: Float[np.ndarray, "out in"]) -> Float[np.ndarray, "in out"]:
    """A copy of the matrix, its rows as columns. Made in strips that stay in the processor's cache: three times as fast."""
    turned = np.empty(weight.shape[::-1], weight.dtype)
    for begin in range(0, len(weight), STRIP):
        turned[:, begin : begin + STRIP] = weight[begin : begin + STRIP].T
        if not begin // STRIP % STRIPS_IN_MEMORY:
            release_pages(weight)  # of a mapped file, which need not be in memory beside its copy
    release_pages(weight)
    return turned


def no_twin(config: NeuralConfig) -> ConfigError:
    return ConfigError(f"A {type(config).__name__} has no twin in NumPy. Known are: rnn, lstm, gru, nnlm.")


def in_one_precision(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """float64 if any of the weights are, otherwise float32."""
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ConfigError(
                f"{name} holds {array.dtype} numbers. Floating-point weights were expected: use the files of a trained run."
            )
    dtype = np.result_type(np.float32, *{array.dtype for array in arrays.values()})
    return {name: array.astype(dtype, copy=False) for name, array in arrays.items()}


def _log_sum_in_place(logits: Float[np.ndarray, "rows vocab"]) -> Float[np.ndarray, "rows 1"]:
    """ln of the summed exponentials of each row; `logits` is overwritten."""
    top = logits.max(axis=1, keepdims=True)
    logits -= top
    np.exp(logits, out=logits)
    return np.asarray(np.log(logits.sum(axis=1, keepdims=True)) + top)
