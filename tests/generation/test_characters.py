"""Whatever the model says, what is generated is made of whole characters."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malmoi.generation.characters import WholeCharacters, begins_text, tail_of
from malmoi.generation.sampling import SamplingOptions, generate
from malmoi.models.baselines import UniformModel
from malmoi.text.tokenizers import train_tokenizer

BYTES = [bytes([byte]) for byte in range(256)]


@given(st.text(max_size=6), st.integers(0, 30))
def test_the_beginning_of_a_text_is_one_and_its_tail_is_what_is_not_whole(text: str, cut: int) -> None:
    data = text.encode()[:cut]
    assert begins_text(data)
    tail = tail_of(data)
    assert data.endswith(tail)
    data[: len(data) - len(tail)].decode()
    assert len(tail) < 4
    assert not tail or not _whole(tail)


def _whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("tail", [b"", b"\xea", b"\xea\xb0", b"\xf0\x9f", b"\xc3", b"\xe0", b"\xf4"])
def test_of_bytes_those_are_allowed_that_some_character_has_there(tail: bytes) -> None:
    """Against all characters, one by one."""
    characters = [chr(point).encode() for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    wanted = {data[len(tail)] for data in characters if data.startswith(tail)}
    allowed = WholeCharacters(BYTES).allowed(tail)
    assert set(np.flatnonzero(allowed).tolist()) == wanted


def test_pieces_that_begin_or_end_inside_a_character() -> None:
    pieces = [b"a", "가".encode(), b"\xea\xb0", b"\x80b", b"\x80", b"\n", b"\xb0\x80", b""]
    whole = WholeCharacters(pieces)
    assert WholeCharacters([b"a", b"\n"]).allowed(b"").all()
    assert whole.allowed(b"").tolist() == [True, True, True, False, False, True, False, True]
    assert whole.tail_after(b"", 2) == b"\xea\xb0"
    assert whole.allowed(b"\xea\xb0").tolist() == [False, False, False, True, True, False, False, False]
    assert whole.tail_after(b"\xea\xb0", 3) == b""


@pytest.mark.parametrize("kind", ["char", "jamo", "bpe", "unigram"])
@pytest.mark.parametrize("prompt", ["", "가나", "가 x", "ok🙂"])
def test_no_text_holds_a_torn_character(kind: str, prompt: str) -> None:
    """A model to which all tokens are alike, of which half are bytes here."""
    tokenizer = train_tokenizer(kind, ["가나 다라", "ab c"] * 9, vocab_size=340)
    model = UniformModel(tokenizer.vocab_size)
    texts = [
        *generate(model, tokenizer, prompt, max_tokens=60, n=8, seed=1),
        *generate(model, tokenizer, prompt, max_tokens=60, n=2, options=SamplingOptions(top_k=3), seed=2),
    ]
    assert all("\ufffd" not in text for text in texts)
    assert any(ord(character) > 127 for character in itertools.chain(*texts))
