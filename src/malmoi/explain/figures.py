"""The arrays of an explanation as pictures: bars where each entry has a name, small tables, and heat maps for all else.

Heat maps are drawn by page.js from what `Figures.maps` holds; all else is HTML and needs no
script. Large arrays are abbreviated: of an axis that is too long the first, the last and the largest entries are drawn.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.explain.explanation import Numbers, Step
from malmoi.pages.document import escape
from malmoi.pages.formulas import symbol
from malmoi.pages.language import Teller

MOST_BYTES = 2_200_000  # of all heat maps of a page, as base64
LONGEST_VECTOR, MOST_COLUMNS, MOST_ROWS = 4096, 720, 64  # cells; longer axes are abbreviated to
SHORT_VECTOR, FEW_COLUMNS, FEW_ROWS = 256, 256, 24  # these
MOST_PANELS = 8
MOST_BARS = 12
VISIBLE = 0.01  # of the longest bar: of signed entries, shorter ones are not the first to be chosen
SMALL = 16  # entries of a vector that are shown as bars, each with its number
SMALL_TABLE, TABLE_COLUMNS = 48, 8  # cells of a matrix that is written out
NARROW = 4  # columns that find room beside another array
LONG = 14  # characters of a label that needs all the width
LABEL = 24  # characters of a label
WITHIN = 8.0  # arrays of a step share one scale if none is this many times larger than another

_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """A value to four digits."""
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        mantissa, power = f"{value:.3e}".split("e")
        return f"{mantissa}·10{str(int(power)).translate(_POWERS)}".replace("-", "−")
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if "." not in shown and abs(value) < 100:
        shown = f"{value:.3f}"  # 1.000 is not quite 1
    return shown.replace("-", "−")


def short(text: str, most: int = LABEL) -> str:
    """A token as a label: line ends and spaces visible, and not too long."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    shown = shown if shown.strip() else shown.replace(" ", "␣")
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def plain(token: str) -> str:
    """A token as a sentence names it: without the mark of the space before it."""
    return short(token.removeprefix("␣") or token)


@dataclass(frozen=True)
class _Scale:
    """The values at which the colours end."""

    low: float
    high: float


