"""The page of a map: its data are right, it asks for nothing, hostile words stay words, and it works in a browser."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from webpages import HOSTILE, Reader, asks_for_nothing, only_text

from malmoi.pages.document import beside
from malmoi.pages.language import Language
from malmoi.vectors import Vectors
from malmoi.vectors.map import draw, page_html, write_page
from malmoi.vectors.map import page as module

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WORDS = ["영화", "배우", "감독", "연기", "행복", "하늘", "학교", "movie", "Film", "actor", "director", "한글"]


def vectors(words: list[str], dim: int = 6) -> Vectors:
    return Vectors(words, np.random.default_rng(11).normal(size=(len(words), dim)).astype(np.float32))


@pytest.fixture(scope="module")
def known() -> Vectors:
    return vectors(WORDS)


@pytest.fixture(scope="module")
def page(known: Vectors) -> Reader:
    return Reader(page_html(draw(known, method="pca", analogies=["영화 배우 감독 연기"], name="nsmc"), "ko"))


def data_of(page: Reader) -> dict[str, Any]:
    return dict(json.loads(page.scripts[0]))


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_data_are_those_of_the_map(page: Reader, known: Vectors) -> None:
    found, data = draw(known, method="pca", analogies=["영화 배우 감독 연기"]), data_of(page)
    assert data["words"] == WORDS
    assert data["ranks"] == list(range(1, 13))
    assert data["analogies"] == [[0, 1, 2, 3]]
    np.testing.assert_array_equal(unpacked(data["places"], "<u2").reshape(12, data["k"]), found.nearest.places)
    cosines = unpacked(data["cosines"], "<i2").reshape(12, data["k"]) / 32767
    for i, word in enumerate(WORDS):
        wanted = [one.cosine for one in known.similar(word, 10)]
        np.testing.assert_allclose(cosines[i], wanted, atol=1e-4)
    points = unpacked(data["points"], "<u2").reshape(12, 2) / 65535
    spread = found.projection.points - found.projection.points.min(axis=0)
    scale = spread.max()
    np.testing.assert_allclose(points[:, 0], spread[:, 0] / scale, atol=1e-4)
    np.testing.assert_allclose(
        points[:, 1], (spread[:, 1].max() - spread[:, 1]) / scale, atol=1e-4
    )  # down, as on screens
    assert (points.min(), points.max()) == (0, 1)
    np.testing.assert_array_equal(unpacked(data["codes"], "i1").reshape(12, 6), found.codes)


def test_the_page_asks_for_nothing(page: Reader) -> None:
    asks_for_nothing(page)
    for name in module.SCRIPTS:
        only_text(beside(module.__file__, "page.css"), beside(module.__file__, name))
    assert page.stack == []


def test_hostile_words_stay_words() -> None:
    words = [*HOSTILE, "__proto__", "constructor", "{0}{1}", "$&", "\u202ertl", "a" * 5000, "#", "/", "\n", "</ScRiPt>"]
    missing = "<script>alert(9)</script>"
    found = draw(vectors(words), words=[*words, missing], method="pca", name=HOSTILE[1])
    shown = page_html(found, "en")
    page = Reader(shown)
    assert page.stack == []
    assert len(page.scripts) == 1 + len(module.SCRIPTS)
    assert not re.search(r"[<>]", page.scripts[0])
    assert data_of(page)["words"] == words
    assert not {"img", "a", "b"} & {tag for tag, _ in page.tags}
    assert missing in page.text
    asks_for_nothing(page)


def test_scripts_find_what_they_look_for(page: Reader) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    js = "".join(beside(module.__file__, name) for name in module.SCRIPTS)
    for needed in re.findall(r'(?:getElementById|element|chooser)\("([a-z-]+)"', js):
        assert needed in ids, needed
    for _, attributes in page.tags:
        for name in ("for", "aria-labelledby", "aria-controls", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
    told = data_of(page)["tell"]
    assert set(re.findall(r'tell\("([a-z_]+)"', js)) == set(told)


def test_it_can_be_used_with_the_keyboard_and_on_a_phone(page: Reader) -> None:
    (viewport,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("name") == "viewport"]
    assert viewport == "width=device-width, initial-scale=1"
    reached = [a for tag, a in page.tags if tag == "canvas" or a.get("class") == "scroll"]
    assert reached
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in reached)
    assert {a["type"] for tag, a in page.tags if tag == "button"} == {"button"}
    assert [a["aria-label"] for _, a in page.tags if a.get("id") in ("closer", "farther", "whole")] == [
        "가까이",
        "멀리",
        "전체 보기",
    ]
    assert "@media (max-width: 60rem)" in beside(module.__file__, "page.css")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_tells_method_seed_and_trust(language: Language, known: Vectors) -> None:
    pytest.importorskip("sklearn")
    found = draw(known, method="tsne", seed=17)
    page = Reader(page_html(found, language))
    assert [a["lang"] for tag, a in page.tags if tag == "html"] == [language]
    assert found.trust is not None
    for told in ("t-SNE", "17", f"{found.trust.trustworthiness:.3f}", f"{found.trust.kept * found.trust.k:.1f}"):
        assert told in page.text
    assert {"en": "means little", "ko": "별 뜻이 없습니다"}[language] in page.text


def test_a_map_of_two_thousand_words_stays_below_a_megabyte(tmp_path: Path) -> None:
    many = [f"단어{i}" for i in range(2000)]
    found = draw(vectors(many, 100), method="pca")
    write_page(found, tmp_path / "new" / "map.html")
    assert (tmp_path / "new" / "map.html").stat().st_size < 700_000


def test_a_page_says_where_it_reckons_with_fewer_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    known = vectors(WORDS, 9)
    assert "main directions of the vectors" not in Reader(page_html(draw(known, method="pca"))).text
    monkeypatch.setattr("malmoi.vectors.map.drawing.WIDEST_CODE", 7)
    assert "the 7 main directions of the vectors" in Reader(page_html(draw(known, method="pca"))).text


@pytest.mark.parametrize("n", [2, 3])
def test_few_words_are_a_map_too(n: int) -> None:
    page = Reader(page_html(draw(vectors(WORDS[:n]), method="pca")))
    assert len(data_of(page)["words"]) == n
    equal = Reader(page_html(draw(Vectors(WORDS[:n], np.ones((n, 3), np.float32)), method="pca")))
    assert set(unpacked(data_of(equal)["points"], "<u2")) == {0}


# In a browser

ASK = """<script>
const told = {};
const get = (name) => document.getElementById(name);
const type = (name, text) => {
  get(name).value = text;
  get(name).dispatchEvent(new Event("input"));
  get(name).dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
};
const list = (name) => [...document.querySelectorAll(`#${name} li`)].map(
  (item) => ["button", ".cosine"].map((part) => item.querySelector(part).textContent));
