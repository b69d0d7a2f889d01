"""Joined words against a plain implementation in Python, against counts by hand, and their file against damage."""

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from streams import Ids

from malmoi.errors import ConfigError, DataError, RunError
from malmoi.models import phrases as phrases_module
from malmoi.models.phrases import MOST_PASSES, Joined, Phrases, PhraseSettings, find_phrases
from malmoi.store import Store, TokenStream, open_store
from malmoi.text.vocabulary import SpecialIds

V, UNK, EOS = 11, 1, 3
SPECIAL_IDS = SpecialIds(0, 1, 2, 3)
Unit = tuple[int, ...]  # the ids of the words in it


def slow_phrases(ids: list[int], asked: PhraseSettings) -> tuple[list[dict[tuple[Unit, Unit], float]], list[Unit]]:
    """The pairs of each pass with their scores, and the joined text, with dictionaries of tuples."""
    text: list[Unit] = [(token_id,) for token_id in ids]
    passes = []
    for _ in range(asked.passes):
        counts = Counter(text)
        is_word = {unit: unit[0] > EOS and counts[unit] >= asked.min_count for unit in counts}
        pairs = Counter((a, b) for a, b in pairwise(text) if is_word[a] and is_word[b])
        n_words = sum(times for unit, times in counts.items() if unit[0] > EOS or unit == (UNK,))
        good = {}
        for (a, b), times in pairs.items():
            if times < asked.min_count:
                continue
            if asked.scoring == "default":
                score = (times - asked.min_count) * n_words / (counts[a] * counts[b])
            else:
                score = math.log(times * n_words / (counts[a] * counts[b])) / -math.log(times / n_words)
            if score > asked.threshold:
                good[a, b] = score
        if not good:
            break
        passes.append(good)
        joined: list[Unit] = []
        i = 0
        while i < len(text):
            if i + 1 < len(text) and (text[i], text[i + 1]) in good:
                joined.append(text[i] + text[i + 1])
                i += 2
            else:
                joined.append(text[i])
                i += 1
        text = joined
    return passes, text


def units_of(found: Phrases) -> list[Unit]:
    units: list[Unit] = [(token_id,) for token_id in range(found.vocab_size)]
    for left, right in found.pairs.tolist():
        units.append(units[left] + units[right])
    return units


@pytest.mark.parametrize("block", [1, 3, 1 << 22])
@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.sampled_from([UNK, EOS, 4, 5, 6, 7]), max_size=60),
    min_count=st.integers(1, 3),
    scoring=st.sampled_from(["default", "npmi"]),
    passes=st.integers(1, 3),
    memory=st.sampled_from([16, 100, 1 << 20]),
)
def test_pairs_scores_and_text_are_those_of_a_plain_program(
    ids: list[int], min_count: int, scoring: str, passes: int, memory: int, block: int
) -> None:
    threshold = 0.3 if scoring == "npmi" else 0.9
    asked = PhraseSettings.parse({"min_count": min_count, "threshold": threshold, "scoring": scoring, "passes": passes})
    text = Ids(ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrases_module, "READ_AT_ONCE", block)
        found = find_phrases(text, text.counts(V), asked, memory=memory, special_ids=SPECIAL_IDS)
        joined = found.join(text, Store())
        counts = found.counts_after(text)
    wanted, wanted_text = slow_phrases(ids, asked)
    units = units_of(found)
    assert len(found.pass_ends) == len(wanted)
    for first, after, good in zip((0, *found.pass_ends), found.pass_ends, wanted, strict=False):
        pairs = [(units[left], units[right]) for left, right in found.pairs[first:after].tolist()]
        assert len(pairs) == len(good)
        assert set(pairs) == set(good)
        assert_allclose(found.scores[first:after], [good[pair] for pair in pairs], rtol=1e-12)
    assert [units[token_id] for token_id in joined.read(0, len(joined))] == wanted_text
    assert len(set(units)) == len(units)  # no two phrases are the same words
    assert_array_equal(counts, np.bincount(joined.ids, minlength=len(units)))


