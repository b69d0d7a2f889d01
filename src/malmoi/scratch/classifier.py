"""Two-layer classifier: the smallest network that learns a bent border between classes.

    a = sigmoid(x W1 + b1)
    P(class) = softmax(a W2 + b2)

Symbols: N batch, D input width, H hidden width, C classes.
"""

import numpy as np
from numpy.typing import DTypeLike

from malmoi.scratch.checks import Array, Ids
from malmoi.scratch.layers import Affine, Layer, Sigmoid, SoftmaxWithLoss, collect, random_weights


class TwoLayerNet(Layer):
    """Affine, sigmoid, affine, and softmax with loss."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        sizes = ((input_size, hidden_size), (hidden_size, output_size))
        first, second = (Affine(random_weights(rng, *size, dtype=dtype), np.zeros(size[1], dtype)) for size in sizes)
        self.layers: tuple[Affine, Sigmoid, Affine] = (first, Sigmoid(), second)
        self.loss = SoftmaxWithLoss()
        super().__init__()
        self.params, self.grads = collect(self.layers)

    def predict(self, x: Array) -> Array:
        """The scores of the classes, (N, D) -> (N, C)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def forward(self, x: Array, targets: Ids) -> float:
        """The loss, in nats: (N, D) and classes (N,)."""
        return self.loss.forward(self.predict(x), targets)

    def backward(self, dout: float = 1.0) -> Array:
        """The gradient of the input, (N, D)."""
        dx = self.loss.backward(dout)
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        return dx
