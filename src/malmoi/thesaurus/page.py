"""One word, or two, as one HTML file that needs nothing else; the graph of concepts is drawn as SVG, without a script."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from malmoi._version import __version__
from malmoi.files import write_bytes
from malmoi.pages.document import beside, document, escape
from malmoi.pages.language import Language, Teller
from malmoi.thesaurus.concepts import MEASURES, Comparison, Concept, Graph
from malmoi.thesaurus.drawing import draw
from malmoi.thesaurus.entries import Beside, Entry, Pair
from malmoi.thesaurus.figures import figure

MOST_DRAWN = 300  # concepts
MOST_PAIRS = 20  # of senses
EXAMPLES = 2  # of a sense


def write_page(told: Entry | Pair, path: Path, language: Language = "en", *, vectors: str = "") -> None:
    """Put the page at `path`.

    Args:
        told: What it shows.
        path: The file; its folder is made if it is missing.
        language: Of everything but WordNet's own words.
        vectors: The name of the vectors, if there are any.

    Raises:
        TrainingError: If the disk is full.
        RunError: If the file cannot be written for another reason.
    """
    html = _Page(language, vectors)
    body = html.entry(told) if isinstance(told, Entry) else html.pair(told)
    title = told.word if isinstance(told, Entry) else f"{told.first} · {told.second}"
    style = beside(__file__, "page.css")
    page = document(language, title, style=style, body=body, data={}, scripts=())
    write_bytes(path, page.encode(), advice="choose another file")


class _Page:
    def __init__(self, language: Language, vectors: str) -> None:
        self.tell, self.vectors = Teller(language, "thesaurus"), vectors

    def entry(self, entry: Entry) -> str:
        tell = self.tell
        drawn = len(entry.graph.senses)
        about = tell("page_graph_about")
        if drawn < len(entry.senses):
            about += " " + tell("page_graph_first", n_drawn=drawn, n_senses=len(entry.senses))
        colours = dict.fromkeys(entry.graph.senses, 0)
        graph = self._graph(entry.graph, entry.word, about, colours, ())
        if not any(entry.graph.above.values()):
            graph = ""
        lead = tell("page_lead_one", n_senses=len(entry.senses), version=entry.version)
        return self._around(entry.word, lead, entry.version, f"{self._senses(entry)}{graph}{self._beside(entry)}")

    def pair(self, pair: Pair) -> str:
        tell, found = self.tell, pair.found
        marked = () if found.common is None else (found.common.name,)
        colours: dict[str, int] = {}
        if found.pairs:
            first, second = (concept.name for concept in found.pairs[0][:2])
            colours = {second: 1, first: 0} if first != second else {first: 2}
        about = f"{tell('page_graph_about')} {tell('page_graph_common')}" if marked else tell("page_graph_about")
        graph = self._graph(pair.graph, f"{pair.first}, {pair.second}", about, colours, marked) if found.pairs else ""
        lead = tell("page_lead_two", version=pair.version)
        title = f"{pair.first} · {pair.second}"
        return self._around(title, lead, pair.version, f"{self._measures(pair)}{graph}{self._pairs(found)}")

    def _around(self, title: str, lead: str, version: str, sections: str) -> str:
        return (
            f'<header>\n<p class="kicker">malmoi</p>\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
            f"</header>\n<main>\n{sections}</main>\n"
            f"<footer><p>{escape(self.tell('made_by', version=__version__, wordnet=version))}</p></footer>\n"
        )

    def _senses(self, entry: Entry) -> str:
        tell = self.tell
        rows = "".join(
            f'<tr><th scope="row">{escape(sense.name)}</th><td class="text">{escape(", ".join(sense.words))}</td>'
            f'<td data-name="{escape(tell("seen"))}">{seen:,}</td>'
            f'<td class="text gloss">{escape(sense.gloss)}{_examples(sense)}</td></tr>'
            for sense, seen in zip(entry.senses, entry.counts, strict=True)
        )
        head = _head((tell("sense"), False), (tell("words"), True), (tell("seen"), False), (tell("gloss"), True))
        return _section(tell("page_senses"), _table(head, rows, "stack"))

    def _graph(self, graph: Graph, label: str, about: str, colours: dict[str, int], marked: Sequence[str]) -> str:
        tell = self.tell
        if len(graph.concepts) > MOST_DRAWN:
            told = f'<p class="about">{escape(tell("page_too_large", n_concepts=len(graph.concepts)))}</p>'
            return _section(tell("page_graph"), told)
        picture = draw(graph, f"{tell('page_graph')}: {label}", colours=colours, marked=marked)
        rows = "".join(
            f'<tr><th scope="row">{escape(concept.name)}</th><td class="text">{escape(", ".join(concept.words))}</td>'
            f'<td class="text gloss">{escape(concept.gloss)}</td></tr>'
            for concept in graph.concepts.values()
        )
        head = _head((tell("sense"), False), (tell("words"), True), (tell("gloss"), True))
        listed = f"<details><summary>{escape(tell('page_concepts'))}</summary>{_table(head, rows, 'stack')}</details>"
        body = f'<p class="about">{escape(about)}</p><div class="scroll" tabindex="0">{picture}</div>{listed}'
        return _section(tell("page_graph"), body)

    def _beside(self, entry: Entry) -> str:
        tell = self.tell
        nearest = self._near(tell("nearest_in_wordnet", sense=entry.senses[0].name), entry.wordnet, ("path", "cosine"))
        if not entry.wordnet:
            nearest = f'<div><p class="about">{escape(tell("none_near"))}</p></div>'
        if not entry.vectors:
            return _section(tell("page_near"), nearest)
        ours = self._near(tell("nearest_by_vectors", vectors=self.vectors), entry.vectors, ("cosine", "path"))
        about = f'<p class="about">{escape(tell("page_beside_about"))}</p>'
        return _section(tell("page_beside"), f'{about}<div class="two">{nearest}{ours}</div>')

    def _near(self, title: str, near: Iterable[Beside], columns: tuple[str, ...]) -> str:
        shown = [column for column in columns if column != "cosine" or self.vectors]
        rows = "".join(
            f'<tr><th scope="row">{escape(row.word)}</th>'
            + "".join(f"<td>{escape(figure(getattr(row, column)))}</td>" for column in shown)
            + "</tr>"
            for row in near
        )
        head = _head((self.tell("word"), False), *((self.tell(column), False) for column in shown))
        return f"<div><h3>{escape(title)}</h3>{_table(head, rows)}</div>"

    def _measures(self, pair: Pair) -> str:
        tell, found = self.tell, pair.found
        rows = ""
        for measure in MEASURES:
            if (best := found.best(measure)) is not None:
                senses = f"{best.first.name} – {best.second.name}"
                rows += self._measure_row(tell(measure), getattr(best, measure), senses)
        if self.vectors:
            told = tell("between_vectors", vectors=self.vectors) if pair.cosine is not None else tell("no_vector")
            rows += self._measure_row(tell("cosine"), pair.cosine, told)
        head = _head((tell("measure"), False), (tell("similarity"), False), (tell("senses"), True))
        body = f'<p class="about">{escape(tell("page_measures_about"))}</p>{_table(head, rows)}' if rows else ""
        if not found.pairs:
            body += f'<p class="about">{escape(tell("no_pairs"))}</p>'
        elif pair.source:
            body += f'<p class="small">{escape(tell(f"lin_{pair.source}", n_seen=pair.n_seen))}</p>'
        else:
            body += f'<p class="small">{escape(tell("lin_none"))}</p>'
        return _section(tell("page_measures"), f"{body}{self._shared(found)}{self._ways(found)}")

    def _measure_row(self, name: str, value: float | None, told: str) -> str:
        return (
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(figure(value))}</td>'
            f'<td class="text">{escape(told)}</td></tr>'
        )

    def _shared(self, found: Comparison) -> str:
        if not found.shared:
            return ""
        rows = "".join(
            f"<li><strong>{escape(concept.name)}</strong> {escape(concept.gloss)}</li>" for concept in found.shared
        )
        return f"<h3>{escape(self.tell('shared'))}</h3><ul>{rows}</ul>"

    def _ways(self, found: Comparison) -> str:
        tell = self.tell
        if found.common is None:
            return f'<p class="about">{escape(tell("no_common"))}</p>' if found.pairs else ""
        lines = ""
        for colour, way in enumerate((found.up_first, found.up_second)):
            steps = "".join(
                f"<li{f' class=dot{colour}' if not i else ''}>{escape(concept.name)}</li>"
                for i, concept in enumerate(way)
            )
            lines += f'<ol class="way">{steps}</ol>'
        common = f"<strong>{escape(found.common.name)}</strong> {escape(found.common.gloss)}"
        other = ""
        if (edges := found.edges) < len(found.up_first) + len(found.up_second) - 2:
            other = f'<p class="small">{escape(tell("shorter_elsewhere", n_edges=edges))}</p>'
        return f"<h3>{escape(tell('common'))}</h3><p>{common}</p>{lines}{other}"

    def _pairs(self, found: Comparison) -> str:
        tell = self.tell
        if not found.pairs:
            return ""
        rows = "".join(
            f'<tr><th scope="row">{escape(pair.first.name)} – {escape(pair.second.name)}</th>'
            + "".join(f"<td>{escape(figure(getattr(pair, measure)))}</td>" for measure in MEASURES)
            + "</tr>"
            for pair in found.pairs[:MOST_PAIRS]
        )
        head = _head((tell("senses"), False), *((tell(measure), False) for measure in MEASURES))
        more = len(found.pairs) - MOST_PAIRS
        left_out = f'<p class="small">{escape(tell("more_pairs", n=more))}</p>' if more > 0 else ""
        return _section(tell("pairs"), _table(head, rows) + left_out)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>\n"


def _head(*columns: tuple[str, bool]) -> str:
    """Headings; True for a column of text."""
    return "".join(f'<th scope="col"{" class=text" if text else ""}>{escape(name)}</th>' for name, text in columns)


def _table(head: str, rows: str, kind: str = "") -> str:
    """Kind "stack": on a narrow screen the cells of a row stand below one another."""
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _examples(sense: Concept) -> str:
    told = "; ".join(f"“{example}”" for example in sense.examples[:EXAMPLES])
    return f'<span class="examples">{escape(told)}</span>' if told else ""
