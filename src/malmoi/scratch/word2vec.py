"""Words as vectors, learnt from guessing: a word from its neighbours (CBOW), or the neighbours from a word (skip-gram).

Each comes twice. The simple ones multiply one-hot rows by matrices and end in a softmax over all V words, so that every number
can be followed. The others look the same rows up and ask a few yes-or-no questions (negative sampling): the same idea at a
price that does not grow with V.

All four read the output of `windows.create_contexts_target`: contexts (N, C), the C = 2 * window words around, and targets
(N,), the word between. Their losses are in nats, and means over the N examples.

Source: Mikolov et al. 2013 (arXiv:1301.3781 for the two networks, arXiv:1310.4546 for negative sampling). Vectors of context
words are averaged, as in their program, where the paper adds them up.

Symbols: N batch, C context words, V vocabulary, D vector width.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from malmoi.scratch.checks import Array, Ids, check_ids, check_shape
from malmoi.scratch.functions import log_softmax, sigmoid
from malmoi.scratch.layers import Embedding, Layer, MatMul, SoftmaxWithLoss, collect, random_weights
from malmoi.scratch.sampling import NegativeSamplingLoss, UnigramSampler
from malmoi.scratch.windows import one_hot

SPREAD = 0.01  # of the first weights: all words begin close together


class WordVectors(Layer):
    """What all four have in common: the first of their weights is what they are trained for."""

    _n_context: int  # C of the last batch

    @property
    def word_vectors(self) -> Array:
        """(V, D), a vector for each word: the row of W_in that a one-hot row picks out."""
        return self.params[0]


class WordTrace(NamedTuple):
    """Why a network expects words at a place, every number in float64.

    Attributes:
        rows: Of W_in, of the words around, (C, D).
        hidden: Their mean h, (D,).
        scores: h times the output vector of each word, (V,).
        probs: What is said about each word, (V,): its probability, or where each word is asked by itself, the answer.
        log_probs: ln P of each word, (V,); None where the answers are no distribution.
    """

    rows: NDArray[np.float64]
    hidden: NDArray[np.float64]
    scores: NDArray[np.float64]
    probs: NDArray[np.float64]
    log_probs: NDArray[np.float64] | None


class OneHotNetwork(WordVectors):
    """W_in (V, D), W_out (D, V) and a softmax: what the two simple networks are made of."""

    def __init__(
        self, vocab_size: int, vector_size: int, rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> None:
        self.vocab_size = vocab_size
        self.first = MatMul(random_weights(rng, vocab_size, vector_size, scale=SPREAD, dtype=dtype))
        self.second = MatMul(random_weights(rng, vector_size, vocab_size, scale=SPREAD, dtype=dtype))
        self.loss = SoftmaxWithLoss()
        super().__init__()
        self.params, self.grads = collect((self.first, self.second))


class LookUpNetwork(WordVectors):
    """W_in and W_out, both (V, D), and negative sampling: a word has one vector as what is seen and one as an answer.

    Args:
        counts: (V,), how often each word occurs in the text: wrong words are drawn by it.
        n_negative: Wrong words for each right one, K.
    """

    def __init__(
        self,
        counts: NDArray[Any],
        vector_size: int,
        rng: np.random.Generator,
        n_negative: int = 5,
        dtype: DTypeLike = np.float32,
    ) -> None:
        W_in, W_out = (random_weights(rng, len(counts), vector_size, scale=SPREAD, dtype=dtype) for _ in range(2))
        self.embedding = Embedding(W_in)
        self.loss = NegativeSamplingLoss(W_out, UnigramSampler(counts, rng=rng), n_negative)
        super().__init__()
        self.params, self.grads = collect((self.embedding, self.loss))


class SimpleCBOW(OneHotNetwork):
    """h = mean_c onehot(context_c) W_in;  P(word) = softmax(h W_out);  L = -log P(target)."""

    def forward(self, contexts: Ids, targets: Ids) -> float:
        """The mean loss: contexts (N, C), targets (N,)."""
        _check_examples(contexts, targets, len(self.word_vectors))
        vectors = self.first.forward(one_hot(contexts, self.vocab_size, self.params[0].dtype))  # (N, C, D)
        self._n_context = contexts.shape[1]
        return self.loss.forward(self.second.forward(vectors.mean(axis=1)), targets)

    def backward(self, dout: float = 1.0) -> None:
        """Each of the C words gets one C-th of the gradient of their mean."""
        dh = self.second.backward(self.loss.backward(dout)) / self._n_context  # (N, D)
        self.first.backward(np.repeat(dh[:, None], self._n_context, axis=1))

    def trace(self, context_ids: Ids) -> WordTrace:
        """What is expected between the words (C,), number by number."""
        rows, hidden = _averaged(self.word_vectors, context_ids)
        scores = hidden @ self.params[1].astype(np.float64)
        log_probs = log_softmax(scores)
        return WordTrace(rows, hidden, scores, np.exp(log_probs), np.asarray(log_probs, np.float64))


class SimpleSkipGram(OneHotNetwork):
    """h = onehot(target) W_in;  P(word) = softmax(h W_out);  L = - sum_c log P(context_c).

    All C neighbours are guessed from the same distribution, so their losses together are C times the one towards the mean of
    their one-hot rows, and one pass is enough.
    """

    def forward(self, contexts: Ids, targets: Ids) -> float:
        """The loss of all C neighbours, a mean over the N words: contexts (N, C), targets (N,)."""
        _check_examples(contexts, targets, len(self.word_vectors))
        dtype = self.params[0].dtype
        h = self.first.forward(one_hot(targets, self.vocab_size, dtype))  # (N, D)
        neighbours = one_hot(contexts, self.vocab_size, dtype).mean(axis=1)  # (N, V)
        self._n_context = contexts.shape[1]
        return self.loss.forward(self.second.forward(h), neighbours) * self._n_context

    def backward(self, dout: float = 1.0) -> None:
        """Fills the gradients."""
        self.first.backward(self.second.backward(self.loss.backward(dout * self._n_context)))


class CBOW(LookUpNetwork):
    """h = mean_c W_in[context_c];  L = -log sigmoid(h . W_out[target]) - sum_k log sigmoid(-h . W_out[w_k])."""

    def forward(self, contexts: Ids, targets: Ids) -> float:
        """The mean loss: contexts (N, C), targets (N,)."""
        _check_examples(contexts, targets, len(self.word_vectors))
        self._n_context = contexts.shape[1]
        return self.loss.forward(self.embedding.forward(contexts).mean(axis=1), targets)

    def backward(self, dout: float = 1.0) -> None:
        """Each of the C words gets one C-th of the gradient of their mean."""
        dh = self.loss.backward(dout) / self._n_context  # (N, D)
        self.embedding.backward(np.repeat(dh[:, None], self._n_context, axis=1))

    def trace(self, context_ids: Ids) -> WordTrace:
        """What is answered about each word between the words (C,), number by number."""
        rows, hidden = _averaged(self.word_vectors, context_ids)
        scores = self.params[1].astype(np.float64) @ hidden
        return WordTrace(rows, hidden, scores, np.asarray(sigmoid(scores), np.float64), None)


class SkipGram(LookUpNetwork):
    """h = W_in[target];  L = sum_c [-log sigmoid(h . W_out[context_c]) - sum_k log sigmoid(-h . W_out[w_ck])]."""

    def forward(self, contexts: Ids, targets: Ids) -> float:
        """The loss of all C neighbours, a mean over the N words: contexts (N, C), targets (N,)."""
        _check_examples(contexts, targets, len(self.word_vectors))
        self._n_context = contexts.shape[1]
        h = np.repeat(self.embedding.forward(targets), self._n_context, axis=0)  # (N C, D)
        return self.loss.forward(h, contexts.reshape(-1)) * self._n_context

    def backward(self, dout: float = 1.0) -> None:
        """The gradients of the C guesses from a word are added up."""
        dh = self.loss.backward(dout * self._n_context)  # (N C, D)
        self.embedding.backward(dh.reshape(-1, self._n_context, dh.shape[1]).sum(axis=1))


def _averaged(W_in: Array, context_ids: Ids) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows of some words, (C, D), and their mean."""
    check_shape("context_ids", context_ids, ("C",))
    check_ids(context_ids, len(W_in), "context_ids")
    rows = W_in[context_ids].astype(np.float64)
    return rows, rows.mean(axis=0)


def _check_examples(contexts: Ids, targets: Ids, vocab_size: int) -> None:
    check_shape("contexts", contexts, ("N", "C"))
    check_shape("targets", targets, (len(contexts),), f"contexts has shape {contexts.shape}")
    check_ids(contexts, vocab_size, "contexts")
    check_ids(targets, vocab_size, "targets")
