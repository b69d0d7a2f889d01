"""What a thesaurus answers with: concepts, and what was found out about them."""

from typing import Literal, NamedTuple, get_args

Measure = Literal["path", "wup", "lin"]
PartOfSpeech = Literal["noun", "verb", "adj", "adv"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


class Concept(NamedTuple):
    """One meaning, and the words that have it."""

    name: str  # as "dog.n.01": its first word, part of speech, and which sense of that word it is
    pos: str  # noun, verb, adj or adv
    words: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]


class SensePair(NamedTuple):
    """A sense of one word and one of another, with their similarities, from 0 to 1."""

    first: Concept
    second: Concept
    path: float
    wup: float
    lin: float | None  # None without counts


class Graph(NamedTuple):
    """Some concepts with all above them."""

    senses: list[str]  # the names of those asked about
    concepts: dict[str, Concept]
    above: dict[str, list[str]]


class Comparison(NamedTuple):
    """Two words side by side."""

    pairs: list[SensePair]  # the nearest by path first; empty if the words have no noun or verb senses to compare
    shared: list[Concept]  # meanings that both words have
    common: Concept | None  # the lowest concept above the first pair; None if there is no pair, or no such concept
    up_first: list[Concept]  # from the first sense of that pair to `common`, both included
    up_second: list[Concept]

    @property
    def edges(self) -> int:
        """Of the shortest way between the first pair, as `path` counts them."""
        return round(1 / self.pairs[0].path) - 1

    def best(self, measure: Measure) -> SensePair | None:
        """The most similar pair by one measure."""
        measured = [pair for pair in self.pairs if getattr(pair, measure) is not None]
        return max(measured, key=lambda pair: float(getattr(pair, measure)), default=None)


class Relative(NamedTuple):
    """A word near another one on the map."""

    word: str
    path: float
    concept: Concept
