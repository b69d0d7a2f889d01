"""Learning a vocabulary from text, one function for each kind. Same text, same vocabulary, always.

Memory stays bounded on any corpus: words and characters are counted in one pass, and the counts of rare words are
dropped should they grow too many; bpe and unigram learn from lines spread evenly over the whole text.
"""

import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, islice
from typing import NamedTuple

import numpy as np

from malmoi.errors import ConfigError, DataError
from malmoi.text import morphemes
from malmoi.text.codecs import keep_forks_quiet
from malmoi.text.layout import LEARNT_LINES, GapCounts, Joining, Layout, WhiteSpace
from malmoi.text.slicing import SLICE_LENGTH, slices, to_nfc
from malmoi.text.spelling import UNKNOWN, SpellingModel
from malmoi.text.vocabulary import (
    BYTE_ALPHABET,
    BYTE_TOKENS,
    HIDDEN_SCORE,
    KINDS,
    NAMING_CHARACTERS,
    SPECIALS,
    Vocabulary,
)

DEFAULT_VOCAB_SIZE = {"word": None, "morpheme": None, "char": 12_000, "jamo": 12_000, "bpe": 8_000, "unigram": 8_000}
SMALLEST_VOCAB_SIZE = {"word": 5, "morpheme": 5, "char": 261, "jamo": 261, "bpe": 260, "unigram": 320}
FEW_WORDS = 1000  # a text with fewer distinct words keeps those seen once
MAX_DISTINCT = 4_000_000  # words counted at once, some 500 MB
BPE_SAMPLE_BYTES = 64_000_000
UNIGRAM_SAMPLE_BYTES = 16_000_000  # half a minute on one core, and so is the next
MORPHEME_SAMPLE_BYTES = 8_000_000
ENOUGH_COVERAGE = 0.9999  # of the characters of a text; unigram spells the others in bytes
_NOT_FOR_PIECES = re.compile("[\x00-\x1f\x7f▁▅]")  # control characters, and what sentencepiece reserves


class Learnt(NamedTuple):
    """What makes a `Tokenizer`; kinds that give a text back whole need the vocabulary alone."""

    vocabulary: Vocabulary
    spelling: SpellingModel | None = None
    layout: Layout | None = None


