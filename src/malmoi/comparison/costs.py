"""What a model costs besides bits: time, disk, memory.

ms per token       median time of one `step` of one token, the state being carried along: an answer while somebody types
tokens per second  of `score`, while the test text is read
disk               model and tokenizer: the files that must be shipped
memory             most that a fresh process took to load the model and read a little text, Python and its libraries included
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from malmoi.models.interface import LanguageModel

STEPS, WARM_UP, SECONDS = 300, 5, 1.0  # of latency: at most so many steps, the first ones not counted, or so long
PATIENCE = 120  # seconds that the process whose memory is measured may take
TOKENIZER = ("tokenizer.json", "spelling.json", "layout.json")


def milliseconds_per_token(model: LanguageModel, token_ids: Integer[np.ndarray, " tokens"]) -> float:
    """Median time of one step, in milliseconds.

    Args:
        model: Any language model.
        token_ids: What it reads, again from the beginning if there is too little; at least one.
    """
    state = model.start(1)
    seconds: list[float] = []
    began = time.perf_counter()
    for step in range(STEPS + WARM_UP):
        token = token_ids[step % len(token_ids) :][:1].astype(np.int64)[None]
        before = time.perf_counter()
        _, state = model.step(token, state)
        after = time.perf_counter()
        seconds.append(after - before)
        if step >= 2 * WARM_UP and after - began > SECONDS:
            break
    return 1000 * statistics.median(seconds[WARM_UP:])


def disk_bytes(runs: Sequence[Path], tokenizers: Sequence[Path]) -> int:
    """Size of the files that must be shipped.

    Args:
        runs: The folders of the models.
        tokenizers: The folders of their tokenizers; those that are the same count once.
    """
    models = sum((run / "model.safetensors").stat().st_size for run in runs)
    files = {path.read_bytes() for folder in tokenizers for name in TOKENIZER if (path := folder / name).is_file()}
    return models + sum(map(len, files))


def peak_memory(folders: Sequence[Path], text: Path) -> int | None:
    """Bytes that a process of its own takes at most to load these runs and read the beginning of a text.

    None where the system does not tell (Windows), or the process fails.
    """
    command = [sys.executable, "-m", "malmoi.comparison.memory", str(text), *map(str, folders)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL)
        found = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return int(found) if found is not None else None
