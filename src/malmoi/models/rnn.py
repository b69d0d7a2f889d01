"""Elman recurrent language model: the hidden state is rewritten at every step.

    h_t = tanh(W x_t + U h_{t-1} + b)

Source: Elman 1990; Mikolov et al. 2010 for the language model.

Shapes: B sequences, T tokens each, I input_size, H hidden_size.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from malmoi.models.config import RNNConfig
from malmoi.models.recurrent import LayerState, RecurrentLanguageModel, RecurrentLayer


class RNNLayer(RecurrentLayer):
    """One Elman layer; its state is (hidden h_t,)."""

    n_states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, n_gates=1)

    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        return ((self.from_input(x) + self.from_hidden(state[0])).tanh(),)

    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        weights = [w.to(x.dtype) for w in (self.from_input.weight, hidden_weight, self.from_input.bias)]
        weights.append(torch.zeros_like(weights[-1]))  # PyTorch's second bias
        outputs, last = torch._VF.rnn_tanh(  # type: ignore[attr-defined]
            x, state[0][None].to(x.dtype), weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, (last[0].to(state[0].dtype),)


class RNNLanguageModel(RecurrentLanguageModel):
    """Embeddings, Elman layers, softmax."""

    def __init__(self, config: RNNConfig) -> None:
        super().__init__(config, [RNNLayer(*sizes) for sizes in config.layer_sizes()])
