"""Attention: every step of one sequence looks at all places of another and takes a weighted mean of what stands there.

    scores  e_ts = score(q_t, k_s)                    how well place s answers what step t asks
    weights a_t  = softmax(e_t1 ... e_tS)             shares that sum to 1
    context c_t  = sum over s of a_ts v_s             the mean of the values, weighted by these shares

Sources: the three scores (dot, general, concat) are those of Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3.1;
Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473) ask with the decoder's state before the step, Luong with the one after it,
and the layers here take whichever queries they are given. Scaled dot products, many heads and the causal mask: Vaswani et
al. 2017 (arXiv:1706.03762), section 3.2.

Shapes: N sequences, S source places, T steps that ask, H width of keys and values, Q width of queries, A width inside the
concat score. Masks are boolean, True where a place may be looked at.
"""

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.checks import ANY_BEFORE, Array, check_shape
from malmoi.scratch.layers import Affine, Layer, MatMul, Softmax, check_weight, collect, random_weights

Mask = NDArray[np.bool_]


# Masks


def causal_mask(n_steps: int) -> Mask:
    """Step t may look at itself and at what stands before it: (T, T), True on and below the diagonal."""
    return np.tril(np.ones((n_steps, n_steps), dtype=bool))


def padding_mask(is_token: Mask) -> Mask:
    """No step may look at padding: is_token (N, S), True at real tokens, as a mask (N, 1, S) for all steps.

    Masks join by `&`: `causal_mask(T) & padding_mask(is_token)` has shape (N, T, T).
    """
    check_shape("is_token", is_token, ("N", "S"))
    return is_token[:, None, :]


def hide(scores: Array, may_attend: NDArray[Any] | None) -> Array:
    """The scores with -inf where the mask forbids to look, so that the softmax gives these places exactly 0.

    Raises:
        ConfigError: If the mask is not boolean or its shape does not fit the scores.
        DataError: If a row of the mask forbids every place, so no weights can sum to 1.
    """
    if may_attend is None:
        return scores
    if may_attend.dtype != np.bool_:
        raise ConfigError(
            f"The mask has dtype {may_attend.dtype}. Booleans were expected, True where a place may be looked at: "
            "write it as `mask.astype(bool)`."
        )
    try:
        fits = np.broadcast_shapes(may_attend.shape, scores.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"The mask has shape {may_attend.shape}, the scores have shape {scores.shape}. The mask must have that shape, "
            "or 1 (or nothing) where all entries of an axis share it: see causal_mask and padding_mask."
        )
    sees_something = may_attend.any(axis=-1)
    if not sees_something.all():
        row = tuple(int(place) for place in np.argwhere(~sees_something)[0])
        raise DataError(
            f"Row {row} of the mask forbids every place, so no attention weights can sum to 1. Each row needs at least one "
            "place to look at: take sequences out that are padding alone, and put padding at the end."
        )
    return np.where(may_attend, scores, -np.inf)


# Scores: (keys, queries) -> how well each place answers each step


@runtime_checkable
class Score(Protocol):
    """How well each place answers each step. `forward` and `backward` say what goes in and out."""

    params: list[Array]
    grads: list[Array]

    def forward(self, keys: Array, queries: Array) -> Array:
        """Keys (N, S, H) and queries (N, T, Q): scores (N, T, S)."""
        ...

    def backward(self, d_scores: Array) -> tuple[Array, Array]:
        """The gradients of keys and queries."""
        ...


