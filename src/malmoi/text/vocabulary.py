"""tokenizer.json: what a tokenizer knows, in the layout that Hugging Face `tokenizers` reads.

Each kind has one fixed layout, which `_layout` draws, and the vocabulary stands in it:

    kind       model in the file               ids from 4 on
    word       WordLevel, cut at white space   words, most frequent first
    morpheme   WordLevel, cut beforehand       form/TAG, most frequent first
    char       BPE without merges, NFC         256 bytes, then characters, most frequent first
    jamo       BPE without merges, NFD         256 bytes, then jamo and other characters, most frequent first
    bpe        BPE over bytes                  256 bytes, then merges in the order learned
    unigram    Unigram                         256 bytes, then pieces, most probable first

Ids 0 to 3 are the special tokens everywhere; others, as [MASK], stand behind the vocabulary where they are asked for. Who uses
a tokenizer asks it for its ids (`SpecialIds`): those of other makers lie elsewhere.

The library never sees a file that we have not checked: `from_json` accepts these six layouts and nothing else, so no pattern
or step of somebody else's making runs.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json as parsed

from malmoi.errors import RunError

KINDS = ("word", "char", "jamo", "bpe", "unigram", "morpheme")
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
PAD, UNK, BOS, EOS = range(4)
FIRST_BYTE = len(SPECIALS)  # id of byte 0 where bytes have ids of their own: char, jamo, unigram
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

# Unigram looks for the likeliest path and may walk over any piece of its list. Specials and bytes must not match text
# that looks like them, so they score far below any text, and the characters of their names are always pieces too.
HIDDEN_SCORE = -10_000.0
NAMING_CHARACTERS = tuple(sorted({*"".join(SPECIALS), *"".join(BYTE_TOKENS)}))

HALF_PAIR = re.compile("[\ud800-\udfff]")

# What str.split() splits at. Written out, since the library's own idea of white space lacks U+001C to U+001F.
WHITE_SPACE = (
    r"[\x{9}-\x{D}\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]+"
)


def _byte_alphabet() -> str:
    """256 visible characters, one for each byte: those Latin-1 can show stand for themselves, others from U+0100 on.

    Source: Radford et al. 2019, section 2.2, and the encoder published with it.
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in shown else next(others)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()
_BYTE_OF = {character: byte for byte, character in enumerate(BYTE_ALPHABET)}


class Vocabulary(NamedTuple):
    """Everything that tokenizer.json holds."""

    kind: str
    pieces: list[str]  # pieces[i] is the token with id i, as the file spells it
    merges: Sequence[tuple[str, str]] = ()  # of bpe, first learned first
    scores: Sequence[float] = ()  # of unigram, ln P(piece), one for each piece
    specials: tuple[str, ...] = ()  # names of the special tokens behind the pieces, whose ids go on from theirs
    ids: Mapping[str, int] | None = None  # the id of each piece, where reading the file has made this table already


class SpecialIds(NamedTuple):
    """The ids of a tokenizer that stand for no text of their own; a vocabulary's other ids are its words or pieces."""

    pad: int
    unk: int
    bos: int
    eos: int
    others: tuple[int, ...] = ()  # that a rung needs beside these: [MASK], say

    @property
    def all(self) -> list[int]:
        """Every one of them, once."""
        return sorted({*self[:4], *self.others})


TokenIds = NDArray[np.int32]


class Encoded(NamedTuple):
    """Lines as ids, one after the other, and the words that stand behind UNK."""

    ids: TokenIds
    unknown: list[str]  # distinct
    which: NDArray[np.int64]  # for each UNK in turn, its place in `unknown`


def word_vocabulary(words: Sequence[str]) -> Vocabulary:
    """The special tokens, and after them these words."""
    return Vocabulary("word", [*SPECIALS, *words])


