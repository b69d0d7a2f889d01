"""Draws the floors of the house for the architecture page, in both languages, from floors.toml.

python docs/floors.py            writes docs/en/floors.svg and docs/ko/floors.svg
"""

import tomllib
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTH, HEIGHT, GAP, LEFT, ROOM = 880, 34, 4, 12, 380
TITLE = {
    "en": "A file imports only from floors below its own",
    "ko": "파일은 자기보다 아래층에서만 가져다 씁니다",
}
GROUPS = (  # (up to this room, colour of the floor): ground, words, models, use, training and comparing, doors
    ("store", "#d9cfc1"),
    ("pages", "#cfe3d0"),
    ("engines", "#c9dcf2"),
    ("runs", "#dcd3ee"),
    ("thesaurus", "#f3dcc4"),
    ("interop", "#f2cccc"),
    ("__main__", "#e4e4e4"),
)


def floors() -> list[dict[str, Any]]:
    """The table, from the ground up."""
    return list(tomllib.loads((HERE / "floors.toml").read_text(encoding="utf-8"))["floor"])


def drawn(language: str) -> str:
    """The house as an SVG, the ground at its foot."""
    rows = floors()
    height = (len(rows) + 1) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="14" role="img" aria-label="{escape(TITLE[language])}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-weight="bold" fill="#222">{escape(TITLE[language])}</text>',
    ]
    group = 0
    for level, row in enumerate(rows):
        y = height - (level + 1) * (HEIGHT + GAP)
        middle = y + HEIGHT / 2 + 5
        colour = GROUPS[group][1]
        names = " · ".join(row["rooms"])
        parts += [
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH - 2 * LEFT}" height="{HEIGHT}" rx="4" fill="{colour}" stroke="#555"/>',
            f'<text x="{LEFT + 12}" y="{middle}" font-family="monospace" font-weight="bold" fill="#222">{escape(names)}</text>',
            f'<text x="{LEFT + ROOM}" y="{middle}" fill="#222">{escape(row[language])}</text>',
        ]
        if GROUPS[group][0] in row["rooms"]:
            group += 1
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    for name in TITLE:
        (HERE / name / "floors.svg").write_text(drawn(name), encoding="utf-8")