class DotScore(Layer):
    """score = q . k: without weights, so queries and keys must be equally wide. Any leading axes."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, keys: Array, queries: Array) -> Array:
        """Keys (..., S, H) and queries (..., T, H): scores (..., T, S)."""
        check_shape("keys", keys, (ANY_BEFORE, "S", "H"))
        check_shape("queries", queries, (*keys.shape[:-2], "T", keys.shape[-1]), f"keys have shape {keys.shape}")
        self._keys, self._queries = keys, queries
        return queries @ keys.swapaxes(-1, -2)

    def backward(self, d_scores: Array) -> tuple[Array, Array]:
        return d_scores.swapaxes(-1, -2) @ self._queries, d_scores @ self._keys


class GeneralScore(Layer):
    """score = (q W) . k: a matrix W (Q, H) translates queries into the language of the keys."""

    def __init__(self, W: Array) -> None:
        self._translate, self._dot = MatMul(W), DotScore()
        self.params, self.grads = self._translate.params, self._translate.grads

    def forward(self, keys: Array, queries: Array) -> Array:
        """Keys (N, S, H) and queries (N, T, Q): scores (N, T, S)."""
        (W,) = self.params
        check_shape("keys", keys, ("N", "S", W.shape[1]), f"W has shape {W.shape}")
        return self._dot.forward(keys, self._translate.forward(queries))

    def backward(self, d_scores: Array) -> tuple[Array, Array]:
        d_keys, d_translated = self._dot.backward(d_scores)
        return d_keys, self._translate.backward(d_translated)


class ConcatScore(Layer):
    """score = tanh([q; k] W) . v: a small network reads query and key side by side. W (Q + H, A), v (A,).

    [q; k] W = q W_q + k W_k with W_q the upper Q rows of W: each product is made once for a query or a key, not for each pair.
    """

    def __init__(self, W: Array, v: Array) -> None:
        check_weight("W", W, ("Q + H", "A"))
        check_weight("v", v, (W.shape[1],), f"W has shape {W.shape}")
        super().__init__(W, v)

    def forward(self, keys: Array, queries: Array) -> Array:
        """Keys (N, S, H) and queries (N, T, Q): scores (N, T, S)."""
        W, v = self.params
        check_shape("keys", keys, ("N", "S", "H"))
        query_size = len(W) - keys.shape[2]
        check_shape(
            "queries", queries, (len(keys), "T", query_size), f"keys have shape {keys.shape} and W has {W.shape}"
        )
        from_queries, from_keys = queries @ W[:query_size], keys @ W[query_size:]  # (N, T, A), (N, S, A)
        self._keys, self._queries = keys, queries
        self._hidden = np.tanh(from_queries[:, :, None] + from_keys[:, None])  # (N, T, S, A)
        return np.asarray(self._hidden @ v)

    def backward(self, d_scores: Array) -> tuple[Array, Array]:
        W, v = self.params
        d_W, d_v = self.grads
        hidden, query_size = self._hidden, self._queries.shape[-1]
        d_v[...] = d_scores.reshape(-1) @ _rows(hidden)
        d_sums = d_scores[..., None] * (v * (1 - hidden**2))  # (N, T, S, A)
        d_from_queries, d_from_keys = d_sums.sum(axis=2), d_sums.sum(axis=1)
        np.matmul(_rows(self._queries).T, _rows(d_from_queries), out=d_W[:query_size])
        np.matmul(_rows(self._keys).T, _rows(d_from_keys), out=d_W[query_size:])
        return d_from_keys @ W[query_size:].T, d_from_queries @ W[:query_size].T


def _rows(x: Array) -> Array:
    """All leading axes as one, so that one product serves all of them."""
    return x.reshape(-1, x.shape[-1])


def random_score(
    name: str, query_size: int, key_size: int, rng: np.random.Generator, dtype: DTypeLike = np.float32
) -> Score:
    """A score with small random weights; the network inside concat is as wide as the keys."""
    if name == "dot":
        return DotScore()
    if name == "general":
        return GeneralScore(random_weights(rng, query_size, key_size, dtype=dtype))
    if name == "concat":
        W = random_weights(rng, query_size + key_size, key_size, dtype=dtype)
        return ConcatScore(W, random_weights(rng, key_size, dtype=dtype))
    raise ConfigError(f"score={name!r} is not an attention score. Choose 'dot', 'general' or 'concat'.")


# Attention of one sequence over another


class AttentionWeight(Layer):
    """Where to look: scores, then a softmax over the source."""

    def __init__(self, score: Score) -> None:
        self._score, self._softmax = score, Softmax()
        self.params, self.grads = score.params, score.grads

    def forward(self, keys: Array, queries: Array, is_token: Mask | None = None) -> Array:
        """Keys (N, S, H), queries (N, T, Q), is_token (N, S): weights (N, T, S), 0 at padding, each row summing to 1.

        Raises:
            DataError: If a source is padding alone.
        """
        if is_token is not None:
            check_shape("is_token", is_token, keys.shape[:2], f"keys have shape {keys.shape}")
        scores = self._score.forward(keys, queries)
        return self._softmax.forward(hide(scores, None if is_token is None else padding_mask(is_token)))

    def backward(self, d_weights: Array) -> tuple[Array, Array]:
        """The gradients of keys and queries."""
        return self._score.backward(self._softmax.backward(d_weights))


class WeightSum(Layer):
    """What is seen there: the mean of the values under given weights. Any leading axes."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, values: Array, weights: Array) -> Array:
        """Values (..., S, H) and weights (..., T, S): contexts (..., T, H)."""
        check_shape("values", values, (ANY_BEFORE, "S", "H"))
        check_shape(
            "weights", weights, (*values.shape[:-2], "T", values.shape[-2]), f"values have shape {values.shape}"
        )
        self._values, self._weights = values, weights
        return weights @ values

    def backward(self, d_contexts: Array) -> tuple[Array, Array]:
        """The gradients of values and weights."""
        return self._weights.swapaxes(-1, -2) @ d_contexts, d_contexts @ self._values.swapaxes(-1, -2)


