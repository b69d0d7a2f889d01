"""A map of words as one HTML file that needs nothing else: no network, no other file.

The words, where they lie, their neighbours and their vectors stand in the page as data; three scripts draw and search them.
Everything is escaped: see pages/document.py.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi._version import __version__
from malmoi.files import write_bytes
from malmoi.pages.document import beside, document, escape
from malmoi.pages.language import Language, Teller, read_texts
from malmoi.vectors.map.drawing import WordMap

SCRIPTS = ("space.js", "picture.js", "page.js")
LEVELS = 65535  # of a place along one side of the map
COSINE_LEVELS = 32767
IN_SCRIPT = "script_"  # the sentences that the scripts say


def write_page(found: WordMap, path: Path, language: Language = "en") -> None:
    """Put the page at `path`; the folder is made if it is missing.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the file cannot be written for another reason.
    """
    write_bytes(path, page_html(found, language).encode(), advice="choose another file")


def page_html(found: WordMap, language: Language = "en") -> str:
    """The page as text of an HTML file."""
    parts = _Parts(found, Teller(language, "vector_map"))
    title = parts.tell("title", name=found.name) if found.name else parts.tell("title_alone")
    body = (
        f"{parts.header(title)}<main>\n{parts.search()}{parts.stage()}{parts.side()}</main>\n{parts.about()}{parts.table()}"
        f"<footer><p>{escape(parts.tell('made_by', version=__version__))}</p></footer>\n"
    )
    scripts = [beside(__file__, name) for name in SCRIPTS]
    texts = read_texts("vector_map").items()
    said = {key.removeprefix(IN_SCRIPT): text[language] for key, text in texts if key.startswith(IN_SCRIPT)}
    return document(
        language, title, style=beside(__file__, "page.css"), body=body, data=_data(found, said), scripts=scripts
    )


def _data(found: WordMap, said: dict[str, str]) -> dict[str, Any]:
    points = found.projection.points.astype(np.float64)
    points = (points - points.min(axis=0)) * [1, -1]  # from the top left corner, as on a screen
    points[:, 1] -= points[:, 1].min()
    longest = float(points.max()) or 1.0
    return {
        "words": list(found.words),
        "points": _packed(np.rint(points * (LEVELS / longest)), "<u2"),
        "ranks": [int(rank) for rank in found.ranks],
        "groups": [int(group) for group in found.groups],
        "heads": [list(heads) for heads in found.heads],
        "k": found.nearest.places.shape[1],
        "places": _packed(found.nearest.places, "<u2"),
        "cosines": _packed(np.rint(found.nearest.cosines.astype(np.float64) * COSINE_LEVELS), "<i2"),
        "codes": _packed(found.codes, "i1"),
        "analogies": [list(four.words) for four in found.analogies],
        "tell": said,
    }


def _packed(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).astype(kind).tobytes()).decode()


class _Parts:
    """The parts of one page."""

    def __init__(self, found: WordMap, tell: Teller) -> None:
        self.found, self.tell = found, tell

    def header(self, title: str) -> str:
        return (
            f'<header>\n<p class="kicker">malmoi</p>\n<h1>{escape(title)}</h1>\n'
            f'<p class="lead">{escape(self.tell("lead", n_words=len(self.found.words)))}</p>\n'
            f'<noscript><p class="warning">{escape(self.tell("needs_script"))}</p></noscript>\n</header>\n'
        )

    def search(self) -> str:
        return f'<div class="search" role="search">{self._chooser("search", "search_label")}</div>\n'

    def _chooser(self, name: str, label: str) -> str:
        """A field that suggests words while one types."""
        return (
            f'<div class="chooser"><label for="{name}">{escape(self.tell(label))}</label>'
            f'<input id="{name}" type="search" role="combobox" aria-expanded="false" aria-autocomplete="list" '
            f'aria-controls="{name}-list" autocomplete="off" autocapitalize="none" spellcheck="false">'
            f'<ul id="{name}-list" role="listbox" aria-label="{escape(self.tell("suggestions"))}" hidden></ul></div>'
        )

    def stage(self) -> str:
        buttons = "".join(
            f'<button type="button" id="{name}" aria-label="{escape(self.tell(name))}" title="{escape(self.tell(name))}">'
            f"{sign}</button>"
            for name, sign in (("closer", "+"), ("farther", "−"), ("whole", "⤢"))
        )
        return (
            '<div class="stage" id="stage">'
            f'<canvas id="canvas" tabindex="0" role="application" aria-label="{escape(self.tell("canvas"))}" '
            'aria-describedby="keys"></canvas>'
            f'<div class="zoom">{buttons}</div></div>\n'
        )

    def side(self) -> str:
        tell = self.tell
        colours = "".join(
            f'<input type="radio" name="colour" id="colour-{name}" value="{name}"{" checked" * (name == "group")}>'
            f'<label for="colour-{name}">{escape(tell(f"colour_{name}"))}</label>'
            for name in ("group", "rank")
        )
        words = "".join(self._chooser(f"analogy-{name}", f"analogy_{name}") for name in "abc")
        return (
            '<aside class="side">\n'
            f'<section id="found" aria-labelledby="found-word"><h2 id="found-word">{escape(tell("nothing_chosen"))}</h2>'
            f'<p class="quiet small" id="found-rank">{escape(tell("choose"))}</p><ol id="neighbours"></ol>'
            f'<button type="button" id="clear" hidden>{escape(tell("clear"))}</button></section>\n'
            f'<section aria-labelledby="analogy"><h2 id="analogy">{escape(tell("analogy"))}</h2>'
            f'<p class="quiet small">{escape(tell("about_analogy"))}</p><div class="three">{words}</div>'
            '<ol id="answers"></ol><div id="given"></div></section>\n'
            f'<fieldset class="colours"><legend>{escape(tell("colour"))}</legend>{colours}<ul id="groups"></ul>'
            f'<p class="shades" id="shades" hidden><span>{escape(tell("frequent"))}</span><i></i>'
            f"<span>{escape(tell('rare'))}</span></p></fieldset>\n"
            '<output id="said" class="unseen"></output>\n</aside>\n'
        )

    def about(self) -> str:
        found, tell = self.found, self.tell
        method = found.projection.method
        facts = [(tell("fact_method"), tell(f"method_{method}"))]
        if found.projection.variance is not None:
            facts.append((tell("fact_variance"), f"{found.projection.variance:.1%}"))
        if found.trust is not None:
            facts.append((tell("fact_trust"), f"{found.trust.trustworthiness:.3f}"))
            facts.append((tell("fact_kept", k=found.trust.k), f"{found.trust.kept * found.trust.k:.1f}"))
        if found.projection.seed is not None:
            facts.append((tell("fact_seed"), str(found.projection.seed)))
        facts.append((tell("fact_words"), tell("words", n_shown=len(found.words), n_known=found.n_known)))
        facts.append((tell("fact_dim"), f"{found.dim:,}"))
        if found.missing:
            more = " …" * (len(found.missing) > 20)
            facts.append((tell("fact_missing"), ", ".join(found.missing[:20]) + more))
        rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
        code_dim = found.codes.shape[1]
        fewer = f" {tell('fewer_directions', n=code_dim)}" if code_dim < min(found.dim, len(found.words)) else ""
        return (
            f'<section aria-labelledby="about"><h2 id="about">{escape(tell("about"))}</h2>'
            f'<p class="about">{escape(tell(f"honest_{method}"))} {escape(tell("honest"))}{escape(fewer)}</p>'
            f'<dl class="facts">{rows}</dl><p class="about keys" id="keys">{escape(tell("keys"))}</p></section>\n'
        )

    def table(self) -> str:
        tell = self.tell
        heads = "".join(
            f'<th scope="col">{escape(tell(name))}</th>' for name in ("head_word", "head_rank", "head_near")
        )
        title = escape(tell("table", n_words=len(self.found.words)))
        return (
            f'<section><details id="list"><summary>{title}</summary>'
            f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
            f'<table><thead><tr>{heads}</tr></thead><tbody id="rows"></tbody></table></div>'
            f'<button type="button" id="more">{escape(tell("more"))}</button></details></section>\n'
        )
