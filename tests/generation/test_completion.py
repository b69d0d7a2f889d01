import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ALL_BYTES, Fixed, Memory, Morphemes, Pieces, RandomModel, Words

from malmoi.errors import ConfigError, RunError
from malmoi.generation import completion
from malmoi.generation.completion import Completer, complete, next_words
from malmoi.generation.index import VocabularyIndex, advance, is_word_character, whole_characters
from malmoi.text.hangul import keystrokes

GREETINGS = [
    "안녕하세요 여러분",
    "안녕하세요 선생님",
    "안녕히 가세요",
    "국가 대표",
    "국민 여러분",
    "위키 문서",
    "달걀 두 개",
    "화요일 아침",
]


def found(completions) -> list[str]:
    return [row.completion for row in completions]


# ------------------------------------------------------------------------------------------------- words as tokens


@settings(deadline=None)
@given(
    words=st.lists(st.text("abc가각나", min_size=1, max_size=3), min_size=1, max_size=12, unique=True),
    head=st.sampled_from(["", "a ", "zz a  ", "a\n"]),
    typed=st.text("abc가각나ㄱㅏ", max_size=2),
    seed=st.integers(0, 99),
)
def test_completions_of_words_are_all_that_fit_in_the_order_of_the_model(words, head, typed, seed) -> None:
    tokenizer = Words(words)
    model = RandomModel(tokenizer.vocab_size, seed)
    log_probs, _ = model.step(tokenizer.encode(head)[None].astype(np.int64), model.start())
    fitting = [i for i, word in enumerate(words, start=4) if keystrokes(word).startswith(keystrokes(typed))]
    fitting.sort(key=lambda i: -log_probs[0, i])
    got = complete(model, tokenizer, head + typed, k=4)
    assert found(got) == [tokenizer.pieces[i] for i in fitting[:4]]
    assert [row.log_prob for row in got] == pytest.approx([log_probs[0, i] for i in fitting[:4]])
    assert [row.text for row in got] == [head + row.completion for row in got]


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("안녕ㅎ", "안녕하세요"),
        ("안녕하", "안녕하세요"),
        ("안녕하ㅅ", "안녕하세요"),
        ("안녕핫", "안녕하세요"),
        ("안녕하세요", "안녕하세요"),
        ("안녕히", "안녕히"),
        ("윜", "위키"),
        ("국ㄱ", "국가"),
        ("국ㅁ", "국민"),
        ("닭", "달걀"),
        ("호", "화요일"),
        ("ㅎ", "화요일"),
    ],
)
def test_a_half_typed_syllable_is_compared_in_keystrokes(typed, word) -> None:
    tokenizer = Words(sorted({w for line in GREETINGS for w in line.split()}))
    model = Memory([tokenizer.encode(line + "\n") for line in GREETINGS], tokenizer.vocab_size)
    rows = complete(model, tokenizer, f"여러분\n{typed}", k=1)
    assert rows == [(f"여러분\n{word}", word, rows[0].log_prob)]


def test_after_a_space_the_next_word_is_completed() -> None:
    tokenizer = Words(["안녕하세요", "여러분", "선생님", "가세요"])
    model = Memory([tokenizer.encode(line + "\n") for line in GREETINGS[:1] * 2 + GREETINGS[1:2]], tokenizer.vocab_size)
    assert found(complete(model, tokenizer, "안녕하세요 ", k=2)) == ["여러분", "선생님"]


@pytest.mark.parametrize("text", ["zq", "안녕뷁", "\ud800", "가" * 500, "a" * 10_000])
def test_what_no_word_begins_with_has_no_completion(text) -> None:
    tokenizer = Words(["안녕", "abc"])
    assert complete(RandomModel(tokenizer.vocab_size), tokenizer, text) == []


