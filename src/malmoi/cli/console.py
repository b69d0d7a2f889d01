"""What people see: results on standard output, notes and the progress of training on standard error.

On a terminal these are rich tables and a live display; anywhere else plain lines, with tabs between columns.
"""

import json
import math
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from malmoi.pages.language import Language, Teller
from malmoi.text.printable import printable
from malmoi.training.progress import EvaluationReport, Reporter, StepReport

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

REFRESH_SECONDS = 0.3  # of the live display
LINE_SECONDS, LINE_SHARE, SILENT_SECONDS = 10.0, 0.05, 60.0  # plain lines: both of the first two, or the third


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output; numbers that JSON lacks become null."""
    print(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def note(message: str) -> None:
    """One line for a person, on standard error."""
    print(message, file=sys.stderr, flush=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", left: Collection[int] = (0,)
) -> None:
    """A table on standard output.

    Args:
        columns: Their headings; all empty for a table without.
        rows: Cells, as text; control characters in them are written out.
        title: Stands above it.
        left: Which columns are aligned to the left; the others hold numbers.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        lines = ["\t".join(columns)] * any(columns) + ["\t".join(row) for row in rows]
        print("\n".join([title] * bool(title) + lines), flush=True)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if place in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    if title:
        console.print(Text(title, "bold"))
    console.print(table)


def print_facts(facts: Iterable[tuple[str, str]], *, title: str = "") -> None:
    """Names and values on standard output."""
    print_table(["", ""], [*facts], title=title, left=(0, 1))


def number(value: float | int | None, digits: int = 2) -> str:
    """A figure as people read it; None stands for one that is too large, as in JSON."""
    if value is None or not math.isfinite(value):
        return "infinite"
    return f"{value:,.{digits}f}"


def duration(seconds: float | int) -> str:
    """h:mm:ss or m:ss."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(n_bytes: float | int) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:,.0f} {unit}" if unit == "bytes" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1000
    raise AssertionError


class ConsoleReporter(Reporter):
    """Shows how training goes, on standard error; use it in a `with` block, so that the display ends with it.

    `trained` is called up to a hundred times a second, so it looks at the clock and mostly does nothing else.

    Args:
        language: Of what it says.
        reading: What it says before training begins, as a key of pages/texts/progress.toml.
        shows_stages: False leaves out what the training code says in English.
    """

    def __init__(self, language: Language = "en", *, reading: str = "reading", shows_stages: bool = True) -> None:
        self.latest: StepReport | None = None
        self._tell, self._reading, self._shows_stages = Teller(language, "progress"), reading, shows_stages
        self._is_terminal = sys.stderr.isatty()
        self._live: Live | None = None
        self._last: EvaluationReport | None = None
        self._best: EvaluationReport | None = None
        self._began = self._shown_at = time.monotonic()
        self._shown_fraction = 0.0
        self._is_finished = False

    def __enter__(self) -> "ConsoleReporter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_live()

    def stage(self, text: str) -> None:
        if self._shows_stages:
            self.say(text)

    def say(self, text: str) -> None:
        """A line above the live display, which ends if it only showed how far the text was read."""
        if self.latest is None:
            self._end_live()
        if self._live is None:
            note(text)
        else:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def preparing(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown_at < (REFRESH_SECONDS if self._is_terminal else LINE_SECONDS):
            return
        self._shown_at = now
        fraction = min(done / max(total, 1), 1.0)
        if self._is_terminal:
            self._show(self._bar(fraction, self._tell(self._reading)))
        else:
            note(f"{self._tell(self._reading)} {fraction:4.0%}")

    def trained(self, report: StepReport) -> None:
        self.latest = report
        now = time.monotonic()
        silent = now - self._shown_at
        if silent < (REFRESH_SECONDS if self._is_terminal else LINE_SECONDS):
            return
        if self._is_terminal:
            self._shown_at = now
            self._show(self._view(report))
        elif report.fraction - self._shown_fraction >= LINE_SHARE or silent >= SILENT_SECONDS:
            self._write_line(self._progress_parts(report))

    def evaluated(self, report: EvaluationReport) -> None:
        self._last = report
        if report.is_best:
            self._best = report
        if not self._is_terminal and self.latest is not None:
            tell = self._tell
            told = f"{tell('validation')} {self._figures(report)}" + f" ({tell('best')})" * report.is_best
            self._write_line([*self._progress_parts(self.latest), told])

    def finished(self) -> None:
        self._end_live()
        if self.latest is None or self._is_finished:
            return
        self._is_finished = True
        tell, epoch = self._tell, self.latest.epoch
        done = tell("done", steps=self.latest.step) if epoch is None else tell("done_epochs", epochs=epoch)
        told = [f"{done} ({duration(time.monotonic() - self._began)})"]
        if self._best is not None:
            told.append(f"{tell('validation')}: {self._figures(self._best)} ({tell('step', step=self._best.step)})")
        note("; ".join(told))

    def _progress_parts(self, report: StepReport) -> list[str]:
        tell = self._tell
        return [
            f"{report.fraction:4.0%}",
            self._place(report),
            tell("loss", loss=report.loss),
            tell("speed", speed=report.tokens_per_second),
            tell("left", time=duration(report.seconds_left)),
        ]

    def _figures(self, report: EvaluationReport) -> str:
        told = report.figures
        if told.keys() == {"bits_per_byte", "perplexity"}:
            return self._tell("figures", bits=told["bits_per_byte"], perplexity=told["perplexity"])
        return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in told.items())

    def _place(self, report: StepReport) -> str:
        tell = self._tell
        return tell("step", step=report.step) if report.epoch is None else tell("epoch", epoch=report.epoch)

    def _write_line(self, parts: list[str]) -> None:
        assert self.latest is not None
        self._shown_at, self._shown_fraction = time.monotonic(), self.latest.fraction
        note("  ".join(parts))

    def _view(self, report: StepReport) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        tell = self._tell
        now = [
            self._place(report),
            tell("loss", loss=report.loss),
            tell("speed", speed=report.tokens_per_second),
            tell("rate", rate=report.learning_rate),
        ]
        lines = [Text("   ".join(now), no_wrap=True, overflow="ellipsis")]
        if self._last is not None and self._best is not None:
            best = tell("best_at", bits=next(iter(self._best.figures.values())), step=self._best.step)
            told = f"{tell('validation')} {self._figures(self._last)}   {best}"
            lines.append(Text(told, no_wrap=True, overflow="ellipsis"))
        return Group(self._bar(report.fraction, tell("left", time=duration(report.seconds_left))), *lines)

    def _bar(self, fraction: float, beside: str) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(ProgressBar(total=1.0, completed=fraction), f"{fraction:4.0%}  {beside}")
        return row

    def _show(self, view: "RenderableType") -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
