"""What explanations say; the sentences stand in texts.toml, those of the page around them in page.toml."""

from pathlib import Path

from malmoi.language import Language
from malmoi.language import Teller as Sentences

SENTENCES = Path(__file__).with_name("texts.toml")


class Teller(Sentences):
    """Says things in one language."""

    def __init__(self, language: Language, sentences: Path = SENTENCES) -> None:
        super().__init__(language, sentences)
