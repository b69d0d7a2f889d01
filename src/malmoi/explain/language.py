"""What explanations say; the sentences stand in texts.toml, those of the page around them in page.toml."""

from pathlib import Path

from malmoi.language import Language, read_sentences

SENTENCES = Path(__file__).with_name("texts.toml")


class Teller:
    """Says things in one language."""

    def __init__(self, language: Language, sentences: Path = SENTENCES) -> None:
        self.language, self.sentences = language, sentences

    def __call__(self, key: str, *values: object) -> str:
        return read_sentences(self.sentences)[key][self.language].format(*values)

    def has(self, key: str) -> bool:
        return key in read_sentences(self.sentences)
