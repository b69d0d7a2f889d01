"""Comparisons that take no time, and a small language for them."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from malmoi.comparison.compare import compare
from malmoi.comparison.comparison import Comparison
from malmoi.comparison.contenders import options_for, read_contenders
from malmoi.training.progress import Reporter

COMMON: dict[str, Any] = {"steps": 6, "tokenizer": "char", "measure_memory": False}
SMALL: dict[str, Any] = {
    **{"hidden_size": 6, "embed_dim": 6, "batch_size": 4, "window": 7, "precision": "float32", "learning_rate": 2.0},
    "order": 3,
}


def quickly(
    text: Any, rungs: Sequence[str | Path], *, ask: Callable[..., Comparison] = compare, **options: Any
) -> Comparison:
    """A comparison (or ladder) of models that take no time."""
    small = [options_for(contender, SMALL) for contender in read_contenders(rungs)]
    return ask(
        text, rungs=rungs, **{**COMMON, **{name: value for one in small for name, value in one.items()}, **options}
    )


class Listener(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)


def sentences(n: int, seed: int = 0) -> list[str]:
    """A small language in which order matters."""
    rng = random.Random(seed)
    animals = [("고양이가", "잔다"), ("강아지가", "뛴다"), ("the cat", "sleeps"), ("the dogs", "run")]
    lines = []
    for number in range(n):
        animal, verb = rng.choice(animals)
        lines.append(
            f"{animal} {verb} {rng.choice(['오늘', 'today', 'here', '여기'])} {number % 97} {rng.randrange(50)}"
        )
    return lines
