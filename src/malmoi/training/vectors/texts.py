"""A text as vectors are learnt from it: worded, cut into words, counted, and joined where words belong together."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from malmoi.models.options.vectors import VectorConfig
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer
from malmoi.text.vocabulary import SpecialIds
from malmoi.text.wording import WordedSource, Wording
from malmoi.training.progress import Reporter
from malmoi.training.request import Request
from malmoi.training.texts import make_tokenizer
from malmoi.training.vectors.earlier import Earlier
from malmoi.training.vectors.job import PHRASES

if TYPE_CHECKING:
    from malmoi.models.phrases import Phrases
    from malmoi.store import TokenStream

MIN_COUNT, SMALL_TEXT = 5, 1_000_000  # bytes: of a smaller text rarer words are learnt, too
READ_AT_ONCE = 1 << 22  # tokens


def worded(source: TextSource, model: VectorConfig) -> WordedSource:
    """The text with nothing in it but what a run of this config takes for words."""
    return WordedSource(source, Wording(lower=model.lower, split=model.split))


def choose_words(
    asked: Request, source: TextSource, model: VectorConfig, earlier: Earlier | None, reporter: Reporter
) -> tuple[Tokenizer, VectorConfig]:
    """What cuts the text into words, and the config with the wording that this cutting wants."""
    is_asked = asked.tokenizer is not None
    if asked.tokenizer_from is None:
        asked = asked.model_copy(update={"tokenizer": asked.tokenizer or (earlier.kind if earlier else "word")})
    kind = asked.tokenizer
    if asked.tokenizer_from is not None:
        kind = make_tokenizer(asked, source, reporter).kind
    if kind != "word":  # the others find their own way through punctuation
        model = model.model_copy(update={"split": "spaces"})
    elif asked.min_count is None and asked.tokenizer_from is None and source.n_bytes() > SMALL_TEXT:
        asked = asked.model_copy(update={"min_count": MIN_COUNT})
        reporter.stage(f"words that occur {MIN_COUNT} times or more are learnt (--min-count)")
    if model.split == "words":
        reporter.stage(f"words are letters and digits{', in lower case' * model.lower} (--split, --lower)")
    why = "as asked" if is_asked else "vectors are those of words (--tokenizer)"
    tokenizer = make_tokenizer(asked, worded(source, model), reporter, why)
    return (tokenizer if earlier is None else earlier.grown(tokenizer)), model


def choose_phrases(
    folder: Path,
    model: VectorConfig,
    tokens: "TokenStream",
    counts: NDArray[np.int64],
    words: list[str],
    special_ids: SpecialIds,
    earlier: Earlier | None,
    reporter: Reporter,
) -> "Phrases | None":
    """Which words are joined: those of the run that goes on, or what is found in the text; None for none."""
    from malmoi.models.phrases import Phrases, PhraseSettings, find_phrases

    path = folder / PHRASES
    if path.is_file():
        return Phrases.from_json(path.read_text(encoding="utf-8"))
    if earlier is not None and (carried := earlier.phrases(len(words))) is not None:
        return carried
    if not model.phrases:
        return None
    reporter.stage("looking for words that belong together")
    settings = PhraseSettings(passes=model.phrases, threshold=model.phrase_threshold)
    found = find_phrases(tokens, counts, settings, special_ids=special_ids)
    reporter.stage(f"{len(found.pairs):,} pairs of words are joined, as {', '.join(found.names(words)[:3])}")
    return found if len(found.pairs) else None


def count_tokens(tokens: "TokenStream", vocab_size: int) -> NDArray[np.int64]:
    """How often each id occurs."""
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, len(tokens), READ_AT_ONCE):
        counts += np.bincount(tokens.read(start, min(start + READ_AT_ONCE, len(tokens))), minlength=vocab_size)
        tokens.release()
    return counts


def word_names(tokenizer: Tokenizer) -> list[str]:
    """How a person names the token of each id: different for each.

    A morpheme goes by its form alone, verbs and adjectives by the form that dictionaries have (먹다 for 먹/VV); of two that
    share a name, the rarer one keeps its tag.
    """
    if tokenizer.kind == "word":
        return tokenizer.all_tokens
    names, taken, special = list[str](), set[str](), set(tokenizer.special_ids.all)
    for token_id, piece in enumerate(tokenizer.all_tokens):
        name = piece
        if tokenizer.kind == "morpheme" and token_id not in special:
            form, _, tag = piece.rpartition("/")
            name = f"{form}다" if tag.split("-")[0] in ("VV", "VA", "VX", "VCN") else form
        elif tokenizer.kind != "morpheme":
            name = tokenizer.token(token_id)
        if not name or name in taken:
            name = piece if piece not in taken else f"{piece}#{token_id}"
        names.append(name)
        taken.add(name)
    return names
