"""Sequence to sequence in NumPy: against PyTorch, against finite differences; padding, reversing, learning."""

import datetime
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.gradients import check_gradients
from malmoi.scratch.optimisers import Adam
from malmoi.scratch.seq2seq import AttentionSeq2seq, Encoder, EncoderDecoder, PeekySeq2seq, Seq2seq, exact_match
from malmoi.scratch.seq2seq_tasks import BOS, EOS, PAD, CharacterPairs, additions, dates, korean_number
from malmoi.scratch.trainer import Trainer

NETWORKS: dict[str, Callable[..., EncoderDecoder]] = {
    "seq2seq": Seq2seq,
    "peeky": PeekySeq2seq,
    "dot": AttentionSeq2seq,
    "general": lambda *sizes, **options: AttentionSeq2seq(*sizes, score="general", **options),
    "concat": lambda *sizes, **options: AttentionSeq2seq(*sizes, score="concat", **options),
}


def network(kind: str, **options: object) -> EncoderDecoder:
    return NETWORKS[kind](9, 3, 4, np.random.default_rng(1), **{"dtype": np.float64} | options)


def pairs(n: int = 3, n_source: int = 4, n_target: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sources of different lengths, and targets of different lengths between begin and end."""
    rng = np.random.default_rng(seed)
    xs, ts = rng.integers(4, 9, size=(n, n_source)), rng.integers(4, 9, size=(n, n_target + 2))
    ts[:, 0] = BOS
    for i in range(n):
        xs[i, 1 + i % n_source :] = PAD
        last = 1 + i % (n_target + 1)
        ts[i, last], ts[i, last + 1 :] = EOS, PAD
    return xs, ts


# Correctness


@pytest.mark.parametrize(("kind", "reverse"), [*((kind, False) for kind in NETWORKS), ("seq2seq", True), ("dot", True)])
def test_gradients(kind: str, reverse: bool) -> None:
    model = NETWORKS[kind](6, 2, 2, np.random.default_rng(1), reverse=reverse, dtype=np.float64)
    xs, ts = (ids.clip(max=5) for ids in pairs())

    def run() -> float:
        loss = model.forward(xs, ts)
        model.backward()
        return loss

    assert check_gradients(model, run) <= 1e-6


def torch_loss(kind: str, params: list[torch.Tensor], xs: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
    """The same network from `torch.nn.LSTM`s with these weights."""
    *encoder, read, Wx, Wh, b = params[:8]
    rest = params[8:]

    def lstm(x: torch.Tensor, h: torch.Tensor, Wx: torch.Tensor, Wh: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        start = (h[None], torch.zeros_like(h)[None])
        return torch._VF.lstm(x, start, [Wx.T, Wh.T, b, torch.zeros_like(b)], True, 1, 0.0, True, False, True)[0]

    is_token = xs != PAD
    hiddens = lstm(encoder[0][xs], torch.zeros(len(xs), 4, dtype=torch.float64), *encoder[1:])
    last = hiddens[torch.arange(len(xs)), is_token.sum(dim=1) - 1]
    inputs = read[ts[:, :-1]]
    source = last[:, None].expand(-1, inputs.shape[1], -1)
    if kind == "peeky":
        inputs = torch.cat([source, inputs], dim=2)
    states = lstm(inputs, last, Wx, Wh, b)
    if kind == "peeky":
        states = torch.cat([source, states], dim=2)
    elif kind != "seq2seq":
        queries = states
        if kind == "general":
            scores = (queries @ rest.pop(0)) @ hiddens.transpose(1, 2)
        elif kind == "concat":
            n_steps, n_places = queries.shape[1], hiddens.shape[1]
            both = [queries[:, :, None].expand(-1, -1, n_places, -1), hiddens[:, None].expand(-1, n_steps, -1, -1)]
            scores = torch.tanh(torch.cat(both, dim=3) @ rest.pop(0)) @ rest.pop(0)
        else:
            scores = queries @ hiddens.transpose(1, 2)
        shares = scores.masked_fill(~is_token[:, None], -torch.inf).softmax(dim=2)
        states = torch.cat([shares @ hiddens, states], dim=2)
    W, bias = rest
    logits = states @ W + bias
    return F.cross_entropy(logits.flatten(0, 1), ts[:, 1:].flatten(), ignore_index=PAD)


@pytest.mark.parametrize("kind", NETWORKS)
@settings(deadline=None, max_examples=8)
@given(n=st.integers(1, 4), n_source=st.integers(1, 5), n_target=st.integers(1, 4))
def test_it_agrees_with_torch(kind: str, n: int, n_source: int, n_target: int) -> None:
    model, (xs, ts) = network(kind), pairs(n, n_source, n_target)
    loss = model.forward(xs, ts)
    model.backward()
    params = [torch.tensor(weight, requires_grad=True) for weight in model.params]
    theirs = torch_loss(kind, params, torch.tensor(xs), torch.tensor(ts))
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-10)
    for grad, param in zip(model.grads, params, strict=True):
        assert param.grad is not None
        np.testing.assert_allclose(grad, param.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_padding_changes_nothing(kind: str, reverse: bool) -> None:
    model, (xs, ts) = network(kind, reverse=reverse), pairs()
    written = model.generate(xs, BOS, 5, EOS)
    loss = model.forward(xs, ts)
    model.backward()
    grads = [grad.copy() for grad in model.grads]
    fill = ((0, 0), (0, 2))
    np.testing.assert_array_equal(model.generate(np.pad(xs, fill), BOS, 5, EOS), written)
    assert model.forward(np.pad(xs, fill), np.pad(ts, fill)) == pytest.approx(loss, rel=1e-12)
    model.backward()
    for grad, before in zip(model.grads, grads, strict=True):
        np.testing.assert_allclose(grad, before, rtol=1e-9, atol=1e-12)


def test_reversing_is_reading_the_turned_source_with_outputs_at_their_own_places() -> None:
    forwards, backwards = (
        Encoder(9, 3, 4, np.random.default_rng(1), reverse=reverse, dtype=np.float64) for reverse in (False, True)
    )
    source = np.array([[4, 5, 6, 7]])
    turned = forwards.forward(source[:, ::-1])
    ours = backwards.forward(np.pad(source, ((0, 0), (0, 2))))
    np.testing.assert_allclose(ours.last, turned.last, rtol=1e-12)
    np.testing.assert_allclose(ours.outputs[:, :4], turned.outputs[:, ::-1], rtol=1e-12)


@pytest.mark.parametrize("kind", NETWORKS)
def test_generate_writes_what_teacher_forcing_finds_likeliest(kind: str) -> None:
    model, (xs, _) = network(kind), pairs()
    written = model.generate(xs, BOS, 6)
    begun = np.insert(written, 0, BOS, axis=1)[:, :-1]
    model.decoder.begin(model.encoder.forward(xs))
    np.testing.assert_array_equal(model.decoder.forward(begun).argmax(axis=2), written)


def test_nothing_stands_after_the_end_mark() -> None:
    model, (xs, _) = network("seq2seq"), pairs()
    free = model.generate(xs, BOS, 6)
    eos = int(free[0, 2])  # some token that is written anyway
    stopped = model.generate(xs, BOS, 6, eos)
    for row, before in zip(stopped, free, strict=True):
        place = int(np.flatnonzero(np.append(before, eos) == eos)[0])
        np.testing.assert_array_equal(row[: place + 1], before[: place + 1])
        assert not row[place + 1 :].any()


def test_where_it_looked_is_kept() -> None:
    model, (xs, ts) = network("dot"), pairs()
    assert isinstance(model, AttentionSeq2seq)
    model.forward(xs, ts)
    np.testing.assert_allclose(model.attention_weights.sum(axis=2), np.ones((3, 4)), rtol=1e-12)
    assert not (model.attention_weights * (xs == PAD)[:, None]).any()


def test_two_vocabularies() -> None:
    model, (xs, ts) = network("peeky", target_vocab_size=13), pairs()
    ts[:, 1] = 12
    assert model.forward(xs, ts) > 0
    model.backward()
    assert model.generate(xs, BOS, 2).shape == (3, 2)


# Learning


def test_attention_learns_to_reverse_three_characters() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(4, 9, size=(256, 3))
    xs = words
    ts = np.pad(words[:, ::-1], ((0, 0), (1, 1)), constant_values=((0, 0), (BOS, EOS)))
    model = AttentionSeq2seq(9, 8, 16, np.random.default_rng(1))
    curve = Trainer(model, Adam(lr=0.02)).fit(xs, ts, max_epoch=25, batch_size=32, max_grad=5.0)
    assert curve.y[-1] < 0.1
    assert exact_match(model, xs, ts) == 1.0


# Tasks


def test_additions_are_right_and_stand_once() -> None:
    made = additions(500, seed=3, n_digits=2)
    assert made == additions(500, seed=3, n_digits=2)
    assert len({source for source, _ in made}) == 500
    assert all(sum(map(int, source.split("+"))) == int(total) for source, total in made)
    assert len(additions(100, seed=0, n_digits=1)) == 100


def test_dates_are_right_in_every_form() -> None:
    for source, iso in dates(300, seed=1, languages=("en",)):
        date = datetime.date.fromisoformat(iso)
        numbers = [int(number) for number in re.findall(r"\d+", source)]
        if "/" in source:
            assert numbers == [date.month, date.day, date.year]
        else:
            assert sorted(numbers) == [date.day, date.year]
            words = re.findall(r"[A-Z][a-z]+", source)
            assert words[-1][:3] == date.strftime("%b")
            assert len(words) == 1 or words[0] == date.strftime("%A")
    for source, iso in dates(300, seed=1, languages=("ko",)):
        date = datetime.date.fromisoformat(iso)
        if numbers := [int(number) for number in re.findall(r"\d+", source)]:
            assert numbers == [date.year, date.month, date.day]
        else:
            assert source.startswith(korean_number(date.year) + "년 ")
        if "요일" in source:
            assert source[-3] == "월화수목금토일"[date.weekday()]
    both = dates(300, seed=1)
    assert len({source for source, _ in both}) == 300
    assert any("년" in source for source, _ in both)
    assert any("/" in source for source, _ in both)


def test_korean_dates_in_words() -> None:
    assert korean_number(2024) == "이천이십사"
    assert korean_number(1911) == "천구백십일"
    assert korean_number(10) == "십"
    sources = {iso: source for source, iso in dates(3000, seed=0, languages=("ko",)) if not re.search(r"\d", source)}
    june = next(source for iso, source in sources.items() if iso[5:7] == "06")
    october = next(source for iso, source in sources.items() if iso[5:7] == "10")
    assert "유월" in june
    assert "시월" in october


def test_characters_become_ids_and_return() -> None:
    made = [("1+1", "2"), ("20+3", "23")]
    characters = CharacterPairs(made)
    xs, ts = characters.encode(made)
    assert characters.alphabet == ["+", "0", "1", "2", "3"]
    assert characters.vocab_size == 9
    np.testing.assert_array_equal(xs, [[6, 4, 6, PAD], [7, 5, 4, 8]])
    np.testing.assert_array_equal(ts, [[BOS, 7, EOS, PAD], [BOS, 7, 8, EOS]])
    assert [characters.decode(row) for row in ts] == ["2", "23"]
    assert characters.decode(characters.encode([("?", "7")])[0][0]) == "�"


# Messages


def test_what_does_not_fit_is_named() -> None:
    model, (xs, ts) = network("seq2seq"), pairs()
    with pytest.raises(DataError, match="Source 1 is empty or has padding"):
        model.forward(np.array([[4, 5], [0, 0]]), ts[:2])
    with pytest.raises(DataError, match="Source 0 is empty or has padding"):
        model.forward(np.array([[4, 0, 5]]), ts[:1])
    with pytest.raises(DataError, match="Targets of 1 tokens leave nothing to write"):
        model.forward(xs, ts[:, :1])
    with pytest.raises(ConfigError, match=r"targets has shape \(2, 5\), expected \(3, T\)"):
        model.forward(xs, ts[:2])
    with pytest.raises(DataError, match="holds 9 .*expected ids from 0 to 8"):
        model.forward(xs.clip(9), ts)
    with pytest.raises(ConfigError, match=r"source ids has shape \(0, 4\)"):
        model.forward(xs[:0], ts[:0])
    with pytest.raises(ConfigError, match="score='cosine'"):
        AttentionSeq2seq(9, 3, 4, np.random.default_rng(1), score="cosine")
    with pytest.raises(ConfigError, match=r"sample_size=0, expected at least 1"):
        model.generate(xs, BOS, 0)
    with pytest.raises(ConfigError, match="n_pairs=101 cannot be drawn: there are 100 sums"):
        additions(101, seed=0, n_digits=1)
    with pytest.raises(ConfigError, match=r"languages=\['fr'\].*\['en', 'ko'\]"):
        dates(3, seed=0, languages=["fr"])
    with pytest.raises(DataError, match="no pairs to encode"):
        CharacterPairs([]).encode([])
    with pytest.raises(DataError, match="source of pair 1 is empty"):
        CharacterPairs([]).encode([("a", "b"), ("", "c")])
