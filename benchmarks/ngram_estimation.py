"""Estimating an n-gram model and saving it: the whole command, against KenLM's figures for the same text.

    python -m benchmarks.ngram_estimation TEXT... [--order 5] [--reference SECONDS] [--memory 2GB] [--field N]

The command is `malmoi train ngram` with nothing prepared: a new cache, so that the text is tokenized again each time.
Compiled code is kept, as KenLM is compiled beforehand. `--reference` is what `lmplz` and `build_binary` take together on
the same text: pip cannot install them, so they are timed elsewhere, on a machine of the same kind.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--field")
    parser.add_argument("--valid", default="")
    parser.add_argument("--reference", type=float)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    numba_cache = os.environ.get("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / "malmoi-numba"))
    took, counted = [], []
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "MALMOI_CACHE": f"{folder}/cache", "NUMBA_CACHE_DIR": numba_cache}
            words = ["train", "ngram", *options.texts, "--order", str(options.order), "--memory", options.memory]
            words += ["--tokenizer", "word", "--min-count", "1", "--out", f"{folder}/run", "--json"]
            words += ["--field", options.field] if options.field else []
            words += ["--valid", options.valid] if options.valid else []
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "malmoi", *words], check=True, capture_output=True, env=environment
            )
            if number:  # the first one compiles
                took.append(time.perf_counter() - began)
                figures = json.loads(done.stdout)
                counted.append(figures["training_seconds"])
            size = (Path(folder) / "run" / "model.safetensors").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    found = {
        "command_seconds": round(statistics.median(took), 2),
        "of_it_counting_and_saving": round(statistics.median(counted), 2),
        "ngrams": figures["ngrams"],
        "model_bytes": size,
        "peak_resident_bytes": peak,
    }
    if options.reference:
        found["speed_against_reference"] = round(options.reference / found["command_seconds"], 2)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
