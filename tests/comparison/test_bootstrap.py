"""The fast bootstrap is the plain loop, and its verdicts make sense."""

import math

import numpy as np
import pytest

from malmoi.comparison import bootstrap
from malmoi.comparison.bootstrap import Difference, block_starts, paired_bootstrap


def costs(n_blocks: int = 37, n_models: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(5.0, 20.0, size=(n_blocks, n_models)), rng.integers(20, 200, n_blocks)


def ratio_and_error(first: np.ndarray, second: np.ndarray, n_bytes: np.ndarray) -> tuple[float, float]:
    """Difference in bits per byte, and its standard error, of blocks as they stand there."""
    bits = [(float(a) - float(b)) / math.log(2) for a, b in zip(first, second, strict=True)]
    total, n = int(n_bytes.sum()), len(bits)
    ratio = sum(bits) / total
    squares = sum((x - ratio * int(size)) ** 2 for x, size in zip(bits, n_bytes, strict=True))
    return ratio, math.sqrt(squares * n / (n - 1)) / total


def plain_loop(first: np.ndarray, second: np.ndarray, n_bytes: np.ndarray, n: int, seed: int) -> list[float]:
    """How far the differences of n resamples lie from that of the text, in standard errors, one after the other."""
    rng = np.random.default_rng(seed)
    whole, _ = ratio_and_error(first, second, n_bytes)
    found = []
    for _ in range(n):
        drawn = rng.integers(len(n_bytes), size=len(n_bytes))
        ratio, error = ratio_and_error(first[drawn], second[drawn], n_bytes[drawn])
        found.append(abs(ratio - whole) / error)
    return found


@pytest.mark.parametrize("chunk", [1, 37 * 100, 1 << 22])
def test_it_is_the_plain_loop(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(bootstrap, "CHUNK", chunk)
    nats, n_bytes = costs()
    found = paired_bootstrap(nats, n_bytes, n_resamples=300, seed=5)
    assert [(d.first, d.second) for d in found] == [(0, 1), (0, 2), (1, 2)]
    for d in found:
        distances = plain_loop(nats[:, d.first], nats[:, d.second], n_bytes, 300, 5)
        whole, error = ratio_and_error(nats[:, d.first], nats[:, d.second], n_bytes)
        reach = sorted(distances)[285] * error  # at most 5 % of 300 lie above it
        assert d.bits_per_byte == pytest.approx(whole, rel=1e-12)
        assert (d.low, d.high) == pytest.approx((whole - reach, whole + reach), rel=1e-9)
        assert d.p == pytest.approx((1 + sum(x >= abs(whole) / error for x in distances)) / 301)


def test_the_interval_holds_the_truth_as_often_as_it_says_where_neighbours_resemble_each_other() -> None:
    """Texts of 25 stretches, models of equal worth; what a stretch costs one of them more has a heavy tail."""
    rng = np.random.default_rng(2)
    covered, real = [], []
    for trial in range(300):
        sizes = rng.integers(800, 4000, 25)
        topic = rng.standard_t(5, size=(25, 4)) * 0.05  # bits per byte, of each stretch under each model
        nats = (2.0 + topic) * sizes[:, None] * math.log(2)
        found = paired_bootstrap(nats, sizes, n_resamples=1000, seed=trial)
        covered += [d.low <= 0 <= d.high for d in found]
        real.append(any(d.is_real for d in found))
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(real) <= 0.07  # that some pair of four equal models is called different


def test_what_neighbours_have_in_common_widens_the_interval() -> None:
    rng = np.random.default_rng(1)
    series = np.zeros((4000, 2))
    for i in range(1, len(series)):
        series[i] = 0.5 * series[i - 1] + rng.normal(size=2)
    assert bootstrap.correlation(series) == pytest.approx(0.5, abs=0.05)
    assert bootstrap.correlation(rng.normal(size=(4000, 2))) == pytest.approx(0, abs=0.05)
    assert bootstrap.correlation(np.zeros((30, 1))) == 0
    nats = np.hstack([100 + series[:40, :1], np.full((40, 1), 100.0)])
    apart, beside = (paired_bootstrap(nats, np.full(40, 50), are_neighbours=given)[0] for given in (False, True))
    between = (nats[:, 0] - nats[:, 1]) / math.log(2)
    r = bootstrap.correlation((between - between.mean())[:, None])
    assert r > 0.1
    factor = math.sqrt((1 + r) / (1 - r))
    assert beside.high - beside.low == pytest.approx(factor * (apart.high - apart.low))
    assert beside.p >= apart.p


def test_the_adjusted_p_is_that_of_holm() -> None:
    """Against the definition: the k-th smallest of m times (m - k + 1), never below one before it, never above 1."""
    ps = np.array([0.01, 0.04, 0.03, 0.005, 0.9])
    assert bootstrap.holm(ps) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.9])
    assert bootstrap.holm(np.array([0.5, 0.6])) == pytest.approx([1.0, 1.0])


