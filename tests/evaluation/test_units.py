"""Words and lines under different tokenizers are the same events, and their probabilities are those of one distribution."""

import itertools
import math

import numpy as np
import pytest
from bigram import Bigram, Words
from letters import Letters

from malmoi.errors import ConfigError
from malmoi.evaluation.units import (
    check_mixable,
    counts_of,
    cut_lines,
    cut_words,
    finest_unit,
    lines_for,
    stretch_log_probs,
)
from malmoi.text.sources import Line, TextSource
from malmoi.text.tokenizers import train_tokenizer

SPACED = Letters(["a", "b", " a", " b", " "])
SPELLED = Letters(["a", "b", " "])
TEXT = ["a bb", "", "b a a", " ab"]


def lines(*texts: str) -> list[Line]:
    return [Line(text) for text in texts]


def line_log_prob(model: Bigram, ids: np.ndarray) -> float:
    return float(sum(model.table[before, after] for before, after in zip([3, *ids[:-1]], ids, strict=True)))


@pytest.mark.parametrize("tokenizer", [SPACED, SPELLED], ids=["space before words", "space apart"])
def test_the_words_of_a_text_multiply_to_its_probability(tokenizer: Letters) -> None:
    model = Bigram.random(tokenizer.vocab_size)
    cut = cut_words(tokenizer, lines(*TEXT))
    assert cut is not None
    words = stretch_log_probs(model, tokenizer, cut)
    per_line = stretch_log_probs(model, tokenizer, cut_lines(tokenizer, lines(*TEXT)))
    total = line_log_prob(model, cut.ids)
    assert len(words) == 3 + 1 + 4 + 2  # words and line ends
    assert len(per_line) == 4
    assert words.sum() == pytest.approx(total)
    assert per_line.sum() == pytest.approx(total)
    assert (words <= 0).all()
    assert words == pytest.approx(stretch_log_probs(model, tokenizer, cut, streams=2, warm_up=5))


# What may come after "a" is the end of the line, or any word over {a, b}, however long. Words of up to nine letters have
# nearly all the probability; without the parts for the ends of words they would have far more than all.
@pytest.mark.parametrize("pieces", [["a", "b", " a", " b"], ["a", "b", " "]], ids=["space before words", "space apart"])
def test_the_words_that_may_come_next_have_all_the_probability(pieces: list[str]) -> None:
    tokenizer = Letters(pieces)
    probs = np.random.default_rng(2).dirichlet(np.ones(tokenizer.vocab_size), size=tokenizer.vocab_size)
    probs[:, :3] = 0
    probs[:, 4:6] /= 3  # words are short
    model = Bigram(probs / probs.sum(axis=1, keepdims=True))
    words = ["".join(letters) for n in range(10) for letters in itertools.product("ab", repeat=n)]
    text = lines("a", *(f"a {word}" for word in words if word or " " in pieces))
    cut = cut_words(tokenizer, text)
    assert cut is not None
    found = np.exp(stretch_log_probs(model, tokenizer, cut))
    total = found[1] + found[2:].reshape(-1, 3)[:, 1].sum()  # the end of the first line; the second word of all others
    assert total == pytest.approx(1, abs=0.01)
    assert total <= 1 + 1e-9


def test_unknown_words_pay_for_their_spelling() -> None:
    tokenizer = Words(["a", "b"])
    model = Bigram.random(6)
    cut = cut_words(tokenizer, lines("a zz b", "zz"))
    assert cut is not None
    assert cut.spelling / math.log(2) == pytest.approx([0, 14, 0, 0, 14, 0])
    words = stretch_log_probs(model, tokenizer, cut)
    path = [3, 4, 1, 5, 3, 1, 3]
    assert words == pytest.approx([model.table[a, b] for a, b in itertools.pairwise(path)] - cut.spelling)
    per_line = stretch_log_probs(model, tokenizer, cut_lines(tokenizer, lines("a zz b", "zz")))
    assert per_line == pytest.approx([words[:4].sum(), words[4:].sum()])


