"""The nodes that every network can be taken apart into, each with its backward pass.

A node passes numbers on when the network runs forward, and passes gradients on, each times its own slope, when it runs
backward (the chain rule). Two pairs mirror each other: what copies forward adds up backward, and the other way round.

    add         z = x + y          both inputs get the gradient as it is
    multiply    z = x y            each gets the gradient times the other
    branch      x to n readers     the n gradients are added up
    repeat      a row, n times     the n gradients are added up
    sum         n rows into one    each row gets the gradient as it is
    matmul      z = x W            dx = dz W^T, dW = x^T dz

Nodes have no weights of their own: whatever is a weight comes in as an input, and its gradient goes out of `backward`.
"""

import numpy as np

from malmoi.errors import ConfigError
from malmoi.scratch.checks import ANY_BEFORE, Array, check_shape


class Add:
    """z = x + y; dx = dz, dy = dz."""

    _shape: tuple[int, ...]

    def forward(self, x: Array, y: Array) -> Array:
        """Two arrays of one shape, any."""
        check_shape("y", y, x.shape, f"x has shape {x.shape}")
        self._shape = x.shape
        return x + y

    def backward(self, dout: Array) -> tuple[Array, Array]:
        """dx and dy, each a copy, so that a reader may change its own."""
        check_shape("dout", dout, self._shape, "forward gave that shape")
        return dout.copy(), dout.copy()


class Multiply:
    """z = x y, number by number; dx = dz y, dy = dz x."""

    _x: Array
    _y: Array

    def forward(self, x: Array, y: Array) -> Array:
        """Two arrays of one shape, any."""
        check_shape("y", y, x.shape, f"x has shape {x.shape}")
        self._x, self._y = x, y
        return x * y

    def backward(self, dout: Array) -> tuple[Array, Array]:
        """dx and dy."""
        check_shape("dout", dout, self._x.shape, "forward gave that shape")
        return dout * self._y, dout * self._x


class Branch:
    """x goes to n readers; dx = dx_1 + ... + dx_n."""

    _shape: tuple[int, ...]

    def __init__(self, n: int) -> None:
        self.n = _checked_count(n)

    def forward(self, x: Array) -> tuple[Array, ...]:
        """n times x."""
        self._shape = x.shape
        return (x,) * self.n

    def backward(self, *douts: Array) -> Array:
        """One gradient from each reader, and their sum back."""
        if len(douts) != self.n:
            raise ConfigError(
                f"{len(douts)} gradients came back to a branch with {self.n} readers. Give one for each reader."
            )
        for place, dout in enumerate(douts):
            check_shape(f"gradient {place}", dout, self._shape, "x had that shape")
        return sum(douts[1:], start=douts[0].copy())


class Repeat:
    """A row (D,) n times under itself, (n, D); the gradients of all rows are added up. A bias goes to a batch like this."""

    _shape: tuple[int, ...]

    def __init__(self, n: int) -> None:
        self.n = _checked_count(n)

    def forward(self, x: Array) -> Array:
        """(...) -> (n, ...)."""
        self._shape = x.shape
        return np.repeat(x[None], self.n, axis=0)

    def backward(self, dout: Array) -> Array:
        """(n, ...) -> (...)."""
        check_shape("dout", dout, (self.n, *self._shape), "forward gave that shape")
        return dout.sum(axis=0)  # type: ignore[no-any-return]


class Sum:
    """n rows added up into one, (n, D) -> (D,); each of them gets the whole gradient."""

    _n: int
    _shape: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """(n, ...) -> (...)."""
        check_shape("x", x, (ANY_BEFORE, "D"))
        self._n, self._shape = x.shape[0], x.shape[1:]
        return x.sum(axis=0)  # type: ignore[no-any-return]

    def backward(self, dout: Array) -> Array:
        """(...) -> (n, ...)."""
        check_shape("dout", dout, self._shape, "forward gave that shape")
        return np.repeat(dout[None], self._n, axis=0)


class MatMul:
    """z = x W; dx = dz W^T, dW = x^T dz. Shapes say where the transposes must stand: there is one way that fits."""

    _x: Array
    _W: Array

    def forward(self, x: Array, W: Array) -> Array:
        """(N, D) and (D, H) -> (N, H)."""
        check_shape("x", x, ("N", "D"))
        check_shape("W", W, (x.shape[1], "H"), f"x has shape {x.shape}")
        self._x, self._W = x, W
        return x @ W  # type: ignore[no-any-return]

    def backward(self, dout: Array) -> tuple[Array, Array]:
        """dx (N, D) and dW (D, H)."""
        check_shape("dout", dout, (len(self._x), self._W.shape[1]), "forward gave that shape")
        return dout @ self._W.T, self._x.T @ dout


def _checked_count(n: int) -> int:
    if n < 1:
        raise ConfigError(f"n={n}, expected at least 1. Say how many times the array is needed.")
    return n
