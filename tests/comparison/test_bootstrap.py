"""The fast bootstrap is the plain loop, and its verdicts make sense."""

import math

import numpy as np
import pytest

from malmoi.comparison import bootstrap
from malmoi.comparison.bootstrap import Difference, block_starts, paired_bootstrap


def costs(n_blocks: int = 37, n_models: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(5.0, 20.0, size=(n_blocks, n_models)), rng.integers(20, 200, n_blocks)


def plain_loop(first: np.ndarray, second: np.ndarray, n_bytes: np.ndarray, n: int, seed: int) -> list[float]:
    """Differences in bits per byte on n resamples, one after the other."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        drawn = rng.integers(len(n_bytes), size=len(n_bytes))
        nats = sum(first[i] for i in drawn) - sum(second[i] for i in drawn)
        found.append(nats / math.log(2) / sum(int(n_bytes[i]) for i in drawn))
    return found


@pytest.mark.parametrize("chunk", [1, 37 * 100, 1 << 22])
def test_it_is_the_plain_loop(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(bootstrap, "CHUNK", chunk)
    nats, n_bytes = costs()
    found = paired_bootstrap(nats, n_bytes, n_resamples=300, seed=5)
    assert [(d.first, d.second) for d in found] == [(0, 1), (0, 2), (1, 2)]
    for d in found:
        differences = plain_loop(nats[:, d.first], nats[:, d.second], n_bytes, 300, 5)
        whole = (nats[:, d.first] - nats[:, d.second]).sum() / n_bytes.sum() / math.log(2)
        assert d.bits_per_byte == pytest.approx(whole, rel=1e-12)
        assert (d.low, d.high) == pytest.approx(tuple(np.percentile(differences, (2.5, 97.5))), rel=1e-9)
        positive, negative = sum(x >= 0 for x in differences), sum(x <= 0 for x in differences)
        assert d.p == pytest.approx(min(1, 2 * (1 + min(positive, negative)) / 301))


def test_a_model_that_is_better_everywhere_is_really_better() -> None:
    nats, n_bytes = costs(n_models=1)
    (d,) = paired_bootstrap(np.hstack([nats, nats + 3.0]), n_bytes, n_resamples=1000)
    assert d.high < 0
    assert d.p == pytest.approx(2 / 1001)
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
    assert d.p > 0.3  # (39/40) ** 40: the block is not drawn at all
    assert not d.is_real


def test_a_certain_but_tiny_difference_is_not_called_real() -> None:
    assert not Difference(0, 1, -0.0004, -0.0005, -0.0003, 0.0002).is_real
    assert Difference(0, 1, -0.004, -0.005, -0.003, 0.0002).is_real


def test_a_model_that_finds_something_impossible_is_left_out() -> None:
    nats, n_bytes = costs()
    nats[3, 1] = math.inf
    found = paired_bootstrap(nats, n_bytes, n_resamples=100)
    assert [(d.first, d.second) for d in found] == [(0, 2)]
    assert math.isfinite(found[0].p)


def test_from_a_few_blocks_nothing_can_be_said() -> None:
    nats, n_bytes = costs(n_blocks=9)
    assert paired_bootstrap(nats, n_bytes) == []


@pytest.mark.parametrize(
    ("n_lines", "n_documents", "n_blocks", "are_documents"),
    [
        (50, 0, 50, False),
        (450, 0, 113, False),
        (30_000, 0, 1500, False),
        (30_000, 19, 1500, False),
        (400, 20, 20, True),
    ],
)
def test_what_is_drawn(n_lines: int, n_documents: int, n_blocks: int, are_documents: bool) -> None:
    documents = np.arange(n_documents) * (n_lines // max(n_documents, 1))
    starts, found = block_starts(n_lines, documents)
    assert (len(starts), found) == (n_blocks, are_documents)
    assert starts[0] == 0


def test_very_many_documents_are_drawn_in_groups() -> None:
    starts, are_documents = block_starts(60_000, np.arange(0, 60_000, 2))
    assert are_documents
    assert len(starts) == bootstrap.MOST_BLOCKS
    assert set(np.diff(starts)) == {12}
