"""A small model of each kind, whose answers a person can redo: it shows what its interface means, and that it can be kept."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError
from malmoi.models.interface import (
    Classifier,
    ConditionalModel,
    Hypothesis,
    LanguageModel,
    MaskedModel,
    Span,
    SpanReader,
    State,
    TextEncoder,
    Texts,
    TokenClassifier,
    Translator,
    check_places,
    rows_for,
)

Array = NDArray[np.float64]


def log_softmax(logits: Array) -> Array:
    """Along the last axis; -inf has no probability."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


# Left to right


@dataclass(frozen=True)
class Seen(State):
    """The tokens that each row can still see, and how many it has read."""

    rows: tuple[tuple[int, ...], ...]
    n_read: tuple[int, ...]
    owner: object

    def select(self, rows):
        return replace(self, rows=tuple(self.rows[i] for i in rows), n_read=tuple(self.n_read[i] for i in rows))

    @classmethod
    def _joined(cls, states):
        rows, n_read = (sum((getattr(state, name) for state in states), ()) for name in ("rows", "n_read"))
        return cls(rows, n_read, states[0].owner)


class Fading(LanguageModel):
    """Each token that was read argues for others, the less the older it is; it sees so many and no more."""

    def __init__(
        self, vocab_size: int, context_length: int, past_context: Literal["windowed", "refused"] = "windowed"
    ) -> None:
        self.vocab_size, self.context_length, self.past_context = vocab_size, context_length, past_context
        self.arguments = np.random.default_rng(8).standard_normal((vocab_size, vocab_size))

    def start(self, batch_size=1):
        return Seen(((),) * batch_size, (0,) * batch_size, self)

    def step(self, token_ids, state):
        n_read = tuple(n + token_ids.shape[1] for n in state.n_read)
        self.check_context(max(n_read, default=0))
        rows = tuple(
            (*seen, *map(int, ids))[-self.context_length :] for seen, ids in zip(state.rows, token_ids, strict=True)
        )
        return np.stack([self._row(seen) for seen in rows]), Seen(rows, n_read, self)

    def score(self, token_ids, state):
        log_probs, state = self.distributions(token_ids, state)
        return np.take_along_axis(log_probs, token_ids[:, :, None], axis=2)[:, :, 0], state

    def _row(self, seen: tuple[int, ...]) -> Array:
        weights = 0.8 ** np.arange(len(seen))[::-1]
        return log_softmax(np.zeros(self.vocab_size) + weights @ self.arguments[list(seen)])


# From one text to another


@dataclass(frozen=True)
class CopyState(State):
    """The source of each row, and how much of the target has been read."""

    sources: Texts
    n_read: NDArray[np.int64]
    owner: object

    def select(self, rows):
        index = np.asarray(rows, np.int64)
        return CopyState(Texts(*(part[index] for part in self.sources)), self.n_read[index], self.owner)

    @classmethod
    def _joined(cls, states):
        sources = [
            ids[is_token]
            for state in states
            for ids, is_token in zip(state.sources.token_ids, state.sources.is_token, strict=True)
        ]
        return cls(Texts.of(sources), np.concatenate([state.n_read for state in states]), states[0].owner)


class Copying(ConditionalModel):
    """The target is the source, token by token, and then its end; each token is another one with a probability of `noise`."""

    def __init__(self, vocab_size: int, end_id: int, noise: float = 0.1) -> None:
        self.vocab_size = self.source_vocab_size = vocab_size
        self.end_id, self.noise = end_id, noise

    def given(self, sources):
        return CopyOf(self, sources)


class CopyOf(LanguageModel):
    def __init__(self, model: Copying, sources: Texts) -> None:
        self.model, self.sources, self.vocab_size = model, sources, model.vocab_size

    def start(self, batch_size=1):
        rows = rows_for(len(self.sources.token_ids), batch_size)
        return CopyState(Texts(*(part[rows] for part in self.sources)), np.zeros(batch_size, np.int64), self.model)

    def step(self, token_ids, state):
        state = replace(state, n_read=state.n_read + token_ids.shape[1])
        rows, ids = np.arange(len(state.n_read)), np.pad(state.sources.token_ids, [(0, 0), (0, 1)])
        expected = np.where(
            state.n_read < state.sources.lengths,
            ids[rows, np.minimum(state.n_read, ids.shape[1] - 1)],
            self.model.end_id,
        )
        probs = np.full((len(rows), self.vocab_size), self.model.noise / (self.vocab_size - 1))
        probs[rows, expected] = 1 - self.model.noise
        return np.log(probs), state

    def score(self, token_ids, state):
        log_probs, state = self.distributions(token_ids, state)
        return np.take_along_axis(log_probs, token_ids[:, :, None].astype(np.int64), axis=2)[:, :, 0], state


