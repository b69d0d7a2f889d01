import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ALL_BYTES, Fixed, Memory, Pieces, RandomModel, Words

from malmoi.errors import ConfigError, RunError
from malmoi.generation.completion import next_words
from malmoi.generation.sampling import MAX_SAMPLES, READ_CHUNK, SamplingOptions, adjust, draw, generate, stream
from malmoi.text.tokenizers import train_tokenizer

BYTES = Pieces([*ALL_BYTES, "하".encode(), " 하".encode(), "세요".encode(), b" \xec\x95", b"the", b" the"])
WORDS = Words(["나는", "너는", "학교에", "집에", "간다", "온다", "."])


def probabilities(row, **options):
    return np.exp(adjust(np.log([row]), SamplingOptions(**options)))[0]


# ------------------------------------------------------------------------------------------------ the distribution


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.5}, r"temperature=-0\.5 cannot.*at least 0 was expected.*try 0\.8"),
        ({"temperature": math.nan}, r"temperature=nan"),
        ({"top_k": 0}, r"top_k=0 would leave.*at least 1 was expected.*try 40"),
        ({"top_p": 0.0}, r"top_p=0\.0 is not.*above 0 and at most 1.*try 0\.9"),
        ({"top_p": 1.5}, r"top_p=1\.5"),
        ({"min_p": -0.1}, r"min_p=-0\.1 is not.*from 0 to 1.*try 0\.05"),
        ({"min_p": 1.1}, r"min_p=1\.1"),
        ({"repetition_penalty": 0.0}, r"repetition_penalty=0\.0 cannot.*above 0 was expected.*try 1\.2"),
    ],
)
def test_options_out_of_range_are_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SamplingOptions(**options)


def test_temperature_sharpens() -> None:  # 0.8 and 0.2 squared are 0.64 and 0.04, which add up to 0.68
    assert probabilities([0.8, 0.2], temperature=0.5) == pytest.approx([0.64 / 0.68, 0.04 / 0.68])


def test_temperature_zero_takes_the_likeliest_and_the_first_of_equals() -> None:
    assert probabilities([0.2, 0.4, 0.4], temperature=0).tolist() == [0, 1, 0]


def test_the_tiniest_temperature_is_still_a_number() -> None:
    assert probabilities([0.2, 0.5, 0.3], temperature=1e-308).tolist() == [0, 1, 0]


def test_top_k_keeps_k_tokens() -> None:
    assert probabilities([0.1, 0.5, 0.4], top_k=2) == pytest.approx([0, 5 / 9, 4 / 9])
    assert probabilities([0.1, 0.5, 0.4], top_k=99) == pytest.approx([0.1, 0.5, 0.4])


def test_top_p_keeps_the_token_that_crosses_it() -> None:  # 0.5 is below 0.6, so 0.3 is needed too; 0.15 is not
    assert probabilities([0.15, 0.5, 0.3, 0.05], top_p=0.6) == pytest.approx([0, 0.5 / 0.8, 0.3 / 0.8, 0])
    assert probabilities([0.15, 0.5, 0.3, 0.05], top_p=0.01).tolist() == [0, 1, 0, 0]


def test_min_p_is_a_share_of_the_best() -> None:  # 0.3 of 0.5 is 0.15
    assert probabilities([0.16, 0.5, 0.2, 0.14], min_p=0.3) == pytest.approx([0.16 / 0.86, 0.5 / 0.86, 0.2 / 0.86, 0])
    assert probabilities([0.16, 0.5, 0.2, 0.14], min_p=0) == pytest.approx([0.16, 0.5, 0.2, 0.14])


def test_repetition_penalty_raises_the_probability_of_seen_tokens_to_a_power() -> None:
    # 0.5 ** 2 = 0.25; with 0.3 and 0.2 untouched the sum is 0.75.
    seen = np.array([[True, False, False]])
    scores = adjust(np.log([[0.5, 0.3, 0.2]]), SamplingOptions(repetition_penalty=2.0), seen)
    assert np.exp(scores[0]) == pytest.approx([0.25 / 0.75, 0.3 / 0.75, 0.2 / 0.75])


