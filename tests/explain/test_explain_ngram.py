"""The path through an n-gram model: contexts, back-off weights, and a product that is the served probability."""

import math
from pathlib import Path

import numpy as np
import pytest
from tiny import ngram_run

import malmoi
from malmoi.explain.explanation import Explanation, Step
from malmoi.interop.exchange import export_run, import_run
from malmoi.models.ngram import NGramModel
from malmoi.models.ngram.tracing import context_ids, distribution, path


def step(explanation: Explanation, name: str) -> Step:
    (found,) = [s for s in explanation.steps if s.name == name]
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> malmoi.Run:
    return ngram_run(tmp_path_factory.mktemp("runs") / "words", order=3)


def test_a_sequence_that_was_seen_matches_at_once(run: malmoi.Run) -> None:
    found = run.explain("the cat sat")
    (factor,) = step(found, "product").numbers[0].values
    assert factor == pytest.approx(found.probability)
    assert "3-gram is stored with its own probability" in step(found, "tries").sentence
    assert step(found, "context").sentence.endswith(
        "The longest end of them that it has seen before: the cat (length 2)."
    )
    assert [s.name for s in found.steps] == [
        "context",
        "tries",
        "product",
        "counts",
        "discounts",
        "why",
        "distribution",
        "surprisal",
    ]
    assert found.agreement == {"the serving engine": pytest.approx(0, abs=1e-6)}


def test_a_sequence_never_seen_backs_off_and_still_gets_more_than_nothing(run: malmoi.Run) -> None:
    found = run.explain("the cat rug")
    weights = step(found, "tries").numbers[1].values
    factors = step(found, "product").numbers[0].values
    assert 1 <= len(weights) <= 2
    np.testing.assert_allclose(factors[:-1], weights)
    assert factors.prod() == pytest.approx(found.probability)
    scores, _ = run.model.score(run.tokenizer.encode("the cat rug")[None], run.model.start())
    assert math.log(found.probability) == pytest.approx(scores[0, -1], abs=1e-5)
    assert "yet it gets more than 0" in step(found, "why").sentence
    assert "modified Kneser–Ney" in step(found, "why").sentence
    single = run.explain("the zebra")  # no context knows the unknown word
    assert any("could not be worked out again" in note for note in single.notes)


@pytest.mark.parametrize("options", [{}, {"quantise": True}, {"smoothing": "witten-bell"}, {"order": 1}])
@pytest.mark.parametrize("kind", ["word", "jamo"])
def test_path_and_distribution_agree_with_the_compiled_loops(
    tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    run = ngram_run(tmp_path / "run", kind, **{"order": 4, **options})
    model = run.model
    assert isinstance(model, NGramModel)
    ids = run.tokenizer.encode("나는 집에 the zebra")[None]
    for place in range(ids.shape[1] + 1):
        served, state = model.step(ids[:, :place], model.start())
        node = int(state.nodes[0])
        found = distribution(model.tables, node)
        np.testing.assert_allclose(found, served[0], atol=2e-6)
        for token_id in range(0, run.tokenizer.vocab_size, 7):
            tries = path(model.tables, node, token_id)
            total = sum(attempt.log_backoff for attempt in tries[:-1]) + tries[-1].log_prob
            assert total == pytest.approx(found[token_id], abs=1e-9)  # -inf is equal to itself
            assert [len(attempt.ids) for attempt in tries] == sorted((len(a.ids) for a in tries), reverse=True)
    found = run.explain("나는 집에")
    assert any("8-bit codes" in note for note in found.notes) == ("quantise" in options)


def test_the_tokens_of_a_node(run: malmoi.Run) -> None:
    model = run.model
    assert isinstance(model, NGramModel)
    for n in (1, 2, 3):
        first, after = model.tables.level_range(n)
        wanted = model.tables.level_ids(n).tolist()
        assert [list(context_ids(model.tables, node)) for node in range(first, after)] == wanted


def test_padding_is_never_predicted(run: malmoi.Run) -> None:
    model = run.model
    assert isinstance(model, NGramModel)
    assert path(model.tables, -1, 0)[-1].log_prob == -math.inf


def test_a_model_out_of_an_arpa_file_says_that_its_smoothing_is_unknown(run: malmoi.Run, tmp_path: Path) -> None:
    export_run(run.folder, tmp_path / "a.arpa")
    imported = malmoi.load(import_run(tmp_path / "a.arpa", tmp_path / "imported", tokenizer_from=run.folder))
    found = imported.explain("the cat rug", train_step=True, language="ko")
    assert "discounts" not in [s.name for s in found.steps]
    assert "파일에 없음" in step(found, "why").sentence
    assert "학습 스텝은 신경망 하나를 설명할 때만" in found.notes[-1]
    assert found.probability == pytest.approx(run.explain("the cat rug").probability, rel=1e-4)