class WordByWord(Translator):
    """Each token has its own translations, whatever stands beside it: P(target | source) is a product.

    Args:
        table: ln P(target token | source token), (source tokens, target tokens).
    """

    def __init__(self, table: Array) -> None:
        self.table = table

    def translate(self, sources, n=1):
        if n < 1:
            raise ConfigError(f"n={n} translations cannot be found. A whole number of at least 1 was expected: try 5.")
        return [self._best(ids[is_token], n) for ids, is_token in zip(sources.token_ids, sources.is_token, strict=True)]

    def _best(self, source: Sequence[int], n: int) -> list[Hypothesis]:
        found = [Hypothesis((), 0.0)]
        for token_id in source:  # the n best of a product begin with the n best of its beginning
            found = [
                Hypothesis((*so_far.token_ids, target), so_far.score + float(log_prob))
                for so_far, (target, log_prob) in itertools.product(found, enumerate(self.table[token_id]))
            ]
            found = sorted(found, key=lambda one: -one.score)[:n]
        return found


# A text as a whole


class Chain(MaskedModel):
    """A text is a Markov chain: what is hidden is known by its neighbours, near and far, by the forward-backward algorithm.

    Args:
        first: P(token) at the beginning, (V,).
        table: P(next token | token), (V, V).
    """

    def __init__(self, first: Array, table: Array) -> None:
        self.first, self.table, self.vocab_size = first, table, len(first)

    def fill(self, texts, places):
        check_places(texts, places)
        return np.stack(
            [self._row(ids[:n], at) for ids, n, at in zip(texts.token_ids, texts.lengths, places, strict=True)]
        )

    def _row(self, ids: NDArray[np.integer], places: NDArray[np.integer]) -> Array:
        possible = np.zeros((len(ids), self.vocab_size))  # (T, V): 1 at what each token may be
        possible[np.arange(len(ids)), ids] = 1
        possible[places] = 1
        forward, backward = np.empty(possible.shape), np.ones(possible.shape)
        before = self.first
        for t in range(len(ids)):
            forward[t] = before * possible[t]
            forward[t] /= forward[t].sum()
            before = forward[t] @ self.table
        for t in reversed(range(len(ids) - 1)):
            backward[t] = self.table @ (backward[t + 1] * possible[t + 1])
            backward[t] /= backward[t].sum()
        probs = forward[places] * backward[places]
        return np.log(probs / probs.sum(axis=1, keepdims=True))


class LetterBag(TextEncoder):
    """How often each letter stands in a token; a text is the mean of its tokens."""

    def __init__(self, words: Sequence[str], alphabet: str) -> None:
        self.counts = np.array([[word.count(letter) for letter in alphabet] for word in words], float)
        self.width = len(alphabet)

    def encode_tokens(self, texts):
        return self.counts[texts.token_ids]


class NaiveBayes(Classifier):
    """P(class) times P(token | class) of each token, counted, each count raised by one."""

    def __init__(self, classes: Sequence[str], texts: Texts, labels: Sequence[int], vocab_size: int) -> None:
        self.classes = classes
        counts = np.ones((len(classes), vocab_size))
        for ids, is_token, label in zip(texts.token_ids, texts.is_token, labels, strict=True):
            np.add.at(counts[label], ids[is_token], 1)
        self.evidence = np.log(counts / counts.sum(axis=1, keepdims=True))  # (C, V)
        self.prior = np.log(np.bincount(labels, minlength=len(classes)) + 1.0)

    def classify(self, texts):
        evidence = np.where(texts.is_token, self.evidence[:, texts.token_ids], 0.0).sum(axis=2)  # (C, B)
        return log_softmax(self.prior + evidence.T)


class Neighbours(TokenClassifier):
    """A token's class by what it is and what stands before and after it, each with a table of evidence (V, C)."""

    def __init__(self, classes: Sequence[str], tables: Sequence[Array]) -> None:
        self.classes, self.tables = classes, tables

    def tag(self, texts):
        before, own, after = (
            np.where(texts.is_token[:, :, None], table[texts.token_ids], 0.0) for table in self.tables
        )
        logits = own.copy()
        logits[:, 1:] += before[:, :-1]
        logits[:, :-1] += after[:, 1:]
        return log_softmax(logits)


class Brackets(SpanReader):
    """The part between two marks: it begins after the one and ends before the other, as far as they are there."""

    def __init__(self, opening_id: int, closing_id: int, sharpness: float = 4.0) -> None:
        self.opening_id, self.closing_id, self.sharpness = opening_id, closing_id, sharpness

    def find(self, texts):
        first, last = np.zeros(texts.token_ids.shape), np.zeros(texts.token_ids.shape)
        first[:, 1:] += self.sharpness * (texts.token_ids[:, :-1] == self.opening_id)
        last[:, :-1] += self.sharpness * ((texts.token_ids[:, 1:] == self.closing_id) & texts.is_token[:, 1:])
        return Span(*(log_softmax(np.where(texts.is_token, logits, -np.inf)) for logits in (first, last)))
