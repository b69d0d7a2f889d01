"""Learning words from a few yes-or-no questions instead of one question with V answers: negative sampling.

Source: Mikolov et al. 2013 (arXiv:1310.4546), section 2.2.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.scratch.checks import Array, Ids, check_ids, check_shape
from malmoi.scratch.layers import EmbeddingDot, Layer, SigmoidWithLoss


@runtime_checkable
class Sampler(Protocol):
    """Whatever draws wrong answers."""

    def sample(self, targets: Ids, n: int) -> Ids: ...


def noise_probabilities(counts: NDArray[Any], power: float = 0.75) -> NDArray[np.float64]:
    """P(w) = count(w)^power / sum_v count(v)^power, (V,): how likely each word is drawn as a wrong one."""
    weights = np.where(counts > 0, counts.astype(np.float64), 1) ** power * (counts > 0)
    return np.asarray(weights / weights.sum())


class UnigramSampler:
    """Words drawn as often as they occur, evened out: P(w) = count(w)^power / sum_v count(v)^power.

    With the power 0.75 rare words come up more often than in the text. The target of a row is never drawn for it; the other
    words keep their proportions, P(w) / (1 - P(target)). A word may come up twice, as in word2vec.

    Attributes:
        probabilities: (V,), before a target is left out.

    Raises:
        DataError: If the counts are not numbers from 0 up, or fewer than two words occur.
    """

    def __init__(self, counts: NDArray[Any], power: float = 0.75, *, rng: np.random.Generator) -> None:
        check_shape("counts", counts, ("V",))
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise DataError(
                f"counts hold {counts.min()}, expected numbers from 0 up. Count how often each id occurs in the text."
            )
        if np.count_nonzero(counts) < 2:
            raise DataError(
                f"{np.count_nonzero(counts)} of {len(counts)} words occur, expected at least 2: besides the right word there "
                "must be a wrong one. Give a longer text."
            )
        self.probabilities = noise_probabilities(counts, power)
        self._ends = np.cumsum(self.probabilities)  # word w owns the stretch from _ends[w - 1] up to _ends[w]
        self.rng = rng

    def sample(self, targets: Ids, n: int) -> NDArray[np.int64]:
        """n wrong words for each target, (N,) -> (N, n).

        A number is drawn on the line from 0 to 1 that words share out, shortened by the target's stretch; whatever lies
        beyond the beginning of that stretch is moved past its end. So every number counts and none is drawn again.
        """
        check_shape("targets", targets, ("N",))
        check_ids(targets, len(self._ends), "targets")
        ends, total = self._ends[targets, None], self._ends[-1]  # (N, 1)
        starts = np.where(targets > 0, self._ends[targets - 1], 0.0)[:, None]
        drawn = self.rng.random((len(targets), n)) * (starts + (total - ends))
        drawn = np.where(drawn < starts, drawn, np.maximum(drawn + (ends - starts), ends))
        drawn = np.minimum(drawn, np.nextafter(total, 0))  # rounding must not lead past the last word
        return np.searchsorted(self._ends, drawn, side="right")  # type: ignore[no-any-return]


class NegativeSamplingLoss(Layer):
    """For a vector h and its right word t, with K wrong words drawn for it:

        L = mean over the batch of  -log sigmoid(h . W[t]) - sum_k log sigmoid(-h . W[w_k])

    A scalar product and a sigmoid for each of K + 1 words, where softmax takes V. K is `n_negative`, 5 to 20 for small texts
    and 2 to 5 for large ones.

    Args:
        W: (V, D), a vector for each word as an answer.
    """

    def __init__(self, W: Array, sampler: Sampler, n_negative: int = 5) -> None:
        self._dot, self._loss = EmbeddingDot(W), SigmoidWithLoss()
        super().__init__()
        self.params, self.grads = self._dot.params, self._dot.grads
        self.sampler, self.n_negative = sampler, n_negative

    def forward(self, h: Array, targets: Ids) -> float:
        """The mean over the batch, in nats.

        Args:
            h: (N, D).
            targets: (N,), the right words.
        """
        check_shape("targets", targets, (len(h),), f"h has shape {h.shape}")
        ids = np.concatenate([targets[:, None], self.sampler.sample(targets, self.n_negative)], axis=1)  # (N, 1 + K)
        is_right = np.zeros(ids.shape, h.dtype)
        is_right[:, 0] = 1
        return self._loss.forward(self._dot.forward(h, ids), is_right)

    def backward(self, dout: float = 1.0) -> Array:
        """(N, D)."""
        return self._dot.backward(self._loss.backward(dout))
