"""Words pay for their white space: the code is one from which the line comes back, and noise costs what it holds."""

import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import malmoi
from malmoi.errors import DataError, RunError
from malmoi.text import layout as layouts
from malmoi.text.layout import (
    AFTER,
    ALONE,
    BEFORE,
    BETWEEN,
    COPY,
    LEAVE_OUT,
    PLACES,
    GapCounts,
    Joining,
    WhiteSpace,
    edits,
    from_json,
    gaps_of,
)
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer

SPACES = st.text(st.sampled_from(" \t\u3000\x0b\u00a0\x1c"), max_size=4)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=4).filter(
    lambda word: word.split() == [word]
)
LINES = st.lists(st.tuples(SPACES, WORDS), max_size=5).flatmap(
    lambda pairs: SPACES.map(lambda end: "".join(gap + word for gap, word in pairs) + end)
)
PLAIN = ["나는 학교에 간다", "the boat came back", "", "one"] * 50


def n_words(lines: list[str]) -> np.ndarray:
    return np.array([len(line.split()) for line in lines], np.int64)


def counted(lines: list[str]) -> GapCounts:
    counts = GapCounts()
    counts.add(lines, int(n_words(lines).sum()))
    return counts


def learnt(lines: list[str]) -> WhiteSpace:
    return WhiteSpace.of_counts(counted(lines))


@given(st.lists(LINES, min_size=1, max_size=6))
def test_gaps_and_words_make_the_line_and_both_ways_of_counting_agree(lines: list[str]) -> None:
    for line in lines:
        found, words = list(gaps_of(line)), line.split()
        pieces = itertools.zip_longest([gap for _, gap in found], words, fillvalue="")
        assert "".join(itertools.chain.from_iterable(pieces)) == line
        assert len(found) == len(words) + 1
    slow: dict[str, Counter[str]] = {place: Counter() for place in PLACES}
    for line in lines:
        for place, gap in gaps_of(line):
            slow[place][gap] += 1
    assert counted(lines).by_place == slow


@given(st.lists(LINES, min_size=1, max_size=6), st.lists(LINES, min_size=1, max_size=6))
def test_many_lines_cost_what_each_gap_costs(training: list[str], lines: list[str]) -> None:
    model = learnt(training)
    slow = [sum(model.gap_nats(gap, place) for place, gap in gaps_of(line)) for line in lines]
    np.testing.assert_allclose(model.nats(lines, n_words(lines)), slow, atol=1e-9)
    np.testing.assert_allclose([model.word_nats(line).sum() for line in lines], slow, atol=1e-9)
    assert all(len(model.word_nats(line)) == len(line.split()) + 1 for line in lines)
    assert from_json(model.to_json()).to_json() == model.to_json()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("training", [PLAIN, ["  a\tb  c ", "\ta b", " "], ["x"]])
def test_it_is_a_distribution(place: str, training: list[str]) -> None:
    model = learnt(training)
    gaps = ["".join(found) for n in range(9) for found in itertools.product(" \t", repeat=n)]
    total = sum(math.exp(-model.gap_nats(gap, place)) for gap in gaps if gap or place != BETWEEN)
    assert total <= 1 + 1e-9
    assert math.exp(-model.gap_nats("\u3000\x1c" * 300, place)) >= 0  # is finite however long it is


def test_by_hand() -> None:
    """Of three gaps two are spaces: (2 + 3 P_new) / (3 + 2). The tab was not kept: 3 P_new / 5."""
    counts = GapCounts()
    counts.by_place[BETWEEN].update({" ": 2, "\t": 1})
    model = WhiteSpace.of_counts(counts)
    assert model.counts[BETWEEN] == {" ": 2}
    new = {gap: math.exp(-model._spelling.nats(gap)) for gap in " \t"}
    assert math.exp(-model.gap_nats(" ", BETWEEN)) == pytest.approx((2 + 3 * new[" "]) / 5)
    assert math.exp(-model.gap_nats("\t", BETWEEN)) == pytest.approx(3 * new["\t"] / 5)
    assert math.exp(-model.gap_nats("", BEFORE)) == pytest.approx(0.5)  # nothing was seen there
    assert math.exp(-model.gap_nats(" ", AFTER)) == pytest.approx(0.5 * new[" "])


def test_single_spaces_are_nearly_free_and_others_are_not() -> None:
    model = learnt(PLAIN * 20)
    lines = ["나는 집에 간다", "", "a b c d e f g"]
    assert model.nats(lines, n_words(lines)).max() < 0.02
    odd = ["나는  집에 간다", " ", "a b c\td e f g"]
    assert (model.nats(odd, n_words(odd)) > 5).all()
    assert WhiteSpace.plain().nats(lines, n_words(lines)).max() < 0.02