def surfaces(vocabulary: Vocabulary) -> list[bytes]:
    """The bytes that each id adds to a text: nothing for specials, but a line break for eos."""
    kind, pieces = vocabulary.kind, vocabulary.pieces[FIRST_BYTE:]
    if kind == "word":
        found = [b" " + piece.encode() for piece in pieces]
    elif kind == "morpheme":
        found = [b" " + piece.rpartition("/")[0].encode() for piece in pieces]
    elif kind == "bpe":
        found = [bytes(_BYTE_OF[character] for character in piece) for piece in pieces]
    else:
        found = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in pieces[256:]]
    return [b"", b"", b"", b"\n", *found, *(b"" for _ in vocabulary.specials)]


def to_json(vocabulary: Vocabulary) -> str:
    """The text of tokenizer.json."""
    layout = _layout(vocabulary.kind)
    layout["added_tokens"] += _added(vocabulary.specials, len(vocabulary.pieces))
    if vocabulary.kind == "unigram":
        layout["model"]["vocab"] = list(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    else:
        layout["model"]["vocab"] = {piece: token_id for token_id, piece in enumerate(vocabulary.pieces)}
    if vocabulary.kind == "bpe":
        layout["model"]["merges"] = list(vocabulary.merges)
    return json.dumps(layout, ensure_ascii=False, separators=(",", ":")) + "\n"


def from_json(text: str, name: str) -> Vocabulary:
    """Read and check the text of a tokenizer.json.

    Args:
        text: What the file holds, from anywhere.
        name: How messages call it.

    Raises:
        RunError: If it is not one that `to_json` can have written.
    """
    try:
        return _vocabulary(_content(text))
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{name} is damaged or not ours: {str(error)[:200]}. Expected a tokenizer that malmoi wrote, whole and "
            "unchanged. Copy the run again, or train its tokenizer again."
        ) from error


def _content(text: str) -> object:
    """What a JSON text holds, by the parser that takes half the time; what it refuses, the usual one reads or explains."""
    try:
        return parsed(text, cache_strings="none")
    except ValueError:
        return json.loads(text)


