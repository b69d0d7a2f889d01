"""Which part of a mixture a probability came from.

    P(w) = sum over i of weight_i P_i(w);     share_i = weight_i P_i(w) / P(w)

Shapes: M parts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

Parts = Float64[np.ndarray, " parts"]


class Shares(NamedTuple):
    """One token's probability by the parts of a mixture."""

    probs: Parts  # P_i(w)
    products: Parts  # weight_i P_i(w)
    total: float  # P(w)
    shares: Parts  # of the total; 0 where that is 0


def shares_of(weights: Parts, log_probs: Parts) -> Shares:
    """From the weights, and ln P_i(w) of each part."""
    probs = np.exp(log_probs)
    products = weights * probs
    total = float(products.sum())
    return Shares(probs, products, total, products / total if total else products)
