"""A trained run served by NumPy alone: the twin of the PyTorch engine, with the same answers and nothing to wait for.

Importing PyTorch takes seconds, and installing it hundreds of MB. Reading a text takes a few matrix products for each token,
which NumPy makes just as fast; so a person who asks for the next word gets it from here.

What comes before the softmax stands in `networks/`, one file a rung; the registry says which is whose.

Weights are laid out (input, output), as everywhere in `scratch/`: a product with a single vector then runs along whole rows,
which takes half the time that the stored layout (output, input) does. They are computed with in their own precision, float32 or
float64.

Shapes: B sequences, T tokens each, E embed_dim, W output_width, V vocab_size.
Inside, time comes first, (T, B, ...), so that one step of all sequences lies together in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from malmoi.arrays import in_one_precision
from malmoi.engines.networks.network import Array, Carried, Network
from malmoi.errors import ConfigError
from malmoi.files import release_pages
from malmoi.models.interface import LogProbs, State, TokenIds, VectorLanguageModel
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import RUNGS, resolve, rung_of
from malmoi.scratch.checks import check_ids
from malmoi.shapes import Float, Integer

BLOCK_ELEMENTS = 1 << 22  # logits held at a time: 16 MB in float32
STRIP = 128  # rows turned into columns at a time
STRIPS_IN_MEMORY = 16  # of a matrix that is mapped from a file


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
    """Serves the weights of a run without PyTorch.

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
        rung = rung_of(config)
        if rung is None or rung.numpy is None:
            known = ", ".join(rung.name for rung in RUNGS.values() if rung.numpy is not None)
            raise ConfigError(f"A {type(config).__name__} has no twin in NumPy. Known are: {known}.")
        self.family = rung.name
        self._network: Network = resolve(rung.numpy)(config, self.weights, start_id)
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


def _log_sum_in_place(logits: Float[np.ndarray, "rows vocab"]) -> Float[np.ndarray, "rows 1"]:
    """ln of the summed exponentials of each row; `logits` is overwritten."""
    top = logits.max(axis=1, keepdims=True)
    logits -= top
    np.exp(logits, out=logits)
    return np.asarray(np.log(logits.sum(axis=1, keepdims=True)) + top)
