"""How long a next-word answer takes: from a loaded 2 x 650 LSTM over PTB's 10,000 words, and as a whole command.

    python -m benchmarks.next_word
    python -m benchmarks.next_word --against ../OTHER/src [--pairs 15]

Without --against, a person types PTB's validation text. After every word the ten likeliest next words are asked for: once by a
reader who has typed the line so far (one more word than at the last question), once as an unrelated question with a ten-word
context. Weights are random: the time does not depend on them.

With --against, `malmoi next RUN "..."` runs as a process of its own in this checkout and in the other, in turn: of that LSTM,
its embeddings tied, and of a 5-gram model over the 400,000 most frequent words of NSMC's larger part.
"""

import argparse
import json
import lzma
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.checkouts import compared
from benchmarks.plain_lstm import data_folder
from malmoi.api import Run, train
from malmoi.arrays import write_arrays
from malmoi.models.options.recurrent import LSTMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer

QUESTIONS = 400


def loaded_run(folder: Path, tied: bool = False) -> Run:
    ptb = TextSource(data_folder() / "ptb" / "ptb.train.txt")
    tokenizer = train_tokenizer("word", (line.text for line in ptb.lines()))
    config = LSTMConfig(
        vocab_size=tokenizer.vocab_size, embed_dim=650, hidden_size=650, n_layers=2, tie_embeddings=tied
    )
    tokenizer.save(folder)
    write_config(folder, RunConfig(family="lstm", model=config.model_dump()))
    model = build_model(find_rung("lstm"), config)
    write_arrays(folder / "model.safetensors", {name: p.detach().numpy() for name, p in model.named_parameters()})
    return Run(folder)


def timed(run: Run, contexts: list[str]) -> dict[str, float]:
    run.next(contexts[0])
    milliseconds = []
    for context in contexts:
        began = time.perf_counter()
        run.next(context)
        milliseconds.append(1000 * (time.perf_counter() - began))
    cuts = statistics.quantiles(milliseconds, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def large_ngram(folder: Path) -> Run:
    with lzma.open(data_folder() / "nsmc" / "reviews_rest.tsv.xz", "rt", encoding="utf-8") as rows:
        (folder / "reviews.txt").write_text("".join(row.split("\t")[2] for row in rows), encoding="utf-8")
    options = {"tokenizer": "word", "vocab_size": 400_000, "min_count": 1}
    return train("ngram", folder / "reviews.txt", out=folder / "run", **options)


def whole_commands(other: Path, n_pairs: int) -> dict[str, dict[str, dict[str, float]]]:
    figures = {}
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        lstm, ngram = loaded_run(Path(first), tied=True), large_ngram(Path(second))
        for name, run, context in (("lstm", lstm, "the company said"), ("ngram", ngram, "이 영화")):
            words = ["-m", "malmoi", "next", str(run.folder), context]
            figures[name] = compared(other, words, n_pairs)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, help="the src folder of another checkout")
    parser.add_argument("--pairs", type=int, default=15)
    asked = parser.parse_args()
    if asked.against is not None:
        print(json.dumps(whole_commands(asked.against.resolve(), asked.pairs), indent=2))
        return
    words = (data_folder() / "ptb" / "ptb.valid.txt").read_text(encoding="utf-8").split()[: 10 * QUESTIONS]
    typed = [" ".join(words[i - i % 20 : i + 1]) for i in range(QUESTIONS)]
    unrelated = [" ".join(words[10 * i : 10 * i + 10]) for i in range(QUESTIONS)]
    with tempfile.TemporaryDirectory() as folder:
        run = loaded_run(Path(folder))
        print(json.dumps({"while_typing": timed(run, typed), "ten_word_context": timed(run, unrelated)}, indent=2))


if __name__ == "__main__":
    main()
