"""How often `compare` calls equal models different, and how often its 95 % interval holds the truth, on resampled real text.

    python -m benchmarks.verdicts [--trials 400]

Eight models are counted on one text, and what each line of another text, the population, costs them is worked out once. Then
the truth is shifted: every model gets the same bits per byte over the whole population. A trial draws a test text from it as
`compare` cuts one, in stretches at random places, or takes one long passage as `--test FILE` does, and asks for verdicts on
all pairs. A "real" is false then, and an interval without 0 has missed the truth.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

import malmoi
from benchmarks.plain_lstm import data_folder
from malmoi.comparison.bootstrap import block_starts, paired_bootstrap
from malmoi.comparison.word_costs import read_words, word_nats
from malmoi.data.cutting import HELD_OUT, bytes_of_block
from malmoi.data.tokens import encode_to_disk
from malmoi.evaluation.perplexity import token_log_probs
from malmoi.text.sources import TextSource

MODELS = (  # kind of token, vocabulary, order
    ("char", None, 4),
    ("char", None, 5),
    ("char", None, 6),
    ("bpe", 2000, 3),
    ("bpe", 4000, 3),
    ("bpe", 4000, 4),
    ("word", None, 2),
    ("word", None, 3),
)
TEST_LINES = (300, 500, 1000, 3000)
RESAMPLES = 2000


def corpora() -> Iterator[tuple[str, list[str], list[str]]]:
    """(name, lines to learn from, lines of the population)."""
    data = data_folder()
    wikitext = (data / "wikitext-2" / "train.txt").read_text(encoding="utf-8").splitlines()
    yield "wikitext-2, articles one after the other", wikitext[:12_000], wikitext[12_000:]
    reviews = (data / "nsmc" / "ratings_train.txt").read_text(encoding="utf-8").splitlines()[1:]
    reviews = [row.split("\t")[1] for row in reviews]
    yield "nsmc, reviews without order", reviews[:12_000], reviews[12_000:36_000]
    korean = (data / "ko-open-text" / "train.txt").read_text(encoding="utf-8").splitlines()
    yield "ko-open-text", korean[: len(korean) // 3], korean[len(korean) // 3 :]


def line_costs(learnt: list[str], population: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(nats of each line under each model, with equal bits per byte over all; bytes of each line)."""
    texts = ["\n".join(lines) + "\n" for lines in (learnt, population)]
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        for path, text in zip(("learnt.txt", "population.txt"), texts, strict=True):
            (Path(folder) / path).write_text(text, encoding="utf-8")
        source = TextSource(Path(folder) / "population.txt")
        words = read_words(source.lines(), {})
        sizes = words.line_sums(words.n_bytes.astype(np.float64))
        for number, (kind, vocab_size, order) in enumerate(MODELS):
            options = {"tokenizer": kind, "order": order} | ({"vocab_size": vocab_size} if vocab_size else {})
            run = malmoi.train("ngram", Path(folder) / "learnt.txt", out=Path(folder) / str(number), **options)
            log_probs = token_log_probs(run.model, encode_to_disk(source, run.tokenizer).view(), window=1 << 16)
            columns.append(words.line_sums(word_nats(run.tokenizer, source.lines(), log_probs)))
    nats = np.stack(columns, axis=1)
    totals = nats.sum(axis=0) / sizes.sum()
    return nats - (totals - totals[0]) * sizes[:, None], sizes


def stretches(rng: np.random.Generator, sizes: np.ndarray, n_test: int) -> list[np.ndarray]:
    """Lines of a test text, stretch by stretch, as a text twenty times as long would be cut."""
    n_text = n_test * HELD_OUT
    length = max(1, round(bytes_of_block(int(sizes.mean() * n_text)) / sizes.mean()))
    starts = rng.integers(0, len(sizes) - length, max(1, round(n_test / length)))
    return [np.arange(start, start + length) for start in starts]


def passage(rng: np.random.Generator, sizes: np.ndarray, n_test: int) -> list[np.ndarray]:
    """Lines of one passage, in the blocks that are drawn of it."""
    begin = int(rng.integers(0, len(sizes) - n_test))
    starts, _ = block_starts(n_test, np.zeros(0, np.int64))
    return [np.arange(begin + first, begin + after) for first, after in pairwise([*starts.tolist(), n_test])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=400)
    asked = parser.parse_args()
    for name, learnt, population in corpora():
        nats, sizes = line_costs(learnt, population)
        for draw in (stretches, passage):
            for n_test in TEST_LINES:
                rng, verdicts, covered, any_real, n_blocks = np.random.default_rng(0), [], [], [], 0
                alone = []
                for trial in range(asked.trials):
                    blocks = draw(rng, sizes, n_test)
                    n_blocks = len(blocks)
                    drawn = np.stack([nats[lines].sum(axis=0) for lines in blocks])
                    n_bytes = np.array([int(sizes[lines].sum()) for lines in blocks])
                    options = {"are_neighbours": draw is passage, "n_resamples": RESAMPLES, "seed": trial}
                    found = paired_bootstrap(drawn, n_bytes, **options)
                    covered += [d.low <= 0 <= d.high for d in found]
                    verdicts += [d.verdict for d in found]
                    any_real.append(any(d.is_real for d in found))
                    alone += [d.p <= 0.05 and abs(d.bits_per_byte) >= 0.001 for d in found]
                row = {
                    "population": name,
                    "drawn": draw.__name__,
                    "test_lines": n_test,
                    "blocks": n_blocks,
                    "coverage": round(float(np.mean(covered)), 3),
                    "false_real_of_a_pair_alone": round(float(np.mean(alone)), 3),
                    "false_real_of_a_pair_among_28": round(float(np.mean([v == "real" for v in verdicts])), 4),
                    "any_false_real_among_8": round(float(np.mean(any_real)), 3),
                }
                print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
