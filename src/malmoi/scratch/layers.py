"""Layers for rows of numbers: a matrix product, a curve for each number, a table of vectors, and the losses at the end.

Each layer says its formula; L is the loss at the end of the network, and dL/dy, which comes back from the layer above, is
called `dout`. Weights are (input, output), so that rows go in on the left: y = x W + b.

Symbols: N batch, D input width, H output width, V vocabulary, "..." any axes before.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from malmoi.errors import ConfigError
from malmoi.scratch.checks import ANY_BEFORE, Array, Ids, check_finite, check_ids, check_shape
from malmoi.scratch.functions import log_softmax, sigmoid, softmax, softplus, sum_rows_by_id


class Layer:
    """What layers and networks have in common.

    Two layers may hold the very same array (tied weights); `optimisers.remove_duplicates` then adds their gradients up.
    Besides, each has `forward(...)`, which remembers what `backward` needs, and `backward(dout)`, which fills `grads` and
    gives the gradient of the input. `backward` may be called once after each `forward`.

    Attributes:
        params: The weights.
        grads: dL/dW for each of them, the same shapes. `backward` overwrites them in place.
    """

    params: list[Array]
    grads: list[Array]

    def __init__(self, *weights: Array) -> None:
        self.params = list(weights)
        self.grads = [np.zeros(weight.shape, weight.dtype) for weight in weights]


def collect(layers: Iterable[Layer]) -> tuple[list[Array], list[Array]]:
    """All `params` and all `grads` of some layers, in order: those of a network made of them."""
    layers = list(layers)
    params = [weight for layer in layers for weight in layer.params]
    grads = [gradient for layer in layers for gradient in layer.grads]
    return params, grads


def random_weights(
    rng: np.random.Generator, *shape: int, scale: float | None = None, dtype: DTypeLike = np.float32
) -> Array:
    """Normally distributed weights, by default of the spread 1 / sqrt(first axis) that keeps the variance from layer to layer.

    Source: Glorot & Bengio 2010, who divide by the mean of both widths; LeCun et al. 1998 by the input's, as here.
    """
    spread = 1 / np.sqrt(shape[0]) if scale is None else scale
    return (rng.standard_normal(shape) * spread).astype(dtype)  # type: ignore[no-any-return]


def check_weight(name: str, weight: Array, expected: tuple[int | str, ...], because: str = "") -> None:
    """Refuse weights of another shape, of another dtype than float32 or float64, or with NaN among them."""
    check_shape(name, weight, expected, because)
    if weight.dtype not in (np.float32, np.float64):
        raise ConfigError(
            f"{name} holds {weight.dtype} numbers, expected float32 (for use) or float64 (to check gradients). Convert it with "
            f"{name}.astype(np.float32)."
        )
    check_finite(name, weight)


class MatMul(Layer):
    """y = x W, the product at the heart of every network.

        dL/dx = dL/dy W^T        dL/dW = x^T dL/dy

    Where x has more than two axes, each row along the last one goes through alone.
    """

    _x: Array

    def __init__(self, W: Array) -> None:
        check_weight("W", W, ("D", "H"))
        super().__init__(W)

    def forward(self, x: Array) -> Array:
        """(..., D) -> (..., H).

        Raises:
            ConfigError: If the rows of x are not as wide as W is high.
        """
        (W,) = self.params
        check_shape("x", x, (ANY_BEFORE, W.shape[0]), f"W has shape {W.shape}")
        self._x = x
        return x @ W  # type: ignore[no-any-return]

    def backward(self, dout: Array) -> Array:
        """(..., H) -> (..., D); one product fills the gradient, however many axes there are."""
        (W,) = self.params
        check_shape("dout", dout, (*self._x.shape[:-1], W.shape[1]), f"x had shape {self._x.shape}")
        np.matmul(self._x.reshape(-1, W.shape[0]).T, dout.reshape(-1, W.shape[1]), out=self.grads[0])
        return dout @ W.T  # type: ignore[no-any-return]


class Affine(Layer):
    """y = x W + b, the same b (H,) for every row.

    dL/dx = dL/dy W^T        dL/dW = x^T dL/dy        dL/db = the sum of the rows of dL/dy
    """

    def __init__(self, W: Array, b: Array) -> None:
        self._product = MatMul(W)
        check_weight("b", b, (W.shape[1],), f"W has shape {W.shape}")
        super().__init__(W, b)
        self.grads[0] = self._product.grads[0]

    def forward(self, x: Array) -> Array:
        """(..., D) -> (..., H)."""
        y = self._product.forward(x)
        y += self.params[1]
        return y

    def backward(self, dout: Array) -> Array:
        """(..., H) -> (..., D)."""
        dx = self._product.backward(dout)
        np.sum(dout.reshape(-1, dout.shape[-1]), axis=0, out=self.grads[1])
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + e^-x), between 0 and 1.

    dL/dx = dL/dy y (1 - y)
    """

    _y: Array

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._y = sigmoid(x)
        return self._y

    def backward(self, dout: Array) -> Array:
        """The shape of the input."""
        check_shape("dout", dout, self._y.shape, "forward gave that shape")
        return dout * self._y * (1 - self._y)


