"""Arithmetic with words: `왕 - 남자 + 여자`, `0.5 * (paris + london)`, `"a b" - c`.

    sum      = product (("+" | "-") product)*
    product  = factor (("*" | "/") factor)*
    factor   = "-" factor | "(" sum ")" | word | number

White space stands around an operator, because a word may hold any other character: `co-operate`, `C++` and `+82` are words.
Brackets may touch the word they open before or close after. A number is a factor only beside `*` or `/`; elsewhere, as in
`2002 - 2001`, it is a word. Quotes, single or double, make a word of anything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError

DEEPEST = 50  # brackets within brackets
LONGEST = 10_000  # characters
MOST_TIMES = 10  # that a word may count in `signed_words`
_PIECE = re.compile(
    r"""\s*(?:"(?P<double>[^"]+)"(?=[\s)]|$)|'(?P<single>[^']+)'(?=[\s)]|$)|(?P<open>\((?=.))|(?P<plain>\S+))"""
)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}")
_OPERATORS = {"+": "+", "-": "-", "\N{MINUS SIGN}": "-", "*": "*", "\N{MULTIPLICATION SIGN}": "*", "/": "/"}


@dataclass(frozen=True)
class _Token:
    kind: str  # an operator, "(", ")", "word", "quoted", "number" or "end"
    text: str


@dataclass
class _Reader:
    """Reads tokens from left to right, and reckons as it goes."""

    expression: str
    tokens: list[_Token]
    vector: Callable[[str], NDArray[np.float32]]
    words: list[str]
    at: int = 0
    depth: int = 0

    def refuse(self, problem: str) -> NoReturn:
        raise DataError(
            f"Cannot reckon {self.expression[:60]!r}: {problem}. Expected words with + and - between them, as in "
            "king - man + woman. Put white space around operators, and quotes around a word that holds white space."
        )

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def sum(self) -> Any:
        value = self.product()
        while self.tokens[self.at].kind in ("+", "-"):
            operator, other = self.take().kind, self.product()
            if isinstance(value, float) != isinstance(other, float):
                self.refuse("a number cannot be added to a word")
            value = value + other if operator == "+" else value - other
        return value

    def product(self) -> Any:
        value = self.factor()
        while self.tokens[self.at].kind in ("*", "/"):
            operator, other = self.take().kind, self.factor()
            if not isinstance(other, float) and (operator == "/" or not isinstance(value, float)):
                self.refuse(
                    "words are multiplied by numbers only" if operator == "*" else "words are divided by numbers only"
                )
            if operator == "/" and other == 0:
                self.refuse("a division by 0")
            value = value * other if operator == "*" else value / other
        return value

    def factor(self) -> Any:
        token = self.take()
        if token.kind in ("-", "("):
            self.depth += 1
            if self.depth > DEEPEST:
                self.refuse(f"more than {DEEPEST} brackets within brackets")
            value = -self.factor() if token.kind == "-" else self.sum()
            if token.kind == "(" and (found := self.take()).kind != ")":
                self.refuse(f"found {found.text!r} where a bracket should be closed")
            self.depth -= 1
            return value
        if token.kind == "number":
            return float(token.text)
        if token.kind not in ("word", "quoted"):
            self.refuse(f"found {token.text!r} where a word should stand")
        try:
            value = self.vector(token.text)
        except DataError as error:
            if any(operator in token.text for operator in _OPERATORS):
                raise DataError(f"{error} In expressions, put white space around operators.") from None
            raise
        self.words.append(token.text)
        return value


def reckon(expression: str, vector: Callable[[str], NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[str]]:
    """The value of an expression, and the words in it.

    Args:
        expression: See the head of this file.
        vector: The vector (D,) of a word.

    Raises:
        DataError: If the expression is none, or its value is a number.
    """
    if len(expression) > LONGEST:
        raise DataError(f"An expression of {len(expression):,} characters. Expected at most {LONGEST:,}. Shorten it.")
    reader = _Reader(expression, _tokens(expression), vector, [])
    value = reader.sum()
    if reader.tokens[reader.at].kind != "end":
        reader.refuse(f"found {reader.tokens[reader.at].text!r} after the end")
    if isinstance(value, float):
        reader.refuse("there is no word in it")
    return np.asarray(value, np.float32), reader.words


def signed_words(expression: str) -> tuple[list[str], list[str]]:
    """(words that are added, words that are taken away), each as often as it counts; for 3CosMul, which adds nothing.

    Raises:
        DataError: If the expression is none, or a word counts by half or not at all.
    """
    words = list(dict.fromkeys(reckon(expression, lambda word: np.zeros(1, np.float32))[1]))
    directions = dict(zip(words, np.eye(len(words), dtype=np.float32), strict=True))
    counts = reckon(expression, directions.__getitem__)[0]
    added, taken = list[str](), list[str]()
    for word, count in zip(words, counts.tolist(), strict=True):
        if not count or count != round(count) or abs(count) > MOST_TIMES:
            raise DataError(
                f"{word!r} counts {count:g} times in {expression[:60]!r}. Expected, for 3cosmul, words that are added or taken "
                f"away once or several times, at most {MOST_TIMES}. Change the expression, or use 3cosadd."
            )
        (added if count > 0 else taken).extend([word] * round(abs(count)))
    return added, taken


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(expression.rstrip())
    while at < end:
        match = _PIECE.match(expression, at, end)
        assert match is not None  # there is a character that is no white space
        at = match.end()
        if match["open"]:
            tokens.append(_Token("(", "("))
        elif (quoted := match["double"] or match["single"]) is not None:
            tokens.append(_Token("quoted", quoted))
            while at < end and expression[at] == ")":
                tokens.append(_Token(")", ")"))
                at += 1
        else:
            text = match["plain"].rstrip(")")
            if text:
                tokens.append(_Token(_OPERATORS.get(text, "word"), text))
            tokens += [_Token(")", ")")] * (len(match["plain"]) - len(text))
    for i, token in enumerate(tokens):
        beside = tokens[max(0, i - 1) : i + 2]
        if token.kind == "word" and _NUMBER.fullmatch(token.text) and any(t.kind in ("*", "/") for t in beside):
            tokens[i] = _Token("number", token.text)
    return [*tokens, _Token("end", "the end")]
