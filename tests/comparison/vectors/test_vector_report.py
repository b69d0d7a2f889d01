"""The report on vectors holds every figure, asks for nothing, and no name or word in it becomes more than text."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from webpages import HOSTILE, Reader, asks_for_nothing, only_text

from malmoi.comparison.vectors import report as module
from malmoi.comparison.vectors.language import say_covered, say_difference, say_interval, say_score, say_verdict
from malmoi.comparison.vectors.report import render, write_report
from malmoi.comparison.vectors.settings import differing, in_order, settings_of, unfair
from malmoi.evaluation import VectorComparison, evaluate_sets
from malmoi.evaluation.vector_comparison import Score, VectorDifference
from malmoi.evaluation.vector_sets import AnalogySet, SimilaritySet
from malmoi.pages.document import beside
from malmoi.pages.language import Teller, read_texts
from malmoi.runs.folder import RunConfig, write_config
from malmoi.vectors import Vectors

ALLOWED = set(
    re.findall(
        r"\w+",
        """html head meta title style body header p h1 h2 h3 dl div dt dd main nav ul li a section span b i u br figure table
        thead tbody tr th td small details summary footer script code""",
    )
)
SETTINGS = {
    "first": {
        "family": "word2vec",
        "words": 60,
        "dim": 4,
        "window": 5,
        "data.train.sha256": "ab" * 32,
        "keep": "input",
    },
    HOSTILE[0]: {"family": "glove", "words": 40, "dim": 4, "window": 10, "x_max": 100.0, "keep": HOSTILE[1]},
    "말": {"file": "<b>.vec", "words": 1, "dim": 4, "keep": "input"},
}


@pytest.fixture(scope="module")
def found() -> VectorComparison:
    """Two models that differ, one of another language, names and words full of markup."""
    generator = np.random.default_rng(3)
    matrix = generator.standard_normal((60, 4)).astype(np.float32)
    words = [f"w{i}" for i in range(60)]
    worse = matrix + generator.normal(0, 3, matrix.shape).astype(np.float32)
    models = {"first": Vectors(words, matrix), HOSTILE[0]: Vectors(words[:40], worse[:40])}
    models["말"] = Vectors(["말"], np.ones((1, 4), np.float32))
    pairs = [(f"w{i}", f"w{i + 1}") for i in range(0, 58)]
    people = [models["first"].cosine(*pair) for pair in pairs]
    pairs += [(HOSTILE[1], HOSTILE[2])]
    people += [0.0]
    questions: list[Any] = [(f"w{a}", f"w{a + 1}", f"w{b}", f"w{b + 1}") for a in range(6) for b in range(6) if a != b]
    sets = [
        SimilaritySet("people", pairs, np.array(people)),
        SimilaritySet(HOSTILE[3], [("gone", "lost")], np.ones(1)),
        AnalogySet("questions", {"one": questions, HOSTILE[2]: [("w0", "w1", "w2", "gone")]}),
    ]
    return evaluate_sets(models, sets, n_resamples=100, settings=SETTINGS)


@pytest.fixture(params=["en", "ko"])
def page(found: VectorComparison, request: pytest.FixtureRequest) -> Reader:
    return Reader(render(found, Teller(request.param, "vector_comparison"), "malmoi vectors eval <a> & b"))


def test_names_and_words_stay_text(page: Reader) -> None:
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert page.stack == []
    for hostile in [*HOSTILE, "malmoi vectors eval <a> & b", "<b>.vec"]:
        assert "".join(hostile.split())[:40] in "".join(page.text.split())
    assert [script.strip() for script in page.scripts] == ["{}"]  # no script at all


def test_the_page_asks_for_nothing(page: Reader) -> None:
    asks_for_nothing(page)
    only_text(beside(module.__file__, "report.css"), "")


def test_links_lead_somewhere_and_tables_are_reached_by_keyboard(page: Reader) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id", "data") != "data"]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"} == set(ids)
    assert ids == ["similarity", "analogies", "table", "categories", "missing", "settings", "method"]
    scrolled = [a for _, a in page.tags if a.get("class") == "scroll"]
    assert len(scrolled) == 4  # sets, categories, two of settings
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_every_figure_is_told(page: Reader, found: VectorComparison) -> None:
    (language,) = [a["lang"] for tag, a in page.tags if tag == "html"]
    tell = Teller("ko" if language == "ko" else "en", "vector_comparison")
    people, _, questions = found.sets
    assert people.scores[0].value > 0.99
    for score in (*people.scores[:2], *questions.scores[:2]):
        kind = people.kind if score in people.scores else questions.kind
        for told in (say_score(kind, score.value), say_interval(kind, score)):
            assert told in page.text
            assert told != "–"
    assert say_interval(people.kind, people.differences[0]) in page.text
    assert people.differences[0].verdict == "below"
    assert say_verdict(tell, "below") in page.text
    assert {"en": "58 of 59", "ko": "59개 중 58개"}[language or ""] in page.text
    assert {"en": "0 of 1", "ko": "1개 중 0개"}[language or ""] in page.text  # the set that nobody covers
    assert {"en": "39 covered by all", "ko": "모두에 있는 것 39개"}[language or ""] in page.text


def test_the_page_speaks_one_language(page: Reader) -> None:
    (language,) = [a["lang"] for tag, a in page.tags if tag == "html"]
    other = "ko" if language == "en" else "en"
    for key in ("title", "section_similarity", "section_missing", "about_settings", "method_overlap", "differs"):
        assert read_texts("vector_comparison")[key][language or ""] in page.text
        assert read_texts("vector_comparison")[key][other] not in page.text


def test_differing_settings_are_marked(page: Reader) -> None:
    marked = [place for place, (tag, a) in enumerate(page.tags) if tag == "tr" and a.get("class") == "other"]
    assert len(marked) == 4  # family, words, window, keep
    assert differing(SETTINGS) == ["family", "words", "window", "keep"]
    assert unfair(SETTINGS) == ["words", "window"]
    assert any(a.get("class") == "warning" for _, a in page.tags)
    assert "abababababab…" in page.text


def test_dots_and_bars_stand_where_the_figures_say(found: VectorComparison) -> None:
    axis = module._Axis("similarity", [0.0, -0.31, 0.62])
    assert axis.ticks == [-0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8]
    assert (axis.place(-0.4), axis.place(0.8), axis.place(0.2)) == (0, 100, 50)
    assert [axis.label(tick) for tick in axis.ticks[:3]] == ["−0.40", "−0.20", "0.00"]
    assert module._Axis("analogies", [0.0, 0.05]).ticks == [0, 0.01, 0.02, 0.03, 0.04, 0.05]
    assert module._Axis("analogies", [0.0]).ticks[0] == 0
    page = render(found, Teller("en", "vector_comparison"))
    score = found.sets[0].scores[0]
    people = [
        one for row in found.sets[:1] for s in row.scores for one in (s.value, s.low, s.high) if not math.isnan(one)
    ]
    axis = module._Axis("similarity", [0.0, *people])
    assert f'<b style="left:{axis.place(score.value):.2f}%' in page
    assert (
        f'<i style="left:{axis.place(score.low):.2f}%;width:{max(axis.place(score.high) - axis.place(score.low), 0.3):.2f}%'
        in page
    )


def test_one_model_alone_has_no_differences(found: VectorComparison) -> None:
    alone = evaluate_sets(
        {"first": Vectors(["a", "b", "c"], np.eye(3, dtype=np.float32))},
        [SimilaritySet("people", [("a", "b"), ("a", "a"), ("b", "x")], np.array([1.0, 2, 3]))],
    )
    page = Reader(render(alone, Teller("en", "vector_comparison")))
    assert "not told apart" not in page.text
    assert "against first" not in page.text
    assert "first covers words of 1 of 1 sets." in page.text
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id", "data") != "data"]
    assert ids == ["table", "missing", "method"]  # three pairs are too few for a figure


def test_long_lists_of_missing_words_are_cut(found: VectorComparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MISSING", 3)
    missing = {**found.sets[0].missing, "first": tuple("pqrst")}
    cut = replace(found, sets=(replace(found.sets[0], missing=missing),))
    text = Reader(render(cut, Teller("en", "vector_comparison"))).text
    assert "p, q, r … and 2 more" in text
    assert "5 words" in text


def test_the_report_is_written(found: VectorComparison, tmp_path: Path) -> None:
    write_report(found, tmp_path / "new" / "r.html", "ko")
    assert (tmp_path / "new" / "r.html").read_text(encoding="utf-8").startswith('<!doctype html>\n<html lang="ko">')


def test_figures_as_people_read_them() -> None:
    tell = Teller("en", "vector_comparison")
    assert say_score("similarity", -0.0004) == "0.000"
    assert say_score("similarity", -0.25) == "−0.250"
    assert say_score("analogies", 0.4125) == "41.2%"
    assert say_covered(tell, Score("m", 0.1, 0.0, 0.2, 1200, 30), 3000) == "1,200 of 3,000 (30 through subwords)"
    below = VectorDifference("m", -0.021, -0.03, -0.011)
    assert say_difference(tell, "analogies", below) == ("−2.1 points (−3.0 … −1.1)", "below")
    alike = VectorDifference("m", 0.02, -0.03, 0.07)
    assert say_difference(Teller("ko", "vector_comparison"), "similarity", alike) == (
        "+0.020 (−0.030 … +0.070)",
        "구별 안 됨",
    )
    nan = float("nan")
    assert say_difference(tell, "similarity", VectorDifference("m", 0.5, nan, nan)) == ("", "too few to say")


# Settings


def test_settings_come_from_the_run_or_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = Vectors(["a", "b"], np.eye(2, dtype=np.float32))
    assert settings_of(tmp_path / "x.vec", vectors) == {"file": "x.vec", "words": 2, "dim": 2, "subwords": "none"}
    saved = tmp_path / "runs" / "a"
    vectors.save(saved)
    assert settings_of(saved, vectors)["file"] == "a"
    config = RunConfig(
        family="word2vec",
        model={"embed_dim": 2, "vocab_size": 6, "window": 5, "subwords": "jamo"},
        training={"epochs": 3},
        data={"train": {"inputs": ["/x"], "sha256": "ff"}, "options": {"split": "words"}},
        seed=4,
    )
    write_config(saved, config)
    told = settings_of(saved, vectors)
    assert told == {
        "family": "word2vec", "words": 2, "dim": 2, "window": 5, "training.epochs": 3, "data.train.sha256": "ff", "seed": 4,
        "subwords": "jamo", "data.options.split": "words",
    }  # fmt: skip
    assert list(told) == in_order(told)
    monkeypatch.chdir(tmp_path)
    assert settings_of("a", vectors) == told