class TimeAttention(Layer):
    """All steps of a decoder look at an encoder's outputs, which are keys and values at once.

    The steps do not wait for one another, so one product serves all of them.

    Attributes:
        attention_weights: Where each step looked in the last `forward`, (N, T, S).
    """

    attention_weights: Array

    def __init__(self, score: Score | None = None) -> None:
        self._weight, self._sum = AttentionWeight(DotScore() if score is None else score), WeightSum()
        self.params, self.grads = self._weight.params, self._weight.grads

    def forward(self, encoder_outputs: Array, queries: Array, is_token: Mask | None = None) -> Array:
        """Encoder outputs (N, S, H), queries (N, T, Q), is_token (N, S): contexts (N, T, H)."""
        self.attention_weights = self._weight.forward(encoder_outputs, queries, is_token)
        return self._sum.forward(encoder_outputs, self.attention_weights)

    def backward(self, d_contexts: Array) -> tuple[Array, Array]:
        """The gradients of encoder outputs and queries. The outputs were read twice, so two gradients meet there."""
        d_values, d_weights = self._sum.backward(d_contexts)
        d_keys, d_queries = self._weight.backward(d_weights)
        return d_values + d_keys, d_queries


class Attention(Layer):
    """One step of a decoder looks at an encoder's outputs.

    Attributes:
        attention_weights: Where it looked in the last `forward`, (N, S).
    """

    attention_weights: Array

    def __init__(self, score: Score | None = None) -> None:
        self._steps = TimeAttention(score)
        self.params, self.grads = self._steps.params, self._steps.grads

    def forward(self, encoder_outputs: Array, query: Array, is_token: Mask | None = None) -> Array:
        """Encoder outputs (N, S, H), query (N, Q), is_token (N, S): context (N, H)."""
        check_shape("query", query, (len(encoder_outputs), "Q"), f"encoder_outputs have shape {encoder_outputs.shape}")
        context = self._steps.forward(encoder_outputs, query[:, None], is_token)[:, 0]
        self.attention_weights = self._steps.attention_weights[:, 0]
        return context

    def backward(self, d_context: Array) -> tuple[Array, Array]:
        """The gradients of encoder outputs and query."""
        d_outputs, d_queries = self._steps.backward(d_context[:, None])
        return d_outputs, d_queries[:, 0]


# Attention of the Transformer


class ScaledDotProductAttention(Layer):
    """softmax(q k^T / sqrt(d)) v.

    The dot product of two vectors of d numbers of variance 1 has variance d; divided by sqrt(d) it stays where the softmax
    is not yet flat.

    Attributes:
        attention_weights: Where each step looked in the last `forward`, (..., T, S).
    """

    attention_weights: Array

    def __init__(self) -> None:
        super().__init__()
        self._dot, self._softmax, self._sum = DotScore(), Softmax(), WeightSum()

    def forward(self, queries: Array, keys: Array, values: Array, may_attend: Mask | None = None) -> Array:
        """Queries (..., T, d), keys (..., S, d), values (..., S, H), a mask that broadcasts to (..., T, S): (..., T, H)."""
        self._scale = 1 / math.sqrt(queries.shape[-1])
        scores = self._dot.forward(
            keys, queries * self._scale
        )  # scaling the queries is less work than scaling T x S scores
        self.attention_weights = self._softmax.forward(hide(scores, may_attend))
        return self._sum.forward(values, self.attention_weights)

    def backward(self, d_contexts: Array) -> tuple[Array, Array, Array]:
        """The gradients of queries, keys and values."""
        d_values, d_weights = self._sum.backward(d_contexts)
        d_keys, d_scaled = self._dot.backward(self._softmax.backward(d_weights))
        return d_scaled * self._scale, d_keys, d_values


