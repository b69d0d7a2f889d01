"""What malmoi says to people, in English and Korean: sentences in texts/*.toml, both languages side by side, so that neither is
forgotten.

    tell = Teller("ko", "explanation")
    tell("layer", layer=2)  # "2층"
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "ko"]
Catalogue = Literal[
    "comparison", "demo", "explanation", "explanation_page", "progress", "thesaurus", "vector_comparison", "vector_map"
]  # a file in texts/ each


@cache
def read_texts(catalogue: Catalogue) -> dict[str, dict[Language, str]]:
    """Key -> language -> sentence, with {name} where a value goes.

    What is said of one rung alone stands in a file of its own, `texts/rungs/NAME.toml`, by catalogue.
    """
    folder = Path(__file__).parent / "texts"
    texts: dict[str, dict[Language, str]] = _read(folder / f"{catalogue}.toml")
    for path in sorted((folder / "rungs").glob("*.toml")):
        texts |= _read(path).get(catalogue, {})
    return texts


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Teller:
    """Says things in one language, in the words of one catalogue."""

    def __init__(self, language: Language, catalogue: Catalogue) -> None:
        self.language, self.catalogue = language, catalogue

    def __call__(self, key: str, /, **values: object) -> str:
        return read_texts(self.catalogue)[key][self.language].format(**values)

    def has(self, key: str) -> bool:
        return key in read_texts(self.catalogue)