@given(
    seed=st.integers(0, 1000),
    temperature=st.floats(0.05, 5),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1),
    min_p=st.none() | st.floats(0, 1),
)
def test_whatever_the_options_probabilities_sum_to_one_and_the_best_stays(
    seed, temperature, top_k, top_p, min_p
) -> None:
    log_probs = np.random.default_rng(seed).standard_normal((3, 11))
    before = log_probs.copy()
    kept = adjust(log_probs, SamplingOptions(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p))
    assert np.exp(kept).sum(axis=1) == pytest.approx([1, 1, 1])
    assert (kept.argmax(axis=1) == log_probs.argmax(axis=1)).all()
    assert ((kept > -np.inf).sum(axis=1) <= (top_k or 11)).all()
    assert (log_probs == before).all()


def test_draws_follow_the_distribution() -> None:
    log_probs = np.log(np.tile([0.1, 0.6, 0.3], (3000, 1)))
    generators = [np.random.default_rng([7, i]) for i in range(3000)]
    shares = np.bincount(draw(log_probs, generators), minlength=3) / 3000
    assert shares == pytest.approx([0.1, 0.6, 0.3], abs=0.03)  # three standard deviations


def test_a_token_without_probability_is_never_drawn() -> None:
    log_probs = np.array([[-np.inf, 0.0, -np.inf]] * 200)
    assert set(draw(log_probs, [np.random.default_rng(i) for i in range(200)])) == {1}


# ------------------------------------------------------------------------------------------------------- the texts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokens": 0}, r"max_tokens=0 would generate nothing.*at least 1 was expected.*try 100"),
        ({"n": 0}, r"n=0 samples.*from 1 to 1024 was expected.*another seed"),
        ({"n": MAX_SAMPLES + 1}, r"n=1025 samples"),
        ({"seed": -1}, r"seed=-1 cannot.*at least 0 was expected.*try 0"),
        ({"stop": ["a", ""]}, r"stop=\['a', ''\] holds an empty text.*at least one character.*leave stop out"),
        ({"stop": "end"}, r"stop='end' is one text.*list of texts was expected.*write \['end'\]"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_drawn(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(RandomModel(WORDS.vocab_size), WORDS, "나는", **arguments)
    if "n" not in arguments:
        with pytest.raises(ConfigError, match=message):
            stream(RandomModel(WORDS.vocab_size), WORDS, "나는", **arguments)


def test_greedy_text_follows_the_likeliest_tokens() -> None:
    model = Memory(
        [WORDS.encode(line + "\n") for line in ["나는 학교에 간다 .", "나는 학교에 온다 .", "나는 학교에 간다 ."]], 11
    )
    assert generate(model, WORDS, "나는", options=SamplingOptions(temperature=0), stop=["\n"]) == [" 학교에 간다 ."]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("나는 학교에", " 간다"),
        ("나는 학교에 ", "간다"),
        ("", "나는 학교에 간다"),
        ("너는 온다\n", "나는 학교에 간다"),
        ("너는 온다", "\n나는 학교에 간다"),
    ],
)
def test_words_join_the_prompt_with_one_space_or_none_after_white_space(prompt, text) -> None:
    lines = ["나는 학교에 간다\n", "나는 학교에 간다\n", "너는 온다\n"]
    model = Memory(map(WORDS.encode, lines), WORDS.vocab_size)
    stop = ["간다"] if "간다" in text else []
    assert (
        generate(model, WORDS, prompt, options=SamplingOptions(temperature=0), max_tokens=9, stop=stop)[0] + "간다"
        == text
    )


def test_sample_i_does_not_depend_on_n() -> None:
    model = RandomModel(WORDS.vocab_size, seed=3)
    texts = generate(model, WORDS, "나는", n=7, seed=5, max_tokens=12)
    assert texts[:3] == generate(model, WORDS, "나는", n=3, seed=5, max_tokens=12)
    assert len(set(texts)) == 7
    assert texts != generate(model, WORDS, "나는", n=7, seed=6, max_tokens=12)


def test_padding_document_start_and_unknown_are_never_generated() -> None:
    model = Fixed([0.3, 0.3, 0.3, 0.02, 0.08])
    assert set("".join(generate(model, Words(["아"]), n=5, max_tokens=20))) == {"아", " ", "\n"}


