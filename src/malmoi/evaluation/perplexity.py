"""How well a model predicts a text: perplexity as the literature counts it, and bits per byte, which always compare.

    perplexity     = exp(nll / tokens)                      line ends scored, <unk> scored as one more word
    bits per byte  = (nll + spelling + layout) / (ln 2 x bytes)    every byte paid for: unknown words letter by letter, and
                                                                   the white space that words leave unsaid

Perplexity depends on what a token is, so it compares models of one tokenizer only. Bits per byte compare any two
models.

The text is read as one stream: the model starts as after a line end and carries its state to the last token, as in
Mikolov et al. 2010 and all who followed them on PTB and WikiText.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.data.tokens import TextCounts, TokenFile, TokenView, encode_to_disk
from malmoi.errors import ConfigError, DataError
from malmoi.generation.sampling import check_numbers
from malmoi.models.interface import LanguageModel, State, TokenIds
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer

Reader = Callable[[TokenIds, State], tuple[NDArray[np.floating], State]]


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one text.

    `nll_nats` is the summed -ln p of the tokens; `spelling_nats` what the unknown words cost to spell; `layout_nats` what tells
    their white space where tokens leave it unsaid. With all three the text can be decoded, in NFC, so what is per byte, per
    character and per word is made of their sum. A figure is infinite where the model gives something in the text no
    probability, or where it exceeds the largest float, and where the model's probabilities add up to more than 1: such scores
    are no code for a text.
    """

    tokens: int  # line ends included
    words: int  # separated by white space; line ends not included
    bytes: int  # of the NFC form in UTF-8, with one for each line end
    characters: int  # NFC code points, line ends included
    lines: int
    unknown: int  # tokens that are <unk>
    nll_nats: float
    spelling_nats: float
    seconds: float
    layout_nats: float = 0.0
    is_distribution: bool = True

    @property
    def all_nats(self) -> float:
        """-ln P of the text, to the last byte of its NFC form."""
        if not self.is_distribution:
            return math.inf
        return self.nll_nats + self.spelling_nats + self.layout_nats

    @property
    def perplexity(self) -> float:
        return _exp(self.nll_nats / self.tokens) if self.is_distribution else math.inf

    @property
    def word_perplexity(self) -> float:
        """Per word and line end, spelling and white space included: it compares between tokenizers."""
        return _exp(self.all_nats / (self.words + self.lines))

    @property
    def bits_per_byte(self) -> float:
        return self.all_nats / (math.log(2) * self.bytes)

    @property
    def bits_per_character(self) -> float:
        return self.all_nats / (math.log(2) * self.characters)

    @property
    def unk_share(self) -> float:
        """Share of unknown tokens among those that are not line ends."""
        return self.unknown / max(self.tokens - self.lines, 1)

    def to_dict(self) -> dict[str, int | float | None]:
        """All figures, ready for JSON: an infinite one is None."""
        derived = ("perplexity", "word_perplexity", "bits_per_byte", "bits_per_character", "unk_share")
        figures = asdict(self) | {name: getattr(self, name) for name in derived}
        return {name: figure if math.isfinite(figure) else None for name, figure in figures.items()}


