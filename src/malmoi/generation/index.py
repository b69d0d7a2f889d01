"""The vocabulary arranged for the search of words: which tokens can spell what was typed, and where words end.

What is typed and what tokens spell meet as keystrokes; see `malmoi.generation.completion`.
"""

import codecs
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from malmoi.text.hangul import FIRST_SYLLABLE, N_SYLLABLES, keystrokes
from malmoi.text.tokenizers import Tokenizer

END_POINT = 0xDCFF  # what the byte 0xFF is read as, which stands behind each token
_END = chr(END_POINT)


def is_word_character(character: str) -> bool:
    """True for what words are made of: letters, digits, combining marks and the joiners ' ’ - _ and zero-width ones."""
    return character.isalnum() or character in "'’-_\u200c\u200d" or unicodedata.category(character).startswith("M")


class VocabularyIndex:
    """A vocabulary arranged for search: what each token spells, and which tokens fit what was typed.

    It is made of whole arrays, and tokens are put in the order of their keystrokes only where they begin with a key asked
    for. Many threads may ask at once: what is remembered is never changed, and at worst made twice.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.is_words = tokenizer.kind == "word"
        self.surfaces = tokenizer.token_bytes()
        if self.is_words:
            self.surfaces = [surface.removeprefix(b" ") for surface in self.surfaces]
        speaks = np.fromiter(map(bool, self.surfaces), np.bool_, len(self.surfaces))
        speaks[tokenizer.special_ids.all] = False
        self._points, self._begins, self._ends, is_whole = _decoded(self.surfaces)
        begins_word, self._first_keys = self._first_characters()
        is_break, is_continuation = speaks & is_whole & ~begins_word, np.zeros_like(speaks)
        self._parts: dict[int, list[int]] = defaultdict(
            list
        )  # first byte -> ids of tokens that are not whole characters
        for token_id in np.flatnonzero(speaks & ~is_whole).tolist():
            surface = self.surfaces[token_id]
            self._parts[surface[0]].append(token_id)
            text, _ = whole_characters(surface) or ("", b"")
            is_continuation[token_id] = 0x80 <= surface[0] < 0xC0
            is_break[token_id] = bool(text) and not is_word_character(text[0])
        self._is_whole = speaks & is_whole
        self.breaks, self.continuations = np.flatnonzero(is_break), np.flatnonzero(is_continuation)
        self.openers = np.flatnonzero(speaks & ~is_continuation)
        self.inner = np.flatnonzero(speaks & ~is_continuation & ~is_break)
        self.ends = np.append(self.breaks, (tokenizer.bos_id, tokenizer.eos_id))
        self._sorted: dict[str, tuple[list[str], npt.NDArray[np.int64]]] = {}
        self._memory: dict[tuple[bytes, str], tuple[npt.NDArray[np.int64], list[str]]] = {}

    def _first_characters(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint32]]:
        """Of each token, whether its first character belongs to a word, and that character's first keystroke."""
        points, which = np.unique(self._points[self._begins], return_inverse=True)
        characters = [chr(point) for point in points.tolist()]
        is_word = np.array([is_word_character(character) for character in characters])
        return is_word[which], np.array([ord(keystrokes(character)[0]) for character in characters], np.uint32)[which]

    def word_end(self, text: str) -> int | None:
        """Where the word ends that the text begins with, spaces before it included; None while it may go on."""
        if self.is_words:
            return len(text)
        start = len(text) - len(text.lstrip())
        for at in range(start, len(text)):
            if not is_word_character(text[at]):
                return max(at, start + 1)  # a mark is a word by itself
        return None

    def compatible(self, pending: bytes, typed: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Tokens that fit the typed keystrokes, and what of these each leaves; none that leads to a dead end.

        Args:
            pending: The bytes of a character that has begun.
            typed: Keystrokes to spell, beginning with that character; not empty.
        """
        known = self._memory.get((pending, typed))
        if known is not None:
            return known
        covering = np.zeros(0, np.int64)
        partial: list[tuple[int, str]] = []
        if not pending:
            keys, token_ids = self._beginning_with(typed[0])
            cut = len(typed)
            first = bisect_left(keys, typed)
            covering = token_ids[first : bisect_right(keys, typed, first, key=lambda key: key[:cut])]
            for cut in range(1, len(typed)) if not self.is_words else ():
                exact = token_ids[bisect_left(keys, typed[:cut]) : bisect_right(keys, typed[:cut])]
                if len(exact) and len(self.compatible(b"", typed[cut:])[0]):
                    partial += [(token_id, typed[cut:]) for token_id in exact.tolist()]
        possible = _possible_bytes(typed)
        for first_byte, part_ids in self._parts.items():
            if pending + bytes([first_byte]) in possible:
                for token_id in part_ids:
                    after = advance(pending, typed, self.surfaces[token_id])
                    if after is not None and (not after[1] or len(self.compatible(*after)[0])):
                        partial.append((token_id, after[1]))
        ids = np.concatenate([covering, np.array([token_id for token_id, _ in partial], dtype=np.int64)])
        answer = ids, [""] * len(covering) + [left for _, left in partial]
        if len(self._memory) > 10_000:
            self._memory.clear()
        self._memory[pending, typed] = answer
        return answer

    def _beginning_with(self, key: str) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Tokens of whole characters whose keystrokes begin with this one: their keystrokes in order, and their ids."""
        if key not in self._sorted:
            token_ids = np.flatnonzero(self._is_whole & (self._first_keys == ord(key)))
            typed = keystrokes(_joined(self._points, self._begins[token_ids], self._ends[token_ids])).split(_END)[:-1]
            order = sorted(range(len(typed)), key=typed.__getitem__)  # of equal ones the first id first
            self._sorted[key] = [typed[i] for i in order], token_ids[order]
        return self._sorted[key]


def _decoded(
    surfaces: Sequence[bytes],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The code points of all tokens, one after the other with END_POINT behind each, bytes that are part of no character as
    surrogates; where each token begins and where its END_POINT stands; which tokens are whole characters.
    """
    data = b"\xff".join([*surfaces, b""])  # a byte that no character has
    text = data.decode("utf-8", "surrogateescape")
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    is_byte = (points >= 0xDC80) & (points <= END_POINT)
    widths = np.where(is_byte, 1, 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000))
    lengths = np.fromiter(map(len, surfaces), np.int64, len(surfaces))
    is_end = np.zeros(len(data), np.bool_)
    is_end[np.cumsum(lengths + 1) - 1] = True
    ends = np.flatnonzero(is_end[np.cumsum(widths) - widths])
    begins = np.append(0, ends[:-1] + 1)
    bytes_before = np.append(0, np.cumsum(is_byte))
    return points, begins, ends, bytes_before[ends] == bytes_before[begins]


def _joined(points: npt.NDArray[np.uint32], begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> str:
    """The text of these stretches of code points, each with its end."""
    lengths = ends + 1 - begins
    places = np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
    return str(points[places].tobytes(), "utf-32-le", "surrogatepass")


def whole_characters(surface: bytes) -> tuple[str, bytes] | None:
    """The whole characters, and the bytes of one that has begun; None if this can never be UTF-8."""
    try:
        text, n_read = codecs.utf_8_decode(surface, "strict", False)
    except UnicodeDecodeError:
        return None
    return text, surface[n_read:]


def advance(pending: bytes, typed: str, surface: bytes) -> tuple[bytes, str] | None:
    """What is pending and what is still to spell after a token; None if the token does not fit."""
    decoded = whole_characters(pending + surface)
    if decoded is None:
        return None
    text, pending = decoded
    keys = keystrokes(text)
    if keys.startswith(typed):
        return pending, ""
    if not typed.startswith(keys):
        return None
    typed = typed[len(keys) :]
    return (pending, typed) if not pending or pending in _possible_bytes(typed) else None


@lru_cache(maxsize=1024)
def _possible_bytes(typed: str) -> frozenset[bytes]:
    """All beginnings, up to the whole, of UTF-8 characters that fit the typed keystrokes."""
    fitting = [(typed[0], typed[0]), *_hangul_by_key().get(typed[0], [])]
    encoded = [c.encode() for c, keys in fitting if keys.startswith(typed) or typed.startswith(keys)]
    return frozenset(character[:length] for character in encoded for length in range(1, len(character) + 1))


@lru_cache(maxsize=1)
def _hangul_by_key() -> dict[str, list[tuple[str, str]]]:
    """First keystroke -> (character, its keystrokes) for every modern syllable and lone jamo."""
    by_key = defaultdict(list)
    for code in (*range(FIRST_SYLLABLE, FIRST_SYLLABLE + N_SYLLABLES), *range(0x3131, 0x3164)):
        keys = keystrokes(chr(code))
        by_key[keys[0]].append((chr(code), keys))
    return dict(by_key)


class MorphemeIndex:
    """The vocabulary of kind `morpheme`, whose words are written as Kiwi joins their morphemes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._decode = tokenizer.decode
        self.ids = np.setdiff1d(np.arange(tokenizer.vocab_size), tokenizer.special_ids.all)
        parts = [tokenizer.piece(token_id).rpartition("/") for token_id in self.ids.tolist()]
        self._forms = [form for form, _, _ in parts]
        self._tags = np.array([tag for _, _, tag in parts])
        self._example_of = {tag: int(token_id) for token_id, tag in zip(self.ids, self._tags, strict=True)}
        self._joined: dict[str, npt.NDArray[np.bool_]] = {}

    def joins(self, token_id: int) -> npt.NDArray[np.bool_]:
        """Which of `ids` are written without a space after this morpheme; their part of speech decides."""
        tag = self._tags[np.searchsorted(self.ids, token_id)]
        if tag not in self._joined:
            alone = [tag_after for tag_after, i in self._example_of.items() if " " in self._decode([token_id, i])]
            self._joined[tag] = ~np.isin(self._tags, alone)
        return self._joined[tag]

    def openers(self, typed: str) -> npt.NDArray[np.bool_]:
        """Which of `ids` may begin a word that was typed this far."""
        return np.array([may_become(form, typed) for form in self._forms])


def may_become(text: str, typed: str) -> bool:
    """True if the text fits the typed keystrokes, or may once more morphemes follow and its last syllable contracts."""
    closed = keystrokes(text[:-1])
    if not typed.startswith(closed):
        return closed.startswith(typed)
    return not typed[len(closed) :] or keystrokes(text[-1:])[:1] == typed[len(closed)]