def test_special_tokens_behind_the_vocabulary_are_never_generated_either() -> None:
    tokenizer = train_tokenizer("word", ["나 너"], min_count=1).with_specials(["[MASK]"])
    mask = tokenizer.special_id("[MASK]")
    model = Fixed([0.05] * mask + [1 - 0.05 * mask])
    texts = generate(model, tokenizer, n=9, max_tokens=30)
    assert set("".join(texts)) == {"나", "너", " ", "\n"}
    assert {row.text for row in next_words(model, tokenizer, "나", 20)} == {"나", "너", "⏎", "<unk>"}


def test_where_only_the_unknown_token_is_possible_it_is_read_and_shows_nothing() -> None:
    assert generate(Fixed([0, 1, 0, 0, 0]), Words(["아"]), max_tokens=4) == [""]


def test_finished_samples_leave_the_batch() -> None:
    model = RandomModel(WORDS.vocab_size, seed=1)
    generate(model, WORDS, n=6, seed=1, max_tokens=60, stop=["간다"])
    sizes = [batch for batch, _ in model.shapes[1:]]
    assert sizes[0] > sizes[-1] >= 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_long_prompt_is_read_in_chunks() -> None:
    model = RandomModel(WORDS.vocab_size)
    generate(model, WORDS, "나는 " * 600, max_tokens=1)
    assert [time for _, time in model.shapes] == [READ_CHUNK, READ_CHUNK, 600 - 2 * READ_CHUNK]


def test_repetition_penalty_looks_at_the_prompt_and_at_the_text() -> None:
    tokenizer = Words(["가", "나", "다"])
    model = Fixed([0, 0, 0, 0, 0.5, 0.3, 0.2])
    options = SamplingOptions(temperature=0, repetition_penalty=3.0)  # 0.5 ** 3 = 0.125, 0.3 ** 3 = 0.027
    assert generate(model, tokenizer, "가", options=options, max_tokens=3) == [" 나 다 가"]


@pytest.mark.parametrize("prompt", ["뷁 𓀀 ﷽", "\ud800", "\x00", "é", "<bos>", "줄\r\n줄"])
def test_any_unicode_is_a_prompt(prompt) -> None:
    assert generate(RandomModel(WORDS.vocab_size), WORDS, prompt, max_tokens=2, n=2)
    assert generate(Fixed([1 / BYTES.vocab_size] * BYTES.vocab_size), BYTES, prompt, max_tokens=2)


def test_a_model_that_gives_nan_is_named_as_the_cause() -> None:
    model = RandomModel(WORDS.vocab_size)
    model.table[:, 4] = np.nan
    with pytest.raises(RunError, match=r"gave NaN.*at most 0 were expected.*train again or load another run"):
        generate(model, WORDS, "나는")


# ------------------------------------------------------------------------------------------- stop strings, streaming


def test_a_stop_string_may_span_tokens_and_is_left_out() -> None:
    tokenizer = Pieces([b"x", b"ab", b"cd", b"y"])
    model = Memory([tokenizer.encode("xxabcdy\n")], tokenizer.vocab_size)
    assert generate(model, tokenizer, "x", options=SamplingOptions(temperature=0), stop=["bc"]) == ["xa"]


def test_the_stop_string_that_is_complete_first_wins() -> None:
    text = "xxabcdy\n"
    for pieces in ([b"x", b"abcdy"], [b"x", b"a", b"b", b"c", b"d", b"y"], [b"x", b"abc", b"dy"]):
        tokenizer = Pieces(pieces)
        model = Memory([tokenizer.encode(text)], tokenizer.vocab_size)
        options = SamplingOptions(temperature=0)
        assert generate(model, tokenizer, "x", options=options, stop=["abcd", "c"]) == ["xab"]


def test_a_stop_string_that_never_comes_takes_nothing_away() -> None:
    tokenizer = Pieces([b"x", b"ab"])
    model = Memory([tokenizer.encode("xab\n")], tokenizer.vocab_size)
    options = SamplingOptions(temperature=0)
    assert generate(model, tokenizer, "x", options=options, stop=["abc"], max_tokens=1) == ["ab"]


