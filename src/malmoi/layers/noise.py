"""Dropout masks that depend on (seed, step, purpose) alone, so that an interrupted run draws the very same ones again.

No generator state has to be saved: whatever happened before, step 1234 of seed 7 has the masks of step 1234 of seed 7. On the
CPU they are drawn by NumPy from random bytes (a weight-drop mask has millions of entries, and this is the fastest way to draw
them). Any other device draws its own, so that no mask crosses the bus: an attention layer asks for one of (B, heads, T, T).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEVELS = 1 << 16  # masks are drawn from 16-bit integers: a probability is met to 1/65536


class Noise:
    """The noise of one training step.

    Its purpose is its place: each mask that is asked for is the next one of this step's own stream, and a network asks for
    them in the same order at every step.
    """

    def __init__(self, seed: int, step: int) -> None:
        self._seeds = np.random.SeedSequence([seed, step])
        self._bits = np.random.SFC64(self._seeds)
        self._generator: torch.Generator | None = None  # of the device, made when it is first asked for a mask

    def keep(self, shape: Sequence[int], dropout: float, like: Tensor) -> Float[Tensor, "..."]:
        """A mask of 0 with probability `dropout`, else 1 / (1 - dropout): what it multiplies keeps its expected value.

        Args:
            shape: The mask's shape; 1 along an axis shares one draw over it (locked dropout: one mask for all time steps).
            dropout: Probability of a zero, in [0, 1).
            like: The mask takes this tensor's dtype and device.
        """
        threshold = round(dropout * LEVELS)
        kept = self._here(shape, threshold) if like.device.type == "cpu" else self._there(shape, threshold, like.device)
        return kept.to(like.dtype).mul_(1 / (1 - threshold / LEVELS))

    def _here(self, shape: Sequence[int], threshold: int) -> Bool[Tensor, "..."]:
        n = int(np.prod(shape))
        draws = self._bits.random_raw((n + 3) // 4).view(np.uint16)[:n]  # four 16-bit draws in each raw 64-bit word
        return torch.from_numpy(draws >= threshold).view(*shape)

    def _there(self, shape: Sequence[int], threshold: int, device: torch.device) -> Bool[Tensor, "..."]:
        if self._generator is None:
            seed = int(self._seeds.generate_state(1, np.uint64)[0] >> 1)  # manual_seed takes 63 bits of it
            self._generator = torch.Generator(device).manual_seed(seed)
        draws = torch.randint(LEVELS, tuple(shape), generator=self._generator, device=device, dtype=torch.int32)
        return draws >= threshold
