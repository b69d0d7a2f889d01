"""From a text to a run of a counting rung, whole."""

from pathlib import Path
from typing import Any

import pytest

import malmoi
from malmoi.errors import ConfigError, RunError
from malmoi.runs.folder import read_config
from malmoi.training import pipeline
from malmoi.training.settings import parse_size

LINES = [
    f"{who} {does} {what}"
    for who in ("나는", "너는", "그는")
    for does in ("책을", "물을")
    for what in ("본다", "산다", "안다")
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES * 12) + "\n", encoding="utf-8")
    return path


def train(corpus: Path, out: Path, **options: Any) -> malmoi.Run:
    return malmoi.train("ngram", corpus, out=out, **{"tokenizer": "word", "order": 3, **options})


def test_a_run_answers_every_question(corpus: Path, tmp_path: Path) -> None:
    run = train(corpus, tmp_path / "run", test=corpus)
    figures = run.config.figures
    assert figures["ngrams"][0] == run.tokenizer.vocab_size
    assert len(figures["discounts"]) == 3
    assert figures["test"]["perplexity"] == pytest.approx(run.evaluate(corpus).perplexity)
    assert figures["test"]["perplexity"] < 3
    assert {row.text: round(row.probability, 1) for row in run.next("나는", 2)} == {"물을": 0.5, "책을": 0.5}
    assert run.generate("나는", max_tokens=5, seed=1) == run.generate("나는", max_tokens=5, seed=1)
    assert run.complete("나는 책", 1)[0].completion == "책을"
    assert sum(run.score(LINES)) == pytest.approx(-run.evaluate(malmoi.TextSource.from_texts(LINES)).nll_nats, rel=1e-5)
    assert "n-grams of length 1, 2, ..." in (tmp_path / "run" / "README.md").read_text(encoding="utf-8")


def test_the_same_text_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    for name, options in {"a": {}, "b": {"threads": 1}, "c": {"memory": "100kB"}}.items():
        train(corpus, tmp_path / name, **options)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("tokenizer", ["char", "jamo", "bpe"])
def test_any_tokenizer_serves(tokenizer: str, corpus: Path, tmp_path: Path) -> None:
    run = train(corpus, tmp_path / "run", tokenizer=tokenizer, order=5, quantise=True)
    assert run.evaluate(corpus).bits_per_byte < 1.2
    assert run.complete("나는 책", 1)[0].completion == "책을"


def test_the_whole_run_keeps_to_its_size(corpus: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run", max_disk="22kB")
    assert sum(file.stat().st_size for file in (tmp_path / "run").iterdir()) <= 22_000
    assert any("pruning to size" in note for note in read_config(tmp_path / "run").figures["notes"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 9}, "order=9 does not fit"),
        ({"order": 0}, "order=0 does not fit"),
        ({"smoothing": "good-turing"}, "smoothing='good-turing' does not fit"),
        ({"prune": "3"}, "--prune 3 does not fit order 3"),
        ({"prune": "a"}, "prune='a' does not fit"),
        ({"epochs": 2.0}, "--epochs does not fit ngram: it counts the text once"),
        ({"steps": 7}, "Unknown option 'steps'"),
        ({"max_disk": "8MB", "prune_entropy": 1e-7}, "--max-disk chooses by itself how much to prune"),
        ({"max_disk": "8 potatoes"}, "max_disk='8 potatoes' does not fit"),
        ({"max_disk": "17kB"}, "single tokens alone take"),
        ({"hidden_size": 7}, "Unknown option 'hidden_size'"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    options: dict[str, Any], message: str, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(corpus, tmp_path / "run", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.txt"]


def test_counting_cannot_be_resumed(corpus: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run")
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        pipeline.train({"out": tmp_path / "run", "resume": True})


@pytest.mark.parametrize("text", ["한 줄\n" * 30, "\n" * 40 + "하나\n" * 3, "a\n" * 17])
def test_the_smallest_texts_give_a_model(text: str, tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text(text, encoding="utf-8")
    run = malmoi.train("ngram", path, out=tmp_path / "run", tokenizer="word", order=8)
    assert run.evaluate(path).perplexity > 1
    assert run.config.figures["notes"]


def test_sizes_are_read() -> None:
    assert [parse_size(text) for text in ("8MB", "1.5 GB", "300kB", "77")] == [8_000_000, 1_500_000_000, 300_000, 77]
    with pytest.raises(ConfigError, match="'much' is no size"):
        parse_size("much")
