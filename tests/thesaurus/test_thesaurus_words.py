"""Senses, synonyms and what stands above, on a thesaurus of a dozen concepts; the measures worked out by hand on it."""

import math
from itertools import product
from pathlib import Path

import pytest
from tiny_wordnet import ENTRIES, Entry, write_wordnet

from malmoi.errors import ConfigError, DataError
from malmoi.text.sources import TextSource
from malmoi.thesaurus import MEASURES, Thesaurus


def test_senses_come_in_order_with_their_words_and_glosses(tiny: Thesaurus) -> None:
    senses = tiny.senses("dog")
    assert [(sense.name, sense.pos) for sense in senses] == [
        ("dog.n.01", "noun"),
        ("hammer.n.01", "noun"),
        ("run.v.01", "verb"),
    ]
    assert senses[0].words == ("dog", "hound dog")
    assert senses[0].gloss == "an animal that barks"
    assert tiny.senses("animal")[0].examples == ("an animal ran by",)
    assert [sense.name for sense in tiny.senses("dog", "verb")] == ["run.v.01"]
    assert tiny.senses("hound dog") == tiny.senses("Hound_Dogs") == senses[:1]


def test_synonyms_counts_and_version(tiny: Thesaurus) -> None:
    assert tiny.synonyms("dog") == ["hound dog", "hammer", "run"]
    assert tiny.synonyms("happy") == ["glad"]
    assert [tiny.count("dog", sense) for sense in tiny.senses("dog")] == [6, 0, 0]
    assert tiny.version == "3.0"
    assert "dogs" in tiny
    assert "cat" not in tiny


def test_the_graph_holds_everything_above(tiny: Thesaurus) -> None:
    graph = tiny.hypernyms("dog", "noun")
    assert graph.senses == ["dog.n.01", "hammer.n.01"]
    assert graph.above == {
        "dog.n.01": ["animal.n.01", "pet.n.01"],
        "hammer.n.01": ["tool.n.01"],
        "animal.n.01": ["being.n.01"],
        "pet.n.01": ["being.n.01"],
        "being.n.01": ["thing.n.01"],
        "tool.n.01": ["thing.n.01"],
        "thing.n.01": [],
    }
    assert tiny.hypernyms("Rex").above["rex.n.01"] == ["dog.n.01"]  # an instance of


# The nearest senses of dog and bird meet at animal, the third from the top: 2 edges; 2 * 3 / (1 + 1 + 2 * 3).
# Seen, with one more for each concept: thing 1, being 2, animal 3, pet 1, dog 7, bird 4, sparrow 1, tool 2, hammer 2, Rex 1.
# Together 24; from animal down 3 + 7 + 4 + 1 + 1 = 16, from dog 7 + 1 = 8, from bird 4 + 1 = 5, from pet 1 + 7 + 1 = 9.
WORKED = [
    ("dog", "bird", "path", 1 / 3),
    ("dog", "bird", "wup", 6 / 8),
    ("dog", "bird", "lin", 2 * math.log(24 / 16) / (math.log(24 / 8) + math.log(24 / 5))),
    ("dog", "pet", "path", 1 / 2),
    ("dog", "pet", "wup", 6 / 7),
    ("dog", "pet", "lin", 2 * math.log(24 / 9) / (math.log(24 / 8) + math.log(24 / 9))),
    ("sparrow", "hammer", "path", 1 / 7),
    ("sparrow", "hammer", "wup", 2 / (4 + 2 + 2)),
    ("sparrow", "hammer", "lin", 0.0),
    ("dog", "hammer", "path", 1.0),
    ("dog", "hammer", "lin", 1.0),
    ("thing", "thing", "lin", 1.0),  # the top has no information: 0 / 0 otherwise
    ("move", "think", "path", 1 / 3),  # under the made-up top of all verbs
]


@pytest.mark.parametrize(("first", "second", "measure", "value"), WORKED)
def test_measures_worked_by_hand(tiny: Thesaurus, first: str, second: str, measure: str, value: float) -> None:
    assert tiny.similarity(first, second, measure) == pytest.approx(value, rel=1e-12, abs=1e-15)
    assert tiny.similarity(second, first, measure) == pytest.approx(value, rel=1e-12, abs=1e-15)


