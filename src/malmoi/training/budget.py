"""A time that everything has to fit in: `--budget 10m`, from the flag to the last second.

The clock runs from the moment the command began, so reading the text and writing the files are paid from it too. Every share
of a budget that something may take stands in this file.
"""

import math
import re
import time
from dataclasses import dataclass, replace

from malmoi.errors import ConfigError, TrainingError

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
SHORTEST, LONGEST = 5, 366 * 86400  # seconds
DEFAULT = 600.0  # seconds: of rungs trained step by step, where nothing says how long

FINAL_SHARE = 0.0025  # kept back for writing files and for what was not foreseen
LEAST_TRAINING_SHARE = 0.2  # with less than that left after preparing the text, nothing good can come of it
VALIDATION_SHARE = 0.02  # the validation text is read once more at the end only if it takes no longer
OVERLAP_SHARE = 0.02  # likewise the training text, to see how much of the validation text stands in it
VECTORS_SHARE = 0.98  # what learning vectors may take of it; the rest is for writing files
FIRST_VALIDATION = 50  # updates that come before the first validation, by the clock
VALIDATION_OF_LEFT = (
    0.1  # of the time that is left, which one validation takes at most: of a part of the text, if need be
)
CLOSING, MOST_SLOWDOWN = (
    0.7,
    6.0,
)  # seconds for files at the end; how many times as long a busy machine may take for them
BUSY = 1.5  # slowdown from which on other programs are to blame
OVERRUN, OVERRUN_SECONDS = 0.1, 5.0  # how far a budget may be overrun by what cannot be left out: the larger of the two
EVALUATION_SPACING = 40  # by the clock, training takes at least so many times as long as the evaluations between it

# Of a ladder, in seconds
REPORTING = 7.0  # kept back for the comparison and its report
MEASURING, STARTING = 2.5, 4.0  # latency and continuation; another process, whose memory is measured
LEAST_RUNG = 20.0  # with less, starting a rung takes most of it: the earliest trained rungs are left out then
SLACK = 1.3  # a busy machine may take so many times as long as before
WORTH_A_PROCESS = 180.0  # of budget, from which on memory is measured


@dataclass(frozen=True)
class Budget:
    """Seconds in all, and when they began to count.

    Attributes:
        seconds: In all; None where epochs or steps say how long.
        started: By time.monotonic().
    """

    seconds: float | None
    started: float

    @classmethod
    def parse(cls, text: str | float | None, started: float | None = None) -> "Budget":
        """Of a flag, as 90, "90s", "10m" or "1.5h"; it began just now if nothing else is said.

        Raises:
            ConfigError: If it is no such time, or below five seconds.
        """
        return cls(parse_budget(text), time.monotonic() if started is None else started)

    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds to come, less than 0 where it is overrun; infinite if there is no budget."""
        return math.inf if self.seconds is None else self.seconds - self.elapsed()

    def after(self, spent: float) -> "Budget":
        """What a resumed run has of it, which spent some before."""
        return self if self.seconds is None else replace(self, seconds=self.seconds - spent)

    def for_steps(self, final: float = 0.0) -> float | None:
        """Seconds that are left for training, `final` of them being needed after it; None if there is no budget."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds * (1 - FINAL_SHARE) - self.elapsed() - final)

    def for_vectors(self) -> float | None:
        """Seconds that are left for learning vectors; None if there is no budget."""
        return None if self.seconds is None else max(0.1, VECTORS_SHARE * self.seconds - self.elapsed())

    def allows_validation(self, seconds: float) -> bool:
        """Whether the validation text may be read once more at the end, which takes that long."""
        return self.seconds is None or seconds <= VALIDATION_SHARE * self.seconds

    def allows_overlap(self, seconds: float) -> bool:
        """Whether the training text may be read once more, which takes that long."""
        return self.seconds is None or seconds <= OVERLAP_SHARE * self.seconds

    def closing(self) -> float:
        """Seconds to keep back for files and all else that comes last, which take longer where other programs are busy, too."""
        return CLOSING * self.slowdown()

    def slowdown(self) -> float:
        """How many times as long everything takes as for a process that has the machine to itself; about 1 there."""
        return min(max(self.elapsed() / max(time.process_time(), 1e-3), 1.0), MOST_SLOWDOWN)

    def blame(self) -> str:
        """Why a plan was not kept, as far as one can tell."""
        return "the machine is busy" if self.slowdown() > BUSY else "it is short for this text"

    def has_room(self, seconds: float) -> bool:
        """Whether something that can be left out still fits, a quarter of what a budget may be overrun by included."""
        if self.seconds is None:
            return True
        return seconds <= self.left() + max(OVERRUN * self.seconds, OVERRUN_SECONDS) / 4

    def overrun(self) -> float:
        """Seconds by which it was overrun, if that is more than people would not notice; else 0."""
        over = -self.left()
        return over if self.seconds is not None and over > max(0.03 * self.seconds, 1.0) else 0.0

    def refuse_if_spent(self) -> None:
        """Stop before training that the clock leaves no room for.

        Raises:
            TrainingError: If preparing the text took nearly all of it.
        """
        left = self.for_steps()
        if self.seconds is not None and left is not None and left < LEAST_TRAINING_SHARE * self.seconds:
            raise TrainingError(
                f"Preparing the text took {self.elapsed():.0f} of the {self.seconds:.0f} seconds of --budget, so too "
                "little is left to train. Token ids that were made are kept, so another try needs less time; or give a longer "
                "--budget."
            )


def parse_budget(budget: str | float | None) -> float | None:
    """Seconds, from 90, "90s", "10m" or "1.5h".

    Raises:
        ConfigError: If it is no such time, or below five seconds.
    """
    if budget is None:
        return None
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smh]?)\s*", str(budget))
    seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"--budget {budget} is no training time. Give at least 5 seconds, as 90s, 10m or 1h.")
    return seconds
