"""PTB test perplexity of a 5-gram modified Kneser-Ney model, alone, with caches, and mixed with other runs.

    python -m benchmarks.cached_ngram [--mix RUN ...]

The model counts ptb.train; everything about the caches is tuned on ptb.valid. The test text is read as one stream, and the
cache's memory is carried over its line ends. RUNs must have been trained with the same tokenizer, for example with
--tokenizer-from the run that `--keep DIR` leaves behind. Figures with a cache use test text already seen.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.plain_lstm import data_folder
from malmoi.api import Run, load, train
from malmoi.evaluation.caching import tune_cache
from malmoi.evaluation.mixing import Member, Outcome, evaluate_together
from malmoi.evaluation.perplexity import as_view, evaluate
from malmoi.models.combined import CountCache, Lookback
from malmoi.text.sources import TextSource

UNIGRAM_HALF_LIVES = (30, 60, 120, 300, 1000)


def with_unigram_cache(run: Run, valid: TextSource, test: TextSource) -> dict[str, Any]:
    """Recent words alone, with one weight, as in the literature."""
    parts = [Lookback(1, half_life) for half_life in UNIGRAM_HALF_LIVES]
    tuned = tune_cache(run.model, as_view(valid, run.tokenizer), run.tokenizer.eos_id, CountCache(parts))
    return {
        "test_perplexity": round(evaluate(tuned, run.tokenizer, test).perplexity, 2),
        "parts": tuned.cache.describe(),
    }


def figures(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "test_perplexity": round(outcome.evaluation.perplexity, 2),
        "bits_per_byte": round(outcome.evaluation.bits_per_byte, 4),
        "sees_test_text": outcome.uses_cache,
    }
    if outcome.weights is not None:
        told["weights"] = [[round(float(weight), 3) for weight in row] for row in outcome.weights]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", nargs="*", default=[], help="runs to mix the n-gram model with")
    parser.add_argument("--buckets", type=int, default=16, help="sets of weights of the mixture")
    parser.add_argument("--streams", type=int, default=1, help="read the test text as so many parts")
    parser.add_argument("--keep", help="where to leave the n-gram run, or to find it")
    asked = parser.parse_args()
    ptb = data_folder() / "ptb"
    valid, test = TextSource(ptb / "ptb.valid.txt"), TextSource(ptb / "ptb.test.txt")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(asked.keep or Path(folder) / "kn5")
        if not out.exists():
            train("ngram", ptb / "ptb.train.txt", valid=str(ptb / "ptb.valid.txt"), tokenizer="word", order=5, out=out)
        run = load(out)
        result: dict[str, Any] = {"kn5": {"test_perplexity": round(run.evaluate(test).perplexity, 2)}}
        result["kn5 + unigram cache"] = with_unigram_cache(run, valid, test)
        runs = [run, *map(load, asked.mix)]
        began = time.perf_counter()
        found = evaluate_together(
            [Member(str(each.folder), each.model, each.tokenizer) for each in runs],
            test,
            interpolate=len(runs) > 1,
            tune=valid,
            n_buckets=asked.buckets if len(runs) > 1 else 1,
            cache=True,
            streams=asked.streams,
        )
        for each, outcome in zip([*runs, *runs], found.models, strict=True):
            name = "kn5" if each is run else each.folder.name
            result[f"{name} + cache" if outcome.uses_cache else name] = figures(outcome)
        for outcome in found.mixtures:
            result["mixture + cache" if outcome.uses_cache else "mixture"] = figures(outcome)
        result["parts of the cache"] = list(found.models[len(runs)].cache)
        result["seconds, tuning included"] = round(time.perf_counter() - began, 1)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
