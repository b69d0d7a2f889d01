"""How long `malmoi eval RUN TEXT` takes in two checkouts, nothing cached: WikiText-2's test text, n-grams of words and bpe.

python -m benchmarks.eval_time --against ../OTHER/src [--pairs 10]
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import malmoi
from benchmarks.checkouts import compared
from benchmarks.plain_lstm import data_folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, required=True, help="the src folder of another checkout")
    parser.add_argument("--pairs", type=int, default=10)
    asked = parser.parse_args()
    text = data_folder() / "wikitext-2"
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def fresh() -> Mapping[str, str]:
            shutil.rmtree(cache, ignore_errors=True)
            return {"MALMOI_CACHE": str(cache)}

        for kind in ("word", "bpe"):
            run = Path(folder) / kind
            malmoi.train("ngram", text / "train.txt", valid=text / "valid.txt", tokenizer=kind, out=run)
            words = ["-m", "malmoi", "eval", str(run), str(text / "test.txt")]
            found = compared(asked.against.resolve(), words, asked.pairs, fresh)
            print(json.dumps({"tokenizer": kind, **found}))


if __name__ == "__main__":
    main()
