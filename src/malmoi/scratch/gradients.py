"""Gradients without any calculus, to check a `backward` with: move one number a little, and see how much the loss moves."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.scratch.checks import Array
from malmoi.scratch.layers import Layer
from malmoi.scratch.optimisers import remove_duplicates

SMALLEST_SCALE = 1e-3  # below it differences count as they are: finite differences are right to about 1e-10 of the loss


def numerical_gradient(f: Callable[[], float], array: Array, eps: float = 1e-6) -> NDArray[np.float64]:
    """(f(x + eps) - f(x - eps)) / (2 eps) for every number x of an array.

    Args:
        f: Computes the loss from whatever stands in `array` when it is called. Randomness in it must repeat itself.
        array: float64, any shape; each number is moved and put back.
        eps: How far. The error is about eps^2 from the curve being no line, and 1e-16 / eps from rounding.

    Raises:
        ConfigError: If the array is not float64, whose digits are needed.
    """
    if array.dtype != np.float64:
        raise ConfigError(
            f"The array holds {array.dtype} numbers, expected float64. Build the network with dtype=np.float64."
        )
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + eps
        above = f()
        array[place] = before - eps
        below = f()
        array[place] = before
        gradient[place] = (above - below) / (2 * eps)
    return gradient


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, divided by the largest number of either array (by 1e-3 where all are smaller)."""
    if found.shape != expected.shape:
        raise ConfigError(
            f"A gradient has shape {found.shape}, expected {expected.shape}: that of the array it belongs to."
        )
    if not found.size:
        return 0.0
    scale = max(float(np.abs(found).max()), float(np.abs(expected).max()), SMALLEST_SCALE)
    return float(np.abs(found - expected).max()) / scale


def check_gradients(network: Layer, run: Callable[[], float]) -> float:
    """The largest relative error of the gradients in `network.grads`, over all weights.

    Args:
        network: A layer or a network with float64 weights. Shared weights count once, with their gradients added up.
        run: Runs `forward` and then `backward`, and gives the loss. For a layer that has none: the sum of its output times
            fixed numbers, which are also the `dout` of its backward.
    """
    run()
    params, grads = remove_duplicates(network.params, network.grads)
    grads = [gradient.copy() for gradient in grads]
    return max((relative_error(grads[i], numerical_gradient(run, params[i])) for i in range(len(params))), default=0.0)
