"""Words to ids in compiled code, against str.split and a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.text.units import LAST_SPACE, count_at_once
from malmoi.text.word_table import WordTable, count_units

SPACES = " \t\x0b\x0c\r\x1c\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000"


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=6), unique=True, max_size=30
    ),
    texts=st.lists(st.text(st.sampled_from("ab가나한\U0001f600é" + SPACES), max_size=20), max_size=5),
)
def test_ids_are_those_of_a_dictionary(words: list[str], texts: list[str]) -> None:
    ids = {word: 7 + number for number, word in enumerate(words)} | {"a": 5, "가나": 6}
    lines = [*texts, " ".join(words), *words[:3]]
    encoded = WordTable(ids).encode("\n".join(lines), 1, 3)
    assert encoded.ids.tolist() == [id_ for line in lines for id_ in [*(ids.get(word, 1) for word in line.split()), 3]]
    unknown = [word for line in lines for word in line.split() if word not in ids]
    assert [encoded.unknown[place] for place in encoded.which] == unknown
    assert encoded.unknown == list(dict.fromkeys(unknown))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab가나한\U0001f600é" + SPACES), max_size=20), min_size=1, max_size=5))
def test_sizes_are_those_that_python_finds(lines: list[str]) -> None:
    expected = [[len(line.split()), len(line) + 1, len(line.encode()) + 1] for line in lines]
    assert count_units("\n".join(lines)).tolist() == expected
    assert count_at_once("\n".join(lines)).tolist() == expected


def test_no_white_space_comes_after_the_last_one_that_is_looked_for() -> None:
    assert [point for point in range(LAST_SPACE, 0x110000) if chr(point).isspace()] == [LAST_SPACE]


def test_many_words_and_no_words() -> None:
    ids = {f"w{number}": number for number in range(20_000)}
    text = " ".join(ids) + "\nw3 w20000 w19999\n"
    found = WordTable(ids).encode(text, -1, -2).ids
    np.testing.assert_array_equal(found[:20_000], np.arange(20_000))
    assert found[20_000:].tolist() == [-2, 3, -1, 19_999, -2, -2]
    assert WordTable({}).encode("a b", 1, 3).ids.tolist() == [1, 1, 3]