def test_words_without_common_part_of_speech_have_no_similarity(tiny: Thesaurus) -> None:
    assert tiny.similarity("glad", "happy") is None
    assert tiny.similarity("bird", "think") is None
    assert tiny.similarity("dog", "bird", pos="noun") == pytest.approx(1 / 3)
    found = tiny.compare("glad", "happy")
    assert (found.pairs, found.common, found.best("path")) == ([], None, None)
    assert [concept.name for concept in found.shared] == ["glad.a.01"]


def test_a_comparison_shows_where_the_nearest_senses_meet(tiny: Thesaurus) -> None:
    found = tiny.compare("dog", "sparrow")
    assert [(pair.first.name, pair.path) for pair in found.pairs] == [
        ("dog.n.01", 1 / 4),
        ("hammer.n.01", 1 / 7),
    ]
    assert found.common is not None
    assert found.common.name == "animal.n.01"
    assert [concept.name for concept in found.up_first] == ["dog.n.01", "animal.n.01"]
    assert [concept.name for concept in found.up_second] == ["sparrow.n.01", "bird.n.01", "animal.n.01"]
    assert found.edges == 3
    assert tiny.compare("move", "think").common is None


def edges(above: dict[str, list[str]], start: str) -> dict[str, int]:
    """How far up each concept is, one step after another."""
    found, ring = {start: 0}, [start]
    while ring:
        ring = [parent for name in ring for parent in above[name] if parent not in found]
        found |= {name: 1 + min(found[low] for low in above if low in found and name in above[low]) for name in ring}
    return found


def test_path_is_the_shortest_way_over_a_common_concept(tiny: Thesaurus) -> None:
    nouns = [entry for entry in ENTRIES if entry.pos == "n"]
    above = {entry.name: [*entry.above, *entry.instance_of] for entry in nouns}
    for first, second in product(nouns, nouns):
        ups, others = edges(above, first.name), edges(above, second.name)
        shortest = min(ups[name] + others[name] for name in ups.keys() & others)
        found = [
            pair.path
            for pair in tiny.compare(first.words[0], second.words[0], "noun").pairs
            if (pair.first.words[0], pair.second.words[0]) == (first.words[0], second.words[0])
        ]
        assert found == [pytest.approx(1 / (1 + shortest))]


def test_neighbours_are_nearest_first_and_agree_with_path(tiny: Thesaurus) -> None:
    near = tiny.neighbours("dog", 20)
    assert [(other.word, round(1 / other.path) - 1) for other in near] == [
        ("hound dog", 0),
        ("animal", 1),  # seen more often than the others
        ("beast", 1),
        ("pet", 1),
        ("Rex", 1),
        ("bird", 2),
        ("being", 2),
        ("thing", 3),
        ("sparrow", 3),
        ("tool", 4),
        ("hammer", 5),
    ]
    assert tiny.neighbours("dogs", 2) == near[:2]
    assert tiny.neighbours("glad") == [("happy", 1.0, tiny.senses("glad")[0])]
    with pytest.raises(ConfigError, match="0 nearest words.*1 or more"):
        tiny.neighbours("dog", 0)


def test_counts_from_a_text_are_shared_out_among_senses(folder: Path) -> None:
    text = TextSource.from_texts(["The dog, the dogs!", "A bird."])
    told = Thesaurus(folder, counts=text).information()
    assert told is not None
    # dog has two senses as a noun and one as a verb: two words give each of them 2/3
    own = {"dog": 2 / 3, "hammer": 2 / 3, "bird": 1.0}
    names = {"animal": ["animal", "dog", "bird", "sparrow", "Rex"], "tool": ["tool", "hammer"]}
    place = {entry.name: int(line[:8]) for entry, line in zip(nouns(), data_lines(folder), strict=True)}
    for name, below in names.items():
        assert told.counts["n"][place[name]] == pytest.approx(sum(own.get(n, 0) + 1 for n in below))
    assert told.counts["n"][0] == pytest.approx(10 + 7 / 3) == told.counts["n"][place["thing"]]
    assert (told.n_seen, told.source) == (pytest.approx(3.0), "text")


