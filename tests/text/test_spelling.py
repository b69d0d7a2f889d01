"""The spelling model: a distribution that really sums to one, and arithmetic a person can redo."""

import json
import math
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.errors import DataError
from malmoi.text.spelling import CHARACTERS_OF_LEAD, EDGE, MAX_JSON_BYTES, ORDER, SpellingModel

WORDS = ["봄", "봄비", "봄날", "비", "비단", "rain", "train", "trainer"]


def test_every_utf8_character_belongs_to_one_first_byte() -> None:
    all_characters = (chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    assert Counter(character.encode()[0] for character in all_characters) == CHARACTERS_OF_LEAD


def sum_over_unicode(model: SpellingModel, history: str) -> float:
    """The sum of P(character | history) over all 1,112,064 characters.

    Characters that no word held differ only in their first byte, so one of each stands for all of them.
    """
    known = set(model.counts[""])
    total = math.fsum(model.prob(character, history) for character in known)
    n_known = Counter(character.encode()[0] for character in known)
    for lead, n in CHARACTERS_OF_LEAD.items():
        if n > n_known[lead]:
            total += (n - n_known[lead]) * model.prob(unknown_character(lead, known), history)
    return total


def unknown_character(lead: int, known: set[str]) -> str:
    n_rest = 0 if lead < 0x80 else 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    second = {0xE0: range(0xA0, 0xC0), 0xED: range(0x80, 0xA0), 0xF0: range(0x90, 0xC0), 0xF4: range(0x80, 0x90)}
    rest = [second.get(lead, range(0x80, 0xC0))] + [range(0x80, 0xC0)] * 2
    characters = (bytes([lead, *tail]).decode() for tail in product(*rest[:n_rest]))
    return next(character for character in characters if character not in known)


def test_two_words_worked_by_hand() -> None:
    r"""Words ab and a, with \n at both ends. After "\na": b once, end once. After "a": the same. After "\n": a twice.

    Single characters: a 2, b 1, end 2, so n = 5, t = 3 and 2t = 6. The bytes of a, b and the end begin three ASCII
    characters, each with its own first byte: (1 + 1/2) / (3 + 179/2).
    """
    model = SpellingModel.fit(["ab", "a"])
    byte = 1.5 / (3 + 179 / 2)
    a, b, end = (2 + 6 * byte) / 11, (1 + 6 * byte) / 11, (2 + 6 * byte) / 11
    assert model.prob("a", "") == pytest.approx(a, rel=1e-12)
    first_is_a, first_is_end = (2 + 2 * a) / 4, (0 + 2 * end) / 4  # after \n: count 2, t = 1
    end_after_a = (1 + 4 * end) / 6  # count 2, t = 2
    end_after_start_a = (1 + 4 * end_after_a) / 6
    assert model.prob(EDGE, "a") == pytest.approx(end_after_a, rel=1e-12)
    assert model.prob("b", "a") == pytest.approx((1 + 4 * b) / 6, rel=1e-12)
    expected = -math.log(first_is_a / (1 - first_is_end) * end_after_start_a)
    assert model.nats("a") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("history", ["", EDGE, EDGE + "봄", "tra", "rai", "zzz", "봄z비"])
def test_the_next_character_is_one_of_all_of_unicode(history: str) -> None:
    model = SpellingModel.fit(WORDS)
    assert sum_over_unicode(model, history) == pytest.approx(1, abs=1e-12)


def test_the_next_character_is_one_of_all_of_unicode_after_pruning_too() -> None:
    words = ["".join(letters) for n in (1, 2, 3) for letters in product("abc", repeat=n)]
    whole = SpellingModel.fit(words)
    pruned = SpellingModel.fit(words, max_json_bytes=400)
    assert len(pruned.to_json()) <= 400 < len(whole.to_json())
    assert len(pruned.counts) > 1
    for history in ["", EDGE, EDGE + "a", "ab", "aab"]:
        assert sum_over_unicode(pruned, history) == pytest.approx(1, abs=1e-12)


def test_words_over_a_toy_alphabet_sum_to_almost_one() -> None:
    """Nothing is lost: what is missing from 1 went to longer words, and to words with a character outside."""
    model = SpellingModel.fit(["".join(letters) for n in range(1, 6) for letters in product("ab", repeat=n)])
    sums = [0.0]
    inside = {"": 1.0}  # strings of n letters -> P(a word begins with them)
    outside = 0.0  # P(some character is neither letter)
    for _ in range(9):
        ended = math.fsum(math.exp(-model.nats(word)) for word in inside if word)
        sums.append(sums[-1] + ended)
        longer = {}
        for begun, p in inside.items():
            nonempty = 1 if begun else 1 - model.prob(EDGE, EDGE)
            of = {c: p * model.prob(c, (EDGE + begun)[-3:]) / nonempty for c in "ab"}
            longer |= {begun + c: p_longer for c, p_longer in of.items()}
            end = p * model.prob(EDGE, (EDGE + begun)[-3:]) if begun else 0.0
            outside += p - end - sum(of.values())
        inside = longer
    open_end = math.fsum(inside.values())
    assert sums == sorted(sums)
    assert sums[-1] + open_end + outside == pytest.approx(1, abs=1e-12)
    assert 0.85 < sums[-1] < 1


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=12))
def test_any_word_has_a_finite_cost(word: str) -> None:
    nats = SpellingModel.fit(WORDS).nats(word)
    assert 0 < nats < math.inf


