"""The comparison of word vectors as one HTML file that needs nothing else: no network, no other file, no script.

What stands in it may come from any file, so everything is escaped: see pages/document.py.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from malmoi._version import __version__
from malmoi.comparison.vectors.language import (
    NONE,
    THIN,
    Kind,
    say_change,
    say_counts,
    say_covered,
    say_interval,
    say_score,
    say_setting,
    say_verdict,
)
from malmoi.comparison.vectors.settings import FIRST, TEXT, differing, in_order, unfair
from malmoi.evaluation.similarity import LEAST
from malmoi.evaluation.vector_comparison import Score, SetOutcome, VectorComparison
from malmoi.files import write_bytes
from malmoi.pages.document import beside, document, report_style, with_code
from malmoi.pages.document import escape as _e
from malmoi.pages.language import Language, Teller

COLOURS = 16
MOST_MISSING = 500  # words that are listed of a set
SHOWN = 60  # characters of a setting
BADGES = {"above": "real", "below": "worse", "not told apart": "not_real", "cannot say": "unknown"}


def write_report(found: VectorComparison, path: Path, language: Language = "en", command: str = "") -> None:
    """Put the report at `path`; the folder is made if it is missing.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the file cannot be written for another reason.
    """
    write_bytes(
        path, render(found, Teller(language, "vector_comparison"), command).encode(), advice="choose another file"
    )


def render(found: VectorComparison, tell: Teller, command: str = "") -> str:
    """The report as text of an HTML file."""
    page = _Page(found, tell)
    title = tell("title" if len(found.models) > 1 else "title_one")
    body = (
        f"{page.header(title, command)}<main>\n{page.sections()}</main>\n"
        f"<footer><p>{_e(tell('made_by', version=__version__))}</p></footer>\n"
    )
    style = report_style() + beside(__file__, "report.css")
    return document(tell.language, title, style=style, body=body, data={}, scripts=())


class _Page:
    """The parts of one report."""

    def __init__(self, found: VectorComparison, tell: Teller) -> None:
        self.found, self.tell = found, tell
        self.several = len(found.models) > 1

    def header(self, title: str, command: str) -> str:
        found, tell = self.found, self.tell
        lead = [self._lead(model) for model in found.models[1:]] or [
            tell("lead_one", model=found.models[0], n_covered=len(found.covered), n_sets=len(found.sets))
        ]
        rows = "".join(f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in self._facts(command))
        names = ", ".join(say_setting(tell, name) for name in unfair(found.settings))
        warned = [tell("unfair", settings=names)] if names else []
        warnings = "".join(f'<p class="warning">{_e(line)}</p>' for line in warned)
        leads = "".join(f'<p class="lead">{_e(line)}</p>' for line in lead)
        return (
            f'<header>\n<p class="kicker">malmoi</p>\n<h1>{_e(title)}</h1>\n{leads}\n{warnings}'
            f'<dl class="facts">{rows}</dl>\n</header>\n'
        )

    def _lead(self, model: str) -> str:
        return self.tell(
            "lead", model=model, first=self.found.models[0], counts=say_counts(self.tell, self.found, model)
        )

    def _facts(self, command: str) -> Iterable[tuple[str, str]]:
        found, tell = self.found, self.tell
        yield tell("fact_models"), ", ".join(found.models)
        yield tell("fact_sets"), tell("fact_sets_value", n_covered=len(found.covered), n_sets=len(found.sets))
        among = tell("fact_all_words") if found.first is None else tell("fact_first", n_words=found.first)
        yield tell("fact_analogies"), f"{found.method}, {among}"
        yield tell("fact_resamples"), tell("fact_resamples_value", n_resamples=found.n_resamples, seed=found.seed)
        if command:
            yield tell("fact_command"), command

    def sections(self) -> str:
        """All sections that there is something to say in."""
        found, tell = self.found, self.tell
        parts: list[tuple[str, str]] = []
        for kind in ("similarity", "analogies"):
            outcomes = [one for one in found.sets if one.kind == kind and _is_drawn(one)]
            if outcomes:
                parts.append((kind, _about(tell(f"about_{kind}", least=LEAST)) + self._figure(kind, outcomes)))
        parts.append(("table", _about(tell("about_table", least=LEAST)) + self._table()))
        if with_categories := [one for one in found.covered if len(one.categories) > 1]:
            tables = "".join(map(self._categories, with_categories))
            parts.append(("categories", _about(tell("about_categories")) + tables))
        if missing := "".join(map(self._missing, found.covered)):
            parts.append(("missing", _about(tell("about_missing")) + missing))
        if found.settings:
            parts.append(
                (
                    "settings",
                    _about(tell("about_settings" if self.several else "about_settings_one")) + self._settings(),
                )
            )
        parts.append(("method", self._method()))
        links = "".join(f'<li><a href="#{name}">{_e(tell(f"section_{name}"))}</a></li>' for name, _ in parts)
        sections = "".join(
            f'<section id="{name}">\n<h2>{_e(tell(f"section_{name}"))}</h2>\n{body}\n</section>\n'
            for name, body in parts
        )
        return f'<nav aria-label="{_e(tell("contents"))}"><ul>{links}</ul></nav>\n{sections}'

    # The figures

    def _figure(self, kind: Kind, outcomes: Sequence[SetOutcome]) -> str:
        """A dot and its interval for each set and model, on one axis."""
        scores = [score for one in outcomes for score in one.scores if not math.isnan(score.low)]
        axis = _Axis(kind, [0.0, *(edge for score in scores for edge in (score.value, score.low, score.high))])
        legend = "".join(f"<li>{self._dot(name)}{_e(name)}</li>" for name in self.found.models)
        groups = "".join(self._group(one, axis) for one in outcomes)
        ticks = "".join(f'<i style="left:{axis.place(tick):.2f}%">{_e(axis.label(tick))}</i>' for tick in axis.ticks)
        scale = f'<div class="row scale" aria-hidden="true"><span></span><div class="track">{ticks}</div><span></span></div>'
        return f'<figure class="plot"><ul class="legend">{legend}</ul><div class="chart">{scale}{groups}</div></figure>'

    def _group(self, one: SetOutcome, axis: "_Axis") -> str:
        rows = "".join(self._mark(one, place, score, axis) for place, score in enumerate(one.scores) if score.n_covered)
        n = _e(self.tell(f"n_{one.kind}", n=one.n))
        return f'<div class="group"><h3>{_e(one.name)} <span class="quiet">{n}</span></h3>{rows}</div>'

    def _mark(self, one: SetOutcome, place: int, score: Score, axis: "_Axis") -> str:
        tell, colour = self.tell, f"var(--c{place % COLOURS})"
        grid = "".join(
            f'<u class="{"zero" if tick == 0 else "grid"}" style="left:{axis.place(tick):.2f}%"></u>'
            for tick in axis.ticks
        )
        left, right = axis.place(score.low), axis.place(score.high)
        drawn = f'<i style="left:{left:.2f}%;width:{max(right - left, 0.3):.2f}%;background:{colour}"></i>'
        drawn += f'<b style="left:{axis.place(score.value):.2f}%;background:{colour}"></b>'
        thin = " thin" if score.n_covered < THIN * one.n else ""
        return (
            f'<div class="row"><span class="name">{self._dot(score.model)}{_e(score.model)}</span>'
            f'<div class="track" aria-hidden="true">{grid}{drawn}</div>'
            f'<span class="value"><b>{_e(say_score(one.kind, score.value))}</b> '
            f'<small class="quiet{thin}">{_e(say_covered(tell, score, one.n))}</small></span></div>'
        )

    # The tables

    def _table(self) -> str:
        tell, found = self.tell, self.found
        columns = ["set", "model", "score", "interval", "covered"] + ["against"] * self.several
        heads = "".join(f'<th scope="col">{_e(tell(f"column_{name}", model=found.models[0]))}</th>' for name in columns)
        bodies = []
        for one in found.sets:
            rows = "".join(
                f"<tr>{self._set_cell(one) if place == 0 else ''}{self._cells(one, score)}</tr>"
                for place, score in enumerate(one.scores)
            )
            bodies.append(f"<tbody{'' if one.is_covered else ' class=quiet'}>{rows}</tbody>")
        return self._scroll(
            "section_table", f'<table class="sets"><thead><tr>{heads}</tr></thead>{"".join(bodies)}</table>'
        )

    def _set_cell(self, one: SetOutcome) -> str:
        common = ""
        if self.several and one.is_covered:
            common = f'<small class="quiet">{_e(self.tell("common", n=one.n_common))}</small>'
        return f'<th scope="rowgroup" rowspan="{len(one.scores)}">{_e(one.name)}{common}</th>'

    def _cells(self, one: SetOutcome, score: Score) -> str:
        tell = self.tell
        texts_of = (say_score(one.kind, score.value), say_interval(one.kind, score), say_covered(tell, score, one.n))
        cells = f"<td class=name>{self._dot(score.model)}{_e(score.model)}</td>"
        cells += "".join(f"<td>{_e(text)}</td>" for text in texts_of)
        if not self.several:
            return cells
        difference = one.difference(score.model)
        if difference is None:
            return f"{cells}<td></td>"
        verdict = difference.verdict
        badge = f'<span class="badge {BADGES[verdict]}">{_e(say_verdict(tell, verdict))}</span>'
        if not math.isnan(difference.low):
            change, interval = say_change(tell, one.kind, difference), say_interval(one.kind, difference)
            return f"{cells}<td>{_e(change)} {badge}<small class=quiet>{_e(interval)}</small></td>"
        return f"{cells}<td>{badge}</td>"

    def _categories(self, one: SetOutcome) -> str:
        tell = self.tell
        heads = "".join(f'<th scope="col">{self._dot(name)}{_e(name)}</th>' for name in self.found.models)
        rows = ""
        for category in one.categories:
            cells = "".join(self._category_cell(score, category.n) for score in category.scores)
            rows += f'<tr><th scope="row">{_e(category.name or NONE)}</th><td>{category.n:,}</td>{cells}</tr>'
        head = f'<th scope="col">{_e(tell("column_category"))}</th><th scope="col">{_e(tell("column_questions"))}</th>'
        table = f"<table><thead><tr>{head}{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<h3>{_e(one.name)}</h3>{self._scroll('section_categories', table)}"

    def _category_cell(self, score: Score, n: int) -> str:
        tell = self.tell
        if math.isnan(score.value):
            return f"<td class=quiet>{NONE}</td>"
        about = [] if math.isnan(score.low) else [say_interval("analogies", score)]
        about += [say_covered(tell, score, n)] if score.n_covered < n else []
        lines = "".join(f'<small class="quiet">{_e(line)}</small>' for line in about)
        return f"<td><b>{_e(say_score('analogies', score.value))}</b>{lines}</td>"

    def _missing(self, one: SetOutcome) -> str:
        tell = self.tell
        groups: dict[tuple[str, ...], list[str]] = {}
        for score in one.scores:
            if score.n_covered and (words := one.missing[score.model]):
                groups.setdefault(words, []).append(score.model)
        told = ""
        for words, models in groups.items():
            more = tell("and_more", n=len(words) - MOST_MISSING) if len(words) > MOST_MISSING else ""
            names = ", ".join(models)
            told += (
                f"<p><b>{_e(names)}</b> · {_e(tell('n_words', n=len(words)))}<br>"
                f"{_e(', '.join(words[:MOST_MISSING]))}{_e(more)}</p>"
            )
        if not told:
            return ""
        most = _e(tell("n_words", n=max(map(len, groups))))
        return f"<details><summary>{_e(one.name)} <span class=quiet>{most}</span></summary>{told}</details>"

    def _settings(self) -> str:
        tell, settings = self.tell, self.found.settings
        other = set(differing(settings))
        names = in_order(name for one in settings.values() for name in one)
        first = [name for name in names if name in FIRST or name in other]
        rest = [name for name in names if name not in first]
        told = self._settings_table(first, other)
        if rest:
            told += (
                f"<details><summary>{_e(tell('same_settings' if self.several else 'more_settings', n=len(rest)))}</summary>"
                f"{self._settings_table(rest, other)}</details>"
            )
        return told

    def _settings_table(self, names: Sequence[str], other: set[str]) -> str:
        tell, models = self.tell, self.found.models
        heads = "<td></td>" + "".join(f'<th scope="col">{self._dot(name)}{_e(name)}</th>' for name in models)
        rows = ""
        for name in names:
            mark = f' <span class="badge not_real">{_e(tell("differs"))}</span>' if name in other else ""
            values = "".join(
                f"<td>{_e(_shown(name, self.found.settings.get(model, {}).get(name)))}</td>" for model in models
            )
            told = _e(say_setting(self.tell, name))
            rows += f'<tr{" class=other" if mark else ""}><th scope="row">{told}{mark}</th>{values}</tr>'
        return self._scroll("section_settings", f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")

    def _method(self) -> str:
        tell = self.tell
        names = ["method_covered", "method_similarity", "method_analogies", "method_interval"]
        names += ["method_differences"] * self.several + ["method_overlap"]
        points = "".join(f"<li>{with_code(tell(name, least=LEAST))}</li>" for name in names)
        return f"<ul>{points}</ul>"

    def _scroll(self, label: str, table: str) -> str:
        return f'<div class="scroll" tabindex="0" role="region" aria-label="{_e(self.tell(label))}">{table}</div>'

    def _dot(self, name: str) -> str:
        return f'<i class="dot" style="background:var(--c{self.found.models.index(name) % COLOURS})"></i>'


class _Axis:
    """From the lowest to the highest value, rounded outwards to ticks."""

    def __init__(self, kind: Kind, values: Sequence[float]) -> None:
        self.kind = kind
        spread = max(max(values) - min(values), 0.02)
        step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if spread / step <= 6 or step == 0.5)
        first, last = math.floor(min(values) / step + 1e-9), math.ceil(max(values) / step - 1e-9)
        self.ticks = [round(i * step, 4) for i in range(first, last + 1)]

    def place(self, value: float) -> float:
        """Per cent of the width."""
        return 100 * (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])

    def label(self, tick: float) -> str:
        return f"{tick:.0%}" if self.kind == "analogies" else f"{tick:.2f}".replace("-", "−")


def _is_drawn(one: SetOutcome) -> bool:
    """Whether any model has an interval."""
    return any(not math.isnan(score.low) for score in one.scores)


def _about(text: str) -> str:
    return f'<p class="about">{_e(text)}</p>\n'


def _shown(name: str, value: Any) -> str:
    if value is None:
        return NONE
    if name == TEXT:
        return f"{str(value)[:12]}…"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        value = json.dumps(value, ensure_ascii=False)
    told = str(value) if isinstance(value, str) or name == "seed" else f"{value:,.10g}"
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
