"""The page of an explanation shows every step and its numbers, asks for nothing, and lets no text become more than text."""

import base64
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from webpages import HOSTILE, Reader, asks_for_nothing, only_text

import malmoi
from malmoi.explain import page as module
from malmoi.explain.explanation import Explanation, Language, Numbers, Step, Unit
from malmoi.explain.figures import number
from malmoi.explain.page import MOST_UNITS, page_html, write_page
from malmoi.pages.document import beside
from malmoi.pages.formulas import formula
from malmoi.text.sources import TextSource

WORDS = ["나는", " 어제", " 학교에", " 갔다"]
TAGS = set(
    re.findall(
        r"\w+",
        """html head meta title style body header p h1 h2 h3 h4 h5 dl div dt dd main nav ul li a noscript section ol span b
        i figure figcaption table thead tbody tr th td button small details summary mark u footer script code canvas output
        input label
        var sub sup br""",
    )
)


def units(words: list[str]) -> list[Unit]:
    found, end = [], 0
    for place, word in enumerate(words):
        found.append(Unit(word, end, end + len(word), 1.0 + place))
        end += len(word)
    return found


def lstm(
    *,
    language: Language = "ko",
    words: list[str] | None = None,
    hidden: int = 21,
    vocab: int = 53,
    layers: int = 1,
    bands: int = 3,
) -> Explanation:
    """What an LSTM's explainer makes: bands, vectors, a softmax over the vocabulary, a training step, a mixture."""
    rng = np.random.default_rng(7)
    words = words or WORDS
    tokens = [*words, *(f"단어{i}" for i in range(vocab - len(words)))]
    times = [words[i % len(words)] for i in range(bands)]
    probs = rng.dirichlet(np.full(vocab, 0.1))
    error = probs - np.eye(vocab)[len(words) - 1]

    def band(kind: str) -> NDArray[np.float64]:
        return rng.random((bands, hidden)) if kind == "gate" else rng.normal(size=(bands, hidden))

    steps = [
        Step(
            "ids",
            "글자에서 번호로",
            "w_t → id_t",
            "(4,)",
            "번호",
            (Numbers("id", np.arange(len(words)), ("time",), {0: words}, "plain"),),
        ),
        Step(
            "embedding",
            "E의 한 행",
            "x_t = E[id_t]",
            f"(1, {hidden})",
            "한 행",
            (Numbers("x_t", rng.normal(size=hidden), ("unit",)),),
        ),
    ]
    for layer in range(layers):
        gates = tuple(
            Numbers(
                f"{name}_1 … {name}_t", band(kind), ("time", "unit"), {0: times}, "gate" if kind == "gate" else "signed"
            )
            for name, kind in (("i", "gate"), ("f", "gate"), ("g", "signed"), ("o", "gate"))
        )
        steps.append(
            Step(f"gates {layer + 1}", "게이트", "i = σ(z_i);  f = σ(z_f)", f"4 × (1, {hidden})", "열림", gates)
        )
    steps += [
        Step(
            "softmax",
            "확률",
            "P = softmax(s)",
            f"({vocab},)",
            "확률",
            (Numbers("P", probs, ("token",), {0: tokens}, "probability"),),
        ),
        Step(
            "error",
            "오차",
            "∂L/∂s = P − y",
            "",
            "오차",
            (Numbers("P − y", error, ("token",), {0: tokens}),),
            part="backward",
        ),
        Step(
            "shares",
            "몫",
            "P = λ_1 P_1 + λ_2 P_2",
            "",
            "몫",
            (Numbers("λ", np.array([0.25, 0.75]), ("part",), {0: ["a", "b"]}),),
            "mixture",
        ),
        Step("cost", "값", "−ln P", "", "값", (Numbers("−ln P", np.array(2.5)),)),
    ]
    return Explanation(
        text="".join(words),
        family="lstm",
        run="runs/nsmc",
        language=language,
        place=len(words) - 1,
        target=words[-1],
        probability=0.08239,
        steps=tuple(steps),
        surprisals={"token": units(words), "word": units(words)},
        agreement={"PyTorch": 3.1e-6, "NumPy": 2e-7},
        likeliest=[("왔다", 0.3), (words[-1], 0.08239), ("잤다", 0.01)],
        notes=["마지막 `64`스텝"],
    )


