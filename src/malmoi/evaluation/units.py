"""The same stretches of a text under different tokenizers, each with its probability, so that models can be mixed there.

A mixture of models over different tokenizers is a model only if the probabilities that it averages are of the same
events, and if the events that may come next exclude each other. Two kinds of stretches are such events:

    word   the next word, up to the white space or line end that ends it, or the end of the line
    line   the whole line

A tokenizer whose tokens carry the space before a word says that a word has ended only with the next token: "the" may go
on as "theme". So the probability that the word ends there is a part of its own, and is taken off the next one's:

    P(word) = P(tokens of the word) x P(end | word) / P(end | word before)
    P(end)  = sum of the probabilities of all tokens that begin with a space, and of the end of the line

A `word` tokenizer's tokens are words, and an unknown one pays for its spelling. The product over a line is P(line) either
way.

Source: Pimentel & Meister 2024 (arXiv:2406.14561) for the end of words.

Shapes: N tokens, U stretches, B sequences, T tokens, V vocab_size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from malmoi.data.tokens import TextCounts, TokenView
from malmoi.errors import ConfigError
from malmoi.evaluation.perplexity import readings
from malmoi.models.interface import LanguageModel, State, TokenIds
from malmoi.text.sources import Line, TextSource
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.units import count_units

Unit = Literal["token", "word", "line"]
LARGEST_BLOCK = 1 << 22  # probabilities of whole distributions held at a time


@dataclass(frozen=True)
class Cut:
    """A text under one tokenizer, cut at the same places as under others."""

    ids: Int64[np.ndarray, " tokens"]
    begins: Int64[np.ndarray, " stretches"]  # the first token of each stretch
    is_word: Bool[np.ndarray, " stretches"]  # False for the ends of lines and the beginnings of documents
    spelling: Float64[np.ndarray, " stretches"]  # nats that unknown words cost


def check_mixable(tokenizers: Sequence[Tokenizer], names: Sequence[str]) -> None:
    """Refuse tokenizers whose probabilities cannot be averaged at all.

    Raises:
        ConfigError: If they differ, and one of them cuts morphemes.
    """
    prints = [tokenizer.fingerprint() for tokenizer in tokenizers]
    for i, tokenizer in enumerate(tokenizers):
        others = [j for j, other in enumerate(prints) if other != prints[i]]
        if tokenizer.kind == "morpheme" and others:
            raise ConfigError(
                f"{names[i]} (morpheme) and {names[others[0]]} ({tokenizers[others[0]].kind}) cannot be mixed: texts that "
                "differ in their spaces may have the same morphemes, so the two do not give probabilities of the same "
                "things. Runs of one tokenizer were expected: train one of them again with --tokenizer-from."
            )


def lines_for(source: TextSource, tokenizers: Sequence[Tokenizer]) -> tuple[list[Line], bool]:
    """The lines of a text as all tokenizers can tell them apart, and whether that changed any.

    Where a tokenizer does not see how much white space there is, all of them read single spaces.
    """
    lines = list(source.lines())
    if all(tokenizer.is_lossless for tokenizer in tokenizers):
        return lines, False
    single = [Line(" ".join(line.text.split()), line.starts_document) for line in lines]
    return single, single != lines


def finest_unit(tokenizers: Sequence[Tokenizer], texts: Sequence[Sequence[Line]]) -> Unit:
    """`word` if no token of any tokenizer lies across a boundary of words in the texts, or else `line`."""
    for lines in texts:
        cuts = [cut_words(tokenizer, lines) for tokenizer in tokenizers]
        if any(cut is None for cut in cuts) or len({len(cut.begins) for cut in cuts if cut is not None}) > 1:
            return "line"
    return "word"


def cut_words(tokenizer: Tokenizer, lines: Sequence[Line]) -> Cut | None:
    """The words and line ends of a text, or None if a token lies across a boundary."""
    ids, _ = _encoded(tokenizer, lines)
    is_mark = (ids == tokenizer.eos_id) | (ids == tokenizer.bos_id)
    spelling = np.zeros(len(ids))
    if tokenizer.is_lossless:
        surfaces = tokenizer.token_bytes()
        if any(b" " in surfaces[token_id][1:] for token_id in np.unique(ids)):
            return None
        with_space = np.array([surface.startswith(b" ") for surface in surfaces])
        after_mark = np.concatenate([[True], is_mark[:-1]])
        begins = np.flatnonzero(is_mark | after_mark | with_space[ids])
    else:
        begins = np.arange(len(ids))
        spelling[ids == tokenizer.unk_id] = tokenizer.encode_stream([line.text for line in lines])[1]
    return Cut(ids, begins, ~is_mark[begins], spelling[begins])


def cut_lines(tokenizer: Tokenizer, lines: Sequence[Line]) -> Cut:
    """The lines of a text, each with its end."""
    ids, firsts = _encoded(tokenizer, lines)
    begins = firsts - np.array([line.starts_document for line in lines], np.int64)
    spelling = np.array([tokenizer.spelling_nats(line.text) for line in lines], np.float64)
    return Cut(ids, begins, np.zeros(len(begins), bool), spelling)


def stretch_log_probs(
    model: LanguageModel,
    tokenizer: Tokenizer,
    cut: Cut,
    *,
    streams: int = 1,
    warm_up: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Float64[np.ndarray, " stretches"]:
    """ln P of each stretch of a text, spelling included; the options are those of `evaluate`."""
    has_ends = tokenizer.is_lossless and cut.is_word.any()
    ends = _ends(tokenizer) if has_ends else np.zeros(0, np.int64)

    def read(token_ids: TokenIds, state: State) -> tuple[NDArray[np.float64], State]:
        """(B, T, 2): ln P of each token, and that no word goes on at its place."""
        rows, state = model.distributions(token_ids, state)
        picked = np.take_along_axis(rows, token_ids[:, :, None], axis=2)[:, :, 0]
        ending = rows[:, :, ends].astype(np.float64)
        top = np.maximum(ending.max(axis=2), -1e300)
        with np.errstate(divide="ignore"):
            ended = top + np.log(np.exp(ending - top[:, :, None]).sum(axis=2))
        return np.stack([picked, ended], axis=2), state

    window = max(1, min(256, LARGEST_BLOCK // (model.vocab_size * streams))) if has_ends else 256
    view = TokenView(cut.ids, _NO_COUNTS)
    said = np.zeros((len(cut.ids), 2))
    for places, values in readings(
        model,
        view,
        window=window,
        streams=streams,
        warm_up=warm_up,
        progress=progress,
        read=read if has_ends else None,
    ):
        said[places] = values if values.ndim == 2 else values[:, None] * [1.0, 0.0]
    found = np.add.reduceat(said[:, 0], cut.begins) - cut.spelling
    if has_ends:
        after_word = np.concatenate([[False], cut.is_word[:-1]])
        end = np.where(
            after_word, said[cut.begins, 1], 0.0
        )  # that the word before has ended, counted there and not here
        found = found - np.where(np.isneginf(end), 0.0, end)
        found[:-1] += end[1:]
    return np.asarray(found)


def counts_of(lines: Sequence[Line]) -> TextCounts:
    """How much text there is; the tokens are its words and line ends, and none of them is unknown."""
    units = count_units([line.text for line in lines]).sum(axis=0).tolist()
    return TextCounts(
        n_tokens=units[0] + len(lines),
        n_lines=len(lines),
        n_words=units[0],
        n_characters=units[1],
        n_bytes=units[2],
        n_unknown=0,
        spelling_nats=0.0,
    )


_NO_COUNTS = TextCounts(0, 0, 0, 0, 0, 0, 0.0)


def _encoded(
    tokenizer: Tokenizer, lines: Sequence[Line]
) -> tuple[Int64[np.ndarray, " tokens"], Int64[np.ndarray, " lines"]]:
    """The ids of a text, and where the text of each line begins among them."""
    pieces: list[NDArray[np.integer]] = []
    firsts, n_before = np.empty(len(lines), np.int64), 0
    mark = np.array([tokenizer.bos_id])
    for number, (line, ids) in enumerate(zip(lines, tokenizer.encode_lines(line.text for line in lines), strict=True)):
        if line.starts_document:
            pieces.append(mark)
            n_before += 1
        firsts[number] = n_before
        pieces.append(ids)
        n_before += len(ids)
    return np.concatenate(pieces, dtype=np.int64), firsts


def _ends(tokenizer: Tokenizer) -> Int64[np.ndarray, " ends"]:
    """The tokens with which a word is known to have ended."""
    surfaces = tokenizer.token_bytes()
    return np.array([i for i, surface in enumerate(surfaces) if surface[:1] in (b" ", b"\n")], np.int64)