def evaluate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    source: TextSource | TokenFile | TokenView,
    *,
    window: int = 256,
    streams: int = 1,
    warm_up: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a text from its first token to its last.

    Args:
        model: Any language model.
        tokenizer: The tokenizer it was trained with.
        source: A text, or its token ids under this tokenizer.
        window: Tokens a call scores at once, in each stream: memory and speed, never the result.
        streams: Cut the text into this many parts and read them side by side: faster, and the same to three digits or
            more, since each part but the first reads the tokens just before it to find its state. 1 is the convention
            of the literature.
        warm_up: With several streams, how many tokens before its part each one reads without scoring them.
        progress: Called with (tokens done, tokens in all) after each window.

    Raises:
        DataError: If the text is empty.
        ConfigError: If window or streams is below 1, or warm_up below 0.
        RunError: If the model gives NaN.
    """
    started = time.perf_counter()
    view = as_view(source, tokenizer)
    nll = 0.0
    for places, scored in readings(model, view, window=window, streams=streams, warm_up=warm_up, progress=progress):
        nll -= float(scored.sum(dtype=np.float64))
        if np.isposinf(nll):
            _refuse_documents(view, places[np.isneginf(scored)], tokenizer)
    return from_counts(view.counts, nll, time.perf_counter() - started, model.is_distribution)


def _refuse_documents(view: TokenView, impossible: Int64[np.ndarray, " tokens"], tokenizer: Tokenizer) -> None:
    """Say so if what is impossible to a model is that a document begins.

    Raises:
        DataError: If it is.
    """
    if len(impossible) and view.read(int(impossible[0]), int(impossible[0]) + 1)[0] == tokenizer.bos_id:
        raise DataError(
            "The model gives the beginning of a document no probability: it was trained on lines, and has not learnt where "
            "documents begin. Expected a text of lines: leave --unit documents out, or train with --unit documents."
        )


def token_log_probs(model: LanguageModel, view: TokenView, **options: Any) -> Float64[np.ndarray, " tokens"]:
    """ln P of every token of a text in order, each given all before it; `options` are those of `evaluate`.

    Raises:
        DataError: If the text is empty.
        ConfigError: If an option cannot be used.
        RunError: If the model gives NaN.
    """
    found = np.empty(len(view))
    for places, scored in readings(model, view, **options):
        found[places] = scored
    return found


def readings(
    model: LanguageModel,
    view: TokenView,
    *,
    window: int = 256,
    streams: int = 1,
    warm_up: int = 256,
    progress: Callable[[int, int], None] | None = None,
    read: Reader | None = None,
) -> Iterator[tuple[Int64[np.ndarray, " tokens"], NDArray[np.floating]]]:
    """What a model says of each token of a text, each of them once: (places in the text (n,), what was said (n, ...)) pairs.

    Args:
        model, view, window, streams, warm_up, progress: As in `evaluate`.
        read: Reads tokens (B, T) from a state: what it says of them, (B, T, ...), and the state after. `model.score` by
            default.
    """
    if window < 1 or streams < 1 or warm_up < 0:
        raise ConfigError(
            f"window={window}, streams={streams} and warm_up={warm_up} cannot be used. The first two were expected "
            "to be at least 1, the last at least 0: leave them out for the convention of the literature."
        )
    n_tokens = len(view)
    if n_tokens == 0:
        raise DataError(
            "The text is empty: 0 tokens. At least one line was expected: check the file, or the field that was named."
        )
    read = model.score if read is None else read
    warm_up = min(warm_up, n_tokens - 1) if streams > 1 else 0
    part = -(-(n_tokens - warm_up) // streams)  # tokens that each stream scores; the first one scores its warm-up too
    begins = np.arange(0, n_tokens - warm_up, part)
    stream_length = part + warm_up
    state = model.start(len(begins))
    padding, done = view.read(0, 1)[0], 0  # any token does after the end of a stream that is shorter than the others
    for offset in range(0, stream_length, window):
        width = min(window, stream_length - offset)
        bounds = [np.clip((begin + offset, begin + offset + width), 0, n_tokens) for begin in begins]
        rows = [view.read(int(first), int(after)) for first, after in bounds]
        token_ids = np.full((len(begins), width), padding, dtype=np.int64)  # (B, T); padding follows the end
        is_token = np.zeros(token_ids.shape, dtype=bool)
        for i, row in enumerate(rows):
            token_ids[i, : len(row)], is_token[i, : len(row)] = row, True
        is_token[1:, : max(0, warm_up - offset)] = False
        said, state = read(token_ids, state)
        done += int(is_token.sum())
        places = begins[:, None] + offset + np.arange(width)
        yield places[is_token], check_numbers(said)[is_token]
        if progress is not None:
            progress(done, n_tokens)


def as_view(source: TextSource | TokenFile | TokenView, tokenizer: Tokenizer) -> TokenView:
    """The token ids of a text."""
    tokens = encode_to_disk(source, tokenizer) if isinstance(source, TextSource) else source
    return tokens.view() if isinstance(tokens, TokenFile) else tokens


def from_counts(counts: TextCounts, nll_nats: float, seconds: float, is_distribution: bool = True) -> Evaluation:
    """The figures of a text of which the counts and the summed -ln p of the tokens are known."""
    return Evaluation(
        tokens=counts.n_tokens,
        words=counts.n_words,
        bytes=counts.n_bytes,
        characters=counts.n_characters,
        lines=counts.n_lines,
        unknown=counts.n_unknown,
        nll_nats=nll_nats,
        spelling_nats=counts.spelling_nats,
        layout_nats=counts.layout_nats,
        is_distribution=is_distribution,
        seconds=seconds,
    )


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 709 else math.inf
