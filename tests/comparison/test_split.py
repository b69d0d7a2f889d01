"""Nothing is lost, nothing is in two parts, and the same text is always cut alike."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malmoi.comparison import split
from malmoi.comparison.split import PARTS, cut, load
from malmoi.data.cutting import MOST_HELD_OUT, Blocks, choose
from malmoi.errors import DataError, RunError
from malmoi.text.sources import TextSource

LINES = [f"{number} 번째 줄" for number in range(1000)]
DOCUMENTS = [f"문서 {number}\n둘째 줄\n" * (1 + number % 3) for number in range(60)]


def lines_of(parts: split.Parts, name: str) -> list[str]:
    return [line.text for line in parts.source(name).lines()]


def test_every_line_is_in_one_part_and_stays_in_order(tmp_path: Path) -> None:
    parts = cut(TextSource.from_texts(LINES), tmp_path / "texts")
    found = {name: lines_of(parts, name) for name in PARTS}
    assert sorted(itertools.chain(*found.values()), key=LINES.index) == LINES
    for lines in found.values():
        assert lines == sorted(lines, key=LINES.index)
    assert [parts.sizes[name].lines for name in PARTS] == [len(found[name]) for name in PARTS]
    assert [parts.sizes[name].bytes for name in PARTS] == [len("\n".join(found[name]).encode()) + 1 for name in PARTS]


def test_held_out_parts_are_about_a_twentieth_each_from_all_over_the_text(tmp_path: Path) -> None:
    parts = cut(TextSource.from_texts(LINES), tmp_path / "texts")
    for name in ("valid", "test"):
        numbers = np.array([LINES.index(line) for line in lines_of(parts, name)])
        assert 0.04 <= len(numbers) / len(LINES) <= 0.06
        assert set(numbers // 200) == set(range(5))  # every fifth of the text gives something
    test = [LINES.index(line) for line in lines_of(parts, "test")]
    breaks = [i for i in range(len(test)) if i == 0 or test[i] != test[i - 1] + 1]
    assert set(breaks) <= set(parts.stretches)  # two neighbouring blocks may both be held out
    assert len(breaks) >= 20  # of which something can be said
    assert parts.sizes["test"].lines >= 4


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("n_lines", [300, 3000])
def test_headings_and_empty_lines_are_not_held_out_more_often_than_long_lines(n_lines: int, blank: int) -> None:
    """A twentieth of the bytes, of lines as long as any, however the text is spaced."""
    rng = np.random.default_rng(0)
    lines: list[str] = []
    for length in rng.geometric(1 / 60, n_lines):
        lines += ["말 " * int(length), *[""] * blank, "= 제목 =", *[""] * blank]
    blocks = Blocks.of(TextSource.from_texts(lines), None)
    is_held_out = choose(blocks.sizes, 1) == 1
    assert 0.03 <= blocks.sizes[is_held_out].sum() / blocks.sizes.sum() <= 0.065
    ends = [*blocks.starts[1:].tolist(), len(lines)]
    chosen = [k for k in range(len(ends)) if is_held_out[k]]
    held = [line for k in chosen for line in lines[blocks.starts[k] : ends[k]]]
    mean = [np.mean([len(line) for line in some if line]) for some in (held, lines)]
    assert mean[0] / mean[1] == pytest.approx(1, abs=0.4)
    assert len(chosen) >= (20 if n_lines > 300 else 10)  # the longest lines are longer than a block would be


def test_the_same_text_is_cut_alike(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        cut(TextSource.from_texts(LINES), tmp_path / folder)
    for name in PARTS:
        assert (tmp_path / "one" / f"{name}.txt").read_bytes() == (tmp_path / "two" / f"{name}.txt").read_bytes()


def test_documents_stay_whole(tmp_path: Path) -> None:
    parts = cut(TextSource.from_texts(DOCUMENTS, unit="documents"), tmp_path / "texts")
    found = []
    for name in PARTS:
        rows = [json.loads(row)["text"] for row in parts.path(name).read_text(encoding="utf-8").splitlines()]
        found += rows
        starts = [line.starts_document for line in parts.source(name).lines()]
        assert sum(starts) == len(rows) == parts.sizes[name].documents > 0
    assert sorted(found) == sorted(DOCUMENTS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=9), min_size=30))
def test_a_document_comes_back_as_it_was(tmp_path: Path, texts: list[str]) -> None:
    texts = ["가 나", "다", "라", *texts]
    source = TextSource.from_texts(texts, unit="documents")
    wanted = list(source.lines())
    parts = cut(source, tmp_path / "texts")
    found = [line for name in PARTS for line in parts.source(name).lines()]
    assert sorted(found) == sorted(wanted)


def test_given_texts_are_taken_as_they_are(tmp_path: Path) -> None:
    given = {"valid": TextSource.from_texts(["검증"]), "test": TextSource.from_texts(["시험", "둘"])}
    parts = cut(TextSource.from_texts(LINES), tmp_path / "texts", **given)
    assert lines_of(parts, "train") == LINES
    assert lines_of(parts, "valid") == ["검증"]
    assert lines_of(parts, "test") == ["시험", "둘"]
    assert parts.stretches == ()
    parts = cut(TextSource.from_texts(LINES), tmp_path / "other", test=given["test"])
    assert len(lines_of(parts, "train")) + len(lines_of(parts, "valid")) == len(LINES)
    assert lines_of(parts, "test") == ["시험", "둘"]


def test_a_part_is_never_blank(tmp_path: Path) -> None:
    lines = [""] * 500
    lines[100], lines[200], lines[300] = "하나", "둘", "셋"
    parts = cut(TextSource.from_texts(lines), tmp_path / "texts")
    assert all(any(lines_of(parts, name)) for name in PARTS)


@pytest.mark.parametrize(
    ("texts", "unit", "message"),
    [
        (
            ["하나", "둘"],
            "lines",
            "has 2 lines, too few.*valid and test.*at least 3 lines with text.*--valid FILE and --test",
        ),
        (["하나", "", "", "둘"], "lines", "has 4 lines, too few"),
        (["하나\n둘\n셋", "넷"], "documents", "has 2 documents, too few.*leave --unit documents out"),
    ],
)
def test_a_text_too_short_to_be_cut_is_refused(tmp_path: Path, texts: list[str], unit: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cut(TextSource.from_texts(texts, unit=unit), tmp_path / "texts")
    assert not (tmp_path / "texts").exists()


def test_a_giant_document_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "LONGEST_LINE", 40)
    with pytest.raises(DataError, match="A document has 5. bytes. Expected at most 40.*Leave --unit documents out"):
        cut(TextSource.from_texts(["짧다", "짧아", "a" * 40], unit="documents"), tmp_path / "texts")


def test_parts_are_found_again_and_damage_is_told(tmp_path: Path) -> None:
    parts = cut(TextSource.from_texts(LINES), tmp_path / "texts")
    assert load(tmp_path / "texts", "lines") == parts
    parts.path("test").unlink()
    with pytest.raises(RunError, match="does not hold the parts of a text .a part is missing.*Remove the folder"):
        load(tmp_path / "texts", "lines")


def test_a_huge_block_is_not_held_out_where_another_can_be() -> None:
    sizes = np.array([1, 1, 1000, 1, 1, 1, 1], np.int64)
    part = choose(sizes, 2)
    assert part[2] == 0
    assert set(part.tolist()) == {0, 1, 2}


def test_of_a_long_text_no_more_is_held_out_than_is_useful() -> None:
    part = choose(np.full(4000, 10_000, np.int64), 2)
    assert [10_000 * int((part == held_out).sum()) for held_out in (1, 2)] == [MOST_HELD_OUT] * 2


def test_progress_counts_bytes(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(LINES), encoding="utf-8")
    told: list[tuple[int, int]] = []
    cut(TextSource(tmp_path / "text.txt"), tmp_path / "texts", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == (tmp_path / "text.txt").stat().st_size
