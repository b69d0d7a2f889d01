"""The Transformer in NumPy: layer norm, feed-forward, positions, the block, and a small decoder that is a language model.

    pre-norm     x = x + attention(norm(x));  x = x + feed_forward(norm(x))      and one more norm after the last block
    post-norm    x = norm(x + attention(x));  x = norm(x + feed_forward(x))

Sources: Vaswani et al. 2017 (arXiv:1706.03762), with its post-norm; pre-norm as in GPT-2 (Radford et al. 2019) and Xiong et
al. 2020 (arXiv:2002.04745); layer norm, Ba et al. 2016 (arXiv:1607.06450); GELU, Hendrycks & Gimpel 2016 (arXiv:1606.08415).

Shapes: N sequences, T tokens each, D width of the model, F width inside the feed-forward layer, V vocab_size.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError
from malmoi.scratch.attention import Mask, MultiHeadAttention, causal_mask, padding_mask
from malmoi.scratch.checks import ANY_BEFORE, Array, Ids, check_shape
from malmoi.scratch.layers import Affine, Dropout, Embedding, Layer, MatMul, Relu, check_weight, collect, random_weights
from malmoi.scratch.time import TimeSoftmaxWithLoss
from malmoi.scratch.writing import write


class LayerNorm(Layer):
    """Each token's vector is shifted to mean 0 and scaled to variance 1, then stretched and moved as learned.

        y = gain * (x - mean(x)) / sqrt(var(x) + eps) + bias

    Args:
        gain: Stretches each of the D numbers; begins at 1.
        bias: Moves each of them; begins at 0.
        eps: Keeps the division safe where a vector is constant.
    """

    def __init__(self, gain: Array, bias: Array, eps: float = 1e-5) -> None:
        check_weight("gain", gain, ("D",))
        check_weight("bias", bias, gain.shape, f"gain has shape {gain.shape}")
        super().__init__(gain, bias)
        self.eps = eps

    def forward(self, x: Array) -> Array:
        """x (..., D): the same shape."""
        gain, bias = self.params
        check_shape("x", x, (ANY_BEFORE, len(gain)), f"gain has shape {gain.shape}")
        centred = x - x.mean(axis=-1, keepdims=True)
        self._deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.eps)
        self._normal = centred / self._deviation
        return self._normal * gain + bias  # type: ignore[no-any-return]

    def backward(self, dout: Array) -> Array:
        """What of the gradient would only shift or scale x is taken out: neither can reach the output."""
        d_gain, d_bias = self.grads
        leading = tuple(range(dout.ndim - 1))
        d_gain[...] = (dout * self._normal).sum(axis=leading)
        d_bias[...] = dout.sum(axis=leading)
        d_normal = dout * self.params[0]
        shift = d_normal.mean(axis=-1, keepdims=True)
        scale = (d_normal * self._normal).mean(axis=-1, keepdims=True)
        return np.asarray((d_normal - shift - self._normal * scale) / self._deviation)


class Gelu(Layer):
    """gelu(x) = x * P(a standard normal draw is below x): a smooth relu."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        """Any shape."""
        from scipy.special import ndtr  # takes a while to import

        self._x, self._below = x, ndtr(x)
        return np.asarray(x * self._below)

    def backward(self, dout: Array) -> Array:
        density = np.exp(-0.5 * self._x**2) / math.sqrt(2 * math.pi)
        return np.asarray(dout * (self._below + self._x * density))


class FeedForward(Layer):
    """activation(x W1 + b1) W2 + b2, for each token by itself. W1 (D, F), b1 (F,), W2 (F, D), b2 (D,)."""

    def __init__(self, W1: Array, b1: Array, W2: Array, b2: Array, activation: str = "relu") -> None:
        if activation not in ("relu", "gelu"):
            raise ConfigError(f"activation={activation!r} is not known. Choose 'relu' or 'gelu'.")
        check_shape("W2", W2, W1.shape[::-1], f"W1 has shape {W1.shape}")
        self._widen, self._narrow = Affine(W1, b1), Affine(W2, b2)
        self._activation: Relu | Gelu = Relu() if activation == "relu" else Gelu()
        self.params, self.grads = collect([self._widen, self._narrow])

    def forward(self, x: Array) -> Array:
        """x (N, T, D): the same shape."""
        return self._narrow.forward(self._activation.forward(self._widen.forward(x)))

    def backward(self, dout: Array) -> Array:
        return self._widen.backward(self._activation.backward(self._narrow.backward(dout)))


class SelfAttention(Layer):
    """Every token looks at the tokens of its own sequence: queries and memory are one, so their gradients add up."""

    def __init__(self, attention: MultiHeadAttention) -> None:
        self.attention = attention
        self.params, self.grads = attention.params, attention.grads

    def forward(self, x: Array, may_attend: Mask | None = None) -> Array:
        """x (N, T, D), a mask that broadcasts to (N, T, T): the same shape as x."""
        return self.attention.forward(x, x, may_attend)

    def backward(self, dout: Array) -> Array:
        d_queries, d_memory = self.attention.backward(dout)
        return d_queries + d_memory


@runtime_checkable
class SubLayer(Protocol):
    """What `Residual` wraps: one array in and one of the same shape out."""

    params: list[Array]
    grads: list[Array]

    def forward(self, x: Array, *rest: Any) -> Array: ...

    def backward(self, dout: Array) -> Array: ...


class Residual(Layer):
    """The layer only has to learn what to add: x + layer(norm(x)), or norm(x + layer(x)) for post-norm.

    Along the sum the gradient passes unchanged, which is why many blocks on top of each other can be trained.

    Args:
        layer: Anything whose output has the shape of its input; what else `forward` is given goes to it.
        norm: Normalises, before the layer or after the sum.
        norm_first: Pre-norm (True) or post-norm (False).
        dropout: Falls on what the layer adds.
    """

    def __init__(self, layer: SubLayer, norm: LayerNorm, norm_first: bool, dropout: Dropout | None = None) -> None:
        self.layer, self.norm, self.norm_first, self.dropout = layer, norm, norm_first, dropout
        self.params, self.grads = layer.params + norm.params, layer.grads + norm.grads

    def forward(self, x: Array, *rest: Any) -> Array:
        """x (N, T, D): the same shape."""
        added = self.layer.forward(self.norm.forward(x) if self.norm_first else x, *rest)
        if self.dropout is not None:
            added = self.dropout.forward(added)
        return x + added if self.norm_first else self.norm.forward(x + added)

    def backward(self, dout: Array) -> Array:
        """The sum copies the gradient to both of its sides; where x was read twice, two gradients meet."""
        d_sum = dout if self.norm_first else self.norm.backward(dout)
        d_added = d_sum if self.dropout is None else self.dropout.backward(d_sum)
        d_inner = self.layer.backward(d_added)
        return d_sum + (self.norm.backward(d_inner) if self.norm_first else d_inner)


class TransformerBlock(Layer):
    """Attention mixes across tokens, the feed-forward layer works within each token; both only add to what is there.

    Args:
        attention: Over the block's own input.
        feed_forward: After it.
        attention_norm: The layer norm of the attention.
        feed_forward_norm: The layer norm of the feed-forward layer.
        norm_first: Pre-norm (True) or post-norm (False).
        dropouts: One for what each of the two adds, or None.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: FeedForward,
        attention_norm: LayerNorm,
        feed_forward_norm: LayerNorm,
        norm_first: bool = True,
        dropouts: tuple[Dropout, Dropout] | None = None,
    ) -> None:
        self.attention = attention
        self.dropouts = () if dropouts is None else dropouts
        drop_attention, drop_feed_forward = (None, None) if dropouts is None else dropouts
        self._mix = Residual(SelfAttention(attention), attention_norm, norm_first, drop_attention)
        self._work = Residual(feed_forward, feed_forward_norm, norm_first, drop_feed_forward)
        self.params, self.grads = collect([self._mix, self._work])

    def forward(self, x: Array, may_attend: Mask | None = None) -> Array:
        """x (N, T, D), a mask that broadcasts to (N, T, T): the same shape as x."""
        return self._work.forward(self._mix.forward(x, may_attend))

    def backward(self, dout: Array) -> Array:
        return self._mix.backward(self._work.backward(dout))


