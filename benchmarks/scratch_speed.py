"""Training tokens per second with NumPy alone, against the plain PyTorch loop, in turn, in one process.

    python -m benchmarks.scratch_speed [--clock cpu]

Both train a 2 x 650 LSTM over 10,000 words in float32 at batch 20, window 35, without dropout, with clipping and SGD; tied
weights are compared with tied ones, untied with untied. Each figure is the median over rounds, and each ratio the median
over rounds of the ratio of two neighbouring measurements.

`--clock cpu` counts the processor time of the process and not the time on the wall: with one thread (OMP_NUM_THREADS=1)
that is right also on a machine that is busy with other things.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.plain_lstm import PlainLSTM, train_step
from malmoi.machine import keep_freed_memory
from malmoi.scratch.optimisers import SGD
from malmoi.scratch.rnnlm import BetterRnnlm
from malmoi.scratch.trainer import update

VOCABULARY, WIDTH, LAYERS, BATCH, WINDOW, RATE, CLIP = 10_000, 650, 2, 20, 35, 1.0, 0.25
ROUNDS, STEPS = 9, 3

Step = Callable[[np.ndarray, np.ndarray], None]


def plain(tied: bool) -> Step:
    model = PlainLSTM(VOCABULARY, WIDTH, LAYERS, 0.0, tied)
    state = None

    def step(inputs: np.ndarray, targets: np.ndarray) -> None:
        nonlocal state
        columns = torch.from_numpy(inputs.T.copy()), torch.from_numpy(targets.T.copy()).reshape(-1)
        _, state = train_step(model, *columns, state, RATE, CLIP)

    return step


def scratch(tied: bool) -> Step:
    model = BetterRnnlm(VOCABULARY, WIDTH, WIDTH, 0.0, rng=np.random.default_rng(0), n_layers=LAYERS, tie_weights=tied)
    optimiser = SGD(RATE)

    def step(inputs: np.ndarray, targets: np.ndarray) -> None:
        model.forward(inputs, targets)
        model.backward()
        update(model, optimiser, CLIP)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    keep_freed_memory()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    inputs, targets = (rng.integers(VOCABULARY, size=(BATCH, WINDOW)) for _ in range(2))
    steps = {
        "plain untied": plain(tied=False),
        "scratch untied": scratch(tied=False),
        "plain tied": plain(tied=True),
        "scratch tied": scratch(tied=True),
    }
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(options.rounds + 1):
        for name, step in steps.items():
            began = clock()
            for _ in range(STEPS):
                step(inputs, targets)
            if round_number:  # the first round warms up
                speeds[name].append(STEPS * BATCH * WINDOW / (clock() - began))
    figures: dict[str, object] = {
        "clock": options.clock,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "tokens_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
    }
    for kind in ("untied", "tied"):
        pairs = zip(speeds[f"scratch {kind}"], speeds[f"plain {kind}"], strict=True)
        figures[f"ratio {kind}"] = round(statistics.median(ours / theirs for ours, theirs in pairs), 2)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
