"""Draws concepts and what stands above them as SVG: the top at the top, every edge going down.

A layered drawing (Sugiyama, Tagawa & Toda 1981): each concept goes as many rows down as its longest way from a top has edges;
edges that skip rows pass through invisible points; each row is ordered by the mean place of its neighbours in the next row, up
and down several times; at last each row is moved as near to the places of its neighbours as the widths allow (least squares).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

from malmoi.pages.document import escape
from malmoi.thesaurus.concepts import Graph

ROW, HEIGHT, GAP = 74, 42, 14  # px: from row to row, of a box, between boxes
CHARACTER = 8.0  # px that one takes
LONGEST = 24  # characters of a label
SWEEPS, MOVES = 12, 24
MARGIN = 8


def draw(graph: Graph, label: str, *, colours: Mapping[str, int], marked: Collection[str] = ()) -> str:
    """The SVG element.

    Args:
        graph: The concepts.
        label: What the picture shows, for those who cannot see it.
        colours: Concepts that stand out -> number of a colour.
        marked: Concepts with a strong frame.
    """
    layout = _Layout(graph)
    width, height = layout.width + 2 * MARGIN, len(layout.rows) * ROW - (ROW - HEIGHT) + 2 * MARGIN
    edges = "".join(f'<path d="{_curve(points)}"/>' for points in layout.edges())
    boxes = "".join(_box(layout, name, colours.get(name), name in marked) for name in graph.concepts)
    return (
        f'<svg class="graph" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}"><g class="edges">{edges}</g>{boxes}</svg>'
    )


def _box(layout: "_Layout", name: str, colour: int | None, is_marked: bool) -> str:
    concept = layout.graph.concepts[name]
    x, y = layout.x[name] + MARGIN, layout.row_of[name] * ROW + MARGIN
    width = layout.widths[name]
    classes = "box" + f" own c{colour}" * (colour is not None) + " marked" * is_marked
    return (
        f'<g class="{classes}"><title>{escape(", ".join(concept.words))}: {escape(concept.gloss)}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" rx="8"/>'
        f'<text x="{x:.1f}" y="{y + 18}">{escape(_label(concept.words))}</text>'
        f'<text class="name" x="{x:.1f}" y="{y + 34}">{escape(_cut(name))}</text></g>'
    )


def _label(words: Sequence[str]) -> str:
    """As many of the words as there is room for, the first in any case."""
    told = words[0] if words else ""
    for word in words[1:]:
        if len(f"{told}, {word}") > LONGEST:
            return _cut(told)
        told = f"{told}, {word}"
    return _cut(told)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth line down through some points."""
    (x, y), *rest = points
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        path += f"C{x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    return path


class _Layout:
    """Where everything stands: `row_of` in rows, `x` the middle in px. Points on long edges are named like "a>b>3"."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.row_of: dict[str, int] = {}
        for name in graph.concepts:
            self._row(name)
        self.widths = {
            name: CHARACTER * max(len(_label(concept.words)), 0.85 * len(_cut(name)), 5) + 18
            for name, concept in graph.concepts.items()
        }
        self.up: dict[str, list[str]] = {name: [] for name in graph.concepts}
        self.chains: list[list[str]] = []  # each edge, from above to below, with its points
        for name, parents in graph.above.items():
            for parent in parents:
                self._chain(parent, name)
        self.down: dict[str, list[str]] = {name: [] for name in self.up}
        for name, parents in self.up.items():
            for parent in parents:
                self.down[parent].append(name)
        self.rows = self._ordered_rows()
        self.x = self._places()
        left = min((self.x[name] - self.widths[name] / 2 for name in self.x), default=0.0)
        self.x = {name: x - left for name, x in self.x.items()}
        self.width = max((self.x[name] + self.widths[name] / 2 for name in self.x), default=0.0)

    def edges(self) -> list[list[tuple[float, float]]]:
        """The points of each edge, from the lower side of a box to the upper side of another."""
        found = []
        for chain in self.chains:
            points = [(self.x[name] + MARGIN, self.row_of[name] * ROW + MARGIN + HEIGHT / 2) for name in chain]
            points[0] = (points[0][0], points[0][1] + HEIGHT / 2)
            points[-1] = (points[-1][0], points[-1][1] - HEIGHT / 2)
            found.append(points)
        return found

    def _row(self, name: str) -> int:
        if name not in self.row_of:
            self.row_of[name] = max((self._row(parent) + 1 for parent in self.graph.above[name]), default=0)
        return self.row_of[name]

    def _chain(self, parent: str, child: str) -> None:
        chain = [parent]
        for row in range(self.row_of[parent] + 1, self.row_of[child]):
            point = f"{parent}>{child}>{row}"
            self.row_of[point], self.widths[point], self.up[point] = row, 4.0, [chain[-1]]
            chain.append(point)
        self.up[child].append(chain[-1])
        self.chains.append([*chain, child])

    def _ordered_rows(self) -> list[list[str]]:
        rows: list[list[str]] = [[] for _ in range(max(self.row_of.values(), default=-1) + 1)]
        for name in self.up:
            rows[self.row_of[name]].append(name)
        best, fewest = rows, _crossings(rows, self.up)
        for sweep in range(SWEEPS):
            rows = [list(row) for row in rows]
            neighbours = self.down if sweep % 2 else self.up
            order = range(len(rows) - 2, -1, -1) if sweep % 2 else range(1, len(rows))
            for number in order:
                place = {name: float(i) for i, name in enumerate(rows[number + (1 if sweep % 2 else -1)])}
                own = {name: float(i) for i, name in enumerate(rows[number])}
                middle = {name: _mean([place[other] for other in neighbours[name]], own[name]) for name in own}
                rows[number].sort(key=middle.__getitem__)
            crossings = _crossings(rows, self.up)
            if crossings < fewest:
                best, fewest = rows, crossings
        return best

    def _places(self) -> dict[str, float]:
        x: dict[str, float] = {}
        for row in self.rows:
            end = 0.0
            for name in row:
                x[name] = end + self.widths[name] / 2
                end += self.widths[name] + GAP
        for move in range(MOVES):
            for row in self.rows if move % 2 else reversed(self.rows):
                wished = [_mean([x[other] for other in (*self.up[name], *self.down[name])], x[name]) for name in row]
                x.update(zip(row, _apart(wished, [self.widths[name] for name in row]), strict=True))
        return x


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wished: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The places nearest to the wished ones (least squares) at which boxes in this order do not touch.

    Without the room that the boxes take, this asks for the nearest sequence that never falls.
    """
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + GAP)
    flat = isotonic_regression(np.array(wished) - np.array(offsets)).x
    return [float(place) + offset for place, offset in zip(flat, offsets, strict=True)]


def _crossings(rows: Sequence[Sequence[str]], up: Mapping[str, Sequence[str]]) -> int:
    """How many pairs of edges between neighbouring rows cross."""
    total = 0
    for above, below in pairwise(rows):
        place = {name: i for i, name in enumerate(above)}
        ends = [(place[other], i) for i, name in enumerate(below) for other in up[name]]
        total += sum(a < c and b > d for a, b in ends for c, d in ends)
    return total