def test_a_stream_holds_back_what_may_be_a_stop_string() -> None:
    tokenizer = Pieces([b"x", b"a", b"b", b"c"])
    model = Memory([tokenizer.encode("xxabaabc\n")], tokenizer.vocab_size)
    options = SamplingOptions(temperature=0)
    pieces = list(stream(model, tokenizer, "x", options=options, stop=["abc"]))
    assert pieces == ["x", "ab", "a"]  # "ab" had to wait for the third "a", and the last "ab" turned out to be a stop


def test_a_stream_never_shows_half_a_character() -> None:
    model = Memory([BYTES.encode("안녕하세요\n")], BYTES.vocab_size)
    options = SamplingOptions(temperature=0)
    assert list(stream(model, BYTES, options=options, stop=["\n"])) == ["안", "녕", "하", "세요"]
    assert generate(model, BYTES, options=options, max_tokens=5) == ["안"]  # the two bytes of 녕 are dropped


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), stop=st.lists(st.sampled_from(["the", "하세", "\n", "a b"]), max_size=2))
def test_the_pieces_of_a_stream_are_the_text(seed, stop) -> None:
    small = Pieces([b" ", b"a", b" b", b"th", b"e", b"\xec", b"\xec\x84", b"\xb8", b"\x9a\x94", "하".encode()])
    model = RandomModel(small.vocab_size, seed=seed, banned=[0, 1, 2])
    pieces = list(stream(model, small, "a", seed=seed, stop=stop, max_tokens=40))
    text = generate(model, small, "a", seed=seed, stop=stop, max_tokens=40, n=2)[0]
    assert "".join(pieces) == text
    assert all(pieces)
    assert not any(s in text for s in stop)


@given(st.lists(st.sampled_from([*"ᄒᄀᄋ", *"ᅡᅦ", *"ᆫᆼ", "a", " ", "\u0301"]), max_size=12))
def test_syllables_of_the_jamo_kind_come_out_whole(jamo) -> None:
    tokenizer = Pieces([c.encode() for c in ["ᄒ", "ᄀ", "ᄋ", "ᅡ", "ᅦ", "ᆫ", "ᆼ", "a", " ", "\u0301"]], kind="jamo")
    text = "".join(jamo)
    model = Memory([tokenizer.encode(text + "\n")], tokenizer.vocab_size)
    pieces = list(stream(model, tokenizer, options=SamplingOptions(temperature=0), stop=["\n"]))
    assert "".join(pieces) == unicodedata.normalize("NFC", text)


# --------------------------------------------------------------------------------------------- the end of a prompt


def test_a_prompt_that_ends_in_a_space_is_continued_as_if_it_did_not() -> None:
    lines = ["나는 하늘", "나는 하루", "the the"]
    model = Memory([BYTES.encode(line + "\n") for line in lines], BYTES.vocab_size)
    options = SamplingOptions(temperature=0)
    for prompt in ("나는", "나는 "):
        assert (prompt + generate(model, BYTES, prompt, options=options, stop=["\n"])[0]).startswith("나는 하")


def test_a_prompt_that_ends_inside_a_word_may_be_finished_by_a_longer_token() -> None:
    tokenizer = Pieces([*ALL_BYTES, b" th", b" there", b" then"])
    model = Memory([tokenizer.encode("go there\n")] * 2 + [tokenizer.encode("go then\n")], tokenizer.vocab_size)
    assert generate(model, tokenizer, "go th", options=SamplingOptions(temperature=0), stop=["\n"]) == ["ere"]
    assert generate(model, tokenizer, "go th", options=SamplingOptions(temperature=0), max_tokens=1) == ["ere\n"]
    texts = generate(model, tokenizer, "go th", n=60, stop=["\n"], options=SamplingOptions(top_p=0.9))
    assert set(texts) == {"ere", "en"}


def test_an_end_the_model_rules_out_is_read_as_it_was_typed() -> None:
    tokenizer = Pieces([b"a", b"ab", b"c"])
    model = Fixed([0, 0, 0, 0.1, 0, 0, 0.9])
    assert generate(model, tokenizer, "ca", options=SamplingOptions(temperature=0), max_tokens=2) == ["cc"]
