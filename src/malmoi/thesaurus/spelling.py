"""What to say about a word that WordNet lacks."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from malmoi.errors import DataError

HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
MOST_COMPARED = 20_000


def missing_word(
    word: str, pos: str | None, senses: Sequence[Any], all_words: Callable[[], Iterable[str]]
) -> DataError:
    """The message about it.

    Args:
        word: As it was asked for.
        pos: The part of speech that was asked for, if any.
        senses: Its senses of other parts of speech.
        all_words: Every word there is, with "_" for blanks.
    """
    shown = word[:60]
    if HANGUL.search(word):
        return DataError(
            f"WordNet is a thesaurus of English, and {shown!r} is Korean. Expected an English word. For Korean use word "
            "vectors: malmoi train word2vec TEXT, then malmoi vectors similar RUN WORD"
        )
    if pos is not None and senses:
        return DataError(
            f"WordNet has no {pos} {shown!r}, though it has the word. Expected a word of this part of speech. Leave --pos out, "
            "or give another."
        )
    near = near_spellings(word, all_words())
    meant = f" Did you mean {', '.join(near)}?" if near else ""
    return DataError(
        f"There is no {shown!r} in WordNet.{meant} Expected an English noun, verb, adjective or adverb. Choose another word."
    )


def near_spellings(word: str, words: Iterable[str], n: int = 3) -> list[str]:
    """Words that are spelt much like a missing one and begin with the same letter."""
    asked = "_".join(word.lower().split())
    if not 0 < len(asked) <= 60:
        return []
    alike = (other for other in words if other[0] == asked[0] and abs(len(other) - len(asked)) <= 2)
    return [near.replace("_", " ") for near in difflib.get_close_matches(asked, islice(alike, MOST_COMPARED), n, 0.7)]