def test_a_model_that_is_better_everywhere_is_really_better() -> None:
    nats, n_bytes = costs(n_models=1)
    (d,) = paired_bootstrap(np.hstack([nats, nats + 3.0]), n_bytes, n_resamples=1000)
    assert d.high < 0
    assert d.p == pytest.approx(1 / 1001)
    assert d.is_real
    (d,) = paired_bootstrap(np.hstack([nats, nats + n_bytes[:, None]]), n_bytes, n_resamples=1000)  # by 1 nat a byte
    assert (d.bits_per_byte, d.low, d.high) == pytest.approx((-1 / math.log(2),) * 3)
    assert d.is_real


def test_a_model_is_not_better_than_itself() -> None:
    nats, n_bytes = costs(n_models=1)
    (d,) = paired_bootstrap(np.hstack([nats, nats]), n_bytes, n_resamples=200)
    assert (d.bits_per_byte, d.low, d.high, d.p) == (0, 0, 0, 1)
    assert not d.is_real


def test_one_lucky_block_is_not_enough() -> None:
    nats, n_bytes = np.full((40, 2), 100.0), np.full(40, 50)
    nats[7, 0] -= 90
    (d,) = paired_bootstrap(nats, n_bytes, n_resamples=2000)
    assert d.bits_per_byte < -0.05
    assert d.p > 0.3  # (39/40) ** 40: the block is not drawn at all, and the others say 0
    assert not d.is_real


@pytest.mark.parametrize(
    ("bits", "reach", "p", "verdict"),
    [
        (-0.004, 0.001, 0.0002, "real"),
        (-0.0004, 0.0001, 0.0002, "negligible"),  # certain, and tiny
        (-0.0004, 0.0005, 0.3, "negligible"),  # whichever it is, it is tiny
        (-0.0004, 0.002, 0.3, "luck"),
        (-0.3, 0.4, 0.3, "luck"),
    ],
)
def test_three_verdicts(bits: float, reach: float, p: float, verdict: str) -> None:
    d = Difference(0, 1, bits, bits - reach, bits + reach, 0.0001, p)
    assert (d.verdict, d.turned().verdict) == (verdict, verdict)
    assert d.is_real == (verdict == "real")


def test_a_model_that_finds_something_impossible_is_left_out() -> None:
    nats, n_bytes = costs()
    nats[3, 1] = math.inf
    found = paired_bootstrap(nats, n_bytes, n_resamples=100)
    assert [(d.first, d.second) for d in found] == [(0, 2)]
    assert math.isfinite(found[0].p)
    assert paired_bootstrap(nats, n_bytes, n_resamples=100, left_out={2}) == []


def test_from_a_few_blocks_nothing_can_be_said() -> None:
    nats, n_bytes = costs(n_blocks=19)
    assert paired_bootstrap(nats, n_bytes) == []


@pytest.mark.parametrize(
    ("n_lines", "n_documents", "n_stretches", "n_blocks", "drawn"),
    [
        (50, 0, 0, 25, "blocks"),
        (12, 0, 0, 12, "blocks"),
        (30_000, 0, 0, 25, "blocks"),
        (3_000, 0, 30, 30, "stretches"),
        (30_000, 19, 0, 19, "documents"),  # too few to say anything of, but smaller blocks would depend on each other
        (400, 20, 100, 20, "documents"),
    ],
)
def test_what_is_drawn(n_lines: int, n_documents: int, n_stretches: int, n_blocks: int, drawn: str) -> None:
    documents = np.arange(n_documents) * (n_lines // max(n_documents, 1))
    starts, found = block_starts(n_lines, documents, range(0, n_lines, n_lines // n_stretches) if n_stretches else ())
    assert (len(starts), found) == (n_blocks, drawn)
    assert starts[0] == 0


def test_very_many_documents_are_drawn_in_groups() -> None:
    starts, drawn = block_starts(60_000, np.arange(0, 60_000, 2))
    assert drawn == "documents"
    assert len(starts) == bootstrap.MOST_BLOCKS
    assert set(np.diff(starts)) == {12}