@pytest.fixture(scope="module")
def page() -> Reader:
    return Reader(page_html(lstm()))


def data_of(page: Reader) -> dict[str, list[dict[str, object]]]:
    return dict(json.loads(page.scripts[0]))


def test_every_step_stands_there_in_order_with_formula_shapes_and_sentence(page: Reader) -> None:
    steps = [a for tag, a in page.tags if tag == "li" and a.get("class") == "step"]
    assert [a["id"] for a in steps] == [f"step-{n}" for n in range(1, 8)]
    order = [
        page.text.index(title) for title in ("글, 그리고", "설명하는 토큰", "순방향", "역방향", "섞기", "정말 그럴까요")
    ]
    assert order == sorted(order)
    assert "4 × (1, 21)" in page.text
    assert "열림" in page.text
    canvases = [a for tag, a in page.tags if tag == "canvas"]
    assert len(canvases) == len(data_of(page)["maps"]) == 5  # one vector of 21 units and four bands
    assert "21" in (canvases[0]["aria-label"] or "")


def test_the_explained_token_is_framed_and_its_cost_told(page: Reader) -> None:
    here = [a for tag, a in page.tags if tag == "mark" and a.get("class") == "here"]
    assert len(here) == 2  # once in each kind of unit
    assert all(a["aria-current"] == "true" for a in here)
    assert "0.08239" in page.text
    assert f"{-math.log(0.08239):.4g}내트" in page.text
    assert f"{-math.log2(0.08239):.4g}비트" in page.text
    assert "2위" in page.text
    assert "1 : 12" in page.text


def test_heat_maps_hold_the_numbers_themselves() -> None:
    found = lstm()
    vector, gate, _, candidate, _ = data_of(Reader(page_html(found)))["maps"]
    wanted = found.steps[1].numbers[0].values
    got = np.frombuffer(base64.b64decode(str(vector["values"])), "<f4")
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert vector["wraps"] is True
    levels = np.frombuffer(base64.b64decode(str(gate["values"])), "<u2") / 65535
    np.testing.assert_allclose(levels, found.steps[2].numbers[0].values.reshape(-1), atol=1e-5)
    assert (gate["low"], gate["high"], gate["shape"]) == (0.0, 1.0, [3, 21])
    assert gate["labels"] == [["나는", " 어제", " 학교에"], None]
    assert candidate["low"] == -float(str(candidate["high"]))


def test_hostile_texts_stay_text() -> None:
    hostile = lstm(words=HOSTILE)
    evil = "<script>alert(9)</script>"
    steps = tuple(
        replace(step, name=evil, title=evil, formula=f"{step.formula} {evil}", shapes=evil, sentence=evil, part=evil)
        for step in hostile.steps
    )
    arrays = (
        Numbers(evil, np.zeros((2, 3)), (evil, evil), {0: HOSTILE[:2], 1: HOSTILE[:3]}),
        Numbers(evil, np.zeros((2, 3, 40)), (evil, evil), {2: HOSTILE * 10}),
    )
    steps += (Step("more", evil, evil, evil, evil, arrays),)
    found = replace(
        hostile,
        steps=steps,
        notes=[evil],
        agreement={evil: 0.0},
        run=evil,
        family=evil,
        surprisals={evil: units(HOSTILE)},
    )
    page = Reader(page_html(found))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert page.stack == []
    assert len(page.scripts) == 2  # data and ours
    assert not re.search(r"[<>]", page.scripts[0])
    assert evil in page.text
    asks_for_nothing(page)


def test_the_page_asks_for_nothing(page: Reader) -> None:
    asks_for_nothing(page)
    only_text(beside(module.__file__, "page.css"), beside(module.__file__, "page.js"))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert "http" not in beside(module.__file__, "page.js")


