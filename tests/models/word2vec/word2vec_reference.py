"""What several tests of word2vec share: a text in memory, and the draws of the kernels in plain Python."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from malmoi.models.word2vec import kernels
from malmoi.models.word2vec.sampling import noise_table
from malmoi.models.word2vec.training import train as train_with
from malmoi.text.vocabulary import SpecialIds

train = partial(train_with, special_ids=SpecialIds(0, 1, 2, 3))
VOCABULARY = 4 + 30
WINDOW, N_NEGATIVES, WIDTH = 3, 7, 24
MASK = 2**64 - 1
KEPT = np.array([5, 4, -1, 6, 5, 8, -2, 7, -2, 4, 9, 4, 6, -1, -2], np.int32)
COUNTS = np.array([0, 0, 0, 0, 30, 17, 11, 5, 3, 2])


class Draws:
    """The generator in plain Python."""

    def __init__(self, state: int) -> None:
        self.state = state

    def number(self) -> int:
        x = self.state
        x ^= x >> 12
        x = (x ^ (x << 25)) & MASK
        self.state = x ^ (x >> 27)
        return (self.state * 2685821657736338717) & MASK

    def below(self, n: int) -> int:
        return ((self.number() >> 32) * n) >> 32

    def words(self, centre: int, n: int) -> list[int]:
        table = noise_table(COUNTS)
        found = [centre]
        for _ in range(n):
            number = self.number()
            word = ((number >> 32) * len(COUNTS)) >> 32
            if number & 0xFFFFFFFF >= int(table.own[word]):
                word = int(table.alias[word])
            found += [word] if word != centre else []
        return found


def windows(
    draws: Draws, kept: list[int], n_negatives: int = N_NEGATIVES
) -> Iterator[tuple[int, int, list[int], list[int]]]:
    """(centre, its neighbours, the words asked about) of each update."""
    for i, centre in enumerate(kept):
        if centre < 0:
            continue
        reach = 1 + draws.below(WINDOW)
        context = []
        for side in (range(i - 1, i - reach - 1, -1), range(i + 1, i + reach + 1)):
            for j in side:
                if not 0 <= j < len(kept) or kept[j] == kernels.END:
                    break
                context += [kept[j]] if kept[j] >= 0 else []
        if context:
            yield i, centre, context, draws.words(centre, n_negatives)


class Text:
    """Ids in memory."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        assert 0 <= start < stop <= len(self.ids)
        return self.ids[start:stop].copy()

    def release(self) -> None:
        pass

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.bincount(self.ids, minlength=VOCABULARY)


def planted(n_sentences: int = 3000, seed: int = 1) -> Text:
    """Three topics of ten words; a sentence has one topic."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(3, size=(n_sentences, 1))
    words = 4 + 10 * topics + rng.integers(10, size=(n_sentences, 7))
    return Text(np.concatenate([words, np.full((n_sentences, 1), 3)], axis=1).reshape(-1))
