"""A web page as one file that needs nothing else: no network, no other file; what every such page of malmoi has in common.

What stands in a page may come from any text, so everything is escaped: as HTML where it is shown, and in the data of its
scripts so that no "</script>" can end them early. A content security policy in the page forbids every request.
"""

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from malmoi.text.printable import printable_text

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def document(language: str, title: str, *, style: str, body: str, data: Any, scripts: Iterable[str]) -> str:
    """The text of the file.

    Args:
        language: Of its words, as "ko".
        title: As plain text.
        style: CSS of this page; colours, fonts and headings of all pages come before it.
        body: Finished HTML, already escaped.
        data: For the scripts, which find it as JSON in the element "data". NaN and infinity raise ValueError.
        scripts: Whole scripts, in order.
    """
    told = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")
    return "".join(
        (
            f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n',
            f"<title>{escape(title)} · malmoi</title>\n",
            f"<style>{beside(__file__, 'document.css')}{style}</style>\n</head>\n<body>\n",
            body,
            f'<script type="application/json" id="data">{told}</script>\n',
            *(f"<script>{script}</script>\n" for script in scripts),
            "</body>\n</html>\n",
        )
    )


def beside(module: str, name: str) -> str:
    """The text of a file that stands beside a module (its `__file__`)."""
    return Path(module).with_name(name).read_text(encoding="utf-8")


def report_style() -> str:
    """CSS that reports share which set models side by side; their own comes after it."""
    return beside(__file__, "report.css")


def escape(text: object) -> str:
    """Text as HTML, in which control characters may not stand: they are written out, as \\x1b."""
    return html.escape(printable_text(str(text)), quote=True)


def with_code(text: str) -> str:
    """Text as HTML, with what stands between back-quotes as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))
