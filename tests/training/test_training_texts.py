"""What figures are made of without a validation text of one's own, and how much of it was read in training."""

import random
from pathlib import Path

import pytest

import malmoi
from malmoi.data.cutting import hold_out
from malmoi.training.budget import Budget
from malmoi.training.progress import Reporter
from malmoi.training.texts import Texts, overlap_seconds, tell_overlaps


class Listens(Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def stage(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize("kind", ["word", "char"])
def test_the_figure_without_a_validation_text_is_that_of_an_honest_cut(kind: str, tmp_path: Path) -> None:
    """Whoever cuts the same lines off first, and trains on the rest alone, gets the very same figure."""
    rng = random.Random(1)
    lines = [" ".join(f"낱말{min(int(rng.paretovariate(0.7)), 10**6)}" for _ in range(6)) for _ in range(800)]
    source = malmoi.TextSource.from_texts(lines)
    by_train = malmoi.train("ngram", source, tokenizer=kind, out=tmp_path / "a").config.figures["valid"]
    train, valid = (malmoi.TextSource.from_texts([line.text for line in part.lines()]) for part in hold_out(source))
    honest = malmoi.train("ngram", train, valid=valid, tokenizer=kind, out=tmp_path / "b").config.figures["valid"]
    assert {name: value for name, value in by_train.items() if name != "seconds"} == {
        name: value for name, value in honest.items() if name != "seconds"
    }
    assert kind == "char" or honest["unknown"] > 0


def test_training_tells_how_much_of_its_validation_text_it_has_read(tmp_path: Path) -> None:
    lines = [f"{number} 번째 줄에는 서로 다른 낱말이 여럿 있다 {number * 7}" for number in range(300)]
    listener = Listens()
    twice = random.Random(0).sample(lines * 2, 600)
    run = malmoi.train(
        "ngram", malmoi.TextSource.from_texts(twice), out=tmp_path / "a", tokenizer="char", reporter=listener
    )
    assert any("stand in the training text: figures say how well the model remembers" in text for text in listener.told)
    found = run.config.figures["overlap"]["valid"]
    assert found["is_high"]
    assert found["lines"] > 0.5
    assert "These figures say how well it remembers" in (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    once = malmoi.train("ngram", malmoi.TextSource.from_texts(lines), out=tmp_path / "b", tokenizer="char")
    assert once.config.figures["overlap"]["valid"]["lines"] == 0


def test_an_overlap_that_would_take_too_long_is_not_measured(tmp_path: Path) -> None:
    text = malmoi.TextSource.from_texts([f"{number} 줄" for number in range(300)])
    texts = Texts(*hold_out(text), None)
    listener = Listens()
    seconds = overlap_seconds(texts) / 0.02
    assert tell_overlaps(texts, Budget(0.9 * seconds, 0.0), listener) == {}
    assert listener.told == ["overlap of the valid text with the training text: not measured, it would take too long"]
    assert tell_overlaps(texts, Budget(1.1 * seconds, 0.0), listener).keys() == {"valid"}
