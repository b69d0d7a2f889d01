"""The report holds everything, asks for nothing, and lets no text of the corpus become more than text."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small import quickly, sentences
from webpages import HOSTILE, Reader, asks_for_nothing, only_text

from malmoi.comparison import report as module
from malmoi.comparison.comparison import Comparison
from malmoi.comparison.ladder import ladder
from malmoi.comparison.report import render
from malmoi.pages import document
from malmoi.pages.document import beside
from malmoi.pages.language import Teller
from malmoi.text.sources import TextSource

ALLOWED = set(
    re.findall(
        r"\w+",
        """html head meta title style body header p h1 h2 h3 dl div dt dd main nav ul li a noscript section ol span b i figure
        figcaption table thead tbody tr th td button small article details summary select option label mark u footer script
        code""",
    )
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A ladder over a text full of markup, whose test part is nothing else."""
    folder = tmp_path_factory.mktemp("runs")
    test = TextSource.from_texts([*HOSTILE * 5, *sentences(20, seed=2)])
    text = TextSource.from_texts([*HOSTILE, *sentences(300)])
    rungs = ("uniform", "unigram", "ngram", "unigram+ngram")
    return quickly(text, rungs, ask=ladder, out=folder / "c", test=test, prompt="<script>alert(0)</script>")


@pytest.fixture(scope="module", params=["en", "ko"])
def page(found: Comparison, request: pytest.FixtureRequest) -> Reader:
    plotly = module._plotly
    module._plotly = lambda: "/* the library */"  # 4.8 MB that need not be parsed
    try:
        return Reader(render(found, Teller(request.param, "comparison")))
    finally:
        module._plotly = plotly


def test_text_of_the_corpus_stays_text(page: Reader) -> None:
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert page.stack == []
    names = {name for _, attributes in page.tags for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    shown = [line for line in HOSTILE if "".join(line.split()) in "".join(page.text.split())]
    assert len(shown) >= 2  # as they stand
    assert "<script>alert(0)</script>" in page.text
    assert len(page.scripts) == 3  # data, library, ours


def test_the_page_asks_for_nothing(page: Reader) -> None:
    asks_for_nothing(page)
    only_text(beside(module.__file__, "report.css"), beside(module.__file__, "report.js"))


def test_data_of_the_figures_cannot_end_their_script(page: Reader, found: Comparison) -> None:
    assert not re.search(r"[<>]", page.scripts[0])
    data = json.loads(page.scripts[0])
    assert [model["name"] for model in data["models"]] == [model.name for model in found.models]
    assert data["models"][2]["bits"] == pytest.approx(found.models[2].bits_per_byte)
    assert len(data["frequency"]["labels"]) == len(data["frequency"]["shares"]) == len(data["frequency"]["values"][0])
    assert sum(data["position"]["shares"]) == pytest.approx(1)


def test_links_and_labels_lead_somewhere(page: Reader) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"]
    assert set(links) <= set(ids)
    for needed in re.findall(r'getElementById\("([a-z]+)"\)', beside(module.__file__, "report.js")):
        assert needed in ids
    plots = {f"plot-{name}" for name in ("disk", "latency", "frequency", "position")}
    assert plots <= set(ids)


def test_it_can_be_read_on_a_phone_and_with_a_keyboard(page: Reader) -> None:
    (viewport,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("name") == "viewport"]
    assert viewport == "width=device-width, initial-scale=1"
    scrolled = [a for _, a in page.tags if a.get("class") == "scroll"]
    assert scrolled
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)
    css = beside(document.__file__, "document.css")
    assert "prefers-color-scheme: dark" in css
    assert ":focus-visible" in css
    assert "Malgun Gothic" in css


def test_the_page_speaks_one_language(found: Comparison, page: Reader) -> None:
    (language,) = [a["lang"] for tag, a in page.tags if tag == "html"]
    heading = {"en": "What each idea bought", "ko": "생각 하나하나가 무엇을 벌어 주었나"}
    assert heading[language or ""] in page.text
    assert heading["ko" if language == "en" else "en"] not in page.text
    if language == "ko":
        assert "perplexit" not in page.text
        assert "better than" not in page.text


def test_figures_are_those_of_the_comparison(found: Comparison, page: Reader) -> None:
    for model in found.models:
        assert f"{model.bits_per_byte:.3f}" in page.text
    for d in found.differences:
        assert f"−{abs(d.bits_per_byte):.3f}" in page.text


def test_the_library_is_in_the_page(found: Comparison) -> None:
    page = found.report.read_text(encoding="utf-8")
    assert "plotly.js v" in page
    assert 4e6 < len(page) < 7e6


def test_a_model_that_finds_something_impossible_is_shown(found: Comparison) -> None:
    broken = replace(
        found.models[0], evaluation=replace(found.models[0].evaluation, nll_nats=math.inf), curve=((0.0, math.inf),)
    )
    shown = render(replace(found, models=(broken, *found.models[1:]), steps=()), Teller("en", "comparison"))
    assert "∞" in shown


def test_one_model_alone_has_a_report(tmp_path: Path) -> None:
    found = quickly(TextSource.from_texts(sentences(60)), ["unigram"], out=tmp_path / "c", lang="ko")
    page = found.report.read_text(encoding="utf-8")
    assert "어느 모델이 이 글을 가장 잘 예측하나" in page
    assert 'id="differences"' not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1234, "0.123"), (999, "999"), (1234.5, "1,234"), (45_678, "45.7k"), (5.67e8, "567M"), (math.inf, "∞")],
)
def test_numbers_in_few_characters(value: Any, shown: str) -> None:
    assert module._short(value) == shown
