"""One explanation as one HTML file that needs nothing else: no network, no other file; only its heat maps need a script.

The order is that of a lesson: the text and what each part of it cost, the explained token, the steps that lead to its
probability, and what speaks for the numbers. Everything is escaped: see pages/document.py.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from malmoi._version import __version__
from malmoi.explain.conversions import bits, nats_of
from malmoi.explain.explanation import Explanation, Step, Unit
from malmoi.explain.figures import Figures, number, plain, room_for, short
from malmoi.files import write_bytes
from malmoi.pages.document import beside, document, escape, with_code
from malmoi.pages.formulas import formula, symbol
from malmoi.pages.language import Teller

DARKEST = 12.0  # bits of a unit with the darkest ground
MOST_UNITS = 600  # of a text, around the explained place
MOST_NUMBERED = 150  # units; longer texts are set as text, with the bits at the pointer alone
MOST_STEPS = 200
CONTEXT = 40  # characters of the text before the token
BESIDE = 200  # of the text on both sides of a window
LIKELIEST = 12
MOST_WORDS = 4000  # characters of a sentence, a formula or a note


def write_page(explanation: Explanation, path: Path) -> None:
    """Put the page at `path`; the folder is made if it is missing.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the file cannot be written for another reason.
    """
    write_bytes(path, page_html(explanation).encode(), advice="choose another file")


def page_html(explanation: Explanation) -> str:
    """The page as text of an HTML file."""
    page = _Page(explanation)
    title = page.tell("title", token=plain(explanation.target))
    body = (
        f"{page.header(title)}<main>\n{page.text()}{page.token()}{page.journey()}{page.check()}</main>\n"
        f"<footer><p>{escape(page.tell('made_by', version=__version__))}</p></footer>\n{page.stepper()}"
    )
    style, scripts = beside(__file__, "page.css"), (beside(__file__, "page.js"),)
    data = {"maps": page.figures.maps, "nothing": page.tell("not_a_number")}
    return document(explanation.language, title, style=style, body=body, data=data, scripts=scripts)


class _Page:
    """The parts of one page."""

    def __init__(self, explanation: Explanation) -> None:
        self.found, self.tell = explanation, Teller(explanation.language, "explanation_page")
        self.steps = explanation.steps[:MOST_STEPS]
        self.figures = Figures(self.tell, explanation.target, room_for(self.steps))

    def said(self, key: str, **values: object) -> str:
        """A sentence about a token in a text, or its version about a word between others."""
        between = f"{key}_between"
        return self.tell(between if self.found.among == "neighbours" and self.tell.has(between) else key, **values)

    def header(self, title: str) -> str:
        found, tell = self.found, self.tell
        before = self._before()
        odds = f"1 : {1 / found.probability:,.0f}" if found.probability > 1e-300 else "1 : ∞"
        token, probability = plain(found.target), number(found.probability)
        if found.among == "neighbours":
            key = "lead_between" if found.is_distribution else "lead_answer"
        else:
            key = "lead" if before.strip() else "lead_first"
        lead = tell(key, before=before, token=token, probability=probability, odds=odds)
        return (
            f'<header>\n<p class="kicker">malmoi</p>\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
            f'<p class="about">{escape(self.said("lead_next"))}</p>\n'
            f'<noscript><p class="warning">{escape(tell("needs_script"))}</p></noscript>\n</header>\n'
        )

    def _before(self) -> str:
        """The end of the text before the explained token."""
        tokens = self.found.surprisals.get("token", ())
        end = tokens[self.found.place].begin if self.found.place < len(tokens) else len(self.found.text)
        before = self.found.text[:end]
        if len(before) <= CONTEXT:
            return before
        cut = before[-CONTEXT:]
        return f"…{cut[cut.find(' ') + 1 :] if ' ' in cut.rstrip() else cut}"

    # The text

    def text(self) -> str:
        tell = self.tell
        kinds = [kind for kind, units in self.found.surprisals.items() if units]
        if not kinds:
            return ""
        choices = strips = ""
        for place, kind in enumerate(kinds):
            name = tell(f"unit_{kind}") if tell.has(f"unit_{kind}") else kind
            checked = " checked" if not place else ""
            choices += f'<input type="radio" name="units" id="unit-{place}"{checked}>'
            choices += f'<label for="unit-{place}">{escape(name)}</label>'
            strips += self._strip(self.found.surprisals[kind], place)
        most = escape(tell("bits", bits=f"{DARKEST:g}+"))
        legend = f'<p class="legend cost" aria-hidden="true"><span>0</span><i></i><span>{most}</span></p>'
        return _section(
            "text",
            self.said("section_text"),
            f'<p class="about">{escape(self.said("about_text"))}</p>'
            f'<div class="units" role="radiogroup" aria-label="{escape(tell("units"))}">{choices}{strips}</div>{legend}',
        )

    def _strip(self, units: Sequence[Unit], place: int) -> str:
        """A text with its units marked by what they cost, with the text between them."""
        tell, centre = self.tell, self._explained(units)
        first = max(0, min((len(units) if centre is None else centre) - MOST_UNITS // 2, len(units) - MOST_UNITS))
        shown = units[first : first + MOST_UNITS]
        numbered = len(shown) <= MOST_NUMBERED
        marks, end = "", shown[0].begin
        for index, unit in enumerate(shown, start=first):
            marks += self._between(end, unit.begin)
            marks += self._mark(unit, is_explained=index == centre, numbered=numbered)
            end = max(end, unit.end)
        if self.found.span is not None:
            first = max(0, shown[0].begin - BESIDE)
            before = self._between(first, shown[0].begin)
            marks = before + marks + self._between(end, end + BESIDE)
        total = bits(sum(unit.nats for unit in units))
        told = tell("unit_sum", n_units=len(units), bits=number(total))
        if len(shown) < len(units):
            told += f"; {tell('units_left_out', n_shown=len(shown))}"
        kind = "strip numbered" if numbered else "strip"
        shown_text = f'<p class="{kind}">{marks}</p><p class="quiet small">{escape(told)}</p>'
        return f'<div class="choice" id="units-{place}">{shown_text}</div>'

    def _between(self, begin: int, end: int) -> str:
        """Text that is in no unit; the explained word is framed if it stands there."""
        text, span = self.found.text, self.found.span
        if span is None or span[0] == span[1] or not begin <= span[0] <= span[1] <= end:
            return escape(text[begin:end])
        word = f'<mark class="here" aria-current="true" style="--s:0"><span>{escape(text[slice(*span)])}</span></mark>'
        return escape(text[begin : span[0]]) + word + escape(text[span[1] : end])

    def _explained(self, units: Sequence[Unit]) -> int | None:
        """Which of the units holds the explained token."""
        if (span := self.found.span) is not None:
            return next((i for i, unit in enumerate(units) if (unit.begin, unit.end) == span), None)
        tokens = self.found.surprisals.get("token", ())
        if self.found.place >= len(tokens):
            return None
        if units is tokens:
            return self.found.place
        wanted = tokens[self.found.place]
        holding = (
            i
            for i, unit in enumerate(units)
            if unit.begin < max(wanted.end, wanted.begin + 1) and wanted.begin < unit.end
        )
        return next(holding, None)

    def _mark(self, unit: Unit, *, is_explained: bool, numbered: bool) -> str:
        cost = bits(unit.nats)
        strength = min(1.0, max(cost, 0.0) / DARKEST) if not math.isnan(cost) else 1.0
        here = ' class="here" aria-current="true"' if is_explained else ""
        told = self.tell("bits", bits=number(round(cost, 2) if math.isfinite(cost) else cost))
        below = f"<small>{_one_decimal(cost)}</small>" if numbered else ""
        line = "<br>" if unit.text.endswith("\n") else ""
        inner = unit.text.lstrip(" ") or unit.text
        space = unit.text[: len(unit.text) - len(inner)]
        name = f"<span>{escape(short(inner or unit.name, 60)) or '⏎'}</span>"
        title = f"{unit.name}: {told}" if unit.name else told
        return f'{space}<mark{here} style="--s:{strength:.2f}" title="{escape(title)}">{name}{below}</mark>{line}'

    # The token

    def token(self) -> str:
        found, tell = self.found, self.tell
        nats = nats_of(found.probability)
        rank = next((i for i, (name, _) in enumerate(found.likeliest, start=1) if name == found.target), None)
        told = tell("rank", rank=rank) if rank else tell("rank_below", n=len(found.likeliest))
        facts = [(tell("fact_rank"), told)] if found.likeliest else []
        facts += [
            (tell("fact_place"), self.said("place", place=found.place + 1)),
            (tell("fact_run"), f"{Path(found.run).name} ({found.family})"),
        ]
        rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
        costs: tuple[tuple[str, str], ...] = (
            ("P", number(found.probability)),
            ("−ln P", tell("nats", nats=number(nats))),
            ("−log_2 P", tell("bits", bits=number(bits(nats)))),
        )
        if not found.is_distribution:
            costs = (("σ(s)", number(found.probability)),)
        told = "".join(
            f'<span><span class="math">{symbol(name)}</span> = <b>{escape(value)}</b></span>' for name, value in costs
        )
        cost = f'<p class="token">{escape(short(found.target, 60))}</p><p class="costs">{told}</p><dl class="facts">{rows}</dl>'
        return _section(
            "token",
            self.said("section_token"),
            f'<div class="two"><div>{cost}</div><div>{self._likeliest(rank)}</div></div>',
        )

    def _likeliest(self, rank: int | None) -> str:
        found, tell = self.found, self.tell
        if not found.likeliest:
            return ""
        shown = found.likeliest[: max(LIKELIEST, min(rank or 0, 2 * LIKELIEST))]
        rows = [(name, prob, "target" if name == found.target else "") for name, prob in shown]
        if found.target not in [name for name, _ in shown]:
            rows.append((found.target, found.probability, "target"))
        others = 1.0 - math.fsum(prob for _, prob, _ in rows)
        if found.is_distribution and others > 1e-6:
            rows.append((tell("others"), others, "rest"))
        top = max((prob for _, prob, kind in rows if kind != "rest"), default=1.0)
        return f"<h3>{escape(self.said('likeliest'))}</h3>{self.figures.bars(rows, top=top, ranked=True)}"

    # The journey

    def journey(self) -> str:
        found, tell = self.found, self.tell
        if not self.steps:
            return ""
        links = groups = ""
        numbered = list(enumerate(self.steps, start=1))
        for part, steps in groupby(numbered, key=lambda row: row[1].part):
            name = self.said(f"part_{part}") if tell.has(f"part_{part}") else part
            kind = escape(part)
            items = list(steps)
            cards = "".join(self._step(*row) for row in items)
            groups += f'<div class="part {kind}"><h3>{escape(name)}</h3><ol>{cards}</ol></div>\n'
            links += "".join(
                f'<li class="{kind}"><a href="#step-{n}"><b>{n}</b> {escape(step.title)}</a></li>' for n, step in items
            )
        more = ""
        if len(found.steps) > len(self.steps):
            more = (
                f'<p class="warning">{escape(tell("cut_steps", n_shown=len(self.steps), n_steps=len(found.steps)))}</p>'
            )
        return (
            f'<section id="journey" class="open">\n<h2>{escape(tell("section_journey"))}</h2>\n'
            f'<p class="about">{escape(tell("about_journey"))}</p>\n<div class="walk">'
            f'<nav aria-label="{escape(tell("steps"))}"><ol>{links}</ol></nav>\n'
            f'<div class="parts">{groups}</div></div>{more}</section>\n'
        )

    def _step(self, place: int, step: Step) -> str:
        shapes = ""
        if step.shapes:
            shown = escape(step.shapes).replace("→", '<b class="sign">→</b>')
            shapes = (
                f'<p class="shapes"><span class="quiet">{escape(self.tell("shapes"))}</span> <span>{shown}</span></p>'
            )
        told = formula(step.formula[:MOST_WORDS])
        figures = self.figures.of_step(step)
        return (
            f'<li class="step" id="step-{place}" tabindex="-1" aria-labelledby="title-{place}">'
            f'<h4 id="title-{place}"><span class="place">{place}</span> {escape(step.title)}</h4>'
            + (f'<p class="formula math">{told}</p>' if told else "")
            + f'{shapes}<p class="sentence">{with_code(step.sentence[:MOST_WORDS])}</p>'
            + (f'<div class="figures">{figures}</div>' if figures else "")
            + "</li>"
        )

    def stepper(self) -> str:
        """Buttons that go with the reader; page.js shows them."""
        if not self.steps:
            return ""
        back, on = escape(self.tell("previous")), escape(self.tell("next"))
        return (
            f'<div class="stepper" id="stepper" hidden><button type="button" data-by="-1" aria-label="{back}">←</button>'
            f'<span id="here"></span><button type="button" data-by="1" aria-label="{on}">→</button></div>\n'
        )

    # What speaks for it

    def check(self) -> str:
        found, tell = self.found, self.tell
        shown = ""
        if found.agreement:
            of = "_rows" if found.compares == "rows" else ""
            rows = "".join(
                f'<tr><th scope="row">{escape(name)}</th><td>{number(value)}</td></tr>'
                for name, value in found.agreement.items()
            )
            head = "".join(f'<th scope="col">{escape(tell(name))}</th>' for name in ("engine", f"difference{of}"))
            shown = _section(
                "check",
                tell("section_check"),
                f'<p class="about">{escape(tell(f"about_check{of}"))}</p><table class="engines"><thead><tr>{head}</tr></thead>'
                f"<tbody>{rows}</tbody></table>",
            )
        if found.notes:
            notes = "".join(f"<li>{with_code(note[:MOST_WORDS])}</li>" for note in found.notes)
            shown += _section("notes", tell("section_notes"), f"<ul>{notes}</ul>")
        return shown


def _section(name: str, title: str, body: str) -> str:
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{body}\n</section>\n'


def _one_decimal(value: float) -> str:
    return f"{abs(value):.1f}" if math.isfinite(value) else number(value)
