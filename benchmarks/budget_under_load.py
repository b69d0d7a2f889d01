"""Whether budgets are kept on a machine that is busy: `malmoi train lstm` and `malmoi ladder` beside processes that only count.

    python -m benchmarks.budget_under_load [--busy 4] [--budgets 25 60 90 300] [--ladder 120]

Each run is a process of its own with an empty cache. Told are how long it took, by how much that is more than the budget, how
many updates were made, and whether the run says that it is hardly trained; of a ladder, on which rungs verdicts were given.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.plain_lstm import data_folder

SMALL_LINES = 3000


def count() -> None:
    """Keep one core busy."""
    number = 0
    while True:
        number += 1


def timed(words: list[str], folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    environment = {**os.environ, "MALMOI_CACHE": str(folder / "cache")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "malmoi", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    return time.monotonic() - began, done


def told(budget: float, seconds: float, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    over = seconds - budget
    return {
        "budget": budget,
        "took": round(seconds, 1),
        "over_share": round(over / budget, 3),
        "is_kept": over <= max(0.1 * budget, 5.0),
        "exit": done.returncode,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--budgets", type=float, nargs="*", default=[25, 60, 90, 300])
    parser.add_argument("--ladder", type=float, nargs="*", default=[120])
    parser.add_argument("--texts", nargs="*", default=["small", "large"])
    asked = parser.parse_args()
    whole = data_folder() / "ko-open-text" / "train.txt"
    busy = [multiprocessing.Process(target=count, daemon=True) for _ in range(asked.busy)]
    for process in busy:
        process.start()
    try:
        for size in asked.texts:
            with tempfile.TemporaryDirectory() as name:
                text = Path(name) / "text.txt"
                lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
                text.write_text("".join(lines[:SMALL_LINES] if size == "small" else lines), encoding="utf-8")
                for budget in asked.budgets:
                    folder = Path(tempfile.mkdtemp(dir=name))
                    words = ["train", "lstm", str(text), "--budget", f"{budget:g}s", "--out", "run", "--json"]
                    seconds, done = timed(words, folder)
                    row = {"text": size, "bytes": text.stat().st_size, **told(budget, seconds, done)}
                    if done.returncode == 0:
                        figures = json.loads(done.stdout)
                        row |= {key: figures.get(key) for key in ("steps", "epochs", "hardly_trained", "valid_share")}
                        row["bits_per_byte"] = round(figures["valid"]["bits_per_byte"], 3)
                    else:
                        row["said"] = done.stderr.strip().splitlines()[-1][:160]
                    print(json.dumps(row, ensure_ascii=False), flush=True)
                for budget in asked.ladder:
                    folder = Path(tempfile.mkdtemp(dir=name))
                    words = ["ladder", str(text), "--budget", f"{budget:g}s", "--out", "c", "--json"]
                    seconds, done = timed(words, folder)
                    row = {"text": size, "verb": "ladder", **told(budget, seconds, done)}
                    if done.returncode == 0:
                        found = json.loads(done.stdout)
                        hardly = {model["name"] for model in found["models"] if model["hardly_trained"]}
                        judged = {pair[side] for pair in found["differences"] for side in ("first", "second")}
                        row |= {"hardly_trained": sorted(hardly), "verdicts_on_these": len(hardly & judged)}
                        row["left_out"] = [failure["name"] for failure in found["failures"]]
                    else:
                        row["said"] = done.stderr.strip().splitlines()[-1][:160]
                    print(json.dumps(row, ensure_ascii=False), flush=True)
    finally:
        for process in busy:
            process.terminate()


if __name__ == "__main__":
    main()