def nouns() -> list[Entry]:
    return [entry for entry in ENTRIES if entry.pos == "n"]


def data_lines(folder: Path) -> list[str]:
    return [line for line in (folder / "data.noun").read_text().splitlines() if not line.startswith(" ")]


def test_without_counts_lin_is_left_out(folder: Path) -> None:
    (folder / "cntlist.rev").unlink()
    thesaurus = Thesaurus(folder)
    assert thesaurus.compare("dog", "bird").pairs[0].lin is None
    assert thesaurus.compare("dog", "bird").best("lin") is None
    assert thesaurus.count("dog", thesaurus.senses("dog")[0]) == 0
    with pytest.raises(DataError, match="Lin's measure needs counts.*cntlist.rev.*--counts"):
        thesaurus.similarity("dog", "bird", "lin")


def test_counts_may_be_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a dog and a bird\n")
    told = Thesaurus(folder, counts=tmp_path / "text.txt").information()
    assert told is not None
    assert told.n_seen == pytest.approx(2.0)


def test_a_text_without_known_words_is_refused(folder: Path) -> None:
    thesaurus = Thesaurus(folder, counts=TextSource.from_texts(["나는 학교에 간다"]))
    with pytest.raises(DataError, match="No noun or verb of the text is in WordNet.*--counts"):
        thesaurus.information()


@pytest.mark.parametrize(
    ("word", "pos", "message"),
    [
        ("강아지", None, "WordNet is a thesaurus of English, and '강아지' is Korean.*malmoi vectors similar"),
        ("sparow", None, "There is no 'sparow' in WordNet. Did you mean sparrow.*Choose another word"),
        ("zzz", None, "There is no 'zzz' in WordNet. Expected an English noun"),
        ("", None, "There is no '' in WordNet"),
        ("bird", "verb", "WordNet has no verb 'bird', though it has the word.*--pos"),
    ],
)
def test_a_missing_word_is_told_in_one_message(tiny: Thesaurus, word: str, pos: str | None, message: str) -> None:
    for ask in (tiny.senses, tiny.synonyms, tiny.hypernyms):
        with pytest.raises(DataError, match=message):
            ask(word, pos)
    with pytest.raises(DataError, match=message):
        tiny.compare("dog", word, pos)


def test_measures_are_between_0_and_1_and_1_for_a_word_with_itself(tiny: Thesaurus) -> None:
    words = [entry.words[0] for entry in ENTRIES if entry.pos in "nv"]
    parts = {word: {entry.pos for entry in ENTRIES if word in entry.words} for word in words}
    for measure in MEASURES:
        for first, second in product(words, words):
            value = tiny.similarity(first, second, measure)
            assert (value is None) == parts[first].isdisjoint(parts[second])
            assert 0 <= (value or 0) <= 1
        assert all(tiny.similarity(word, word, measure) == 1 for word in words)


def test_the_shortest_way_can_go_elsewhere(tmp_path: Path) -> None:
    # a and b meet high up in two steps (top), and low down (d3) in six: Wu and Palmer take the lower one
    chain = [Entry(f"d{i}", "n", (f"d{i}",), above=("top",) if i == 0 else (f"d{i - 1}",)) for i in range(7)]
    sides = [
        Entry(f"{s}{i}", "n", (f"{s}{i}",), above=("d6",) if i == 0 else (f"{s}{i - 1}",)) for s in "xy" for i in (0, 1)
    ]
    ends = [Entry(s, "n", (s,), above=("top", f"{t}1")) for s, t in (("a", "x"), ("b", "y"))]
    others = (Entry("v", "v", ("v",)), Entry("j", "a", ("j",)), Entry("r", "r", ("r",)))
    found = Thesaurus(write_wordnet(tmp_path, (Entry("top", "n", ("top",)), *chain, *sides, *ends, *others)))
    assert found.similarity("a", "b") == pytest.approx(1 / 3)
    compared = found.compare("a", "b")
    assert compared.common is not None
    assert (compared.edges, compared.common.name) == (2, "d6.n.01")
    assert len(compared.up_first) == len(compared.up_second) == 4
