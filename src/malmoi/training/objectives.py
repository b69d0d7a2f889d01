"""What training minimises.

Shapes: B sequences, T tokens each.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from malmoi.layers.noise import Noise
from malmoi.layers.output import linear_cross_entropy
from malmoi.models.network import NetworkState, NextTokenNetwork


def detached(state: NetworkState) -> NetworkState:
    """The same numbers with their history cut off: where truncated back-propagation stops."""
    return [tuple(tensor.detach() for tensor in layer) for layer in state]


def next_token_loss(
    model: NextTokenNetwork,
    inputs: Int[Tensor, "batch time"],
    targets: Int[Tensor, "batch time"],
    state: NetworkState | None,
    noise: Noise | None,
) -> tuple[Float[Tensor, ""], NetworkState]:
    """Mean nats per token of a window, and the state after it."""
    hidden, state = model.hidden(inputs, state, noise)
    rows = hidden.transpose(0, 1).flatten(0, 1)  # (T B, H), in the order they lie in memory
    loss = linear_cross_entropy(
        rows, model.output.weight, model.output.bias, targets.t().reshape(-1), model.compute_dtype
    )
    return loss, detached(state)


@torch.inference_mode()
def window_nll(
    model: NextTokenNetwork,
    inputs: Int[Tensor, "batch time"],
    targets: Int[Tensor, "batch time"],
    state: NetworkState | None,
) -> tuple[float, NetworkState]:
    """Summed nats of a window without dropout, in the model's compute dtype, and the state after it."""
    hidden, state = model.hidden(inputs, state)
    dtype = model.compute_dtype or model.output.weight.dtype
    logits = F.linear(hidden.to(dtype), model.output.weight.to(dtype), model.output.bias.to(dtype))  # (B, T, V)
    nll = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
    return nll.item(), state