def _layout(kind: str) -> dict[str, Any]:
    """tokenizer.json without the vocabulary. That no two kinds share a layout tells the kind of a file."""
    bpe = {
        **{"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None},
        **{"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": kind != "bpe", "ignore_merges": False},
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(SPECIALS, 0),
        "normalizer": {"type": "NFD" if kind == "jamo" else "NFC"},
        "pre_tokenizer": {
            "word": {"type": "Split", "pattern": {"Regex": WHITE_SPACE}, "behavior": "Removed", "invert": False},
            "bpe": byte_level,
            "unigram": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": False},
        }.get(kind),
        "post_processor": None,
        "decoder": {"word": None, "morpheme": None, "bpe": byte_level}.get(
            kind, {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
        ),
        "model": {
            "word": {"type": "WordLevel", "unk_token": "<unk>"},
            "morpheme": {"type": "WordLevel", "unk_token": "<unk>"},
            "bpe": bpe,
            "unigram": {"type": "Unigram", "unk_id": UNK, "byte_fallback": True},
        }.get(kind, {**bpe, "merges": []}),
    }


def _added(names: Sequence[str], first_id: int) -> list[dict[str, Any]]:
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": i, "content": name, **special} for i, name in enumerate(names, first_id)]


def check_specials(names: Sequence[str], pieces: Sequence[str]) -> None:
    """ValueError says what is wrong with names of special tokens to stand behind the pieces."""
    known = set(pieces)
    for name in names:
        if not name or not name.isprintable() or " " in name or unicodedata.normalize("NFC", name) != name:
            raise ValueError(f"the special token {name!r:.40} is not one word of visible characters in NFC")
        if name in known:
            raise ValueError(f"the special token {name!r:.40} has the name of another token")
        known.add(name)


def _vocabulary(content: object) -> Vocabulary:
    """The vocabulary in the content of a tokenizer.json; ValueError says what is wrong with it."""
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError("it has no model")
    if not isinstance(added := content.get("added_tokens"), list):
        raise ValueError("it has no special tokens")
    added, behind = added[: len(SPECIALS)], added[len(SPECIALS) :]
    given, content = content["model"], {**content, "added_tokens": added}
    for kind in KINDS:
        variable = {"vocab", "merges"} if kind == "bpe" else {"vocab"}
        fixed = {key: value for key, value in given.items() if key not in variable}
        if variable <= given.keys() and {**content, "model": fixed} == _layout(kind):
            break
    else:
        raise ValueError("its layout belongs to none of the kinds " + ", ".join(KINDS))
    scores: list[float] = []
    if kind == "unigram":
        pieces, scores = _pieces_and_scores(given["vocab"])
    else:
        pieces = _pieces_by_id(given["vocab"])
    if tuple(pieces[:FIRST_BYTE]) != SPECIALS:
        raise ValueError(f"its ids 0 to 3 are {pieces[:FIRST_BYTE]} instead of {list(SPECIALS)}")
    if "" in pieces or HALF_PAIR.search("".join(pieces)):
        piece = next(piece for piece in pieces if not piece or HALF_PAIR.search(piece))
        raise ValueError(f"the piece {piece!r:.40} is not text")
    if kind in ("char", "jamo", "unigram") and tuple(pieces[FIRST_BYTE:][:256]) != BYTE_TOKENS:
        raise ValueError("its ids 4 to 259 are not the 256 bytes")
    if kind in ("char", "jamo") and any(len(piece) != 1 for piece in pieces[FIRST_BYTE + 256 :]):
        raise ValueError("a piece is longer than one character")
    names = tuple(str(token.get("content")) for token in behind if isinstance(token, dict))
    if behind != _added(names, len(pieces)):
        raise ValueError("the special tokens behind its pieces are not numbered from there")
    check_specials(names, pieces)
    merges = _merges(given["merges"], pieces) if kind == "bpe" else ()
    ids = given["vocab"] if kind in ("word", "morpheme") else None
    return Vocabulary(kind, pieces, merges, scores, names, ids)


def _pieces_by_id(vocab: object) -> list[str]:
    if not isinstance(vocab, dict) or not set(map(type, vocab.values())) <= {int}:
        raise ValueError("its vocabulary does not give each piece a whole number")
    in_order = list(range(len(vocab)))
    if list(vocab.values()) == in_order:  # as we write it
        return list(vocab)
    if sorted(vocab.values()) != in_order:
        raise ValueError(f"its {len(vocab)} ids are not 0 to {len(vocab) - 1}, each once")
    return sorted(vocab, key=vocab.__getitem__)


def _pieces_and_scores(vocab: object) -> tuple[list[str], list[float]]:
    if not isinstance(vocab, list) or not all(
        isinstance(entry, list) and list(map(type, entry)) == [str, float] for entry in vocab
    ):
        raise ValueError("its vocabulary is not a list of pieces with their scores")
    pieces, scores = [entry[0] for entry in vocab], [entry[1] for entry in vocab]
    if len(set(pieces)) != len(pieces):
        raise ValueError("a piece stands in it twice")
    hidden = FIRST_BYTE + 256
    if not all(math.isfinite(score) and HIDDEN_SCORE / 10 < score <= 0 for score in scores[hidden:]):
        raise ValueError("a score is not the logarithm of a probability")
    if any(score != HIDDEN_SCORE for score in scores[:hidden]):
        raise ValueError(f"a special token or a byte has another score than {HIDDEN_SCORE}")
    if missing := [character for character in (" ", *NAMING_CHARACTERS) if character not in pieces[hidden:]]:
        raise ValueError(f"it lacks the piece {missing[0]!r}")
    return pieces, scores


def _merges(merges: object, pieces: list[str]) -> list[tuple[str, str]]:
    known = set(pieces[FIRST_BYTE:])
    if not set(BYTE_ALPHABET) <= known or not all(_BYTE_OF.keys() >= set(piece) for piece in known):
        raise ValueError("its pieces are not made of the 256 bytes")
    if not isinstance(merges, list) or len(merges) > len(pieces):
        raise ValueError("its merges are not a list, or more than its pieces")
    for merge in merges:
        if not isinstance(merge, list) or list(map(type, merge)) != [str, str]:
            raise ValueError(f"the merge {merge!r:.40} is not a pair")
        if not {merge[0], merge[1], merge[0] + merge[1]} <= known:
            raise ValueError(f"the merge {merge!r:.40} does not join two pieces to a third")
    return [(left, right) for left, right in merges]
