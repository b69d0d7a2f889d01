"""The pages about word vectors say what is so: their programs print what stands below them, their arithmetic comes out."""

import contextlib
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import Ids

from malmoi.models.phrases import PhraseSettings, find_phrases
from malmoi.models.word2vec.objectives import LARGEST_SOFTMAX
from malmoi.models.word2vec.options import CHOICES
from malmoi.models.word2vec.training import PROMISES
from malmoi.scratch.word2vec import SimpleCBOW
from malmoi.text.vocabulary import SpecialIds

DOCS = Path(__file__).parents[1] / "docs"
PROGRAM = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)
PROGRAMS = {"one-hot": 4, "word2vec": 7, "negative-sampling": 4, "glove": 3}
LANGUAGES = ("en", "ko")


def text_of(language: str, name: str) -> str:
    return (DOCS / language / f"{name}.md").read_text(encoding="utf-8").replace("−", "-")


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_prints_what_stands_below_it(language: str, name: str) -> None:
    page = (DOCS / language / f"{name}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    found = PROGRAM.findall(page)
    assert len(found) == page.count("```python") == PROGRAMS[name]
    for program, expected in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, names)
        assert out.getvalue() == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_languages_have_the_same_code_and_commands(name: str) -> None:
    english, korean = (text_of(language, name) for language in LANGUAGES)
    for pattern in (r"^from .*|^import .*", r"^malmoi [a-z]+ [a-z0-9]+", r"^#+ ", r"^\| [^|]*`[^|]*\|"):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(re.findall(pattern, korean, re.MULTILINE)), (
            pattern
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guess_by_hand_is_that_of_the_network(language: str) -> None:
    page = text_of(language, "word2vec")
    first, second = (program for program, _ in PROGRAM.findall(page)[:2])
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(first, names)
        network = SimpleCBOW(7, 2, np.random.default_rng(0), np.float64)
        network.params[0][...], network.params[1][...] = names["W_in"], names["W_out"].T
        contexts, target = np.array([[0, 2]]), np.array([1])
        before = network.forward(contexts, target)
        network.backward()
        for weights, gradients in zip(network.params, network.grads, strict=True):
            weights -= 0.5 * gradients
        exec(second, names)
    after = network.forward(contexts, target)
    assert f"{before:.4f}" in page
    assert f"P(say) = {math.exp(-after):.4f}" in page
    assert f"{after:.4f}\n" in page
    np.testing.assert_allclose(names["W_in"], network.params[0])
    np.testing.assert_allclose(names["W_out"], network.params[1].T)
    assert names["words"] == ["you", "say", "goodbye", "and", "i", "hello", "."]


@pytest.mark.parametrize("language", LANGUAGES)
def test_facts_about_the_code(language: str) -> None:
    page = text_of(language, "word2vec")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted((*CHOICES["objective"], *PROMISES))
    assert f"{LARGEST_SOFTMAX:,}" in page
    if language == "en":
        for mode, promise in PROMISES.items():
            assert f"| `{mode}` | {promise} |" in page
    assert re.search(r"\(8·1 \+ 4·2 \+ 2·3 \+ 1·4 \+ 1·4\) / 16 = 1\.875", page)
    reach = [sum(r >= d for r in range(1, 6)) / 5 for d in range(2, 6)]
    assert re.search(r"0\.8, 0\.6, 0\.4,? ?0\.2", page)
    assert reach == [0.8, 0.6, 0.4, 0.2]
    assert f"√0.02 + 0.02 = {math.sqrt(0.02) + 0.02:.4f}" in page


def phrase_text() -> np.ndarray:
    """10,000 words: 50 times new (4), 25 york (5), 20 of them together; 200 of (6), 600 the (7), 60 of them together."""
    parts = [[4, 5]] * 20 + [[4]] * 30 + [[5]] * 5 + [[6, 7]] * 60 + [[6]] * 140 + [[7]] * 540
    rng, ids = np.random.default_rng(0), list[int]()
    fillers = iter(np.tile(np.arange(8, 4008), 3))
    for i in rng.permutation(len(parts)):
        ids += [*parts[i], int(next(fillers))]
    ids += [int(next(fillers)) for _ in range(10_000 - len(ids))]
    return np.array(ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_phrases_get_these_scores(language: str) -> None:
    pattern = r"\((\d+) - 5\) · ([\d,]+) / \((\d+) · (\d+)\) = ([\d.]+)"
    worked = re.findall(pattern, re.sub(r"\s+", " ", text_of(language, "word2vec")))
    assert [row[-1].rstrip(".") for row in worked] == ["120", "4.58"]
    for pair, total, first, second, score in worked:
        value = (number(pair) - 5) * number(total) / (number(first) * number(second))
        assert value == pytest.approx(number(score.rstrip(".")), abs=0.005)
    ids = phrase_text()
    found = find_phrases(Ids(ids), np.bincount(ids), PhraseSettings(), special_ids=SpecialIds(0, 1, 2, 3))
    assert found.pairs.tolist() == [[4, 5]]
    assert found.scores.tolist() == [120.0]
    assert re.search(rf"(threshold|문턱값) {PhraseSettings().threshold:g}(?!\d)", text_of(language, "word2vec"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_negative_sampling(language: str) -> None:
    page = text_of(language, "negative-sampling")
    rows = re.findall(r"^\| \w+ \| ([\d,]+) \| ([\d.]+) % \| ([\d,]+) \| ([\d.]+) % \|$", page, re.MULTILINE)
    counts, powers = ([number(row[i]) for row in rows] for i in (0, 2))
    assert counts == [10_000, 625, 16, 1]
    np.testing.assert_allclose(powers, np.array(counts) ** 0.75)
    for i, values in ((1, counts), (3, powers)):
        assert [row[i] for row in rows] == [f"{100 * value / sum(values):.2f}" for value in values]
    assert f"{sum(powers):,.0f}" in page
    answer = 1 / (1 + math.exp(-2))
    assert (
        f"| say | 1·2 + 0·0 = 2 | {answer:.4f} | -ln {answer:.4f} = {-math.log(answer):.4f} | {answer - 1:.4f} |"
        in page
    )
    assert f"0.1269 + 0.6931 = {-math.log(answer) + math.log(2):.4f}" in page
    assert f"= ({1 + 0.1 * 2 * (1 - answer):.4f}, -0.0500)" in page
    assert f"= ({2 + 0.1 * (1 - answer):.4f}, 0)" in page
    assert "5 · 20 · 10 / 10,000 = 0.1" in re.sub(r"\s+", " ", page)
    assert "100 · 100,000 = 10,000,000" in re.sub(r"\s+", " ", page)
    assert f"6 · 100 = {6 * 100}" in re.sub(r"\s+", " ", page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_glove(language: str) -> None:
    page = text_of(language, "glove")
    rows = re.findall(r"^\| \w+ \| (\d+) \| (\d+) \| ([\d.]+) \| ([-\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for ice, steam, ratio, logarithm in rows:
        assert float(ice) / float(steam) == pytest.approx(float(ratio))
        assert math.log(float(ratio)) == pytest.approx(float(logarithm), abs=0.005)
    error, weight = 0.5 - math.log(10), 0.1**0.75
    assert f"0.5 - {math.log(10):.4f} = {error:.4f}" in page
    assert f"(10 / 100)^0.75 = {weight:.4f}" in page
    assert f"{weight:.4f} · {error**2:.4f} = {weight * error**2:.4f}" in page
    step = 0.05 * weight * error
    assert f"0.05 · {weight:.4f} · ({error:.4f}) = {step:.5f}" in re.sub(r"\s+", " ", page)
    assert f"({0.5 - step:.4f}, {-step:.4f})" in page
    assert f"({1 - 0.5 * step:.4f}, 1.0000)" in page
