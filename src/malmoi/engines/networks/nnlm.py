"""Bengio's network in NumPy.

    h_t = tanh(W [e(w_{t-C+1}); ...; e(w_t)] + b), perhaps projected, perhaps with the window added or beside it

Source: see `malmoi.models.nnlm`.

Shapes: B sequences, T tokens each, E embed_dim, H hidden width, C context_size.
"""

from collections.abc import Mapping

import numpy as np

from malmoi.engines.networks.network import Array, Carried, Network
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.shapes import Float, Integer


class NNLMNetwork(Network):
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
