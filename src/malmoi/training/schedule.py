"""The learning rate over a run: a short warm-up, a flat part, and a long straight descent to almost nothing.

What a budget buys is decided by the descent: most of the gain comes while the rate falls, so it always ends exactly where
the budget ends.
"""

from pydantic import Field

from malmoi.settings import Settings


class Schedule(Settings):
    """The learning rate as a multiple of its peak, by the share of the run that is over."""

    warmup: float = Field(0.03, ge=0, lt=1, description="share of the run in which the rate climbs from 0")
    decay_from: float = Field(0.3, ge=0, lt=1, description="share of the run after which the rate falls")
    final: float = Field(0.01, ge=0, le=1, description="rate at the end, as a share of the peak")

    def factor(self, progress: float, update: float = 0.0) -> float:
        """The multiple for an update.

        Args:
            progress: The share of the run that was over before it: 0 at the start, 1 at the end.
            update: The share that it takes itself. The climb counts it, so that the first update learns something, too.
        """
        progress = min(max(progress, 0.0), 1.0)
        if progress < self.warmup:
            return min(1.0, (progress + update) / self.warmup)
        if progress <= self.decay_from:
            return 1.0
        return self.final + (1 - self.final) * (1 - progress) / (1 - self.decay_from)
