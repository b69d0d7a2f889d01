"""Counting pairs, PPMI and its truncated SVD: seconds of each, and how near the randomised directions come to the exact ones.

    python -m benchmarks.cooccurrence_svd TEXT... [--n-words 30000] [--n-dims 300] [--window 5] [--exact]
        [--n-iterations 6] [--max-bytes N]

Words are cut at white space. Compiled code is made before the clock starts. `--exact` also runs ARPACK, which takes minutes.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from malmoi.models.cooccurrence import PairSettings, count_pairs, exact_svd, ppmi, randomised_svd
from malmoi.text.vocabulary import SpecialIds
from malmoi.text.word_table import WordTable


class Words:
    """The words of some files as token ids; 1 to 3 are unknown, bos and eos.

    Args:
        most: Bytes read, of all files together.
    """

    def __init__(self, paths: list[str], most: int) -> None:
        known: dict[str, int] = {}
        parts = []
        for path in paths:
            with Path(path).open(encoding="utf-8") as lines:
                while most > 0 and (some := lines.readlines(min(1 << 24, most))):
                    text = "".join(some).removesuffix("\n")
                    most -= len(text.encode())
                    found = WordTable(known).encode(text, -1, 3)
                    first = len(known) + 4
                    ids = np.asarray(found.ids, np.int64)
                    ids[ids == -1] = first + np.asarray(found.which)
                    known.update((word, first + i) for i, word in enumerate(found.unknown))
                    parts.append(ids)
        self.ids, self.vocab_size = np.concatenate(parts), len(known) + 4
        self.special_ids = SpecialIds(0, 1, 2, 3)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.ids[start:stop]

    def release(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--n-words", type=int, default=30_000)
    parser.add_argument("--n-dims", type=int, default=300)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--n-iterations", type=int, default=6)
    parser.add_argument("--max-bytes", type=int, default=10**9)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        took[name] = round(time.perf_counter() - began, 2)
        return result

    words = Words(options.texts, options.max_bytes)
    settings = PairSettings(window=options.window, n_words=options.n_words)
    small = count_pairs(words, words.vocab_size, PairSettings(n_words=100), special_ids=words.special_ids)  # compiles
    randomised_svd(ppmi(small.counts).astype(np.float32), 10)
    pairs = timed("counting", lambda: count_pairs(words, words.vocab_size, settings, special_ids=words.special_ids))
    matrix: csr_matrix = timed("ppmi", lambda: ppmi(pairs.counts, smoothing=0.75).astype(np.float32))
    rough = timed("randomised_svd", lambda: randomised_svd(matrix, options.n_dims, n_iterations=options.n_iterations))
    found: dict[str, Any] = {"tokens": len(words), "cells": pairs.counts.nnz, "ppmi_cells": matrix.nnz, "seconds": took}
    if options.exact:
        exact = timed("exact_svd", lambda: exact_svd(matrix, options.n_dims))
        found["largest_relative_error_of_a_value"] = float(np.abs(rough.values / exact.values - 1).max())
        found["share_of_squares_kept"] = float((rough.values**2).sum() / (exact.values**2).sum())
    found["peak_resident_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
