"""The floor of training: below it a model has learnt too little for its figures to say anything about its rung."""

import shlex
from collections.abc import Sequence

LEAST_UPDATES = 100
LEAST_EPOCHS, ENOUGH_TOKENS = 0.05, 2_000_000  # of the training text that have to be read, or tokens, if it is long
LONGER = (60, 120, 300, 600, 1800, 3600)  # seconds of budgets to choose from
MINUTE = 60
FEW = 10  # updates: of fewer, how long one takes does not follow


def shortfall(
    updates: int, tokens: int, epochs: float, value: float | None, guess: float | None, is_better: bool
) -> str:
    """Why a run is hardly trained; "" if it is not.

    Args:
        updates: How many were made.
        tokens: How many tokens, or examples, they learnt from.
        epochs: How often the training text was read.
        value: The validation figure; None if there is none.
        guess: The same figure of who only knows how often each answer occurs; None where nobody has worked that out.
        is_better: Whether `value` is better than `guess`.
    """
    if updates < LEAST_UPDATES:
        made = "1 update was" if updates == 1 else f"{updates:,} updates were"
        return f"{made} made, at least {LEAST_UPDATES} were expected"
    if epochs < LEAST_EPOCHS and tokens < ENOUGH_TOKENS:
        return f"{epochs:.1%} of the training text was read, at least {LEAST_EPOCHS:.0%} was expected"
    if value is not None and guess is not None and not is_better:
        return f"on validation text it is no better ({value:.2f}) than counting single tokens ({guess:.2f})"
    return ""


def longer_budget(seconds: float, updates: int, epochs: float) -> str:
    """The shortest usual budget that would probably have been enough, as a flag takes it."""
    needed = seconds * max(3.0, 3 * LEAST_UPDATES / max(updates, FEW), 3 * LEAST_EPOCHS / max(epochs, 0.002))
    chosen = next((longer for longer in LONGER if longer >= min(needed, LONGER[-1])), LONGER[-1])
    return f"{chosen // MINUTE}m"


def with_option(words: Sequence[str], name: str, value: str) -> list[str]:
    """A command with an option set anew."""
    kept, skips = list[str](), False
    for word in words:
        if skips:
            skips = False
        elif word == name:
            skips = True
        elif not word.startswith(f"{name}="):
            kept.append(word)
    return [*kept, name, value]


def way_out(command: str, rung: str, budget: float | None, steps: int, updates: int, epochs: float) -> str:
    """The one command that helps a run which is hardly trained."""
    words = shlex.split(command) if command else ["malmoi", "train", rung, "TEXT"]
    words = [word for word in words if word != "--resume"]
    if budget is None:
        enough = max(steps * 10, 10 * LEAST_UPDATES)
        words = with_option(words, "--steps", str(enough))
    else:
        words = with_option(words, "--budget", longer_budget(budget, updates, epochs))
    return shlex.join(with_option(words, "--out", "runs/NAME"))
