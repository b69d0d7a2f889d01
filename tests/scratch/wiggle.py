"""A backward pass against finite differences, for layers that read several arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.scratch.gradients import check_gradients, numerical_gradient, relative_error
from malmoi.scratch.layers import Layer


def worst_gradient_error(
    layer: Layer,
    forward: Callable[[], NDArray[Any]],
    backward: Callable[[NDArray[Any]], Sequence[NDArray[Any]]],
    inputs: Sequence[NDArray[Any]],
) -> float:
    """The largest relative error of the gradients of all weights and of the inputs; `backward` gives one for each input."""
    dout = np.random.default_rng(3).normal(size=forward().shape)
    found: list[NDArray[Any]] = []

    def run() -> float:
        loss = float((forward() * dout).sum())
        found[:] = backward(dout)
        return loss

    errors = [check_gradients(layer, run)]
    run()
    gradients = [gradient.copy() for gradient in found]
    for gradient, array in zip(gradients, inputs, strict=True):
        errors.append(relative_error(gradient, numerical_gradient(run, array)))
    return max(errors)
