"""Is one model really better than another, or was it lucky with this test text?

The test text is one draw from all the text there could be. Drawing its documents again and again, with replacement, gives many
texts like it; the difference of two models is computed on each. If nearly all of these differences have the same sign, the
difference does not hang on a few documents. Both models are judged on the same draws, so what makes a document hard for both
cancels out.

    difference     = bits per byte of the first - bits per byte of the second; below 0 the first is better
    95 % interval  = from the 2.5th to the 97.5th percentile of the resampled differences
    p              = twice the share of resamples whose difference has the other sign or is 0, at least 2 / (resamples + 1)

Source: Koehn 2004, "Statistical significance tests for machine translation evaluation"; percentile intervals as in Efron &
Tibshirani 1993, chapter 13. He counts one side; we double it, since nobody said beforehand which model would win.

Shapes: K blocks, M models, R resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

RESAMPLES = 10_000
REAL, NEGLIGIBLE = 0.05, 0.001  # a difference is called real from this p down and from so many bits per byte up
FEWEST = 20  # documents; with fewer, blocks of lines are drawn instead
LEAST = 10  # blocks; with fewer, nothing can be said
LINES, MOST_BLOCKS = 20, 5000  # lines of a block; blocks, at most
CHUNK = 1 << 22  # draws held at a time


@dataclass(frozen=True)
class Difference:
    """What two models differ by on the same text, and whether that is more than luck."""

    first: int  # number of the model
    second: int
    bits_per_byte: float  # of the first less that of the second: below 0 the first is better
    low: float  # of the 95 % interval
    high: float
    p: float

    @property
    def is_real(self) -> bool:
        return self.p <= REAL and abs(self.bits_per_byte) >= NEGLIGIBLE


def block_starts(
    n_lines: int, document_starts: Int64[np.ndarray, " documents"]
) -> tuple[Int64[np.ndarray, " blocks"], bool]:
    """First line of each block that is drawn as one, and whether the blocks are documents.

    Blocks of lines are as long as leaves a hundred of them, up to LINES: neighbours resemble each other, so drawing them one
    by one would make the interval too narrow.
    """
    are_documents = len(document_starts) >= FEWEST
    starts = (
        document_starts if are_documents else np.arange(0, n_lines, max(1, min(LINES, n_lines // 100)), dtype=np.int64)
    )
    return starts[:: -(-len(starts) // MOST_BLOCKS)], are_documents


def paired_bootstrap(
    nats: Float64[np.ndarray, "blocks models"],
    n_bytes: Int64[np.ndarray, " blocks"],
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """Compare every pair of models.

    Args:
        nats: What each block costs each model: -ln P, spelling included.
        n_bytes: Size of each block.
        n_resamples: R.
        seed: Of the draws.

    Returns:
        One difference for each pair, (0, 1), (0, 2), ..., (1, 2), ...; none for a model that gives some block no probability,
        and none at all where there are fewer than LEAST blocks.
    """
    n_models = nats.shape[1]
    usable = [model for model in range(n_models) if np.isfinite(nats[:, model]).all()]
    if len(nats) < LEAST:
        return []
    bits = nats[:, usable] / np.log(2)
    sampled = np.concatenate(
        [counts @ bits / (counts @ n_bytes)[:, None] for counts in _draws(len(bits), n_resamples, seed)]
    )
    whole = bits.sum(axis=0) / n_bytes.sum()
    found = []
    for i, first in enumerate(usable):
        for j, second in enumerate(usable[i + 1 :], start=i + 1):
            differences = sampled[:, i] - sampled[:, j]
            low, high = np.percentile(differences, (2.5, 97.5))
            other_side = min(int((differences >= 0).sum()), int((differences <= 0).sum()))
            p = min(1.0, 2 * (1 + other_side) / (1 + n_resamples))
            found.append(Difference(first, second, float(whole[i] - whole[j]), float(low), float(high), p))
    return found


def _draws(n_blocks: int, n_resamples: int, seed: int) -> Iterator[Float64[np.ndarray, "resamples blocks"]]:
    """How often each block was drawn in each resample, some resamples at a time; the same draws however many those are."""
    generator = np.random.default_rng(seed)
    together = max(1, CHUNK // n_blocks)
    for begin in range(0, n_resamples, together):
        n = min(together, n_resamples - begin)
        drawn = generator.integers(n_blocks, size=(n, n_blocks))
        drawn += n_blocks * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_blocks).reshape(n, n_blocks).astype(np.float64)