def test_words_like_the_learned_ones_are_cheaper() -> None:
    model = SpellingModel.fit(WORDS)
    assert model.nats("trains") < model.nats("sniart")
    assert model.nats("봄") < model.nats("b") < model.nats("\U00013080")


def test_the_literal_unk_shares_the_unknown_words_fairly() -> None:
    plain, shared = SpellingModel.fit(WORDS), SpellingModel.fit(WORDS, unknown_share=0.75)
    assert shared.nats("비") == pytest.approx(plain.nats("비") - math.log(0.25))
    assert math.exp(-shared.nats("<unk>")) == pytest.approx(0.75 + 0.25 * math.exp(-plain.nats("<unk>")))
    assert SpellingModel.fit(WORDS, unknown_share=1 - 1e-9).nats("<unk>") == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_json_brings_back_the_same_model(share: float) -> None:
    model = SpellingModel.fit(WORDS, unknown_share=share)
    again = SpellingModel.from_json(model.to_json())
    assert again.to_json() == model.to_json()
    for word in [*WORDS, "새말", "<unk>"]:
        assert again.nats(word) == model.nats(word)


def test_the_order_of_words_does_not_matter() -> None:
    assert SpellingModel.fit(reversed(WORDS)).to_json() == SpellingModel.fit(WORDS).to_json()


def test_the_file_stays_small_however_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malmoi.text.spelling.MAX_WORDS", 1500)
    words = ["".join(chr(0xAC00 + (i * step) % 2003) for step in (7, 11, 13, 17, 19)) for i in range(5000)]
    model = SpellingModel.fit(words, max_json_bytes=150_000)
    assert model.counts[""][EDGE] == 1500
    assert len(model.to_json().encode()) <= 150_000 < MAX_JSON_BYTES
    assert SpellingModel.from_json(model.to_json()).nats(words[0]) == model.nats(words[0])


def test_what_is_no_word_is_refused() -> None:
    model = SpellingModel.fit(WORDS)
    with pytest.raises(ValueError, match="'' is not a word: expected at least one character"):
        model.nats("")
    with pytest.raises(ValueError, match=r"'a\\nb' is not a word"):
        model.nats("a\nb")
    with pytest.raises(DataError, match=r"Found 0 words to learn spelling from: expected at least 1. Pass a text"):
        SpellingModel.fit([])


