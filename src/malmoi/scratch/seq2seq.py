"""Sequence to sequence in NumPy: an LSTM reads the source, another one writes the target.

    Seq2seq            the encoder's last hidden state is where the decoder begins: all it ever hears of the source
    PeekySeq2seq       the same vector also goes into every step of the decoder's LSTM and of its output layer
    AttentionSeq2seq   every step looks back at all of the encoder's outputs

Sources: Sutskever, Vinyals & Le 2014 (arXiv:1409.3215), who also read the source backwards; Cho et al. 2014
(arXiv:1406.1078) for a source vector that every step sees; Luong, Pham & Manning 2015 (arXiv:1508.04025) for attention of
the decoder's state after the step. Unlike there, the cell state is not handed over, and the output layer reads context and
state without a tanh layer between.

Sources are padded at their end, targets begin with the begin mark, end with the end mark and are padded after it; padding
changes nothing.

Shapes: N pairs, S source tokens, T target tokens, V vocab_size, D embed_dim, H hidden_size.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.attention import Mask, TimeAttention, random_score
from malmoi.scratch.checks import Array, Ids, check_shape
from malmoi.scratch.layers import Layer, collect, random_weights
from malmoi.scratch.recurrent import TimeLSTM
from malmoi.scratch.time import TimeAffine, TimeEmbedding, TimeSoftmaxWithLoss


class Encoded(NamedTuple):
    """What the encoder has to say.

    Attributes:
        outputs: Its hidden state at each source token, (N, S, H).
        last: Its hidden state when all of the source was read, (N, H).
        is_token: False at padding, (N, S).
    """

    outputs: Array
    last: Array
    is_token: Mask


def _embedding(vocab_size: int, embed_dim: int, rng: np.random.Generator, dtype: DTypeLike) -> TimeEmbedding:
    return TimeEmbedding(random_weights(rng, vocab_size, embed_dim, scale=embed_dim**-0.5, dtype=dtype))


def _lstm(input_size: int, hidden_size: int, rng: np.random.Generator, dtype: DTypeLike, stateful: bool) -> TimeLSTM:
    """Fresh weights, and a forget gate that begins open: to remember is the safer habit."""
    Wx = random_weights(rng, input_size, 4 * hidden_size, dtype=dtype)
    Wh = random_weights(rng, hidden_size, 4 * hidden_size, dtype=dtype)
    b = np.zeros(4 * hidden_size, dtype)
    b[hidden_size : 2 * hidden_size] = 1
    return TimeLSTM(Wx, Wh, b, stateful=stateful)


def _affine(input_size: int, output_size: int, rng: np.random.Generator, dtype: DTypeLike) -> TimeAffine:
    return TimeAffine(random_weights(rng, input_size, output_size, dtype=dtype), np.zeros(output_size, dtype))


class Encoder(Layer):
    """Embedding and LSTM over the source.

    Args:
        vocab_size: Rows of the embedding.
        embed_dim: Its width D.
        hidden_size: Width H of the LSTM.
        rng: Draws the weights.
        reverse: Read the source from its end, so that its beginning is freshest when the target's beginning is written. The
            outputs still stand at the place of their token.
        pad_id: What sources are filled up with.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        hidden_size: int,
        rng: np.random.Generator,
        *,
        reverse: bool = False,
        pad_id: int = 0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.reverse, self.pad_id = reverse, pad_id
        self._embedding = _embedding(vocab_size, embed_dim, rng, dtype)
        self._lstm = _lstm(embed_dim, hidden_size, rng, dtype, stateful=False)
        self.params, self.grads = collect([self._embedding, self._lstm])

    def forward(self, ids: Ids) -> Encoded:
        """Read the sources (N, S).

        Raises:
            DataError: If a source is empty, or padding stands before a token.
        """
        check_shape("source ids", ids, ("N", "S"))
        is_token = np.asarray(ids != self.pad_id)
        bad = np.flatnonzero(~is_token[:, 0] | (is_token[:, 1:] & ~is_token[:, :-1]).any(axis=1))
        if bad.size:
            raise DataError(
                f"Source {bad[0]} is empty or has padding (id {self.pad_id}) before a token. At least one token was expected, "
                "then padding up to the longest source."
            )
        lengths = is_token.sum(axis=1)
        places = np.arange(ids.shape[1])
        if self.reverse:  # turn the tokens of each row round, leave the padding; done twice, nothing has happened
            self._order = np.arange(len(ids))[:, None], np.where(is_token, lengths[:, None] - 1 - places, places)
        self._shape, self._last = ids.shape, (np.arange(len(ids)), lengths - 1)
        hiddens = self._lstm.forward(self._embedding.forward(self._in_order(ids)))  # as read, (N, S, H)
        return Encoded(self._in_order(hiddens), hiddens[self._last], is_token)

    def backward(self, d_outputs: Array | None, d_last: Array) -> None:
        """The gradient of the outputs (None where nobody looked at them) and of the last state; ids have none."""
        if d_outputs is None:
            d_hiddens = np.zeros((*self._shape, d_last.shape[1]), d_last.dtype)
        else:
            d_hiddens = np.array(self._in_order(d_outputs))
        d_hiddens[self._last] += d_last
        self._embedding.backward(self._lstm.backward(d_hiddens))

    def _in_order(self, rows: NDArray[Any]) -> NDArray[Any]:
        """(N, S) or (N, S, H) with the places of each row in the order of reading, or back."""
        return rows[self._order] if self.reverse else rows


