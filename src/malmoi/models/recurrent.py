"""What the recurrent rungs share: embeddings, a stack of layers with dropout between them, and the output softmax.

`rnn`, `lstm` and `gru` differ in the layer alone, so each of their files holds one layer and this one holds the rest.

Source: Mikolov et al. 2010 for the recurrent language model; Zaremba et al. 2014 (arXiv:1409.2329) for dropout along depth;
Gal & Ghahramani 2016 (arXiv:1512.05287) for one mask over all steps; Merity et al. 2018 (arXiv:1708.02182) for embedding
dropout and weight drop; Press & Wolf 2017 (arXiv:1608.05859) for tied weights.

Shapes: B sequences, T tokens each, E embed_dim, H hidden_size, V vocab_size. Inside, time comes first, (T, B, ...), so that
one step of all sequences lies together in memory.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from malmoi.layers.noise import Noise
from malmoi.models.network import NextTokenNetwork
from malmoi.models.options.recurrent import RecurrentConfig

LayerState = tuple[Tensor, ...]  # (hidden,) or (hidden, cell), each (B, H)


class RecurrentLayer(nn.Module):
    """Interface: one recurrent layer over T steps."""

    n_states: int  # how many (B, H) tensors the layer carries from step to step; the first is its output

    def __init__(self, input_size: int, hidden_size: int, n_gates: int, hidden_bias: bool = False) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.from_input = nn.Linear(input_size, n_gates * hidden_size)
        self.from_hidden = nn.Linear(hidden_size, n_gates * hidden_size, bias=hidden_bias)
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def initial_state(self, batch_size: int) -> LayerState:
        zeros = self.from_hidden.weight.new_zeros(batch_size, self.hidden_size)
        return (zeros,) * self.n_states

    @abstractmethod
    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        """One step, as the papers write it: the new state, its first tensor being the output."""

    @abstractmethod
    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        """T steps at once, as fast as this device can: the same numbers as `cell` up to rounding."""

    def forward(
        self,
        x: Float[Tensor, "time batch input"],
        state: LayerState,
        hidden_weight: Float[Tensor, "gates hidden"] | None = None,
    ) -> tuple[Float[Tensor, "time batch hidden"], LayerState]:
        """Outputs of all T steps and the last state; `hidden_weight` stands in for the layer's own under weight drop."""
        own = self.from_hidden.weight
        one_plain_step = x.shape[0] == 1 and x.dtype == own.dtype
        if hidden_weight is not None or not (one_plain_step or own.dtype == torch.float64):
            return self.fused(x, state, own if hidden_weight is None else hidden_weight)
        outputs = []
        for x_t in x:  # T times (B, I)
            state = self.cell(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs), state


class RecurrentLanguageModel(NextTokenNetwork):
    """A recurrent language model: everything read so far is kept in a fixed-size running state."""

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig, layers: Sequence[RecurrentLayer]) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype: torch.dtype | None = None
        self.embedding = nn.Embedding(config.vocab_size, config.embed_dim)
        self.layers: Sequence[RecurrentLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.output = nn.Linear(config.output_width, config.vocab_size)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        nn.init.uniform_(self.output.weight, -0.05, 0.05)
        nn.init.zeros_(self.output.bias)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight

    def initial_state(self, batch_size: int) -> list[LayerState]:
        return [layer.initial_state(batch_size) for layer in self.layers]

    def hidden(
        self, token_ids: Int[Tensor, "batch time"], state: list[LayerState] | None = None, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "batch time hidden"], list[LayerState]]:
        config = self.config
        state = state or self.initial_state(token_ids.shape[0])
        x = self._embed(token_ids.t(), noise)  # (T, B, E)
        if self.compute_dtype is not None:
            x = x.to(self.compute_dtype)
        after: list[LayerState] = []
        for depth, (layer, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            x = self._drop(x, config.dropout_hidden if depth else config.dropout_input, noise)
            weight = None
            if noise is not None and config.dropout_recurrent:
                weight = layer.from_hidden.weight
                weight = weight * noise.keep(weight.shape, config.dropout_recurrent, weight)
            x, layer_state = layer(x, layer_state, weight)
            after.append(layer_state)
        return self._drop(x, config.dropout_output, noise).transpose(0, 1), after

    def _embed(self, token_ids: Int[Tensor, "time batch"], noise: Noise | None) -> Float[Tensor, "time batch embed"]:
        # Where the softmax has made a dense gradient of the same matrix already, the few rows read here are added to it.
        x = F.embedding(token_ids, self.embedding.weight, sparse=self.config.tie_embeddings)
        if noise is None or not self.config.dropout_embedding:
            return x
        keep = noise.keep((self.config.vocab_size, 1), self.config.dropout_embedding, x)  # whole words, not units
        return x * F.embedding(token_ids, keep)

    def _drop(self, x: Float[Tensor, "time batch width"], dropout: float, noise: Noise | None) -> Tensor:
        if noise is None or not dropout:
            return x
        n_masks = 1 if self.config.locked_dropout else x.shape[0]
        return x * noise.keep((n_masks, *x.shape[1:]), dropout, x)