@dataclass
class Figures:
    """Draws the arrays of one page.

    Attributes:
        target: The explained token, which is never left out of the bars.
        room: The most cells of one heat map (`room_for`).
        maps: What page.js draws, in the order of the canvases.
    """

    tell: Teller
    target: str
    room: int
    maps: list[dict[str, Any]] = field(default_factory=list)

    def of_step(self, step: Step) -> str:
        """All arrays of a step."""
        scales = _scales(step.numbers)
        shown = ""
        for is_single, pairs in groupby(
            zip(step.numbers, scales, strict=True), key=lambda pair: pair[0].values.size == 1
        ):
            drawn = "".join(self._figure(numbers, scale) for numbers, scale in pairs)
            shown += f'<div class="singles">{drawn}</div>' if is_single else drawn
        return shown

    def bars(
        self, rows: Sequence[tuple[str, float, str]], *, top: float, signed: bool = False, ranked: bool = False
    ) -> str:
        """A list of bars.

        Args:
            rows: Label, value, and what kind of row it is (a CSS class: "target", "rest" or "").
            top: The value of a full bar.
            signed: Bars start in the middle.
        """
        shown = ""
        for label, value, kind in rows:
            share = min(abs(value) / top, 1.0) if top and math.isfinite(value) else 0.0
            sign = "negative" if value < 0 else "positive"
            bar = f'<span class="rail" aria-hidden="true"><i class="{sign}" style="--w:{share:.4f}"></i></span>'
            bar = "" if kind == "rest" else bar  # a sum is no bar among single ones
            name = f'<span class="label">{escape(short(label))}</span>'
            shown += f'<li class="{kind}">{name}{bar}<span class="value">{number(value)}</span></li>'
        tag = "ol" if ranked else "ul"
        return f'<{tag} class="bars{" signed" if signed else ""}">{shown}</{tag}>'

    def _figure(self, numbers: Numbers, scale: _Scale) -> str:
        whole = numbers.values.shape
        numbers = _squeezed(numbers)
        values = numbers.values
        if values.ndim == 0:
            body = f'<p class="single">{number(float(values))}</p>'
        elif values.size == 0:
            body = ""
        elif values.ndim == 1:
            body = self._vector(numbers, scale)
        elif values.ndim == 2:
            body = self._matrix(numbers, scale, numbers.name)
        else:
            body = self._panels(numbers, scale)
        shape = f"({', '.join(f'{length:,}' for length in whole)}{',' * (len(whole) == 1)})" if whole else ""
        axes = " × ".join(self._axis(name) for name in numbers.axes if name)
        words = f' <span class="axes">{escape(axes)}</span>' if axes and values.ndim else ""
        wide = (values.ndim >= 2 and values.shape[-1] > NARROW) or values.size > 400
        wide = wide or (values.ndim == 1 and any(len(name) > LONG for name in numbers.labels.get(0, ())[:SMALL]))
        caption = f'<span class="math">{symbol(numbers.name)}</span> <span class="quiet">{shape}{words}</span>'
        kind = "numbers wide" if wide else "numbers"
        return f'<figure class="{kind}"><figcaption>{caption}</figcaption>{body}</figure>'

    def _axis(self, name: str) -> str:
        return self.tell(f"axis_{name}") if self.tell.has(f"axis_{name}") else name

    # One axis

    def _vector(self, numbers: Numbers, scale: _Scale) -> str:
        values, labels = numbers.values, numbers.labels.get(0)
        if labels is not None and numbers.kind == "plain" and values.dtype.kind in "iu" and "time" in numbers.axes:
            return self._chips(values, labels)
        if (
            labels is not None and len(values) > SMALL and numbers.axes == ("time",)
        ):  # the order tells more than the size
            row = replace(numbers, values=values[None], axes=("", "time"), labels={1: labels})
            return self._map(row, scale, numbers.name)
        if labels is None and len(values) > SMALL:
            return self._map(numbers, scale, numbers.name)
        names = labels if labels is not None else [str(place) for place in range(len(values))]
        places = list(range(len(values)))
        if len(values) > SMALL:
            places = self._best(values, names, is_signed=numbers.kind == "signed")
        rows = [
            (names[i], float(values[i]), "target" if len(values) > SMALL and names[i] == self.target else "")
            for i in places
        ]
        signed = scale.low < 0
        left = len(values) - len(places)
        tail = ""
        if left and numbers.kind == "probability":
            rest = float(values.sum() - values[places].sum())
            rows.append((self.tell("cut_rest_sum", n=left), max(rest, 0.0), "rest"))
        elif left:
            tail = f'<p class="quiet small">{escape(self.tell("cut_rest", n=left))}</p>'
        top = max((abs(value) for _, value, kind in rows if math.isfinite(value) and kind != "rest"), default=1.0)
        return self.bars(rows, top=1.0 if numbers.kind == "gate" else top, signed=signed) + tail

    def _best(self, values: NDArray[Any], names: Sequence[str], *, is_signed: bool) -> list[int]:
        """Of many named entries the largest, of signed ones also the smallest, and always the explained token."""
        order, size = np.argsort(-values, kind="stable"), np.abs(values)
        n_lowest = MOST_BARS // 3 if is_signed else 0
        ends = (*order[: MOST_BARS - n_lowest], *order[len(order) - n_lowest :])
        kept = {int(i) for i in ends if not is_signed or size[i] >= VISIBLE * size.max()}
        fill = (int(i) for i in np.argsort(-size, kind="stable") if int(i) not in kept)
        kept |= set(islice(fill, MOST_BARS - len(kept)))
        kept |= {place for place, name in enumerate(names) if name == self.target}
        return sorted(kept, key=lambda place: (-float(values[place]), place))

    def _chips(self, values: NDArray[Any], labels: Sequence[str]) -> str:
        """Tokens with their ids, in the order of the text."""
        chips = "".join(
            f"<li><b>{escape(short(name))}</b><small>{int(i)}</small></li>"
            for name, i in zip(labels, values, strict=True)
        )
        return f'<ol class="chips">{chips}</ol>'

    # Two axes and more

    def _matrix(self, numbers: Numbers, scale: _Scale, name: str) -> str:
        n_rows, n_columns = numbers.values.shape
        if n_columns <= TABLE_COLUMNS and n_rows * n_columns <= SMALL_TABLE:
            return self._table(numbers.values, _names(numbers, 0), _names(numbers, 1), scale)
        return self._map(numbers, scale, name)

    def _panels(self, numbers: Numbers, scale: _Scale) -> str:
        """One picture for each place on the axes before the last two."""
        leading = numbers.values.shape[:-2]
        shown, total = "", math.prod(leading)
        for place in list(product(*map(range, leading)))[:MOST_PANELS]:
            title = ", ".join(
                f"{self._axis(numbers.axes[k])} {_names(numbers, k)[i]}".strip() for k, i in enumerate(place)
            )
            labels = {axis - len(leading): names for axis, names in numbers.labels.items() if axis >= len(leading)}
            part = Numbers(numbers.name, numbers.values[place], numbers.axes[len(leading) :], labels, numbers.kind)
            shown += f"<h5>{escape(title)}</h5>{self._matrix(part, scale, f'{numbers.name}, {title}')}"
        if total > MOST_PANELS:
            shown += (
                f'<p class="quiet small">{escape(self.tell("cut_panels", n_drawn=MOST_PANELS, n_panels=total))}</p>'
            )
        return shown

    def _table(self, values: NDArray[Any], rows: Sequence[str], columns: Sequence[str], scale: _Scale | None) -> str:
        head = "".join(f'<th scope="col">{escape(short(name))}</th>' for name in columns)
        body = ""
        for name, row in zip(rows, values, strict=True):
            cells = "".join(f"<td{_tint(value, scale)}>{number(value)}</td>" for value in row)
            body += f'<tr><th scope="row">{escape(short(name))}</th>{cells}</tr>'
        label = escape(self.tell("numbers"))
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="matrix">'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _map(self, numbers: Numbers, scale: _Scale, name: str) -> str:
        """A heat map: its place on the page, and what page.js needs to fill it."""
        tell, values = self.tell, numbers.values
        wraps = values.ndim == 1
        places = _drawn(values, self.room)
        drawn = values[np.ix_(*places)]
        axes = list(numbers.axes) if any(numbers.axes) else ["" if wraps else "row", ""]
        colours = _colours(numbers, scale)
        told = {
            "values": _packed(drawn, numbers.kind),
            "fine": numbers.kind != "gate",
            "wraps": wraps,
            "kind": colours,
        }
        told |= {"shape": [1, *drawn.shape] if wraps else list(drawn.shape), "low": scale.low, "high": scale.high}
        told["axes"] = [self._axis(axis) for axis in (["", axes[0]] if wraps else axes[:2])]
        told["labels"] = [
            None if wraps else _labels(numbers, 0, places[0]),
            _labels(numbers, len(places) - 1, places[-1]),
        ]
        cut = [
            list(map(int, chosen)) if len(chosen) < length else None
            for chosen, length in zip(places, values.shape, strict=True)
        ]
        told["places"] = [None, *cut] if wraps else cut
        self.maps.append(told)
        shape = " × ".join(f"{length:,}" for length in values.shape)
        extremes = self._extremes(numbers)
        label = escape(tell("map", name=name, shape=shape, extremes=extremes))
        notes = [tell("cut_cells", shape=shape, n_drawn=drawn.size)] if drawn.size < values.size else []
        notes += [tell("wraps")] if wraps else []
        canvas = f'<canvas tabindex="0" role="img" data-map="{len(self.maps) - 1}" aria-label="{label}"></canvas>'
        return (
            f'<div class="map">{canvas}</div><div class="below">{self._legend(colours, scale)}'
            f'<output class="readout" aria-live="polite"></output></div>'
            f'<p class="quiet small">{escape(" · ".join((extremes, *notes)))}</p>{self._numbers(numbers)}'
        )

    def _legend(self, kind: str, scale: _Scale) -> str:
        tell = self.tell
        low, high = (tell("closed"), tell("open")) if kind == "gate" else (number(scale.low), number(scale.high))
        middle = "<span>0</span>" if kind == "signed" else ""
        return f'<p class="legend {kind}" aria-hidden="true"><span>{low}</span><i></i>{middle}<span>{high}</span></p>'

    def _extremes(self, numbers: Numbers) -> str:
        finite = np.where(np.isfinite(numbers.values), numbers.values, np.nan)
        if np.isnan(finite).all():
            return self.tell("not_a_number")
        high, low = (np.unravel_index(int(i), finite.shape) for i in (np.nanargmax(finite), np.nanargmin(finite)))
        return self.tell(
            "extremes",
            mean=number(float(np.nanmean(finite))),
            largest=number(float(finite[high])),
            largest_place=self._where(numbers, [int(i) for i in high]),
            smallest=number(float(finite[low])),
            smallest_place=self._where(numbers, [int(i) for i in low]),
        )

    def _where(self, numbers: Numbers, place: Sequence[int]) -> str:
        """A place in words: "time 3 (school), unit 17"."""
        told = []
        for axis, i in enumerate(place):
            if numbers.values.shape[axis] == 1:
                continue
            names = numbers.labels.get(axis)
            name = self._axis(numbers.axes[axis])
            told.append(f"{name} {i}".strip() + (f" ‘{short(names[i])}’" if names is not None else ""))
        return ", ".join(told)

    def _numbers(self, numbers: Numbers) -> str:
        """The corner entries, written out."""
        values = np.atleast_2d(numbers.values)
        rows, columns = (_ends(length, first) for length, first in zip(values.shape, (4, 6), strict=True))
        labels = [""] if numbers.values.ndim == 1 else _names(numbers, 0)
        names = _names(numbers, numbers.values.ndim - 1)
        table = self._table(values[np.ix_(rows, columns)], [labels[i] for i in rows], [names[i] for i in columns], None)
        return f"<details><summary>{escape(self.tell('numbers'))}</summary>{table}</details>"


