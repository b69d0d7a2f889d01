"""Formulas in plain text, as "z = x_t Wx + h_{t−1} Wh + b", set as mathematics in HTML.

One letter is a variable and stands in italics, words (softmax, ln) are upright, `_` lowers and `^` raises, a capital with one
or two small letters is a name with an index (Wx), and "∂L/∂W" without spaces becomes a fraction.
"""

import re

from malmoi.pages.document import escape

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵀ", "0123456789+−()T")
_INDEX = r"\{[^{}]*\}|[^\W_]+"
_BASE = r"(?P<base>∂?[^\W\d_⁰¹²³⁴-⁹⁽⁾ᵀ]+[\u0300-\u036f]?)(?P<raised>[⁰¹²³⁴-⁹⁺⁻⁽⁾ᵀ]*)(?P<prime>[′']*)"
_ATOM = rf"{_BASE}(?:_(?P<low>{_INDEX}))?(?:\^(?P<high>{_INDEX}))?"
_NAMELESS = re.sub(r"\?P<\w+>", "?:", _ATOM)
_PIECES = re.compile(
    rf"(?P<fraction>(?P<over>{_NAMELESS})/(?P<under>{_NAMELESS}))|(?P<atom>{_NAMELESS})"
    r"|(?P<number>\d[\d.,]*\d|\d)|(?P<space>\s+)|(?P<sign>\+=|.)",
    re.DOTALL,
)
_WIDE = frozenset((*"=+−-·×⊙←→≈|≤≥<>∝∗", "+="))  # signs that get more room where the plain text has a space


def formula(text: str) -> str:
    """A formula, or several between semicolons or line ends, as HTML; each stands in one unbroken span where it fits."""
    parts = [part.strip() for part in _apart(text)]
    return " ".join(f'<span class="eq">{symbol(part)}</span>' for part in parts if part)


def _apart(text: str) -> list[str]:
    """Cut at line ends, and at the semicolons that stand in no bracket: P(w; W) is one formula."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "\n" or (character == ";" and depth <= 0):
            parts.append("")
        else:
            parts[-1] += character
    return parts


def symbol(text: str) -> str:
    """One formula or name as HTML."""
    shown = ""
    for piece in _PIECES.finditer(text):
        if piece["fraction"]:
            shown += (
                f'<span class="frac"><span>{symbol(piece["over"])}</span><span>{symbol(piece["under"])}</span></span>'
            )
        elif piece["atom"]:
            shown += _atom(piece["atom"])
        elif (
            piece["sign"] and piece["sign"] in _WIDE and text[piece.start() - 1 : piece.start()].isspace()
        ):  # −1 stays close
            shown += f'<span class="sign">{escape(piece["sign"])}</span>'
        elif piece["sign"] == "ᵀ":
            shown += "<sup>T</sup>"
        elif piece["sign"] == "‖":
            shown += '<span class="norm">‖</span>'
        else:
            shown += escape(piece[0])
    return shown


def _atom(text: str) -> str:
    """A variable or a word with what stands above and below it."""
    found = re.fullmatch(_ATOM, text)
    assert found is not None  # _PIECES found it by the same pattern
    base, low = found["base"], found["low"] or ""
    before = ""
    if base.startswith("∂"):
        before, base = "∂", base[1:]
    if low.startswith("{"):
        low = low[1:-1]
    if re.fullmatch(r"[A-Z][a-z]{1,2}", base) and not low:
        base, low = base[0], base[1:]
    shown = before + (f"<var>{escape(base)}</var>" if len(base) == 1 else f'<span class="word">{escape(base)}</span>')
    high = found["high"] or found["raised"].translate(_RAISED)
    high = high[1:-1] if high.startswith("{") else high
    shown += escape(found["prime"])
    above, below = (f"<{tag}>{symbol(part)}</{tag}>" if part else "" for tag, part in (("sup", high), ("sub", low)))
    return f'{shown}<span class="both">{above}{below}</span>' if above and below else shown + above + below
