"""Counts worked out again from an n-gram model's probabilities, against the text that was counted."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import malmoi
from malmoi.models.ngram.recovery import recover
from malmoi.text.sources import TextSource

DISCOUNTS = np.array([0.62, 1.05, 1.39])


@given(st.lists(st.one_of(st.integers(1, 4), st.integers(1, 500)), min_size=1, max_size=40))
def test_kneser_ney_counts_come_back(counts: list[int]) -> None:
    followers, total = np.array(counts), sum(counts)
    taken = DISCOUNTS[np.minimum(followers, 3) - 1]
    shares = ((followers - taken) / total).astype(np.float32).astype(np.float64)
    found = recover(shares, float(np.float32(taken.sum() / total)), "kneser-ney", DISCOUNTS)
    assert found is not None
    assert (found.followers.tolist(), found.total) == (counts, total)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_witten_bell_counts_come_back(counts: list[int]) -> None:
    divisor = sum(counts) + len(counts)
    shares = (np.array(counts) / divisor).astype(np.float32).astype(np.float64)
    found = recover(shares, len(counts) / divisor, "witten-bell", None)
    assert found is not None
    assert (found.followers.tolist(), found.total) == (counts, sum(counts))


def test_nothing_is_claimed_where_nothing_fits() -> None:
    shares = np.array([0.1, 0.2345, 0.3])
    assert recover(shares, 0.3655, "kneser-ney", DISCOUNTS) is None
    assert recover(shares, 0.5, "witten-bell", None) is None
    assert recover(shares, 0.3655, "add-k", None) is None
    assert recover(np.array([-0.1, 0.2]), 0.3, "kneser-ney", DISCOUNTS) is None


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
def test_the_counts_that_are_told_are_those_of_the_text(tmp_path: Path, smoothing: str) -> None:
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(list("abcdefg"), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05], size=9)) for _ in range(300)]
    options = {"tokenizer": "word", "order": 3, "smoothing": smoothing, "out": tmp_path / "run"}
    run = malmoi.train("ngram", TextSource.from_texts(lines), valid=TextSource.from_texts(lines[:5]), **options)
    trigrams = Counter(tuple(line.split()[i : i + 3]) for line in lines for i in range(7))
    pairs = Counter(tuple(line.split()[i : i + 2]) for line in lines for i in range(8))
    for words in sorted(trigrams)[::25]:
        (step,) = [step for step in run.explain(" ".join(words)).steps if step.name == "counts"]
        count, total, *_ = step.numbers[0].values.tolist()
        assert (count, total) == (trigrams[words], pairs[words[:2]])
