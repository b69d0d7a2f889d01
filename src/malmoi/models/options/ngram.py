"""The options of n-gram models."""

from typing import Literal

from pydantic import Field

from malmoi.models.options.base import ModelConfig


class NGramConfig(ModelConfig):
    """What an n-gram model counts and how it smooths."""

    order: int = Field(5, ge=1, le=8, description="longest n-gram, in tokens; its context is one shorter")
    smoothing: Literal["kneser-ney", "witten-bell", "add-k", "stupid-backoff"] = Field(
        "kneser-ney", description="modified Kneser-Ney (interpolated), or a simpler method to compare with"
    )
    add_k: float = Field(0.01, gt=0, description="add-k: what is added to every count")
    prune: str = Field(
        "0",
        pattern=r"^\s*\d+([ ,]+\d+)*\s*$",
        description="for each length, n-grams seen so often or less are dropped, the last number for all longer ones, as 0,0,1",
    )
    prune_entropy: float = Field(
        0.0, ge=0, description="drop n-grams whose loss raises the perplexity by less than this share, as 1e-7"
    )
    quantise: bool = Field(False, description="store probabilities and back-off weights as 8-bit codes")
