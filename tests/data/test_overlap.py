"""What test and training text share, counted by hand and by a slow loop."""

import random

import pytest

from malmoi.data import overlap
from malmoi.data.overlap import measure_overlap
from malmoi.text.sources import TextSource


def texts(*lines: str) -> TextSource:
    return TextSource.from_texts(lines)


# The test text has four lines with text, of 20 + 3 + 3 + 9 = 35 bytes; "a b" stands in it twice and in the training text, too:
# 2 of 4 lines, 6 of 35 bytes. Its words are a b c d e f g h i j a b a b x y: 9 runs of eight. Training has a b c d e f g h and
# b c d e f g h i, which are 2 of them; line ends do not matter.
def test_overlap_worked_by_hand() -> None:
    test = texts("a b c d e f g h i  j", "", "a b", "a b", "x y      ")
    train = texts("a b", "q a b c d e", "f g h i q", "q a b c d e f", "g h q", "x x")
    found, counts = measure_overlap(train, test)
    assert found.lines == pytest.approx(2 / 4)
    assert found.in_lines == pytest.approx(6 / 35)
    assert found.runs == pytest.approx(2 / 9)
    assert counts["a"] == 3
    assert counts["x"] == 2
    assert counts["j"] == 0
    assert "q" not in counts


@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_a_slow_loop_agrees_wherever_chunks_end(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(overlap, "CHUNK", chunk)
    rng = random.Random(3)
    train, test = ([" ".join(rng.choices("ab", k=rng.randrange(6))) for _ in range(60)] for _ in range(2))
    found, counts = measure_overlap(texts(*train), texts(*test))
    words, runs = [], []
    for lines in (train, test):
        words.append(" ".join(lines).split())
        runs.append([tuple(words[-1][i : i + 8]) for i in range(len(words[-1]) - 7)])
    assert found.runs == pytest.approx(sum(run in runs[0] for run in runs[1]) / len(runs[1]))
    filled = [line for line in test if line]
    assert found.lines == pytest.approx(sum(line in train for line in filled) / len(filled))
    assert counts == {word: words[0].count(word) for word in words[1]}


def test_a_text_shorter_than_a_run_has_none() -> None:
    found, _ = measure_overlap(texts("a b"), texts("a b c"))
    assert found.runs is None
    assert not found.is_high


@pytest.mark.parametrize(
    ("train", "is_high"),
    [
        (["한 줄", "긴 줄 하나 더"], False),  # short lines are alike by chance
        (["한 줄", "길고 긴 문장이 여기에 그대로 나온다"], True),
        (["그런데 한 줄 길고 긴 문장이 여기에 그대로 나온다"], True),
    ],
)
def test_much_of_a_text_must_be_known_for_a_warning(train: list[str], is_high: bool) -> None:
    test = ["한 줄", "길고 긴 문장이 여기에 그대로 나온다", "전혀 다른 말도"]
    found, _ = measure_overlap(texts(*train), texts(*test))
    assert found.is_high == is_high
