"""How a model is trained: one class for recipe, run folder and command line."""

import re
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from malmoi.errors import ConfigError
from malmoi.settings import Settings
from malmoi.training.schedule import Schedule

SIZE, UNITS = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgG]?)[bB]?\s*$", {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
Precision = Literal["float32", "bfloat16"]


class TrainingSettings(Settings):
    """Everything that shapes training besides the model and the text."""

    batch_size: PositiveInt = Field(32, description="text streams read side by side")
    window: PositiveInt = Field(50, description="tokens before the state is detached (truncated back-propagation)")
    optimiser: Literal["adam", "sgd"] = Field("adam", description="adam (AdamW) or plain sgd")
    learning_rate: PositiveFloat = Field(0.003, description="peak learning rate; sgd wants about 20, adam about 0.003")
    layer_rate: PositiveFloat = Field(
        1.0,
        description="learning rate between embeddings and softmax, as a multiple of theirs; if not 1, clipped apart",
    )
    clip_norm: PositiveFloat = Field(0.25, description="longest gradient: a longer one is scaled down to it")
    beta1: float = Field(0.9, ge=0, lt=1, description="adam: memory of the mean gradient")
    beta2: float = Field(0.99, ge=0, lt=1, description="adam: memory of the mean squared gradient")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    schedule: Schedule = Field(Schedule(), description="learning rate over the run")
    precision: Precision = Field("float32", description="what the matrix products are computed in")
    seed: int = Field(0, ge=0, lt=2**63, description="of weights, dropout and data order")
    steps: PositiveInt | None = Field(None, description="updates to make; None where a time budget decides")
    evaluate_every: PositiveInt | None = Field(None, description="updates between evaluations; None: by the clock")
    evaluate_share: float = Field(0.05, gt=0, le=1, description="by the clock: share of the budget between evaluations")
    patience: PositiveInt = Field(8, description="evaluations without improvement after which training stops")
    checkpoint_seconds: PositiveFloat = Field(60.0, description="seconds between checkpoints")

    @model_validator(mode="after")
    def steps_have_evaluations(self) -> "TrainingSettings":
        if self.steps is not None and self.evaluate_every is None:
            raise ConfigError(
                f"steps={self.steps} needs evaluate_every: by the clock, two equal runs would not evaluate at the same "
                f"updates. Set evaluate_every={max(1, self.steps // 20)}."
            )
        return self


class CountingSettings(Settings):
    """How a counting rung is estimated; none of it changes the result but `max_disk`."""

    memory: str = Field("2GB", pattern=SIZE, description="what counting may use; beyond it, arrays lie in files")
    threads: PositiveInt | None = Field(None, description="processor cores to use; all of them if left out")
    max_disk: str | None = Field(None, pattern=SIZE, description="prune until the whole run takes no more, as 8MB")
    seed: int = Field(0, ge=0, lt=2**63, description="of nothing: counting is exact; kept so that every rung takes it")


class PairCountingSettings(Settings):
    """How pairs of words are counted; of all this, only the seed can change the result, where SVD draws at random."""

    memory: str = Field("2GB", pattern=SIZE, description="what counting may use; beyond it, arrays lie in files")
    threads: PositiveInt | None = Field(None, description="processor cores to use; all of them if left out")
    seed: int = Field(0, ge=0, lt=2**63, description="of whatever is drawn at random")


class GloVeTrainingSettings(PairCountingSettings):
    """How GloVe is fitted to counts; it gives the same bytes for any number of threads."""

    learning_rate: float = Field(0.05, gt=0, lt=float("inf"), description="AdaGrad's first step size")
    checkpoint_seconds: PositiveFloat = Field(60.0, description="seconds between checkpoints")


class Word2VecTrainingSettings(Settings):
    """How word2vec reads a text."""

    mode: Literal["free", "deterministic"] = Field(
        "deterministic", description="deterministic: the same bytes for any number of threads; free: all cores at once"
    )
    threads: PositiveInt | None = Field(None, description="processor cores to use; all of them if left out")
    learning_rate: float | None = Field(
        None, gt=0, lt=float("inf"), description="first learning rate; if left out 0.025, and 0.05 for cbow"
    )
    min_learning_rate: float | None = Field(
        None, ge=0, lt=float("inf"), description="last learning rate; if left out 0.0001, but never above the first"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of first values, windows and wrong words")
    checkpoint_seconds: PositiveFloat = Field(60.0, description="seconds between checkpoints")


def parse_size(size: str) -> int:
    """Bytes, from 8MB, 1.5 GB or 300000; a kB is 1,000 bytes."""
    match = re.fullmatch(SIZE, size)
    if match is None:
        raise ConfigError(f"{size!r} is no size. Give bytes, or a number with kB, MB or GB, as 8MB.")
    return round(float(match[1]) * UNITS[(match[2] or "").lower()])
