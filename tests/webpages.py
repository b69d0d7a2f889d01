"""Reads a page as a browser would, and checks that it asks for nothing and that hostile text stays text."""

import re
from html.parser import HTMLParser

from malmoi.pages.document import POLICY

HOSTILE = [
    "<script>alert(1)</script> & \"quotes\" 'too'",
    "</script><img src=x onerror=alert(2)> </style> <!-- ]]> -->",
    "<b>굵게</b> {{7*7}} ${7*7} \\u003cscript\\u003e \u2028 &lt;i&gt;",
    "<a href='https://example.com/'>여기</a> javascript:alert(3)",
]


class Reader(HTMLParser):
    """Tags, their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.text, self.scripts = "", list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):  # they have no end
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif not self.stack or self.stack[-1] != "style":
            self.text += data


def asks_for_nothing(page: Reader) -> None:
    """No element loads anything, links stay inside the page, and the page forbids every request."""
    for tag, attributes in page.tags:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "poster", "background"}, (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        if "href" in attributes:
            assert (attributes["href"] or "").startswith("#")
    policies = [
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [POLICY]
    assert POLICY.startswith("default-src 'none'")


def only_text(css: str, js: str) -> None:
    """Style and script load nothing and turn no text into markup."""
    assert "url(" not in css
    assert "@import" not in css
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp|https?:", js)
