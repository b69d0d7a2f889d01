"""Words to ids in compiled code, against str.split and a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.text.word_table import WordTable

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
    expected = [id_ for line in lines for id_ in [*(ids.get(word, 1) for word in line.split()), 3]]
    assert WordTable(ids).encode(lines, 1, 3).tolist() == expected


def test_many_words_and_no_words() -> None:
    ids = {f"w{number}": number for number in range(20_000)}
    lines = [" ".join(ids), "w3 w20000 w19999", ""]
    found = WordTable(ids).encode(lines, -1, -2)
    np.testing.assert_array_equal(found[:20_000], np.arange(20_000))
    assert found[20_000:].tolist() == [-2, 3, -1, 19_999, -2, -2]
    assert WordTable({}).encode(["a b"], 1, 3).tolist() == [1, 1, 3]
