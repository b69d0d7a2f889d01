"""Words per second of word2vec against gensim, in turn, in one process; and what the vectors are worth.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.word2vec_speed TEXT [--rounds 5] [--epochs 3] [--sets FOLDER/EN-*.txt]
        [--objective hierarchical]

TEXT has a sentence a line, words between spaces. Both sides count every known word of the text as read; both use 100
dimensions, window 5, 5 negatives, subsampling at 0.001 and words that occur 5 times. gensim reads TEXT as a `corpus_file`, its
fastest way. Its time is that of `train`, without the building of the vocabulary, and so is ours. Each ratio is the median
over rounds of the ratio of two neighbouring measurements. With --sets, the Spearman correlation with each similarity set
(word, word, score a line) is printed for both, over the pairs whose words are known.

Compare quality by the rows with one thread. With several, each thread of gensim's `corpus_file` way measures its progress by
its own share of the text (`get_next_alpha` of its word2vec_corpusfile.pyx), so its learning rate never falls to the end.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from malmoi.models.word2vec import Word2VecOptions, train
from malmoi.text.vocabulary import EOS, SPECIALS, UNK, SpecialIds

MIN_COUNT = 5


@dataclass
class Text:
    """A text as ids in memory."""

    path: Path
    words: list[str]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def read_file(cls, path: Path) -> "Text":
        lines = path.read_text("utf-8").split("\n")
        found = Counter(word for line in lines for word in line.split())
        words = [*SPECIALS, *(word for word, count in found.most_common() if count >= MIN_COUNT)]
        known = {word: i for i, word in enumerate(words) if i >= len(SPECIALS)}
        ids = np.array([i for line in lines for i in (*(known.get(w, UNK) for w in line.split()), EOS)], np.int64)
        return cls(path, words, ids, np.bincount(ids, minlength=len(words)))

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        return self.ids[start:stop]

    def release(self) -> None:
        pass

    @property
    def n_words(self) -> int:
        return int(self.counts[len(SPECIALS) :].sum())


def run_malmoi(
    text: Text, method: Any, threads: int, mode: Any, epochs: int, seed: int, objective: str
) -> tuple[float, dict[str, Any]]:
    options = Word2VecOptions(method=method, epochs=epochs, objective=objective)
    trained = train(
        text, text.counts, options, special_ids=SpecialIds(*range(4)), seed=seed, n_threads=threads, mode=mode
    )
    return trained.figures.words_per_second, dict(zip(text.words, trained.inputs, strict=True))


def run_gensim(
    text: Text, method: str, threads: int, epochs: int, seed: int, objective: str
) -> tuple[float, dict[str, Any]]:
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=100,
        window=5,
        negative=5 if objective == "negative" else 0,
        hs=int(objective == "hierarchical"),
        sg=int(method == "skip-gram"),
        sample=1e-3,
        min_count=MIN_COUNT,
        workers=threads,
        seed=seed,
    )
    model.build_vocab(corpus_file=str(text.path))
    began = time.perf_counter()
    model.train(
        corpus_file=str(text.path),
        total_words=model.corpus_total_words,
        total_examples=model.corpus_count,
        epochs=epochs,
    )
    seconds = time.perf_counter() - began
    return text.n_words * epochs / seconds, {word: model.wv[word] for word in model.wv.index_to_key}


def correlation(vectors: dict[str, Any], path: Path) -> tuple[float, int, int]:
    """Spearman correlation, pairs covered, pairs in all."""
    ours, theirs, n = [], [], 0
    for line in path.read_text("utf-8").splitlines():
        first, second, score = line.split()[:3]
        n += 1
        a, b = (vectors.get(word, vectors.get(word.lower())) for word in (first, second))
        if a is not None and b is not None:
            ours.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
            theirs.append(float(score))
    return float(spearmanr(ours, theirs).statistic), len(ours), n


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objective", choices=("negative", "hierarchical"), default="negative")
    parser.add_argument("--sets", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    text = Text.read_file(arguments.text)
    settings = [
        ("skip-gram", arguments.threads, "free"),
        ("cbow", arguments.threads, "free"),
        ("skip-gram", 1, "deterministic"),
        ("cbow", 1, "deterministic"),
    ]
    for method, threads, mode in settings:
        run_malmoi(text, method, threads, mode, 1, 0, arguments.objective)  # compiles
        ours, theirs, quality = [], [], {}
        for seed in range(1, arguments.rounds + 1):
            speed, vectors = run_malmoi(text, method, threads, mode, arguments.epochs, seed, arguments.objective)
            ours.append(speed)
            peer_speed, peer_vectors = run_gensim(text, method, threads, arguments.epochs, seed, arguments.objective)
            theirs.append(peer_speed)
            for path in arguments.sets:
                row = quality.setdefault(path.stem, {"malmoi": [], "gensim": []})
                for name, given in (("malmoi", vectors), ("gensim", peer_vectors)):
                    value, row["covered"], row["pairs"] = correlation(given, path)
                    row[name].append(round(value, 4))
        result = {
            "method": method,
            "objective": arguments.objective,
            "mode": mode,
            "threads": threads,
            "words_per_second": round(statistics.median(ours)),
            "gensim_words_per_second": round(statistics.median(theirs)),
            "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2),
            **({"spearman": quality} if quality else {}),
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
