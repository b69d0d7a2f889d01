"""`malmoi thesaurus`: what WordNet knows of a word or two, beside what vectors learnt; how well both agree with people."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from malmoi.cli.console import emit, note, print_facts, print_table
from malmoi.cli.options import Json
from malmoi.pages.language import Language, Teller

if TYPE_CHECKING:
    from malmoi.evaluation.similarity import SimilarityResult
    from malmoi.evaluation.vector_sets import SimilaritySet
    from malmoi.thesaurus import Concept, Graph, Thesaurus
    from malmoi.thesaurus.entries import Beside, Entry, Pair
    from malmoi.vectors import Vectors

MOST_PAIRS = 10  # of senses that are printed
NOTED = 1000  # similarities between two notes


def thesaurus(
    word: Annotated[str, Parameter(name="WORD", help="An English word; left out with --sets.")] = "",
    other: Annotated[str, Parameter(name="WORD2", help="Another, to measure how similar they are.")] = "",
    /,
    *,
    data: Annotated[
        str | None,
        Parameter(help="The folder with WordNet's files; else that of MALMOI_WORDNET, or /usr/share/wordnet."),
    ] = None,
    pos: Annotated[Literal["noun", "verb", "adj", "adv"] | None, Parameter(help="This part of speech alone.")] = None,
    vectors: Annotated[str | None, Parameter(help="A run or a file of vectors to set beside WordNet.")] = None,
    k: Annotated[int, Parameter(name=("-k", "--k"), help="How many near words.")] = 10,
    senses: Annotated[int, Parameter(help="Of how many senses to show what stands above.")] = 3,
    counts: Annotated[
        list[str] | None,
        Parameter(negative=(), help="English text to count words in for Lin's measure; else WordNet's own counts."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="Pairs of words that people judged: how well WordNet agrees; may be given several times."
        ),
    ] = None,
    html: Annotated[str | None, Parameter(help="Write a page with the graph of concepts.")] = None,
    language: Annotated[Language, Parameter(name="--lang", help="Language of everything but WordNet's words.")] = "en",
    json: Json = False,
) -> None:
    from malmoi.errors import ConfigError

    if bool(word) == bool(sets) or (html is not None and sets):
        raise ConfigError(
            "A word (with a second one to compare it with) or --sets was expected, and --html goes with words. Type: malmoi "
            "thesaurus dog; malmoi thesaurus dog cat; or malmoi thesaurus --sets FILE"
        )
    if senses < 1 or k < 1:
        raise ConfigError(f"--senses {senses} and -k {k} were given. Expected 1 or more of each. Give larger numbers.")
    from malmoi.text.sources import TextSource
    from malmoi.thesaurus import Thesaurus

    found = Thesaurus(data, counts=TextSource(counts) if counts else None)
    for asked in filter(None, (word, other)):
        found.senses(asked, pos)  # a missing word is told before vectors are read
    tell, model, name = Teller(language, "thesaurus"), _vectors(vectors), Path(vectors or "").name
    if sets:
        _agree(found, sets, model, tell, json=json)
        return
    from malmoi.thesaurus import entries
    from malmoi.thesaurus.page import write_page

    told: Entry | Pair
    if other:
        told = entries.set_beside(found, word, other, pos, model)
    else:
        told = entries.look_up(found, word, pos, model, k=k, n_drawn=senses)
    if html is not None:
        write_page(told, Path(html), language, vectors=name)
        note(html)
    if json:
        emit(entries.pair_to_dict(told) if isinstance(told, entries.Pair) else entries.entry_to_dict(told))
    elif isinstance(told, entries.Pair):
        _print_pair(told, tell, name)
    else:
        _print_entry(told, tell, name)
    sys.stdout.flush()


def _vectors(source: str | None) -> "Vectors | None":
    if source is None:
        return None
    from malmoi.api import load_vectors

    return load_vectors(source)


def _print_entry(entry: "Entry", tell: Teller, vectors: str) -> None:
    rows = [
        (sense.name, ", ".join(sense.words), f"{seen:,}", sense.gloss)
        for sense, seen in zip(entry.senses, entry.counts, strict=True)
    ]
    title = f"{tell('of_wordnet', words=entry.word, version=entry.version)}: {tell('n_senses', n=len(rows))}"
    print_table((tell("sense"), tell("words"), tell("seen"), tell("gloss")), rows, title=title, left=(0, 1, 3))
    drawn = len(entry.graph.senses)
    print()
    if any(entry.graph.above.values()):
        print(tell("above") if drawn == len(rows) else tell("above_of", n_drawn=drawn, n_senses=len(rows)))
        print("\n".join(tree(entry.graph, tell("as_above"))))
    else:
        print(tell("no_above"))
    _print_near(
        tell("nearest_in_wordnet", sense=entry.senses[0].name), entry.wordnet, ("path", "cosine"), tell, vectors
    )
    if entry.vectors:
        _print_near(tell("nearest_by_vectors", vectors=vectors), entry.vectors, ("cosine", "path"), tell, vectors)


def tree(graph: "Graph", again: str) -> list[str]:
    """What stands above each sense, one step up being one step to the right; what was shown is not shown again."""
    lines: list[str] = []
    shown: set[str] = set()

    def climb(name: str, depth: int) -> None:
        words = ", ".join(graph.concepts[name].words)
        is_new = name not in shown or not graph.above[name]
        lines.append(f"{'  ' * depth}{name}  {words}" + ("" if is_new else f"  {again}"))
        shown.add(name)
        for parent in graph.above[name] if is_new else ():
            climb(parent, depth + 1)

    for sense in graph.senses:
        climb(sense, 0)
    return lines


def _print_near(title: str, near: "list[Beside]", columns: tuple[str, str], tell: Teller, vectors: str) -> None:
    from malmoi.thesaurus.figures import figure

    print()
    if not near:
        print(tell("none_near"))
        return
    shown = [column for column in columns if column != "cosine" or vectors]
    rows = [(row.word, *(figure(getattr(row, column)) for column in shown)) for row in near]
    print_table((tell("word"), *map(tell, shown)), rows, title=title)


def _print_pair(pair: "Pair", tell: Teller, vectors: str) -> None:
    from malmoi.thesaurus import MEASURES
    from malmoi.thesaurus.figures import figure

    found = pair.found
    rows = []
    for measure in MEASURES:
        if (best := found.best(measure)) is not None:
            rows.append((tell(measure), figure(getattr(best, measure)), f"{best.first.name} – {best.second.name}"))
    if vectors:
        told = tell("no_vector") if pair.cosine is None else tell("between_vectors", vectors=vectors)
        rows.append((tell("cosine"), figure(pair.cosine), told))
    title = tell("of_wordnet", words=f"{pair.first} · {pair.second}", version=pair.version)
    if rows:
        print_table((tell("measure"), tell("similarity"), tell("senses")), rows, title=title, left=(0, 2))
    else:
        print(title)
    if found.shared:
        print_facts([(concept.name, concept.gloss) for concept in found.shared], title=f"\n{tell('shared')}")
    if not found.pairs:
        print(f"\n{tell('no_pairs')}")
        return
    _print_ways(pair, tell)
    shown = [
        (f"{p.first.name} – {p.second.name}", *(figure(getattr(p, measure)) for measure in MEASURES))
        for p in found.pairs[:MOST_PAIRS]
    ]
    print_table((tell("senses"), *map(tell, MEASURES)), shown, title=f"\n{tell('pairs')}")
    if (more := len(found.pairs) - MOST_PAIRS) > 0:
        print(tell("more_pairs", n=more))
    print("\n" + (tell(f"lin_{pair.source}", n_seen=pair.n_seen) if pair.source else tell("lin_none")))


def _print_ways(pair: "Pair", tell: Teller) -> None:
    found = pair.found
    if found.common is None:
        print(f"\n{tell('no_common')}")
        return
    print(f"\n{tell('common')}: {_named(found.common)}")
    for way in (found.up_first, found.up_second):
        print("  " + " → ".join(concept.name for concept in way))
    if found.edges < len(found.up_first) + len(found.up_second) - 2:
        print(f"  {tell('shorter_elsewhere', n_edges=found.edges)}")


def _named(concept: "Concept") -> str:
    return f"{concept.name}  {', '.join(concept.words)}: {concept.gloss}"


def _agree(found: "Thesaurus", files: list[str], vectors: "Vectors | None", tell: Teller, *, json: bool) -> None:
    """Thesaurus and vectors on sets that people judged."""
    from malmoi.evaluation.vector_sets import read_similarity_set
    from malmoi.thesaurus import MEASURES
    from malmoi.thesaurus.evaluation import compare_on_set

    measures = MEASURES if found.information() is not None else MEASURES[:2]
    compared = []
    for similarity in [read_similarity_set(file) for file in files]:
        progress = _Progress(similarity)
        compared.append((similarity, compare_on_set(found, similarity, measures, vectors, progress=progress)))
    if json:
        emit(
            {
                "wordnet_version": found.version,
                "sets": [
                    {
                        "set": similarity.name,
                        "own": {name: _result(result) for name, result in both.own.items()},
                        "common": {name: _result(result) for name, result in both.common.items()},
                    }
                    for similarity, both in compared
                ],
            }
        )
        return
    for part, title in (("own", "own_pairs"), ("common", "common_pairs")):
        rows = [
            (
                similarity.name,
                tell(name),
                f"{result.spearman:.3f}",
                f"{result.low:.3f} – {result.high:.3f}",
                f"{result.n_covered:,} / {result.n_pairs:,}",
            )
            for similarity, both in compared
            for name, result in getattr(both, part).items()
        ]
        if rows:
            columns = (tell("set"), tell("measure"), "ρ", tell("interval"), tell("covered"))
            print_table(columns, rows, title=("\n" if part == "common" else "") + tell(title), left=(0, 1))


def _result(result: "SimilarityResult") -> dict[str, object]:
    return {
        "spearman": result.spearman,
        "low": result.low,
        "high": result.high,
        "pairs": result.n_pairs,
        "covered": result.n_covered,
        "missing": result.missing,
    }


class _Progress:
    """Says now and then how many similarities of a long set were measured."""

    def __init__(self, similarity: "SimilaritySet") -> None:
        self.name = similarity.name

    def __call__(self, done: int, of: int) -> None:
        if done % NOTED == 0 and done < of:
            note(f"{self.name}: {done:,} / {of:,}")
