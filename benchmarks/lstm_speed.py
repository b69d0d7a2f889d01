"""Training tokens per second: malmoi's step against the plain loop's, in turn, in one process.

    python -m benchmarks.lstm_speed

Both train a 2 x 650 LSTM over 10,000 words at batch 20, window 35, dropout 0.2, with clipping and SGD. The plain loop is
float32, as such loops are; its bfloat16-autocast form is measured too. Each figure is the median over rounds of the ratio of
two neighbouring measurements.
"""

import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.plain_lstm import PlainLSTM, train_step
from malmoi.layers.noise import Noise
from malmoi.machine import fastest_precision, keep_freed_memory
from malmoi.models.options.recurrent import LSTMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.training.objectives.next_token import next_token_loss
from malmoi.training.optimisers import Optimiser

VOCABULARY, WIDTH, LAYERS, BATCH, WINDOW, DROPOUT = 10_000, 650, 2, 20, 35, 0.2
ROUNDS, STEPS = 9, 6


def plain(autocast: bool) -> Callable[[Tensor, Tensor], object]:
    model = PlainLSTM(VOCABULARY, WIDTH, LAYERS, DROPOUT)
    state = None

    def step(inputs: Tensor, targets: Tensor) -> None:
        nonlocal state
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            _, state = train_step(model, inputs.t(), targets.t().reshape(-1), state, 1.0, 0.25)

    return step


def malmoi(tied: bool) -> Callable[[Tensor, Tensor], object]:
    config = LSTMConfig(
        vocab_size=VOCABULARY,
        embed_dim=WIDTH,
        hidden_size=WIDTH,
        n_layers=LAYERS,
        tie_embeddings=tied,
        dropout_input=DROPOUT,
        dropout_hidden=DROPOUT,
        dropout_output=DROPOUT,
    )
    model = build_model(find_rung("lstm"), config)
    if fastest_precision(torch.device("cpu"))[0] == "bfloat16":
        model.compute_dtype = torch.bfloat16
    optimiser = Optimiser("sgd", model.named_parameters(), clip_norm=0.25)
    state, number = None, 0

    def step(inputs: Tensor, targets: Tensor) -> None:
        nonlocal state, number
        number += 1
        loss, state = next_token_loss(model, inputs, targets, state, Noise(0, number))
        loss.backward()
        optimiser.step(1.0)

    return step


def main() -> None:
    keep_freed_memory()
    torch.manual_seed(0)
    inputs, targets = (torch.randint(VOCABULARY, (BATCH, WINDOW)) for _ in range(2))
    steps = {
        "plain float32": plain(autocast=False),
        "plain bfloat16 autocast": plain(autocast=True),
        "malmoi untied": malmoi(tied=False),
        "malmoi tied": malmoi(tied=True),
    }
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(ROUNDS + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            for _ in range(STEPS):
                step(inputs, targets)
            if round_number:  # the first round warms up
                speeds[name].append(STEPS * BATCH * WINDOW / (time.perf_counter() - began))
    base = speeds["plain float32"]
    print(
        json.dumps(
            {
                name: {
                    "tokens_per_second": round(statistics.median(values)),
                    "ratio_to_plain_float32": round(
                        statistics.median(v / b for v, b in zip(values, base, strict=True)), 2
                    ),
                }
                for name, values in speeds.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
