"""How soon the three networks of `scratch/seq2seq.py` read dates: epochs, seconds and the share of dates without a mistake.

    python -m benchmarks.scratch_seq2seq [--pairs 20000] [--epochs 8] [--forward]

Dates in nine English and Korean forms become ISO dates; a tenth of the pairs, never trained on, is what accuracy is measured
on. Same sizes, same seed, same order for all three; the source is read backwards unless --forward is given.
"""

import argparse
import json
import time

import numpy as np

from malmoi.scratch.optimisers import Adam
from malmoi.scratch.seq2seq import AttentionSeq2seq, PeekySeq2seq, Seq2seq, exact_match
from malmoi.scratch.seq2seq_tasks import CharacterPairs, dates
from malmoi.scratch.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--embed", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forward", action="store_true", help="read the source from its beginning")
    options = parser.parse_args()

    made = dates(options.pairs, options.seed)
    characters = CharacterPairs(made)
    xs, ts = characters.encode(made)
    n_test = options.pairs // 10
    train, test = (xs[n_test:], ts[n_test:]), (xs[:n_test], ts[:n_test])
    report: dict[str, object] = {
        **vars(options),
        "train": len(train[0]),
        "test": n_test,
        "vocab": characters.vocab_size,
    }
    for network in (Seq2seq, PeekySeq2seq, AttentionSeq2seq):
        rng = np.random.default_rng(options.seed)
        model = network(characters.vocab_size, options.embed, options.hidden, rng, reverse=not options.forward)
        trainer = Trainer(model, Adam(options.lr))
        order = np.random.default_rng(options.seed)
        epochs, seconds, cpu_seconds = [], 0.0, 0.0
        for epoch in range(1, options.epochs + 1):
            began, cpu_began = time.perf_counter(), time.process_time()
            curve = trainer.fit(*train, max_epoch=1, batch_size=options.batch, max_grad=5.0, rng=order)
            seconds += time.perf_counter() - began
            cpu_seconds += time.process_time() - cpu_began
            accuracy = exact_match(model, *test)
            row = {"epoch": epoch, "seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
            epochs.append(row | {"loss": round(curve.y[-1], 4), "exact": accuracy})
            print(network.__name__, epochs[-1], flush=True)
        report[network.__name__] = epochs
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