def random_block(
    d_model: int,
    n_heads: int,
    d_ff: int,
    rng: np.random.Generator,
    *,
    activation: str = "gelu",
    norm_first: bool = True,
    dropout: float = 0.0,
    dtype: DTypeLike = np.float32,
) -> TransformerBlock:
    """A block with fresh weights: normal with variance 1 / inputs, so that numbers keep their size; biases 0, gains 1."""

    def zeros(size: int) -> Array:
        return np.zeros(size, dtype)

    def norm() -> LayerNorm:
        return LayerNorm(np.ones(d_model, dtype), zeros(d_model))

    Wq, Wk, Wv, Wo = (random_weights(rng, d_model, d_model, dtype=dtype) for _ in range(4))
    W1, W2 = random_weights(rng, d_model, d_ff, dtype=dtype), random_weights(rng, d_ff, d_model, dtype=dtype)
    biases = (zeros(d_model), zeros(d_model), zeros(d_model), zeros(d_model))
    return TransformerBlock(
        MultiHeadAttention(Wq, Wk, Wv, Wo, n_heads, biases),
        FeedForward(W1, zeros(d_ff), W2, zeros(d_model), activation),
        norm(),
        norm(),
        norm_first,
        (Dropout(dropout, rng), Dropout(dropout, rng)) if dropout else None,
    )


