"""The vocabulary arranged for the search of words: which tokens can spell what was typed, and where words end.

What is typed and what tokens spell meet as keystrokes; see `malmoi.generation.completion`.
"""

import codecs
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from malmoi.text.hangul import FIRST_SYLLABLE, N_SYLLABLES, keystrokes
from malmoi.text.tokenizers import Tokenizer


def is_word_character(character: str) -> bool:
    """True for what words are made of: letters, digits, combining marks and the joiners ' ’ - _ and zero-width ones."""
    return character.isalnum() or character in "'’-_\u200c\u200d" or unicodedata.category(character).startswith("M")


class VocabularyIndex:
    """A vocabulary arranged for search: what each token spells, and which tokens fit what was typed."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.is_words = tokenizer.kind == "word"
        self.surfaces = [s.removeprefix(b" ") if self.is_words else s for s in tokenizer.token_bytes()]
        silent = set(tokenizer.special_ids.all)
        whole: list[tuple[str, int]] = []  # (keystrokes, id) of tokens that are whole characters
        self._parts: dict[int, list[int]] = defaultdict(list)  # first byte -> ids of tokens that are not
        breaks: list[int] = []
        inner: list[int] = []
        continuations: list[int] = []
        for token_id, surface in enumerate(self.surfaces):
            if token_id in silent or not surface:
                continue
            if 0x80 <= surface[0] < 0xC0:
                continuations.append(token_id)
                self._parts[surface[0]].append(token_id)
                continue
            text, pending = whole_characters(surface) or ("", b"?")
            (breaks if text and not is_word_character(text[0]) else inner).append(token_id)
            if pending:
                self._parts[surface[0]].append(token_id)
            else:
                whole.append((keystrokes(text), token_id))
        whole.sort()
        self._keys = [keys for keys, _ in whole]
        self._ids = np.array([token_id for _, token_id in whole], dtype=np.int64)
        self.breaks, self.inner, self.continuations = (np.array(x, np.int64) for x in (breaks, inner, continuations))
        self.openers = np.sort(np.concatenate([self.breaks, self.inner]))
        self.ends = np.append(self.breaks, (tokenizer.bos_id, tokenizer.eos_id))
        self._memory: dict[tuple[bytes, str], tuple[npt.NDArray[np.int64], list[str]]] = {}

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
        if (pending, typed) in self._memory:
            return self._memory[pending, typed]
        covering = self._ids[:0]
        partial: list[tuple[int, str]] = []
        if not pending:
            covering = self._ids[self._range(typed)]
            if not self.is_words:
                for cut in range(1, len(typed)):
                    span = self._exactly(typed[:cut])
                    if span.start < span.stop and len(self.compatible(b"", typed[cut:])[0]):
                        partial += [(int(token_id), typed[cut:]) for token_id in self._ids[span]]
        possible = _possible_bytes(typed)
        for first_byte, token_ids in self._parts.items():
            if pending + bytes([first_byte]) in possible:
                for token_id in token_ids:
                    after = advance(pending, typed, self.surfaces[token_id])
                    if after is not None and (not after[1] or len(self.compatible(*after)[0])):
                        partial.append((token_id, after[1]))
        ids = np.concatenate([covering, np.array([token_id for token_id, _ in partial], dtype=np.int64)])
        answer = ids, [""] * len(covering) + [left for _, left in partial]
        if len(self._memory) > 10_000:
            self._memory.clear()
        self._memory[pending, typed] = answer
        return answer

    def _range(self, prefix: str) -> slice:
        """Where the tokens stand whose keystrokes begin with these."""
        cut = len(prefix)
        return slice(bisect_left(self._keys, prefix), bisect_right(self._keys, prefix, key=lambda keys: keys[:cut]))

    def _exactly(self, keys: str) -> slice:
        return slice(bisect_left(self._keys, keys), bisect_right(self._keys, keys))


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
        parts = [tokenizer.token(int(token_id)).rpartition("/") for token_id in self.ids]
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
