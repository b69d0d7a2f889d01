"""The usual PyTorch LSTM language-model loop, written with public calls alone: what malmoi is measured against.

Embedding, `nn.LSTM`, linear output, cross-entropy, gradient clipping and a hand-written SGD update, as in the examples that
most people start from. Text is one stream of words with <eos> at each line end, cut into `batch_size` columns.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


def data_folder() -> Path:
    """Where the data sets lie: $MALMOI_DATA, or shared/data beside the repository."""
    return Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[2] / "shared" / "data"))


def read_words(path: Path, vocabulary: dict[str, int]) -> Tensor:
    """Ids of a text; the first text read decides the vocabulary."""
    ids = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            for word in [*line.split(), "<eos>"]:
                ids.append(vocabulary.setdefault(word, len(vocabulary)))
    return torch.tensor(ids)


def columns(ids: Tensor, batch_size: int) -> Tensor:
    """(steps, batch): the stream cut into equal parts, side by side."""
    length = len(ids) // batch_size
    return ids[: length * batch_size].view(batch_size, length).t().contiguous()


def windows(data: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs (T, B), targets (T B)) in order."""
    for start in range(0, len(data) - 1, size):
        length = min(size, len(data) - 1 - start)
        yield data[start : start + length], data[start + 1 : start + 1 + length].reshape(-1)


class PlainLSTM(nn.Module):
    """Embedding, dropout, nn.LSTM, dropout, linear."""

    def __init__(self, vocab_size: int, width: int, n_layers: int, dropout: float, tied: bool = False) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocab_size, width)
        self.lstm = nn.LSTM(width, width, n_layers, dropout=dropout)
        self.output = nn.Linear(width, vocab_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        hidden, state = self.lstm(self.drop(self.embedding(inputs)), state)
        return self.output(self.drop(hidden)).flatten(0, 1), state


def train_step(
    model: PlainLSTM, inputs: Tensor, targets: Tensor, state: State | None, rate: float, clip: float
) -> tuple[float, State]:
    """One update; the loss and the state, cut off from its history."""
    model.zero_grad()
    logits, state = model(inputs, state)
    loss = nn.functional.cross_entropy(logits, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(parameter.grad, alpha=-rate)
    return loss.item(), (state[0].detach(), state[1].detach())


@torch.no_grad()
def perplexity(model: PlainLSTM, data: Tensor, window: int) -> float:
    model.eval()
    nll, n_tokens, state = 0.0, 0, None
    for inputs, targets in windows(data, window):
        logits, state = model(inputs, state)
        nll += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        n_tokens += len(targets)
    model.train()
    return math.exp(nll / n_tokens)
