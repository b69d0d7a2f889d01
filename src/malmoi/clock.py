"""Time that is spent, and how much there is."""

import math
import time


class Clock:
    """Runs from when it is made.

    Args:
        seconds: In all; None for no end.
        spent: Seconds that count as spent already, as those before a resume.
    """

    def __init__(self, seconds: float | None = None, spent: float = 0.0) -> None:
        self.seconds = seconds
        self._began = time.monotonic() - spent

    def elapsed(self) -> float:
        """Seconds spent."""
        return time.monotonic() - self._began

    def left(self) -> float:
        """Seconds to come; infinite if there is no end."""
        return math.inf if self.seconds is None else max(0.0, self.seconds - self.elapsed())

    def share(self) -> float:
        """Of the time that is spent, 0 to 1; 0 if there is no end."""
        return 0.0 if self.seconds is None else min(1.0, self.elapsed() / self.seconds)

    def is_over(self) -> bool:
        return self.share() >= 1
