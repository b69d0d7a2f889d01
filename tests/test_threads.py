"""One run answers in many threads at once, and each answer is the one that it gives alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

import malmoi
from malmoi.arrays import write_arrays
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.tokenizers import train_tokenizer

THREADS, ROUNDS = 8, 3
LINES = [
    "the cat sat on the mat",
    "the dog sat on the rug",
    "고양이가 방에 앉았다",
    "개가 마루에 앉았다",
    "a cat. a dog!",
] * 4
CONTEXTS = ["the", "the cat sa", "고양이가 방", "", "a d", "개ㄱ", "zebra 얼룩", "the dog sat on the r"]


def ngram_run(folder: Path, kind: str) -> Path:
    (folder / "text.txt").write_text("\n".join(LINES), encoding="utf-8")
    malmoi.train("ngram", folder / "text.txt", out=folder / "run", tokenizer=kind)
    return folder / "run"


def lstm_run(folder: Path, kind: str) -> Path:
    tokenizer, rung = train_tokenizer(kind, LINES), find_rung("lstm")
    config = rung.config.parse({"vocab_size": tokenizer.vocab_size, "embed_dim": 8, "hidden_size": 8, "n_layers": 2})
    network = build_model(rung, config, seed=1)
    write_arrays(folder / "model.safetensors", {name: p.detach().numpy() for name, p in network.named_parameters()})
    tokenizer.save(folder)
    write_config(folder, RunConfig(family="lstm", model=config.model_dump()))
    return folder


def scores(run: malmoi.Run, lines: list[str]) -> list[float]:
    return list(run.score(lines))


def questions(run: malmoi.Run) -> list[Callable[[], Any]]:
    """Everything that a server asks of a run; typed texts grow, as those of a person do."""
    asked: list[Callable[[], Any]] = []
    for context in CONTEXTS:
        asked += [
            partial(run.next, context, 5),
            partial(run.next, context, 5, whole_words=False),
            partial(run.complete, context, 4),
            partial(run.generate, context, max_tokens=6, seed=2, n=2),
            partial(scores, run, [context, "the cat"]),
        ]
    return asked


@pytest.mark.parametrize(
    ("make", "kind", "engine"),
    [
        *((ngram_run, kind, "auto") for kind in ("word", "bpe")),
        *((lstm_run, kind, engine) for kind in ("word", "bpe", "jamo") for engine in ("numpy", "torch")),
    ],
)
def test_eight_threads_get_the_answers_of_one(
    make: Callable[[Path, str], Path], kind: str, engine: str, tmp_path: Path
) -> None:
    folder = make(tmp_path, kind)
    expected = [ask() for ask in questions(malmoi.load(folder, engine=engine))]
    shared = malmoi.load(folder, engine=engine)  # nothing of it is read yet: the threads come to a run that is new
    asked, together = questions(shared), Barrier(THREADS)

    def work(thread: int) -> None:
        together.wait()
        for turn in range(ROUNDS * len(asked)):
            place = (turn * (2 * thread + 1) + thread) % len(asked)  # each in an order of its own
            assert asked[place]() == expected[place], (thread, place)

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, thread) for thread in range(THREADS)]:
            done.result()


def test_a_run_is_read_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = malmoi.load(lstm_run(tmp_path, "word"))
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda _: (id(run.model), id(run.tokenizer), id(run.completer)), range(4 * THREADS)))
    assert len(set(found)) == 1
