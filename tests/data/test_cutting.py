"""A validation part held out of a text: nothing lost, nothing twice, no document torn, the same part whoever cuts."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.data.cutting import hold_out
from malmoi.data.tokens import encode_to_disk
from malmoi.errors import DataError
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer

LINES = [f"{number} 번째 줄" for number in range(2000)]


def test_each_line_is_in_one_part_in_order() -> None:
    train, valid = hold_out(TextSource.from_texts(LINES))
    parts = [[line.text for line in part.lines()] for part in (train, valid)]
    assert sorted(itertools.chain(*parts), key=LINES.index) == LINES
    assert all(part == sorted(part, key=LINES.index) for part in parts)
    assert 0.04 < len(parts[1]) / len(LINES) < 0.06
    numbers = [LINES.index(line) for line in parts[1]]
    assert {number // 200 for number in numbers} == set(range(10))  # from all over the text


def test_documents_stay_whole() -> None:
    documents = [f"{number}\n둘째 줄\n셋째 줄" for number in range(60)]
    train, valid = hold_out(TextSource.from_texts(documents, unit="documents"))
    for part in (train, valid):
        lines = list(part.lines())
        assert [line.starts_document for line in lines] == [True, False, False] * (len(lines) // 3)
    firsts = [{line.text for line in part.lines() if line.starts_document} for part in (train, valid)]
    assert not firsts[0] & firsts[1]
    assert len(firsts[0] | firsts[1]) == 60


@given(st.lists(st.text(st.sampled_from("가나 \t"), max_size=5), min_size=17, max_size=80))
def test_any_text_is_cut_or_refused(lines: list[str]) -> None:
    if not any(line.strip() for line in lines):
        return
    if sum(bool(line.strip()) for line in lines) < 2:
        with pytest.raises(DataError, match="too few to hold some back"):
            hold_out(TextSource.from_texts(lines))
        return
    train, valid = hold_out(TextSource.from_texts(lines))
    found = [*(line.text for line in train.lines()), *(line.text for line in valid.lines())]
    assert sorted(found) == sorted(lines)
    assert all(any(line.text.strip() for line in part.lines()) for part in (train, valid))


@pytest.mark.parametrize(("texts", "unit", "n"), [(["하나", "둘"], "lines", 17), (["하나\n둘"], "documents", 2)])
def test_a_short_text_is_refused(texts: list[str], unit: str, n: int) -> None:
    with pytest.raises(DataError, match=f"too few to hold some back for validation. Expected at least {n} {unit}"):
        hold_out(TextSource.from_texts(texts, unit=unit))


def test_parts_are_read_and_cached_as_texts_of_their_own(tmp_path) -> None:
    source = TextSource.from_texts(LINES)
    parts, again = hold_out(source), hold_out(TextSource.from_texts(LINES))
    prints = [part.fingerprint() for part in parts]
    assert [part.fingerprint() for part in again] == prints
    assert len({*prints, source.fingerprint()}) == 3
    tokenizer = train_tokenizer("char", LINES)
    whole, *found = (encode_to_disk(text, tokenizer, tmp_path).counts for text in (source, *parts))
    for name in ("n_tokens", "n_lines", "n_words", "n_bytes"):
        assert sum(getattr(counts, name) for counts in found) == getattr(whole, name)


def test_other_lines_are_another_text() -> None:
    shuffled = random.Random(0).sample(LINES, len(LINES))
    prints = [part.fingerprint() for lines in (LINES, shuffled) for part in hold_out(TextSource.from_texts(lines))]
    assert len(set(prints)) == 4