GOOD = {"version": 1, "order": ORDER, "unknown_share": 0.0, "counts": {"": {"a": 2, EDGE: 2}, "a": {EDGE: 2}}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"extra": 1}, "has other keys than"),
        ({"version": 2}, "has version 2 and order 4 instead of 1 and 4"),
        ({"order": 9}, "has version 1 and order 9"),
        ({"unknown_share": 1.0}, "has unknown_share 1.0"),
        ({"unknown_share": "0"}, "has unknown_share '0'"),
        ({"counts": []}, "lacks the counts of single characters"),
        ({"counts": {"": {"a": 1}}}, "lacks the counts of single characters and of the end"),
        ({"counts": {"": {EDGE: 1}, "abcd": {"a": 1}}}, "has a wrong history, 'abcd'"),
        ({"counts": {"": {EDGE: 1}, "a": {}}}, "has a wrong history, 'a'"),
        ({"counts": {"": {EDGE: 1, "ab": 1}}}, "has a wrong count, 'ab': 1"),
        ({"counts": {"": {EDGE: 1, "a": 0}}}, "has a wrong count, 'a': 0"),
        ({"counts": {"": {EDGE: 1, "a": 1.5}}}, "has a wrong count, 'a': 1.5"),
        ({"counts": {"": {EDGE: 1, "a": True}}}, "has a wrong count, 'a': True"),
        ({"counts": {"": {EDGE: 1, "a": 2**60}}}, "has a wrong count, 'a': 1152921504606846976"),
        ({"counts": {"": {EDGE: 1, "\ud800": 1}}}, "has a wrong count"),
        ({"counts": {"": {EDGE: 1, "a": 1}, "a": {EDGE: 2}}}, "has more counts after 'a' than of it"),
        ({"counts": {"": {EDGE: 1, "a": 1}, "b": {EDGE: 1}}}, "has more counts after 'b' than of it"),
        (
            {"counts": {"": {EDGE: 1, "a": 1, "b": 1}, "a": {"b": 1}, "ab": {EDGE: 1}}},
            "has the history 'ab' without 'b'",
        ),
    ],
)
def test_a_changed_file_is_refused(change: dict[str, object], problem: str) -> None:
    SpellingModel.from_json(json.dumps(GOOD))
    with pytest.raises(
        DataError, match=f"The spelling model {problem}.*: expected a file that malmoi wrote.*train its"
    ):
        SpellingModel.from_json(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"version": ' + "1" * 5000 + "}", "null", "[1]"])
def test_what_is_no_json_of_ours_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"The spelling model (is not readable as JSON|has other keys)"):
        SpellingModel.from_json(text)


def counted_plainly(words: list[str], max_json_bytes: int) -> dict[str, dict[str, int]]:
    """The counts of `fit`, one n-gram after the other."""
    edged = [EDGE + word + EDGE for word in words]
    grams = Counter(
        word[start:end]
        for word in edged
        for end in range(2, len(word) + 1)
        for start in range(max(0, end - ORDER), end)
    )
    rounds = 0
    while True:
        kept: dict[str, dict[str, int]] = {}
        for gram, n in sorted(grams.items()):
            if len(gram) == 1 or rounds == 0 or n > rounds + len(gram) - ORDER:
                kept.setdefault(gram[:-1], {})[gram[-1]] = n
        if len(kept) == 1 or len(SpellingModel(kept, 0.25).to_json().encode()) <= max_json_bytes:
            return kept
        rounds += 1


@given(
    words=st.sets(
        st.text(st.sampled_from('abc"\\\x01한글\U00010348'), min_size=1, max_size=7), min_size=1, max_size=30
    ),
    max_json_bytes=st.integers(1, 3000),
)
def test_counts_and_pruning_are_those_of_a_plain_loop(words: set[str], max_json_bytes: int) -> None:
    model = SpellingModel.fit(words, 0.25, max_json_bytes)
    assert model.counts == counted_plainly(sorted(words), max_json_bytes)