class MultiHeadAttention(Layer):
    """Several attentions side by side, each over its own slice of the width, so that each can look somewhere else.

    Weights: Wq (D, heads * d), Wk (M, heads * d), Wv (M, heads * e), Wo (heads * e, D), with D the width of the steps that ask,
    M that of the memory. `torch.nn.MultiheadAttention` keeps Wq.T, Wk.T and Wv.T one under the other.

    Args:
        Wq: Makes queries.
        Wk: Makes keys.
        Wv: Makes values.
        Wo: Mixes what the heads have seen.
        n_heads: Into how many heads the width is split.
        biases: One for each of the four, or None for none (Vaswani et al. have none).

    Attributes:
        attention_weights: Where each head looked in the last `forward`, (N, heads, T, S).

    Raises:
        ConfigError: If the width cannot be split evenly.
    """

    def __init__(
        self,
        Wq: Array,
        Wk: Array,
        Wv: Array,
        Wo: Array,
        n_heads: int,
        biases: tuple[Array, Array, Array, Array] | None = None,
    ) -> None:
        check_shape("Wq", Wq, ("D", "heads * d"))
        check_shape("Wk", Wk, ("M", Wq.shape[1]), f"Wq has shape {Wq.shape}")
        check_shape("Wv", Wv, (len(Wk), "heads * e"), f"Wk has shape {Wk.shape}")
        check_shape("Wo", Wo, (Wv.shape[1], len(Wq)), f"Wv has shape {Wv.shape} and Wq has {Wq.shape}")
        for name, width in (("Wq", Wq.shape[1]), ("Wv", Wv.shape[1])):
            if n_heads < 1 or width % n_heads:
                raise ConfigError(
                    f"{name} makes {width} numbers for each token, which cannot be split evenly over n_heads={n_heads}. "
                    f"Choose n_heads from the divisors of {width}."
                )
        self.n_heads = n_heads
        weights = (Wq, Wk, Wv, Wo)
        projections: list[MatMul | Affine] = (
            [MatMul(W) for W in weights]
            if biases is None
            else [Affine(W, b) for W, b in zip(weights, biases, strict=True)]
        )
        self._to_query, self._to_key, self._to_value, self._to_output = projections
        self._attention = ScaledDotProductAttention()
        self.params, self.grads = collect(projections)

    @property
    def attention_weights(self) -> Array:
        return self._attention.attention_weights

    def forward(self, x: Array, memory: Array, may_attend: Mask | None = None) -> Array:
        """The steps x (N, T, D) look at the memory (N, S, M), a mask (T, S) or broadcasting to (N, T, S): (N, T, D).

        For self-attention the memory is x itself.
        """
        check_shape("memory", memory, ("N", "S", len(self._to_key.params[0])), "Wk has so many rows")
        check_shape(
            "x",
            x,
            (len(memory), "T", len(self._to_query.params[0])),
            f"memory has shape {memory.shape}, Wq so many rows",
        )
        if may_attend is not None and may_attend.ndim == 3:
            may_attend = may_attend[:, None]  # all heads share it
        contexts = self._attention.forward(
            self._split(self._to_query.forward(x)),
            self._split(self._to_key.forward(memory)),
            self._split(self._to_value.forward(memory)),
            may_attend,
        )
        return self._to_output.forward(self._join(contexts))

    def backward(self, dout: Array) -> tuple[Array, Array]:
        """The gradients of x and of the memory; for self-attention the two are added up."""
        d_contexts = self._split(self._to_output.backward(dout))
        d_queries, d_keys, d_values = (self._join(d) for d in self._attention.backward(d_contexts))
        return self._to_query.backward(d_queries), self._to_key.backward(d_keys) + self._to_value.backward(d_values)

    def _split(self, x: Array) -> Array:
        """(N, T, heads * d) -> (N, heads, T, d)."""
        return x.reshape(*x.shape[:2], self.n_heads, -1).swapaxes(1, 2)

    def _join(self, x: Array) -> Array:
        """(N, heads, T, d) -> (N, T, heads * d)."""
        x = x.swapaxes(1, 2)
        return x.reshape(*x.shape[:2], -1)