def room_for(steps: Sequence[Step]) -> int:
    """The most cells of one heat map, so that all of them together stay below MOST_BYTES."""
    sizes = [
        (_n_panels(values.shape) * math.prod(_lengths(values.shape[-2:])), 8 / 3 if kind == "gate" else 16 / 3)
        for kind, values in ((numbers.kind, _squeezed(numbers).values) for step in steps for numbers in step.numbers)
    ]
    room = 50_000
    while room > 256 and sum(min(size, room) * per_cell for size, per_cell in sizes) > MOST_BYTES:
        room = room * 4 // 5
    return room


def _n_panels(shape: Sequence[int]) -> int:
    return min(math.prod(shape[:-2]), MOST_PANELS)


def _lengths(shape: Sequence[int]) -> list[int]:
    """How many places of each axis of a vector or a matrix are drawn if there is room."""
    longest = (
        ((LONGEST_VECTOR, SHORT_VECTOR),) if len(shape) == 1 else ((MOST_ROWS, FEW_ROWS), (MOST_COLUMNS, FEW_COLUMNS))
    )
    return [length if length <= most else few for length, (most, few) in zip(shape, longest, strict=False)]


def _squeezed(numbers: Numbers) -> Numbers:
    """Without the axes of length 1, with a name for every axis, in float64; gates, heads and layers before all other axes."""
    values = np.asarray(numbers.values)
    axes = [*numbers.axes, *[""] * values.ndim][: values.ndim]
    kept = [axis for axis, length in enumerate(values.shape) if length != 1]
    if values.ndim and not kept:
        kept = [axis for axis in numbers.labels if 0 <= axis < values.ndim][
            :1
        ]  # one number that has a name stays a vector
    if len(kept) > 2:
        kept.sort(key=lambda axis: axes[axis] not in ("gate", "head", "layer"))
    dropped = tuple(axis for axis in range(values.ndim) if axis not in kept)
    values = values.transpose(*dropped, *kept).reshape([values.shape[axis] for axis in kept])
    labels = {place: numbers.labels[axis] for place, axis in enumerate(kept) if axis in numbers.labels}
    values = values if values.dtype.kind in "iu" else values.astype(np.float64)
    return replace(numbers, values=values, axes=tuple(axes[axis] for axis in kept), labels=labels)


