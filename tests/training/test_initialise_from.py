"""Embeddings that begin as word vectors: which tokens, how large, in every network, and what a run says about it."""

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import malmoi
from malmoi.arrays import read_arrays
from malmoi.cli import main
from malmoi.errors import ConfigError, DataError, RunError
from malmoi.models.registry import build_model, find_rung
from malmoi.runs.folder import read_config
from malmoi.text.tokenizers import train_tokenizer
from malmoi.training import pipeline, steps
from malmoi.training.initialising import Beginning, begin_as, find_beginning
from malmoi.training.loop import Interrupted
from malmoi.training.planner import make_plan
from malmoi.training.progress import Reporter
from malmoi.vectors import Vectors

LINES = ["The cat sat here", "the dog ran off", "고양이가 방에 잔다", "강아지가 밖에 논다"] * 25
TINY: dict[str, Any] = {
    "hidden_size": 6,
    "n_layers": 1,
    "batch_size": 4,
    "window": 5,
    "tokenizer": "word",
    "precision": "float32",
    "learning_rate": 1.0,
    "seed": 5,
}
WORDS = ["the", "cat", "dog", "고양이가", "elsewhere", "zero"]
DIM = 3


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Vectors as word2vec writes them."""
    rows = np.random.default_rng(0).normal(size=(len(WORDS), DIM)).astype(np.float32)
    rows[-1] = 0
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, rows.tolist(), strict=True)]
    path = tmp_path / "words.vec"
    path.write_text("\n".join([f"{len(WORDS)} {DIM}", *lines]) + "\n", encoding="utf-8")
    return path


def vectors_of(words: list[str], **options: Any) -> Vectors:
    return Vectors(words, np.arange(1, 1 + len(words) * DIM, dtype=np.float32).reshape(-1, DIM), **options)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class Listener(Reporter):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)


def test_rows_get_their_vector_at_one_size_whatever_made_it() -> None:
    config = find_rung("lstm").config.parse({"vocab_size": 13, "embed_dim": DIM, "hidden_size": 5})
    weight, before = (build_model(find_rung("lstm"), config, seed=1).embedding.weight for _ in range(2))
    rows = np.array([[3, 0, 4], [0, 5, 0]], np.float32)
    factor = begin_as(weight, Beginning("here", np.array([7, 2]), rows, 0, 9))
    assert factor == pytest.approx(0.2 / math.sqrt(50 / 6), rel=1e-6)
    torch.testing.assert_close(weight.detach()[[7, 2]], torch.from_numpy(rows) * factor)
    others = [i for i in range(13) if i not in (7, 2)]
    assert torch.equal(weight[others], before[others])


@pytest.mark.parametrize(
    ("kind", "line", "words", "found"),
    [
        # (token, the word whose vector it begins with)
        (
            "word",
            "The the END Ünter",
            ["the", "end", "ünter"],
            {"The": "the", "the": "the", "END": "end", "Ünter": "ünter"},
        ),
        ("word", "The the", ["The", "the"], {"The": "The", "the": "the"}),
        ("bpe", "a tree a tree a tree", ["tree", "a", "ee"], {"␣tree": "tree", "␣a": "a"}),
        ("unigram", "ab ab abc abc abc ab", ["ab", "c"], {"␣ab": "ab"}),
    ],
)
def test_a_token_begins_as_the_word_that_it_is(kind: str, line: str, words: list[str], found: dict[str, str]) -> None:
    tokenizer = train_tokenizer(kind, [line] * 30, vocab_size=None if kind == "word" else 340, min_count=None)
    vectors = vectors_of(words)
    beginning = find_beginning(vectors, tokenizer, "here")
    got = {
        tokenizer.token(token_id): words[int(np.flatnonzero((vectors.matrix == row).all(axis=1))[0])]
        for token_id, row in zip(beginning.token_ids.tolist(), beginning.rows, strict=True)
    }
    assert got == found
    assert beginning.n_tokens == tokenizer.vocab_size - 4
    assert beginning.describe() == f"{len(found)} of {tokenizer.vocab_size - 4} tokens begin as word vectors"


def test_morphemes_go_by_their_name_or_their_form() -> None:
    pytest.importorskip("kiwipiepy")
    tokenizer = train_tokenizer("morpheme", ["나는 학교에 갔다"] * 3)
    beginning = find_beginning(vectors_of(["학교", "나/NP", "는", "가다"]), tokenizer, "here")
    found = {tokenizer.token(token_id) for token_id in beginning.token_ids.tolist()}
    assert found == {"학교/NNG", "나/NP", "는/JX", "가/VV"}


def test_a_missing_word_may_be_made_from_its_pieces() -> None:
    pieces = {"dog": np.array([1, 2, 3], np.float32), "zero": np.zeros(3, np.float32)}
    tokenizer = train_tokenizer("word", ["the DOG zero else"] * 3)
    beginning = find_beginning(vectors_of(["the"], unknown=pieces.get), tokenizer, "here")
    by_token = dict(zip(map(tokenizer.token, beginning.token_ids.tolist()), beginning.rows.tolist(), strict=True))
    assert by_token == {"the": [1, 2, 3], "DOG": [1, 2, 3]}
    assert beginning.describe() == "2 of 4 tokens begin as word vectors, 1 of them from pieces of words"


@pytest.mark.parametrize("rung", ["nnlm", "rnn", "lstm", "gru"])
def test_every_network_can_begin_so_and_its_run_says_it(
    rung: str, text: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[np.ndarray] = []

    def watch(weight: torch.Tensor, beginning: Beginning) -> float:
        factor = begin_as(weight, beginning)
        began.append(weight.detach().numpy().copy())
        return factor

    monkeypatch.setattr(steps, "begin_as", watch)
    listener = Listener()
    run = malmoi.train(rung, text, out=tmp_path / "run", steps=2, initialise_from=file, reporter=listener, **TINY)
    config = run.config
    assert (config.model["embed_dim"], config.model["hidden_size"]) == (DIM, 6)
    assert "5 of 14 tokens begin as word vectors" in listener.stages
    assert config.figures["initialised_from"] == str(file)
    assert (config.figures["initialised_tokens"], config.figures["initialised_share"]) == (5, 0.3571)
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert f"| embeddings began as | vectors of {file}, for 5 tokens (35.7%) |" in card
    (weight,) = began
    vectors = malmoi.api.load_vectors(file)
    for token_id in range(4, run.tokenizer.vocab_size):
        word = run.tokenizer.token(token_id).lower()
        near = cosine(weight[token_id], vectors[word]) if word in vectors else 0
        assert (near > 0.99999) == (word in ("the", "cat", "dog", "고양이가"))
    random = (
        build_model(find_rung(rung), find_rung(rung).config.parse(config.model), 5).embedding.weight.detach().numpy()
    )
    covered = [i for i in range(4, run.tokenizer.vocab_size) if run.tokenizer.token(i).lower() in vectors]
    assert np.sqrt((weight[covered] ** 2).mean()) == pytest.approx(0.2, rel=1e-4)
    others = [i for i in range(run.tokenizer.vocab_size) if i not in covered]
    assert np.array_equal(weight[others], random[others])


def test_the_hidden_width_is_still_planned() -> None:
    rung, device = find_rung("lstm"), torch.device("cpu")
    plans = [
        make_plan(rung, 50, 100_000, None, 1.0, None, options, {"precision": "float32"}, device, embed_dim=width)
        for options, width in (({}, 24), ({"embed_dim": 24}, 24), ({}, None))
    ]
    assert [(plan.model.embed_dim, plan.model.hidden_size) for plan in plans] == [(24, 320), (24, 24), (320, 320)]


def test_a_resumed_run_needs_the_vectors_no_more(text: Path, file: Path, tmp_path: Path) -> None:
    class Stopper(Reporter):
        def trained(self, report: Any) -> None:
            if report.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    options = {**TINY, "steps": 8, "evaluate_every": 4, "initialise_from": file}
    whole = malmoi.train("gru", text, out=tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        malmoi.train("gru", text, out=tmp_path / "parts", reporter=Stopper(), **options)
    file.unlink()
    pipeline.train({"resume": True, "out": tmp_path / "parts"})
    first, second = (read_arrays(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    figures = read_config(tmp_path / "parts").figures
    assert figures["initialised_tokens"] == whole.config.figures["initialised_tokens"]


def test_what_cannot_be_is_refused_before_the_text_is_read(text: Path, file: Path, tmp_path: Path) -> None:
    unreadable = tmp_path / "no-text.txt"
    unreadable.write_bytes(b"\xff\xff\n" * 9)
    with pytest.raises(ConfigError, match=r"words.vec have 3 numbers, and --embed-dim is 4.*leave --embed-dim out"):
        malmoi.train("lstm", unreadable, out=tmp_path / "run", steps=1, initialise_from=file, embed_dim=4)
    with pytest.raises(ConfigError, match="--initialise-from does not fit ngram: counts have no embeddings"):
        malmoi.train("ngram", unreadable, out=tmp_path / "run", initialise_from=file)
    with pytest.raises(RunError, match="nothing-here"):
        malmoi.train("lstm", unreadable, out=tmp_path / "run", steps=1, initialise_from="nothing-here")
    with pytest.raises(
        DataError, match=r"No token of the vocabulary \(char, .* tokens\) has a vector.*'the', 'cat', 'dog'"
    ):
        malmoi.train("lstm", text, out=tmp_path / "run", steps=1, initialise_from=file, **{**TINY, "tokenizer": "char"})
    assert not (tmp_path / "run").exists()


def test_the_command_line_takes_it(text: Path, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", "nnlm", str(text), "--steps", "1", "--initialise-from", str(file)]
    words += ["--tokenizer", "word", "--hidden-size", "4", "--precision", "float32", "--batch-size", "2", "--json"]
    assert main([*words, "--embed-dim", "3", "--out", str(tmp_path / "run")]) == 0
    out, err = capfd.readouterr()
    assert '"initialised_tokens": 5' in out
    assert "5 of 14 tokens begin as word vectors" in err
    assert main([*words, "--embed-dim", "8", "--out", str(tmp_path / "other")]) == 2
    assert "have 3 numbers, and --embed-dim is 8" in capfd.readouterr().err


def test_composed_vectors_are_for_whole_words_alone() -> None:
    tokenizer = train_tokenizer("bpe", ["a tree"] * 30, vocab_size=270)
    vectors = vectors_of(["tree"], unknown=lambda word: np.ones(3, np.float32))
    assert len(find_beginning(vectors, tokenizer, "here").token_ids) == 1
    assert Beginning("x", np.array([5, 6]), np.ones((2, 3), np.float32), 0, 3).figures() == {
        "initialised_from": "x",
        "initialised_tokens": 2,
        "initialised_share": 0.6667,
    }
