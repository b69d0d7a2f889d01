"""Quick trainings of vectors, and who listens to them."""

from pathlib import Path
from typing import Any

import numpy as np

from malmoi.training.progress import Reporter, StepReport

QUICK: dict[str, dict[str, Any]] = {
    "word2vec": {"embed_dim": 8, "epochs": 4, "subsample_threshold": 0.0},
    "glove": {"embed_dim": 8, "epochs": 4},
    "cooccurrence": {"embed_dim": 4},
}


def lines(n: int, words: str, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    return "".join(" ".join(rng.choice(words.split(), 8)) + "\n" for _ in range(n))


class Listens(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[StepReport] = []

    def stage(self, text: str) -> None:
        self.said.append(text)

    def trained(self, report: StepReport) -> None:
        self.steps.append(report)


def numbers_text(folder: Path) -> Path:
    """A file of 400 lines with twelve different words."""
    path = folder / "text.txt"
    path.write_text(lines(400, "one two three four five six seven eight 하나 둘 셋 넷"), encoding="utf-8")
    return path
