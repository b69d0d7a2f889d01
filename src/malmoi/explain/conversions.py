"""Numbers as people read them: the only arithmetic of explanations, beside adding up and dividing for display.

What a model computes is never computed here: networks of `scratch` give it (their traces), tables of n-grams, mixtures.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Vector = Float[np.ndarray, "_"]


def probability(log_prob: float) -> float:
    """e^ln P."""
    return math.exp(log_prob)


def probabilities(log_probs: NDArray[Any]) -> NDArray[np.float64]:
    """e^ln P of each, any shape."""
    return np.asarray(np.exp(log_probs, dtype=np.float64))


def nats_of(prob: float) -> float:
    """-ln P; infinite for what is impossible."""
    return -math.log(prob) if prob > 0 else math.inf


def bits(nats: float) -> float:
    return nats / math.log(2)


def length(vector: NDArray[Any]) -> float:
    """Of an array, as one vector."""
    return float(np.linalg.norm(vector))


def lengths(rows: Float[np.ndarray, "*any width"]) -> Float[np.ndarray, "*any"]:
    """Of each row."""
    return np.asarray(np.linalg.norm(rows, axis=-1))


def choices(probs: Vector) -> float:
    """Among how many equally likely tokens the choice would be as open: e to the entropy."""
    some = probs[probs > 0]
    return math.exp(-float((some * np.log(some)).sum()))
