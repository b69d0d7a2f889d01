"""How long `malmoi train lstm` takes from its start to the first update, on 7 MB of Korean reviews, in two checkouts.

    python -m benchmarks.first_update --against ../OTHER/src [--pairs 10] [--keep-compiled] [--no-calibration]

Nothing is cached: MALMOI_CACHE is a new folder in each run, so text is read, a tokenizer trained, all ids made, the machine
measured for the default budget of ten minutes, and the loops compiled. With --keep-compiled the machine code stays, as it does
for everyone who trains a second time. With --no-calibration a number of steps is asked for, so no speed has to be measured.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.checkouts import compared
from benchmarks.plain_lstm import data_folder

TEXT_BYTES = 7_000_000
PROGRAM = """
import os, sys
from malmoi.cli import console, main

def trained(self, report):  # the first update has been made: that is all
    os._exit(0)

console.ConsoleReporter.trained = trained
sys.exit(main(sys.argv[1:]) or 1)  # it should not come so far
"""


def write_text(path: Path) -> None:
    rows = (data_folder() / "nsmc" / "ratings_train.txt").read_text(encoding="utf-8").split("\n")[1:-1]
    text = "\n".join(row.split("\t")[1] for row in rows).encode()[:TEXT_BYTES]
    path.write_bytes(text[: text.rfind(b"\n") + 1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, required=True, help="the src folder of another checkout")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--keep-compiled", action="store_true")
    parser.add_argument("--no-calibration", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, cache, out, compiled = (Path(folder) / name for name in ("text.txt", "cache", "run", "compiled"))
        write_text(text)

        def fresh() -> Mapping[str, str]:
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(out, ignore_errors=True)
            kept = {"NUMBA_CACHE_DIR": str(compiled)} if asked.keep_compiled else {}
            return {"MALMOI_CACHE": str(cache), **kept}

        words = ["-c", PROGRAM, "train", "lstm", str(text), "--out", str(out)]
        words += ["--steps", "1000"] * asked.no_calibration
        print(json.dumps(compared(asked.against.resolve(), words, asked.pairs, fresh), indent=2))


if __name__ == "__main__":
    main()
