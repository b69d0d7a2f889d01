"""Is one model really better than another, or was it lucky with this test text?

The test text is one draw from all the text there could be. Drawing its blocks again and again, with replacement, gives many
texts like it, and shows how far the difference of two models moves from text to text. Both models are judged on the same draws,
so what makes a block hard for both cancels out.

A block is what was drawn in the first place: a document, or a stretch of neighbouring lines as `split.cut` took it. Neighbours
resemble each other, so smaller blocks would make the interval too narrow. Of fewer than FEWEST blocks nothing is said. A text
that was given whole is one passage: it is parted in BLOCKS long blocks, and what neighbouring ones still have in common widens
the interval by sqrt((1 + r) / (1 - r)), r being their correlation, as in a series where each block leans on the one before.

    d              = bits per byte of the first - bits per byte of the second; below 0 the first is better
    t*             = (d* - d) / se*, of each draw: how far its difference lies from d, in standard errors of its own
    95 % interval  = d -+ q se, q being the 95th percentile of |t*|
    p              = share of draws whose |t*| reaches |d| / se, the text itself counting as one

The standard error is that of a ratio of two sums over K blocks: with e = (bits of the first - bits of the second) - d x bytes
of each block, se^2 = K / (K - 1) sum e^2 / (sum of bytes)^2. Of M models there are M (M - 1) / 2 pairs, and among many pairs of
equal models some would look different by luck, so p is adjusted for their number.

Sources: Koehn 2004, "Statistical significance tests for machine translation evaluation", for the paired bootstrap; Efron &
Tibshirani 1993, chapter 12.5, for the studentised interval, which percentiles fall short of where blocks are few; Hall 1988 for
its symmetric form; Cochran 1977, section 6.4, for the standard error; Holm 1979 for the adjustment; Priestley 1981, section
5.3, for the variance of a mean of correlated numbers.

Shapes: K blocks, M models, P pairs of them, R resamples.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

RESAMPLES = 10_000
REAL, NEGLIGIBLE = 0.05, 0.001  # a difference is called real from this p down and from so many bits per byte up
FEWEST = 20  # blocks; with fewer, nothing can be said
BLOCKS = 25  # that a text is parted in which was given whole: long ones, which hardly depend on each other
MOST_CORRELATED = 0.9
MOST_BLOCKS = 5000
CHUNK = 1 << 22  # draws held at a time
ROUNDING = 1e-8  # of the differences of blocks: less is no spread, only the rounding of their sums

Verdict = Literal["real", "luck", "negligible"]
Drawn = Literal["documents", "stretches", "blocks"]  # what the blocks are: two kinds that were drawn, and equal parts


@dataclass(frozen=True)
class Difference:
    """What two models differ by on the same text, and whether that is more than luck."""

    first: int  # number of the model
    second: int
    bits_per_byte: float  # of the first less that of the second: below 0 the first is better
    low: float  # of the 95 % interval
    high: float
    p: float  # of this pair by itself
    p_adjusted: float  # for the number of pairs that were compared

    @property
    def verdict(self) -> Verdict:
        """Real, maybe luck, or too small to matter, however sure it is."""
        if self.p_adjusted <= REAL:
            return "real" if abs(self.bits_per_byte) >= NEGLIGIBLE else "negligible"
        return "negligible" if self.low > -NEGLIGIBLE and self.high < NEGLIGIBLE else "luck"

    @property
    def is_real(self) -> bool:
        return self.verdict == "real"

    def turned(self) -> "Difference":
        """The second model against the first."""
        return Difference(self.second, self.first, -self.bits_per_byte, -self.high, -self.low, self.p, self.p_adjusted)


def block_starts(
    n_lines: int,
    document_starts: Int64[np.ndarray, " documents"],
    stretch_starts: Sequence[int] = (),
) -> tuple[Int64[np.ndarray, " blocks"], Drawn]:
    """First line of each block that is drawn as one, and what the blocks are.

    Args:
        n_lines: Of the test text.
        document_starts: Numbers of the lines that documents begin with; none where it has no documents.
        stretch_starts: Likewise of the stretches that it was cut out of a longer text in; none where it was given whole.
    """
    kind: Drawn
    if len(document_starts):
        kind, starts = "documents", np.asarray(document_starts, np.int64)
    elif len(stretch_starts):
        kind, starts = "stretches", np.array(stretch_starts, np.int64)
    else:
        kind = "blocks"
        starts = np.unique(np.linspace(0, n_lines, min(BLOCKS, n_lines), endpoint=False).astype(np.int64))
    return starts[:: -(-len(starts) // MOST_BLOCKS) or 1], kind


def paired_bootstrap(
    nats: Float64[np.ndarray, "blocks models"],
    n_bytes: Int64[np.ndarray, " blocks"],
    *,
    left_out: Collection[int] = (),
    are_neighbours: bool = False,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """Compare every pair of models.

    Args:
        nats: What each block costs each model: -ln P, spelling included.
        n_bytes: Size of each block.
        left_out: Numbers of models that no verdict is asked of.
        are_neighbours: Each block follows the one before, in one passage.
        n_resamples: R.
        seed: Of the draws.

    Returns:
        One difference for each pair, (0, 1), (0, 2), ..., (1, 2), ...; none for a model that gives some block no probability,
        and none at all where there are fewer than FEWEST blocks.
    """
    usable = [model for model in range(nats.shape[1]) if model not in left_out and np.isfinite(nats[:, model]).all()]
    pairs = list(combinations(usable, 2))
    if len(nats) < FEWEST or not pairs:
        return []
    sizes = n_bytes.astype(np.float64)
    between = np.stack([nats[:, i] - nats[:, j] for i, j in pairs], axis=1) / np.log(2)  # (K, P)
    whole, errors = _ratios(np.ones((1, len(sizes))), between, sizes)
    found = [_ratios(counts, between, sizes) for counts in _draws(len(sizes), n_resamples, seed)]
    drawn, drawn_errors = (np.concatenate(parts) for parts in zip(*found, strict=True))  # (R, P) each
    distances = _in_errors(np.abs(drawn - whole), drawn_errors)
    if are_neighbours:
        r = correlation(between - whole * sizes[:, None])
        errors *= np.sqrt((1 + r) / (1 - r))
    reach = np.quantile(distances, 1 - REAL, axis=0, method="higher") * errors[0]
    ps = (1 + (distances >= _in_errors(np.abs(whole), errors)).sum(axis=0)) / (1 + n_resamples)
    ps[whole[0] == 0] = 1.0
    return [
        Difference(i, j, float(d), float(d - r), float(d + r), float(p), float(adjusted))
        for (i, j), d, r, p, adjusted in zip(pairs, whole[0], reach, ps, holm(ps), strict=True)
    ]


def correlation(residuals: Float64[np.ndarray, "blocks pairs"]) -> float:
    """How much neighbouring blocks have in common, at least 0: lag-1 autocorrelation, the mean over all pairs.

    Of K independent blocks it is -1/K in the mean, since their residuals add up to 0; that is made good.
    """
    squares = (residuals**2).sum(axis=0)
    moving = squares > 0
    if not moving.any():
        return 0.0
    found = (residuals[1:] * residuals[:-1]).sum(axis=0)[moving] / squares[moving]
    return float(np.clip(found.mean() + 1 / len(residuals), 0.0, MOST_CORRELATED))


def holm(ps: Float64[np.ndarray, " pairs"]) -> Float64[np.ndarray, " pairs"]:
    """p adjusted for how many there are, so that one of them at most 0.05 happens by luck in at most 5 of 100 comparisons."""
    order = np.argsort(ps, kind="stable")
    adjusted = np.empty_like(ps)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1)))
    return adjusted


def _ratios(
    counts: Float64[np.ndarray, "draws blocks"],
    between: Float64[np.ndarray, "blocks pairs"],
    sizes: Float64[np.ndarray, " blocks"],
) -> tuple[Float64[np.ndarray, "draws pairs"], Float64[np.ndarray, "draws pairs"]]:
    """The difference in bits per byte and its standard error in each draw, by how often each block was drawn."""
    n_blocks, total = len(sizes), (counts @ sizes)[:, None]
    ratio = counts @ between / total
    squares = counts @ between**2 - 2 * ratio * (counts @ (between * sizes[:, None]))
    squares += ratio**2 * (counts @ sizes**2)[:, None]
    squares = np.maximum(squares, ROUNDING**2 * (counts @ between**2))
    return ratio, np.sqrt(squares * n_blocks / (n_blocks - 1)) / total


def _in_errors(distance: Float64[np.ndarray, "..."], error: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Distances in standard errors; where all blocks agree, any distance at all is infinitely many."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance > 0, distance / error, 0.0)


def _draws(n_blocks: int, n_resamples: int, seed: int) -> Iterator[Float64[np.ndarray, "resamples blocks"]]:
    """How often each block was drawn in each resample, some resamples at a time; the same draws however many those are."""
    generator = np.random.default_rng(seed)
    together = max(1, CHUNK // n_blocks)
    for begin in range(0, n_resamples, together):
        n = min(together, n_resamples - begin)
        drawn = generator.integers(n_blocks, size=(n, n_blocks))
        drawn += n_blocks * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_blocks).reshape(n, n_blocks).astype(np.float64)
