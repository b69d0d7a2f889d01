"""Words and figures of what is told about a thesaurus; the sentences stand in texts.toml."""

from pathlib import Path

from malmoi.language import Language
from malmoi.language import Teller as Sentences

SENTENCES = Path(__file__).with_name("texts.toml")


class Teller(Sentences):
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        super().__init__(language, SENTENCES)


def figure(value: float | None, digits: int = 4) -> str:
    """A similarity as people read it; a dash if there is none."""
    return "—" if value is None else f"{value:.{digits}f}"
