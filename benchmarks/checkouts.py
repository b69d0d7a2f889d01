"""Two checkouts of malmoi side by side: the same command in turn, each run a process of its own, medians of the pairs.

A machine that others use drifts; the ratio of two neighbouring runs drifts less, so its median is the figure to quote.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1] / "src"
WARM_UP = 1  # pairs that are not counted

MEASURE = """
import os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
wall = time.perf_counter() - began
print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / (1000 if sys.platform == "linux" else 1e6))
sys.exit(os.waitstatus_to_exitcode(status))
"""  # in a process of its own, since the peak memory of a child counts what its parent had when it was forked


class Cost(NamedTuple):
    """What one process took; seconds of processor time are those of all its threads."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


def run(source: Path, words: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """One process over the source of one checkout.

    Raises:
        RuntimeError: If it does not end well.
    """
    variables = {**os.environ, **environment, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", MEASURE, sys.executable, *words]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source}: {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Cost(*map(float, done.stdout.split()))


def compared(
    other: Path,
    words: Sequence[str],
    n_pairs: int,
    environment: Callable[[], Mapping[str, str]] = dict,
) -> dict[str, dict[str, float]]:
    """Medians of this checkout and of the other, and the median of this / other over the pairs.

    Args:
        other: The src folder of the other checkout.
        words: What Python is given.
        n_pairs: How many pairs are counted.
        environment: Variables for a run; called before each.
    """
    pairs = [(run(HERE, words, environment()), run(other, words, environment())) for _ in range(WARM_UP + n_pairs)]
    counted = pairs[WARM_UP:]
    return {
        name: {
            "this": round(statistics.median(here[place] for here, _ in counted), 3),
            "other": round(statistics.median(there[place] for _, there in counted), 3),
            "ratio": round(statistics.median(here[place] / there[place] for here, there in counted), 3),
        }
        for place, name in enumerate(Cost._fields)
    }