def _scales(arrays: Sequence[Numbers]) -> list[_Scale]:
    """Where the colours end; the signed arrays of one step share it where they can, so that they can be compared by eye."""
    found = [_scale(numbers) for numbers in arrays]
    shared = [
        scale.high for numbers, scale in zip(arrays, found, strict=True) if numbers.values.size > 1 and scale.low < 0
    ]
    top = max(shared, default=0.0)
    return [_Scale(-top, top) if scale.low < 0 and scale.high > top / WITHIN else scale for scale in found]


def _scale(numbers: Numbers) -> _Scale:
    values = np.asarray(numbers.values, np.float64)
    values = values[np.isfinite(values)]
    if numbers.kind == "gate":
        return _Scale(0.0, 1.0)
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    is_signed = numbers.kind == "signed" or bool((values < 0).any())
    return _Scale(-top if is_signed else 0.0, top)


def _colours(numbers: Numbers, scale: _Scale) -> str:
    return "signed" if scale.low < 0 else numbers.kind


def _tint(value: float, scale: _Scale | None) -> str:
    if scale is None or not math.isfinite(value):
        return ""
    strength = min(1.0, abs(value) / scale.high)
    return f' class="{"negative" if value < 0 else "positive"}" style="--s:{strength:.3f}"'


def _drawn(values: NDArray[Any], room: int) -> list[NDArray[np.int64]]:
    """For each axis the places that are drawn, rising."""
    size = np.abs(np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0))
    lengths = _lengths(values.shape)
    if math.prod(lengths) > room:
        lengths[-1] = max(room // math.prod(lengths[:-1]), 1)
    others = [tuple(other for other in range(values.ndim) if other != axis) for axis in range(values.ndim)]
    return [_chosen(size.max(axis=rest), n) for rest, n in zip(others, lengths, strict=True)]


def _chosen(size: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """n places: a quarter of them the first, an eighth the last, the others the largest between."""
    length = len(size)
    if n >= length:
        return np.arange(length)
    first, last = max(n // 4, 1), n // 8
    middle = first + np.argsort(-size[first : length - last], kind="stable")[: n - first - last]
    return np.sort(np.concatenate([np.arange(first), middle, np.arange(length - last, length)]))


def _ends(length: int, first: int) -> list[int]:
    """The first places and the last two."""
    return list(range(length)) if length <= first + 2 else [*range(first), length - 2, length - 1]


def _names(numbers: Numbers, axis: int) -> Sequence[str]:
    """What the entries of an axis are called, or their numbers."""
    return numbers.labels.get(axis) or [str(place) for place in range(numbers.values.shape[axis])]


def _labels(numbers: Numbers, axis: int, places: NDArray[np.int64]) -> list[str] | None:
    names: Mapping[int, Sequence[str]] = numbers.labels
    return [short(names[axis][i]) for i in places] if axis in names else None


def _packed(values: NDArray[Any], kind: str) -> str:
    """Numbers as base64: float32, little-endian; gates, which lie in 0 to 1, as 65,536 levels in half the room."""
    if kind == "gate":
        return base64.b64encode(np.rint(np.clip(np.nan_to_num(values), 0, 1) * 65535).astype("<u2").tobytes()).decode()
    with np.errstate(over="ignore"):
        return base64.b64encode(values.astype("<f4").tobytes()).decode()
