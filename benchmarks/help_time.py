"""How long `malmoi --help` takes as a process: the median of many, beside an empty Python.

python -m benchmarks.help_time
"""

import json
import statistics
import subprocess
import sys
import time

RUNS = 21


def median_seconds(command: list[str]) -> float:
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return round(statistics.median(seconds), 3)


def main() -> None:
    figures = {
        "malmoi --help": median_seconds([sys.executable, "-m", "malmoi", "--help"]),
        "python -c pass": median_seconds([sys.executable, "-c", "pass"]),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
