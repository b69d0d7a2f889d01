"""Feed-forward neural language model: the vectors of the last few tokens, side by side, predict the next one.

    x_t = [e(w_{t-C+1}), ..., e(w_t)]        the C tokens looked back at, each as its embedding, (C D,)
    a_t = tanh(x_t W + b)                    n_layers times, each reading the one before, (H,)
    h_t = a_t P + x_t U                      P where tied widths differ, U with direct connections; else a_t
    P(w_{t+1} | w_{t-C+1} .. w_t) = softmax(h_t V + c)

With tied weights V is the table of embeddings, transposed. Untied, direct connections go straight to the softmax, which
then reads [a_t, x_t]. Weights have the names and shapes of the rung `nnlm` when they are saved.

Source: Bengio, Ducharme, Vincent & Jauvin 2003 (JMLR 3), in the form of `malmoi.models.nnlm`.

Symbols: N batch, T steps, C context_size, D embed_dim, H hidden_size, V vocab_size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.scratch.checks import Array, Ids, check_shape
from malmoi.scratch.functions import log_softmax
from malmoi.scratch.language_network import TracedNetwork
from malmoi.scratch.layers import random_weights
from malmoi.scratch.recurrent import Carried, time_major
from malmoi.scratch.rnnlm import random_embedding, random_output
from malmoi.scratch.time import TimeAffine
from malmoi.scratch.traces import PredictionTrace, TanhGradients, TanhTrace, WindowTrace


class NNLM(TracedNetwork):
    """Embeddings of a fixed window, tanh layers, softmax. What it carries along a text is the window itself, as ids.

    Args:
        vocab_size: V.
        embed_dim: D.
        hidden_size: H.
        context_size: C.
        start_id: The token that fills the window before a text: the end of a line.
        rng: Draws the weights.
        n_layers: tanh layers.
        direct: Connect the embeddings to the softmax past the tanh layers, too.
        tie_weights: Whether the softmax uses the table of embeddings; another hidden width is projected to theirs.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 100,
        hidden_size: int = 100,
        context_size: int = 5,
        *,
        start_id: int,
        rng: np.random.Generator,
        n_layers: int = 1,
        direct: bool = False,
        tie_weights: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        for name, value in (("hidden_size", hidden_size), ("context_size", context_size), ("n_layers", n_layers)):
            if value < 1:
                raise ConfigError(f"{name}={value}, expected at least 1. Give for example {name}=5.")
        embedding = random_embedding(vocab_size, embed_dim, rng, dtype)
        window = context_size * embed_dim
        widths = [window] + [hidden_size] * n_layers
        self.context_size, self.start_id = context_size, start_id
        self.layers = [
            TimeAffine(random_weights(rng, widths[depth], hidden_size, dtype=dtype), np.zeros(hidden_size, dtype))
            for depth in range(n_layers)
        ]
        is_projected = tie_weights and hidden_size != embed_dim
        self.projection = TimeAffine(random_weights(rng, hidden_size, embed_dim, dtype=dtype)) if is_projected else None
        is_skipped = direct and tie_weights  # untied, the softmax itself reads the window
        self.direct = TimeAffine(random_weights(rng, window, embed_dim, dtype=dtype)) if is_skipped else None
        self._joins_window = direct and not tie_weights
        width = hidden_size + window if self._joins_window else hidden_size
        hidden = [*self.layers, *(layer for layer in (self.projection, self.direct) if layer is not None)]
        super().__init__(embedding, hidden, random_output(embedding, width, tie_weights, rng, dtype))
        self._before: Ids | None = None

    @classmethod
    def of_config(cls, config: NNLMConfig, start_id: int, rng: np.random.Generator, dtype: DTypeLike) -> "NNLM":
        return cls(
            config.vocab_size,
            config.embed_dim,
            config.hidden_size,
            config.context_size,
            start_id=start_id,
            rng=rng,
            n_layers=config.n_layers,
            direct=config.direct,
            tie_weights=config.tie_embeddings,
            dtype=dtype,
        )

    def options(self) -> dict[str, Any]:
        return {
            "hidden_size": self.layers[0].params[0].shape[1],
            "n_layers": len(self.layers),
            "context_size": self.context_size,
            "direct": self.direct is not None or self._joins_window,
        }

    def reset_state(self) -> None:
        self._before = None

    @property
    def carried(self) -> list[Carried]:
        return [(self._before,)]

    @carried.setter
    def carried(self, state: list[Carried]) -> None:
        ((self._before,),) = state

    def _hidden(self, ids: Ids, train_flag: bool) -> Array:
        check_shape("ids", ids, ("N", "T"))
        before = np.full((len(ids), self.context_size), self.start_id) if self._before is None else self._before
        if len(before) != len(ids):
            raise ConfigError(
                f"The carried window has {len(before)} rows, but the batch has {len(ids)} sequences, expected equally "
                "many. Call reset_state() before reading other text."
            )
        all_ids = np.concatenate([before, ids], axis=1)  # (N, C + T)
        x = self._windows(self.embedding.forward(all_ids[:, 1:]))  # (N, T, C D)
        self._before = all_ids[:, -self.context_size :]
        hidden = x
        self._activations = []
        for layer in self.layers:
            hidden = layer.forward(hidden)  # (N, T, H), the layer's own array
            np.tanh(hidden, out=hidden)
            self._activations.append(hidden)
        if self.projection is not None:
            hidden = self.projection.forward(hidden)  # (N, T, D)
        if self.direct is not None:
            hidden = hidden + self.direct.forward(x)
        elif self._joins_window:
            hidden = np.concatenate([hidden, x], axis=2)  # (N, T, H + C D)
        return hidden

    def _hidden_back(self, d_hidden: Array) -> None:
        d_x: Array | float = 0.0
        if self.direct is not None:
            d_x = self.direct.backward(d_hidden)
        elif self._joins_window:
            size = self._activations[-1].shape[2]
            d_hidden, d_x = d_hidden[:, :, :size], d_hidden[:, :, size:]
        if self.projection is not None:
            d_hidden = self.projection.backward(d_hidden)
        for layer, y in zip(reversed(self.layers), reversed(self._activations), strict=True):
            d_hidden = layer.backward(d_hidden * (1 - y * y))
        self.embedding.backward(self._windows_back(d_hidden + d_x))

    def _read_ids(self, ids: Ids) -> Ids:
        before = np.full(self.context_size, self.start_id) if self._before is None else self._before[0]
        return np.concatenate([before, ids])[-self.context_size :]

    def _trace(self, ids: Ids, rows: Array, n_last: int, score: Callable[[Array], Array]) -> WindowTrace:
        hidden = window = rows.reshape(-1)  # (C D,)
        layers = []
        for layer in self.layers:
            W, b = layer.params
            sums = hidden @ W + b
            layers.append(TanhTrace(hidden, sums, np.tanh(sums)))
            hidden = layers[-1].hidden
        projected = hidden if self.projection is None else hidden @ self.projection.params[0]
        past = None if self.direct is None else window @ self.direct.params[0]
        top = projected if past is None else projected + past
        if self._joins_window:
            top = np.concatenate([top, window])
        logits = score(top)
        return WindowTrace(ids, rows, layers, top, logits, log_softmax(logits), projected, past)

    def _trace_back(self, found: PredictionTrace, d_top: Array) -> tuple[Array, list[TanhGradients]]:
        assert isinstance(found, WindowTrace)
        window, d_hidden = found.rows.reshape(-1), d_top
        d_window = np.zeros_like(window)
        if self._joins_window:
            d_hidden, d_window = np.split(d_top, [len(found.projected)])
        if self.direct is not None:
            self.direct.grads[0][...] = np.outer(window, d_top)
            d_window = self.direct.params[0] @ d_top
        if self.projection is not None:
            self.projection.grads[0][...] = np.outer(found.layers[-1].hidden, d_hidden)
            d_hidden = self.projection.params[0] @ d_hidden
        gradients: list[TanhGradients] = []
        for layer, told in zip(reversed(self.layers), reversed(found.layers), strict=True):
            d_sums = d_hidden * (1 - told.hidden * told.hidden)
            layer.grads[0][...], layer.grads[1][...] = np.outer(told.x, d_sums), d_sums
            gradients.insert(0, TanhGradients(d_hidden, d_sums))
            d_hidden = layer.params[0] @ d_sums
        return (d_hidden + d_window).reshape(found.rows.shape), gradients

    def _hidden_named(self) -> list[tuple[str, Array, Array]]:
        named = {f"layers.{depth}": layer for depth, layer in enumerate(self.layers)}
        named |= {
            name: layer
            for name, layer in (("projection", self.projection), ("direct", self.direct))
            if layer is not None
        }
        return [
            (f"{name}.{kind}", weight, gradient)
            for name, layer in named.items()
            for kind, weight, gradient in zip(("weight", "bias"), layer.params, layer.grads, strict=False)
        ]

    def _windows(self, vectors: Array) -> Array:
        """Every run of C vectors as one row: (N, T + C - 1, D) -> (N, T, C D)."""
        rows = time_major(vectors, vectors.dtype)
        n_steps = len(rows) - self.context_size + 1
        return np.concatenate([rows[k : k + n_steps] for k in range(self.context_size)], axis=2).swapaxes(0, 1)

    def _windows_back(self, d_windows: Array) -> Array:
        """Each vector stood in up to C windows; what they say of it adds up."""
        n_rows, n_steps, _ = d_windows.shape
        width = self.embedding.params[0].shape[1]
        d_vectors = np.zeros((n_steps + self.context_size - 1, n_rows, width), d_windows.dtype)
        d_rows = d_windows.swapaxes(0, 1)
        for k in range(self.context_size):
            d_vectors[k : k + n_steps] += d_rows[:, :, k * width : (k + 1) * width]
        return d_vectors.swapaxes(0, 1)

    def _named(self) -> dict[str, Array]:
        named = {"embedding.weight": self.embedding.params[0], "output.bias": self.output.params[1]}
        if not self.output.transposed:
            named["output.weight"] = self.output.params[0].T
        return named | {name: weight.T for name, weight, _ in self._hidden_named()}  # a bias is its own transpose