def learn(kind: str, lines: Iterable[str], vocab_size: int | None, min_count: int | None) -> Learnt:
    """The vocabulary, and what kinds with unknown words need beside it; see `train_tokenizer`."""
    if kind not in KINDS:
        raise ConfigError(f"tokenizer={kind!r} is not a kind of tokenizer. Choose one of: {', '.join(KINDS)}.")
    size = DEFAULT_VOCAB_SIZE[kind] if vocab_size is None else vocab_size
    if size is not None and size < SMALLEST_VOCAB_SIZE[kind]:
        raise ConfigError(
            f"vocab_size={size} is too small for a {kind} tokenizer. Special tokens"
            f"{'' if kind in ('word', 'morpheme') else ' and the 256 bytes'} have ids too: "
            f"choose {SMALLEST_VOCAB_SIZE[kind]} or more."
        )
    if min_count is not None and min_count < 1:
        raise ConfigError(f"min_count={min_count} is below 1. It is how often a token must occur: choose 1 or more.")
    if min_count is not None and kind == "unigram":
        raise ConfigError(
            f"min_count={min_count} has no meaning for a unigram tokenizer, whose pieces have probabilities instead of "
            "counts. Leave it out, or choose a smaller vocab_size."
        )
    if kind == "word":
        gaps = GapCounts()
        joined = (to_nfc("\n".join(batch)) for batch in _batches(lines))
        known, spelling = _words(_count(_parted(text, gaps) for text in joined), size, min_count, literal=UNKNOWN)
        return Learnt(known, spelling, WhiteSpace.of_counts(gaps))
    clean = (part for batch in _batches(lines) for part in to_nfc("\n".join(batch)).split("\n"))
    if kind == "morpheme":
        sample = _sample(clean, MORPHEME_SAMPLE_BYTES)
        units = chain.from_iterable(morphemes.cut(batch) for batch in _batches(sample))
        known, spelling = _words(_count(units), size, min_count, literal=None)
        some = sample[:: -(-len(sample) // LEARNT_LINES)]
        return Learnt(known, spelling, Joining.fit(some, morphemes.rejoined))
    assert size is not None
    if kind in ("char", "jamo"):
        return Learnt(_characters(kind, clean, size, min_count or 1))
    if kind == "bpe":
        return Learnt(_bpe(_sample(clean, BPE_SAMPLE_BYTES), size, min_count or 2))
    return Learnt(_unigram(_sample(clean, UNIGRAM_SAMPLE_BYTES), size))


def _parted(text: str, gaps: GapCounts) -> list[str]:
    """The words of these lines; their gaps are counted."""
    words = text.split()
    gaps.add(text.split("\n"), len(words))
    return words


def _words(
    counts: Counter[str], vocab_size: int | None, min_count: int | None, literal: str | None
) -> tuple[Vocabulary, SpellingModel]:
    """The most frequent words. What looks like a special token never becomes one: it stays unknown, and is spelled."""
    n_literal = counts.pop(literal, 0) if literal else 0
    if not counts:
        raise _no_text("word")
    if min_count is None:
        min_count = 1 if n_literal or len(counts) < FEW_WORDS else 2
    words = sorted(counts)
    times = np.fromiter(map(counts.__getitem__, words), np.int64, len(words))
    order = np.argsort(-times, kind="stable")[: np.count_nonzero(times >= min_count)]
    frequent = (word for i in order.tolist() if (word := words[i]) not in SPECIALS)
    kept = list(islice(frequent, vocab_size and vocab_size - len(SPECIALS)))
    if not kept:
        raise DataError(
            f"No word occurs min_count={min_count} times, the most frequent one {max(counts.values())} times. "
            f"Expected at least 1 word to know: choose a min_count of {max(counts.values())} or less."
        )
    n_other = counts.total() - sum(map(counts.__getitem__, kept))
    unknown_share = (n_literal + 0.5) / (n_literal + n_other + 1) if n_literal else 0.0
    vocabulary = Vocabulary("word" if literal else "morpheme", [*SPECIALS, *kept])
    return vocabulary, SpellingModel.fit(words, unknown_share)


def _characters(kind: str, lines: Iterable[str], vocab_size: int, min_count: int) -> Vocabulary:
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(unicodedata.normalize("NFD", line) if kind == "jamo" else line)
    if not counts:
        raise _no_text()
    frequent = (character for character, n in counts.items() if n >= min_count)
    pieces = [*SPECIALS, *BYTE_TOKENS, *sorted(frequent, key=lambda character: (-counts[character], character))]
    return Vocabulary(kind, pieces[:vocab_size])


def _bpe(lines: list[str], vocab_size: int, min_count: int) -> Vocabulary:
    """Byte-level BPE. Its word pattern parts < and > from letters, so no merge can spell a special token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    keep_forks_quiet()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=list(SPECIALS),
        initial_alphabet=list(BYTE_ALPHABET),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return Vocabulary("bpe", pieces, merges=[(left, right) for left, right in model["merges"]])


def _unigram(lines: list[str], vocab_size: int) -> Vocabulary:
    """Unigram pieces by sentencepiece, whose training gives the same result every time, unlike that of `tokenizers`.

    sentencepiece writes a space as U+2581, which makes a real U+2581 a space. Our pieces hold real spaces instead.

    Source: Kudo 2018, arXiv:1804.10959.
    """
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    # At most a quarter of the vocabulary goes to single characters, so that there is room for pieces.
    known = _frequent_characters(lines, (vocab_size - len(SPECIALS) - len(BYTE_TOKENS)) // 4)
    found: dict[str, float] = {}
    if known:
        unknown = re.compile(f"[^{re.escape(known)}]+")
        model = io.BytesIO()
        SentencePieceTrainer.train(
            sentence_iterator=(part for line in lines for part in unknown.split(line) if part),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size - 1,  # it has three specials, we have four
            hard_vocab_limit=False,
            character_coverage=1.0,
            required_chars="".join(NAMING_CHARACTERS),
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=4 * SLICE_LENGTH + 1,
            num_threads=1,
            minloglevel=2,
        )
        trained = SentencePieceProcessor(model_proto=model.getvalue())
        for i in range(trained.get_piece_size()):
            if not (trained.is_byte(i) or trained.is_control(i) or trained.is_unknown(i)):
                found[trained.id_to_piece(i).replace("▁", " ")] = trained.get_score(i)
    reserved = {*SPECIALS, *BYTE_TOKENS}
    rarest = min(found.values(), default=-1.0)
    pieces = {piece: score for piece, score in found.items() if piece not in reserved}
    pieces |= {character: rarest for character in (" ", *NAMING_CHARACTERS) if character not in pieces}
    hidden = [*SPECIALS, *BYTE_TOKENS]
    return Vocabulary("unigram", [*hidden, *pieces], scores=[HIDDEN_SCORE] * len(hidden) + list(pieces.values()))


def _frequent_characters(lines: list[str], limit: int) -> str:
    """The most frequent characters of a text: up to `limit`, or fewer if those cover enough of it."""
    counts = Counter(chain.from_iterable(lines))
    for character in [character for character in counts if _NOT_FOR_PIECES.match(character)]:
        del counts[character]
    ordered = sorted(counts, key=lambda character: (-counts[character], character))
    cumulative = accumulate(counts[character] for character in ordered)
    n_enough = 1 + sum(1 for covered in cumulative if covered < ENOUGH_COVERAGE * counts.total())
    return "".join(ordered[: min(limit, n_enough)])


def _count(groups: Iterable[Iterable[str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    limit = 1
    for units in groups:
        counts.update(units)
        while len(counts) > MAX_DISTINCT:
            counts = Counter({unit: n for unit, n in counts.items() if n > limit})
            limit += 1
    return counts


def _sample(lines: Iterable[str], max_bytes: int) -> list[str]:
    """All lines, or every second, fourth, eighth ... of them: as many as fit. Long lines come in parts."""
    kept: list[str] = []
    n_bytes, stride = 0, 1
    parts = (part for line in lines for part in (slices(line) if len(line) > SLICE_LENGTH else (line,)))
    for i, part in enumerate(parts):
        if i % stride == 0:
            kept.append(part)
            n_bytes += len(part.encode())
            if n_bytes > max_bytes:
                kept, stride = kept[::2], 2 * stride
                n_bytes = sum(len(part.encode()) for part in kept)
    if not any(kept):
        raise _no_text()
    return kept


def _batches(lines: Iterable[str], size: int = 1024) -> Iterator[list[str]]:
    iterator = iter(lines)
    while batch := list(islice(iterator, size)):
        yield batch


def _no_text(unit: str = "character") -> DataError:
    return DataError(
        f"The training text holds 0 {unit}s. Expected at least 1: check that the right file or column is read."
    )
