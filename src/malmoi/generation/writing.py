"""Tokens turned into text as they are drawn.

Only what can no longer change is released: whole UTF-8 characters, whole Hangul syllables, whole words where morphemes
may still contract, and nothing that might be the beginning of a stop string.
"""

import codecs
import unicodedata
from collections.abc import Sequence

from malmoi.text.tokenizers import Tokenizer


class ByteText:
    """The text of tokens that each add bytes to it: all kinds but `morpheme`.

    Args:
        tokenizer: Where the tokens come from.
        surfaces: Its `token_bytes()`.
        prompt: What stands before the text.
        skip: Bytes of the first token that the prompt already shows.
    """

    def __init__(self, tokenizer: Tokenizer, surfaces: Sequence[bytes], prompt: str, skip: int) -> None:
        self._surfaces, self._skip = surfaces, skip
        self._is_words, self._is_jamo = tokenizer.kind == "word", tokenizer.kind == "jamo"
        self._after_space = not prompt or prompt[-1].isspace()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""  # jamo that later ones may join into one syllable

    def add(self, token_id: int) -> str:
        """What is final now."""
        surface, self._skip = self._surfaces[token_id][self._skip :], 0
        if self._is_words:
            surface = surface.removeprefix(b" ") if self._after_space else surface
            self._after_space = surface.endswith(b"\n") or (self._after_space and not surface)
        text = self._open + self._decoder.decode(surface)
        cut = len(text)
        if self._is_jamo:  # the last syllable stays back, and is composed when the next one begins
            cut = max(len(text) - 1, 0)
            while cut > 0 and (unicodedata.category(text[cut]).startswith("M") or "\u1160" <= text[cut] <= "\u11ff"):
                cut -= 1
        self._open = text[cut:]
        return unicodedata.normalize("NFC", text[:cut]) if self._is_jamo else text

    def rest(self) -> str:
        """What was waiting for more; the bytes of a character that never became whole are dropped."""
        return unicodedata.normalize("NFC", self._open)


class MorphemeText:
    """The text of morphemes: how they contract and where spaces go is known only when the next word begins.

    Args:
        tokenizer: Where the morphemes come from.
        given: The last morphemes of the prompt where it ends in a word, as the first new ones may belong to that word.
    """

    def __init__(self, tokenizer: Tokenizer, given: Sequence[int]) -> None:
        self._decode, self._eos_id = tokenizer.decode, tokenizer.eos_id
        self._ids = list(given)  # of words that are not released yet
        self._n_given, self._shown = len(given), tokenizer.decode(given)

    def add(self, token_id: int) -> str:
        """What is final now."""
        if token_id == self._eos_id:
            return self._take(len(self._ids)) + "\n"
        self._ids.append(token_id)
        whole = self._decode(self._ids)
        for cut in range(len(self._ids) - 1, max(self._n_given, 1) - 1, -1):
            if f"{self._decode(self._ids[:cut])} {self._decode(self._ids[cut:])}" == whole:
                return self._take(cut) + " "
        return ""

    def rest(self) -> str:
        """The last word."""
        return self._take(len(self._ids))

    def _take(self, n: int) -> str:
        text = self._decode(self._ids[:n])
        if not text.startswith(self._shown):  # the new morphemes would contract with the prompt, which stays as it is
            text = self._shown + self._decode(self._ids[self._n_given : n])
        text = text[len(self._shown) :]
        self._ids, self._n_given, self._shown = self._ids[n:], 0, ""
        return text


class Writer:
    """Turns the tokens of one sample into text, releasing only what can no longer change."""

    def __init__(self, text: ByteText | MorphemeText, stop: Sequence[str]) -> None:
        self.stopped = False
        self._text = text
        self._stop = stop
        self._held = ""  # what may turn out to be the beginning of a stop string

    def write(self, token_id: int) -> str:
        return self._release(self._text.add(token_id))

    def close(self) -> str:
        """What was held back."""
        if self.stopped:
            return ""
        last = self._release(self._text.rest())
        if not self.stopped:
            last, self.stopped = last + self._held, True
        return last

    def _release(self, text: str) -> str:
        text = self._held + text
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in self._stop if stop in text]
        if found:  # the stop string that is complete first, however the text is cut into tokens
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        longest = min(max((len(stop) for stop in self._stop), default=1) - 1, len(text))
        kept = next((k for k in range(longest, 0, -1) if any(s.startswith(text[-k:]) for s in self._stop)), 0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]
