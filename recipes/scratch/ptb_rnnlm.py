"""Penn Treebank with NumPy alone: one LSTM of 100 units, four epochs of plain gradient descent.

    python recipes/scratch/ptb_rnnlm.py [--out FOLDER]

Words are split at white space, each line end is the word <eos>, and the training text decides the vocabulary. SGD with
learning rate 20, gradients clipped at 0.25, 20 streams, windows of 35 words. After an epoch that did not improve the
validation text the rate is quartered. The test text is read in one stream.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from malmoi.scratch.checks import Ids
from malmoi.scratch.optimisers import SGD
from malmoi.scratch.rnnlm import Rnnlm, eval_perplexity
from malmoi.scratch.trainer_rnnlm import RnnlmTrainer

DATA = Path(os.environ.get("MALMOI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ptb"
WIDTH, EPOCHS, RATE, CLIP, BATCH, WINDOW, SEED = 100, 4, 20.0, 0.25, 20, 35, 0


def read_words(part: str, vocabulary: dict[str, int]) -> Ids:
    """Ids of a text; the first text read decides the vocabulary."""
    lines = (DATA / f"ptb.{part}.txt").read_text(encoding="utf-8").splitlines()
    return np.array(
        [vocabulary.setdefault(word, len(vocabulary)) for line in lines for word in [*line.split(), "<eos>"]]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the weights, the words and the perplexity curve")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    vocabulary: dict[str, int] = {}
    train, valid, test = (read_words(part, vocabulary) for part in ("train", "valid", "test"))
    model = Rnnlm(len(vocabulary), WIDTH, WIDTH, rng=np.random.default_rng(SEED))
    trainer = RnnlmTrainer(model, SGD(RATE))
    best, began = float("inf"), time.perf_counter()
    for epoch in range(options.epochs):
        trainer.fit(train[:-1], train[1:], 1, BATCH, WINDOW, CLIP)
        perplexity = eval_perplexity(model, valid, batch_size=BATCH)
        print(f"epoch {epoch + 1}: valid {perplexity:.2f}, {time.perf_counter() - began:.0f} s", flush=True)
        if perplexity >= best:
            trainer.optimiser.lr /= 4
        best = min(best, perplexity)
    figures = {
        "valid": round(eval_perplexity(model, valid), 2),
        "test": round(eval_perplexity(model, test), 2),
        "seconds": round(time.perf_counter() - began),
    }
    print(json.dumps(figures))
    if options.out:
        model.save(options.out / "model.safetensors")
        (options.out / "words.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        trainer.plot(options.out / "perplexity.html")


if __name__ == "__main__":
    main()