def test_morphemes_that_are_written_together_are_one_word() -> None:
    tokenizer = Morphemes(["가/V", "각/N", "나/N", "ㄱ/E", "고/E", "다/E"])
    model = RandomModel(tokenizer.vocab_size, seed=8, banned=[0, 1])
    expected: dict[str, float] = defaultdict(float)
    for first, *rest in itertools.chain.from_iterable(itertools.product(range(4, 10), repeat=n) for n in (1, 2, 3)):
        word, ids = tokenizer.decode([first, *rest]), [4, first, *rest]
        if all(i >= 7 for i in rest) and keystrokes(word).startswith("ㄱㅏㄱ"):
            p = [np.exp(model.row(tuple(ids[:t]))) for t in range(1, len(ids) + 1)]
            expected[word] += math.prod(p[t][ids[t + 1]] for t in range(len(ids) - 1)) * (1 - p[-1][7:].sum())
    rows = Completer(model, tokenizer, beam_size=1000).complete("가 가ㄱ", 1000)
    got = {row.completion: math.exp(row.log_prob) for row in rows}
    assert len(expected) > 9
    assert {word: got[word] for word in expected} == pytest.approx(expected)
    assert found(rows)[:3] == sorted(got, key=lambda word: -got[word])[:3]
    assert rows[0].text == "가 " + rows[0].completion


# ---------------------------------------------------------------------------------------------- pieces of words

TOY = Pieces([b" ", b"a", b"b", b"ab", b" a", b".", b"a.", b"b a"])


def every_way(model, start: list[int], depth: int) -> dict[str, float]:
    """Surface up to the end of the first word -> probability, over all token sequences of a length, one by one."""
    totals: dict[str, float] = defaultdict(float)

    def walk(ids: list[int], probability: float, surface: str) -> None:
        log_probs = model.row(tuple(start + ids))
        for token_id in range(3, TOY.vocab_size):
            p = probability * math.exp(log_probs[token_id])
            text = surface + TOY.surfaces[token_id].decode()
            body = text.lstrip(" ")
            lead = len(text) - len(body)
            if body.startswith("\n"):
                totals["\n"] += p
            elif body.startswith("."):
                totals[text[: lead + 1]] += p
            elif ends := [body.index(c) for c in " .\n" if c in body]:
                totals[text[: lead + min(ends)]] += p
            elif len(ids) + 1 < depth:
                walk([*ids, token_id], p, text)

    walk([], 1.0, "")
    return {surface: p for surface, p in totals.items() if p > 0}


@pytest.fixture
def exhaustive(monkeypatch):
    """The search without its short cuts."""
    monkeypatch.setattr(completion, "NEGLIGIBLE", math.inf)
    monkeypatch.setattr(completion, "MAX_TOKENS", 4)
    monkeypatch.setattr(completion, "MAX_FRAGMENT", 3)
    return 100_000


# A word of two letters after one space takes four tokens at most, with the one that ends it: depth 5 sees them all.
def test_next_words_of_pieces_have_the_probability_of_every_way_to_spell_them(exhaustive) -> None:
    model = RandomModel(TOY.vocab_size, seed=2, banned=[0, 1, 2])
    ways = every_way(model, [], depth=5)
    expected: dict[str, float] = defaultdict(float)
    for surface, p in ways.items():
        expected[surface.strip() or "⏎"] += p
    got = {row.text: row.probability for row in Completer(model, TOY, beam_size=exhaustive).next_words("\n", 100_000)}
    assert sum(got.values()) <= 1 + 1e-9
    for text in ("⏎", ".", "a", "b"):
        assert got[text] >= expected[text] - 1e-12  # any number of spaces may come first: the sum here stops at depth 5
        assert got[text] == pytest.approx(expected[text], abs=5e-3)


def test_next_words_after_a_word_are_given_that_it_has_ended(exhaustive) -> None:
    model = RandomModel(TOY.vocab_size, seed=4, banned=[0, 1, 2, 4])  # without the lone space, spaces do not pile up
    ids = list(TOY.encode("ab"))
    row = np.exp(model.row(tuple(ids)))
    ended = sum(row[i] for i, s in enumerate(TOY.surfaces) if i == 3 or s[:1] in (b" ", b"."))
    expected: dict[str, float] = defaultdict(float)
    for surface, p in every_way(model, ids, depth=5).items():
        if surface[0] in " .\n":
            expected[surface.strip() or "⏎"] += p / ended
    got = {r.text: r.probability for r in Completer(model, TOY, beam_size=exhaustive).next_words("ab", 100_000)}
    short = [text for text in expected if len(text) <= 3]
    assert len(short) > 5
    assert {text: got[text] for text in short} == pytest.approx({text: expected[text] for text in short})
    assert got == {
        r.text: r.probability for r in Completer(model, TOY, beam_size=exhaustive).next_words("ab ", 100_000)
    }


