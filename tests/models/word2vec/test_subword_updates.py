"""Updates of word2vec with subwords against a plain loop in float64 with the same draws."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from malmoi.models.word2vec import kernels, subword_kernels
from malmoi.models.word2vec.sampling import noise_table

WINDOW, N_NEGATIVES, WIDTH = 3, 5, 24
KEPT = np.array([5, 4, -1, 6, 5, 8, -2, 7, -2, 4, 9, 4, 6, -1, -2], np.int32)
COUNTS = np.array([0, 0, 0, 0, 30, 17, 11, 5, 3, 2])
N_BUCKETS = 7
SPELT = [[], [], [], [], [0, 1, 2], [1, 1, 3], [], [6, 0, 6, 6, 2], [4], [5, 3]]  # buckets, some twice in a word
ROWS = [[i, *(len(SPELT) + bucket for bucket in buckets)] for i, buckets in enumerate(SPELT)]
STARTS = np.cumsum([0, *map(len, ROWS)]).astype(np.int64)
FLAT = np.array([row for rows in ROWS for row in rows], np.int32)


class Draws:
    """The generator in plain Python."""

    def __init__(self, state: int) -> None:
        self.state = state

    def number(self) -> int:
        x = self.state ^ (self.state >> 12)
        x = (x ^ (x << 25)) % 2**64
        self.state = x ^ (x >> 27)
        return (self.state * 2685821657736338717) % 2**64

    def window(self, i: int) -> list[int]:
        reach, kept, found = 1 + ((self.number() >> 32) * WINDOW >> 32), KEPT.tolist(), []
        for side in (range(i - 1, i - reach - 1, -1), range(i + 1, i + reach + 1)):
            for j in side:
                if not 0 <= j < len(kept) or kept[j] == kernels.END:
                    break
                found += [kept[j]] if kept[j] >= 0 else []
        return found

    def wrong(self, right: int) -> list[int]:
        table, found = noise_table(COUNTS), []
        for _ in range(N_NEGATIVES):
            number = self.number()
            word = (number >> 32) * len(COUNTS) >> 32
            if number % 2**32 >= int(table.own[word]):
                word = int(table.alias[word])
            found += [word] if word != right else []
        return found


def matrices(spread: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    inputs, outputs = (rng.normal(0, spread, (n, WIDTH)).astype(np.float32) for n in (len(SPELT) + N_BUCKETS, 10))
    return inputs, outputs


def plain(method: str, divide: bool, rates: tuple[float, float], state: int, spread: float):
    inputs, outputs = (m.astype(np.float64) for m in matrices(spread))
    draws, loss, pairs = Draws(state), 0.0, 0
    for i, centre in enumerate(KEPT.tolist()):
        context = draws.window(i) if centre >= 0 else []
        if not context:
            continue
        if method == "skip-gram":
            asked = [(word, 1.0) for word in context]
            asked += [(wrong, 0.0) for word in context for wrong in draws.wrong(word)]
            rows = ROWS[centre]
        else:
            asked = [(centre, 1.0), *((wrong, 0.0) for wrong in draws.wrong(centre))]
            rows = [row for word in context for row in ROWS[word]]
        samples, right = [word for word, _ in asked], np.array([is_right for _, is_right in asked])
        mean = inputs[rows].mean(axis=0)
        scores = outputs[samples] @ mean
        loss += sum(math.log1p(math.exp(-s)) for s in scores * (2 * right - 1))
        pairs += int(right.sum())
        steps = (rates[0] + (rates[1] - rates[0]) * i / len(KEPT)) * (right - 1 / (1 + np.exp(-scores)))
        change = steps @ outputs[samples] / (len(rows) if divide else 1)
        np.add.at(outputs, samples, steps[:, None] * mean)
        np.add.at(inputs, rows, np.tile(change, (len(rows), 1)))
    return loss, pairs, inputs, outputs


def compiled(method: str, divide: bool, rates: tuple[float, float], state: int, spread: float):
    inputs, outputs = matrices(spread)
    noise = noise_table(COUNTS)
    first = (KEPT, len(KEPT), WINDOW, N_NEGATIVES, *noise, *rates, np.uint64(state), STARTS, FLAT, inputs, outputs)
    if method == "skip-gram":
        return *subword_kernels.skip_gram_subwords(*first), inputs, outputs
    return *subword_kernels.cbow_subwords(*first, divide), inputs, outputs


@pytest.mark.parametrize(("method", "divide"), [("skip-gram", False), ("cbow", False), ("cbow", True)])
@pytest.mark.parametrize("spread", [0.01, 0.5, 1.5])
@pytest.mark.parametrize("state", [1, 2**63 + 12345])
def test_updates_agree_with_a_plain_loop(method: str, divide: bool, spread: float, state: int) -> None:
    ours, expected = (f(method, divide, (0.1, 0.05), state, spread) for f in (compiled, plain))
    assert ours[0] == pytest.approx(expected[0], rel=2e-5)
    assert ours[1] == expected[1] > 5
    for own, other, start in zip(ours[2:], expected[2:], matrices(spread), strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=4e-5 * max(1.0, spread))
        assert np.abs(other - start).max() > 5e-4  # something moved


def test_a_word_of_very_many_rows() -> None:
    """A window may have more rows than there is room for at first."""
    n = 999
    starts, rows = np.array([0, n, n + 1, n + 2], np.int64), np.array([*range(n), 1, 2], np.int32)
    inputs, outputs = np.ones((n, 8), np.float32), np.zeros((3, 8), np.float32)
    noise = noise_table(np.array([1, 1, 1]))
    kept = np.array([0, 1, 0], np.int32)
    common = (kept, 3, 1, 1, *noise, 0.1, 0.1, np.uint64(9), starts, rows, inputs, outputs)
    loss, n_pairs = subword_kernels.cbow_subwords(*common, False)
    assert n_pairs == 3
    assert 3 * math.log(2) * 0.9 < loss < 6 * math.log(2)
