"""How long the usual loop takes to its validation perplexity after six epochs of PTB, and how long malmoi takes to reach it.

    python -m benchmarks.lstm_time_to_perplexity [--budgets 75,100,130,170,220]

The loop: 2 x 200 LSTM, SGD 20 divided by 4 when validation does not improve, clip 0.25, batch 20, window 35, dropout 0.2.
malmoi: `malmoi train lstm ptb.train.txt --valid ptb.valid.txt --budget S`, whole commands from start to finished run, with
growing budgets until the perplexity is reached. Both in one run on the same cores, one after the other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.plain_lstm import PlainLSTM, columns, data_folder, perplexity, read_words, train_step, windows

EPOCHS, WIDTH, BATCH, WINDOW, RATE, CLIP, DROPOUT = 6, 200, 20, 35, 20.0, 0.25, 0.2


def plain_loop() -> tuple[float, list[float]]:
    """Seconds of training in all, and the validation perplexity after each epoch."""
    torch.manual_seed(0)
    vocabulary: dict[str, int] = {}
    train, valid = (read_words(data_folder() / "ptb" / f"ptb.{part}.txt", vocabulary) for part in ("train", "valid"))
    model = PlainLSTM(len(vocabulary), WIDTH, 2, DROPOUT)
    data, valid_data = columns(train, BATCH), columns(valid, 10)
    rate, best, history = RATE, float("inf"), []
    began = time.perf_counter()
    for epoch in range(EPOCHS):
        state = None
        for inputs, targets in windows(data, WINDOW):
            _, state = train_step(model, inputs, targets, state, rate, CLIP)
        history.append(perplexity(model, valid_data, WINDOW))
        print(
            f"plain loop, epoch {epoch + 1}: {history[-1]:.1f} after {time.perf_counter() - began:.0f} s",
            file=sys.stderr,
        )
        if history[-1] >= best:
            rate /= 4
        best = min(best, history[-1])
    return time.perf_counter() - began, history


def malmoi(seconds: int) -> tuple[float, float]:
    """Seconds of the whole command, and the validation perplexity of the run it made."""
    ptb = data_folder() / "ptb"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "malmoi",
            "train",
            "lstm",
            str(ptb / "ptb.train.txt"),
            "--valid",
            str(ptb / "ptb.valid.txt"),
        ]
        began = time.perf_counter()
        subprocess.run([*command, "--budget", f"{seconds}s", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - began
        figures = json.loads((out / "config.json").read_text())["figures"]
    return took, figures["valid"]["perplexity"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--budgets", default="75,100,130,170,220")
    budgets = [int(part) for part in parser.parse_args().budgets.split(",")]
    plain_seconds, history = plain_loop()
    target = history[-1]
    tries = []
    for budget in budgets:
        took, reached = malmoi(budget)
        tries.append({"budget": budget, "seconds": round(took, 1), "valid_perplexity": round(reached, 2)})
        print(tries[-1], file=sys.stderr)
        if reached <= target:
            break
    result = {
        "plain_seconds": round(plain_seconds, 1),
        "plain_valid_perplexities": [round(value, 1) for value in history],
        "malmoi": tries,
        "time_ratio": round(tries[-1]["seconds"] / plain_seconds, 3)
        if tries[-1]["valid_perplexity"] <= target
        else None,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
