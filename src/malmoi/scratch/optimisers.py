"""From gradients to better weights: five ways to take a step, and what is done to the gradients before.

Each optimiser has a learning rate `lr`, which may be changed at any time, and `update(params, grads)`, which changes the
weights in place and leaves the gradients as they are. W is a weight, g its gradient dL/dW; all operations are element by
element. What an optimiser remembers belongs to the places in the list, so `params` must always come in the same order.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from malmoi.errors import ConfigError, TrainingError
from malmoi.scratch.checks import Array, check_shape

PIECE = 1 << 15  # numbers that are handled at a time: everything about them stays in the processor's cache


@runtime_checkable
class Optimiser(Protocol):
    """What a trainer needs."""

    lr: float

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None: ...


class SGD:
    """Stochastic gradient descent: W <- W - lr g. As `torch.optim.SGD`."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = _checked_rate(lr)

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None:
        """One step."""
        check_gradient_shapes(params, grads)
        for weight, gradient in _pieces(params, grads):
            weight -= self.lr * gradient


class Momentum:
    """A ball that rolls downhill: v <- momentum v + g,  W <- W - lr v.

    As `torch.optim.SGD(momentum=...)`. Others (Polyak 1964) keep lr inside v, which is the same while lr does not change;
    here a new lr acts at once.
    """

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr, self.momentum = _checked_rate(lr), _checked_share("momentum", momentum)
        self._velocity: list[Array] = []

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None:
        """One step."""
        _remember(params, grads, self._velocity)
        for weight, gradient, velocity in _pieces(params, grads, self._velocity):
            velocity *= self.momentum
            velocity += gradient
            weight -= self.lr * velocity


class AdaGrad:
    """Smaller steps where gradients have been large: h <- h + g^2,  W <- W - lr g / (sqrt(h) + eps).

    Source: Duchi, Hazan & Singer 2011 (JMLR 12), with eps outside the root. As `torch.optim.Adagrad`.
    """

    def __init__(self, lr: float = 0.01, eps: float = 1e-10) -> None:
        self.lr, self.eps = _checked_rate(lr), eps
        self._squares: list[Array] = []

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None:
        """One step."""
        _remember(params, grads, self._squares)
        for weight, gradient, squares in _pieces(params, grads, self._squares):
            squares += gradient * gradient
            weight -= self.lr * gradient / (np.sqrt(squares) + self.eps)


class RMSprop:
    """AdaGrad that forgets: h <- decay h + (1 - decay) g^2,  W <- W - lr g / (sqrt(h) + eps).

    Source: Tieleman & Hinton 2012 (lecture 6.5). As `torch.optim.RMSprop(alpha=decay)`.
    """

    def __init__(self, lr: float = 0.01, decay: float = 0.99, eps: float = 1e-8) -> None:
        self.lr, self.decay, self.eps = _checked_rate(lr), _checked_share("decay", decay), eps
        self._squares: list[Array] = []

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None:
        """One step."""
        _remember(params, grads, self._squares)
        for weight, gradient, squares in _pieces(params, grads, self._squares):
            squares *= self.decay
            squares += (1 - self.decay) * gradient * gradient
            weight -= self.lr * gradient / (np.sqrt(squares) + self.eps)


class Adam:
    """Momentum and RMSprop together, both corrected for having begun at 0; t counts the steps from 1.

        m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
        W <- W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Source: Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1. As `torch.optim.Adam`.
    """

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.lr, self.eps = _checked_rate(lr), eps
        self.beta1, self.beta2 = _checked_share("beta1", beta1), _checked_share("beta2", beta2)
        self.n_steps = 0
        self._means: list[Array] = []
        self._squares: list[Array] = []

    def update(self, params: Sequence[Array], grads: Sequence[Array]) -> None:
        """One step."""
        _remember(params, grads, self._means, self._squares)
        self.n_steps += 1
        step = self.lr / (1 - self.beta1**self.n_steps)
        root = math.sqrt(1 - self.beta2**self.n_steps)
        for weight, gradient, mean, squares in _pieces(params, grads, self._means, self._squares):
            mean *= self.beta1
            mean += (1 - self.beta1) * gradient
            squares *= self.beta2
            squares += (1 - self.beta2) * gradient * gradient
            weight -= step * mean / (np.sqrt(squares) / root + self.eps)


