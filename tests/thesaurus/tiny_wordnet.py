"""A thesaurus of a dozen concepts in WordNet's file layout (WNDB), written by the tests with glosses of their own.

                    thing
                   /     \\
              being       tool
             /     \\         \\
        animal      pet       hammer (tool, hammer)
        /    \\     /
     bird     dog            dog is a kind of animal and of pet
       |
    sparrow

Verbs have two tops: move > run, and think.
"""

from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    name: str  # for `above`
    pos: str
    words: tuple[str, ...]
    gloss: str = "a made-up meaning"
    above: tuple[str, ...] = ()
    instance_of: tuple[str, ...] = ()
    seen: int = 0  # of the first word


ENTRIES = (
    Entry("thing", "n", ("thing",), "whatever there is"),
    Entry("being", "n", ("being",), "a thing that lives", ("thing",), seen=1),
    Entry("animal", "n", ("animal", "beast"), 'a being that moves; "an animal ran by"', ("being",), seen=2),
    Entry("pet", "n", ("pet",), "a being kept for joy", ("being",)),
    Entry("dog", "n", ("dog", "hound_dog"), "an animal that barks", ("animal", "pet"), seen=6),
    Entry("bird", "n", ("bird",), "an animal with feathers", ("animal",), seen=3),
    Entry("sparrow", "n", ("sparrow",), "a small brown bird", ("bird",)),
    Entry("tool", "n", ("tool",), "a thing to work with", ("thing",), seen=1),
    Entry("hammer", "n", ("hammer", "dog"), "a tool that strikes", ("tool",), seen=1),
    Entry("Rex", "n", ("Rex",), "a dog in a story", (), ("dog",)),
    Entry("move", "v", ("move",), "be elsewhere a little later", seen=4),
    Entry("run", "v", ("run", "dog"), "move fast", ("move",), seen=2),
    Entry("think", "v", ("think",), "use one's head"),
    Entry("glad", "a", ("glad", "happy"), "full of joy"),
    Entry("gladly", "r", ("gladly",), "with joy"),
)
FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
NUMBERS = {"n": 1, "v": 2, "a": 3, "r": 4}
HEADER = "  1 a tiny thesaurus for tests, in the layout of WordNet 3.0 Copyright nobody\n"


def write_wordnet(folder: Path, entries: tuple[Entry, ...] = ENTRIES) -> Path:
    """data.*, index.*, noun.exc and cntlist.rev."""
    folder.mkdir(parents=True, exist_ok=True)
    places = dict[str, int]()
    for fill in (False, True):  # offsets have eight digits, so that every line is as long the second time
        for pos, name in FILES.items():
            text = HEADER
            for entry in (entry for entry in entries if entry.pos == pos):
                places[entry.name] = len(text.encode())
                text += _line(entry, entries, places)
            if fill:
                (folder / f"data.{name}").write_text(text, encoding="utf-8")
                (folder / f"index.{name}").write_text(HEADER + _index(pos, entries, places), encoding="utf-8")
    (folder / "noun.exc").write_text("geese goose\n")
    counts = [f"{_key(entry, entries)} 1 {entry.seen}\n" for entry in entries if entry.seen]
    (folder / "cntlist.rev").write_text("".join(sorted(counts)), encoding="utf-8")
    return folder


def _number(word: str, entry: Entry, entries: tuple[Entry, ...]) -> int:
    """Which sense of the word this is, from 0: WordNet's lex_id."""
    return [other for other in entries if other.pos == entry.pos and word in other.words].index(entry)


def _key(entry: Entry, entries: tuple[Entry, ...]) -> str:
    word = entry.words[0]
    return f"{word.lower()}%{NUMBERS[entry.pos]}:03:{_number(word, entry, entries):02}::"


def _line(entry: Entry, entries: tuple[Entry, ...], places: dict[str, int]) -> str:
    pointers = [("@", name) for name in entry.above] + [("@i", name) for name in entry.instance_of]
    pointers += [("~", other.name) for other in entries if entry.name in other.above]
    pointers += [("~i", other.name) for other in entries if entry.name in other.instance_of]
    words = " ".join(f"{word} {_number(word, entry, entries):x}" for word in entry.words)
    told = "".join(f" {sign} {places.get(name, 0):08} {entry.pos} 0000" for sign, name in pointers)
    frames = " 00" if entry.pos == "v" else ""
    return (
        f"{places[entry.name]:08} 03 {entry.pos} {len(entry.words):02x} {words} {len(pointers):03}{told}{frames}"
        f" | {entry.gloss}  \n"
    )


def _index(pos: str, entries: tuple[Entry, ...], places: dict[str, int]) -> str:
    senses = dict[str, list[int]]()
    for entry in entries:
        for word in entry.words if entry.pos == pos else ():
            senses.setdefault(word.lower(), []).append(places[entry.name])
    return "".join(
        f"{word} {pos} {len(found)} 0 {len(found)} 0 {' '.join(f'{place:08}' for place in found)}  \n"
        for word, found in sorted(senses.items())
    )
