"""Elman recurrent language model: the hidden state is rewritten at every step.

    h_t = tanh(W x_t + U h_{t-1} + b)

Source: Elman 1990; Mikolov et al. 2010 for the language model.

Shapes: B sequences, T tokens each, I input_size, H hidden_size.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from malmoi.layers.products import packed_product
from malmoi.models.options.recurrent import RNNConfig
from malmoi.models.recurrent import LayerState, RecurrentLanguageModel, RecurrentLayer


class RNNLayer(RecurrentLayer):
    """One Elman layer; its state is (hidden h_t,)."""

    n_states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, n_gates=1)

    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        return ((self.from_input(x) + self.from_hidden(state[0])).tanh(),)

    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        (hidden,) = state
        if x.dtype == torch.bfloat16 and x.device.type == "cpu":
            outputs = _RNNOverTime.apply(x, hidden, self.from_input.weight, hidden_weight, self.from_input.bias)
            return outputs, (outputs[-1].to(hidden.dtype),)
        weights = [w.to(x.dtype) for w in (self.from_input.weight, hidden_weight, self.from_input.bias)]
        weights.append(torch.zeros_like(weights[-1]))  # PyTorch's second bias
        outputs, last = torch._VF.rnn_tanh(  # type: ignore[attr-defined]
            x, hidden[None].to(x.dtype), weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, (last[0].to(hidden.dtype),)


class _RNNOverTime(torch.autograd.Function):
    """All steps of one layer on the CPU, forward and backward written out, as in lstm.py.

    Only the product with U is made step by step. Autograd would make a weight gradient at each step as well, and sum them up in
    the low precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, hidden: Tensor, w_input: Tensor, w_hidden: Tensor, bias: Tensor) -> Tensor:
        n_steps, batch_size, input_size = x.shape
        low_input, low_hidden = w_input.to(x.dtype), w_hidden.to(x.dtype)
        sums = torch.addmm(bias.to(x.dtype), x.reshape(-1, input_size), low_input.t()).view(n_steps, batch_size, -1)
        recurrent = packed_product(low_hidden, batch_size)
        outputs = torch.empty(n_steps + 1, *hidden.shape, dtype=x.dtype)
        outputs[0] = hidden
        for t in range(n_steps):
            torch.tanh(recurrent(outputs[t], sums[t]), out=outputs[t + 1])
        ctx.save_for_backward(x, low_input, low_hidden, outputs)
        return outputs[1:]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, low_input, low_hidden, outputs = ctx.saved_tensors
        d_outputs = grad_outputs[0].contiguous()
        back = packed_product(low_hidden.t().contiguous(), d_outputs.shape[1])
        slopes = (1 - outputs[1:]) * (1 + outputs[1:])  # of tanh
        d_sums = torch.empty_like(d_outputs)
        d_hidden = d_outputs[-1]
        for t in reversed(range(len(d_sums))):
            torch.mul(d_hidden, slopes[t], out=d_sums[t])
            if t:
                d_hidden = back(d_sums[t], d_outputs[t - 1])
        flat = d_sums.flatten(0, 1)  # (T B, H)
        d_x = (flat @ low_input).view_as(x)
        d_input = (flat.t() @ x.reshape(len(flat), -1)).float()
        d_recurrent = (flat.t() @ outputs[:-1].flatten(0, 1)).float()
        d_start = d_sums[0].float() @ low_hidden.float() if ctx.needs_input_grad[1] else None
        return d_x, d_start, d_input, d_recurrent, flat.sum(dim=0, dtype=torch.float32)


class RNNLanguageModel(RecurrentLanguageModel):
    """Embeddings, Elman layers, softmax."""

    def __init__(self, config: RNNConfig) -> None:
        super().__init__(config, [RNNLayer(*sizes) for sizes in config.layer_sizes()])