def noisy(n_lines: int, seed: int, spaces: str = " \t", length: int = 16) -> list[str]:
    """Lines of two words, `length` coin flips between them."""
    rng = random.Random(seed)
    return ["가" + "".join(rng.choice(spaces) for _ in range(length)) + "나" for _ in range(n_lines)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("knows_the_noise", [True, False])
def test_noise_in_white_space_costs_at_least_its_entropy(kind: str, knows_the_noise: bool, tmp_path: Path) -> None:
    """Whatever the tokens are: 16 coin flips in a line are 16 bits."""
    if kind == "morpheme":
        pytest.importorskip("kiwipiepy")
    training = noisy(400, 1) if knows_the_noise else ["가 나", "나 가"] * 200
    texts = {"text": malmoi.TextSource.from_texts(training), "valid": malmoi.TextSource.from_texts(noisy(100, 2))}
    size = {} if kind in ("word", "morpheme") else {"vocab_size": 400}
    run = malmoi.train("ngram", texts["text"], valid=texts["valid"], out=tmp_path / kind, tokenizer=kind, **size)
    found = run.evaluate(malmoi.TextSource.from_texts(noisy(100, 3)))
    assert found.bits_per_byte * found.bytes >= 16 * 100
    assert (found.layout_nats > 0) == (kind in ("word", "morpheme"))


@given(st.text(st.sampled_from("가나 ㄴ다.x"), max_size=12), st.text(st.sampled_from("가나 ㄴ다.x"), max_size=12))
def test_edits_make_the_line_of_the_joined_text(joined: str, line: str) -> None:
    found = list(edits(joined, line))
    assert "".join(character for _, _, character in found) == line
    assert found[-1] == ("end", COPY, "")
    assert sum(edit in (COPY, LEAVE_OUT) for _, edit, _ in found) == len(joined) + 1
    model = Joining.fit([line], lambda lines: [joined])
    assert len(model.word_nats(line)) == len(line.split()) + 1
    assert model.word_nats(line).sum() == pytest.approx(model.nats([line], n_words([line]))[0])


def test_morphemes_pay_for_what_joining_them_gets_wrong() -> None:
    pytest.importorskip("kiwipiepy")
    tokenizer = train_tokenizer("morpheme", ["나는 학교에 간다", "밥을 먹었다", "집에 가고 싶다"] * 10)
    right, wrong = "나는 학교에 간다", "나는학교에  간다"
    nats = tokenizer.layout_nats([right, wrong], n_words([right, wrong]))
    assert nats[0] < 1 < 4 < nats[1]
    assert from_json(tokenizer.layout.to_json()).to_json() == tokenizer.layout.to_json()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["word", "morpheme"])
def test_a_tokenizer_keeps_its_layout(kind: str, tmp_path: Path) -> None:
    if kind == "morpheme":
        pytest.importorskip("kiwipiepy")
    lines = ["나는  학교에\t간다 ", "밥을 먹었다"] * 9
    tokenizer = train_tokenizer(kind, lines)
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    np.testing.assert_array_equal(
        loaded.layout_nats(lines, n_words(lines)), tokenizer.layout_nats(lines, n_words(lines))
    )
    assert loaded.fingerprint() == tokenizer.fingerprint()
    (tmp_path / "layout.json").unlink()  # as of a run of an earlier version
    earlier = Tokenizer.load(tmp_path)
    assert earlier.fingerprint() != tokenizer.fingerprint()
    assert (earlier.layout_nats(lines, n_words(lines)) > 0).all()
    earlier.save(tmp_path / "again")
    assert not (tmp_path / "again" / "layout.json").exists()  # it stays what it was


def damages() -> dict[str, Any]:
    content = json.loads(learnt(PLAIN).to_json())
    joining = json.loads(Joining.fit(["가 나"], lambda lines: ["가나"]).to_json())
    return {
        "[]": [],
        "version": content | {"version": 2},
        "kind": content | {"kind": "tabs"},
        "place": content | {"counts": {}},
        "no gap": content | {"counts": content["counts"] | {BETWEEN: {"x": 1}}},
        "empty": content | {"counts": content["counts"] | {BETWEEN: {"": 1}}},
        "sum": content | {"totals": content["totals"] | {ALONE: [0, 0]}},
        "negative": content | {"totals": content["totals"] | {ALONE: [-1, 0]}},
        "fraction": content | {"totals": content["totals"] | {ALONE: [1.5, 1]}},
        "three": content | {"totals": content["totals"] | {ALONE: [1, 1, 1]}},
        "spelling": content | {"new": {}},
        "edit": joining | {"counts": joining["counts"] | {"end": {"leave out": 1}}},
        "edits": joining | {"counts": {}},
        "many": joining | {"counts": joining["counts"] | {"end": {"copy": -1}}},
    }


@pytest.mark.parametrize("content", damages().values(), ids=damages())
def test_a_damaged_layout_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The model of white space cannot be used.*train its tokenizer again"):
        from_json(json.dumps(content))
    train_tokenizer("word", PLAIN).save(tmp_path)
    (tmp_path / "layout.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=r"layout\.json: The model of white space cannot be used"):
        Tokenizer.load(tmp_path).layout_nats(["a"], np.array([1]))


def test_of_very_many_gaps_the_frequent_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "MOST_GAPS", 3)
    rng = random.Random(0)
    gaps = [" "] * 50 + ["\t"] * 20 + ["  "] * 10 + ["   "] * 5 + ["".join(rng.choices(" \t", k=9)) for _ in range(40)]
    model = learnt([f"a{gap}b" for gap in gaps])
    assert model.counts[BETWEEN] == {" ": 50, "\t": 20, "  ": 10}
    assert model.totals[BETWEEN][0] == len(gaps)


def test_a_text_of_nothing_but_new_gaps_is_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "MAX_DISTINCT", 50)
    lines, counts = [*noisy(400, 1), *["a b", "a\tb"] * 60], GapCounts()
    for begin in range(0, len(lines), 40):
        counts.add(lines[begin : begin + 40], 80)
        assert max(map(len, counts.by_place.values())) <= 50
    assert counts.totals(BETWEEN) == (520, 402)
    model = WhiteSpace.of_counts(counts)
    assert model.counts[BETWEEN][" "] == 60
    assert from_json(model.to_json()).to_json() == model.to_json()
