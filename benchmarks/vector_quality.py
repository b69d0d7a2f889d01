"""Are word2vec vectors as good as gensim's? The same words, options and epochs, several seeds, similarity sets and analogies.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.vector_quality TEXT [--field F] [--method skip-gram|cbow] [--seeds 3] [--epochs 5] [--workers 1]
        [--subwords none] [--first 30000] [--max-characters N] [--sets SET...]

Both read one file of words, lower case, punctuation left out. Of each set: the mean over the seeds for either program, and the
difference with a 95 % interval, from drawing pairs (of analogies: word pairs) and seeds with replacement. Our vectors come from
the deterministic mode on one thread; gensim works with `--workers` threads from a `corpus_file`.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import malmoi
from malmoi.evaluation.analogies import Questions, answer, resampled_accuracies
from malmoi.evaluation.similarity import nearness, resampled_correlations, spearman
from malmoi.evaluation.vector_sets import SimilaritySet, find_sets
from malmoi.text.wording import WordedSource, Wording
from malmoi.vectors import Vectors

RESAMPLES = 2000
SETTINGS = {"embed_dim": 100, "window": 5, "n_negatives": 5, "subsample_threshold": 1e-3, "learning_rate": 0.025}


def write_words(text: str, field: str | None, path: Path, most: int) -> int:
    """The words of a text, a line each; how many characters."""
    n = 0
    with path.open("w", encoding="utf-8") as out:
        for line in WordedSource(malmoi.TextSource(text, field=field), Wording()).lines():
            n += out.write(" ".join(line.text.split()) + "\n")
            if n > most:
                break
    return n


def ours(path: Path, folder: Path, method: str, epochs: int, seed: int, subwords: str) -> tuple[Vectors, float]:
    options = {**SETTINGS, "method": method, "epochs": epochs, "seed": seed, "subwords": subwords, "split": "spaces"}
    run = malmoi.train("word2vec", path, out=folder, min_count=5, threads=1, **options)
    return run.vectors, run.config.figures["training_seconds"]


def gensims(path: Path, method: str, epochs: int, seed: int, workers: int, subwords: str) -> tuple[Vectors, float]:
    from gensim.models import FastText, Word2Vec  # type: ignore[import-not-found]

    options: dict[str, Any] = {"sg": int(method == "skip-gram"), "vector_size": 100, "window": 5, "negative": 5}
    options |= {"sample": 1e-3, "alpha": 0.025, "min_alpha": 1e-4, "min_count": 5, "cbow_mean": 1}
    options |= {"seed": seed, "workers": workers}
    model = Word2Vec(**options) if subwords == "none" else FastText(bucket=200_000, **options)
    model.build_vocab(corpus_file=str(path))
    began = time.perf_counter()
    model.train(
        corpus_file=str(path), total_words=model.corpus_total_words, total_examples=model.corpus_count, epochs=epochs
    )
    lasted = time.perf_counter() - began
    wv = model.wv
    composed = None if subwords == "none" else lambda word: np.asarray(wv[word], np.float32)
    return Vectors(list(wv.index_to_key), np.array(wv.vectors, np.float32), unknown=composed), lasted


def scores(models: list[Vectors], found: Any) -> tuple[int, list[float], NDArray[np.float64]]:
    """(covered by all, score of each model, the same over resamples (models, R))."""
    if isinstance(found, SimilaritySet):
        near = [nearness(vectors, found) for vectors in models]
        kept = _common([one.covered for one in near])
        people = found.scores[kept]
        cosines = [one.cosines[np.isin(one.covered, kept)] for one in near]
        return (
            len(kept),
            [spearman(people, row) for row in cosines],
            resampled_correlations(people, cosines, RESAMPLES, 0),
        )
    answers = [answer(vectors, found) for vectors in models]
    kept = _common([one.covered for one in answers])
    right = [one.right[np.isin(one.covered, kept)] for one in answers]
    sampled = resampled_accuracies(Questions.of(found).only(kept), right, RESAMPLES, 0).total()
    return len(kept), [float(row.sum() / max(len(row), 1)) for row in right], sampled


def _common(covered: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    kept = covered[0]
    for other in covered[1:]:
        kept = np.intersect1d(kept, other)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--field")
    parser.add_argument("--method", default="skip-gram", choices=("skip-gram", "cbow"))
    parser.add_argument("--subwords", default="none", choices=("none", "characters", "jamo"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--first", type=int, default=30_000, help="analogies are answered among so many words")
    parser.add_argument("--max-characters", type=int, default=10**12)
    parser.add_argument("--sets", nargs="+", default=["all"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "words.txt"
        n_characters = write_words(options.text, options.field, path, options.max_characters)
        models: dict[str, list[Vectors]] = {"malmoi": [], "gensim": []}
        seconds: dict[str, list[float]] = {"malmoi": [], "gensim": []}
        for seed in range(1, options.seeds + 1):
            made = (
                ours(path, Path(room) / f"run{seed}", options.method, options.epochs, seed, options.subwords),
                gensims(path, options.method, options.epochs, seed, options.workers, options.subwords),
            )
            for name, (vectors, lasted) in zip(models, made, strict=True):
                models[name].append(vectors)
                seconds[name].append(lasted)
        result: dict[str, Any] = {
            "characters": n_characters,
            "words": len(models["malmoi"][0]),
            "seconds": seconds,
            "sets": {},
        }
        everyone = [*models["malmoi"], *models["gensim"]]
        few = [vectors.first(options.first) for vectors in everyone]
        draws = np.random.default_rng(0).integers(options.seeds, size=(2, options.seeds, RESAMPLES))
        for found in find_sets(options.sets):
            n, measured, sampled = scores(everyone if isinstance(found, SimilaritySet) else few, found)
            if n < 20:
                continue
            columns = np.arange(RESAMPLES)
            mine = sampled[: options.seeds][draws[0], columns].mean(axis=0)
            theirs = sampled[options.seeds :][draws[1], columns].mean(axis=0)
            low, high = np.nanpercentile(mine - theirs, (2.5, 97.5))
            own, other = np.mean(measured[: options.seeds]), np.mean(measured[options.seeds :])
            told = "above" if low > 0 else "below" if high < 0 else "not told apart"
            result["sets"][found.name] = [n, *(round(float(x), 4) for x in (own, other, low, high)), told]
            print(
                f"{found.name:28} {n:6}  {own:.4f}  {other:.4f}  {own - other:+.4f} [{low:+.4f}, {high:+.4f}]  {told}"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
