"""What the steady state does a second, in two checkouts: training, generation and n-gram scoring.

    python -m benchmarks.steady_speed --against ../OTHER/src [--rounds 9]

One process of each checkout lives through all rounds and is asked in turn, so each ratio is of two neighbouring measurements of
warm code. Training is that of `malmoi train lstm` (2 x 650, 10,000 words, batch 20 x 35, as the machine is fastest), from the
text to the update with all that lies between; generation is one continuation by NumPy; scoring is a 5-gram model of Penn
Treebank over its test text. The text is Penn Treebank, under MALMOI_DATA. Higher is better.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, cast

from benchmarks.plain_lstm import data_folder

HERE = Path(__file__).parents[1] / "src"
PROGRAM = """
import sys, time
from pathlib import Path
import malmoi
from malmoi.training.progress import Interrupted, Reporter

data, folder = Path(sys.argv[1]), Path(sys.argv[2])
text, test = data / "ptb.train.txt", data / "ptb.test.txt"
LSTM = dict(tokenizer="word", embed_dim=650, hidden_size=650, batch_size=20, window=35, seed=1)


class Pace(Reporter):
    # Tokens a second of the last updates, the first ones left out: they warm up.
    def __init__(self):
        self.times = []

    def trained(self, report):
        self.times.append(time.perf_counter())

    @property
    def speed(self):
        return (len(self.times) - 6) * 20 * 35 / (self.times[-1] - self.times[5])


def training():
    pace, out = Pace(), folder / f"lstm-{time.perf_counter_ns()}"
    malmoi.train("lstm", text, valid=data / "small.txt", out=out, steps=30, evaluate_every=30, reporter=pace, **LSTM)
    globals()["lstm"] = malmoi.load(out)
    return pace.speed


def generation():
    began = time.perf_counter()
    lstm.generate("the", max_tokens=600, seed=3)
    return 600 / (time.perf_counter() - began)


def scoring():
    if "ngram" not in globals():
        globals()["ngram"] = malmoi.train("ngram", text, out=folder / "ngram", tokenizer="word", order=5)
        ngram.evaluate(test)
    began = time.perf_counter()
    tokens = sum(ngram.evaluate(test).tokens for _ in range(15))
    return tokens / (time.perf_counter() - began)


for line in sys.stdin:
    print(globals()[line.strip()](), flush=True)
"""


def worker(source: Path, folder: Path) -> "subprocess.Popen[str]":
    """A process over the source of one checkout that answers the name of a measurement with its speed."""
    variables = {**os.environ, "PYTHONPATH": str(source), "MALMOI_CACHE": str(folder / "cache")}
    words = [sys.executable, "-c", PROGRAM, str(folder), str(folder)]
    return subprocess.Popen(words, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: "subprocess.Popen[str]", name: str) -> float:
    stdin, stdout = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
    stdin.write(f"{name}\n")
    stdin.flush()
    return float(stdout.readline())


def write_texts(folder: Path) -> None:
    for name in ("ptb.train.txt", "ptb.test.txt"):
        (folder / name).write_bytes((data_folder() / "ptb" / name).read_bytes())
    lines = (folder / "ptb.test.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "small.txt").write_text("".join(lines[:60]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, required=True, help="the src folder of another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        processes = []
        for source, name in ((HERE, one), (asked.against.resolve(), two)):
            write_texts(Path(name))
            processes.append(worker(source, Path(name)))
        found = {}
        for measurement in ("training", "generation", "scoring"):
            pairs = [tuple(ask(process, measurement) for process in processes) for _ in range(1 + asked.rounds)][1:]
            this, other = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(here / there for here, there in pairs)
            found[measurement] = {"this": round(this), "other": round(other), "ratio": round(ratio, 3)}
        for process in processes:
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