class Tanh(Layer):
    """y = tanh(x), between -1 and 1.

    dL/dx = dL/dy (1 - y^2)
    """

    _y: Array

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._y = np.tanh(x)
        return self._y

    def backward(self, dout: Array) -> Array:
        """The shape of the input."""
        check_shape("dout", dout, self._y.shape, "forward gave that shape")
        return dout * (1 - self._y * self._y)


class Relu(Layer):
    """y = max(x, 0).

    dL/dx = dL/dy where x > 0, else 0
    """

    _is_on: NDArray[np.bool_]

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._is_on = x > 0
        return np.maximum(x, 0)  # type: ignore[no-any-return]

    def backward(self, dout: Array) -> Array:
        """The shape of the input."""
        check_shape("dout", dout, self._is_on.shape, "forward gave that shape")
        return dout * self._is_on


class Softmax(Layer):
    """y_i = e^x_i / sum_j e^x_j over the last axis: scores become probabilities.

    dL/dx_i = y_i (dL/dy_i - sum_j y_j dL/dy_j)
    """

    _y: Array

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        """(..., V) -> (..., V); each row adds up to 1."""
        check_shape("x", x, (ANY_BEFORE, "V"))
        self._y = softmax(x)
        return self._y

    def backward(self, dout: Array) -> Array:
        """The shape of the input."""
        check_shape("dout", dout, self._y.shape, "forward gave that shape")
        weighted = dout * self._y
        return weighted - self._y * weighted.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


class SoftmaxWithLoss(Layer):
    """Scores in, cross-entropy out: L = -1/N sum_n log softmax(x_n)[t_n], in nats.

        dL/dx = (softmax(x) - y) / N        y: 1 at the right answer, else 0

    In one layer because the two together are simpler than either: what goes back is what was said minus what was true. A
    row's target may also be a distribution over the V answers; the loss is then -1/N sum_n sum_v y_nv log softmax(x_n)[v].
    """

    _probs: Array
    _targets: NDArray[Any]

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array, targets: NDArray[Any]) -> float:
        """The mean over all rows.

        Args:
            x: Scores, (..., V).
            targets: Ids (...), or distributions (..., V) whose rows add up to 1 (one-hot rows do).

        Raises:
            ConfigError: If the shapes do not fit, or a distribution does not add up to 1.
            DataError: If an id is out of range.
        """
        check_shape("x", x, (ANY_BEFORE, "N", "V"))
        log_probs = log_softmax(x)
        loss: float
        if targets.ndim == x.ndim:
            check_shape("targets", targets, x.shape, f"x has shape {x.shape}")
            sums = targets.sum(axis=-1)
            if not np.allclose(sums, 1, atol=1e-4):
                worst = float(sums.flat[np.abs(sums - 1).argmax()])
                raise ConfigError(
                    f"A row of targets adds up to {worst:.6g}, expected 1: a distribution over the {x.shape[-1]} answers. "
                    "Divide each row by its sum, or give ids."
                )
            loss = -float((targets * log_probs).sum()) / sums.size
        else:
            check_shape("targets", targets, x.shape[:-1], f"x has shape {x.shape}")
            check_ids(targets, x.shape[-1], "targets")
            loss = -float(np.take_along_axis(log_probs, targets[..., None], axis=-1).mean())
        self._probs, self._targets = np.exp(log_probs, out=log_probs), targets
        return loss

    def backward(self, dout: float = 1.0) -> Array:
        """(..., V), the shape of the scores."""
        dx, targets = self._probs, self._targets
        if targets.ndim == dx.ndim:
            dx -= targets
        else:
            rows = dx.reshape(-1, dx.shape[-1])  # a view: log_softmax made a fresh array
            rows[np.arange(len(rows)), targets.reshape(-1)] -= 1
        dx *= dout / (dx.size // dx.shape[-1])
        return dx


class SigmoidWithLoss(Layer):
    """Scores of yes-or-no questions in, cross-entropy out, in nats.

        L = -1/N sum [t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))]        dL/dx = (sigmoid(x) - t) / N

    The sum goes over all questions; N is the size of the first axis, so several questions about one example add up.
    """

    _x: Array
    _targets: NDArray[Any]

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array, targets: NDArray[Any]) -> float:
        """The mean over the first axis.

        Args:
            x: Scores, (N, ...).
            targets: 1 for yes and 0 for no, or a probability between; the shape of x.

        Raises:
            ConfigError: If the shapes do not fit, or a target is not between 0 and 1.
        """
        check_shape("x", x, (ANY_BEFORE, "N"))
        check_shape("targets", targets, x.shape, f"x has shape {x.shape}")
        if not ((targets >= 0) & (targets <= 1)).all():
            raise ConfigError(
                f"targets reach from {targets.min()} to {targets.max()}, expected 0 (no) to 1 (yes). Give ids "
                "to SoftmaxWithLoss instead."
            )
        self._x, self._targets = x, targets
        loss: float = (softplus(x) - targets * x).sum() / len(x)
        return float(loss)

    def backward(self, dout: float = 1.0) -> Array:
        """The shape of the scores."""
        dx = sigmoid(self._x)
        dx -= self._targets
        dx *= dout / len(dx)
        return dx


