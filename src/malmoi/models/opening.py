"""What a rung is given to make a model out of a run folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from malmoi.arrays import Arrays
from malmoi.models.options.base import ModelConfig
from malmoi.models.registry import Rung

if TYPE_CHECKING:
    from malmoi.text.tokenizers import Tokenizer


class Opening(NamedTuple):
    """A run on its way to being a model.

    Attributes:
        folder: Where its files lie.
        rung: What it is a run of.
        config: Its options.
        arrays: Gives the arrays of its model.safetensors, which another thread is reading.
        tokenizer: Gives its tokenizer, which takes a while, too.
        device: Where it is to compute, as "cpu" or "cuda"; "auto" is the GPU where there is one.
        engine: "numpy", "torch", or "auto": NumPy on the CPU, PyTorch elsewhere.
    """

    folder: Path
    rung: Rung
    config: ModelConfig
    arrays: Callable[[], Arrays]
    tokenizer: "Callable[[], Tokenizer]"
    device: str
    engine: str