def clip_grads(grads: Sequence[Array], max_norm: float) -> float:
    """Shrink all gradients together, in place, so that their common length is at most `max_norm`.

        norm = sqrt(sum of g^2 over all numbers of all gradients)        g <- g max_norm / norm   if norm > max_norm

    Call it after `remove_duplicates`.

    Returns:
        The norm before.

    Raises:
        TrainingError: If the norm is not a finite number.
        ConfigError: If max_norm is not above 0.

    Source: Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063), algorithm 1.
    """
    if not max_norm > 0:
        raise ConfigError(f"max_norm={max_norm}, expected a number above 0. Give for example 0.25, or do not clip.")
    with np.errstate(over="ignore"):
        norm = math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in grads))
    if math.isinf(norm):  # the squares of float32 numbers overflow long before the numbers do
        norm = math.sqrt(sum(float(np.square(gradient, dtype=np.float64).sum()) for gradient in grads))
    if not math.isfinite(norm):
        raise TrainingError(
            f"The norm of the gradients is {norm}, expected a finite number: the training has run away. Begin again "
            "with a smaller learning rate or a smaller max_norm."
        )
    if norm > max_norm:
        for gradient in grads:
            gradient *= max_norm / norm
    return norm


def remove_duplicates(params: Sequence[Array], grads: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """One entry for each weight, also where layers share it (tied weights): its gradients are added up.

    Shared are two entries with the same numbers in memory, as they are or transposed (`W` here and `W.T` there). The sum is
    written into the first entry's gradient, so call it once after each `backward`.

    Returns:
        The weights and gradients that are left, in order.

    Raises:
        ConfigError: If the lists do not belong together.
    """
    check_gradient_shapes(params, grads)
    kept: dict[int, tuple[Array, Array]] = {}
    others: list[tuple[Array, Array]] = []  # a weight that shares its first number with another one, but not its shape
    for weight, gradient in zip(params, grads, strict=True):
        address = weight.__array_interface__["data"][0]
        first, total = kept.setdefault(address, (weight, gradient))
        if first is weight and total is gradient:
            continue
        if (first.shape, first.strides) == (weight.shape, weight.strides):
            if total is not gradient:  # layers that share even the gradient have added up already
                total += gradient
        elif (first.shape, first.strides) == (weight.shape[::-1], weight.strides[::-1]):
            total += gradient.T
        else:
            others.append((weight, gradient))
    left = [*kept.values(), *others]
    return [weight for weight, _ in left], [gradient for _, gradient in left]


def check_gradient_shapes(params: Sequence[Array], grads: Sequence[Array]) -> None:
    """Refuse lists of weights and gradients that do not belong together."""
    if len(params) != len(grads):
        raise ConfigError(
            f"{len(params)} weights came with {len(grads)} gradients, expected one for each. Give both of one network."
        )
    for place, (weight, gradient) in enumerate(zip(params, grads, strict=True)):
        if weight.shape != gradient.shape:
            check_shape(f"grads[{place}]", gradient, weight.shape, f"params[{place}] has that shape")


def _remember(params: Sequence[Array], grads: Sequence[Array], *memories: list[Array]) -> None:
    """Fill what an optimiser remembers with zeros at its first step; afterwards refuse weights of other shapes."""
    check_gradient_shapes(params, grads)
    for memory in memories:
        if not memory:
            memory.extend(np.zeros_like(weight) for weight in params)
        if [kept.shape for kept in memory] != [weight.shape for weight in params]:
            raise ConfigError(
                f"The weights have shapes {[weight.shape for weight in params]}, but the steps before changed weights of "
                f"shapes {[kept.shape for kept in memory]}. Use a new optimiser for another network."
            )


def _pieces(*lists: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
    """Views of a few rows at a time, of the entries of all lists side by side."""
    for arrays in zip(*lists, strict=True):
        n_rows = max(1, PIECE * len(arrays[0]) // max(1, arrays[0].size))
        for start in range(0, len(arrays[0]), n_rows):
            yield tuple(array[start : start + n_rows] for array in arrays)


def _checked_rate(lr: float) -> float:
    if not (lr >= 0 and math.isfinite(lr)):
        raise ConfigError(f"lr={lr}, expected a learning rate above 0. Begin with 0.1 for SGD, or with 0.001 for Adam.")
    return lr


def _checked_share(name: str, share: float) -> float:
    if not 0 <= share < 1:
        raise ConfigError(
            f"{name}={share}, expected 0 up to, not including, 1: the share of the past to keep. Give for example 0.9."
        )
    return share
