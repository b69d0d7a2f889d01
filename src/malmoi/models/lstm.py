"""LSTM language model: gates decide what to write into a memory cell, what to forget and what to show.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of (W x_t + U h_{t-1} + b), four slices of one affine map
    c_t = f * c_{t-1} + i * g
    h_t = o * tanh(c_t)

Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. The forget-gate bias starts at 1
(Jozefowicz et al. 2015). `torch.nn.LSTM` has two biases that are only ever added; here is one.

Shapes: B sequences, T tokens each, I input_size, H hidden_size.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from malmoi.layers.products import packed_product
from malmoi.models.options.recurrent import LSTMConfig
from malmoi.models.recurrent import LayerState, RecurrentLanguageModel, RecurrentLayer


def warm_up() -> None:
    """Compile the loops of bfloat16, or fetch their code from the disk."""
    from malmoi.layers.gates import lstm_backward, lstm_forward

    row, gates = np.zeros((1, 1), np.float32), np.zeros((1, 4), np.float32)
    lstm_forward(gates.copy(), row, row.copy(), row.copy(), row.copy())
    lstm_backward(gates, row, row, row, row.copy(), gates.copy())


class LSTMLayer(RecurrentLayer):
    """One LSTM layer; its state is (hidden h_t, cell c_t)."""

    n_states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, n_gates=4)
        with torch.no_grad():  # remember by default; learning to forget is the easier direction
            self.from_input.bias.zero_()
            self.from_input.bias[hidden_size : 2 * hidden_size] = forget_bias

    def cell(self, x: Float[Tensor, "batch input"], state: LayerState) -> LayerState:
        hidden, cell = state
        gates = self.from_input(x) + self.from_hidden(hidden)  # (B, 4H)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)  # each (B, H)
        cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
        return output_gate.sigmoid() * cell.tanh(), cell

    def fused(self, x: Tensor, state: LayerState, hidden_weight: Tensor) -> tuple[Tensor, LayerState]:
        hidden, cell = state
        if x.dtype == torch.bfloat16 and x.device.type == "cpu":
            outputs, cell = _LSTMOverTime.apply(
                x, hidden, cell, self.from_input.weight, hidden_weight, self.from_input.bias
            )
            return outputs, (outputs[-1].to(hidden.dtype), cell)
        weights = [w.to(x.dtype) for w in (self.from_input.weight, hidden_weight, self.from_input.bias)]
        weights.append(torch.zeros_like(weights[-1]))  # the second bias
        start = (hidden[None].to(x.dtype), cell[None].to(x.dtype))
        outputs, last_hidden, last_cell = torch._VF.lstm(  # type: ignore[attr-defined]
            x, start, weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, (last_hidden[0].to(hidden.dtype), last_cell[0].to(cell.dtype))


class _LSTMOverTime(torch.autograd.Function):
    """All steps of one layer on the CPU, forward and backward written out.

    The products with the input need no recurrence, so they are one product for all steps, and so are both weight gradients.
    What remains for each step is one product with U, whose matrix is laid out once per window, and the gate arithmetic in one
    compiled pass. Products are computed in x's dtype; gates, cells and their gradients are float32.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, hidden: Tensor, cell: Tensor, w_input: Tensor, w_hidden: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        from malmoi.layers.gates import lstm_forward

        n_steps, batch_size, input_size = x.shape
        size = hidden.shape[1]
        low_input, low_hidden = w_input.to(x.dtype), w_hidden.to(x.dtype)
        sums = torch.addmm(bias.to(x.dtype), x.reshape(-1, input_size), low_input.t()).view(n_steps, batch_size, -1)
        recurrent = packed_product(low_hidden, batch_size)
        gates = torch.empty(n_steps, batch_size, 4 * size)
        cells = torch.empty(n_steps + 1, batch_size, size)
        cell_tanhs = torch.empty(n_steps, batch_size, size)
        step_hidden = torch.empty(batch_size, size)
        outputs = torch.empty(n_steps + 1, batch_size, size, dtype=x.dtype)
        cells[0], outputs[0] = cell, hidden
        gates_, cells_, tanhs_, hidden_ = gates.numpy(), cells.numpy(), cell_tanhs.numpy(), step_hidden.numpy()
        for t in range(n_steps):
            gates[t].copy_(recurrent(outputs[t], sums[t]))
            lstm_forward(gates_[t], cells_[t], cells_[t + 1], tanhs_[t], hidden_)
            outputs[t + 1].copy_(step_hidden)
        ctx.save_for_backward(x, low_input, low_hidden, gates, cells, cell_tanhs, outputs)
        return outputs[1:], cells[-1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        from malmoi.layers.gates import lstm_backward

        d_outputs, d_cell = grad_outputs
        x, low_input, low_hidden, gates, cells, cell_tanhs, outputs = ctx.saved_tensors
        n_steps, batch_size, size = cell_tanhs.shape
        back = packed_product(low_hidden.t().contiguous(), batch_size)
        d_outputs = d_outputs.contiguous()
        d_cell = d_cell.clone()
        d_hidden, d_step = torch.empty(batch_size, size), torch.empty(batch_size, 4 * size)
        d_sums = torch.empty(n_steps, batch_size, 4 * size, dtype=x.dtype)
        gates_, cells_, tanhs_ = gates.numpy(), cells.numpy(), cell_tanhs.numpy()
        d_hidden_, d_cell_, d_step_ = d_hidden.numpy(), d_cell.numpy(), d_step.numpy()
        d_hidden.copy_(d_outputs[-1])
        for t in reversed(range(n_steps)):
            lstm_backward(gates_[t], cells_[t], tanhs_[t], d_hidden_, d_cell_, d_step_)
            d_sums[t].copy_(d_step)
            if t:
                d_hidden.copy_(back(d_sums[t], d_outputs[t - 1]))
        flat = d_sums.view(-1, 4 * size)  # (T B, 4H)
        d_x = (flat @ low_input).view_as(x)
        d_input = (flat.t() @ x.reshape(flat.shape[0], -1)).float()
        d_recurrent = (flat.t() @ outputs[:-1].view(flat.shape[0], -1)).float()
        d_start = d_sums[0].float() @ low_hidden.float() if ctx.needs_input_grad[1] else None
        return d_x, d_start, d_cell, d_input, d_recurrent, flat.sum(dim=0, dtype=torch.float32)


class LSTMLanguageModel(RecurrentLanguageModel):
    """Embeddings, LSTM layers, softmax."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config, [LSTMLayer(*sizes, config.forget_bias) for sizes in config.layer_sizes()])
