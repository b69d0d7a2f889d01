"""Scoring sentences: malmoi's n-gram model against PyPI's kenlm, the same model, the same sentences, the same process.

    python -m benchmarks.ngram_scoring [TRAIN] [TEST] [--order 5]

Both answer with one log-probability for each line, from strings. Words per second, line ends included, median of seven
rounds in turn. Memory is what the process grew by when the model was loaded.
"""

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(os.environ.get("MALMOI_DATA", "../shared/data"))
ROUNDS = 7


def resident() -> int:
    """Bytes of this process that are in memory and its own."""
    fields = Path("/proc/self/smaps_rollup").read_text().split()
    return 1024 * int(fields[fields.index("Rss:") + 1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train", nargs="?", default=str(DATA / "ptb" / "ptb.train.txt"))
    parser.add_argument("test", nargs="?", default=str(DATA / "ptb" / "ptb.test.txt"))
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5, help="how often the test text is scored in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, arpa = f"{folder}/run", f"{folder}/model.arpa"
        command = [sys.executable, "-m", "malmoi"]
        words = [
            "train",
            "ngram",
            options.train,
            "--valid",
            options.test,
            "--tokenizer",
            "word",
            "--vocab-size",
            "1000000",
        ]
        subprocess.run([*command, *words, "--order", str(options.order), "--out", run], check=True, capture_output=True)
        subprocess.run([*command, "export", run, "--to", "arpa", "--out", arpa], check=True, capture_output=True)
        print(
            json.dumps(
                compare(run, arpa, Path(options.test).read_text(encoding="utf-8").split("\n")[:-1] * options.repeat),
                indent=2,
            )
        )


def compare(run_folder: str, arpa: str, lines: list[str]) -> dict[str, object]:
    import kenlm

    import malmoi

    run = malmoi.load(run_folder)
    list(run.score(lines[:50]))  # imports, compiled code, the vocabulary
    del run.__dict__["model"]
    gc.collect()
    before = resident()
    ours = run.model
    grown = {"malmoi": resident() - before}
    before = resident()
    theirs = kenlm.Model(arpa)
    grown["kenlm (ARPA in memory, probing)"] = resident() - before
    n_words = sum(len(line.split()) + 1 for line in lines)
    sides = {
        "kenlm": lambda: [theirs.score(line) for line in lines],
        "malmoi, all cores": lambda: list(run.score(lines)),
        "malmoi, one core": lambda: list(run.score(lines)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    scores = {}
    cores = ours.n_threads
    for _ in range(ROUNDS):
        for name, side in sides.items():
            ours.n_threads = 1 if "one core" in name else cores
            began = time.perf_counter()
            scores[name] = side()
            speeds[name].append(n_words / (time.perf_counter() - began))
    kenlm_nats = [score * math.log(10) for score in scores["kenlm"]]
    return {
        "words": n_words,
        "cores": cores,
        "words_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratio_to_kenlm": {
            name: round(statistics.median(v / k for v, k in zip(values, speeds["kenlm"], strict=True)), 2)
            for name, values in speeds.items()
        },
        "largest_difference_in_nats": max(
            abs(a - b) for a, b in zip(kenlm_nats, scores["malmoi, all cores"], strict=True)
        ),
        "memory_bytes": grown,
        "tables_bytes": ours.tables.n_bytes,
    }


if __name__ == "__main__":
    main()
