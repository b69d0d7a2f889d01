"""Dropout masks that depend on (seed, step, purpose) alone, so that an interrupted run draws the very same ones again.

No generator state has to be saved: whatever happened before, step 1234 of seed 7 has the masks of step 1234 of seed 7. They
are drawn by NumPy on the CPU from random bytes (a weight-drop mask has millions of entries, and this is the fastest way to
draw them) and then moved, so every device sees the same noise.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 1 << 16  # masks are drawn from 16-bit integers: a probability is met to 1/65536


class Noise:
    """The noise of one training step. Each mask asked for is the next one of this step's own stream."""

    def __init__(self, seed: int, step: int) -> None:
        self._bits = np.random.SFC64(np.random.SeedSequence([seed, step]))

    def keep(self, shape: Sequence[int], dropout: float, like: Tensor) -> Float[Tensor, "..."]:
        """A mask of 0 with probability `dropout`, else 1 / (1 - dropout): what it multiplies keeps its expected value.

        Args:
            shape: The mask's shape; 1 along an axis shares one draw over it (locked dropout: one mask for all time steps).
            dropout: Probability of a zero, in [0, 1).
            like: The mask takes this tensor's dtype and device.
        """
        n = int(np.prod(shape))
        threshold = round(dropout * LEVELS)
        draws = self._bits.random_raw((n + 3) // 4).view(np.uint16)[:n]  # four 16-bit draws in each raw 64-bit word
        kept = torch.from_numpy(draws >= threshold).view(*shape)
        return kept.to(like.device, like.dtype).mul_(1 / (1 - threshold / LEVELS))
