"""The page of a word shows what the thesaurus says, asks for nothing, and its drawing is a drawing: edges down, boxes apart."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_wordnet import ENTRIES, Entry, write_wordnet
from webpages import HOSTILE, Reader, asks_for_nothing, only_text

from malmoi.pages.document import beside
from malmoi.thesaurus import Concept, Graph, Thesaurus
from malmoi.thesaurus import page as page_module
from malmoi.thesaurus.drawing import GAP, HEIGHT, _apart, _crossings, _Layout, draw
from malmoi.thesaurus.entries import look_up, set_beside
from malmoi.thesaurus.page import write_page
from malmoi.vectors import Vectors

VECTORS = Vectors(["dog", "bird", "song"], np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32))


def read(path: Path) -> Reader:
    page = Reader(path.read_text(encoding="utf-8"))
    asks_for_nothing(page)
    return page


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_of_a_word_shows_senses_graph_and_both_neighbourhoods(
    tiny: Thesaurus, tmp_path: Path, language: str
) -> None:
    write_page(look_up(tiny, "dog", None, VECTORS, n_drawn=2), tmp_path / "dog.html", language, vectors="mine")
    page = read(tmp_path / "dog.html")
    assert ("html", {"lang": language}) in page.tags
    for told in ("dog.n.01", "an animal that barks", "hound dog", "run.v.01", "mine"):
        assert told in page.text
    assert {"en": "The first 2 of 3 senses are drawn", "ko": "뜻 3가지 가운데 앞의 2가지"}[language] in page.text
    boxes = [attributes for tag, attributes in page.tags if tag == "g" and "box" in (attributes.get("class") or "")]
    assert len(boxes) == 7  # dog, hammer, and five above
    assert sum("own" in (attributes["class"] or "") for attributes in boxes) == 2
    rows = re.findall(r"bird\s*0\.6000\s*0\.3333", page.text)  # by vectors: cosine, then path
    assert len(rows) == 1
    assert re.search(r"bird\s*0\.3333\s*0\.6000", page.text)  # in WordNet: path, then cosine
    assert "song0.0000—" in page.text  # unknown to WordNet


def test_the_page_of_two_words_marks_where_they_meet(tiny: Thesaurus, tmp_path: Path) -> None:
    write_page(set_beside(tiny, "dog", "bird", None, VECTORS), tmp_path / "two.html", vectors="mine")
    page = read(tmp_path / "two.html")
    assert "path0.3333dog.n.01 – bird.n.01" in page.text
    assert "Wu–Palmer0.7500" in page.text
    assert "cosine0.6000" in page.text
    marked = re.findall(r'<g class="box marked"><title>(.*?):', (tmp_path / "two.html").read_text())
    assert marked == ["animal, beast"]
    assert "from the 20 tagged words" in page.text


def test_pages_of_words_with_nothing_above_or_in_common(tiny: Thesaurus, tmp_path: Path) -> None:
    write_page(look_up(tiny, "gladly"), tmp_path / "one.html")
    assert "<svg" not in (tmp_path / "one.html").read_text()
    assert "WordNet has no way from this sense" in read(tmp_path / "one.html").text
    write_page(set_beside(tiny, "glad", "happy"), tmp_path / "two.html")
    assert "No similarity" in read(tmp_path / "two.html").text
    assert "full of joy" in read(tmp_path / "two.html").text
    write_page(set_beside(tiny, "move", "think"), tmp_path / "verbs.html")
    assert "have no common concept" in read(tmp_path / "verbs.html").text


def test_too_many_concepts_are_not_drawn(tiny: Thesaurus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_DRAWN", 6)
    write_page(look_up(tiny, "dog"), tmp_path / "dog.html")
    assert "There are 9 concepts above these senses, too many to draw" in read(tmp_path / "dog.html").text


def test_hostile_words_and_glosses_stay_text(tmp_path: Path) -> None:
    words = tuple("_".join(text.replace("|", "").split()) for text in HOSTILE)
    top = Entry("top", "n", ("top",), words[0].replace("_", " "))
    hostile = Entry("evil", "n", ("evil", *words), words[1].replace("_", " "), ("top",))
    others = tuple(entry for entry in ENTRIES if entry.pos != "n")
    found = Thesaurus(write_wordnet(tmp_path / "wordnet", (top, hostile, *others)))
    write_page(look_up(found, "evil"), tmp_path / "evil.html", vectors=HOSTILE[1])
    page = read(tmp_path / "evil.html")
    assert "alert(1)" in page.text
    assert not {"b", "img", "a"} & {tag for tag, _ in page.tags}
    only_text(beside(page_module.__file__, "page.css"), "")


def made_graph(above: dict[str, list[str]]) -> Graph:
    concepts = {name: Concept(name, "noun", (name * (1 + i % 5),), "x", ()) for i, name in enumerate(above)}
    return Graph([next(iter(above))], concepts, above)


@st.composite
def graphs(draw_from: st.DrawFn) -> Graph:
    n = draw_from(st.integers(1, 14))
    above = {
        f"n{i}": sorted({f"n{j}" for j in draw_from(st.lists(st.integers(i + 1, n), max_size=3)) if j < n})
        for i in range(n)
    }
    return made_graph(above)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_edge_goes_down_and_boxes_do_not_touch(graph: Graph) -> None:
    layout = _Layout(graph)
    for name, parents in graph.above.items():
        assert all(layout.row_of[parent] < layout.row_of[name] for parent in parents)
    for row in layout.rows:
        for left, right in pairwise(row):
            room = layout.x[right] - layout.x[left] - (layout.widths[left] + layout.widths[right]) / 2
            assert room >= GAP - 1e-6
    for name in layout.x:
        assert layout.x[name] - layout.widths[name] / 2 >= -1e-6
        assert layout.x[name] + layout.widths[name] / 2 <= layout.width + 1e-6
    for points in layout.edges():
        assert all(lower[1] - upper[1] > 0 for upper, lower in pairwise(points))
    svg = draw(graph, "a", colours={}, marked=())
    assert svg.count("<rect") == len(graph.concepts)
    assert f'height="{HEIGHT}"' in svg


def test_crossings_that_can_be_avoided_are() -> None:
    # a stands above d, b above c: as they are listed, the edges would cross
    layout = _Layout(made_graph({"c": ["b"], "d": ["a"], "a": ["top"], "b": ["top"], "top": []}))
    assert _crossings(layout.rows, layout.up) == 0
    assert _crossings([["a", "b"], ["c", "d"]], {"c": ["b"], "d": ["a"]}) == 1


def test_boxes_go_where_they_wish_if_there_is_room_and_share_the_trouble_if_not() -> None:
    assert _apart([0.0, 100.0], [10.0, 20.0]) == [0.0, 100.0]
    first, second = _apart([50.0, 50.0], [10.0, 20.0])
    assert second - first == pytest.approx(15 + GAP)
    assert (first + second) / 2 == pytest.approx(50)
