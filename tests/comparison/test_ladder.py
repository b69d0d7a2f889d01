"""The ladder divides its clock, keeps it, and tells what each rung bought."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small import COMMON, Listener, quickly

from malmoi.comparison.contenders import read_contenders
from malmoi.comparison.ground import Ground
from malmoi.comparison.ladder import LADDER, Shares, ladder
from malmoi.comparison.measuring import Bench
from malmoi.errors import ConfigError, TrainingError
from malmoi.pages.language import Teller
from malmoi.training import budget as budgets
from malmoi.training import pipeline
from malmoi.training.budget import MEASURING, REPORTING, Budget

RUNGS = ("unigram", "ngram", "rnn", "ngram+rnn")


class FakeGround(Ground):
    """Knows how long its texts are."""

    def __init__(self) -> None:
        self.question: Any = SimpleNamespace(measures_memory=False)
        self.tell = Teller("en", "comparison")

    @property
    def streams(self) -> int:
        return 1

    def n_tokens(self, part: str) -> int:
        return {"test": 4000, "valid": 8000}[part]


class FakeBench(Bench):
    """Remembers results."""

    def __init__(self, **measured: Any) -> None:
        super().__init__(FakeGround())
        self.measured: Any = {name: SimpleNamespace(**figures) for name, figures in measured.items()}

    def recall(self, contender: Any) -> Any:
        return self.measured.get(contender.name)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(budgets.time, "monotonic", lambda: clock[0])
    return clock


def test_every_rung_of_the_ladder_exists() -> None:
    assert [contender.name for contender in read_contenders(LADDER)] == list(LADDER)


def test_later_rungs_get_more_and_all_of_it_is_used(now: list[float]) -> None:
    contenders = read_contenders(LADDER)
    bench: Any = FakeBench()
    shares = Shares(bench, contenders, Budget(600.0, now[0]))
    seconds = {}
    for contender in contenders:
        asked = shares.seconds_for(contender)
        if contender.takes_time:
            assert asked is not None
            seconds[contender.name] = asked
            now[0] += asked + 1 + MEASURING  # as expected: 4,000 tokens at 4,000 a second
            bench.measured[contender.name] = SimpleNamespace(seconds=asked, tokens_per_second=4000.0)
        else:
            assert asked is None
            now[0] += 0.5
            bench.measured[contender.name] = SimpleNamespace(seconds=0.5, tokens_per_second=1e6)
    assert seconds["rnn"] == pytest.approx(2 * seconds["nnlm"], rel=0.02)
    assert seconds["lstm"] == pytest.approx(3 * seconds["nnlm"], rel=0.02)
    left = 600 - (now[0] - 1000) - REPORTING
    assert -1 < left < 10  # what was kept for measuring the mixture


def test_what_an_earlier_call_took_counts(now: list[float]) -> None:
    contenders = read_contenders(["unigram", "ngram", "lstm"])
    fresh = Shares(FakeBench(), contenders, Budget(100.0, now[0])).seconds_for(contenders[2])
    bench = FakeBench(ngram={"seconds": 30.0, "tokens_per_second": 1e6})
    again = Shares(bench, contenders, Budget(100.0, now[0])).seconds_for(contenders[2])
    assert fresh is not None
    assert again is not None
    assert again == pytest.approx(fresh - 30)


def test_without_time_left_a_rung_is_not_begun(now: list[float]) -> None:
    contenders = read_contenders(["nnlm", "lstm"])
    shares = Shares(FakeBench(), contenders, Budget(24.0, now[0]))
    with pytest.raises(TrainingError, match="no time was left of the budget. Expected at least five seconds"):
        shares.seconds_for(contenders[0])
    assert (shares.seconds_for(contenders[1]) or 0) > 5  # its share goes to the next


def test_a_ladder_tells_what_each_rung_bought(corpus: Path, tmp_path: Path) -> None:
    found = quickly(corpus, RUNGS, ask=ladder, out=tmp_path / "c")
    assert [step.name for step in found.steps] == list(RUNGS)
    assert (found.steps[0].before, found.steps[0].gain, found.steps[0].example) == (None, None, None)
    for before, model, step in zip(found.models, found.models[1:], found.steps[1:], strict=False):
        if model.members:  # against the best that it mixes
            before = min((found.model(name) for name in model.members), key=lambda member: member.bits_per_byte)
        assert step.before == before.name
        assert step.gain == pytest.approx(before.bits_per_byte - model.bits_per_byte)
        assert (step.verdict is None) == (not model.is_judged or not found.model(before.name).is_judged)
        if step.verdict is not None:
            assert step.low is not None
            assert step.high is not None
            assert step.low <= step.gain <= step.high
    ngram = found.steps[1]
    assert ngram.verdict == "real"
    assert (ngram.gain or 0) > 0.5
    assert ngram.example is not None
    assert ngram.example == found.contrasts["ngram", "unigram"][0]
    told = found.to_dict()["steps"][1]
    assert told["example"]["bits"] == ngram.example.bits
    page = found.report.read_text(encoding="utf-8")
    assert "What each idea bought" in page
    assert "Remember which tokens followed the last few" in page


def test_a_ladder_goes_on_over_a_broken_rung(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(request: Any, reporter: Any = None) -> Path:
        raise MemoryError

    monkeypatch.setattr(pipeline, "train", failing)
    found = quickly(corpus, ["uniform", "rnn", "unigram"], ask=ladder, out=tmp_path / "c")
    assert [(step.name, step.before) for step in found.steps] == [("uniform", None), ("unigram", "uniform")]
    assert found.failures[0].name == "rnn"


def test_the_budget_reaches_training(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def failing(request: Any, reporter: Any = None) -> Path:
        asked.append(dict(request))
        raise MemoryError

    monkeypatch.setattr(pipeline, "train", failing)
    options = {**COMMON, "steps": None, "measure_memory": None}
    listener = Listener()
    found = ladder(corpus, rungs=["unigram", "lstm"], budget="2m", out=tmp_path / "c", reporter=listener, **options)
    assert 60 < asked[0]["budget"] < 120
    assert found.budget == 120
    assert any("lstm: training for" in stage for stage in listener.stages)
    with pytest.raises(ConfigError, match="--budget and --steps both say"):
        ladder(corpus, budget="2m", steps=3)
