import io
import json
import math
import sys

import pytest

from malmoi.cli import console
from malmoi.cli.console import ConsoleReporter, duration, emit, number, print_table, size
from malmoi.training.progress import EvaluationReport, StepReport


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def become_terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Terminal, Terminal]:
    """From here on standard output and standard error are terminals, 100 columns wide."""
    streams = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return streams


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console.time, "monotonic", clock.monotonic)
    return clock


def report(step: int, of: int = 1000) -> StepReport:
    return StepReport(step, step / of, 4.5678, 12345.6, (of - step) / 10, 0.00123)


def evaluation(step: int, nll: float, is_best: bool) -> EvaluationReport:
    return EvaluationReport(step, 1.0, {"bits_per_byte": nll / 3, "perplexity": math.exp(nll)}, is_best, 10.0)


def train(reporter: ConsoleReporter, clock: Clock, seconds: float) -> None:
    """A hundred updates a second; validation after every tenth of the run."""
    steps = round(seconds * 100)
    for step in range(1, steps + 1):
        clock.now += 0.01
        reporter.trained(report(step, steps))
        if step % (steps // 10) == 0:
            reporter.evaluated(evaluation(step, 5 - step / steps, is_best=step != steps))


def test_numbers_as_people_read_them() -> None:
    assert [number(1234.567), number(1.23456, 4), number(None), number(math.inf)] == [
        "1,234.57",
        "1.2346",
        "infinite",
        "infinite",
    ]
    assert [duration(7.4), duration(125), duration(3725), duration(math.inf)] == ["0:07", "2:05", "1:02:05", "?"]
    assert [size(999), size(12_345), size(3.2e6), size(5e12)] == ["999 bytes", "12.3 kB", "3.2 MB", "5,000.0 GB"]


def test_json_is_one_line_without_infinities(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"말": [1.5, math.inf, {"x": (-math.inf, math.nan)}]})
    assert capsys.readouterr().out == '{"말": [1.5, null, {"x": [null, null]}]}\n'


def test_a_table_for_a_program_has_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["word", "p"], [["[b]나[/b]", "0.5"], ["⏎", "0.25"]], title="next")
    assert capsys.readouterr().out == "next\nword\tp\n[b]나[/b]\t0.5\n⏎\t0.25\n"


def test_a_table_for_a_person_shows_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = become_terminal(monkeypatch)
    print_table(["word", "p"], [["[b]나[/b]", "0.5"]], title="next")
    shown = out.getvalue()
    assert "[b]나[/b]" in shown
    assert "\t" not in shown
    assert "─" in shown


def test_plain_progress_is_a_line_for_each_evaluation(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with ConsoleReporter() as reporter:
        reporter.stage("width 320 [as asked]")
        train(reporter, clock, 60)
        reporter.finished()
        reporter.finished()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "width 320 [as asked]"
    assert lines[1] == (
        " 10%  step 600  loss 4.568  12,346 tokens/s  9:00 left  "
        "validation 1.6333 bits per byte, perplexity 134.29 (best so far)"
    )
    assert lines[-2].endswith("validation 1.3333 bits per byte, perplexity 54.60")
    assert lines[-1] == (
        "stopped training after 6,000 steps (1:00); validation: 1.3667 bits per byte, perplexity 60.34 (step 5,400)"
    )
    assert len(lines) == 12


def test_plain_progress_between_evaluations_is_rare_and_never_silent_for_long(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    reporter = ConsoleReporter()
    for step in range(1, 19_201):  # 300 seconds, 2 % of the run
        clock.now += 1 / 64
        reporter.trained(report(step, 1_000_000))
    assert [line.split("  loss")[0].split("%  ")[1] for line in capsys.readouterr().err.splitlines()] == [
        "step 3,840",
        "step 7,680",
        "step 11,520",
        "step 15,360",
        "step 19,200",
    ]


def test_the_live_display_is_drawn_a_few_times_a_second(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = become_terminal(monkeypatch)
    drawn = []
    show = ConsoleReporter._show
    monkeypatch.setattr(ConsoleReporter, "_show", lambda self, view: (drawn.append(clock.now), show(self, view)))
    with ConsoleReporter() as reporter:
        reporter.preparing(1, 2)
        train(reporter, clock, 10)
        reporter.stage("a line above")
        reporter.finished()
    assert 20 <= len(drawn) <= 34  # of a thousand updates
    shown = err.getvalue()
    assert out.getvalue() == ""
    for part in ("━", "left", "loss 4.568", "12,346 tokens/s", "learning rate 0.00123", "best 1.6333 at step 100"):
        assert part in shown
    assert "a line above\n" in shown
    assert shown.endswith("(step 900)\n")


def test_the_display_ends_with_its_block(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, err = become_terminal(monkeypatch)
    with ConsoleReporter() as reporter:
        clock.now += 1
        reporter.preparing(1, 2)
        assert reporter._live is not None
    assert reporter._live is None
    assert "reading the text" in err.getvalue()


def test_progress_in_korean_leaves_english_stages_out(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with ConsoleReporter("ko", shows_stages=False) as reporter:
        reporter.stage("tokenizer bpe")
        clock.now += 30
        reporter.preparing(1, 4)
        reporter.trained(report(1))
        reporter.evaluated(evaluation(1, 3.0, is_best=True))
        reporter.finished()
    assert capsys.readouterr().err.splitlines() == [
        "글 읽는 중  25%",
        "  0%  1스텝  손실 4.568  초당 12,346토큰  1:40 남음  검증 바이트당 1.0000비트, 퍼플렉서티 20.09 (지금까지 가장 좋음)",
        "1스텝 뒤 학습을 마침 (0:30); 검증: 바이트당 1.0000비트, 퍼플렉서티 20.09 (1스텝)",
    ]


def test_json_of_a_report_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": {"b": [1, "둘", None, True]}})
    assert json.loads(capsys.readouterr().out) == {"a": {"b": [1, "둘", None, True]}}
