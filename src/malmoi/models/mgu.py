"""MGU language model: a single gate decides how much of the old state to look at and how much of it to replace.

    f    = sigmoid(W_f x_t + U_f h_{t-1} + b_f)          the only gate
    n    = tanh(W_n x_t + b_n + U_n (f * h_{t-1}))       the candidate
    h_t  = (1 - f) * h_{t-1} + f * n

Source: Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks" (arXiv:1603.09420), equations 7 to 9.
A GRU whose two gates are one: two thirds of its weights.

Shapes: B sequences, T tokens each, I input_size, H hidden_size.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from malmoi.models.options.mgu import MGUConfig
from malmoi.models.recurrent import LayerState, RecurrentLanguageModel, RecurrentLayer


class MGULayer(RecurrentLayer):
    """One MGU layer; its state is (hidden h_t,)."""

    n_states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, n_gates=2)

    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        (hidden,) = state
        u_forget, u_new = self.from_hidden.weight.chunk(2)  # each (H, H)
        x_forget, x_new = self.from_input(x).chunk(2, dim=-1)  # each (B, H)
        forget = (x_forget + F.linear(hidden, u_forget)).sigmoid()
        candidate = (x_new + F.linear(forget * hidden, u_new)).tanh()
        return (torch.lerp(hidden, candidate, forget),)

    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        """The products with the input need no recurrence, so they are one product for all steps. No library has a kernel for
        the rest: two products and five passes a step. The state stays in its own precision, where small changes add up."""
        hidden = state[0]
        u_forget, u_new = hidden_weight.to(x.dtype).chunk(2)
        bias = self.from_input.bias.to(x.dtype)
        sums = F.linear(x, self.from_input.weight.to(x.dtype), bias)  # (T, B, 2H)
        outputs = []
        for x_forget, x_new in zip(*(part.unbind() for part in sums.chunk(2, dim=-1)), strict=True):
            low = hidden.to(x.dtype)
            forget = (x_forget + F.linear(low, u_forget)).sigmoid()
            candidate = (x_new + F.linear(forget * low, u_new)).tanh()
            hidden = torch.lerp(hidden, candidate.to(hidden.dtype), forget.to(hidden.dtype))
            outputs.append(hidden.to(x.dtype))
        return torch.stack(outputs), (hidden,)


class MGULanguageModel(RecurrentLanguageModel):
    """Embeddings, MGU layers, softmax."""

    def __init__(self, config: MGUConfig) -> None:
        super().__init__(config, [MGULayer(*sizes) for sizes in config.layer_sizes()])
