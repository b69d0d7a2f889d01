"""A thesaurus: what people wrote down about the meanings of words, in place of what a program read about their company.

WordNet gathers words with one meaning into a concept ("synset"), and puts concepts above one another: a dog is a kind of
canine. On that map similarity can be measured, with NLTK's functions:

    path(a, b) = 1 / (1 + edges of the shortest way from a up to a common concept and down to b)
    wup(a, b)  = 2 depth(c) / (len(a, c) + len(b, c) + 2 depth(c))        c the lowest common concept, depth of the top is 1
    lin(a, b)  = 2 IC(c) / (IC(a) + IC(b))                                c the common concept that tells most (`information`)

Each is 1 for a concept with itself. Two words are as similar as their most similar pair of senses. Only nouns and verbs
have concepts above them; verbs have many tops, which path and wup join under one made-up top.

Source: Miller 1995; Rada et al. 1989 for path; Wu & Palmer 1994; Lin 1998, "An information-theoretic definition of similarity".
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from malmoi.errors import ConfigError, DataError
from malmoi.text.sources import TextSource
from malmoi.thesaurus import information
from malmoi.thesaurus.concepts import (
    MEASURES,
    Comparison,
    Concept,
    Graph,
    Measure,
    PartOfSpeech,
    Relative,
    SensePair,
)
from malmoi.thesaurus.files import SENSE_COUNTS, understood
from malmoi.thesaurus.spelling import missing_word
from malmoi.thesaurus.wordnet import find_data, open_reader

LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
NAMES = {**{letter: name for name, letter in LETTERS.items()}, "s": "adj"}
MOST_WAYS = 10_000  # up from one concept; WordNet has at most 12
MOST_VISITED = 20_000  # concepts that `neighbours` looks at
FARTHEST = 8  # edges that `neighbours` goes


class Thesaurus:
    """WordNet, read from local files.

    Args:
        data: The folder with its files; left out, that of MALMOI_WORDNET, or /usr/share/wordnet.
        counts: English text, or a file of it, to count words in for Lin's measure; left out, the counts that come with WordNet.

    Raises:
        MissingExtraError: If NLTK is not installed.
        DataError: If WordNet is not there, or damaged.
    """

    def __init__(self, data: str | Path | None = None, *, counts: TextSource | str | Path | None = None) -> None:
        self.folder = find_data(data)
        self._reader = open_reader(self.folder)
        self._text = TextSource(counts) if isinstance(counts, str | Path) else counts
        self._information: information.Information | None = None
        self._sense_counts: dict[str, int] | None = None
        self._ways: dict[str, int] = {}
        self._known: dict[str, tuple[Concept, Any]] = {}  # by name: ours and NLTK's
        self._measured: dict[tuple[str, str, str], float] = {}

    def __contains__(self, word: str) -> bool:
        return self.has(word)

    def has(self, word: str, pos: PartOfSpeech | None = None) -> bool:
        """Whether a word, or a form of it, is in WordNet."""
        return bool(self._synsets(word, pos))

    @property
    def version(self) -> str:
        """As "3.0"; empty if the files do not say."""
        with understood(self.folder):
            return self._reader.get_version() or ""

    # One word

    def senses(self, word: str, pos: PartOfSpeech | None = None) -> list[Concept]:
        """What a word can mean, in WordNet's order: the usual meanings of each part of speech first.

        Raises:
            DataError: If WordNet lacks the word; with near spellings.
        """
        return [self._concept(synset) for synset in self._found(word, pos)]

    def synonyms(self, word: str, pos: PartOfSpeech | None = None) -> list[str]:
        """The other words of its senses."""
        words = [other for sense in self.senses(word, pos) for other in sense.words]
        return [other for other in dict.fromkeys(words) if other.lower() != word.lower()]

    def count(self, word: str, concept: Concept) -> int:
        """How often WordNet's tagged text has a word (any form of it) in this sense; 0 if it came without counts."""
        keys = [lemma.key() for lemma in self._synset(concept).lemmas() if _plain(lemma.name()).lower() == word.lower()]
        return sum(self._counts().get(key, 0) for key in keys)

    def hypernyms(self, word: str, pos: PartOfSpeech | None = None) -> Graph:
        """The concepts above a word's senses, up to the top."""
        return self.graph(self.senses(word, pos))

    def graph(self, concepts: Sequence[Concept]) -> Graph:
        """Concepts with all above them."""
        found, above = dict[str, Concept](), dict[str, list[str]]()
        waiting = [self._synset(concept) for concept in concepts]
        for synset in waiting:  # which grows
            concept = self._concept(synset)
            if concept.name not in found:
                found[concept.name] = concept
                parents = self._above(synset)
                above[concept.name] = list(dict.fromkeys(self._concept(parent).name for parent in parents))
                waiting.extend(parents)
        return Graph([concept.name for concept in concepts], found, above)

    def neighbours(self, word: str, k: int = 10, pos: PartOfSpeech | None = None) -> list[Relative]:
        """The k words nearest by path to the usual (first) sense of a word; of those equally near, the more frequent first.

        Raises:
            ConfigError: If k is below 1.
            DataError: If WordNet lacks the word.
        """
        if k < 1:
            raise ConfigError(f"The {k} nearest words were asked for. Expected 1 or more. Ask for more.")
        found: dict[str, Relative] = {}
        own = {word.lower(), *(_plain(form).lower() for form in self._forms(word))}
        for edges, concepts in enumerate(self._rings(self._found(word, pos)[0])):
            near = [(concept, other) for concept in concepts for other in concept.words if other.lower() not in own]
            if edges:
                near.sort(key=lambda pair: -self.count(pair[1], pair[0]))
            for concept, other in near:
                found.setdefault(other.lower(), Relative(other, 1 / (1 + edges), concept))
            if len(found) >= k:
                break
        return list(found.values())[:k]

    def _rings(self, start: Any) -> Iterator[list[Concept]]:
        """The concepts 0, 1, 2... edges away: some edges up and the rest down, as `path` goes."""
        yield [self._concept(start)]
        above, below = (
            {start.name(): start},
            dict[str, Any](),
        )  # those of the last ring: by a way up alone; and down at last
        climbed, seen = {start.name()}, {start.name()}
        for _ in range(FARTHEST):
            lower = {child.name(): child for synset in (above | below).values() for child in self._below(synset)}
            higher = {parent.name(): parent for synset in above.values() for parent in self._above(synset)}
            above = {name: synset for name, synset in higher.items() if name not in climbed}
            climbed |= above.keys()
            below = {name: synset for name, synset in lower.items() if name not in seen}
            ring = {name: synset for name, synset in (above | below).items() if name not in seen}
            seen |= ring.keys()
            yield [self._concept(synset) for synset in ring.values()]
            if len(seen) > MOST_VISITED:
                return

    # Two words

    def similarity(
        self, first: str, second: str, measure: Measure = "path", pos: PartOfSpeech | None = None
    ) -> float | None:
        """How similar two words are, from 0 to 1; None if they have no noun or verb senses to compare.

        Raises:
            DataError: If WordNet lacks a word, or Lin's measure has no counts.
        """
        if measure == "lin" and self.information() is None:
            raise DataError(
                f"Lin's measure needs counts, and {self.folder} has no {SENSE_COUNTS}. Expected WordNet's sense counts or a "
                "text to count words in. Give an English text with --counts."
            )
        values = [self._measure(measure, one, other) for one, other in self._pairs(first, second, pos)]
        return max((value for value in values if value is not None), default=None)

    def compare(self, first: str, second: str, pos: PartOfSpeech | None = None) -> Comparison:
        """All pairs of senses, and where the nearest pair meets.

        Raises:
            DataError: If WordNet lacks a word.
        """
        found = [self._sense_pair(one, other) for one, other in self._pairs(first, second, pos)]
        pairs = sorted(found, key=lambda pair: -pair.path)
        others = {concept.name for concept in self.senses(second, pos)}
        shared = [concept for concept in self.senses(first, pos) if concept.name in others]
        if not pairs:
            return Comparison([], shared, None, [], [])
        one, other = (self._synset(concept) for concept in pairs[0][:2])
        with understood(self.folder):
            commons = one.lowest_common_hypernyms(other, use_min_depth=True)  # as Wu and Palmer's measure takes it
        if not commons:
            return Comparison(pairs, shared, None, [], [])
        common = one if one in commons else commons[0]
        return Comparison(pairs, shared, self._concept(common), self._way_up(one, common), self._way_up(other, common))

    def information(self) -> information.Information | None:
        """The information content behind Lin's measure, reckoned when it is first asked for; None without counts."""
        if self._information is None:
            if self._text is not None:
                lines = (line.text for line in self._text.lines())
                self._information = information.from_text(self.folder, lines, lambda form: self._synsets(form, None))
            elif counts := self._counts():
                self._information = information.from_sense_counts(self.folder, counts)
        return self._information

    def _pairs(self, first: str, second: str, pos: PartOfSpeech | None) -> list[tuple[Any, Any]]:
        ones, others = (
            [s for s in self._found(word, pos) if s.pos() in information.TAXONOMIES] for word in (first, second)
        )
        return [(one, other) for one in ones for other in others if one.pos() == other.pos()]

    def _sense_pair(self, one: Any, other: Any) -> SensePair:
        path, wup, lin = (self._measure(measure, one, other) for measure in MEASURES)
        assert path is not None
        assert wup is not None
        return SensePair(self._concept(one), self._concept(other), path, wup, lin)

    def _measure(self, measure: Measure, one: Any, other: Any) -> float | None:
        """How similar two senses are, by NLTK; None for Lin's measure without counts."""
        asked = (measure, one.name(), other.name())
        if asked not in self._measured:
            self._check_height(one)
            self._check_height(other)
            told = self.information() if measure == "lin" else None
            with understood(self.folder):
                if measure == "path":
                    value = one.path_similarity(other)
                elif measure == "wup":
                    value = one.wup_similarity(other)
                elif told is None:
                    return None
                else:  # a concept is like itself, also the top, which has no information
                    value = 1.0 if one == other else one.lin_similarity(other, told.counts)
                self._measured[asked] = float(value)
        return self._measured[asked]

    def _way_up(self, start: Any, end: Any) -> list[Concept]:
        """A shortest way from a concept to one above it."""
        came_from: dict[str, Any] = {start.name(): None}
        waiting = [start]
        for synset in waiting:  # which grows
            if synset == end:
                way = [synset]
                while (before := came_from[way[-1].name()]) is not None:
                    way.append(before)
                return [self._concept(step) for step in reversed(way)]
            for parent in self._above(synset):
                if came_from.setdefault(parent.name(), synset) is synset:
                    waiting.append(parent)
        raise AssertionError("a common concept is above both")

    # NLTK's concepts

    def _found(self, word: str, pos: PartOfSpeech | None) -> list[Any]:
        synsets = self._synsets(word, pos)
        if not synsets:
            raise missing_word(word, pos, self._synsets(word, None), self._reader.all_lemma_names)
        return synsets

    def _synsets(self, word: str, pos: PartOfSpeech | None) -> list[Any]:
        """A word's concepts, each once; inflected forms are brought back to those WordNet has."""
        with understood(self.folder):
            found = self._reader.synsets("_".join(word.split()), None if pos is None else LETTERS[pos])
            return list({synset.name(): synset for synset in found}.values())

    def _forms(self, word: str) -> list[str]:
        with understood(self.folder):
            asked = "_".join(word.lower().split())
            return [form for letter in LETTERS.values() if (form := self._reader.morphy(asked, letter))]

    def _synset(self, concept: Concept) -> Any:
        return self._known[concept.name][1]

    def _above(self, synset: Any) -> list[Any]:
        with understood(self.folder):
            return sorted({*synset.hypernyms(), *synset.instance_hypernyms()})

    def _below(self, synset: Any) -> list[Any]:
        with understood(self.folder):
            return sorted({*synset.hyponyms(), *synset.instance_hyponyms()})

    def _concept(self, synset: Any) -> Concept:
        known = self._known.get(synset.name())
        if known is None:
            with understood(self.folder):
                words = tuple(dict.fromkeys(_plain(name) for name in synset.lemma_names()))
                gloss, examples = synset.definition(), tuple(synset.examples())
                known = Concept(synset.name(), NAMES[synset.pos()], words, gloss, examples), synset
            self._known[synset.name()] = known
        return known[0]

    def _counts(self) -> dict[str, int]:
        if self._sense_counts is None:
            self._sense_counts = information.read_sense_counts(self.folder) or {}
        return self._sense_counts

    def _check_height(self, synset: Any, depth: int = 0) -> int:
        """In how many ways one gets from a concept to the top. NLTK follows each of them, which damaged files can make endless.

        Raises:
            DataError: If there are far more ways, or far longer ones, than in WordNet.
        """
        ways = self._ways.get(synset.name())
        if ways is None:
            ways = 0
            if depth <= information.DEEPEST:
                ways = sum(self._check_height(parent, depth + 1) for parent in self._above(synset)) or 1
            if not 0 < ways <= MOST_WAYS:
                raise DataError(
                    f"{self.folder} is damaged: there are more than {MOST_WAYS:,} ways, or one of more than "
                    f"{information.DEEPEST} steps, up from {synset.name()}. Expected WordNet 3.x as it was published."
                )
            self._ways[synset.name()] = ways
        return ways


def _plain(name: str) -> str:
    return name.replace("_", " ")