class Embedding(Layer):
    """y = W[id]: the row of W that belongs to each id. The same as a one-hot row times W, without the product.

    dL/dW[v] = the sum of dL/dy over all places where id v stood, 0 where it stood nowhere
    """

    _ids: Ids

    def __init__(self, W: Array) -> None:
        check_weight("W", W, ("V", "D"))
        super().__init__(W)

    def forward(self, ids: Ids) -> Array:
        """(...) -> (..., D).

        Raises:
            DataError: If an id has no row.
        """
        (W,) = self.params
        check_ids(ids, len(W))
        self._ids = ids
        return W[ids]

    def backward(self, dout: Array) -> None:
        """Nothing goes back: ids have no gradient."""
        width = self.params[0].shape[1]
        check_shape("dout", dout, (*self._ids.shape, width), f"ids had shape {self._ids.shape}")
        sum_rows_by_id(dout.reshape(-1, width), self._ids.reshape(-1), out=self.grads[0])


class EmbeddingDot(Layer):
    """y = h . W[id]: the scores of a few words only, where a whole softmax layer would compute V of them.

    dL/dh = sum_k dL/dy_k W[id_k]        dL/dW[v] = the sum of dL/dy_k h over all places where id v stood
    """

    _h: Array
    _ids: Ids
    _rows: Array

    def __init__(self, W: Array) -> None:
        check_weight("W", W, ("V", "D"))
        super().__init__(W)

    def forward(self, h: Array, ids: Ids) -> Array:
        """A score for each id.

        Args:
            h: (N, D).
            ids: (N,), one word for each row of h, or (N, K).

        Returns:
            The shape of ids.

        Raises:
            ConfigError, DataError: If the shapes do not fit, or an id has no row.
        """
        (W,) = self.params
        check_shape("h", h, ("N", W.shape[1]), f"W has shape {W.shape}")
        check_shape("ids", ids, (len(h),) if ids.ndim == 1 else (len(h), "K"), f"h has shape {h.shape}")
        check_ids(ids, len(W))
        self._h, self._ids = h, ids
        self._rows = W[ids.reshape(len(h), -1)]  # (N, K, D)
        return (self._rows @ h[:, :, None]).reshape(ids.shape)

    def backward(self, dout: Array) -> Array:
        """The shape of ids -> (N, D)."""
        check_shape("dout", dout, self._ids.shape, "ids had that shape")
        weights = dout.reshape(len(dout), -1, 1)  # (N, K, 1)
        by_row = (weights * self._h[:, None, :]).reshape(-1, self._h.shape[1])  # (N K, D)
        sum_rows_by_id(by_row, self._ids.reshape(-1), out=self.grads[0])
        return (weights * self._rows).sum(axis=1)  # type: ignore[no-any-return]


class Dropout(Layer):
    """y = x m / (1 - rate), with a fresh mask m of zeros (probability `rate`) and ones at every step.

        dL/dx = dL/dy m / (1 - rate)

    Dividing by 1 - rate keeps the expected value, so that nothing has to change when the network is used:
    `train_flag = False` lets everything through.

    Source: Srivastava et al. 2014 (JMLR 15), who multiply by 1 - rate in use instead.
    """

    _mask: Array | None

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        check_dropout(rate)
        super().__init__()
        self.rate, self.rng, self.train_flag = rate, rng, True

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._mask = dropout_mask(self.rng, x.shape, self.rate, x.dtype) if self.train_flag and self.rate else None
        return x if self._mask is None else x * self._mask

    def backward(self, dout: Array) -> Array:
        """The shape of the input."""
        return dout if self._mask is None else dout * self._mask


def check_dropout(rate: float) -> None:
    """Refuse a rate at which nothing would be left."""
    if not 0 <= rate < 1:
        raise ConfigError(
            f"The dropout rate is {rate}, expected 0 up to, not including, 1. Give the share of units to zero, for example 0.5."
        )


def dropout_mask(rng: np.random.Generator, shape: tuple[int, ...], rate: float, dtype: DTypeLike) -> Array:
    """0 with probability `rate`, else 1 / (1 - rate)."""
    mask = (rng.random(shape, dtype=np.float32) >= rate).astype(dtype)
    mask /= 1 - rate
    return mask
