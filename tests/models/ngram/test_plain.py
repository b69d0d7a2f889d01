"""The queries without a compiler give the very numbers of the compiled ones, and the model goes over to these when they pay."""

import subprocess
import sys

import numpy as np
import pytest
from test_estimate import BOS, EOS, V, fit, some_sentences

from malmoi.models.ngram import model as module
from malmoi.models.ngram import plain, queries
from malmoi.models.ngram.model import NGramModel


def answers(model: NGramModel, ids: np.ndarray) -> list[np.ndarray]:
    scores, state = model.score(ids, model.start(len(ids)))
    step, after = model.step(ids[:, :3], state)
    rows, _ = model.distributions(ids[:, :5], after)
    best, values, last = model.top(ids[:, :2], after, 7)
    return [scores, state.nodes, step, after.nodes, rows, best, values, last.nodes]


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_both_give_the_same_bits(order: int, quantise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = fit(some_sentences(200, seed=order), order, quantise=quantise).tables
    ids = np.random.default_rng(order).integers(0, V, (4, 30))
    plainly = answers(NGramModel(tables, BOS, EOS), ids)
    monkeypatch.setattr(module, "WORTH_COMPILING", 0)
    for expected, got in zip(answers(NGramModel(tables, BOS, EOS), ids), plainly, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_compiled_loops_take_over_when_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    model = NGramModel(fit(some_sentences(100, seed=5), 3).tables, BOS, EOS)
    monkeypatch.setattr(module, "WORTH_COMPILING", 3 * V)
    used = [model._loops(V) for _ in range(5)]
    assert used == [plain] * 3 + [queries] * 2


def test_the_first_answers_do_not_wait_for_a_compiler() -> None:
    program = "import sys, malmoi.models.ngram.model, malmoi.models.ngram.tables; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
