"""What an explanation is: an ordered list of steps, each with its formula, its shapes, its numbers and a sentence.

Explainers make one (`explain_text` chooses the one of a rung), the command line prints it, `page.py` draws it, JSON carries it.
Nothing here knows a rung.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from malmoi.pages.language import Language


@dataclass(frozen=True)
class Numbers:
    """One array of a step, whole; whoever shows it chooses what of it.

    Attributes:
        name: Its symbol in the formula, as "h_t" or "P".
        values: Any number of axes; a single number has none.
        axes: What each axis runs over: "time", "token", "unit", "gate", "context", "order", ...
        labels: For an axis (by its place) what its entries are called, as tokens or gate names.
        kind: How to draw it: plain numbers, probabilities (0 to 1), signed values (diverging colours), gates over time.
    """

    name: str
    values: NDArray[Any]
    axes: tuple[str, ...] = ()
    labels: Mapping[int, Sequence[str]] = field(default_factory=dict)
    kind: Literal["plain", "probability", "signed", "gate"] = "signed"


@dataclass(frozen=True)
class Step:
    """One step from the text to the probability.

    Attributes:
        name: One word or two, stable across languages: "embedding", "gates", "softmax", ...
        title: The same in the reader's language.
        formula: In the rung's symbols, plain Unicode text: "z = x Wx + h Wh + b".
        shapes: The shapes in that formula: "(1, 128) (128, 1024) + (1, 256) (256, 1024) + (1024,)".
        sentence: What it means here, in the reader's language.
        numbers: In the order of the formula.
        part: Which part of the story: "forward", "backward" (a training step), "mixture".
    """

    name: str
    title: str
    formula: str
    shapes: str
    sentence: str
    numbers: tuple[Numbers, ...] = ()
    part: str = "forward"


@dataclass(frozen=True)
class Unit:
    """A stretch of the raw text with what it cost.

    The units of one kind follow each other without gaps. A token that is only the beginning of a character has an empty text:
    the character belongs to the token that completes it.
    """

    text: str
    begin: int  # in characters of the NFC text
    end: int
    nats: float  # -ln P of all of it, spelling of unknown words included
    name: str = ""  # a token as tables show it, the parts of speech of a morpheme; "" where the text says it all


@dataclass(frozen=True)
class Explanation:
    """Why this text, and this one token of it, got the probability they did.

    Attributes:
        text: The NFC text.
        family: The rung.
        place: Which token is explained: its number in surprisals["token"], from 0; one behind the last where what may follow
            the text is explained.
        target: That token as people read it.
        probability: P(target | what stands before it).
        steps: In order.
        surprisals: By kind of unit ("token", "word", "morpheme"; an eojeol is a word): the whole text in units. Of
            word2vec only "question": what each word that was asked paid for its answers.
        agreement: Largest difference in ln P between the engines that computed it again, by engine.
        likeliest: The tokens with the highest probability at that place, best first, with their probabilities.
        notes: What was left out and why.
        among: What the probability hangs on: the tokens before the place, or (word2vec) the words on both sides of it.
        is_distribution: Whether the probabilities of all tokens at that place sum to 1; answers of yes and no do not.
        compares: What the agreement is about: ln P, or the rows that an update has moved.
        span: Where the target stands in the text, in characters, if surprisals["token"] does not say it.
    """

    text: str
    family: str
    run: str
    language: Language
    place: int
    target: str
    probability: float
    steps: tuple[Step, ...]
    surprisals: Mapping[str, Sequence[Unit]]
    agreement: Mapping[str, float]
    likeliest: Sequence[tuple[str, float]]
    notes: Sequence[str] = ()
    among: Literal["tokens", "neighbours"] = "tokens"
    is_distribution: bool = True
    compares: Literal["ln P", "rows"] = "ln P"
    span: tuple[int, int] | None = None
