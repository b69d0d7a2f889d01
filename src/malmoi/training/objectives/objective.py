"""What the training loop knows of a kind of model: how wrong it is on a batch, and how one sees that it gets better.

The loop, the clock, checkpoints, resume and progress ask nothing else, so a language model, a translator and a classifier are
all trained by the same loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

    from malmoi.layers.noise import Noise
    from malmoi.runs.opening import OpenRun
    from malmoi.training.settings import TrainingSettings


class Data(NamedTuple):
    """What is learnt from, what is held back, and what is only measured in the end, each as the objective reads it."""

    train: Any
    valid: Any
    test: Any  # or None


class Cost(NamedTuple):
    """Seconds that measuring takes: for the data itself, and around it, as for text that is only read to warm up."""

    data: float
    around: float


class Batch(NamedTuple):
    """What one update learns from.

    Attributes:
        loss: Mean over the batch, a scalar with its gradient.
        size: How many tokens, or examples, the mean is over.
    """

    loss: "Tensor"
    size: int


class Objective(ABC):
    """Batches, what is carried between them, the loss, and the validation figure with its direction.

    What update number `step` learns from is a function of (seed, step) and of what is carried alone, so that a run which was
    stopped goes on as if nothing had happened.

    Attributes:
        figure: The name of the validation figure, as metrics.jsonl has it.
        higher_is_better: Its direction.
        loss_name: The name of the training loss in metrics.jsonl, after "train_".
        network: What is trained; `named_parameters()` are what is saved.
        steps_per_epoch: Updates in which all of the training text is read once.
    """

    figure: ClassVar[str]
    higher_is_better: ClassVar[bool] = False
    loss_name: ClassVar[str] = "loss"

    network: "nn.Module"
    steps_per_epoch: int

    @classmethod
    @abstractmethod
    def on(cls, network: "nn.Module", data: Data, settings: "TrainingSettings") -> "Objective":
        """The objective of a network on prepared data.

        Raises:
            DataError: If there is too little of it.
        """

    @classmethod
    @abstractmethod
    def rehearsal(cls, network: "nn.Module", settings: "TrainingSettings", noise: "Noise") -> "Tensor":
        """The loss of a made-up batch as large as real ones, by which the planner measures how fast a network learns here.

        Args:
            network: What would be trained.
            settings: Batch size and all else that a real batch would follow.
            noise: Where dropout masks come from.
        """

    @abstractmethod
    def batch(self, step: int, noise: "Noise") -> Batch:
        """The loss of update number `step` (from 0), ready for `backward`.

        Args:
            step: Which update.
            noise: Where dropout masks come from.
        """

    @abstractmethod
    def validate(self, share: float = 1.0) -> float:
        """The figure on the validation data, with the weights as they are, without noise.

        Args:
            share: How much of the data is read, the same part each time.
        """

    def validation_seconds(self) -> float:
        """About how long `validate` takes, from a short measurement."""
        return 0.0

    def guess(self) -> float | None:
        """The figure of who has learnt nothing but how often each answer occurs; None where nobody has worked it out."""
        return None

    @abstractmethod
    def told(self, value: float) -> dict[str, float]:
        """The figures that follow from one of `validate`, for people, the one that counts most first."""

    @abstractmethod
    def recorded(self, value: float) -> dict[str, float]:
        """The same for metrics.jsonl: `figure` itself, and what follows from it."""

    def carried(self) -> "dict[str, Tensor]":
        """What the next update needs of those before it besides the weights, as a recurrent state, for the checkpoint."""
        return {}

    def carry(self, tensors: "Mapping[str, Tensor]") -> None:
        """Take up what `carried` gave."""
        assert not tensors, f"{type(self).__name__} carries nothing"

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a figure is better than the best so far; None is worse than any."""
        return best is None or (value > best if self.higher_is_better else value < best)

    def final(self, value: float) -> dict[str, Any]:
        """The figures of the best weights for config.json, where validation data is not read once more at the end."""
        return dict(self.recorded(value))

    @abstractmethod
    def measuring_costs(self, parts: Sequence[Any]) -> list[Cost]:
        """How long `measure` will take on each of these parts of the data, from a short measurement."""

    @abstractmethod
    def measure(self, run: "OpenRun", part: Any) -> dict[str, Any]:
        """The figures of the finished run on a part of the data, as config.json has them and the card shows them."""
