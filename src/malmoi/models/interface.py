"""What every model can do, whatever it is made of.

    LanguageModel       P(next token | everything before it)          n-grams, recurrent networks, GPT
    ConditionalModel    P(target | source)                            encoder-decoders: once a source is given, a LanguageModel
    Translator          source -> its likeliest targets               noisy channel, or beam search over a ConditionalModel
    MaskedModel         P(token at a place | all other places)        BERT
    TextEncoder         text -> vector
    Classifier, TokenClassifier, SpanReader                           text -> class; token -> class; text -> part of it

Probabilities are in nats, arrays are NumPy's. Generation, evaluation, comparison, explanation and the server see only these
classes, so they work for every rung of the ladder and never import PyTorch.

Shapes: B sequences side by side, T tokens each, S tokens of a source, V vocab_size, C classes, D width of a vector.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, ContextError, ContextWarning
from malmoi.shapes import Bool, Float, Int64, Integer

TokenIds = Integer[np.ndarray, "batch time"]
LogProbs = Float[np.ndarray, "batch vocab"]


class Texts(NamedTuple):
    """Texts of different lengths side by side, T tokens the longest.

    What stands at the other places is padding: no model looks at it, so it may be any id.
    """

    token_ids: TokenIds
    is_token: Bool[np.ndarray, "batch time"]  # of each text the first places, as many as it has tokens

    @classmethod
    def of(cls, texts: Sequence[Sequence[int] | NDArray[np.integer]]) -> "Texts":
        """From the ids of each text.

        Raises:
            ConfigError: If there is no text.
        """
        if not len(texts):
            raise ConfigError("There is no text. The token ids of at least one were expected: give [ids].")
        is_token = np.arange(max(map(len, texts))) < np.array([[len(text)] for text in texts])
        token_ids = np.zeros(is_token.shape, np.int64)
        token_ids[is_token] = np.concatenate([np.asarray(text, np.int64) for text in texts])
        return cls(token_ids, is_token)

    @property
    def lengths(self) -> Int64[np.ndarray, " batch"]:
        """Tokens of each text."""
        return np.asarray(self.is_token.sum(axis=1), np.int64)


# Left to right


class State(ABC):
    """What a model remembers of the tokens read so far, one row for each sequence of the batch. Immutable.

    `owner` is the model that can go on with it: the one that made it, or for a model with a source given, the
    ConditionalModel that the source was given to.
    """

    owner: object

    @abstractmethod
    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "State":
        """The state with its batch reordered or repeated: row i of the result is row rows[i] of this one.

        It is all that sampling several continuations or beam search needs.
        """

    @staticmethod
    def join(states: Sequence["State"]) -> "State":
        """Several batches side by side, the rows of the first state first. They may have read different numbers of tokens.

        It is all that a server needs to answer several people in one step.

        Raises:
            ConfigError: If there is no state, or they are of different models.
        """
        if not states:
            raise ConfigError("There is no state to join. At least one was expected: start one with model.start().")
        first = states[0]
        for state in states[1:]:
            if type(state) is not type(first) or state.owner is not first.owner:
                names = " and ".join(f"a {type(one.owner).__name__}" for one in (first, state))
                raise ConfigError(
                    f"States of two models cannot be joined: they belong to {names}. States of one and the same model were "
                    "expected: join those of each model, and step each model by itself."
                )
        return type(first)._joined(states)

    @classmethod
    @abstractmethod
    def _joined(cls, states: Sequence[Any]) -> "State":
        """What `join` gives, for at least one state of this class, all of one owner."""


class LanguageModel(ABC):
    """P(next token | everything before it), in nats.

    Text begins where a line begins: `start` is the state just after the end of a line.

    A model may forget what lies far back, as an n-gram or a recurrent network does: it still reads on for ever, and its
    `context_length` is None. A model that can take in so many tokens and no more, as one with a position for each of them,
    says so by `context_length`, and by `past_context` what it does when there are more:

        windowed   its answer is that of a text which begins `context_length` tokens ago, and it warns (ContextWarning)
        refused    it raises ContextError

    Whichever it is, how the tokens are handed over, at once or one by one, changes nothing.
    """

    vocab_size: int
    family: str = ""  # the rung that it is of, or the kind of combination: what finds its explainer
    restarts_at_line_end: bool = False  # after the end of a line the state is that of `start`
    is_distribution: bool = (
        True  # False where its probabilities were found to add up to more than 1: they are scores then
    )
    finds_top_directly: bool = False  # `top` costs less than `step`: it need not look at the whole vocabulary
    context_length: int | None = (
        None  # the most tokens after `start` that an answer can depend on; None for no such limit
    )
    past_context: Literal["windowed", "refused"] = "windowed"

    @abstractmethod
    def start(self, batch_size: int = 1) -> State:
        """The state before any token has been read."""

    @abstractmethod
    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, State]:
        """Read T tokens; log_probs of the token after the last one, and the new state.

        T may be 0: then the state stays as it is, and the answer is the distribution that it implies.
        """

    @abstractmethod
    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], State]:
        """Log-probabilities of those very tokens, each given all before it, and the state after them."""

    def top(
        self, token_ids: TokenIds, state: State, k: int
    ) -> tuple[Int64[np.ndarray, "batch k"], Float[np.ndarray, "batch k"], State]:
        """Read T tokens; the k likeliest next tokens of each sequence, best first, their log-probabilities, the new state."""
        log_probs, state = self.step(token_ids, state)
        best = np.argsort(-log_probs, axis=1, kind="stable")[:, :k].astype(np.int64)
        return best, np.take_along_axis(log_probs, best, axis=1), state

    def distributions(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time vocab"], State]:
        """The whole distribution at each of the T positions, the one that token t was drawn from at index t."""
        batch_size, n_tokens = token_ids.shape
        log_probs, state = self.step(token_ids[:, :0], state)
        rows = np.empty((batch_size, n_tokens, self.vocab_size), log_probs.dtype)
        for t in range(n_tokens):
            rows[:, t] = log_probs
            log_probs, state = self.step(token_ids[:, t : t + 1], state)
        return rows, state

    def check_context(self, n_read: int) -> None:
        """For models with a `context_length`, before they read up to token n_read: what is past it is never read in silence.

        Raises:
            ContextError: If they refuse what is past it.
        """
        length = self.context_length
        if length is None or n_read <= length:
            return
        if self.past_context == "refused":
            raise ContextError(
                f"The text has {n_read:,} tokens, and {type(self).__name__} reads {length:,} at most. A text of no more than "
                f"{length:,} tokens was expected: shorten it, or use a model with a longer context."
            )
        warnings.warn(
            f"The text is longer than the {length:,} tokens that {type(self).__name__} reads: it answers from the last "
            f"{length:,} alone.",
            ContextWarning,
            stacklevel=3,
        )


def context_of(models: Sequence[LanguageModel]) -> int | None:
    """The context_length of a model made of several, which reads on as long as none of them refuses to; "refused" past it."""
    lengths = [
        model.context_length for model in models if model.context_length is not None and model.past_context == "refused"
    ]
    return min(lengths, default=None)


class VectorLanguageModel(LanguageModel):
    """A model whose last step is one softmax layer: every token is predicted from a vector, which can be looked at."""

    start_id: int  # the token that stands before the first one: the end of a line

    @abstractmethod
    def predictors(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time width"], State]:
        """The vector that each of the tokens is predicted from, and the state after all of them."""

    @abstractmethod
    def next_predictor(self, state: State) -> Float[np.ndarray, "batch width"]:
        """The vector that the token after this state is predicted from."""

    @abstractmethod
    def score_vectors(
        self, vectors: Float[np.ndarray, "batch time width"], token_ids: TokenIds
    ) -> Float[np.ndarray, "batch time"]:
        """Log-probabilities of the tokens, each predicted from the vector at its place."""


# From one text to another


class Hypothesis(NamedTuple):
    """One possible target for a source."""

    token_ids: tuple[int, ...]  # without the token that ends it
    score: (
        float  # the higher the better, among hypotheses for one source; ln P(target | source) where the model knows it
    )


class Translator(ABC):
    """Source to target: other languages, summaries, answers."""

    @abstractmethod
    def translate(self, sources: Texts, n: int = 1) -> list[list[Hypothesis]]:
        """The n best targets that were found for each source, all different, best first; fewer if there are no more.

        Raises:
            ConfigError: If n is below 1.
        """


class ConditionalModel(ABC):
    """P(target | source): an encoder and a decoder, say."""

    vocab_size: int  # of targets
    source_vocab_size: int

    @abstractmethod
    def given(self, sources: Texts) -> LanguageModel:
        """The distribution over targets of these sources, which are read once; sampling, search and scores ask nothing more.

        `start(batch_size)` has one row for each source, or, if there is one source alone, as many rows as are asked for;
        `rows_for` checks that. A state carries what is needed of its source, and its owner is this ConditionalModel: so
        states of different sources can be joined, and the language model of any of them goes on with the joined state.
        """


def rows_for(n_sources: int, batch_size: int) -> Int64[np.ndarray, " batch"]:
    """Which source each row of a batch begins with.

    Raises:
        ConfigError: If there are several sources, but not one for each row.
    """
    if n_sources not in (1, batch_size):
        raise ConfigError(
            f"A batch of {batch_size} was asked for, and {n_sources} sources were given. One source for each row was expected, "
            f"or one for all of them: start a batch of {n_sources}, or give one source."
        )
    return np.arange(batch_size, dtype=np.int64) % n_sources


# A text as a whole


class MaskedModel(ABC):
    """P(token at a place | all other places): it looks to both sides."""

    vocab_size: int

    @abstractmethod
    def fill(
        self, texts: Texts, places: Integer[np.ndarray, "batch places"]
    ) -> Float[np.ndarray, "batch places vocab"]:
        """Log-probabilities of every token at those places of each text, given the tokens at all others.

        What stands at the places is not looked at: all of one text are hidden at once. Each must be a token's place.

        Raises:
            ConfigError: If a place is no token's; `check_places` tells.
        """

    def pseudo_score(self, texts: Texts) -> Float[np.ndarray, "batch time"]:
        """Log-probability of each token given all others of its text, hidden one by one; 0 where there is no token.

        Source: Salazar et al. 2020 (arXiv:1910.14659); the sum over a text is its pseudo-log-likelihood.
        """
        scores = np.zeros(texts.is_token.shape)
        for t in range(texts.lengths.max(initial=0)):
            rows = np.flatnonzero(texts.is_token[:, t])
            those = Texts(texts.token_ids[rows], texts.is_token[rows])
            found = self.fill(those, np.full((len(rows), 1), t))[:, 0]  # (B', V)
            scores[rows, t] = np.take_along_axis(found, those.token_ids[:, t, None].astype(np.int64), axis=1)[:, 0]
        return scores


def check_places(texts: Texts, places: Integer[np.ndarray, "batch places"]) -> None:
    """Refuse places that are outside the texts.

    Raises:
        ConfigError: If one is.
    """
    is_outside = (places < 0) | (places >= texts.lengths[:, None])
    if is_outside.any():
        row, column = np.argwhere(is_outside)[0]
        raise ConfigError(
            f"Text {row} has {texts.lengths[row]} tokens, and place {places[row, column]} was to be filled. Places from 0 to "
            f"{texts.lengths[row] - 1} were expected: count them in tokens, from the beginning of that text."
        )


class TextEncoder(ABC):
    """Text to vectors, near each other where texts mean the same."""

    width: int  # D

    @abstractmethod
    def encode_tokens(self, texts: Texts) -> Float[np.ndarray, "batch time width"]:
        """A vector for each token in its text; what stands where there is no token means nothing."""

    def encode(self, texts: Texts) -> Float[np.ndarray, "batch width"]:
        """A vector for each text: the mean of those of its tokens, if the model knows no better; zeros for an empty text."""
        sums = np.where(texts.is_token[:, :, None], self.encode_tokens(texts), 0).sum(axis=1)
        return np.asarray(sums / np.maximum(texts.lengths, 1)[:, None].astype(sums.dtype))


class Classifier(ABC):
    """Text to one of C classes."""

    classes: Sequence[str]

    @abstractmethod
    def classify(self, texts: Texts) -> Float[np.ndarray, "batch classes"]:
        """Log-probability of each class."""


class TokenClassifier(ABC):
    """Every token to one of C classes."""

    classes: Sequence[str]

    @abstractmethod
    def tag(self, texts: Texts) -> Float[np.ndarray, "batch time classes"]:
        """Log-probability of each class for each token; what stands where there is no token means nothing."""


class Span(NamedTuple):
    """Where a part of each text begins and ends, as two distributions over its tokens."""

    first: Float[
        np.ndarray, "batch time"
    ]  # log-probability that the part begins with this token; -inf where there is none
    last: Float[np.ndarray, "batch time"]  # that it ends with this one


class SpanReader(ABC):
    """Text to a part of it: the answer to a question that stands in the same text, say."""

    @abstractmethod
    def find(self, texts: Texts) -> Span:
        """Where the part is. Every text must have at least one token."""
