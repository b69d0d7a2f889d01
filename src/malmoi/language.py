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