def test_the_beginning_of_a_document_is_a_stretch_of_its_own() -> None:
    text = [Line("a b", True), Line("b"), Line("a", True)]
    for tokenizer in (SPACED, Words(["a", "b"])):
        cut = cut_words(tokenizer, text)
        assert cut is not None
        assert cut.ids[cut.begins[~cut.is_word]].tolist() == [2, 3, 3, 2, 3]
        assert cut_lines(tokenizer, text).ids[cut_lines(tokenizer, text).begins].tolist()[::2] == [2, 2]
        assert len(cut.begins) == 9
        model = Bigram.random(tokenizer.vocab_size)
        assert stretch_log_probs(model, tokenizer, cut).sum() == pytest.approx(line_log_prob(model, cut.ids))


def test_what_a_model_rules_out_stays_ruled_out() -> None:
    probs = np.full((SPACED.vocab_size, SPACED.vocab_size), 1 / 6)
    probs[:, [0, 1, 2]] = 0
    probs[4] = [0, 0, 0, 0, 0.5, 0.5, 0, 0, 0]  # after "a" no word can end
    cut = cut_words(SPACED, lines("a b", "b"))
    assert cut is not None
    found = stretch_log_probs(Bigram(probs), SPACED, cut)
    assert found[0] == -np.inf
    assert not np.isnan(found).any()


def test_tokens_across_words_leave_the_line() -> None:
    across = Letters(["a", "b", " ", "a b"])
    assert cut_words(across, lines("a b")) is None
    assert finest_unit([SPELLED, across], [lines("a b")]) == "line"
    assert finest_unit([SPELLED, across], [lines("b a")]) == "word"
    assert finest_unit([SPELLED, SPACED, Words(["a"])], [lines("a b"), lines("")]) == "word"
    assert (
        finest_unit([SPELLED, Words(["a"])], [lines("a  b")]) == "line"
    )  # two spaces make a word for one of them only


@pytest.mark.parametrize("kind", ["char", "jamo", "bpe", "unigram"])
def test_real_tokenizers_are_cut_at_the_same_words(kind: str) -> None:
    texts = ["나는 학교에 간다", "the cat sat", "", "가  나", " 앞에", "뒤에 "] * 3
    tokenizer = train_tokenizer(kind, texts)
    cut = cut_words(tokenizer, lines(*texts))
    assert cut is not None
    assert len(cut.begins) == 3 * sum(
        len([part for part in text.replace(" ", "\n ").split("\n") if part]) + 1 for text in texts[:6]
    )


def test_lines_are_read_as_all_tokenizers_can_tell_them_apart() -> None:
    source = TextSource.from_texts([" a  b ", "a b"])
    assert lines_for(source, [SPACED, SPELLED]) == (lines(" a  b ", "a b"), False)
    assert lines_for(source, [SPACED, Words(["a"])]) == (lines("a b", "a b"), True)
    assert lines_for(TextSource.from_texts(["a b"]), [Words(["a"])]) == (lines("a b"), False)


def test_text_is_counted_by_words_and_line_ends() -> None:
    counts = counts_of(lines("가 나", "다"))
    assert (counts.n_tokens, counts.n_words, counts.n_lines, counts.n_characters, counts.n_bytes) == (5, 3, 2, 6, 12)


def test_morphemes_are_not_mixed_with_anything_else() -> None:
    morphemes = Words(["a"])
    morphemes.kind = "morpheme"
    check_mixable([morphemes, morphemes], ["x", "y"])
    check_mixable([SPACED, Words(["a"])], ["x", "y"])
    with pytest.raises(ConfigError, match=r"runs/b \(morpheme\) and runs/a \(bpe\) cannot be mixed.*--tokenizer-from"):
        check_mixable([SPACED, morphemes], ["runs/a", "runs/b"])
