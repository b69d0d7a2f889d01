"""How long a next-word answer takes from a loaded 2 x 650 LSTM over PTB's 10,000 words.

    python -m benchmarks.next_word

A person types PTB's validation text. After every word the ten likeliest next words are asked for: once by a reader who has
typed the line so far (one more word than at the last question), once as an unrelated question with a ten-word context.
Weights are random: the time does not depend on them.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.plain_lstm import data_folder
from malmoi.api import Run
from malmoi.arrays import write_arrays
from malmoi.models.options.recurrent import LSTMConfig
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import train_tokenizer

QUESTIONS = 400


def loaded_run(folder: Path) -> Run:
    ptb = TextSource(data_folder() / "ptb" / "ptb.train.txt")
    tokenizer = train_tokenizer("word", (line.text for line in ptb.lines()))
    config = LSTMConfig(vocab_size=tokenizer.vocab_size, embed_dim=650, hidden_size=650)
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


def main() -> None:
    words = (data_folder() / "ptb" / "ptb.valid.txt").read_text(encoding="utf-8").split()[: 10 * QUESTIONS]
    typed = [" ".join(words[i - i % 20 : i + 1]) for i in range(QUESTIONS)]
    unrelated = [" ".join(words[10 * i : 10 * i + 10]) for i in range(QUESTIONS)]
    with tempfile.TemporaryDirectory() as folder:
        run = loaded_run(Path(folder))
        print(json.dumps({"while_typing": timed(run, typed), "ten_word_context": timed(run, unrelated)}, indent=2))


if __name__ == "__main__":
    main()
