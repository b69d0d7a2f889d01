"""`malmoi vectors similar`, `analogy` and `odd`: questions that word vectors answer."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from malmoi.cli.console import ConsoleReporter, emit, note, print_table
from malmoi.cli.options import Json
from malmoi.errors import DataError

if TYPE_CHECKING:
    from malmoi.vectors import Neighbour, Vectors

BAR_WIDTH = 24  # characters, for a cosine of 1
OPERATORS = frozenset("+-*/\N{MINUS SIGN}\N{MULTIPLICATION SIGN}")

Source = Annotated[
    str, Parameter(name="VECTORS", help="A run of word2vec, glove or cooccurrence, or a file of vectors.")
]
Count = Annotated[int, Parameter(name=("-k", "--k"), help="How many words.")]


def similar(
    vectors: Source,
    /,
    *words: Annotated[str, Parameter(name="WORD", help="A word; of several, the middle is taken.")],
    k: Count = 10,
    exclude: Annotated[
        list[str] | None, Parameter(negative=(), help="A word to leave out; may be given several times.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        Parameter(name="--with", negative=(), help="Other vectors, to stand beside; may be given several times."),
    ] = None,
    json: Json = False,
) -> None:
    if not words:
        raise DataError(
            "No word was given. Expected one word or more after the vectors. Add one, or several for their middle."
        )
    answers = []
    for source in [vectors, *(beside or ())]:
        model = load(source)
        with _named(source, bool(beside)):
            query = words[0] if len(words) == 1 else model.centroid(words)
            found = model.similar(query, k, [*words, *(exclude or ())])
        answers.append({"vectors": source, "composed": _composed(model, words), "similar": found})
    if json:
        listed = [{**answer, "similar": [near._asdict() for near in answer["similar"]]} for answer in answers]
        emit({"words": list(words), **listed[0], **({"with": listed[1:]} if beside else {})})
        return
    for answer in answers:
        _tell_composed(answer["composed"], answer["vectors"] if beside else "")
    if beside:
        _print_beside(answers)
    else:
        _print_near(answers[0]["similar"], "cosine")


def analogy(
    vectors: Source,
    /,
    *words: Annotated[
        str,
        Parameter(name="EXPRESSION|A B C", help="As '왕 - 남자 + 여자'; or three words: A is to B as C is to what?"),
    ],
    k: Count = 10,
    method: Annotated[
        Literal["3cosadd", "3cosmul"],
        Parameter(help="3cosadd adds directions; 3cosmul multiplies similarities, so that none drowns the others."),
    ] = "3cosadd",
    json: Json = False,
) -> None:
    from malmoi.vectors.expressions import signed_words

    is_expression = len(words) == 1 or bool(OPERATORS & set(words))
    if not is_expression and len(words) != 3:
        raise DataError(
            f"An analogy of {len(words)} words. Expected an expression, as 'king - man + woman', or three words: A B C asks "
            "what C is to, as A is to B. Give one of the two."
        )
    model = load(vectors)
    expression = " ".join(words) if is_expression else ""
    if is_expression and method == "3cosadd":
        asked = model.value(expression)[1]
        found = model.evaluate(expression, k)
    else:
        positive, negative = signed_words(expression) if is_expression else ([words[1], words[2]], [words[0]])
        asked = [*positive, *negative]
        found = model.analogy(positive, negative, k, method=method)
    composed = _composed(model, asked)
    if json:
        question = {"expression": expression} if is_expression else {"a": words[0], "b": words[1], "c": words[2]}
        answers = [
            near._asdict() if method == "3cosadd" else {"word": near.word, "score": near.cosine} for near in found
        ]
        emit({"vectors": vectors, **question, "method": method, "composed": composed, "answers": answers})
        return
    _tell_composed(composed)
    _print_near(found, "cosine" if method == "3cosadd" else "score")


def odd(
    vectors: Source,
    /,
    *words: Annotated[str, Parameter(name="WORD", help="Three words or more, one of which does not belong.")],
    json: Json = False,
) -> None:
    from malmoi.vectors import Neighbour

    model = load(vectors)
    found = model.odd_one_out(words)
    middle = model.centroid(words)
    rows = sorted({Neighbour(word, model.cosine(word, middle)) for word in words}, key=lambda near: near.cosine)
    rows = [*(near for near in rows if near.word == found), *(near for near in rows if near.word != found)]
    composed = _composed(model, words)
    if json:
        listed = [near._asdict() for near in rows]
        emit({"vectors": vectors, "words": list(words), "composed": composed, "odd": found, "cosines": listed})
        return
    _tell_composed(composed)
    _print_near(rows, "cosine with the middle", title=found)


# What all three share


def load(source: str) -> "Vectors":
    """Vectors from a run or a file, with progress where that takes its time."""
    from malmoi.api import load_vectors

    with ConsoleReporter(reading="reading_vectors") as reporter:
        return load_vectors(source, progress=reporter.preparing)


@contextmanager
def _named(source: str, is_one_of_several: bool) -> Iterator[None]:
    """Of several models, a message names the one that it comes from."""
    try:
        yield
    except DataError as error:
        if is_one_of_several:
            raise DataError(f"{source}: {error}") from error
        raise


def _composed(model: "Vectors", words: Iterable[str]) -> list[str]:
    """The words that are not in the vocabulary, so that their vectors come from pieces of them."""
    return [word for word in dict.fromkeys(words) if word not in model]


def _tell_composed(words: Sequence[str], source: str = "") -> None:
    if words:
        where = f" of {source}" if source else ""
        are, made = ("is", "its vector is") if len(words) == 1 else ("are", "their vectors are")
        note(f"{', '.join(words)} {are} not in the vocabulary{where}; {made} made from pieces of the spelling.")


def _print_near(rows: Sequence["Neighbour"], column: str, *, title: str = "") -> None:
    """A table of words and cosines; with a bar each on a terminal."""
    if not sys.stdout.isatty():
        print_table(["word", column], [(near.word, f"{near.cosine:.4f}") for near in rows], title=title)
        return
    longest = max(1.0, *(near.cosine for near in rows)) if rows else 1.0  # scores of 3CosMul exceed 1
    cells = [(near.word, f"{near.cosine:.4f}", _bar(near.cosine / longest)) for near in rows]
    print_table(["word", column, ""], cells, title=title, left=(0, 2))


def _bar(share: float) -> str:
    return "█" * round(BAR_WIDTH * max(share, 0.0)) or "▏"


def _print_beside(answers: Sequence[dict[str, Any]]) -> None:
    """Two columns for each model."""
    columns = [column for answer in answers for column in (answer["vectors"], "cosine")]
    longest = max(len(answer["similar"]) for answer in answers)
    rows = [
        [
            cell
            for answer in answers
            for near in (answer["similar"][i : i + 1] or [None])
            for cell in (("", "") if near is None else (near.word, f"{near.cosine:.4f}"))
        ]
        for i in range(longest)
    ]
    print_table(columns, rows, left=range(0, len(columns), 2))
