"""The options of the minimal gated unit."""

from collections.abc import Mapping
from typing import Any, ClassVar

from malmoi.models.options.recurrent import RecurrentConfig


class MGUConfig(RecurrentConfig):
    """Minimal gated units: one gate."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"layer_rate": 0.2}  # as gru, whose state it has
    n_gates: ClassVar[int] = 2
