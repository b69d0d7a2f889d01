"""Costs are aligned to the raw text: units tile it, and whatever the tokens, their costs add up."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LINES

from malmoi.errors import MissingExtraError
from malmoi.explain.explanation import Unit
from malmoi.explain.surprisal import all_units, morpheme_ends, read_tokens, word_ends
from malmoi.text import morphemes
from malmoi.text.tokenizers import Tokenizer, train_tokenizer

TEXTS = ["나는 학교에 갔다", "the  zebra\n\n 🦓 sat ", "", " \n", "갔다.\n너는 뷁", "e\u0301 각\u3000a"]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {kind: train_tokenizer(kind, LINES) for kind in ("word", "char", "jamo", "bpe", "unigram", "morpheme")}


def costs(n: int) -> np.ndarray:
    return -np.linspace(1.0, 2.0, n)


def check(tokenizer: Tokenizer, text: str) -> dict[str, list[Unit]]:
    tokens = read_tokens(tokenizer, text)
    log_probs = costs(len(tokens.ids))
    units, _ = all_units(tokenizer, tokens, log_probs)
    total = -log_probs.sum() + tokens.spelling.sum()
    assert tokens.ids.tolist() == tokenizer.encode(text).tolist()
    assert len(units["token"]) == len(tokens.ids)
    for found in units.values():
        assert sum(unit.nats for unit in found) == pytest.approx(total)
        assert [unit.begin for unit in found] == [0, *(unit.end for unit in found)][:-1][: len(found)]
        assert all(unit.text == tokens.text[unit.begin : unit.end] for unit in found)
        joined = "".join(unit.text for unit in found)
        rest = tokens.text[len(joined) :]
        assert tokens.text.startswith(joined)
        assert not rest.strip()  # trailing white space that a word tokenizer does not see
    return units


@pytest.mark.parametrize("kind", ["word", "char", "jamo", "bpe", "unigram", "morpheme"])
@pytest.mark.parametrize("text", TEXTS)
def test_units_tile_the_text_and_add_up(tokenizers: dict[str, Tokenizer], kind: str, text: str) -> None:
    check(tokenizers[kind], text)


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(st.sampled_from("가각갔나 \nab🦓é\t한"), max_size=12),
    kind=st.sampled_from(["char", "jamo", "bpe", "word"]),
)
def test_any_text_adds_up(tokenizers: dict[str, Tokenizer], text: str, kind: str) -> None:
    check(tokenizers[kind], text)


def by_text(units: Sequence[Unit]) -> list[str]:
    return [unit.text for unit in units]


def test_the_bytes_of_a_character_belong_to_the_token_that_completes_it(tokenizers: dict[str, Tokenizer]) -> None:
    units = check(tokenizers["char"], "a 뷁b")
    assert by_text(units["token"]) == ["a", " ", "", "", "뷁", "b"]
    assert [unit.name for unit in units["token"]][2:5] == ["<0xEB>", "<0xB7>", "<0x81>"]
    assert by_text(units["word"]) == ["a", " 뷁b"]
    first, second = units["word"]
    assert first.nats == units["token"][0].nats
    assert second.nats == pytest.approx(sum(unit.nats for unit in units["token"][1:]))


def test_the_jamo_of_a_syllable_belong_to_its_last(tokenizers: dict[str, Tokenizer]) -> None:
    units = check(tokenizers["jamo"], "갔다")
    assert by_text(units["token"]) == ["", "", "갔", "", "다"]


def test_an_unknown_word_pays_for_its_spelling(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["word"]
    units = check(tokenizer, "the zebra sat")["token"]
    plain = 1.5  # of the second of three tokens
    assert units[1].name == "<unk>"
    assert units[1].text == " zebra"
    assert units[1].nats == pytest.approx(plain + tokenizer.spelling_nats("zebra"))


def test_morphemes_that_share_a_syllable_are_one_unit(tokenizers: dict[str, Tokenizer]) -> None:
    units = check(tokenizers["char"], "나는 갔다")["morpheme"]
    assert by_text(units) == ["나", "는", " 갔", "다"]
    assert [unit.name for unit in units] == ["나/NP", "는/JX", "가/VV + 었/EP", "다/EF"]


def test_text_without_hangul_has_no_morphemes_and_without_kiwi_one_is_told(
    tokenizers: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "morpheme" not in check(tokenizers["char"], "the cat")

    def missing(lines: Sequence[str]) -> None:
        raise MissingExtraError("kiwipiepy", "ko", "Cutting")

    monkeypatch.setattr(morphemes, "cut", missing)
    tokens = read_tokens(tokenizers["char"], "갔다")
    units, lacks_kiwi = all_units(tokenizers["char"], tokens, costs(2))
    assert lacks_kiwi
    assert units.keys() == {"token", "word"}


def test_where_words_and_morphemes_end() -> None:
    assert word_ends("ab  cd\n e ") == [2, 6, 7, 9, 10]
    assert word_ends("") == []
    assert morpheme_ends("갔다\n") == ([1, 2, 3], ["가/VV + 었/EP", "다/EF", "⏎"])
