"""What an unknown word costs: a small model that spells it, character by character.

A tokenizer that writes <unk> for a word has not said which word it was. To compare such a model with one that reads
every character, the missing information is charged: -ln P(word | it is unknown) under the model of this file. It is a
proper distribution over all non-empty strings without a line break, so every byte is paid for, and none twice.

Interpolated Witten-Bell, from the longest history down to the bytes (h' is h without its oldest character):

    P(c | h) = (count(hc) + u(h) P(c | h')) / (count(h) + 2 t(h))       u(h) = 2 t(h) + what pruning took from h
    P(c)     = (count(c) + 2 t P_bytes(c)) / (n + 2 t)                  t = distinct characters that followed

P_bytes spells a character in UTF-8: its first byte by how many known characters share it, the others uniformly. The
counts come from the distinct words of the training text, each counted once: words that are unknown later resemble the
many rare words more than the few frequent ones, which is 3 bits a word on Korean reviews. Their counts are sparse, so t
weighs twice, which is another bit there.

Source: Witten & Bell 1991, method C, interpolated as in Chen & Goodman 1998, section 2.6. They count tokens and weigh t
once; we count types, weigh t twice, and give what pruning takes to the shorter history.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from malmoi.errors import DataError
from malmoi.shapes import Int64

ORDER = 4
NOVELTY_WEIGHT = 2  # the 2 before t
EDGE = "\n"  # begins and ends every word; no word holds one
UNKNOWN = "<unk>"
MAX_WORDS = 60_000
MAX_JSON_BYTES = 1_500_000

# First byte of a UTF-8 character -> how many characters begin with it; the sum is 1,112,064, as surrogates have none.
CHARACTERS_OF_LEAD = {
    **dict.fromkeys(range(0x80), 1),
    **dict.fromkeys(range(0xC2, 0xE0), 64),
    **{lead: 2048 if lead in (0xE0, 0xED) else 4096 for lead in range(0xE0, 0xF0)},
    **{0xF0: 48 * 4096, 0xF1: 64 * 4096, 0xF2: 64 * 4096, 0xF3: 64 * 4096, 0xF4: 16 * 4096},
}


class _Grams(NamedTuple):
    """N-grams of one length, in the order of their numbers."""

    histories: Int64[np.ndarray, " grams"]  # the number of each without its last character
    letters: Int64[np.ndarray, " grams"]  # its last character
    counts: Int64[np.ndarray, " grams"]
    numbers: Int64[np.ndarray, " grams"]


class SpellingModel:
    """P(word | the word is unknown)."""

    def __init__(self, counts: Mapping[str, Mapping[str, int]], unknown_share: float = 0.0) -> None:
        """Take counts as they are; `fit` makes them from words.

        Args:
            counts: History ("" to ORDER - 1 characters) -> next character -> count.
            unknown_share: P(the unknown word is the literal "<unk>"), above 0 for text whose rare words were replaced
                before we saw it.
        """
        self.counts = counts
        self.unknown_share = unknown_share
        known_leads = Counter(character.encode()[0] for character in counts[""])
        total = known_leads.total() + len(CHARACTERS_OF_LEAD) / 2
        self._byte_probs = {lead: (known_leads[lead] + 0.5) / total / n for lead, n in CHARACTERS_OF_LEAD.items()}
        self._weights: dict[str, tuple[int, int]] = {}  # history -> u(h) and count(h) + 2 t(h)
        for history, following in counts.items():
            kept = following.values()
            n = _count_of(history, counts) if history else sum(kept)
            novelty = NOVELTY_WEIGHT * len(kept)
            self._weights[history] = (novelty + n - sum(kept), n + novelty)

    @classmethod
    def fit(
        cls, words: Iterable[str], unknown_share: float = 0.0, max_json_bytes: int = MAX_JSON_BYTES
    ) -> "SpellingModel":
        """Learn from words, each once; the rarest n-grams go until the JSON form is no larger than `max_json_bytes`.

        Of very many words, MAX_WORDS are drawn, always the same ones.

        Raises:
            DataError: If there is no word.
        """
        chosen = sorted(dict.fromkeys(words))  # sorting what is sorted takes no time
        if not chosen:
            raise DataError("Found 0 words to learn spelling from: expected at least 1. Pass a text with words in it.")
        if len(chosen) > MAX_WORDS:
            import random

            chosen = random.Random(0).sample(chosen, MAX_WORDS)
        levels, letters = _count_grams(chosen)
        rounds = 0
        while len(levels) > 1 and _json_bytes(levels, letters, unknown_share) > max_json_bytes:
            rounds += 1
            levels = _prune(levels, rounds)
        return cls(_to_counts(levels, letters), unknown_share)

    def prob(self, character: str, history: str) -> float:
        """P(character | history). EDGE as the character is the end of a word; at the head of a history, its start."""
        unseen, total = self._weights[""]
        p = (self.counts[""].get(character, 0) + unseen * self._byte_probs[character.encode()[0]]) / total
        for start in range(len(history) - 1, max(-1, len(history) - ORDER), -1):
            suffix = history[start:]
            if suffix not in self.counts:
                break  # nor is any longer history
            unseen, total = self._weights[suffix]
            p = (self.counts[suffix].get(character, 0) + unseen * p) / total
        return p

    def nats(self, word: str) -> float:
        """-ln P(word), for a word that is not empty and holds no line break.

        Raises:
            ValueError: If it is.
        """
        if not word or EDGE in word:
            raise ValueError(f"{word!r} is not a word: expected at least one character and no line break.")
        edged = EDGE + word + EDGE
        log_prob = -math.log1p(-self.prob(EDGE, EDGE))  # the first character is never the end
        for i in range(1, len(edged)):
            log_prob += math.log(self.prob(edged[i], edged[max(0, i - ORDER + 1) : i]))
        if self.unknown_share == 0:
            return -log_prob
        if word == UNKNOWN:
            return -math.log(self.unknown_share + (1 - self.unknown_share) * math.exp(log_prob))
        return -log_prob - math.log1p(-self.unknown_share)

    def to_json(self) -> str:
        """The counts as JSON, histories and characters in code point order: same words, same bytes."""
        counts = {history: dict(sorted(self.counts[history].items())) for history in sorted(self.counts)}
        return _json(counts, self.unknown_share)

    @classmethod
    def from_json(cls, text: str) -> "SpellingModel":
        """Read what `to_json` wrote; every size and value is checked, as the file may come from anywhere.

        Raises:
            DataError: If it is anything else.
        """
        try:
            content = json.loads(text)
            problem = _problem(content)
        except (ValueError, RecursionError) as error:
            problem = f"is not readable as JSON ({str(error)[:80]})"
        if problem:
            raise DataError(
                f"The spelling model {problem}: expected a file that malmoi wrote, whole and unchanged. "
                "Copy the run again, or train its tokenizer again."
            )
        return cls(content["counts"], float(content["unknown_share"]))


def _json(counts: Mapping[str, Mapping[str, int]], unknown_share: float) -> str:
    content = {"version": 1, "order": ORDER, "unknown_share": unknown_share, "counts": counts}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _count_grams(words: Sequence[str]) -> tuple[list[_Grams], str]:
    """What stands in these words, edges around each, by length from one character on; and the distinct characters."""
    text = "".join(f"{EDGE}{word}{EDGE}" for word in words)
    points, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4")), return_inverse=True)
    lengths = np.array([len(word) + 2 for word in words])
    place = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # of each character in its word
    n_letters = len(points)
    single = np.bincount(codes[place > 0], minlength=n_letters)  # the edge before a word follows nothing
    levels = [_Grams(np.zeros(n_letters, np.int64), np.arange(n_letters), single, np.arange(n_letters))]
    ending_here = codes  # the number of the n-gram that ends at each place
    for n in range(2, ORDER + 1):
        whole = np.flatnonzero(place >= n - 1)
        keys, found, counts = np.unique(
            ending_here[whole - 1] * n_letters + codes[whole], return_inverse=True, return_counts=True
        )
        levels.append(_Grams(keys // n_letters, keys % n_letters, counts, np.arange(len(keys))))
        ending_here = np.zeros(len(codes), np.int64)
        ending_here[whole] = found
    return [grams for grams in levels if len(grams.counts)], points.tobytes().decode("utf-32-le")


def _prune(levels: list[_Grams], rounds: int) -> list[_Grams]:
    """Drop rare n-grams: in round 1 the longest that occur once; each round after it raises the limit for every length.

    Characters by themselves stay. An n-gram is at most as frequent as its history and its limit is higher, so none
    outlives its history.
    """
    kept = levels[:1]
    for n, grams in enumerate(levels[1:], 2):
        is_kept = grams.counts > rounds + n - ORDER
        if is_kept.any():
            kept.append(_Grams(*(values[is_kept] for values in grams)))
    return kept


def _json_bytes(levels: list[_Grams], letters: str, unknown_share: float) -> int:
    """The size of the JSON form, without writing it."""
    widths = np.array([len(json.dumps(letter, ensure_ascii=False).encode()) - 2 for letter in letters])
    size = len(_json({}, unknown_share)) - 1
    histories = np.zeros(1, np.int64)  # bytes of each n-gram that may be a history, by its number
    for grams in levels:
        digits = 1 + np.searchsorted(10 ** np.arange(1, 19), grams.counts, side="right")
        size += int((widths[grams.letters] + digits + len('"":,')).sum())
        size += int((histories[np.unique(grams.histories)] + len('"":{},') - 1).sum())
        histories, shorter = np.zeros(grams.numbers[-1] + 1, np.int64), histories
        histories[grams.numbers] = shorter[grams.histories] + widths[grams.letters]
    return size


def _to_counts(levels: list[_Grams], letters: str) -> dict[str, dict[str, int]]:
    """History -> next character -> count."""
    counts: dict[str, dict[str, int]] = {}
    histories = {0: ""}
    for grams in levels:
        longer = {}
        for history, letter, n, number in zip(*(values.tolist() for values in grams), strict=True):
            longer[number] = histories[history] + letters[letter]
            counts.setdefault(histories[history], {})[letters[letter]] = n
        histories = longer
    return counts


def _count_of(history: str, counts: Mapping[str, Mapping[str, int]]) -> int:
    """How often a history was followed by something. Nothing ends before its word, so that is its own count."""
    return counts[""].get(EDGE, 0) if history == EDGE else counts.get(history[:-1], {}).get(history[-1], 0)


def _problem(content: object) -> str:
    """What is wrong with the content of a spelling file, or ""."""
    if not isinstance(content, dict) or set(content) != {"version", "order", "unknown_share", "counts"}:
        return "has other keys than version, order, unknown_share and counts"
    if (content["version"], content["order"]) != (1, ORDER):
        return f"has version {content['version']!r:.20} and order {content['order']!r:.20} instead of 1 and {ORDER}"
    share, counts = content["unknown_share"], content["counts"]
    if not isinstance(share, float) or not 0 <= share < 1:
        return f"has unknown_share {share!r:.20} instead of a fraction from 0 to 1"
    if not isinstance(counts, dict) or not isinstance(counts.get(""), dict) or EDGE not in counts[""]:
        return "lacks the counts of single characters and of the end of words"
    for history, following in counts.items():
        if len(history) >= ORDER or EDGE in history[1:] or not isinstance(following, dict) or not following:
            return f"has a wrong history, {history[:10]!r}"
        for character, n in following.items():
            if len(character) != 1 or "\ud800" <= character <= "\udfff" or type(n) is not int or not 0 < n < 2**53:
                return f"has a wrong count, {character[:10]!r}: {n!r:.20}"
    for history, following in counts.items():
        if history and sum(following.values()) > _count_of(history, counts):
            return f"has more counts after {history!r} than of it"
        if len(history) > 1 and history[1:] not in counts:
            return f"has the history {history!r} without {history[1:]!r}"
    return ""
