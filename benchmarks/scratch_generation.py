"""A stored run without PyTorch against the same run with it: tokens a second, the first token, and how far the answers differ.

    python -m benchmarks.scratch_generation [RUN ...]

Speed: 2 x 650 LSTM over PTB's 10,000 words, tied and untied, random weights (the time does not depend on them), one sample,
drawing included; both engines take turns on the same prompt and seed, so that they write the same text. Start-up: the whole
process `malmoi generate RUN --max-tokens 1`, the engines again in turns, beside an empty Python. Difference: the largest one
between the two in ln P over all words, on the first tokens of PTB's test text, for these runs and for each trained RUN named.

Set OMP_NUM_THREADS to measure with so many threads.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.plain_lstm import data_folder
from malmoi.api import Run
from malmoi.arrays import write_arrays
from malmoi.generation.sampling import generate
from malmoi.models.options.recurrent import LSTMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer

ENGINES = ("numpy", "torch")
ROUNDS, TOKENS = 9, 60
STARTS = 9
COMPARED_TOKENS = 600


def random_run(folder: Path, is_tied: bool) -> Path:
    """A run folder with random weights."""
    ptb = TextSource(data_folder() / "ptb" / "ptb.train.txt")
    tokenizer = train_tokenizer("word", (line.text for line in ptb.lines()))
    config = LSTMConfig(vocab_size=tokenizer.vocab_size, embed_dim=650, hidden_size=650, tie_embeddings=is_tied)
    folder.mkdir()
    tokenizer.save(folder)
    write_config(folder, RunConfig(family="lstm", model=config.model_dump()))
    model = build_model(find_rung("lstm"), config)
    write_arrays(folder / "model.safetensors", {name: p.detach().numpy() for name, p in model.named_parameters()})
    return folder


def speed(folder: Path) -> dict[str, float]:
    """Tokens a second of each engine, and their ratio: the medians over rounds in which the engines take turns."""
    runs = {engine: Run(folder, engine=engine) for engine in ENGINES}
    rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    texts = {}
    for round_ in range(ROUNDS + 1):
        for engine, run in runs.items():
            began = time.perf_counter()
            texts[engine] = generate(run.model, run.tokenizer, "the", max_tokens=TOKENS, seed=round_)
            if round_:  # the first warms up
                rates[engine].append(TOKENS / (time.perf_counter() - began))
        assert texts["numpy"] == texts["torch"]
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    return {engine: round(statistics.median(rates[engine]), 1) for engine in ENGINES} | {
        "ratio": round(statistics.median(ratios), 2)
    }


def start_up(folder: Path) -> dict[str, float]:
    """Seconds of whole processes: medians, and the least."""
    commands = {
        engine: [sys.executable, "-m", "malmoi", "generate", str(folder), "--max-tokens", "1", "--engine", engine]
        for engine in ENGINES
    }
    commands["python -c pass"] = [sys.executable, "-c", "pass"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(STARTS + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if round_:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: round(statistics.median(taken), 3) for name, taken in seconds.items()}
    return medians | {f"{name}, least": round(min(taken), 3) for name, taken in seconds.items()}


def difference(folder: Path) -> float:
    """The largest difference in ln P between the engines, every word of the vocabulary at every place."""
    runs = [Run(folder, engine=engine) for engine in ENGINES]
    lines = (line.text for line in TextSource(data_folder() / "ptb" / "ptb.test.txt").lines())
    ids = np.concatenate(list(runs[0].tokenizer.encode_lines(islice(lines, 100))))[None, :COMPARED_TOKENS]
    ours, theirs = (run.model.distributions(ids, run.model.start())[0] for run in runs)
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tied, untied = random_run(Path(folder) / "tied", True), random_run(Path(folder) / "untied", False)
        figures = {
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "tokens_per_second": {"tied": speed(tied), "untied": speed(untied)},
            "start_up_seconds": start_up(tied),
            "largest_difference_in_ln_p": {
                **{"random, tied": difference(tied), "random, untied": difference(untied)},
                **{name: difference(Path(name)) for name in sys.argv[1:]},
            },
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
