"""One comparison as one HTML file that needs nothing else: no network, no other file, and no script for its tables and texts.

What stands in it may come from any text, so everything is escaped: see pages/document.py.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from malmoi._version import __version__
from malmoi.comparison.bootstrap import FEWEST, NEGLIGIBLE, RESAMPLES, Verdict
from malmoi.comparison.comparison import Breakdown, Comparison, Contrast, Step
from malmoi.comparison.language import idea_of, say_read_before, say_scores, say_time, why_not_judged
from malmoi.comparison.measured import Measured
from malmoi.comparison.prompts import SAMPLING
from malmoi.comparison.word_costs import Bucket
from malmoi.data.overlap import RUN
from malmoi.pages.document import beside, document, report_style, with_code
from malmoi.pages.document import escape as _e
from malmoi.pages.language import Teller

DARKEST = 8.0  # bits saved at one word for the darkest mark
LEAST_MARK = 0.5  # bits: smaller gains are not marked
COLOURS = 16


def render(found: Comparison, tell: Teller) -> str:
    """The report as text of an HTML file."""
    page = _Page(found, tell)
    title = tell(f"title_{'ladder' if found.steps else 'compare'}")
    body = (
        f"{page.header(title)}<main>\n{page.sections()}</main>\n"
        f"<footer><p>{_e(tell('made_by', version=__version__))}</p></footer>\n"
    )
    scripts = (_plotly(), beside(__file__, "report.js"))
    style = report_style() + beside(__file__, "report.css")
    return document(tell.language, title, style=style, body=body, data=page.data(), scripts=scripts)


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


class _Page:
    """The parts of one report."""

    def __init__(self, found: Comparison, tell: Teller) -> None:
        self.found, self.tell = found, tell
        self.names = [model.name for model in found.models]
        self.best = min(found.models, key=lambda model: model.bits_per_byte)

    def header(self, title: str) -> str:
        rows = "".join(f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in self._facts())
        warning = f'<p class="warning">{_e(self.tell("overlap_warning"))}.</p>' if self.found.overlap.is_high else ""
        return (
            f'<header>\n<p class="kicker">malmoi</p>\n<h1>{_e(title)}</h1>\n<p class="lead">{_e(self._lead())}</p>\n{warning}'
            f'<dl class="facts">{rows}</dl>\n</header>\n'
        )

    def _facts(self) -> Iterable[tuple[str, str]]:
        found, tell = self.found, self.tell
        train, valid, test = (found.sizes[name] for name in ("train", "valid", "test"))
        split = "fact_split_documents" if test.documents else "fact_split_value"
        sizes = [_size(part.bytes) for part in (train, valid, test)]
        yield tell("fact_text"), found.text
        yield (
            tell("fact_split"),
            tell(split, train=sizes[0], valid=sizes[1], test=sizes[2], n=test.documents or test.lines),
        )
        lines, runs = ("–" if share is None else f"{share:.1%}" for share in (found.overlap.lines, found.overlap.runs))
        yield tell("fact_overlap"), tell("fact_overlap_value", lines=lines, runs=runs, n_words=RUN)
        if found.budget is not None:
            yield tell("fact_budget"), tell(f"fact_budget_{found.verb}", time=say_time(tell, found.budget))
        yield tell("fact_machine"), found.machine
        yield tell("fact_seed"), str(found.seed)
        if found.command:
            yield tell("fact_command"), found.command

    def _lead(self) -> str:
        found, tell, best = self.found, self.tell, self.best
        lead = tell("lead_best", model=best.name, bits=best.bits_per_byte)
        others = [model for model in found.models if model is not best]
        if not others:
            return lead
        if best.hardly_trained:
            return f"{lead} {tell('hardly_trained_models', models=best.name)}"
        second = min(others, key=lambda model: model.bits_per_byte)
        difference = found.difference(best.name, second.name)
        told = tell("lead_untested")
        if difference is not None:
            told = tell(f"lead_{difference.verdict}", p=difference.p_adjusted)
        return f"{lead} {tell('lead_gap', model=second.name, bits=second.bits_per_byte, verdict=told)}"

    def sections(self) -> str:
        """All sections that there is something to say in."""
        found, tell = self.found, self.tell
        parts: list[tuple[str, str]] = []
        if found.steps:
            parts.append(("ladder", _about(tell("about_ladder")) + self._ladder()))
        parts.append(("table", _about(tell("about_table")) + self._table()))
        if found.failures:
            rows = "".join(f"<li><b>{_e(failure.name)}</b>: {_e(failure.reason)}</li>" for failure in found.failures)
            parts.append(("failures", f"<ul>{rows}</ul>"))
        if len(found.models) > 1:
            parts.append(("differences", self._differences()))
        if any(len(model.curve) > 1 for model in found.models):
            parts.append(("curves", _figure("curves", tell("section_curves"), tell("about_curves"))))
        pareto = [_figure(name, tell("section_pareto"), tell(f"about_{name}")) for name in ("disk", "latency")]
        parts.append(("pareto", f'<div class="two">{"".join(pareto)}</div>'))
        for name in ("frequency", "position"):
            breakdown = found.by_frequency if name == "frequency" else found.by_position
            figure = _figure(name, tell(f"section_{name}"), tell(f"about_{name}"))
            parts.append((name, figure + self._breakdown_table(name, breakdown)))
        parts.append(("prompt", self._samples()))
        if len(found.models) > 1:
            parts.append(("lines", self._lines()))
        parts.append(("method", self._method()))
        links = "".join(f'<li><a href="#{name}">{_e(tell(f"section_{name}"))}</a></li>' for name, _ in parts)
        script = f'<noscript><p class="warning">{_e(tell("needs_script"))}</p></noscript>'
        sections = "".join(
            f'<section id="{name}">\n<h2>{_e(tell(f"section_{name}"))}</h2>\n{body}\n</section>\n'
            for name, body in parts
        )
        return f'<nav aria-label="{_e(tell("contents"))}"><ul>{links}</ul></nav>\n{script}{sections}'

    # The ladder

    def _ladder(self) -> str:
        dearest = max(
            (model.bits_per_byte for model in self.found.models if math.isfinite(model.bits_per_byte)), default=1.0
        )
        rows = [self._step(step, self.found.model(step.name), dearest) for step in self.found.steps]
        return f'<ol class="ladder">{"".join(rows)}</ol>'

    def _step(self, step: Step, model: Measured, dearest: float) -> str:
        tell = self.tell
        width = 100 * min(1.0, model.bits_per_byte / dearest)
        bought = f'<p class="gain">{_e(tell("first_step"))}</p>'
        if step.gain is not None and step.before is not None:
            told = tell("step_saves" if step.gain >= 0 else "step_costs", bits=abs(step.gain))
            told = tell("step_same") if abs(step.gain) < NEGLIGIBLE else told
            badge = "" if step.verdict is None else f" {self._badge(step.verdict)}"
            if not model.is_judged:
                told, badge = tell(why_not_judged(model)), ""
            interval = ""
            if step.low is not None and step.high is not None:
                low, high = sorted((step.low, step.high)) if step.gain >= 0 else sorted((-step.low, -step.high))
                interval = (
                    f'<span class="quiet">{_e(tell("step_interval", low=low, high=high).replace("-", "−"))}</span>'
                )
            against = f'<span class="quiet">{_e(tell("step_against", model=step.before))}</span>'
            sign = "same" if step.verdict in ("luck", "negligible") else "better" if step.gain >= 0 else "worse"
            bought = f'<p class="gain {sign}"><b>{_e(told)}</b>{badge} {against} {interval}</p>'
        example = ""
        if step.example is not None and step.gain is not None:
            example = f'<p class="quiet">{_e(tell("step_example"))}</p>{self._contrast(step.example)}'
        return (
            f'<li><h3>{self._dot(model.name)}{_e(model.name)} <span class="bits">{_number(model.bits_per_byte, 3)}</span></h3>'
            f"<p>{_e(idea_of(tell, model.family, _summary(model.family)))}</p>"
            f'<div class="bar"><i style="width:{width:.2f}%;background:var(--c{self._colour(model.name)})"></i></div>'
            f"{bought}{example}</li>"
        )

    # The table

    def _table(self) -> str:
        tell, found = self.tell, self.found
        memory = any(model.memory_bytes is not None for model in found.models)
        columns: list[tuple[str, list[float], list[str]]] = [
            self._column("bits_per_byte", [model.bits_per_byte for model in found.models], lambda v: _number(v, 3)),
            self._column("perplexity", [model.evaluation.perplexity for model in found.models], _short),
            self._column("word_perplexity", [model.evaluation.word_perplexity for model in found.models], _short),
            self._column("train", [model.train_seconds for model in found.models], self._lasting),
            self._column("disk", [model.disk_bytes for model in found.models], _size),
            self._column("memory", [model.memory_bytes or math.nan for model in found.models], _size),
            self._column("latency", [model.ms_per_token for model in found.models], lambda v: _number(v, 3)),
            self._column("throughput", [model.tokens_per_second for model in found.models], _short),
            self._column("parameters", [model.parameters for model in found.models], _short),
        ]
        columns = [column for column in columns if memory or column[0] != "memory"]
        heads = "".join(
            f'<th scope="col" data-key="{key}"><button type="button">{_e(tell(key))}</button></th>'
            for key, _, _ in columns
        )
        rows = []
        for place, model in enumerate(found.models):
            cells = ""
            for key, values, shown in columns:
                is_best = key == "bits_per_byte" and model is self.best
                value = values[place]
                order = f"{value:.9g}" if math.isfinite(value) else "1e999"
                cells += f'<td data-value="{order}"{" class=best" if is_best else ""}>{_e(shown[place])}</td>'
            weights = ""
            if model.weights:
                told = ", ".join(
                    f"{name} {weight:.0%}" for name, weight in zip(model.members, model.weights, strict=True)
                )
                weights = f'<small class="quiet">{_e(told)}</small>'
            told = tell("vocabulary", tokenizer=model.tokenizer, n_tokens=model.vocab_size)
            kind = f'<small class="quiet">{_e(told)}</small>'
            name = f"{self._dot(model.name)}{_e(model.name)}"
            rows.append(f'<tr><th scope="row" data-value="{place}">{name}{weights}{kind}</th>{cells}</tr>')
        notes = ""
        if len({model.tokenizer_id for model in found.models}) > 1:
            notes += f'<p class="quiet">{_e(tell("other_tokens"))}</p>'
        notes += "".join(
            f'<p class="warning">{_e(told)}</p>'
            for told in (*say_scores(tell, found.models), *say_read_before(tell, found.models))
        )
        head = f'<th scope="col" data-key="model"><button type="button">{_e(tell("model"))}</button></th>'
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{_e(tell("section_table"))}">'
            f'<table class="models sortable"><thead><tr>{head}{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>{notes}"
        )

    @staticmethod
    def _column(key: str, values: Sequence[float | int], show: Any) -> tuple[str, list[float], list[str]]:
        return key, [float(value) for value in values], ["–" if math.isnan(value) else show(value) for value in values]

    def _lasting(self, seconds: float) -> str:
        if seconds >= 10:
            return say_time(self.tell, seconds)
        return f"{seconds:.1f} s" if seconds >= 0.1 else "< 0.1 s"

    # Differences

    def _differences(self) -> str:
        tell, found = self.tell, self.found
        if not found.differences:
            few = found.n_blocks < FEWEST
            return f"<p>{_e(tell('too_few', least=FEWEST) if few else tell('nothing_to_compare'))}</p>"
        blocks, n_pairs = tell(f"of_{found.drawn}", n=found.n_blocks), len(found.differences)
        about = tell("about_differences", n_draws=RESAMPLES, blocks=blocks, n_pairs=n_pairs, negligible=NEGLIGIBLE)
        ordered = [d if d.bits_per_byte <= 0 else d.turned() for d in found.differences]  # the better one first
        widest = max(max(abs(d.low), abs(d.high)) for d in ordered) or 1.0
        rows = []
        for d in sorted(ordered, key=lambda d: d.bits_per_byte):
            left, right = (100 * (0.5 + 0.5 * edge / widest) for edge in (d.low, d.high))
            point = 100 * (0.5 + 0.5 * d.bits_per_byte / widest)
            better, worse = self.names[d.first], self.names[d.second]
            rows.append(
                f'<tr><th scope="row">{self._dot(better)}{_e(tell("pair_better", better=better, worse=worse))}</th>'
                f"<td>{_signed(d.bits_per_byte)}</td><td>{_signed(d.low)} … {_signed(d.high)}</td>"
                f'<td class="interval" aria-hidden="true"><div class="whisker {d.verdict}"><i style="left:{left:.1f}%;'
                f'width:{max(right - left, 0.5):.1f}%"></i><b style="left:{point:.1f}%"></b></div></td>'
                f"<td>{d.p_adjusted:.2g}</td><td>{self._badge(d.verdict)}</td></tr>"
            )
        names = ("pair", "difference", "interval")
        heads = "".join(f'<th scope="col">{_e(tell(name))}</th>' for name in names)
        heads += f'<td></td><th scope="col">p</th><th scope="col">{_e(tell("verdict"))}</th>'
        return (
            f"{_about(about)}"
            f'<div class="scroll" tabindex="0" role="region" aria-label="{_e(tell("section_differences"))}"><table>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _badge(self, verdict: Verdict) -> str:
        return f'<span class="badge {verdict}">{_e(self.tell(verdict))}</span>'

    # Breakdowns, samples, lines

    def _breakdown_table(self, name: str, breakdown: Breakdown) -> str:
        """The figure's numbers, for those who do not see it."""
        tell = self.tell
        total = sum(bucket.n_bytes for bucket in breakdown.buckets)
        heads = "".join(f'<th scope="col">{_e(label)}</th>' for label in self._labels(breakdown.buckets))
        rows = "".join(
            f'<tr><th scope="row">{self._dot(model)}{_e(model)}</th>'
            + "".join(f"<td>{_number(value, 3)}</td>" for value in values)
            + "</tr>"
            for model, values in breakdown.bits_per_byte.items()
        )
        shares = "".join(f"<td>{bucket.n_bytes / total:.1%}</td>" for bucket in breakdown.buckets)
        rows += f'<tr class="quiet"><th scope="row">{_e(tell("share"))}</th>{shares}</tr>'
        axis = _e(tell(f"axis_{name}"))
        return (
            f'<details><summary>{axis}: {_e(tell("bits_per_byte"))}</summary><div class="scroll" tabindex="0" role="region" '
            f'aria-label="{axis}"><table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>'
        )

    def _labels(self, buckets: Sequence[Bucket]) -> list[str]:
        labels = []
        for bucket in buckets:
            if bucket.is_line_end:
                labels.append(self.tell("line_end"))
            elif bucket.most == 0:
                labels.append(self.tell("new_word"))
            elif bucket.most is None:
                labels.append(f"{bucket.least:,}+")
            else:
                labels.append(
                    f"{bucket.least:,}" if bucket.least == bucket.most else f"{bucket.least:,}–{bucket.most:,}"
                )
        return labels

    def _samples(self) -> str:
        found, tell = self.found, self.tell
        about = tell("about_prompt", temperature=SAMPLING["temperature"], top_p=SAMPLING["top_p"], seed=found.seed)
        cards = ""
        if found.goes_on:
            cards = self._sample(_e(tell("the_text")), f" {found.goes_on}", "original")
        for model in found.models:
            cards += self._sample(f"{self._dot(model.name)}{_e(model.name)}", model.sample, "")
        return f'{_about(about)}<div class="samples">{cards}</div>'

    def _sample(self, title: str, text: str, kind: str) -> str:
        prompt = f'<span class="prompt">{_e(self.found.prompt)}</span>'
        return f'<article class="{kind}"><h3>{title}</h3><p class="sample">{prompt}{_e(text.rstrip())}</p></article>'

    def _lines(self) -> str:
        tell = self.tell
        ranked = [model.name for model in sorted(self.found.models, key=lambda model: model.bits_per_byte)]
        pairs = sorted(
            self.found.contrasts, key=lambda pair: (not self.found.contrasts[pair], *map(ranked.index, pair))
        )
        options, bodies = "", ""
        for number, (better, worse) in enumerate(pairs):
            told = _e(tell("pair_option", better=better, worse=worse))
            options += f'<option value="{number}">{told}</option>'
            lines = "".join(self._contrast(contrast) for contrast in self.found.contrasts[better, worse])
            lines = lines or f"<p>{_e(tell('no_lines'))}</p>"
            bodies += f'<div class="pair" data-pair="{number}"><h3>{told}</h3>{lines}</div>'
        return (
            f'{_about(tell("about_lines"))}<p class="chooser" hidden><label>{_e(tell("choose_pair"))} '
            f'<select id="pairs">{options}</select></label></p>{bodies}'
        )

    def _contrast(self, contrast: Contrast) -> str:
        """A line with its words marked by what the first model saves there."""
        marked = ""
        for word, first, second in contrast.words:
            saved = second - first
            if not math.isfinite(saved) or abs(saved) < LEAST_MARK:
                marked += _e(word)
                continue
            space = word[: len(word) - len(word.lstrip())]
            shown, title = _e(word[len(space) :]) or "⏎", f"{first:.1f} / {second:.1f}"
            if saved > 0:
                strength = min(1.0, saved / DARKEST)
                marked += f'{_e(space)}<mark style="--s:{strength:.2f}" title="{title}">{shown}</mark>'
            else:
                marked += f'{_e(space)}<u title="{title}">{shown}</u>'
        better, worse = contrast.bits
        told = self.tell("line_cost", better=better, worse=worse)
        most = sorted(contrast.words, key=lambda row: row[1] - row[2])[:3]
        named = [
            f"{word.strip() or '⏎'} (−{second - first:.1f})" for word, first, second in most if second - first >= 1
        ]
        if named:
            told += f"; {self.tell('line_words', words=', '.join(named))}"
        marked += " …" if contrast.is_cut else ""
        return f'<figure class="line"><p>{marked}</p><figcaption>{_e(told)}</figcaption></figure>'

    def _method(self) -> str:
        tell, streams = self.tell, self.found.models[0].streams
        read = tell("streams", n=streams) if streams > 1 else tell("one_stream")
        points = [
            tell("method_bits"),
            tell("method_perplexity"),
            tell("method_split"),
            tell("method_read", streams=read, options=f" --streams {streams}" if streams > 1 else ""),
            tell("method_words"),
            tell("method_bootstrap", n=RESAMPLES + 1),
            tell("method_costs"),
        ]
        return f"<ul>{''.join(f'<li>{with_code(point)}</li>' for point in points)}</ul>"

    # What the figures need

    def data(self) -> dict[str, Any]:
        """For report.js. Plotly reads names as HTML, so they are escaped even here."""
        found, tell = self.found, self.tell
        models = [
            {
                "name": _e(model.name),
                "bits": _finite(model.bits_per_byte),
                "disk": model.disk_bytes / 1e6,
                "latency": model.ms_per_token,
                "curve": [[max(seconds, 0.01), _finite(bits)] for seconds, bits in model.curve],
            }
            for model in found.models
        ]
        axes = (
            "bits_per_byte",
            "axis_seconds",
            "axis_disk",
            "axis_latency",
            "axis_frequency",
            "axis_position",
            "share",
        )
        return {
            "models": models,
            "frequency": self._breakdown(found.by_frequency),
            "position": self._breakdown(found.by_position),
            "words": {name: tell(name) for name in axes},
        }

    def _breakdown(self, breakdown: Breakdown) -> dict[str, Any]:
        """Without the buckets that are empty; line ends, which always occur, are the last one."""
        filled = [place for place, bucket in enumerate(breakdown.buckets) if bucket.n_bytes]
        buckets = [breakdown.buckets[place] for place in filled]
        total = sum(bucket.n_bytes for bucket in buckets)
        rows = [[breakdown.bits_per_byte[name][place] for place in filled] for name in self.names]
        return {
            "labels": self._labels(buckets),
            "shares": [bucket.n_bytes / total for bucket in buckets],
            "values": [[None if value is None else _finite(value) for value in row] for row in rows],
        }

    def _colour(self, name: str) -> int:
        return self.names.index(name) % COLOURS

    def _dot(self, name: str) -> str:
        return f'<i class="dot" style="background:var(--c{self._colour(name)})"></i>'


def _about(text: str) -> str:
    return f'<p class="about">{_e(text)}</p>\n'


def _figure(name: str, title: str, about: str) -> str:
    return (
        f'<figure class="plot"><div id="plot-{name}" class="canvas" role="img" aria-label="{_e(title)}"></div>'
        f"<figcaption>{_e(about)}</figcaption></figure>\n"
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _summary(family: str) -> str:
    from malmoi.models.registry import RUNGS

    return RUNGS[family].summary if family in RUNGS else family


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | int | None, digits: int) -> str:
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if math.isfinite(value) else "∞"


def _short(value: float | int) -> str:
    """A number in few characters."""
    if not math.isfinite(value):
        return "∞"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if value >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:,.1f}{unit}" if scaled < 100 else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"


def _size(n_bytes: float | int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes:.0f} B"