def test_a_score_worked_by_hand() -> None:
    #      new york has new shops; york is new: 4 5 | 6 4 | 4 5 | 4 5 4 and unk, ten words in all
    text = Ids([4, 5, EOS, 6, 4, EOS, 4, 5, UNK, EOS, 4, 5, EOS, 4, EOS])
    found = find_phrases(text, text.counts(V), PhraseSettings(min_count=1, threshold=1.0), special_ids=SPECIAL_IDS)
    assert found.pairs.tolist() == [[4, 5]]
    assert found.scores.tolist() == [(3 - 1) * 10 / (5 * 3)]
    assert (
        find_phrases(
            text, text.counts(V), PhraseSettings(min_count=1, threshold=20 / 15), special_ids=SPECIAL_IDS
        ).pairs.tolist()
        == []
    )
    mutual = find_phrases(
        text, text.counts(V), PhraseSettings(min_count=3, threshold=0.5, scoring="npmi"), special_ids=SPECIAL_IDS
    )
    assert mutual.scores == pytest.approx([math.log(0.3 / (0.5 * 0.3)) / -math.log(0.3)])
    assert found.join(text, Store()).ids.tolist() == [11, 3, 6, 4, 3, 11, 1, 3, 11, 3, 4, 3]
    assert found.counts_after(text).tolist() == [0, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 3]


def test_passes_make_longer_phrases_and_names() -> None:
    line = [4, 5, 6, 7, EOS]  # the new york times
    text = Ids(line * 9 + [5, EOS, 6, EOS, 8, EOS] * 9)
    asked = PhraseSettings(min_count=2, threshold=1.0, passes=3)
    found = find_phrases(text, text.counts(V), asked, special_ids=SPECIAL_IDS)
    assert found.pass_ends == (3, 4)  # the third pass finds nothing more
    words = ["", "<unk>", "", "", "the", "new", "york", "times", "a", "b", "c"]
    names = found.names(words)
    assert sorted(names) == ["new_york", "the_new", "the_new_york_times", "york_times"]
    joined = found.join(text, Store())
    everything = words + names
    assert [everything[token_id] for token_id in joined.read(0, 2)] == ["the_new_york_times", ""]
    words[9] = "new_york"
    assert sorted(found.names(words))[:1] == ["new_york_"]
    with pytest.raises(DataError, match="3 words were given for phrases of a vocabulary of 11"):
        found.names(["a", "b", "c"])


def test_the_more_frequent_pair_comes_first() -> None:
    text = Ids([4, 5, EOS] * 3 + [6, 7, EOS] * 5 + [8, EOS] * 20)
    found = find_phrases(text, text.counts(V), PhraseSettings(min_count=1, threshold=1.0), special_ids=SPECIAL_IDS)
    assert found.pairs.tolist() == [[6, 7], [4, 5]]


def test_joined_text_may_lie_in_files(tmp_path: Path) -> None:
    text = Ids([4, 5, EOS] * 50 + [6, EOS] * 100)
    found = find_phrases(text, text.counts(V), PhraseSettings(min_count=1, threshold=1.0), special_ids=SPECIAL_IDS)
    in_memory = found.join(text, Store())
    with open_store(True, tmp_path) as store:
        joined, again = found.join(text, store), found.join(Ids([6, EOS]), store)
        assert isinstance(joined, Joined)
        assert isinstance(joined, TokenStream)
        assert joined.ids.dtype == np.uint16
        assert_array_equal(joined.read(0, len(joined)), in_memory.ids)
        joined.release()
        assert_array_equal(joined.read(98, 103), in_memory.ids[98:103])
        assert again.read(0, 2).tolist() == [6, EOS]
        del joined, again
    assert list(tmp_path.iterdir()) == []