@pytest.mark.parametrize("typed", ["a", "ab", "b"])
def test_completions_of_pieces_rank_by_every_way_to_spell_them(exhaustive, typed) -> None:
    model = RandomModel(TOY.vocab_size, seed=5, banned=[0, 1, 2])
    ways = every_way(model, list(TOY.encode("b")), depth=6)
    fitting = {surface[1:]: math.log(p) for surface, p in ways.items() if surface.startswith(" " + typed)}
    got = {
        r.completion: r.log_prob for r in Completer(model, TOY, beam_size=exhaustive).complete(f"b {typed}", 100_000)
    }
    short = [text for text in fitting if len(text) <= 3]
    assert len(short) >= 3
    assert {text: got[text] for text in short} == pytest.approx({text: fitting[text] for text in short})


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), beam_size=st.integers(1, 20))
def test_a_narrow_beam_never_overstates_a_word(seed, beam_size) -> None:
    model = RandomModel(TOY.vocab_size, seed, sharpness=3, banned=[0, 1, 2, 4])
    exact = every_way(model, list(TOY.encode("b")), depth=6)
    for row in Completer(model, TOY, beam_size=beam_size).complete("b a", 2):
        assert len(row.completion) > 4 or row.log_prob <= math.log(exact[" " + row.completion]) + 1e-9


SPLIT = Pieces(
    [*ALL_BYTES, b" \xec\x95", "녕하".encode(), b"\x84\xb8\xec", "여러".encode(), " 안".encode(), b"the", b" the"]
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("안녕ㅎ", "안녕하세요"),
        ("안녕하ㅅ", "안녕하세요"),
        ("안녕핫", "안녕하세요"),
        ("안녕하세요 여ㄹ", "여러분"),
        ("안녕하세요 여러", "여러분"),
        ("안녕하세요 ", "여러분"),
        ("안녕하세요 서", "선생님"),
        ("국ㄱ", "국가"),
        ("윜", "위키"),
        ("달걀 ", "두"),
        ("안녕히 가세", "가세요"),
    ],
)
def test_tokens_that_split_a_syllable_into_bytes_complete_it(text, word) -> None:
    model = Memory([SPLIT.encode(line + "\n") for line in GREETINGS], SPLIT.vocab_size)
    rows = complete(model, SPLIT, text, k=3)
    assert rows[0].completion == word
    assert rows[0].text == text[: text.rfind(" ") + 1] + word
    assert all("\ufffd" not in row.text for row in rows)


def test_an_open_parenthesis_is_not_part_of_the_word() -> None:
    model = Memory([SPLIT.encode("(theory) the\n")], SPLIT.vocab_size)
    assert complete(model, SPLIT, "(the", k=1)[0][:2] == ("(theory", "theory")
    assert complete(model, SPLIT, "(", k=1)[0][:2] == ("(theory", "theory")


def test_a_word_nobody_can_spell_has_no_completion() -> None:
    assert complete(Fixed([0, 0, 0, 0.5, 0.5]), Pieces([b"a"]), "ab") == []


def test_next_words_without_whole_words_are_tokens() -> None:
    model = Fixed([0.3, 0, 0, 0.2, 0.4, 0.1])
    tokenizer = Pieces([b" th", b"e"])
    assert next_words(model, tokenizer, "e", 3, whole_words=False) == [
        (" th".replace(" ", "␣"), pytest.approx(0.4)),
        ("⏎", pytest.approx(0.2)),
        ("e", pytest.approx(0.1)),
    ]


def test_next_words_of_a_word_model_are_its_distribution() -> None:
    tokenizer = Words(["나는", "너는", "간다"])
    model = RandomModel(tokenizer.vocab_size, seed=1, banned=[0, 2])
    rows = next_words(model, tokenizer, "나는 너는", k=99)
    assert sum(row.probability for row in rows) == pytest.approx(1)
    assert {row.text for row in rows} == {"<unk>", "<eos>", "나는", "너는", "간다"}
    assert [row.probability for row in rows] == sorted((row.probability for row in rows), reverse=True)
    assert dict(rows)["간다"] == pytest.approx(math.exp(model.table[4, 5, 6]))


# ------------------------------------------------------------------------------------------------- the Completer


