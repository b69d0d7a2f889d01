"""A run below the floor of training says so, with the one command that helps; one that learnt nothing is no run."""

from pathlib import Path
from typing import Any

import pytest

import malmoi
from malmoi.cli import main
from malmoi.errors import TrainingError
from malmoi.training import budget as budgets
from malmoi.training.budget import Budget
from malmoi.training.floor import longer_budget, shortfall, way_out, with_option
from malmoi.training.objectives.next_token import NextToken
from malmoi.training.progress import Reporter, StepReport

TINY: dict[str, Any] = {
    **{"embed_dim": 6, "hidden_size": 8, "n_layers": 1, "batch_size": 4, "window": 8, "tokenizer": "char"},
    **{"precision": "float32", "learning_rate": 1.0},
}
LINES = ["나는 학교에 간다", "옛날 옛적에 말이 있었다", "여러분 안녕하세요", "the boat came back"] * 60


class Listens(Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []
        self.evaluated_at: list[int] = []
        self.step = 0

    def stage(self, text: str) -> None:
        self.told.append(text)

    def trained(self, report: StepReport) -> None:
        self.step = report.step

    def evaluated(self, report: Any) -> None:
        self.evaluated_at.append(self.step)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("updates", "tokens", "epochs", "value", "guess", "is_better", "why"),
    [
        (0, 0, 0.0, None, 3.0, False, "0 updates were made, at least 100 were expected"),
        (1, 80, 9.0, 2.0, 3.0, True, "1 update was made, at least 100 were expected"),
        (99, 80, 9.0, 2.0, 3.0, True, "99 updates were made, at least 100 were expected"),
        (100, 80, 0.049, 2.0, 3.0, True, "4.9% of the training text was read, at least 5% was expected"),
        (100, 2_000_000, 0.049, 2.0, 3.0, True, ""),  # of a long text
        (
            100,
            80,
            0.05,
            3.0,
            3.0,
            False,
            "on validation text it is no better (3.00) than counting single tokens (3.00)",
        ),
        (100, 80, 0.05, 2.0, 3.0, True, ""),
        (100, 80, 0.05, 2.0, None, True, ""),
    ],
)
def test_the_floor(
    updates: int, tokens: int, epochs: float, value: float | None, guess: float | None, is_better: bool, why: str
) -> None:
    assert shortfall(updates, tokens, epochs, value, guess, is_better) == why


def test_the_way_out_is_a_command_that_can_be_typed() -> None:
    assert with_option(["a", "--budget", "5s", "b", "--budget=7s"], "--budget", "2m") == ["a", "b", "--budget", "2m"]
    assert longer_budget(12.0, 0, 0.0) == "30m"
    assert longer_budget(12.0, 80, 1.0) == "1m"
    assert longer_budget(100.0, 50, 1.0) == "10m"
    command = "malmoi train lstm 'my text.txt' --budget 12s --out runs/a --resume"
    assert way_out(command, "lstm", 12.0, 0, 80, 1.0) == "malmoi train lstm 'my text.txt' --budget 1m --out runs/NAME"
    assert way_out("", "lstm", None, 20, 20, 1.0) == "malmoi train lstm TEXT --steps 1000 --out runs/NAME"


def test_a_hardly_trained_run_says_so_everywhere(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    out = tmp_path / "run"
    assert main(["train", "lstm", str(text), "--steps", "12", "--out", str(out), *flags]) == 0
    err = capsys.readouterr().err
    assert "Hardly trained: 12 updates were made, at least 100 were expected" in err.splitlines()[-2]
    assert err.splitlines()[-1].startswith("Give it more:  malmoi train lstm ")
    assert "--steps 1000 --out runs/NAME" in err.splitlines()[-1]
    assert "Try it" not in err
    assert "**Hardly trained**: 12 updates" in (out / "README.md").read_text(encoding="utf-8")
    assert main(["info", str(out)]) == 0
    assert "hardly trained\t12 updates were made" in capsys.readouterr().out


def test_a_trained_run_does_not(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learning = {**TINY, "optimiser": "adam", "learning_rate": 0.02}
    run = malmoi.train("lstm", text, out=tmp_path / "run", steps=150, evaluate_every=50, **learning)
    assert run.config.figures["hardly_trained"] == ""
    assert "Hardly" not in (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    run = malmoi.train(
        "lstm", text, out=tmp_path / "flat", steps=120, evaluate_every=40, **{**TINY, "learning_rate": 1e-9}
    )
    assert run.config.figures["hardly_trained"].startswith("on validation text it is no better")


def test_no_update_is_no_run(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "for_steps", lambda self, final=0.0: 0.0 if final else 9.0)
    with pytest.raises(
        TrainingError, match=r"No time was left for a single update, so there is no model.*longer --budget"
    ):
        malmoi.train("lstm", text, out=tmp_path / "run", budget="9s", **TINY)
    assert not (tmp_path / "run").exists()


def test_by_the_clock_validation_waits_for_fifty_updates_and_takes_what_fits(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    really = NextToken.validate

    def watched(self: NextToken, share: float = 1.0) -> float:
        shares.append(share)
        return really(self, share)

    monkeypatch.setattr(NextToken, "validate", watched)
    monkeypatch.setattr(NextToken, "validation_seconds", lambda self: 8.0)
    listener = Listens()
    run = malmoi.train("lstm", text, out=tmp_path / "run", budget="8s", reporter=listener, **TINY)
    assert listener.evaluated_at[0] >= budgets.FIRST_VALIDATION
    assert 0 < shares[0] <= 0.1  # a tenth of what was left, at most
    assert set(shares) == {shares[0]}
    assert any("as much as fits into the time" in told for told in listener.told)
    assert run.config.figures["valid"]["tokens"] > 0


def test_what_no_longer_fits_is_left_out_and_an_overrun_is_told(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budget, "has_room", lambda self, seconds: False)
    monkeypatch.setattr(Budget, "overrun", lambda self: 7.0)
    listener = Listens()
    run = malmoi.train("lstm", text, test=text, out=tmp_path / "run", budget="6s", reporter=listener, **TINY)
    assert "test" not in run.config.figures
    assert run.config.figures["valid_share"] == 1.0
    assert run.config.figures["valid"]["bits_per_byte"] > 0
    assert any("malmoi eval" in told and "test text is not read once more" in told for told in listener.told)
    assert any(told.startswith("this took 7 s longer than the budget of 6 s") for told in listener.told)


def test_an_overrun_that_nobody_notices_is_none() -> None:
    budget = Budget(100.0, 0.0)
    for left, over in ((5.0, 0.0), (-2.9, 0.0), (-3.1, 3.1)):
        object.__setattr__(budget, "started", __import__("time").monotonic() - 100.0 + left)
        assert budget.overrun() == pytest.approx(over, abs=0.05)
    assert Budget(None, 0.0).overrun() == 0.0
    assert Budget(None, 0.0).has_room(1e9)


def test_more_is_kept_back_for_the_end_where_the_machine_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    for elapsed, cpu, kept in ((10.0, 12.0, 1.0), (10.0, 4.0, 2.5), (100.0, 1.0, budgets.MOST_SLOWDOWN)):
        monkeypatch.setattr(Budget, "elapsed", lambda self, elapsed=elapsed: elapsed)
        monkeypatch.setattr(budgets.time, "process_time", lambda cpu=cpu: cpu)
        assert Budget(60.0, 0.0).closing() == pytest.approx(kept * budgets.CLOSING)
