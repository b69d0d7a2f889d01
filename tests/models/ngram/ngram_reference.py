"""The textbook's formulas with dictionaries, slow and plain: what the compiled code is tested against."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

PAD, UNK, BOS, EOS = 0, 1, 2, 3
Gram = tuple[int, ...]


class Reference:
    """An n-gram model of `sentences` (each ends with EOS), probabilities straight from the definitions."""

    def __init__(
        self,
        sentences: Sequence[Sequence[int]],
        order: int,
        vocab_size: int,
        method: str,
        k: float = 0.01,
        least: Sequence[int] = (1,) * 8,
    ) -> None:
        self.order, self.method, self.k, self.least = order, method, k, least
        self.raw: dict[int, Counter[Gram]] = {n: Counter() for n in range(1, order + 1)}
        for sentence in sentences:
            words = (BOS, *sentence)
            for n in range(1, order + 1):
                for i in range(len(words) - n + 1):
                    if (n, i) != (1, 0):
                        self.raw[n][words[i : i + n]] += 1
        self.counts = self.raw
        if method == "kneser-ney":
            self.counts = {order: self.raw[order]}
            for n in range(1, order):
                before: dict[Gram, set[int]] = defaultdict(set)
                for gram in self.raw[n + 1]:
                    before[gram[1:]].add(gram[0])
                self.counts[n] = Counter({gram: len(words) for gram, words in before.items()})
                for gram, count in self.raw[n].items():
                    if gram[0] == BOS and n > 1:
                        self.counts[n][gram] = count
        self.discounts = {n: self._discounts(n) for n in range(1, order + 1)}
        self.followers: dict[Gram, list[Gram]] = defaultdict(list)
        for n in range(1, order + 1):
            for gram in self.counts[n]:
                self.followers[gram[:-1]].append(gram)
        used = {gram[0] for gram in self.counts[1]}
        self.words = [w for w in range(vocab_size) if w != PAD and (w != BOS or w in used)]

    def _discounts(self, n: int) -> tuple[float, ...]:
        of = Counter(self.counts[n].values())
        if of[1] and of[2] and of[3]:
            y = of[1] / (of[1] + 2 * of[2])
            found = tuple(i - (i + 1) * y * of[i + 1] / of[i] for i in (1, 2, 3))
            if all(0 < d <= i for i, d in zip((1, 2, 3), found, strict=True)):
                return found
        if of[1] and of[2]:
            return (of[1] / (of[1] + 2 * of[2]),) * 3
        return (0.5, 1.0, 1.5)

    def _kept(self, gram: Gram) -> bool:
        return len(gram) == 1 or self.raw[len(gram)][gram] >= self.least[len(gram) - 1]

    def prob(self, context: Gram, word: int) -> float:
        """P(word | context); the context is cut to what the order allows, and begins with BOS at a sentence's beginning."""
        if word not in self.words:
            return 0.0
        context = context[len(context) - (self.order - 1) :] if len(context) >= self.order else context
        if self.method == "stupid-backoff":
            return self._score(context, word) / sum(self._score(context, w) for w in self.words)
        if self.method == "add-k":
            while context and not (len(context) == self.order - 1 or context[0] == BOS):
                context = context[1:]
            counts = self.raw[len(context) + 1]
            full = not context and self.order > 1
            total = 0 if full else sum(counts[(*context, w)] for w in self.words)
            kept = counts[(*context, word)] if not full and self._kept((*context, word)) else 0
            lost = 0 if full else sum(counts[g] for g in self.followers[context] if not self._kept(g))
            size = len(self.words)
            return (kept + (self.k * size + lost) / size) / (total + self.k * size)
        counts, followers = self.counts[len(context) + 1], self.followers[context]
        lower = self.prob(context[1:], word) if context else 1 / len(self.words)
        if not followers:
            return lower
        total = sum(counts[gram] for gram in followers)
        gram = (*context, word)
        if self.method == "witten-bell":
            lost = sum(counts[g] for g in followers if not self._kept(g))
            share = counts[gram] if gram in counts and self._kept(gram) else 0
            return (share + (len(followers) + lost) * lower) / (total + len(followers))

        def discount(g: Gram) -> float:
            return self.discounts[len(g)][min(counts[g], 3) - 1] if self._kept(g) else counts[g]

        share = counts[gram] - discount(gram) if gram in counts else 0.0
        return (share + sum(map(discount, followers)) * lower) / total

    def _score(self, context: Gram, word: int) -> float:
        counts, followers = self.raw[len(context) + 1], self.followers[context]
        gram = (*context, word)
        if not context:
            return counts[gram] / sum(counts.values()) if counts[gram] else 0.4 / len(self.words)
        if counts[gram] and self._kept(gram):
            return counts[gram] / sum(counts[g] for g in followers)
        # a context none of whose continuations is kept costs nothing to leave
        factor = 0.4 if followers else 1.0
        return factor * self._score(context[1:], word)

    def sentence(self, words: Sequence[int]) -> list[float]:
        """ln P of every token of a sentence."""
        history, found = (BOS,), []
        for word in words:
            prob = self.prob(history, word)
            found.append(math.log(prob) if prob else -math.inf)
            history = (*history, word)
        return found
