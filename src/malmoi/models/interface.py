"""What every language model can do, whatever it is made of.

    P(next token | everything before it), in nats, as NumPy arrays

Generation, evaluation, comparison, explanation and the server see only these two classes, so they work for every rung of
the ladder and never import PyTorch.

Shapes: B sequences side by side, T tokens each, V vocab_size.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64, Integer

TokenIds = Integer[np.ndarray, "batch time"]
LogProbs = Float[np.ndarray, "batch vocab"]


class State(ABC):
    """What a model remembers of the tokens read so far, one row for each sequence of the batch. Immutable."""

    @abstractmethod
    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "State":
        """The state with its batch reordered or repeated: row i of the result is row rows[i] of this one.

        It is all that sampling several continuations or beam search needs.
        """


class LanguageModel(ABC):
    """P(next token | everything before it), in nats.

    Text begins where a line begins: `start` is the state just after the end of a line.
    """

    vocab_size: int
    restarts_at_line_end: bool = False  # after the end of a line the state is that of `start`
    finds_top_directly: bool = False  # `top` costs less than `step`: it need not look at the whole vocabulary

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


class VectorLanguageModel(LanguageModel):
    """A model whose last step is one softmax layer: every token is predicted from a vector, which can be looked at."""

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
