"""The next word, and the rest of a half-typed one.

Both are one search. A path is a sequence of tokens after the context; it must first spell what was typed, then goes on
until its word ends. Paths that spell the same word add up, and words are ranked by the model's own log-probability.

What was typed is compared in keystrokes (see `malmoi.text.hangul`), because the last syllable of a word in the making
may still change: 안녕ㅎ, 안녕하ㅅ and 안녕핫 all begin ㅇㅏㄴㄴㅕㅇㅎ(ㅏㅅ), and so does 안녕하세요. Everything but
Hangul is its own keystroke. Tokens of byte-level vocabularies may end inside a character: such a path is kept while the
bytes so far can still become a character that fits.

A word, for tokenizers that keep all characters, is a run of letters, digits, marks and the joiners ' ’ - _ ; for `word`
and `morpheme` it is what stands between spaces, as there.
"""

import math
import unicodedata
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from malmoi.errors import ConfigError
from malmoi.generation.index import MorphemeIndex, VocabularyIndex, is_word_character, may_become, whole_characters
from malmoi.generation.sampling import READ_CHUNK, check_numbers, clean
from malmoi.models.interface import LanguageModel, LogProbs, State
from malmoi.text.hangul import keystrokes
from malmoi.text.tokenizers import Tokenizer

BEAM_SIZE = 16
MAX_FRAGMENT = 64  # characters; nobody half-types a longer word
MAX_TOKENS = 64  # of a word after what was typed
MAX_MORPHEMES = 12  # of a word
WORD_KINDS = ("word", "morpheme")  # a word is what stands between spaces
NEGLIGIBLE = math.log(100)  # a path this far below the k-th word can no longer change the list


class NextToken(NamedTuple):
    """A row of a next-word table."""

    text: str
    probability: float


class Completion(NamedTuple):
    """The whole text with its last word finished, that word, and ln P of the word after the text before it."""

    text: str
    completion: str
    log_prob: float


def next_words(
    model: LanguageModel, tokenizer: Tokenizer, context: str, k: int = 10, *, whole_words: bool = True
) -> list[NextToken]:
    """The k likeliest next words with their probabilities, best first; see `Completer.next_words`."""
    return Completer(model, tokenizer).next_words(context, k, whole_words=whole_words)


def complete(model: LanguageModel, tokenizer: Tokenizer, text: str, k: int = 5) -> list[Completion]:
    """The k likeliest ways to finish the last word; see `Completer.complete`. For many calls, keep a `Completer`."""
    return Completer(model, tokenizer).complete(text, k)


class _Path(NamedTuple):
    log_prob: float
    surface: bytes  # what the tokens spell
    rest: str  # keystrokes that were typed and are not spelled yet