def test_links_and_scripts_find_what_they_look_for(page: Reader) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"]
    assert len(links) == 7
    assert set(links) <= set(ids)
    js = beside(module.__file__, "page.js")
    for needed in re.findall(r'getElementById\("([a-z]+)"\)', js):
        assert needed in ids
    assert all(a.get("for") in ids for tag, a in page.tags if tag == "label")


def test_it_can_be_used_with_the_keyboard_and_on_a_phone(page: Reader) -> None:
    (viewport,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("name") == "viewport"]
    assert viewport == "width=device-width, initial-scale=1"
    js, css = beside(module.__file__, "page.js"), beside(module.__file__, "page.css")
    for key in ("j:", "k:", "ArrowRight", "ArrowLeft"):
        assert key in js
    assert all(a["tabindex"] == "-1" and a["aria-labelledby"] for _, a in page.tags if a.get("class") == "step")
    assert all(a["tabindex"] == "0" and a["aria-label"] for tag, a in page.tags if tag == "canvas")
    assert all(a["tabindex"] == "0" and a["aria-label"] for _, a in page.tags if a.get("class") == "scroll")
    assert [a["aria-label"] for tag, a in page.tags if tag == "button"] == ["이전 단계", "다음 단계"]
    for rule in ("@media (max-width: 40rem)", "@media print", "prefers-color-scheme: dark"):
        assert rule in css


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_speaks_the_language_of_the_explanation(language: Language) -> None:
    page = Reader(page_html(lstm(language=language)))
    assert [a["lang"] for tag, a in page.tags if tag == "html"] == [language]
    told = {"en": "The journey, step by step", "ko": "한 단계씩 가는 길"}
    assert told[language] in page.text
    assert told["ko" if language == "en" else "en"] not in page.text


def test_a_large_model_gives_a_page_below_three_megabytes() -> None:
    found = lstm(hidden=650, vocab=10_000, layers=2, bands=64)
    rng = np.random.default_rng(1)
    weights = Step("weights", "W", "W", "", "", (Numbers("Wx", rng.normal(size=(650, 2600)), ("row", "unit")),) * 6)
    html = page_html(
        replace(
            found, steps=(*found.steps, weights), text="가" * 100_000, surprisals={"token": units(["가"] * 100_000)}
        )
    )
    assert len(html.encode()) < 3_000_000
    page = Reader(html)
    marks = [a for tag, a in page.tags if tag == "mark"]
    assert len(marks) == MOST_UNITS
    band = data_of(page)["maps"][1]
    assert band["shape"] == [64, 650]  # whole
    big = data_of(page)["maps"][-1]
    assert big["places"] != [None, None]
    drawn = len(base64.b64decode(str(big["values"]))) // 4
    assert f"650 × 2,600 가운데 {drawn:,}개만" in page.text


def test_the_explained_token_and_the_largest_stay_when_a_vocabulary_is_cut() -> None:
    values = np.zeros(5000)
    values[[4321, 17, 99]] = [-1.0, 0.5, 0.25]
    labels = [f"t{i}" for i in range(5000)]
    step = Step("s", "s", "s", "", "", (Numbers("P − y", values, ("token",), {0: labels}),))
    page = Reader(page_html(replace(lstm(), steps=(step,), target="t2500")))
    for name in ("t4321", "t17", "t99", "t2500"):
        assert name in page.text
    assert "나머지 4,98" in page.text


