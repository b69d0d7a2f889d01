"""Feed-forward neural language model: the vectors of the last few tokens, side by side, predict the next one.

    x_t = [e(w_{t-C+1}); ...; e(w_{t-1}); e(w_t)]        the C tokens looked back at, each as its embedding
    a_t = tanh(W x_t + b)                                n_layers times, each reading the one before
    h_t = P a_t + D x_t                                  P where tied widths differ, D with direct connections; else a_t
    P(w_{t+1} | w_{t-C+1} .. w_t) = softmax(U h_t + c)

Source: Bengio, Ducharme, Vincent & Jauvin 2003 (JMLR 3), who write y = b + W x + U tanh(d + H x), and n for C + 1. With tied
weights (Press & Wolf 2017, arXiv:1608.05859) U is the table of embeddings, and their W, the largest matrix of all (V x C E), is
that table times D, as in the log-bilinear model of Mnih & Hinton 2007; untied, their W is there in full, beside U.

Shapes: B sequences, T tokens each, C context_size, E embed_dim, H hidden_size, V vocab_size. Inside, time comes first,
(T, B, ...), as in the recurrent rungs: the windows are then the same T + C - 1 embeddings, shifted.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from malmoi.errors import ConfigError
from malmoi.layers.noise import Noise
from malmoi.models.network import NetworkState, NextTokenNetwork
from malmoi.models.options.nnlm import NNLMConfig


class NNLM(NextTokenNetwork):
    """Embeddings of a fixed window, tanh layers, softmax. What it carries along a text is the window itself, as ids."""

    config: NNLMConfig

    def __init__(self, config: NNLMConfig) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = None
        window = config.context_size * config.embed_dim
        is_skipped = config.direct and config.tie_embeddings  # untied, the softmax itself reads the window
        self.embedding = nn.Embedding(config.vocab_size, config.embed_dim)
        layers = [nn.Linear(*sizes) for sizes in config.layer_sizes()]
        self.layers: Sequence[nn.Linear] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.projection = nn.Linear(config.hidden_size, config.embed_dim, bias=False) if config.is_projected else None
        self.direct = nn.Linear(window, config.embed_dim, bias=False) if is_skipped else None
        self.output = nn.Linear(config.output_width, config.vocab_size)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        nn.init.uniform_(self.output.weight, -0.05, 0.05)
        nn.init.zeros_(self.output.bias)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight

    def initial_state(self, batch_size: int) -> NetworkState:
        """The last C tokens, one tensor (B, C): at the start all of them are line ends.

        Raises:
            ConfigError: If nobody has said which token that is.
        """
        if self.start_id is None:
            raise ConfigError(
                "start_id=None: the network does not know which token stands before a text. The id that ends a line was "
                "expected: build_model(..., start_id=tokenizer.eos_id)."
            )
        size = (batch_size, self.config.context_size)
        return [(torch.full(size, self.start_id, dtype=torch.int64, device=self.embedding.weight.device),)]

    def hidden(
        self, token_ids: Int[Tensor, "batch time"], state: NetworkState | None = None, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "batch time width"], NetworkState]:
        config = self.config
        ((before,),) = state or self.initial_state(token_ids.shape[0])
        ids = torch.cat([before, token_ids], dim=1)  # (B, C + T)
        x = self._windows(ids[:, 1:].t(), noise)  # (T, B, C E)
        hidden = x
        for depth, layer in enumerate(self.layers):
            if depth:
                hidden = _drop(hidden, config.dropout_hidden, noise)
            hidden = _affine(layer, hidden).tanh()  # (T, B, H)
        if self.projection is not None:
            hidden = _affine(self.projection, _drop(hidden, config.dropout_hidden, noise))  # (T, B, E)
        if self.direct is not None:
            hidden = hidden + _affine(self.direct, x)
        elif config.direct:
            hidden = torch.cat([hidden, x], dim=2)  # (T, B, H + C E)
        after: NetworkState = [(ids[:, -config.context_size :],)]
        return _drop(hidden, config.dropout_output, noise).transpose(0, 1), after

    def _windows(self, ids: Int[Tensor, "rows batch"], noise: Noise | None) -> Float[Tensor, "time batch window"]:
        """Every run of C embeddings as one row. Each token is looked up once, and dropped alike in all windows it is in."""
        config = self.config
        # Where the softmax has made a dense gradient of the same matrix already, the few rows read here are added to it.
        x = F.embedding(ids, self.embedding.weight, sparse=config.tie_embeddings)  # (T + C - 1, B, E)
        if noise is not None and config.dropout_embedding:
            keep = noise.keep((config.vocab_size, 1), config.dropout_embedding, x)  # whole words, not units
            x = x * F.embedding(ids, keep)
        x = _drop(x, config.dropout_input, noise)
        if self.compute_dtype is not None:
            x = x.to(self.compute_dtype)
        n_steps = len(ids) - config.context_size + 1
        return torch.cat([x[first : first + n_steps] for first in range(config.context_size)], dim=2)


def _affine(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in x's dtype."""
    return F.linear(x, layer.weight.to(x.dtype), None if layer.bias is None else layer.bias.to(x.dtype))


def _drop(x: Tensor, dropout: float, noise: Noise | None) -> Tensor:
    return x if noise is None or not dropout else x * noise.keep(x.shape, dropout, x)
