"""A language model whose every figure can be read off a table, and a tokenizer to go with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from malmoi.models.interface import LanguageModel, State
from malmoi.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class LastId(State):
    ids: np.ndarray  # (B,)
    owner: LanguageModel

    def select(self, rows):
        return replace(self, ids=self.ids[np.asarray(rows, dtype=np.int64)])

    @classmethod
    def _joined(cls, states):
        return replace(states[0], ids=np.concatenate([state.ids for state in states]))


class Bigram(LanguageModel):
    """ln P(next | last) is table[last, next]; the text begins after an eos. It notes the shapes it was asked for."""

    def __init__(self, probabilities: np.ndarray) -> None:
        with np.errstate(divide="ignore"):
            self.table = np.log(probabilities)
        self.vocab_size = len(self.table)
        self.shapes: list[tuple[int, ...]] = []

    @classmethod
    def random(cls, vocab_size: int, seed: int = 0) -> "Bigram":
        return cls(np.random.default_rng(seed).dirichlet(np.ones(vocab_size), size=vocab_size))

    def start(self, batch_size=1):
        return LastId(np.full(batch_size, 3), self)

    def step(self, token_ids, state):
        last = np.concatenate([state.ids[:, None], token_ids], axis=1)[:, -1]
        return self.table[last], replace(state, ids=last)

    def score(self, token_ids, state):
        self.shapes.append(token_ids.shape)
        path = np.concatenate([state.ids[:, None], token_ids], axis=1)  # (B, 1 + T)
        return self.table[path[:, :-1], path[:, 1:]], replace(state, ids=path[:, -1])


class Words(Tokenizer):
    """Kind `word`; spelling an unknown word costs 14 ln 2 nats."""

    def __init__(self, words: Sequence[str]) -> None:
        self.kind, self.vocab_size, self.is_lossless = "word", 4 + len(words), False
        self.ids = {word: i for i, word in enumerate(words, start=4)}

    def encode(self, text):
        lines = [[self.ids.get(word, 1) for word in line.split()] for line in text.split("\n")]
        return np.array([i for line in lines for i in [3, *line]][1:], dtype=np.int32)

    def encode_lines(self, lines):
        return (np.append(self.encode(line), np.int32(3)) for line in lines)

    def encode_stream(self, lines):
        ids = np.concatenate(list(self.encode_lines(lines)))
        return ids, np.full(np.count_nonzero(ids == 1), 14 * np.log(2))

    def layout_nats(self, lines, n_words):
        return np.zeros(len(lines))  # test_layout.py is about white space

    def fingerprint(self):
        return repr(sorted(self.ids))
