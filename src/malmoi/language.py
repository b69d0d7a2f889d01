"""Sentences in English and Korean, read from a TOML file: each key has both, side by side, so that neither is forgotten."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "ko"]


@cache
def read_sentences(path: Path) -> dict[str, dict[str, str]]:
    """Key -> language -> sentence with {} where values go."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Teller:
    """Says things in one language."""

    def __init__(self, language: Language, sentences: Path) -> None:
        self.language, self.sentences = language, sentences

    def __call__(self, key: str, *values: object) -> str:
        return read_sentences(self.sentences)[key][self.language].format(*values)

    def has(self, key: str) -> bool:
        return key in read_sentences(self.sentences)
