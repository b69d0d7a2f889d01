"""Generation and completion with every kind of tokenizer, on a model that remembers its few lines."""

from functools import cache

import pytest
from toys import Memory

from malmoi.generation.completion import Completer
from malmoi.generation.sampling import SamplingOptions, generate, stream
from malmoi.text.tokenizers import KINDS, Tokenizer, train_tokenizer

LINES = [
    "여러분 안녕하세요 반갑습니다",
    "여러분 안녕하세요 오늘은 학교에 갔다",
    "선생님 안녕하세요 국가 대표가 왔다",
    "학교에 가는 길에 달걀을 샀다",
    "the weather is fine today, isn't it?",
    "the whether or the weather",
]
GREEDY = SamplingOptions(temperature=0)


@cache
def trained(kind: str) -> tuple[Tokenizer, Memory]:
    if kind == "morpheme":
        pytest.importorskip("kiwipiepy")
    tokenizer = train_tokenizer(kind, LINES * 5, vocab_size={"bpe": 400, "unigram": 800}.get(kind))
    return tokenizer, Memory(tokenizer.encode_lines(LINES), tokenizer.vocab_size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES)
def test_greedy_text_repeats_what_the_model_remembers(kind, line) -> None:
    tokenizer, model = trained(kind)
    first = line.split()[0]
    wanted = next(
        known for known in LINES if known.startswith(first)
    )  # of lines that begin alike the first is likeliest
    if sum(known.startswith(first) for known in LINES) > 1:
        first = " ".join(line.split()[:3])
        wanted = line
    text = generate(model, tokenizer, first, options=GREEDY, stop=["\n"], max_tokens=200)[0]
    spaced = wanted if tokenizer.is_lossless else tokenizer.decode(tokenizer.encode(wanted))
    assert first + text == spaced or not tokenizer.is_lossless
    assert "".join((first + text).split()) == "".join(spaced.split())
    assert "".join(stream(model, tokenizer, first, options=GREEDY, stop=["\n"], max_tokens=200)) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("여러분 안녕ㅎ", "안녕하세요"),
        ("여러분 안녕하ㅅ", "안녕하세요"),
        ("여러분 안녕핫", "안녕하세요"),
        ("여러분 안녀", "안녕하세요"),
        ("선생님 안녕하세요 국ㄱ", "국가"),
        ("여러분 ", "안녕하세요"),
        ("선ㅅ", "선생님"),
        ("the weather is f", "fine"),
        ("the weather is fine t", "today"),
    ],
)
def test_a_half_typed_word_is_finished(kind, text, word) -> None:
    tokenizer, model = trained(kind)
    if kind in ("word", "morpheme") and word == "today":
        word = "today,"  # what stands between spaces
    rows = Completer(model, tokenizer).complete(text, k=3)
    assert rows[0].completion == word
    assert rows[0].text == text[: text.rfind(" ") + 1] + word


@pytest.mark.parametrize("kind", KINDS)
def test_next_words_are_words(kind) -> None:
    tokenizer, model = trained(kind)
    rows = Completer(model, tokenizer).next_words("여러분", k=3)
    assert rows[0].text == ("안녕/NNG" if kind == "morpheme" else "안녕하세요")
    assert rows[0].probability > 0.8  # the rest of each token's distribution is spread evenly
    assert sum(row.probability for row in rows) <= 1 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "prompt", ["", "뷁 𓀀 ﷽", "\ud800", "한 줄\n두 줄 ", "ㅋㅋ\u0301", "<bos><unk><eos>", "\x00\t "]
)
def test_any_prompt_is_continued(kind, prompt) -> None:
    tokenizer, model = trained(kind)
    assert len(generate(model, tokenizer, prompt, n=2, max_tokens=3)) == 2
    Completer(model, tokenizer).complete(prompt)
    assert Completer(model, tokenizer).next_words(prompt)
