"""One answer of an n-gram model, number by number, on a model worked by hand."""

import math

import numpy as np
import pytest

from malmoi.models.ngram.recovery import counted_share
from malmoi.models.ngram.tables import Level, NGramTables, tables_from_levels
from malmoi.models.ngram.tracing import context_ids, distribution, log_backoff, trace

A, B, C = 0, 1, 2


def as_logs(*values: float) -> np.ndarray:
    return np.log(np.array(values)).astype(np.float32)


@pytest.fixture
def tables() -> NGramTables:
    """After a: b 3/5, and a weight of 4/7 for what was not seen there; by themselves a, b and c 1/2, 3/10 and 1/5."""
    singles = Level(np.array([[A], [B], [C]], np.uint32), as_logs(0.5, 0.3, 0.2), as_logs(4 / 7, 1, 1))
    pairs = Level(np.array([[A, B]], np.uint32), as_logs(0.6), np.zeros(1, np.float32))
    return tables_from_levels([singles, pairs], 3)


def test_a_pair_that_was_seen_has_its_own_probability(tables: NGramTables) -> None:
    found = trace(tables, A, B)
    (only,) = found.tries
    assert only.ids == (A,)
    assert only.n_followers == 1
    assert found.probability == pytest.approx(0.6, rel=1e-6)
    assert context_ids(tables, only.place) == (A, B)


def test_a_pair_that_was_not_seen_pays_the_weight_of_its_context(tables: NGramTables) -> None:
    found = trace(tables, A, C)
    assert [attempt.ids for attempt in found.tries] == [(A,), ()]
    assert [attempt.log_prob is None for attempt in found.tries] == [True, False]
    assert math.exp(log_backoff(tables, A)) == pytest.approx(4 / 7, rel=1e-6)
    assert np.exp(found.log_factors) == pytest.approx([4 / 7, 0.2], rel=1e-6)
    assert found.probability == pytest.approx(4 / 35, rel=1e-6)


def test_all_tokens_share_out_one(tables: NGramTables) -> None:
    found = np.exp(trace(tables, A, B).log_probs)
    assert found == pytest.approx([2 / 7, 0.6, 4 / 35], rel=1e-6)
    assert found.sum() == pytest.approx(1, rel=1e-6)
    assert np.exp(distribution(tables, -1)) == pytest.approx([0.5, 0.3, 0.2], rel=1e-6)


def test_the_count_behind_a_probability(tables: NGramTables) -> None:
    """Witten-Bell: T(h) = 1 of c(h .) + T(h) = 7/4 gives 4/7; 3/5 - 4/7 * 3/10 = 3/7 is 3/4 of 7/4: no whole count fits."""
    known = trace(tables, A, B).tries[-1]
    assert counted_share(tables, known, "witten-bell", None) is None
    assert counted_share(tables, trace(tables, -1, B).tries[-1], "witten-bell", None) is None  # no context at all
    weight, shorter = 1 / 4, 0.3  # 3 of 3 occurrences of a were followed by b: c(h .) + T(h) = 4
    singles = Level(np.array([[A], [B], [C]], np.uint32), as_logs(0.5, 0.3, 0.2), as_logs(weight, 1, 1))
    pairs = Level(np.array([[A, B]], np.uint32), as_logs(3 / 4 + weight * shorter), np.zeros(1, np.float32))
    whole = tables_from_levels([singles, pairs], 3)
    found = counted_share(whole, trace(whole, A, B).tries[-1], "witten-bell", None)
    assert found is not None
    assert (found.count, found.total, found.taken, found.divisor) == (3, 3, 0, 4)
    assert found.share == pytest.approx(3 / 4, rel=1e-6)
    assert found.probability == pytest.approx(0.825, rel=1e-6)
