"""The output softmax with its loss, in pieces, so that a large vocabulary does not exhaust memory.

Logits for every token of a window are the largest array of a language model: 64 x 70 tokens times 50,000 words are 900 MB
in float32, and autograd keeps several such arrays. Here the gradient of the loss with respect to the logits, which is
softmax(logits) - one_hot(target), is formed piece by piece in the forward pass and turned at once into the two gradients that
are really wanted; no array of tokens x vocabulary outlives its piece.

Shapes: N tokens, H hidden_size, V vocab_size.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

PIECE_ELEMENTS = 1 << 26  # logits held at a time in the compute dtype: 128 MB in bfloat16
BLOCK_ELEMENTS = 1 << 20  # logits turned into probabilities at a time, in float32: 4 MB stay in the cache


def _softmax_gradient(logits: Tensor, targets: Tensor, column_sums: Tensor) -> float | Tensor:
    """Turn logits (N, V) into softmax(logits) - one_hot(targets), in place, and add up its columns; the summed nats."""
    if logits.dtype == torch.bfloat16 and logits.device.type == "cpu":
        from malmoi.layers.softmax import softmax_gradient

        bits = logits.view(torch.uint16).numpy()
        return float(softmax_gradient(bits, targets.contiguous().numpy(), column_sums.numpy()))
    nll = torch.zeros((), dtype=torch.float64, device=logits.device)
    block = max(1, BLOCK_ELEMENTS // logits.shape[1])
    for rows, picked in zip(logits.split(block), targets[:, None].split(block), strict=True):
        probs = torch.softmax(rows, dim=1, dtype=column_sums.dtype)
        nll -= probs.gather(1, picked).clamp_min_(torch.finfo(probs.dtype).tiny).log_().sum(dtype=torch.float64)
        probs.scatter_add_(1, picked, probs.new_full((1, 1), -1.0).expand(len(probs), 1))
        column_sums += probs.sum(dim=0)
        rows.copy_(probs)
    return nll


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Float[Tensor, ""]:
        n_tokens, vocab_size = hidden.shape[0], weight.shape[0]
        low_hidden, low_weight, low_bias = hidden.to(dtype), weight.to(dtype), bias.to(dtype)
        scaled_hidden = low_hidden / n_tokens  # the mean is taken here, on a small array
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        nll = torch.zeros((), dtype=torch.float64, device=hidden.device)
        d_hidden = torch.empty_like(low_hidden)
        d_weight: Tensor | None = None
        d_bias = torch.zeros(vocab_size, dtype=exact, device=hidden.device)
        piece = max(1, PIECE_ELEMENTS // vocab_size)
        for start in range(0, n_tokens, piece):
            stop = min(start + piece, n_tokens)
            d_logits = F.linear(low_hidden[start:stop], low_weight, low_bias)  # (n, V): the logits, for now
            nll += _softmax_gradient(d_logits, targets[start:stop], d_bias)
            torch.mm(d_logits, low_weight, out=d_hidden[start:stop])
            product = d_logits.t() @ scaled_hidden[start:stop]  # (V, H)
            d_weight = product.to(exact) if d_weight is None else d_weight.add_(product)
        assert d_weight is not None
        ctx.save_for_backward(d_hidden.to(hidden.dtype).div_(n_tokens), d_weight, d_bias.div_(n_tokens))
        return (nll / n_tokens).to(exact)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        scale = grad_outputs[0]
        if scale.device.type != "cpu" or scale != 1:  # a pass over the largest matrix for nothing, otherwise
            d_hidden, d_weight, d_bias = d_hidden * scale, d_weight * scale, d_bias * scale
        return d_hidden, d_weight, d_bias, None, None


def linear_cross_entropy(
    hidden: Float[Tensor, "tokens hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"],
    targets: Int[Tensor, " tokens"],
    dtype: torch.dtype | None = None,
) -> Float[Tensor, ""]:
    """Mean -ln softmax(hidden @ weight.T + bias)[target], in nats, with exact gradients and bounded memory.

    Args:
        dtype: What the three matrix products are computed in (bfloat16 where the processor is faster with it); the softmax
            itself is always in float32 or better. None means the dtype of `hidden`.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, bias, targets, dtype or hidden.dtype)
    return loss
