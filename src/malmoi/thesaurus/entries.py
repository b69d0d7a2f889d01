"""All that there is to tell about one word, or about two, with vectors beside the thesaurus where there are any."""

from typing import TYPE_CHECKING, Any, NamedTuple

from malmoi.evaluation.similarity import Lookup
from malmoi.thesaurus.concepts import MEASURES, Comparison, Concept, Graph, PartOfSpeech

if TYPE_CHECKING:
    from malmoi.thesaurus.thesaurus import Thesaurus
    from malmoi.vectors import Vectors


class Beside(NamedTuple):
    """A word near another one."""

    word: str
    path: float | None  # None if WordNet lacks the word, or has no way to it
    cosine: float | None  # None if there are no vectors, or none of the word


class Entry(NamedTuple):
    """One word."""

    word: str
    version: str
    senses: list[Concept]
    counts: list[int]  # how often each was seen in WordNet's tagged text
    synonyms: list[str]
    graph: Graph  # above the first senses
    wordnet: list[Beside]  # nearest to the first sense
    vectors: list[Beside]  # nearest by cosine; empty without vectors


class Pair(NamedTuple):
    """Two words."""

    first: str
    second: str
    version: str
    found: Comparison
    graph: Graph  # above the nearest senses
    cosine: float | None
    source: str  # of Lin's counts: "wordnet" or "text"; empty if there are none
    n_seen: float


def look_up(
    thesaurus: "Thesaurus",
    word: str,
    pos: PartOfSpeech | None = None,
    vectors: "Vectors | None" = None,
    *,
    k: int = 10,
    n_drawn: int = 3,
) -> Entry:
    """Everything about one word.

    Args:
        thesaurus: WordNet.
        word: The word.
        pos: Its part of speech; None for all.
        vectors: What to set beside it.
        k: How many near words.
        n_drawn: Of how many senses the graph shows what is above.

    Raises:
        ConfigError: If k is below 1.
        DataError: If WordNet, or the vectors, lack the word.
    """
    senses = thesaurus.senses(word, pos)
    near = thesaurus.neighbours(word, k, pos)
    return Entry(
        word,
        thesaurus.version,
        senses,
        [thesaurus.count(word, sense) for sense in senses],
        thesaurus.synonyms(word, pos),
        thesaurus.graph(senses[:n_drawn]),
        [Beside(other.word, other.path, cosine(vectors, word, other.word)) for other in near],
        [] if vectors is None else _nearest_by_vectors(thesaurus, vectors, word, k, pos),
    )


def set_beside(
    thesaurus: "Thesaurus",
    first: str,
    second: str,
    pos: PartOfSpeech | None = None,
    vectors: "Vectors | None" = None,
) -> Pair:
    """Everything about two words.

    Raises:
        DataError: If WordNet lacks one of them.
    """
    found = thesaurus.compare(first, second, pos)
    drawn = list(dict.fromkeys(found.pairs[0][:2] if found.pairs else found.shared[:1]))
    told = thesaurus.information()
    return Pair(
        first,
        second,
        thesaurus.version,
        found,
        thesaurus.graph(drawn),
        cosine(vectors, first, second),
        told.source if told else "",
        told.n_seen if told else 0.0,
    )


def cosine(vectors: "Vectors | None", first: str, second: str) -> float | None:
    """Of two words; None if one has no vector."""
    if vectors is None:
        return None
    lookup = Lookup(vectors, lower=True)
    one, other = lookup.unit(first), lookup.unit(second)
    return None if one is None or other is None else vectors.cosine(one, other)


def _nearest_by_vectors(
    thesaurus: "Thesaurus", vectors: "Vectors", word: str, k: int, pos: PartOfSpeech | None
) -> list[Beside]:
    written = Lookup(vectors, lower=True).word(word) or word
    rows = []
    for near in vectors.similar(written, k):
        path = thesaurus.similarity(word, near.word, "path", pos) if thesaurus.has(near.word, pos) else None
        rows.append(Beside(near.word, path, near.cosine))
    return rows


# For JSON


def entry_to_dict(entry: Entry) -> dict[str, Any]:
    senses = [{**_concept(s), "seen": n} for s, n in zip(entry.senses, entry.counts, strict=True)]
    return {
        "word": entry.word,
        "wordnet_version": entry.version,
        "senses": senses,
        "synonyms": entry.synonyms,
        "graph": {
            "senses": entry.graph.senses,
            "concepts": [
                {**_concept(concept), "above": entry.graph.above[concept.name]}
                for concept in entry.graph.concepts.values()
            ],
        },
        "nearest_in_wordnet": [row._asdict() for row in entry.wordnet],
        "nearest_by_vectors": [row._asdict() for row in entry.vectors],
    }


def pair_to_dict(pair: Pair) -> dict[str, Any]:
    found = pair.found
    best: dict[str, Any] = {}
    for measure in MEASURES:
        senses = found.best(measure)
        if senses is not None:
            value = getattr(senses, measure)
            best[measure] = {"similarity": value, "senses": [senses.first.name, senses.second.name]}
    return {
        "words": [pair.first, pair.second],
        "wordnet_version": pair.version,
        "best": best,
        "cosine": pair.cosine,
        "lin_counts": {"source": pair.source, "seen": pair.n_seen} if pair.source else None,
        "common": _concept(found.common) if found.common else None,
        "up_first": [concept.name for concept in found.up_first],
        "up_second": [concept.name for concept in found.up_second],
        "shared": [_concept(concept) for concept in found.shared],
        "pairs": [
            {"senses": [p.first.name, p.second.name], **{measure: getattr(p, measure) for measure in MEASURES}}
            for p in found.pairs
        ],
    }


def _concept(concept: Concept) -> dict[str, Any]:
    return concept._asdict()
