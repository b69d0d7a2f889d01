"""An n-gram model as a dictionary, scored by the textbook recursion: slow, and independent of what it is compared with."""

import math
from collections.abc import Sequence


class BackoffDict:
    """What an ARPA text says, taken literally; <unk> stands for words that it does not know."""

    def __init__(self, text: str) -> None:
        self.ngrams: dict[tuple[str, ...], tuple[float, float]] = {}
        length = 0
        for line in text.partition("\\data\\")[2].splitlines():
            if line.startswith("\\"):
                length = 0 if line == "\\end\\" else int(line[1:].split("-")[0])
            elif length and line.strip():
                fields = line.split()
                weight = float(fields[length + 1]) if len(fields) > length + 1 else 0.0
                self.ngrams[tuple(fields[1 : length + 1])] = (float(fields[0]), weight)
        self.order = max(map(len, self.ngrams))

    def log10_prob(self, words: tuple[str, ...]) -> float:
        """log10 P(last word | those before it)."""
        if words in self.ngrams:
            log10 = self.ngrams[words][0]
            return -math.inf if log10 == -99 else log10
        if len(words) == 1:
            return -math.inf
        return self.ngrams.get(words[:-1], (0.0, 0.0))[1] + self.log10_prob(words[1:])

    def score(self, sentence: Sequence[str]) -> list[float]:
        """ln P of each word of a sentence and of its end."""
        words = ["<s>", *(word if (word,) in self.ngrams else "<unk>" for word in sentence), "</s>"]
        ends = range(2, len(words) + 1)
        return [self.log10_prob(tuple(words[max(0, end - self.order) : end])) * math.log(10) for end in ends]
