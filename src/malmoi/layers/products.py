"""A product with the same matrix at every time step, the matrix laid out once for the processor.

oneDNN, the library under PyTorch's CPU products, re-arranges the weight matrix into its own blocked layout before every
product. A recurrent layer multiplies by the same matrix at each of its 35 to 70 steps, so doing that once per window makes
small batches up to twice as fast. PyTorch offers it under `torch.ops.mkldnn` (its compiler uses it); where that is missing,
an ordinary product does the same.
"""

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]


@cache
def _has_packed_products(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the packed product for this dtype, tried once on a small matrix."""
    try:
        weight, x = torch.eye(3, dtype=dtype), torch.ones(2, 3, dtype=dtype)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 2)
        return bool(torch.equal(torch.ops.mkldnn._linear_pointwise.binary(x, x, packed, None, "add"), x + x))
    except (AttributeError, RuntimeError):
        return False


def packed_product(weight: Float[Tensor, "out in"], batch_size: int) -> Product:
    """The function (x (B, in), addend (B, out)) -> x @ weight.T + addend, for many calls with this weight."""
    if weight.device.type == "cpu" and _has_packed_products(weight.dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, batch_size)
        fused = torch.ops.mkldnn._linear_pointwise.binary
        return lambda x, addend: fused(x, addend, packed, None, "add")  # type: ignore[no-any-return]
    transposed = weight.t()
    return lambda x, addend: torch.addmm(addend, x, transposed)
