"""Language models and tokenizers small enough to check by hand or by trying everything."""

import math
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from malmoi.models.interface import LanguageModel, State
from malmoi.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class History(State):
    """All ids read so far, one tuple for each row."""

    rows: tuple[tuple[int, ...], ...]
    owner: LanguageModel

    def select(self, rows):
        return replace(self, rows=tuple(self.rows[i] for i in rows))

    @classmethod
    def _joined(cls, states):
        return replace(states[0], rows=sum((state.rows for state in states), ()))


class HistoryModel(LanguageModel):
    """Interface: a model given by one function from a history to a row; it notes the shapes it was asked for."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.shapes: list[tuple[int, ...]] = []

    @abstractmethod
    def row(self, history: tuple[int, ...]) -> np.ndarray:
        """ln P of every token after these."""

    def start(self, batch_size=1):
        return History(((),) * batch_size, self)

    def step(self, token_ids, state):
        self.shapes.append(token_ids.shape)
        assert len(token_ids) == len(state.rows)
        rows = tuple(history + tuple(map(int, ids)) for history, ids in zip(state.rows, token_ids, strict=True))
        return np.stack([self.row(history) for history in rows]), replace(state, rows=rows)

    def score(self, token_ids, state):
        log_probs, state = self.distributions(token_ids, state)
        return np.take_along_axis(log_probs, token_ids[:, :, None], axis=2)[:, :, 0], state


class RandomModel(HistoryModel):
    """Every pair of last tokens has a distribution of its own, drawn once; `banned` ids have no probability."""

    def __init__(self, vocab_size: int, seed: int = 0, sharpness: float = 1.5, banned: Sequence[int] = ()) -> None:
        super().__init__(vocab_size)
        logits = sharpness * np.random.default_rng(seed).standard_normal((vocab_size, vocab_size, vocab_size))
        logits[..., list(banned)] = -np.inf
        self.table = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

    def row(self, history):
        before, last = (3, 3, *history)[-2:]
        return self.table[before, last]


class Memory(HistoryModel):
    """Remembers lines: P(next | the line so far) by counting, with a little left for everything else."""

    def __init__(self, lines: Iterable[Sequence[int]], vocab_size: int, eos_id: int = 3) -> None:
        super().__init__(vocab_size)
        self.eos_id = eos_id
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for line in lines:
            for t, token_id in enumerate(line):
                self.counts[tuple(map(int, line[:t]))][int(token_id)] += 1

    def row(self, history):
        begin = max((t + 1 for t, token_id in enumerate(history) if token_id == self.eos_id), default=0)
        row = np.full(self.vocab_size, 1e-4)
        for token_id, count in self.counts[history[begin:]].items():
            row[token_id] += count
        return np.log(row / row.sum())


class Fixed(HistoryModel):
    """The same row of probabilities after every history."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        super().__init__(len(probabilities))
        self.fixed = np.array([math.log(p) if p else -math.inf for p in probabilities])

    def row(self, history):
        return self.fixed


SPECIALS = ["<pad>", "<unk>", "<bos>", "<eos>"]


class Words(Tokenizer):
    """Kind `word` over a given list."""

    def __init__(self, words: Sequence[str], kind: str = "word") -> None:
        self.kind, self.vocab_size, self.is_lossless = kind, 4 + len(words), False
        self.pieces = [*SPECIALS, *words]

    def encode(self, text):
        ids = {word: i for i, word in enumerate(self.pieces)}
        lines = [[ids.get(word, 1) for word in line.split()] for line in text.split("\n")]
        return np.array([i for line in lines for i in [3, *line]][1:], dtype=np.int32)

    def decode(self, token_ids):
        return " ".join(self.pieces[i] for i in token_ids)

    def token(self, token_id):
        return self.pieces[token_id]

    def piece(self, token_id):
        return self.pieces[token_id]

    def token_bytes(self):
        return [b"", b"", b"", b"\n", *(b" " + word.encode() for word in self.pieces[4:])]


class Morphemes(Words):
    """Kind `morpheme`: form/TAG, and what is tagged E is written without a space before it."""

    def __init__(self, morphemes: Sequence[str]) -> None:
        super().__init__(morphemes, kind="morpheme")

    def encode(self, text):
        return super().encode(" ".join(f"{form}/V" for form in text.split()))

    def decode(self, token_ids):
        parts = [self.pieces[i].partition("/") for i in token_ids]
        return "".join(form if tag == "E" else f" {form}" for form, _, tag in parts).strip()


class Pieces(Tokenizer):
    """Kind `bpe` (or another) over given byte strings: always the longest one that fits."""

    def __init__(self, pieces: Iterable[bytes], kind: str = "bpe") -> None:
        self.surfaces = [b"", b"", b"", b"\n", *pieces]
        self.kind, self.vocab_size, self.is_lossless = kind, len(self.surfaces), True

    def encode(self, text):
        data, ids = text.encode(), []
        while data:
            i = max(range(3, self.vocab_size), key=lambda i: len(self.surfaces[i]) * data.startswith(self.surfaces[i]))
            assert data.startswith(self.surfaces[i]), f"no piece for {data!r}"
            ids.append(i)
            data = data[len(self.surfaces[i]) :]
        return np.array(ids, dtype=np.int32)

    def decode(self, token_ids):
        return b"".join(self.surfaces[i] for i in token_ids).decode(errors="replace")

    def token(self, token_id):
        return "⏎" if token_id == 3 else self.surfaces[token_id].decode(errors="replace").replace(" ", "␣")

    def token_bytes(self):
        return list(self.surfaces)


ALL_BYTES = [bytes([value]) for value in range(256) if value != 10]
