"""The NNLM agrees with the paper's equations written out one window at a time, in float64, forward and backward."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

import malmoi
from malmoi.engines.torch_engine import TorchLanguageModel
from malmoi.errors import ConfigError
from malmoi.layers.noise import Noise
from malmoi.models.network import NextTokenNetwork
from malmoi.models.nnlm import NNLM
from malmoi.models.options.nnlm import NNLMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.training.objectives.next_token import detached, next_token_loss

V, E, H, C = 17, 5, 7, 3
B, T = 2, 11
EOS = 3
KINDS: dict[str, dict[str, Any]] = {
    "the paper's": {"tie_embeddings": False},
    "the paper's, with direct connections": {"tie_embeddings": False, "direct": True},
    "tied": {"hidden_size": E},
    "tied, of another width": {},
    "tied, with direct connections": {"direct": True},
    "of three layers": {"n_layers": 3},
    "of a single token": {"context_size": 1},
    "of a window longer than the text": {"context_size": T + 2},
}


def small(**options: Any) -> NNLM:
    config = {"vocab_size": V, "embed_dim": E, "hidden_size": H, "context_size": C, **options}
    model = build_model(find_rung("nnlm"), NNLMConfig.parse(config), seed=1, start_id=EOS)
    assert isinstance(model, NNLM)
    for parameter in model.parameters():  # far from linear, so that a mistake cannot hide
        parameter.data *= 4
    return model


class Plain(nn.Module):
    """The equations as they stand in the paper: every window apart, every matrix a plain parameter."""

    def __init__(self, model: NNLM) -> None:
        super().__init__()
        config = self.config = model.config
        self.embeddings = nn.Parameter(model.embedding.weight.detach().clone())
        self.weights = nn.ParameterList(layer.weight.detach().clone() for layer in model.layers)
        self.biases = nn.ParameterList(layer.bias.detach().clone() for layer in model.layers)
        self.projection = None if model.projection is None else nn.Parameter(model.projection.weight.detach().clone())
        self.direct = None if model.direct is None else nn.Parameter(model.direct.weight.detach().clone())
        self.table = self.embeddings
        if not config.tie_embeddings:
            self.table = nn.Parameter(model.output.weight.detach().clone())
        self.bias = nn.Parameter(model.output.bias.detach().clone())

    def predict(self, window: list[int]) -> Tensor:
        x = torch.cat([self.embeddings[token] for token in window])
        hidden = x
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = torch.tanh(weight @ hidden + bias)
        if self.projection is not None:
            hidden = self.projection @ hidden
        if self.direct is not None:
            hidden = hidden + self.direct @ x
        elif self.config.direct:
            hidden = torch.cat([hidden, x])
        return self.table @ hidden + self.bias

    def forward(self, token_ids: Tensor) -> Tensor:
        rows = []
        for row in token_ids.tolist():
            text = [EOS] * self.config.context_size + row
            rows.append(torch.stack([self.predict(text[t + 1 : t + 1 + self.config.context_size]) for t in range(T)]))
        return torch.stack(rows)

    def paired(self, model: NNLM) -> list[tuple[Tensor, Tensor]]:
        """The same parameter of both, as (ours, theirs)."""
        pairs = [(model.embedding.weight, self.embeddings), (model.output.bias, self.bias)]
        for layer, weight, bias in zip(model.layers, self.weights, self.biases, strict=True):
            pairs += [(layer.weight, weight), (layer.bias, bias)]
        if not model.config.tie_embeddings:
            pairs.append((model.output.weight, self.table))
        for linear, matrix in ((model.projection, self.projection), (model.direct, self.direct)):
            if linear is not None:
                assert matrix is not None
                pairs.append((linear.weight, matrix))
        return pairs


@pytest.fixture
def token_ids() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(V, size=(B, T)))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_agree_with_the_equations(kind: str, token_ids: Tensor) -> None:
    model = small(**KINDS[kind]).double()
    plain = Plain(model)
    pairs = plain.paired(model)
    assert len(pairs) == len(list(model.parameters()))
    logits, _ = model(token_ids)
    expected = plain(token_ids)
    assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    seen = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (logits * seen).sum().backward()
    (expected * seen).sum().backward()
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert_close(ours.grad.to_dense(), theirs.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_training_loss_and_its_gradients_agree_with_the_equations(kind: str, token_ids: Tensor) -> None:
    model = small(**KINDS[kind]).double()
    plain = Plain(model)
    targets = token_ids.roll(1, dims=1)
    loss, _ = next_token_loss(model, token_ids, targets, None, None)
    expected = F.cross_entropy(plain(token_ids).flatten(0, 1), targets.flatten())
    assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    loss.backward()
    expected.backward()
    for ours, theirs in plain.paired(model):
        assert ours.grad is not None
        assert_close(ours.grad.to_dense(), theirs.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["tied, of another width", "the paper's, with direct connections"])
def test_the_bfloat16_path_is_the_float64_one_rounded(kind: str, token_ids: Tensor) -> None:
    """Rounding or bug? Errors stay near 2**-8, the spacing of bfloat16; a wrong shift would be of order 1."""
    model, exact = small(**KINDS[kind]), small(**KINDS[kind]).double()
    model.compute_dtype = torch.bfloat16
    losses = [next_token_loss(network, token_ids, token_ids, None, None)[0] for network in (model, exact)]
    for loss in losses:
        loss.backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.02)
    for (name, ours), theirs in zip(model.named_parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        want = theirs.grad.to_dense()
        assert (ours.grad.to_dense().double() - want).norm() < 0.03 * want.norm(), name


def test_gradients_by_finite_differences() -> None:
    model = small(hidden_size=2, embed_dim=2, direct=True).double()
    token_ids = torch.tensor([[5, 6, 5]])

    def loss(weight: Tensor) -> Tensor:
        return torch.func.functional_call(model, {"layers.0.weight": weight}, (token_ids,))[0].sum()

    assert torch.autograd.gradcheck(loss, (model.layers[0].weight.detach().clone().requires_grad_(),))


@settings(max_examples=10, deadline=None)
@given(split=st.integers(1, T - 1), context_size=st.integers(1, T + 2))
def test_a_window_boundary_changes_nothing(split: int, context_size: int) -> None:
    model = small(context_size=context_size).double()
    token_ids = torch.arange(B * T).view(B, T) * 5 % V
    whole, _ = model(token_ids)
    first, state = model(token_ids[:, :split])
    second, _ = model(token_ids[:, split:], detached(state))
    assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)


def test_it_sees_the_last_tokens_and_none_before() -> None:
    model = small()
    ids = torch.tensor([[8, 5, 6, 7], [9, 5, 6, 7], [9, 4, 6, 7]])
    last = model(ids)[0][:, -1]
    assert_close(last[0], last[1])
    assert not torch.allclose(last[1], last[2])


def test_it_carries_the_last_ids_and_starts_with_line_ends() -> None:
    model = small()
    assert model.initial_state(2)[0][0].tolist() == [[EOS] * C] * 2
    with pytest.raises(
        ConfigError, match=r"start_id=None: .*which token stands before a text.*start_id=tokenizer\.eos_id"
    ):
        NNLM(model.config).initial_state(1)
    _, state = model(torch.tensor([[8, 9]]))
    assert state[0][0].tolist() == [[EOS, 8, 9]]
    _, state = model(torch.tensor([[5, 6, 7, 4]]), state)
    assert state[0][0].tolist() == [[6, 7, 4]]
    assert state[0][0].dtype == torch.int64
    served = TorchLanguageModel(model, start_id=EOS).start(4)
    assert served.select([3, 0]).carried[0][0].tolist() == [[EOS] * C] * 2
    model.start_id = 5
    assert model.initial_state(1)[0][0].tolist() == [[5] * C]


@pytest.mark.parametrize("where", ["embedding", "input", "hidden", "output"])
def test_each_dropout_acts_in_training_alone_and_changes_with_the_step(where: str, token_ids: Tensor) -> None:
    noiseless = {f"dropout_{name}": 0.0 for name in ("embedding", "input", "hidden", "output")}
    for shape in ({"n_layers": 2, "hidden_size": E}, {"n_layers": 1}):  # between two layers, or below the projection
        model = small(**shape, **{**noiseless, f"dropout_{where}": 0.5})
        plain, _ = model(token_ids)
        assert_close(plain, small(**shape, **noiseless)(token_ids)[0])
        first, again, second = (model(token_ids, None, Noise(0, step))[0] for step in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.allclose(first, plain)
        assert not torch.allclose(first, second)


def test_a_token_is_dropped_alike_in_all_windows_it_is_in(token_ids: Tensor) -> None:
    model = small(dropout_input=0.4)
    windows = model._windows(token_ids.t(), Noise(3, 0))  # (T - C + 1, B, C E)
    assert windows.shape == (T - C + 1, B, C * E)
    assert (windows == 0).any()
    assert torch.equal(windows[:-1, :, E:], windows[1:, :, :-E])


def test_embedding_dropout_takes_out_whole_words_everywhere() -> None:
    model = small(dropout_embedding=0.5, context_size=1)
    token_ids = torch.arange(V).repeat(2)[:, None]  # every word twice
    x = model._windows(token_ids, Noise(3, 0))[:, 0]
    is_dropped = (x == 0).all(dim=1)
    assert torch.equal(is_dropped[:V], is_dropped[V:])
    assert 0 < is_dropped.sum() < 2 * V
    assert_close(x[~is_dropped], 2 * model.embedding.weight[token_ids[:, 0]][~is_dropped])


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_knows_the_sizes(kind: str) -> None:
    model = small(**KINDS[kind])
    matrices = {name: p.numel() for name, p in model.named_parameters() if p.dim() == 2}
    between = sum(size for name, size in matrices.items() if not name.startswith(("embedding", "output")))
    assert model.config.n_hidden_weights == between
    assert model.output.weight.shape == (V, model.config.output_width)
    assert (model.output.weight is model.embedding.weight) == model.config.tie_embeddings
    assert model.hidden(torch.zeros(1, 2, dtype=torch.int64))[0].shape == (1, 2, model.config.output_width)


def test_it_is_a_next_token_network() -> None:
    assert isinstance(small(), NextTokenNetwork)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context_size": 0}, "context_size=0 does not fit"),
        ({"context_size": 65}, "context_size=65 does not fit"),
        ({"contex_size": 4}, "Unknown option 'contex_size' for NNLMConfig. Did you mean 'context_size'"),
        ({"dropout_recurrent": 0.1}, "Unknown option 'dropout_recurrent' for NNLMConfig"),
    ],
)
def test_a_wrong_option_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NNLMConfig.parse({"vocab_size": V, **values})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> malmoi.Run:
    rng = random.Random(0)
    pairs = [("고양이가", "잔다"), ("강아지가", "뛴다"), ("the cat", "sleeps"), ("the dogs", "run")]
    lines = [
        f"{animal} {verb} {rng.choice(['오늘', 'today'])}" for animal, verb in (rng.choice(pairs) for _ in range(300))
    ]
    options = {"embed_dim": 24, "hidden_size": 48, "context_size": 6, "dropout_hidden": 0.0, "dropout_output": 0.0}
    settings = {"optimiser": "adam", "learning_rate": 0.01, "precision": "float32", "batch_size": 8, "window": 16}
    text = malmoi.TextSource.from_texts(lines)
    out: Path = tmp_path_factory.mktemp("runs") / "nnlm"
    return malmoi.train("nnlm", text, out=out, tokenizer="char", steps=300, evaluate_every=100, **options, **settings)


def test_a_trained_one_serves_every_verb(trained: malmoi.Run) -> None:
    assert trained.config.figures["valid"]["bits_per_byte"] < 0.8  # uniform over the characters would be above 3
    assert [word.text for word in trained.next("고양이가", 1)] == ["잔다"]
    assert trained.complete("the ca", 1)[0].completion == "cat"
    assert trained.generate("the dogs", max_tokens=5, temperature=0)[0].startswith(" run")
    right, wrong = trained.score(["고양이가 잔다 오늘", "고양이가 뛴다 오늘"])
    assert right > wrong
