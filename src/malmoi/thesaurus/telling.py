"""Words and figures of what is told about a thesaurus; the sentences stand in texts.toml."""

from pathlib import Path

from malmoi.language import Language, read_sentences

SENTENCES = Path(__file__).with_name("texts.toml")


class Teller:
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, *values: object) -> str:
        return read_sentences(SENTENCES)[key][self.language].format(*values)


def figure(value: float | None, digits: int = 4) -> str:
    """A similarity as people read it; a dash if there is none."""
    return "—" if value is None else f"{value:.{digits}f}"
