"""Every nat lands on one word, and every byte belongs to one."""

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.comparison.word_costs import (
    FREQUENCIES,
    POSITIONS,
    bucket_bits,
    buckets,
    line_words,
    read_words,
    word_nats,
)
from malmoi.data.tokens import encode_to_disk
from malmoi.evaluation.perplexity import evaluate, token_log_probs
from malmoi.models.baselines import UnigramModel
from malmoi.text.sources import Line, TextSource
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer

LINES = [
    "나는 학교에 간다",
    "  두 칸 뒤에\t탭  ",
    "",
    "the cat sat on the mat. café 👍🏽",
    "한글 닭과 앍 ㄱㄴ 한",
    "갔다가 왔다 <unk> 漢字",
]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "morpheme":
        pytest.importorskip("kiwipiepy")
    return train_tokenizer(request.param, [*LINES[:2] * 3, LINES[3]])


def slow_places(tokenizer: Tokenizer, line: str) -> list[int]:
    """The word that each token ends in, found by decoding ever longer beginnings."""
    surfaces, form = tokenizer.token_bytes(), "NFD" if tokenizer.kind == "jamo" else "NFC"
    pieces = [unicodedata.normalize(form, piece).encode() for piece in line_words(line)]
    pieces[-1] += b"\n"
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    places, read = [], 0
    for token_id in next(iter(tokenizer.encode_lines([line]))):
        read += len(surfaces[token_id])
        places.append(next(i for i, end in enumerate(ends) if read <= end))
    return places


def test_costs_of_words_add_up_to_the_evaluation(tokenizer: Tokenizer, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MALMOI_CACHE", str(tmp_path))
    for unit in ("lines", "documents"):
        source = TextSource.from_texts(["\n".join(LINES), *LINES], unit=unit)
        view = encode_to_disk(source, tokenizer).view()
        model = UnigramModel.fit(view.read(0, len(view)), tokenizer.vocab_size)
        nats = word_nats(tokenizer, source.lines(), token_log_probs(model, view))
        result = evaluate(model, tokenizer, source)
        words = read_words(source.lines(), {})
        assert nats.sum() == pytest.approx(result.all_nats, rel=1e-12)
        assert words.n_bytes.sum() == result.bytes
        assert len(nats) == len(words.n_bytes) == result.words + result.lines
        for key, starts in (("frequency", FREQUENCIES), ("position", POSITIONS)):
            number, found = buckets(words, starts, key)
            bits = bucket_bits(number, found, nats)
            whole = sum(rate * bucket.n_bytes for rate, bucket in zip(bits, found, strict=True) if rate is not None)
            assert whole / result.bytes == pytest.approx(result.bits_per_byte, rel=1e-12)
            assert sum(bucket.n_bytes for bucket in found) == result.bytes


@pytest.mark.parametrize("kind", ["char", "jamo", "bpe", "unigram"])
def test_tokens_go_to_the_word_they_end_in(kind: str) -> None:
    tokenizer = train_tokenizer(kind, LINES * 2)
    for line in LINES:
        ids = next(iter(tokenizer.encode_lines([line])))
        costs = np.random.default_rng(0).random(len(ids))
        wanted = np.bincount(slow_places(tokenizer, line), costs, len(line.split()) + 1)
        found = word_nats(tokenizer, [Line(line)], -costs)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12), min_size=1))
def test_any_text_is_paid_for_byte_by_byte(texts: list[str]) -> None:
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    words = read_words(map(Line, texts), {})
    assert words.n_bytes.sum() == sum(len(text.encode()) + 1 for text in texts)
    assert all("".join(line_words(text)) == text for text in texts)
    tokenizer = train_tokenizer("jamo", ["가나"])
    n_tokens = sum(map(len, tokenizer.encode_lines(texts)))
    assert word_nats(tokenizer, map(Line, texts), np.full(n_tokens, -1.0)).sum() == n_tokens


# "나는 집에" and "나는": with one token a word, costs 1 2 3 (line end) and 4 5; 집에 is unknown, so its spelling comes on top.
def test_words_worked_by_hand() -> None:
    tokenizer = train_tokenizer("word", ["나는 학교에", "나는 학교에"])
    lines = [Line("나는 집에", True), Line("나는")]
    costs = np.array([10.0, 1, 2, 3, 4, 5])  # the document start first: the first word pays for it
    nats = word_nats(tokenizer, lines, -costs)
    gaps = np.concatenate([tokenizer.layout.word_nats(line.text) for line in lines])
    assert 0 < gaps.sum() < 4  # of five gaps, where six were seen
    nats -= gaps
    spelling = tokenizer.spelling_nats("집에")
    assert spelling > 0
    assert nats.tolist() == pytest.approx([11, 2 + spelling, 3, 4, 5])
    words = read_words(lines, {"나는": 12, "집에": 0})
    assert words.n_bytes.tolist() == [6, 7, 1, 6, 1]
    assert words.position.tolist() == [1, 2, 0, 1, 0]
    assert words.line.tolist() == [0, 0, 0, 1, 1]
    assert words.frequency.tolist() == [12, 0, -1, 12, -1]
    assert words.document_starts.tolist() == [0]
    assert words.line_sums(nats).tolist() == pytest.approx([16 + spelling, 9])
    number, found = buckets(words, FREQUENCIES, "frequency")
    bits = bucket_bits(number, found, nats)
    assert [(bucket.least, bucket.most, bucket.words, bucket.n_bytes) for bucket in found if bucket.words] == [
        (0, 0, 1, 7),
        (10, 99, 2, 12),
        (0, None, 2, 2),
    ]
    assert found[-1].is_line_end
    assert bits[0] == pytest.approx((2 + spelling) / 7 / math.log(2))
    assert bits[3] == pytest.approx(15 / 12 / math.log(2))
    assert bits[-1] == pytest.approx(8 / 2 / math.log(2))
    assert bits[1] is None


def test_the_longest_lines_are_in_the_last_bucket() -> None:
    words = read_words([Line("a " * 60)], {})
    number, found = buckets(words, POSITIONS, "position")
    assert [bucket.words for bucket in found] == [1, 1, 1, 2, 5, 10, 30, 10, 1]
    assert found[-2].most is None
    assert number.max() == len(POSITIONS)


def test_morphemes_go_to_the_word_they_are_cut_from() -> None:
    pytest.importorskip("kiwipiepy")
    line = "나는  학교에 갔다"
    tokenizer = train_tokenizer("morpheme", [line])
    ids = next(iter(tokenizer.encode_lines([line])))
    found = word_nats(tokenizer, [Line(line)], np.full(len(ids), -1.0)) - tokenizer.layout.word_nats(line)
    assert found.tolist() == pytest.approx(
        [2, 2, 3, 1]
    )  # 나/NP 는/JX, 학교/NNG 에/JKB, 가/VV 었/EP 다/EF, the line end
