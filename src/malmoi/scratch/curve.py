"""What a training reached over time, as numbers and as a picture in a file of its own."""

import math
from pathlib import Path

from malmoi.files import write_bytes
from malmoi.pages.document import document, escape

STYLE = "#plot { height: 28rem; max-height: 80vh; }"
DRAW = """
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (title) => ({ title: { text: title }, gridcolor: colour("--line"), zeroline: false, automargin: true });
  const draw = () => Plotly.react(
    "plot", [{ x: data.x, y: data.y, mode: data.x.length > 60 ? "lines" : "lines+markers", line: { color: colour("--c0") } }],
    {
      xaxis: axis(data.x_title), yaxis: axis(data.y_title), hovermode: "x", margin: { l: 8, r: 12, t: 8, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink") },
    },
    { responsive: true, displayModeBar: false },
  );
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
"""


class Curve:
    """Points in the order they were added.

    Attributes:
        x: As a rule, the number of steps so far.
        y: As a rule, the mean loss or the perplexity since the point before.
    """

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []

    def __len__(self) -> int:
        return len(self.x)

    def add(self, x: int | float, y: int | float) -> None:
        """One more point."""
        self.x.append(float(x))
        self.y.append(float(y))

    def plot(self, path: Path | str, x_title: str, y_title: str, title: str = "", language: str = "en") -> None:
        """Write the curve as one HTML file that needs no network; values that are no finite numbers leave a gap.

        Args:
            title: Stands above the curve; by default, what the curve shows.
            language: Of the titles, as "ko".

        Raises:
            RunError, TrainingError: If the file cannot be written.
        """
        from plotly.offline import get_plotlyjs

        heading = escape(title or y_title)
        data = {
            "x": self.x,
            "y": [value if math.isfinite(value) else None for value in self.y],
            "x_title": escape(x_title),  # plotly reads titles as a kind of HTML
            "y_title": escape(y_title),
        }
        page = document(
            language,
            title or y_title,
            style=STYLE,
            body=f'<main>\n<h1>{heading}</h1>\n<div id="plot" role="img" aria-label="{heading}"></div>\n</main>\n',
            data=data,
            scripts=(get_plotlyjs(), DRAW),
        )
        write_bytes(Path(path), page.encode())