const typed = ["ㅇㅎ", "ㅎ", "영ㅎ", "하", "ILM", "여", "zzz"];
told.linked = get("found-word").textContent;
told.search = Object.fromEntries(typed.map((text) => [text, space.search(text).map((i) => space.words[i])]));
type("search", "배우");
told.near = [get("found-word").textContent, list("neighbours")];
type("analogy-a", "영화");
type("analogy-b", "배우");
type("analogy-c", "film");
told.answers = list("answers");
for (const key of ["0", "Enter"]) picture.canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
told.middle = get("found-word").textContent;
get("list").open = true;
setTimeout(() => {
  told.rows = [...document.querySelectorAll("#rows button")].map((button) => button.textContent);
  const pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify(told);
  document.body.append(pre);
}, 300);
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser(known: Vectors, tmp_path: Path) -> None:
    words = [*WORDS, *HOSTILE]
    found = draw(vectors(words), method="pca", analogies=["영화 배우 감독 연기"])
    known = vectors(words)
    path = tmp_path / "map.html"
    path.write_text(page_html(found, "ko").replace("</body>", f"{ASK}</body>"), encoding="utf-8")
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += [
        "--force-prefers-reduced-motion",
        "--virtual-time-budget=3000",
        "--dump-dom",
        f"file://{path}#{quote('감독')}",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    match = re.search(r'<pre id="told">(.*?)</pre>', shown, re.DOTALL)
    assert match is not None, shown[-500:]
    told = json.loads(html.unescape(match[1]))
    assert told["linked"] == "감독"
    assert told["search"] == {
        "ㅇㅎ": ["영화"],
        "ㅎ": ["행복", "하늘", "학교", "한글"],
        "영ㅎ": ["영화"],
        "하": ["하늘", "학교", "한글"],
        "ILM": ["Film"],
        "여": ["영화", "연기", HOSTILE[3]],  # words that begin with it before those that hold it
        "zzz": [],
    }
    word, near = told["near"]
    assert word == "배우"
    assert [name for name, _ in near] == [one.word for one in known.similar("배우", 10)]
    assert [float(value.replace("−", "-")) for _, value in near] == pytest.approx(
        [one.cosine for one in known.similar("배우", 10)], abs=0.006
    )
    wanted = known.analogy(["배우", "Film"], ["영화"], 5)
    assert [name for name, _ in told["answers"]] == [one.word for one in wanted]
    assert [float(value.replace("−", "-")) for _, value in told["answers"]] == pytest.approx(
        [one.cosine for one in wanted], abs=0.02
    )
    points = found.projection.points
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    assert told["middle"] == words[int(np.linalg.norm(points - middle, axis=1).argmin())]
    assert told["rows"] == words
    drawn = shown[: shown.index('<script type="application/json"')]  # with the table and the lists
    assert html.escape(HOSTILE[1], quote=False) in drawn
    assert not re.search(r"<(img|a|b|script)\b", drawn)