@pytest.mark.parametrize(
    ("values", "axes"),
    [
        (np.array([[1.0, np.nan], [-np.inf, 2.0]]), ("row", "unit")),
        (np.full((5, 40), np.nan), ("time", "unit")),
        (np.array([[[np.inf] * 30] * 2]), ("head", "time", "unit")),
        (np.zeros((0, 4)), ()),
        (np.zeros(0), ()),
        (np.arange(24.0).reshape(1, 2, 3, 4), ("layer", "head", "time", "token")),
        (np.array(7), ()),
        (np.array([3]), ("order",)),
        (np.random.default_rng(0).normal(size=(3, 2, 30)), ("time", "gate", "unit")),
        (np.ones((90, 90), np.float32), ()),
    ],
)
def test_arrays_of_any_shape_can_be_drawn(values: NDArray[np.float64], axes: tuple[str, ...]) -> None:
    steps = tuple(
        Step("s", "s", "s", "", "", (Numbers("A", values, axes, {}, kind),))
        for kind in ("plain", "probability", "signed", "gate")
    )
    page = Reader(page_html(replace(lstm(), steps=steps)))
    assert page.stack == []
    for drawn in data_of(page)["maps"]:
        rows, columns = drawn["shape"]  # type: ignore[misc]
        size = 2 if drawn["kind"] == "gate" else 4
        assert len(base64.b64decode(str(drawn["values"]))) == rows * columns * (4 if drawn["fine"] else size)


def test_an_explanation_with_nothing_in_it_is_still_a_page(tmp_path: Path) -> None:
    empty = replace(
        lstm(),
        text="",
        place=0,
        target="⏎",
        probability=0.0,
        steps=(),
        surprisals={"token": []},
        agreement={},
        likeliest=[],
        notes=[],
    )
    write_page(empty, tmp_path / "new" / "page.html")
    page = Reader((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    assert "∞" in page.text
    assert page.stack == []
    assert "글의 첫머리" in page.text


def test_what_may_follow_the_text_is_marked_nowhere() -> None:
    page = Reader(page_html(replace(lstm(), place=len(WORDS))))
    assert not [a for tag, a in page.tags if tag == "mark" and "class" in a]
    assert "나는 어제 학교에 갔다” 다음에" in page.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.082391, "0.08239"),
        (-2.5, "−2.5"),
        (12345.6, "12,346"),
        (3.14e-6, "3.140·10⁻⁶"),
        (0.999998, "1.000"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "NaN"),
        (1e300, "1.000·10³⁰⁰"),
    ],
)
def test_numbers_have_four_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("plain", "html"),
    [
        ("x_t", '<span class="eq"><var>x</var><sub><var>t</var></sub></span>'),
        ("Wx", '<span class="eq"><var>W</var><sub><var>x</var></sub></span>'),
        ("h⁽²⁾", '<span class="eq"><var>h</var><sup>(2)</sup></span>'),
        ("tanh(z)", '<span class="eq"><span class="word">tanh</span>(<var>z</var>)</span>'),
        ("a; b", '<span class="eq"><var>a</var></span> <span class="eq"><var>b</var></span>'),
        ("P(w; W)", '<span class="eq"><var>P</var>(<var>w</var>; <var>W</var>)</span>'),
        (
            "∂L/∂W",
            '<span class="eq"><span class="frac"><span>∂<var>L</var></span><span>∂<var>W</var></span></span></span>',
        ),
        ("a < b", '<span class="eq"><var>a</var> <span class="sign">&lt;</span> <var>b</var></span>'),
        ("", ""),
    ],
)
def test_formulas_are_set_as_mathematics(plain: str, html: str) -> None:
    assert formula(plain) == html


@pytest.mark.parametrize(
    "plain", ["a_", "_", "^{", "x_{a_{b}}", "∂∂L/∂", "가_나^다 / 라", "a" * 20_000, "((((", "]])", "½ × ²"]
)
def test_a_formula_of_any_kind_keeps_its_letters(plain: str) -> None:
    shown = re.sub(r"<[^>]*>", "", formula(plain))
    assert sorted(filter(str.isalpha, shown)) == sorted(filter(str.isalpha, plain))


def test_control_characters_of_the_text_are_written_out(tmp_path: Path) -> None:
    run = malmoi.train(
        "ngram", TextSource.from_texts(["a\x1b[b\x07c"] * 30), out=tmp_path / "run", tokenizer="char", order=2
    )
    page = page_html(run.explain("a\x1b[b\x07"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", page)
    assert "\\x1b" in page
