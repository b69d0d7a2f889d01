"""Softmax and its gradient in one pass over rows of bfloat16 logits: each row stays in the cache from first to last.

As tensor operations the same takes seven passes over an array larger than the cache, a tenth of a training step.

Shapes: N tokens, V vocab_size.
"""

import numpy as np
from numpy.typing import NDArray

from malmoi.jit import compiled
from malmoi.layers.exponential import ONE, exp

WORD, ROUNDING, LAST_BIT = np.uint32(16), np.uint32(0x7FFF), np.uint32(1)  # bfloat16 is the upper half of a float32


@compiled(inline=True)
def _wide(bits):  # type: ignore[no-untyped-def]
    return np.uint32(np.uint32(bits) << WORD).view(np.float32)


@compiled(inline=True)
def _narrow(value):  # type: ignore[no-untyped-def]
    """The nearest bfloat16, ties to even."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + ROUNDING + ((bits >> WORD) & LAST_BIT)) >> WORD)


@compiled()
def softmax_gradient(logits: NDArray[np.uint16], targets: NDArray[np.int64], column_sums: NDArray[np.float32]) -> float:
    """Turn logits (N, V) into softmax(logits) - one_hot(targets), in place, both as the bits of bfloat16.

    Adds the sums of its columns to `column_sums` (V,), and returns the summed -ln softmax(logits)[target] in nats.
    """
    n_rows, width = logits.shape
    values = np.empty(width, np.float32)
    nll = 0.0
    for row in range(n_rows):
        bits, target = logits[row], targets[row]
        top = np.float32(-np.inf)
        for j in range(width):
            values[j] = _wide(bits[j])
            top = max(top, values[j])
        nll += np.float64(top - values[target])
        total = np.float32(0)
        for j in range(width):
            values[j] = exp(values[j] - top)
            total += values[j]
        nll += np.log(np.float64(total))
        scale = ONE / total
        values[target] -= total
        for j in range(width):
            values[j] *= scale
            column_sums[j] += values[j]
        for j in range(width):
            bits[j] = _narrow(values[j])
    return nll