class Completer:
    """Next words and completions of one model, keeping its index of the vocabulary and the last context it read.

    Args:
        model: Any language model.
        tokenizer: The tokenizer it was trained with.
        beam_size: Paths followed side by side where a word has several tokens. The wider, the closer to the exact
            probabilities; a narrower beam can only miss ways to spell a word, so it never overstates one.
    """

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, *, beam_size: int = BEAM_SIZE) -> None:
        if beam_size < 1:
            raise ConfigError(f"beam_size={beam_size} would follow no path. At least 1 was expected: try {BEAM_SIZE}.")
        self.model, self.tokenizer, self.beam_size = model, tokenizer, beam_size
        shown = (tokenizer.eos_id, tokenizer.unk_id)
        self._never = [token_id for token_id in tokenizer.special_ids.all if token_id not in shown]
        self._last: tuple[npt.NDArray[np.int64], LogProbs, State] | None = None

    @cached_property
    def _index(self) -> VocabularyIndex:
        return VocabularyIndex(self.tokenizer)

    @cached_property
    def _morphemes(self) -> MorphemeIndex:
        return MorphemeIndex(self.tokenizer)

    def next_words(self, context: str, k: int = 10, *, whole_words: bool = True) -> list[NextToken]:
        """The k likeliest words to follow, best first, with their probabilities.

        For `word` and `morpheme`, and with whole_words=False, a row is one token and its probability is the model's.

        Otherwise a row is a whole word, one punctuation mark, or the line end. With c the context without its trailing
        spaces, P(w) is the summed probability of the token sequences after c that spell w, spaces before it left out,
        and end where it ends: the next token begins with a space, a mark or a line end, or such a character already
        stands inside the last token. Where c ends in a word character, or a space was typed, P(w) is given that the
        next token begins with a space, a mark or a line end, for otherwise the last word would still be going on. So
        the probabilities of all words sum to 1, apart from what the model gives to tokens that are not text.

        Raises:
            ConfigError: If k is below 1.
        """
        _check_k(k)
        context = clean(context)
        tokenizer = self.tokenizer
        if not whole_words or tokenizer.kind in WORD_KINDS:
            if self.model.finds_top_directly:
                return self._top(context, k)
            log_probs, _ = self._read(context)
            row = log_probs[0].astype(np.float64)
            row[self._never] = -np.inf
            return [NextToken(self._name(int(i)), math.exp(row[i])) for i in _best(row, k) if row[i] > -np.inf]
        stripped = context.rstrip(" \t")
        spaced = stripped != context
        needs_break = bool(stripped) and stripped[-1] != "\n" and (spaced or is_word_character(stripped[-1]))
        log_probs, state = self._read(stripped)
        given = _log_sum(log_probs[0, self._index.ends]) if needs_break else 0.0
        words: dict[str, float] = {}
        for surface, log_prob in self._search(log_probs, state, "", k, needs_break=needs_break, line_end=True).items():
            text = surface.strip() or tokenizer.token(tokenizer.eos_id)
            words[text] = float(np.logaddexp(words.get(text, -math.inf), log_prob))
        ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:k]
        return [NextToken(text, math.exp(log_prob - given)) for text, log_prob in ranked if log_prob > -math.inf]

    def complete(self, text: str, k: int = 5) -> list[Completion]:
        """The k likeliest words that the last, half-typed word may become, best first.

        The model reads the text before that word, never its beginning, so that the word is spelled with the tokens it
        would have in running text. After a space the next word is what is completed. A word nobody can finish with this
        vocabulary gives an empty list.

        `log_prob` is ln P(the word, and that it ends there, given the text before it), in nats. A token of `word` ends
        its word by itself.

        Raises:
            ConfigError: If k is below 1.
        """
        _check_k(k)
        text = clean(text)
        by_spaces = self.tokenizer.kind in WORD_KINDS
        start = len(text)
        while start > 0 and (not text[start - 1].isspace() if by_spaces else is_word_character(text[start - 1])):
            start -= 1
        if len(text) - start > MAX_FRAGMENT:
            return []
        if not by_spaces and start > 0 and text[start - 1] != "\n" and text[start - 1].isspace():
            start -= 1  # the space belongs to the word's first token
        head, typed = text[:start], keystrokes(text[start:])
        log_probs, state = self._read(head)
        search = self._search_morphemes if self.tokenizer.kind == "morpheme" else self._search
        completions = [
            Completion(head + surface, surface.strip(), log_prob)
            for surface, log_prob in search(log_probs, state, typed, k).items()
            if by_spaces or is_word_character(surface.strip()[:1] or " ")
        ]
        return sorted(completions, key=lambda row: (-row.log_prob, row.completion))[:k]

    def _top(self, context: str, k: int) -> list[NextToken]:
        """The k likeliest tokens."""
        tokenizer, model = self.tokenizer, self.model
        token_ids = tokenizer.encode(context).astype(np.int64)
        ids, log_probs, _ = model.top(token_ids[None], model.start(1), k + len(self._never))
        check_numbers(log_probs)
        rows = zip(ids[0].tolist(), log_probs[0].tolist(), strict=True)
        return [NextToken(self._name(i), math.exp(p)) for i, p in rows if i not in self._never and p > -math.inf][:k]

    def _name(self, token_id: int) -> str:
        """A token that is a word as it is; others as people see them."""
        is_word = self.tokenizer.kind in WORD_KINDS and token_id != self.tokenizer.eos_id
        return self.tokenizer.piece(token_id) if is_word else self.tokenizer.token(token_id)

    def _read(self, context: str) -> tuple[LogProbs, State]:
        """log_probs (1, V) after the context, and the state; only what is new since the last call is read."""
        token_ids = self.tokenizer.encode(context).astype(np.int64)
        last = self._last
        if last is not None and np.array_equal(last[0], token_ids[: len(last[0])]):
            known, log_probs, state = last
            begin = len(known)
        else:
            begin, state = 0, self.model.start(1)
            log_probs, state = self.model.step(token_ids[None, :0], state)
        for at in range(begin, len(token_ids), READ_CHUNK):
            log_probs, state = self.model.step(token_ids[None, at : at + READ_CHUNK], state)
        self._last = token_ids, check_numbers(log_probs), state
        return log_probs, state

    def _search(
        self,
        log_probs: LogProbs,
        state: State,
        typed: str,
        k: int,
        *,
        needs_break: bool = False,
        line_end: bool = False,
    ) -> dict[str, float]:
        """Surface of each word found -> ln P. "\\n" is the line end, where it is asked for."""
        index = self._index
        beam_size = max(self.beam_size, 2 * k)
        found: dict[str, float] = {}

        def add(surface: str, log_prob: float) -> None:
            surface = unicodedata.normalize("NFC", surface)
            found[surface] = float(np.logaddexp(found.get(surface, -math.inf), log_prob))

        paths = [_Path(0.0, b"", typed)]
        for turn in range(MAX_FRAGMENT + MAX_TOKENS):
            scores, rows, token_ids = [], [], []  # one array for each path
            rests: list[str] = []
            for row, path in enumerate(paths):
                now = log_probs[row].astype(np.float64) + path.log_prob  # (V,)
                text, pending = whole_characters(path.surface) or ("", b"")
                if path.rest:
                    ids, left = index.compatible(pending, path.rest)
                else:
                    opening = not text.strip()
                    if turn == 0 and needs_break:
                        ids = index.breaks
                    elif pending:
                        ids = index.continuations
                    else:
                        ids = index.openers if opening or index.is_words else index.inner
                    if opening and not pending and line_end:
                        add("\n", now[self.tokenizer.eos_id])
                    if not opening and not pending:
                        add(text, _log_sum(now[index.ends]))
                    left = [""] * len(ids)
                kept = _best(now[ids], beam_size)
                scores.append(now[ids[kept]])
                rows.append(np.full(len(kept), row))
                token_ids.append(ids[kept])
                rests.extend(left[i] for i in kept)
            all_scores, all_rows, all_ids = map(np.concatenate, (scores, rows, token_ids))
            enough = sorted(found.values(), reverse=True)[k - 1] - NEGLIGIBLE if len(found) >= k else -math.inf
            next_paths, from_rows, read_ids = [], [], []
            for i in _best(all_scores, beam_size):
                log_prob, surface = float(all_scores[i]), paths[all_rows[i]].surface + index.surfaces[all_ids[i]]
                decoded = whole_characters(surface)
                if decoded is None or log_prob == -math.inf:
                    continue
                end = index.word_end(decoded[0]) if not rests[i] else None
                if end is not None:
                    add(decoded[0][:end], log_prob)
                elif log_prob > enough:
                    next_paths.append(_Path(log_prob, surface, rests[i]))
                    from_rows.append(int(all_rows[i]))
                    read_ids.append(int(all_ids[i]))
            if not next_paths:
                break
            paths = next_paths
            log_probs, state = self.model.step(np.array(read_ids)[:, None], state.select(from_rows))
            check_numbers(log_probs)
        return found

    def _search_morphemes(self, log_probs: LogProbs, state: State, typed: str, k: int) -> dict[str, float]:
        """Each word found -> ln P, for kind `morpheme`: a word goes on as long as Kiwi writes no space."""
        morphemes, decode = self._morphemes, self.tokenizer.decode
        beam_size = max(self.beam_size, 2 * k)
        found: dict[str, float] = {}
        paths: list[tuple[float, list[int]]] = [(0.0, [])]
        may_follow = [morphemes.openers(typed)]
        for _ in range(MAX_MORPHEMES):
            grown: list[tuple[float, list[int], int]] = []
            for row, (log_prob, ids) in enumerate(paths):
                now = log_probs[row].astype(np.float64) + log_prob  # (V,)
                if ids and keystrokes(word := decode(ids)).startswith(typed):
                    ends = np.append(morphemes.ids[~may_follow[row]], (self.tokenizer.bos_id, self.tokenizer.eos_id))
                    found[word] = float(np.logaddexp(found.get(word, -math.inf), _log_sum(now[ends])))
                options = morphemes.ids[may_follow[row]]
                for i in _best(now[options], 4 * beam_size):
                    after = [*ids, int(options[i])]
                    if " " not in (text := decode(after)) and may_become(text, typed):
                        grown.append((float(now[options[i]]), after, row))
            enough = sorted(found.values(), reverse=True)[k - 1] - NEGLIGIBLE if len(found) >= k else -math.inf
            grown = [path for path in sorted(grown, key=lambda path: -path[0])[:beam_size] if path[0] > enough]
            if not grown:
                break
            paths = [(log_prob, ids) for log_prob, ids, _ in grown]
            may_follow = [morphemes.joins(ids[-1]) for _, ids in paths]
            read_ids = np.array([[ids[-1]] for _, ids in paths])
            log_probs, state = self.model.step(read_ids, state.select([row for _, _, row in grown]))
            check_numbers(log_probs)
        return found


def _best(scores: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.int64]:
    """Positions of the k highest scores, best first; of equals the first."""
    if len(scores) > 4 * k:
        floor = scores[np.argpartition(-scores, k - 1)[k - 1]]
        above = np.flatnonzero(scores >= floor)
    else:
        above = np.arange(len(scores))
    return above[np.argsort(-scores[above], kind="stable")[:k]]


def _log_sum(log_probs: npt.NDArray[np.floating]) -> float:
    """ln of the sum of probabilities."""
    top = float(log_probs.max(initial=-np.inf))
    return top + math.log(np.exp(log_probs - top, dtype=np.float64).sum()) if top > -math.inf else top


def _check_k(k: int) -> None:
    if k < 1:
        raise ConfigError(f"k={k} asks for no answer. A whole number of at least 1 was expected: try 5.")
