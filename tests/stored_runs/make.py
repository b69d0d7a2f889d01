"""How the stored runs were made. A run is made once and never again: later versions of malmoi have to read it as it is.

    python tests/stored_runs/make.py NAME...     makes these runs
    python tests/stored_runs/make.py             makes all of RUNS that are not there yet

What stands in this folder:

    text/                our own sentences: train.txt, and unseen.txt to be evaluated on
    NAME/                a run, as that version of malmoi wrote it
    NAME.answers.json    the version, the commit, the packages and the processor that made it, the SHA-256 of its files, and
                         its answers
    asking.py            the questions, and what counts as the same answer
    make.py              this file

A run or an answer that is here is never changed. Where the form of run folders changes, a reader for the old form comes with
the change, the runs here stay, and runs of the new form are added under other names (a new entry of RUNS). What a run with
"stopped" in its name holds is the middle of a training, with its checkpoint; resumed, it gives the answers of the run that
is named in its answers.

Two things are not as `malmoi train` and `malmoi import` leave them. Texts are named by a pattern, not by a path, because a path
is written into config.json as an absolute one; and in imported runs, where that cannot be avoided, the path in config.json is
cut to the name of the file.
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before anything loads a library that counts threads

from stored_runs.asking import TEXT, answer, digests, environment  # noqa: E402 - see above

import malmoi  # noqa: E402
from malmoi.models.registry import RUNGS  # noqa: E402
from malmoi.runs.folder import read_config, write_config  # noqa: E402
from malmoi.training.progress import Interrupted, Reporter, StepReport  # noqa: E402

CLEAR, CLEAR_OF_VECTORS = 1e-3, 1e-5  # a ranking is kept as far as each place is so far ahead of the next

NEURAL = {
    "embed_dim": 10,
    "hidden_size": 12,
    "batch_size": 4,
    "window": 8,
    "evaluate_every": 50,
    "optimiser": "adam",
    "learning_rate": 0.03,
    "clip_norm": 1.0,
    "layer_rate": 1.0,
    "precision": "float32",
    "checkpoint_seconds": 1e9,
    "valid": "unseen*.txt",
}
LSTM = {
    **NEURAL,
    "rung": "lstm",
    "tokenizer": "jamo",
    "embed_dim": 8,
    "hidden_size": 10,
    "n_layers": 1,
    "dropout_recurrent": 0.05,
    "dropout_output": 0.05,
    "steps": 1000,
    "seed": 5,
}
SKIP_GRAM = {
    "rung": "word2vec",
    "embed_dim": 8,
    "window": 3,
    "epochs": 20,
    "subsample_threshold": 0.0,
    "learning_rate": 0.1,
    "checkpoint_seconds": 1e9,
    "seed": 11,
}
RUNS: dict[str, dict[str, Any]] = {
    "cooccurrence": {"rung": "cooccurrence", "embed_dim": 12, "window": 3, "seed": 1},
    "cooccurrence-sparse": {
        "rung": "cooccurrence",
        "reduction": "none",
        "window": 2,
        "phrases": 1,
        "phrase_threshold": 1.0,
    },
    "word2vec": SKIP_GRAM,
    "word2vec-jamo": {**SKIP_GRAM, "subwords": "jamo", "subword_buckets": 200, "seed": 12},
    "glove": {"rung": "glove", "embed_dim": 8, "window": 4, "epochs": 15, "x_max": 10.0, "seed": 2},
    "ngram": {"rung": "ngram", "order": 3, "tokenizer": "word", "valid": "unseen*.txt"},
    "ngram-quantised": {
        "rung": "ngram",
        "order": 3,
        "tokenizer": "char",
        "smoothing": "witten-bell",
        "prune": "0,0,1",
        "quantise": True,
        "valid": "unseen*.txt",
    },
    "nnlm": {
        **NEURAL,
        "rung": "nnlm",
        "tokenizer": "bpe",
        "vocab_size": 320,
        "n_layers": 2,
        "context_size": 3,
        "learning_rate": 0.02,
        "steps": 1000,
        "seed": 3,
    },
    "rnn": {**NEURAL, "rung": "rnn", "tokenizer": "char", "steps": 1000, "seed": 4},
    "lstm": LSTM,
    "lstm-two-layers": {**LSTM, "tokenizer": "char", "n_layers": 2, "steps": 300, "seed": 7},
    "gru": {
        **NEURAL,
        "rung": "gru",
        "embed_dim": 8,
        "hidden_size": 10,
        "tokenizer": "unigram",
        "vocab_size": 330,
        "n_layers": 1,
        "tie_embeddings": False,
        "steps": 1000,
        "seed": 6,
    },
    "ngram-imported": {"import": "ngram", "to": "arpa", "file": "words.arpa"},
    "vectors-imported": {"import": "glove", "to": "word2vec", "file": "words.vec"},
    "lstm-stopped": {**LSTM, "stop_after": 960, "answers_of": "lstm"},
    "word2vec-stopped": {**SKIP_GRAM, "stop_after": 8, "answers_of": "word2vec"},
}
RUNS |= {  # a network that nothing else is said of
    name: {**NEURAL, "rung": name, "tokenizer": "char", "steps": 1000, "seed": 8}
    for name, rung in RUNGS.items()
    if rung.is_network and name not in RUNS
}

OF_LANGUAGE_MODELS: list[dict[str, Any]] = [
    *(
        {"ask": ask, name: line}
        for ask, name in (("tokens", "text"), ("score", "line"))
        for line in (
            "작은 고양이가 창가에서 잔다.",
            "할머니가 저녁에 생선을 굽는다.",  # with words, syllables and jamo that the text lacks
            "the big dog looks at the rain.",
            "the zebra reads a newspaper, 뷁!",
            "",
        )
    ),
    {"ask": "next", "context": "작은 고양이가", "k": 4},
    {"ask": "next", "context": "in the", "k": 4},
    {"ask": "next", "context": "", "k": 4},
    {"ask": "complete", "text": "큰 강아ㅈ", "k": 2},
    {"ask": "complete", "text": "in the gar", "k": 2},
    {"ask": "generate", "prompt": "나는", "max_tokens": 12, "temperature": 0.0},
    {"ask": "generate", "prompt": "the cat", "max_tokens": 12, "temperature": 0.0},
    {"ask": "generate", "prompt": "", "max_tokens": 12, "n": 2, "seed": 7},
    {"ask": "evaluate", "text": "unseen.txt"},
]
OF_VECTORS: list[dict[str, Any]] = [
    {"ask": "words", "n": 20},
    {"ask": "similar", "word": "고양이가", "k": 4},
    {"ask": "similar", "word": "garden", "k": 4},
    {"ask": "cosine", "first": "비를", "second": "rain"},
    {"ask": "vector", "word": "window", "n": 5},
]
FIGURES = {
    "cooccurrence": ["words", "tokens", "pairs", "cells", "parameters"],
    "word2vec": ["words", "tokens", "parameters", "epochs", "losses", "mode"],
    "glove": ["words", "tokens", "pairs", "parameters", "epochs", "losses"],
    "ngram": ["parameters"],
    "vectors": ["words", "parameters"],
}
OF_SOME: dict[str, list[dict[str, Any]]] = {
    "cooccurrence": [{"ask": "figures", "names": ["share_of_squares"]}],
    "cooccurrence-sparse": [{"ask": "similar", "word": "in_the", "k": 3}],
    "word2vec": [{"ask": "explain", "text": "the small cat sleeps at the window", "step": 3, "seed": 1}],
    "word2vec-jamo": [
        {"ask": "vector", "word": "강아지들이", "n": 5},
        {"ask": "cosine", "first": "강아지들이", "second": "강아지가"},
        {"ask": "explain", "text": "큰 강아지가 마당에서 뛴다", "step": 2, "seed": 1},
    ],
}


def make(name: str) -> None:
    """Make one run and write down its answers."""
    folder, answers = HERE / name, HERE / f"{name}.answers.json"
    if folder.exists() or answers.exists():
        sys.exit(f"{name} is stored already, and a stored run is never made again. Give a new run a new name.")
    options = dict(RUNS[name])
    stop_after, answers_of = options.pop("stop_after", None), options.pop("answers_of", None)
    with tempfile.TemporaryDirectory() as room:
        os.environ["MALMOI_CACHE"] = room
        os.chdir(TEXT)
        made = Path(room, name)
        if "import" in options:
            _import(Path(room, options["file"]), made, options)
        else:
            _train(made, options, stop_after)
        _check_places(made)
        kept: dict[str, Any] = {"made": _origin(), "with": environment(), "files": digests(made)}
        if answers_of is None:
            kept["asked"] = _ask(name, made)
        else:
            kept["resume"] = {"rung": options["rung"], "text": "train.txt", "answers_of": answers_of}
        shutil.move(made, folder)
    answers.write_text(_written(kept), encoding="utf-8")
    n_bytes = sum(path.stat().st_size for path in [answers, *folder.rglob("*")])
    print(f"{name}: {n_bytes:,} bytes")


def _written(kept: dict[str, Any]) -> str:
    """JSON with a line for each question and each file."""
    parts = []
    for name, value in kept.items():
        opening, closing = "[]" if isinstance(value, list) else "{}"
        rows = (
            [json.dumps(row, ensure_ascii=False) for row in value]
            if isinstance(value, list)
            else [f"{json.dumps(key)}: {json.dumps(row, ensure_ascii=False)}" for key, row in value.items()]
        )
        parts.append(f'"{name}": {opening}\n' + ",\n".join(rows) + f"\n{closing}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


class StopsAfter(Reporter):
    """Presses Ctrl-C after so many reports of progress."""

    def __init__(self, n: int | None) -> None:
        self.left = n

    def trained(self, report: StepReport) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


def _train(folder: Path, options: dict[str, Any], stop_after: int | None) -> None:
    try:
        malmoi.train(text="train*.txt", out=folder, reporter=StopsAfter(stop_after), **options)
    except Interrupted:
        return
    if stop_after is not None:
        sys.exit(f"{folder.name} came to its end before it was stopped. Stop it earlier.")


def _import(file: Path, folder: Path, options: dict[str, Any]) -> None:
    from malmoi.interop.exchange import import_run

    malmoi.load(HERE / options["import"]).export(file, options["to"])
    import_run(file, folder)
    config = read_config(folder)
    imported = {**config.data["imported"], "file": file.name}
    write_config(folder, config.model_copy(update={"data": {**config.data, "imported": imported}}))


def _ask(name: str, folder: Path) -> list[dict[str, Any]]:
    run = malmoi.load(folder)
    family = run.config.family
    is_of_vectors = (folder / "words.json").is_file()
    figures = FIGURES.get(family, ["parameters", "steps", "best_step", "tokens_trained"])
    questions = [
        {"ask": "figures", "names": ["parameters"] if "import" in RUNS[name] else figures},
        *(OF_VECTORS if is_of_vectors else OF_LANGUAGE_MODELS),
        *OF_SOME.get(name, []),
    ]
    asked = []
    for question in questions:
        if "k" in question and family != "ngram":
            ranking = answer(run, {**question, "k": question["k"] + 1})
            question = {**question, "k": _n_clear(name, ranking, CLEAR_OF_VECTORS if is_of_vectors else CLEAR)}
        asked.append({"question": question, "answer": answer(run, question)})
    return asked


def _n_clear(name: str, ranking: list[list[Any]], clear: float) -> int:
    """How many of the first places no rounding can change."""
    numbers = [number for _, number in ranking]
    places = list(itertools.takewhile(lambda i: numbers[i] - numbers[i + 1] >= clear, range(len(numbers) - 1)))
    if not places:
        sys.exit(f"{name}: rounding could change the first place of {ranking}. Ask something else.")
    return len(places)


def _check_places(folder: Path) -> None:
    """No file may tell where on a machine it was made, or by whom."""
    for path in folder.rglob("*"):
        if (
            path.is_file()
            and (place := re.search(rb"[\s\"'`(]/\w[^\"'`)\s]*", path.read_bytes()))
            and path.suffix != ".safetensors"
        ):
            sys.exit(f"{path.name} holds the path {place[0]!r}.")


def _origin() -> dict[str, str]:
    """The version, and the last commit that changed it."""
    git = ["git", "-C", str(HERE)]
    source = str(Path(malmoi.__file__).parent)
    if subprocess.run([*git, "status", "--porcelain", source], capture_output=True, text=True, check=True).stdout:
        sys.exit(
            f"{source} has changes that are not committed. A stored run names the commit that made it: commit them."
        )
    log = subprocess.run([*git, "log", "-1", "--format=%H", source], capture_output=True, text=True, check=True)
    return {"malmoi": malmoi.__version__, "commit": log.stdout.strip()}


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        sys.exit(f"There is no recipe for {unknown[0]}. Known are: {', '.join(RUNS)}.")
    for name in names or [name for name in RUNS if not (HERE / name).exists()]:
        make(name)


if __name__ == "__main__":
    main(sys.argv[1:])