def sinusoidal_positions(n_positions: int, d_model: int, dtype: DTypeLike = np.float32) -> Array:
    """Where a token stands, as D numbers: hands of clocks that turn ever more slowly. (n_positions, d_model).

        P[t, 2i] = sin(t / 10000^(2i / D)),  P[t, 2i + 1] = cos of the same

    The vector of place t + k is that of place t turned by angles that depend on k alone.

    Source: Vaswani et al. 2017, section 3.5.
    """
    even = np.arange(0, d_model, 2)
    angles = np.arange(n_positions)[:, None] / 10000.0 ** (even / d_model)  # (n_positions, D / 2)
    positions = np.empty((n_positions, d_model), dtype)
    positions[:, 0::2] = np.sin(angles)
    positions[:, 1::2] = np.cos(angles[:, : d_model // 2])
    return positions


class DecoderLanguageModel(Layer):
    """A small GPT: token embeddings plus positions, blocks that look only backwards, softmax over the vocabulary.

        x = sqrt(D) E[ids] + P;  x = block(x) for each block;  logits = norm(x) W

    Args:
        vocab_size: Rows of E.
        d_model: Width D.
        n_heads: Attention heads in each block.
        n_layers: Blocks.
        d_ff: Width inside the feed-forward layers.
        context_length: Longest text that can be read at once, in tokens.
        rng: Draws the weights, and what dropout leaves out.
        activation: "gelu" or "relu".
        norm_first: Pre-norm, with one more norm after the last block; False for the post-norm of 2017.
        tie_embeddings: One matrix reads and writes tokens (W is E turned over).
        dropout: Share of numbers left out of embeddings and of what each layer adds, while training.
        ignore_id: Targets with this id are not counted.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        d_ff: int,
        context_length: int,
        rng: np.random.Generator,
        *,
        activation: str = "gelu",
        norm_first: bool = True,
        tie_embeddings: bool = False,
        dropout: float = 0.0,
        ignore_id: int = -1,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.vocab_size, self.context_length = vocab_size, context_length
        self._scale = math.sqrt(d_model)
        self._positions = sinusoidal_positions(context_length, d_model, dtype)
        E = random_weights(rng, vocab_size, d_model, scale=d_model**-0.5, dtype=dtype)
        W = E.T if tie_embeddings else random_weights(rng, d_model, vocab_size, dtype=dtype)
        self._embedding = Embedding(E)
        self.blocks = [
            random_block(
                d_model,
                n_heads,
                d_ff,
                rng,
                activation=activation,
                norm_first=norm_first,
                dropout=dropout,
                dtype=dtype,
            )
            for _ in range(n_layers)
        ]
        self._norm = LayerNorm(np.ones(d_model, dtype), np.zeros(d_model, dtype)) if norm_first else None
        self._output = MatMul(W)
        self._loss = TimeSoftmaxWithLoss(ignore_id)
        self._dropouts = [Dropout(dropout, rng)] if dropout else []
        layers = [self._embedding, *self.blocks, *([self._norm] if self._norm else []), self._output]
        self.params, self.grads = collect(layers)

    def predict(self, ids: Ids, is_token: Mask | None = None, train_flag: bool = False) -> Array:
        """Score every next token: ids (N, T), is_token (N, T) or None for no padding; logits (N, T, V).

        Raises:
            ConfigError: If the text is longer than `context_length`.
            DataError: If an id is not in the vocabulary, or a text begins with padding.
        """
        check_shape("ids", ids, ("N", "T"))
        n_steps = ids.shape[1]
        if n_steps > self.context_length:
            raise ConfigError(
                f"A text of {n_steps} tokens is longer than context_length={self.context_length}. Cut it into pieces, or "
                f"build the model with context_length={n_steps}."
            )
        for dropout in [*self._dropouts, *(dropout for block in self.blocks for dropout in block.dropouts)]:
            dropout.train_flag = train_flag
        may_attend = causal_mask(n_steps)
        if is_token is not None:
            check_shape("is_token", is_token, ids.shape, f"ids have shape {ids.shape}")
            may_attend = may_attend & padding_mask(is_token)
        x: Array = self._embedding.forward(ids) * self._scale + self._positions[:n_steps]  # (N, T, D)
        for dropout in self._dropouts:
            x = dropout.forward(x)
        for block in self.blocks:
            x = block.forward(x, may_attend)
        if self._norm is not None:
            x = self._norm.forward(x)
        return self._output.forward(x)

    def forward(self, ids: Ids, targets: Ids, is_token: Mask | None = None, train_flag: bool = True) -> float:
        """Mean -ln P of the targets (N, T) that are not `ignore_id`, in nats."""
        return self._loss.forward(self.predict(ids, is_token, train_flag), targets)

    def backward(self, dout: float = 1.0) -> None:
        """Fills `grads`. Valid once after each `forward`."""
        d_x = self._output.backward(self._loss.backward(dout))
        if self._norm is not None:
            d_x = self._norm.backward(d_x)
        for block in reversed(self.blocks):
            d_x = block.backward(d_x)
        for dropout in self._dropouts:
            d_x = dropout.backward(d_x)
        self._embedding.backward(d_x * self._scale)  # positions are fixed: nothing to learn

    def reset_state(self) -> None:
        """Nothing is carried from one text to the next; here so that trainers need not ask."""

    def generate(
        self,
        start_ids: Sequence[int],
        skip_ids: Sequence[int] = (),
        sample_size: int = 100,
        rng: np.random.Generator | None = None,
        *,
        temperature: float | int = 1.0,
        eos_id: int | None = None,
    ) -> list[int]:
        """Write. The text is read anew for each token, at most its last `context_length` tokens; arguments as for `write`."""
        return write(
            lambda ids, _: self.predict(np.array([ids[-self.context_length :]]))[0, -1],
            self.vocab_size,
            start_ids,
            skip_ids,
            sample_size,
            rng,
            temperature=temperature,
            eos_id=eos_id,
        )
