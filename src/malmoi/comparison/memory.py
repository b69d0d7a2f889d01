"""A process to be measured: load runs, read some text, print the most memory that took, in bytes, as JSON.

`malmoi.comparison.costs.peak_memory` starts it.
"""

import json
import sys
from pathlib import Path

TEXT = 20_000  # bytes that are read
WINDOW = 256


def main(text: str, *folders: str) -> None:
    import numpy as np

    from malmoi.runs.opening import open_run

    with open(text, "rb") as file:
        sample = file.read(TEXT).decode(errors="ignore")
    runs = [open_run(folder) for folder in folders]  # a mixture needs all of its models at once
    for run in runs:
        ids = run.tokenizer.encode(sample).astype(np.int64)[None]
        state = run.model.start(1)
        for begin in range(0, ids.shape[1], WINDOW):
            _, state = run.model.score(ids[:, begin : begin + WINDOW], state)
        run.model.step(ids[:, :1], state)
    print(json.dumps(peak()))


def peak() -> int | None:
    """The most memory that this process has had resident so far, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):  # getrusage would also count the process that started this one
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
