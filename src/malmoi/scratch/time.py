"""Layers over the T steps of a window that treat every step alike: embedding, affine map, softmax with loss, dropout.

Each place of (N, T, ...) goes through alone, so all of them are rows of one large matrix product. In which order the rows
stand in memory does not matter to the result; these layers keep the order of the recurrent ones (time first), so that
nothing is copied from layer to layer.

`Time` layers answer in arrays that they keep: the next call of the same method overwrites them. Copy what has to last.

Symbols: N batch, T steps, D input width, H output width, V vocabulary.
"""

import numpy as np

from malmoi.errors import DataError
from malmoi.scratch.checks import Array, Ids, check_ids, check_shape
from malmoi.scratch.functions import sum_rows_by_id
from malmoi.scratch.gates import arithmetic
from malmoi.scratch.layers import Layer, check_dropout, check_weight, dropout_mask
from malmoi.scratch.recurrent import time_major


class _Buffer:
    """An array (T, N, width) that is made anew only when another size is asked for."""

    def __init__(self) -> None:
        self._array: Array | None = None

    def get(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:  # type: ignore[type-arg]
        """An array of this shape; what stands in it is left over."""
        if self._array is None or self._array.shape != shape or self._array.dtype != dtype:
            self._array = np.empty(shape, dtype)
        return self._array


class TimeEmbedding(Layer):
    """y[n, t] = W[ids[n, t]].

    dL/dW[v] = the sum of dL/dy over all places where id v stood

    Args:
        W: (V, D).
    """

    _ids: Ids

    def __init__(self, W: Array) -> None:
        check_weight("W", W, ("V", "D"))
        super().__init__(W)
        self._rows = _Buffer()

    def forward(self, ids: Ids) -> Array:
        """(N, T) -> (N, T, D).

        Raises:
            ConfigError, DataError: If there are no ids, or one has no row in W.
        """
        (W,) = self.params
        check_shape("ids", ids, ("N", "T"))
        check_ids(ids, len(W))
        self._ids = np.ascontiguousarray(ids.T)
        rows = self._rows.get((*self._ids.shape, W.shape[1]), W.dtype)
        np.take(W, self._ids, axis=0, out=rows, mode="clip")  # checked above; "raise" would copy the answer
        return rows.swapaxes(0, 1)

    def backward(self, dout: Array) -> None:
        """(N, T, D); nothing goes back: ids have no gradient."""
        (W,) = self.params
        n_steps, n_rows = self._ids.shape
        check_shape("dout", dout, (n_rows, n_steps, W.shape[1]), "forward gave that shape")
        sum_rows_by_id(time_major(dout, W.dtype).reshape(-1, W.shape[1]), self._ids.reshape(-1), out=self.grads[0])


class TimeAffine(Layer):
    """y[n, t] = x[n, t] W + b, for all places at once.

        dL/dx = dL/dy W^T        dL/dW = x^T dL/dy        dL/db = the sum of the rows of dL/dy

    Args:
        W: (D, H); with `transposed`, (H, D).
        b: (H,), or None for none.
        transposed: W lies as (output, input): an embedding (V, D) lies so, and tied weights are one array for both.
    """

    def __init__(self, W: Array, b: Array | None = None, transposed: bool = False) -> None:
        check_weight("W", W, ("H", "D") if transposed else ("D", "H"))
        self.transposed = transposed
        self._output_size, self._input_size = W.shape if transposed else W.shape[::-1]
        if b is not None:
            check_weight("b", b, (self._output_size,), f"W has shape {W.shape}")
        super().__init__(W, *([] if b is None else [b]))
        self._outputs, self._d_inputs = _Buffer(), _Buffer()

    def forward(self, xs: Array) -> Array:
        """(N, T, D) -> (N, T, H)."""
        W = self.params[0]
        check_shape("xs", xs, ("N", "T", self._input_size), f"W has shape {W.shape}")
        n_rows, n_steps, _ = xs.shape
        self._x = time_major(xs, W.dtype)
        outputs = self._outputs.get((n_steps, n_rows, self._output_size), W.dtype)
        y = outputs.reshape(-1, self._output_size)
        np.matmul(self._x.reshape(-1, self._input_size), W.T if self.transposed else W, out=y)
        if len(self.params) > 1:
            y += self.params[1]
        return outputs.swapaxes(0, 1)

    def backward(self, dout: Array) -> Array:
        """(N, T, H) -> (N, T, D)."""
        W = self.params[0]
        n_steps, n_rows, _ = self._x.shape
        check_shape("dout", dout, (n_rows, n_steps, self._output_size), "forward gave that shape")
        d = time_major(dout, W.dtype).reshape(-1, self._output_size)
        x = self._x.reshape(-1, self._input_size)
        d_inputs = self._d_inputs.get(self._x.shape, W.dtype)
        np.matmul(d, W if self.transposed else W.T, out=d_inputs.reshape(-1, self._input_size))
        if self.transposed:
            np.matmul(d.T, x, out=self.grads[0])
        else:
            np.matmul(x.T, d, out=self.grads[0])
        if len(self.params) > 1:
            np.matmul(
                np.ones(len(d), W.dtype), d, out=self.grads[1]
            )  # the sum of the rows, as a product: twice as fast
        return d_inputs.swapaxes(0, 1)


class TimeSoftmaxWithLoss(Layer):
    """Scores in, cross-entropy out: the mean of -log softmax(x[n, t])[targets[n, t]] over all places that count, in nats.

        dL/dx = (softmax(x) - y) / (number of places that count)        y: 1 at the right answer, else 0

    Places whose target is `ignore_id` do not count: padding neither costs nor teaches anything.

    Args:
        ignore_id: The mark of places that do not count.
        in_place: Write the gradient over the scores, the largest array of a language model. For networks, where the layer below
            keeps no use for them.
    """

    def __init__(self, ignore_id: int = -1, in_place: bool = False) -> None:
        super().__init__()
        self.ignore_id, self.in_place = ignore_id, in_place
        self._scores = _Buffer()

    def forward(self, xs: Array, targets: Ids) -> float:
        """Scores (N, T, V) and ids (N, T); the mean loss.

        Raises:
            ConfigError: If the shapes do not fit.
            DataError: If a target is out of range, or no place counts.
        """
        check_shape("xs", xs, ("N", "T", "V"))
        check_shape("targets", targets, xs.shape[:2], f"xs has shape {xs.shape}")
        check_ids(targets, xs.shape[2], "targets", ignored=self.ignore_id)
        n_counted = int(np.count_nonzero(targets != self.ignore_id))
        if n_counted == 0:
            raise DataError(
                f"All {targets.size} targets are {self.ignore_id}, the mark of padding, expected at least one that counts. "
                "Leave windows that hold padding alone out."
            )
        self._gradient = time_major(xs, xs.dtype)
        if not self.in_place:
            copy = self._scores.get(self._gradient.shape, xs.dtype)
            np.copyto(copy, self._gradient)
            self._gradient = copy
        rows = self._gradient.reshape(-1, xs.shape[2])
        flat_targets = np.ascontiguousarray(targets.T, np.int64).reshape(-1)
        nll = arithmetic(xs.dtype).softmax_gradient(rows, flat_targets, self.ignore_id, 1 / n_counted)
        return float(nll) / n_counted

    def backward(self, dout: float = 1.0) -> Array:
        """(N, T, V)."""
        if dout != 1:  # a pass over the largest array for nothing, otherwise
            self._gradient *= dout
        return self._gradient.swapaxes(0, 1)


class TimeDropout(Layer):
    """Variational dropout: a unit that is silenced is silent for all steps of the window.

        y[n, t] = x[n, t] m[n] / (1 - rate)        m: zeros with probability `rate`, and ones

    `train_flag = False` lets everything through.

    Source: Gal & Ghahramani 2016 (arXiv:1512.05287).
    """

    _mask: Array | None

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        check_dropout(rate)
        super().__init__()
        self.rate, self.rng, self.train_flag = rate, rng, True
        self._outputs, self._d_inputs = _Buffer(), _Buffer()

    def forward(self, xs: Array) -> Array:
        """(N, T, D) -> (N, T, D)."""
        check_shape("xs", xs, ("N", "T", "D"))
        self._mask = None
        if self.train_flag and self.rate:
            self._mask = dropout_mask(self.rng, (len(xs), xs.shape[2]), self.rate, xs.dtype)
        return self._masked(xs, self._outputs)

    def backward(self, dout: Array) -> Array:
        """(N, T, D) -> (N, T, D)."""
        return self._masked(dout, self._d_inputs)

    def _masked(self, xs: Array, buffer: _Buffer) -> Array:
        if self._mask is None:
            return xs
        rows = time_major(xs, xs.dtype)
        return np.multiply(rows, self._mask, out=buffer.get(rows.shape, xs.dtype)).swapaxes(0, 1)
