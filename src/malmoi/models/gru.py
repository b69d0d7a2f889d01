"""GRU language model: two gates decide how much of the old state to look at and how much of it to keep.

    r, z = sigmoid(W x_t + U h_{t-1} + b)            reset and update gates
    n    = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + c_n))
    h_t  = (1 - z) * n + z * h_{t-1}

Source: Cho et al. 2014 (arXiv:1406.1078), in the form of `torch.nn.GRU` and cuDNN: the reset gate acts after the product with
U, which needs the second bias c.

Shapes: B sequences, T tokens each, I input_size, H hidden_size.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from malmoi.models.options.recurrent import GRUConfig
from malmoi.models.recurrent import LayerState, RecurrentLanguageModel, RecurrentLayer


class GRULayer(RecurrentLayer):
    """One GRU layer; its state is (hidden h_t,)."""

    n_states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, n_gates=3, hidden_bias=True)

    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        hidden = state[0]
        x_reset, x_update, x_new = self.from_input(x).chunk(3, dim=-1)  # each (B, H)
        h_reset, h_update, h_new = self.from_hidden(hidden).chunk(3, dim=-1)
        reset, update = (x_reset + h_reset).sigmoid(), (x_update + h_update).sigmoid()
        candidate = (x_new + reset * h_new).tanh()
        return ((1 - update) * candidate + update * hidden,)

    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        biases = (self.from_input.bias, self.from_hidden.bias)
        weights = [w.to(x.dtype) for w in (self.from_input.weight, hidden_weight, *biases)]
        outputs, last = torch._VF.gru(  # type: ignore[attr-defined]
            x, state[0][None].to(x.dtype), weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, (last[0].to(state[0].dtype),)


class GRULanguageModel(RecurrentLanguageModel):
    """Embeddings, GRU layers, softmax."""

    def __init__(self, config: GRUConfig) -> None:
        super().__init__(config, [GRULayer(*sizes) for sizes in config.layer_sizes()])