@given(texts=st.lists(st.text("ab \n.", max_size=5), min_size=2, max_size=4))
@settings(deadline=None, max_examples=15)
def test_what_a_completer_has_read_before_changes_no_answer(texts) -> None:
    model = RandomModel(TOY.vocab_size, seed=6, banned=[0, 1, 2])
    kept = Completer(model, TOY)
    for text in texts:
        assert kept.complete(text) == complete(model, TOY, text)
        assert kept.next_words(text) == next_words(model, TOY, text)


def test_a_completer_reads_a_context_once() -> None:
    tokenizer = Words(["가", "나", "다"])
    model = RandomModel(tokenizer.vocab_size)
    completer = Completer(model, tokenizer)
    completer.complete("가 나 " * 300)
    model.shapes.clear()
    for typed in ("다", "ㄷ", "가 ㄴ"):
        completer.complete("가 나 " * 300 + typed)
    assert model.shapes == [(1, 1)]  # only the 가 that the third text adds


def test_the_index_finds_the_same_tokens_as_trying_all() -> None:
    index = VocabularyIndex(SPLIT)
    for typed, pending in itertools.product(
        ["ㅇㅏㄴㄴㅕㅇ", "ㅎ", " ㅇ", "ㅅㅔ", "the", " t", "é"], [b"", b"\xec", b"\xec\x95"]
    ):
        ids, left = index.compatible(pending, typed)
        fitting = {}
        for token_id, surface in enumerate(SPLIT.surfaces[4:], start=4):
            after = advance(pending, typed, surface)
            if after is not None and (not after[1] or len(index.compatible(*after)[0])):
                fitting[token_id] = after[1]
        assert dict(zip(ids.tolist(), left, strict=True)) == fitting


def arranged_one_by_one(tokenizer) -> dict[str, list]:
    """What the index knows of a vocabulary, by looking at each token in turn."""
    found: dict[str, list] = {"breaks": [], "inner": [], "continuations": [], "keys": []}
    for token_id, surface in enumerate(tokenizer.token_bytes()):
        surface = surface.removeprefix(b" ") if tokenizer.kind == "word" else surface
        if token_id < 4 or not surface:
            continue
        if 0x80 <= surface[0] < 0xC0:
            found["continuations"].append(token_id)
            continue
        text, pending = whole_characters(surface) or ("", b"?")
        found["breaks" if text and not is_word_character(text[0]) else "inner"].append(token_id)
        if not pending:
            found["keys"].append((keystrokes(text), token_id))
    return found


PIECE = st.one_of(
    st.text("ab가각낢ㄱㅘᆪ é\u0301.\0\u200d\U0001f6a4", min_size=1, max_size=5).map(str.encode),
    st.binary(min_size=1, max_size=5),
    st.tuples(
        st.sampled_from(["가각", "a", ""]), st.sampled_from([b"\xea\xb0", b"\xea", b"\xff", b"\xed\xa0\x80"])
    ).map(lambda parts: parts[0].encode() + parts[1]),
)


@settings(deadline=None)
@given(pieces=st.lists(PIECE, min_size=1, max_size=30, unique=True), kind=st.sampled_from(["word", "bpe"]))
def test_the_arrays_of_the_index_are_those_of_looking_at_each_token(pieces, kind) -> None:
    tokenizer = Pieces(pieces, kind)
    index, expected = VocabularyIndex(tokenizer), arranged_one_by_one(tokenizer)
    for name in ("breaks", "inner", "continuations"):
        assert getattr(index, name).tolist() == expected[name]
    assert index.openers.tolist() == sorted(expected["breaks"] + expected["inner"])
    for key in {keys[0] for keys, _ in expected["keys"]}:
        keys, ids = index._beginning_with(key)
        assert list(zip(keys, ids.tolist(), strict=True)) == sorted(k for k in expected["keys"] if k[0][0] == key)


def test_bad_arguments_are_refused() -> None:
    tokenizer = Words(["가"])
    model = RandomModel(tokenizer.vocab_size)
    with pytest.raises(ConfigError, match=r"k=0 asks for no answer.*at least 1 was expected: try 5"):
        complete(model, tokenizer, "가", k=0)
    with pytest.raises(ConfigError, match=r"k=-1 asks"):
        next_words(model, tokenizer, "가", k=-1)
    with pytest.raises(ConfigError, match=r"beam_size=0 would follow no path.*At least 1 was expected: try 16"):
        Completer(model, tokenizer, beam_size=0)
    model.table[:] = np.nan
    with pytest.raises(RunError, match="gave NaN"):
        complete(model, tokenizer, "가")
