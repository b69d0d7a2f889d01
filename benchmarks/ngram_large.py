"""Memory of estimation: an n-gram model of order 5 from a text that does not fit, a synthetic one with Zipf's distribution.

    python -m benchmarks.ngram_large [--tokens 200000000] [--memory 1GB]

Words are drawn one by one from a vocabulary of 100,000 (exponent 1), in lines of 20, so nearly every n-gram of length 4 and
5 is new: the hardest case for the tables. The ids are written to a file and mapped, as those of a real text are. What is
reported is the peak resident memory of the process that counts, smooths and saves, and how long that took.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VOCABULARY, LINE, AT_ONCE = 100_000, 20, 4_000_000
PAD, UNK, BOS, EOS = range(4)


def write_text(path: Path, n_tokens: int) -> None:
    """Token ids as uint32."""
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    with open(path, "wb") as file:
        for _ in range(0, n_tokens, AT_ONCE):
            draws = np.searchsorted(cumulative, rng.random(AT_ONCE) * cumulative[-1]).astype(np.uint32) + 4
            draws[LINE - 1 :: LINE] = EOS
            draws.tofile(file)


def count(path: Path, folder: Path, memory: int, threads: int) -> dict[str, object]:
    from malmoi.files import release_pages
    from malmoi.models.ngram.estimate import estimate, needs_files
    from malmoi.models.ngram.tables import save_tables
    from malmoi.models.options.ngram import NGramConfig
    from malmoi.store import open_store
    from malmoi.text.vocabulary import SpecialIds

    class Text:
        def __init__(self) -> None:
            self.ids = np.memmap(path, np.uint32, mode="r")

        def __len__(self) -> int:
            return len(self.ids)

        def read(self, start: int, stop: int) -> np.ndarray:
            return np.asarray(self.ids[start:stop], np.int64)

        def release(self) -> None:
            release_pages(self.ids)

    began = time.perf_counter()
    text = Text()
    config = NGramConfig(vocab_size=VOCABULARY + 4, order=5)

    def stage(name: str) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{time.perf_counter() - began:7.1f} s  {used:6.2f} GB at most  {name}", file=sys.stderr, flush=True)

    with open_store(needs_files(len(text), 5, memory), folder) as store:
        specials = SpecialIds(PAD, UNK, BOS, EOS)
        found = estimate(text, config, store, special_ids=specials, memory=memory, n_threads=threads, stage=stage)
        stage("saving")
        save_tables(folder / "model.safetensors", found.tables)
    return {
        "tokens": len(text),
        "memory_option": memory,
        "ngrams": found.tables.level_counts(),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "model_bytes": (folder / "model.safetensors").stat().st_size,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=200_000_000)
    parser.add_argument("--memory", type=int, default=1_000_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default=None, help="where there is room for some 40 GB")
    parser.add_argument("--count", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        print(
            json.dumps(
                count(Path(options.count), Path(options.count).parent, options.memory, options.threads), indent=2
            )
        )
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "ids"
        write_text(path, options.tokens)
        words = ["--count", str(path), "--memory", str(options.memory), "--threads", str(options.threads)]
        subprocess.run([sys.executable, "-m", "benchmarks.ngram_large", *words], check=True)


if __name__ == "__main__":
    main()
