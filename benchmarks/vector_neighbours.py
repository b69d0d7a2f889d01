"""The ten nearest words of one among a million: milliseconds a query, beside gensim and faiss where they are installed.

    python -m benchmarks.vector_neighbours [--n-words 1000000] [--dim 100] [--queries 31] [--k 10] [--seed 0]

Vectors are drawn at random. All contenders answer each query in turn, so that whatever else the machine does slows all of them
down; the median over the queries is told, and how many times as fast as gensim that is. Every contender may use all cores. The
share of the words of our float32 that each contender finds, too, tells whether they agree, and what smaller numbers cost.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from malmoi.vectors import Vectors

Answer = Callable[[int], list[str]]  # the nearest words of the word at a place


def contenders(vectors: Vectors, k: int) -> dict[str, Answer]:
    """By name; those that are not installed are left out."""
    found: dict[str, Answer] = {}

    def ours(name: str, some: Vectors) -> None:
        found[name] = lambda place: [near.word for near in some.similar(some.words[place], k)]

    ours("float32", vectors)
    for kind in ("float16", "int8"):
        ours(kind, vectors.quantised(kind).vectors)  # type: ignore[arg-type]
    try:
        from gensim.models import KeyedVectors

        keyed = KeyedVectors(vectors.dim)
        keyed.index_to_key, keyed.key_to_index, keyed.vectors = vectors.words, vectors.ids, vectors.matrix
        keyed.fill_norms()
        found["gensim"] = lambda place: [word for word, _ in keyed.most_similar(vectors.words[place], topn=k)]
    except ModuleNotFoundError:
        pass
    try:
        import faiss

        units = vectors.matrix / np.linalg.norm(vectors.matrix, axis=1, keepdims=True)
        index = faiss.IndexFlatIP(vectors.dim)
        index.add(units)

        def by_faiss(place: int) -> list[str]:
            places = index.search(units[place : place + 1], k + 1)[1][0].tolist()  # the word itself comes first
            return [vectors.words[i] for i in places if i != place][:k]

        found["faiss IndexFlatIP"] = by_faiss
    except ModuleNotFoundError:
        pass
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-words", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--queries", type=int, default=31)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    matrix = generator.standard_normal((options.n_words, options.dim), dtype=np.float32)
    vectors = Vectors([f"w{i}" for i in range(options.n_words)], matrix)
    asked = contenders(vectors, options.k)
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    shared = dict.fromkeys(asked, 0)
    for place in [0, *generator.integers(options.n_words, size=options.queries).tolist()]:
        expected = set(asked["float32"](place))
        for name, answer in asked.items():
            began = time.perf_counter()
            words = answer(place)
            seconds[name].append(time.perf_counter() - began)
            shared[name] += len(expected & set(words))
    p50 = {name: 1000 * statistics.median(times[1:]) for name, times in seconds.items()}  # the first one compiles
    told: dict[str, Any] = {
        "words": options.n_words,
        "dim": options.dim,
        "queries": options.queries,
        "seed": options.seed,
    }
    told["p50_ms"] = {name: round(value, 2) for name, value in p50.items()}
    if "gensim" in p50:
        told["times_as_fast_as_gensim"] = {name: round(p50["gensim"] / value, 2) for name, value in p50.items()}
    told["share_of_the_nearest"] = {name: n / (options.k * (options.queries + 1)) for name, n in shared.items()}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