@runtime_checkable
class AnyDecoder(Protocol):
    """Writes the target: told once what was read, then it goes on from where it is."""

    params: list[Array]
    grads: list[Array]

    def begin(self, encoded: Encoded) -> None: ...

    def forward(self, ids: Ids) -> Array: ...

    def backward(self, d_logits: Array) -> tuple[Array | None, Array]: ...


class Decoder(Layer):
    """Embedding, LSTM that begins at the encoder's last state, output layer."""

    def __init__(
        self, vocab_size: int, embed_dim: int, hidden_size: int, rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> None:
        self._embedding = _embedding(vocab_size, embed_dim, rng, dtype)
        self._lstm = _lstm(embed_dim, hidden_size, rng, dtype, stateful=True)
        self._output = _affine(hidden_size, vocab_size, rng, dtype)
        self.params, self.grads = collect([self._embedding, self._lstm, self._output])

    def begin(self, encoded: Encoded) -> None:
        """Start a target for each source."""
        self._lstm.set_state(encoded.last)

    def forward(self, ids: Ids) -> Array:
        """Read target tokens (N, T) and score what follows each: logits (N, T, V)."""
        return self._output.forward(self._lstm.forward(self._embedding.forward(ids)))

    def backward(self, d_logits: Array) -> tuple[None, Array]:
        """The gradients of the encoder's outputs, which were not looked at, and of its last state."""
        self._embedding.backward(self._lstm.backward(self._output.backward(d_logits)))
        return None, self._lstm.dh


class PeekyDecoder(Layer):
    """A decoder whose every step sees the encoder's last state: beside the token, and again beside its own hidden state."""

    def __init__(
        self, vocab_size: int, embed_dim: int, hidden_size: int, rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> None:
        self._hidden_size = hidden_size
        self._embedding = _embedding(vocab_size, embed_dim, rng, dtype)
        self._lstm = _lstm(hidden_size + embed_dim, hidden_size, rng, dtype, stateful=True)
        self._output = _affine(2 * hidden_size, vocab_size, rng, dtype)
        self.params, self.grads = collect([self._embedding, self._lstm, self._output])

    def begin(self, encoded: Encoded) -> None:
        """Start a target for each source."""
        self._source = encoded.last
        self._lstm.set_state(encoded.last)

    def forward(self, ids: Ids) -> Array:
        """Read target tokens (N, T) and score what follows each: logits (N, T, V)."""
        source = np.broadcast_to(self._source[:, None], (*ids.shape, self._hidden_size))  # (N, T, H)
        hiddens = self._lstm.forward(np.concatenate([source, self._embedding.forward(ids)], axis=2))
        return self._output.forward(np.concatenate([source, hiddens], axis=2))

    def backward(self, d_logits: Array) -> tuple[None, Array]:
        """The gradients of the encoder's outputs, which were not looked at, and of its last state, from all who read it."""
        H = self._hidden_size
        d_read = self._output.backward(d_logits)  # (N, T, 2H)
        d_inputs = self._lstm.backward(d_read[:, :, H:])  # (N, T, H + D)
        self._embedding.backward(d_inputs[:, :, H:])
        return None, self._lstm.dh + d_read[:, :, :H].sum(axis=1) + d_inputs[:, :, :H].sum(axis=1)


class AttentionDecoder(Layer):
    """A decoder whose every step, once taken, looks at all of the encoder's outputs: logits = [context; hidden] W + b.

    Attributes:
        attention: With `attention_weights` of the last `forward`, (N, T, S).
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        hidden_size: int,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
        score: str = "dot",
    ) -> None:
        self._hidden_size = hidden_size
        self._embedding = _embedding(vocab_size, embed_dim, rng, dtype)
        self._lstm = _lstm(embed_dim, hidden_size, rng, dtype, stateful=True)
        self.attention = TimeAttention(random_score(score, hidden_size, hidden_size, rng, dtype))
        self._output = _affine(2 * hidden_size, vocab_size, rng, dtype)
        self.params, self.grads = collect([self._embedding, self._lstm, self.attention, self._output])

    def begin(self, encoded: Encoded) -> None:
        """Start a target for each source."""
        self._encoded = encoded
        self._lstm.set_state(encoded.last)

    def forward(self, ids: Ids) -> Array:
        """Read target tokens (N, T) and score what follows each: logits (N, T, V)."""
        hiddens = self._lstm.forward(self._embedding.forward(ids))
        contexts = self.attention.forward(self._encoded.outputs, hiddens, self._encoded.is_token)
        return self._output.forward(np.concatenate([contexts, hiddens], axis=2))

    def backward(self, d_logits: Array) -> tuple[Array, Array]:
        """The gradients of the encoder's outputs and of its last state."""
        H = self._hidden_size
        d_read = self._output.backward(d_logits)  # (N, T, 2H)
        d_outputs, d_queries = self.attention.backward(d_read[:, :, :H])
        self._embedding.backward(self._lstm.backward(d_read[:, :, H:] + d_queries))
        return d_outputs, self._lstm.dh


class EncoderDecoder(Layer):
    """An encoder and a decoder joined: what the three networks below share."""

    def __init__(self, encoder: Encoder, decoder: AnyDecoder) -> None:
        self.encoder, self.decoder = encoder, decoder
        self._loss = TimeSoftmaxWithLoss(ignore_id=encoder.pad_id)
        self.params = encoder.params + decoder.params
        self.grads = encoder.grads + decoder.grads

    def forward(self, xs: Ids, ts: Ids) -> float:
        """Mean -ln P of each target token given the source and the true tokens before it (teacher forcing), in nats.

        Args:
            xs: Sources (N, S).
            ts: Targets (N, T) with begin and end marks: all but the last are read, all but the first are to be written.
        """
        encoded = self.encoder.forward(xs)
        check_shape("targets", ts, (len(xs), "T"), f"sources have shape {xs.shape}")
        if ts.shape[1] < 2:
            raise DataError(
                f"Targets of {ts.shape[1]} tokens leave nothing to write. A begin mark and at least one more expected."
            )
        self.decoder.begin(encoded)
        return self._loss.forward(self.decoder.forward(ts[:, :-1]), ts[:, 1:])

    def backward(self, dout: float = 1.0) -> None:
        """Fills `grads`. Valid once after each `forward`."""
        self.encoder.backward(*self.decoder.backward(self._loss.backward(dout)))

    def generate(self, xs: Ids, start_id: int, sample_size: int, eos_id: int | None = None) -> NDArray[np.int64]:
        """Write a target for each source (N, S), always the likeliest next token: ids (N, sample_size), begin mark left out.

        After the end mark (`eos_id`), if one is given, stands padding.
        """
        if sample_size < 1:
            raise ConfigError(f"sample_size={sample_size}, expected at least 1: how many tokens to write at most.")
        self.decoder.begin(self.encoder.forward(xs))
        written = np.full((len(xs), sample_size), self.encoder.pad_id, np.int64)
        last, is_open = np.full(len(xs), start_id), np.ones(len(xs), dtype=bool)
        for step in range(sample_size):
            last = self.decoder.forward(last[:, None])[:, 0].argmax(axis=1)
            written[is_open, step] = last[is_open]
            is_open &= last != eos_id
            if not is_open.any():
                break
        return written


class Seq2seq(EncoderDecoder):
    """The encoder's last hidden state is where the decoder begins.

    Args:
        vocab_size: Ids of the sources, and of the targets too unless `target_vocab_size` is given.
        embed_dim: Width D of both embeddings.
        hidden_size: Width H of both LSTMs.
        rng: Draws the weights.
        reverse: Read the source from its end.
        target_vocab_size: Ids of the targets.
        pad_id: What both sides are filled up with.
        dtype: float32 to use it, float64 to check gradients.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        hidden_size: int,
        rng: np.random.Generator,
        *,
        reverse: bool = False,
        target_vocab_size: int | None = None,
        pad_id: int = 0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            Encoder(vocab_size, embed_dim, hidden_size, rng, reverse=reverse, pad_id=pad_id, dtype=dtype),
            Decoder(target_vocab_size or vocab_size, embed_dim, hidden_size, rng, dtype),
        )


class PeekySeq2seq(EncoderDecoder):
    """Every step of the decoder sees the encoder's last hidden state. Arguments as for `Seq2seq`."""

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        hidden_size: int,
        rng: np.random.Generator,
        *,
        reverse: bool = False,
        target_vocab_size: int | None = None,
        pad_id: int = 0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            Encoder(vocab_size, embed_dim, hidden_size, rng, reverse=reverse, pad_id=pad_id, dtype=dtype),
            PeekyDecoder(target_vocab_size or vocab_size, embed_dim, hidden_size, rng, dtype),
        )


class AttentionSeq2seq(EncoderDecoder):
    """Every step of the decoder looks at all of the encoder's outputs. Arguments as for `Seq2seq`, and:

    Args:
        score: "dot", "general" or "concat".
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        hidden_size: int,
        rng: np.random.Generator,
        *,
        score: str = "dot",
        reverse: bool = False,
        target_vocab_size: int | None = None,
        pad_id: int = 0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        decoder = AttentionDecoder(target_vocab_size or vocab_size, embed_dim, hidden_size, rng, dtype, score)
        super().__init__(
            Encoder(vocab_size, embed_dim, hidden_size, rng, reverse=reverse, pad_id=pad_id, dtype=dtype), decoder
        )
        self._attention = decoder.attention

    @property
    def attention_weights(self) -> Array:
        """Where each target step of the last `forward` looked, (N, T, S), at the sources' own places."""
        return self._attention.attention_weights


def exact_match(model: EncoderDecoder, xs: Ids, ts: Ids, eos_id: int = 3) -> float:
    """The share of targets that the network writes without a single mistake.

    Args:
        model: The network.
        xs: Sources (N, S).
        ts: Targets (N, T), begin mark first, end mark last, padded after it.
        eos_id: The end mark.
    """
    written = model.generate(xs, int(ts[0, 0]), ts.shape[1] - 1, eos_id)
    return float((written == ts[:, 1:]).all(axis=1).mean())