def test_phrases_move_with_a_vocabulary_that_grows() -> None:
    found = Phrases(V, np.array([[4, 5], [11, 6]]), np.array([2.0, 3.0]), (1, 2))
    grown = found.moved(20)
    assert grown.pairs.tolist() == [[4, 5], [20, 6]]
    assert grown.join(Ids([4, 5, 6, 12]), Store()).ids.tolist() == [21, 12]


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"threshold=100.0 does not fit scoring='npmi'.*such as 0.5"):
        PhraseSettings(scoring="npmi")
    with pytest.raises(ConfigError, match="threshold=nan does not fit scoring='default'.*such as 100"):
        PhraseSettings(threshold=math.nan)
    with pytest.raises(ConfigError, match="passes=9 does not fit"):
        PhraseSettings.parse({"passes": MOST_PASSES + 1})


def test_counts_and_ids_of_another_text_are_refused() -> None:
    text = Ids([4, 5, EOS] * 9)
    with pytest.raises(DataError, match=r"The counts \(11 ids\) are not those of the text"):
        find_phrases(text, text.counts(V) // 2, PhraseSettings(min_count=1, threshold=1.0), special_ids=SPECIAL_IDS)
    for token_id in (V, -1):
        with pytest.raises(DataError, match=f"the token id {token_id}, and the vocabulary 11 ids"):
            find_phrases(Ids([token_id]), text.counts(V), special_ids=SPECIAL_IDS)


FOUND = Phrases(V, np.array([[4, 5], [6, 7], [11, 6]]), np.array([2.5, 1.0, 3.0]), (2, 3))


def test_the_file_gives_the_phrases_back() -> None:
    again = Phrases.from_json(FOUND.to_json())
    assert (again.vocab_size, again.pass_ends) == (FOUND.vocab_size, FOUND.pass_ends)
    assert_array_equal(again.pairs, FOUND.pairs)
    assert_array_equal(again.scores, FOUND.scores)
    nothing = Phrases(V, np.zeros((0, 2), np.int64), np.zeros(0), ())
    assert Phrases.from_json(nothing.to_json()).join(Ids([4, EOS]), Store()).ids.tolist() == [4, EOS]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"pairs": [[4, 5], [6, 7], [13, 6]]}, "pair 2 is made of ids that no earlier pass has"),
        ({"pairs": [[4, 5], [11, 7], [11, 6]]}, "pair 1 is made of ids"),
        ({"pairs": [[4, -1], [6, 7], [11, 6]]}, "pair 0 is made of ids"),
        ({"pairs": [[4, 5], [4, 5], [11, 6]]}, "a pair is there twice"),
        ({"pairs": [[4, 5], [6, 7], [11]]}, "pair 2 is no pair"),
        ({"pairs": [[4, 5], [6, 7.0], [11, 6]]}, "pair 1 is made of ids"),
        ({"pairs": [[4, 5]]}, "2 passes, 1 pairs and 3 scores"),
        ({"scores": [1, 2, math.inf]}, "a score is no finite number"),
        ({"scores": [1, 2, True]}, "a score is no finite number"),
        ({"pass_ends": [1, 2]}, "its passes do not end at pair 3"),
        ({"pass_ends": [2, 2, 3]}, "its passes do not end"),
        ({"pass_ends": [-1, 3]}, "its passes do not end"),
        ({"pass_ends": list(range(9))}, "9 passes"),
        ({"vocab_size": 10**20}, "another form"),
        ({"vocab_size": True}, "another form"),
        ({"pairs": {}}, "another form"),
        ({"more": 1}, "other keys"),
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, Any], problem: str) -> None:
    content = {**json.loads(FOUND.to_json()), **change}
    with pytest.raises(RunError, match=rf"phrases.json\) are damaged: .*{problem}"):
        Phrases.from_json(json.dumps(content))


@given(st.data())
def test_no_file_brings_down_more_than_the_reading(data: st.DataObject) -> None:
    text = FOUND.to_json()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    text = text[:start] + data.draw(st.text('0123456789[]{},.-eE" ', max_size=5)) + text[stop:]
    try:
        found = Phrases.from_json(text)
    except RunError:
        return
    if found.vocab_size < 1000:
        names = found.names([str(word) for word in range(found.vocab_size)])
        assert len(names) == len(found) == len(set(names))
