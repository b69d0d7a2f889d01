"""Text from a model: sampling, greedy decoding, and streaming.

A prompt is read once and repeated for n samples, which then walk side by side as one batch. Each step takes the model's
distribution, reshapes it as `SamplingOptions` say, and draws one token for each sample from that sample's own
generator. What can no longer change of a sample's text is released at once; see `malmoi.generation.writing`.

Source: nucleus sampling, Holtzman et al. 2020 (arXiv:1904.09751); min-p, Nguyen et al. 2024 (arXiv:2407.01082);
repetition penalty, Keskar et al. 2019 (arXiv:1909.05858), section 4.1.

Shapes: B samples side by side, V vocab_size.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from malmoi.errors import ConfigError, RunError
from malmoi.generation.characters import WholeCharacters, tail_of
from malmoi.generation.writing import ByteText, MorphemeText, Writer
from malmoi.models.interface import LanguageModel, LogProbs, State
from malmoi.shapes import Bool, Float, Int
from malmoi.text.tokenizers import Tokenizer

READ_CHUNK = 256  # tokens of a prompt read at once, so that a long prompt needs no more memory than a short one
MAX_SAMPLES = 1024
OPEN_BYTES = 4  # tokens of a prompt that a character may be spread over
OPEN_MORPHEMES = 8  # no more of a prompt can be part of its last word


@dataclass(frozen=True)
class SamplingOptions:
    """How to reshape a model's distribution before a token is drawn.

    Applied in this order: repetition penalty, temperature, top-k, top-p, min-p; each sees what the one before has left.

    Args:
        temperature: Divides the log-probabilities. Below 1 the likely becomes likelier; 0 always takes the likeliest.
        top_k: Keep the k likeliest tokens.
        top_p: Keep the likeliest tokens that together reach this probability, the one that crosses it included.
        min_p: Keep tokens at least this share as likely as the likeliest one.
        repetition_penalty: Multiplies the log-probability of each token that the prompt or the text so far contains.
            Log-probabilities are at most 0, so a penalty above 1 always makes a token less likely: p becomes p **
            penalty, before all are scaled to sum to 1. (CTRL divides logits, whose zero is arbitrary; here it is
            probability 1.)
    """

    temperature: float | int = 1.0
    top_k: int | None = None
    top_p: float | int | None = None
    min_p: float | int | None = None
    repetition_penalty: float | int = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ConfigError(
                f"temperature={self.temperature} cannot be used. A number of at least 0 was expected: try 0.8 for "
                "livelier text, or 0 to always take the likeliest token."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(
                f"top_k={self.top_k} would leave no token to choose from. A whole number of at least 1 was expected: "
                "try 40, or leave top_k out."
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(
                f"top_p={self.top_p} is not a share of the probability. A number above 0 and at most 1 was expected: "
                "try 0.9, or leave top_p out."
            )
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ConfigError(
                f"min_p={self.min_p} is not a share of the best probability. A number from 0 to 1 was expected: "
                "try 0.05, or leave min_p out."
            )
        if not (self.repetition_penalty > 0 and math.isfinite(self.repetition_penalty)):
            raise ConfigError(
                f"repetition_penalty={self.repetition_penalty} cannot be used. A number above 0 was expected: "
                "try 1.2 against repetition, or 1 for none."
            )


def adjust(
    log_probs: Float[np.ndarray, "batch vocab"],
    options: SamplingOptions,
    seen: Bool[np.ndarray, "batch vocab"] | None = None,
) -> Float[np.ndarray, "batch vocab"]:
    """The distribution that tokens are drawn from: log-probabilities in float64, each row summing to 1.

    Args:
        log_probs: What the model says; rows need not be normalised.
        options: What to do with it.
        seen: True at tokens of the prompt and of the text so far; only the repetition penalty looks at it.
    """
    scores = _normalised(np.asarray(log_probs, dtype=np.float64))  # (B, V)
    if seen is not None and options.repetition_penalty != 1:
        scores = _normalised(np.where(seen, scores * options.repetition_penalty, scores))
    if options.temperature == 0:
        best = scores.argmax(axis=1)
        scores = np.full_like(scores, -np.inf)
        scores[np.arange(len(scores)), best] = 0.0
        return scores
    with np.errstate(over="ignore"):  # at a tiny temperature all but the best end at -inf, as they should
        scores = _normalised((scores - scores.max(axis=1, keepdims=True)) / options.temperature)
    if options.top_k is not None and options.top_k < scores.shape[1]:
        dropped = np.argpartition(-scores, options.top_k - 1, axis=1)[:, options.top_k :]
        np.put_along_axis(scores, dropped, -np.inf, axis=1)
        scores = _normalised(scores)
    if options.top_p is not None and options.top_p < 1:
        order = np.argsort(-scores, axis=1, kind="stable")
        sorted_probs = np.exp(np.take_along_axis(scores, order, axis=1))
        before = np.cumsum(sorted_probs, axis=1) - sorted_probs  # what the likelier tokens already hold
        kept = np.empty_like(before, dtype=bool)
        np.put_along_axis(kept, order, before < options.top_p, axis=1)
        scores = _normalised(np.where(kept, scores, -np.inf))
    if options.min_p is not None:
        floor = scores.max(axis=1, keepdims=True) + (math.log(options.min_p) if options.min_p else -np.inf)
        scores = _normalised(np.where(scores >= floor, scores, -np.inf))
    return scores


def _normalised(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    top = scores.max(axis=1, keepdims=True)
    normalised: npt.NDArray[np.float64] = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return normalised


def draw(
    log_probs: Float[np.ndarray, "batch vocab"], generators: "Sequence[np.random.Generator]"
) -> Int[np.ndarray, " batch"]:
    """One token id for each row, using exactly one number of each row's own generator."""
    cumulative = np.cumsum(np.exp(log_probs.astype(np.float64)), axis=1)  # (B, V)
    points = np.array([generator.random() for generator in generators])[:, None] * cumulative[:, -1:]
    return np.asarray((cumulative <= points).sum(axis=1), dtype=np.int64)


def generate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    max_tokens: int = 100,
    options: SamplingOptions | None = None,
    n: int = 1,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> list[str]:
    """Continue the prompt n times; each text is what comes after the prompt, so that prompt + text reads on.

    Any Unicode is a valid prompt. Characters or words the vocabulary lacks are read as the unknown token or as bytes;
    `tokenizer.count_unknown(prompt)` tells how many, to warn a person.

    Sample i depends on (seed, i) alone, not on n, apart from the rounding of a model's batched arithmetic. The padding
    and document-start tokens are never generated, nor is the unknown token while anything else has probability, nor bytes that
    cannot become whole characters.

    Under `bpe` and `unigram` the last token of the prompt is open: it is drawn again among the tokens that begin with
    its text, so that a prompt ending inside a word or in a space is continued as a person means it. It does not count
    as one of max_tokens.

    Args:
        model: Any language model.
        tokenizer: The tokenizer it was trained with.
        prompt: The text to continue; "" starts a new line.
        max_tokens: Tokens to draw at most.
        options: How to reshape the distribution; None leaves it as it is.
        n: Number of samples.
        seed: At least 0; the same seed gives the same texts.
        stop: Texts that end a sample. They may span tokens, and are not part of what is returned; "\\n" ends with the
            line.

    Raises:
        ConfigError: If an argument is out of its range.
        RunError: If the model gives NaN.
    """
    _check(max_tokens, n, seed, stop)
    texts = [""] * n
    for sample, piece in _pieces(model, tokenizer, prompt, max_tokens, options or SamplingOptions(), n, seed, stop):
        texts[sample] += piece
    return texts


def stream(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    max_tokens: int = 100,
    options: SamplingOptions | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """The first sample of `generate`, piece by piece as it is drawn: the pieces joined are exactly that text.

    A piece is never taken back and never ends in half a character; text that may be the beginning of a stop string
    waits.
    """
    _check(max_tokens, 1, seed, stop)
    pieces = _pieces(model, tokenizer, prompt, max_tokens, options or SamplingOptions(), 1, seed, stop)
    return (piece for _, piece in pieces)


def read(model: LanguageModel, token_ids: Sequence[int] | npt.NDArray[np.integer]) -> tuple[LogProbs, State]:
    """Read one text from the start in chunks: log_probs (1, V) of the token after it, and the state."""
    state = model.start(1)
    row = np.asarray(token_ids, dtype=np.int64)[None]  # (1, T)
    for begin in range(0, max(row.shape[1], 1), READ_CHUNK):
        log_probs, state = model.step(row[:, begin : begin + READ_CHUNK], state)
    return check_numbers(log_probs), state


def check_numbers(log_probs: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The same array, if no NaN is in it."""
    if np.isnan(log_probs).any():
        raise RunError(
            "The model gave NaN (not a number) as a log-probability. Numbers of at most 0 were expected: its weights "
            "are damaged or its training diverged, so train again or load another run."
        )
    return log_probs


def clean(text: str) -> str:
    """Text as tokenizers read it: NFC, line ends as \\n, and U+FFFD in place of what is no Unicode character."""
    if text.isascii():
        return text.replace("\r\n", "\n")
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n")


def _check(max_tokens: int, n: int, seed: int, stop: Sequence[str]) -> None:
    if max_tokens < 1:
        raise ConfigError(
            f"max_tokens={max_tokens} would generate nothing. A whole number of at least 1 was expected: try 100."
        )
    if not 1 <= n <= MAX_SAMPLES:
        raise ConfigError(
            f"n={n} samples cannot be made at once. A whole number from 1 to {MAX_SAMPLES} was expected: for more, "
            "call again with another seed."
        )
    if seed < 0:
        raise ConfigError(f"seed={seed} cannot be used. A whole number of at least 0 was expected: try 0.")
    if isinstance(stop, str):
        raise ConfigError(f"stop={stop!r} is one text. A list of texts was expected: write [{stop!r}].")
    if "" in stop:
        raise ConfigError(
            f"stop={list(stop)!r} holds an empty text, which would stop before the first token. Texts of at least one "
            'character were expected: use "\\n" to stop at the end of a line, or leave stop out.'
        )


def _pieces(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str,
    max_tokens: int,
    options: SamplingOptions,
    n: int,
    seed: int,
    stop: Sequence[str],
) -> Iterator[tuple[int, str]]:
    """(sample, text that is final) pairs, as the samples grow side by side."""
    prompt = clean(prompt)
    surfaces = tokenizer.token_bytes()
    prompt_ids = tokenizer.encode(prompt)
    reopened = _open_end(tokenizer, surfaces, prompt_ids)
    context = prompt_ids if reopened is None else prompt_ids[:-1]
    log_probs, state = read(model, context)
    vocab_size = log_probs.shape[1]
    log_probs, state = np.repeat(log_probs, n, axis=0), state.select([0] * n)

    samples = list(range(n))  # which sample each row of the batch belongs to: finished ones leave
    generators = [np.random.default_rng([seed, sample]) for sample in samples]
    skip = len(surfaces[prompt_ids[-1]]) if reopened is not None else 0
    stop = [clean(text) for text in stop]
    if tokenizer.kind == "morpheme":
        last_line = prompt_ids[len(tokenizer.encode(prompt[: prompt.rfind("\n") + 1])) :]
        given = [] if prompt[-1:].isspace() else last_line[-OPEN_MORPHEMES:].tolist()
        writers = [Writer(MorphemeText(tokenizer, given), stop) for _ in samples]
    else:
        writers = [Writer(ByteText(tokenizer, surfaces, prompt, skip), stop) for _ in samples]
    whole = WholeCharacters(surfaces)
    tails = [
        tail_of(b"".join(surfaces[token_id] for token_id in context[-OPEN_BYTES:]))
    ] * n  # of each sample, at its place
    seen = np.zeros((n, vocab_size), dtype=bool)
    seen[:, context] = True

    for turn in range(max_tokens + (reopened is not None)):
        if turn == 0 and reopened is not None:
            scores = _only(log_probs, reopened, fallback=int(prompt_ids[-1]))
        else:
            scores = _speakable(log_probs, tokenizer)
        token_ids = draw(adjust(scores, options, seen), [generators[sample] for sample in samples])  # (B,)
        for row, sample in enumerate(samples):
            allowed = whole.allowed(tails[sample])
            if not allowed[token_ids[row]]:  # drawn again among those that are: in all, as if there had been no others
                among = _with_fallback(np.where(allowed, scores[row : row + 1], -np.inf), tokenizer.unk_id)
                again = adjust(among, options, seen[row : row + 1])
                token_ids[row] = draw(again, [generators[sample]])[0]
        seen[np.arange(len(samples)), token_ids] = True
        for sample, token_id in zip(samples, token_ids, strict=True):
            tails[sample] = whole.tail_after(tails[sample], int(token_id))
            if piece := writers[sample].write(int(token_id)):
                yield sample, piece
        going = [row for row, sample in enumerate(samples) if not writers[sample].stopped]
        if not going or turn + 1 == max_tokens + (reopened is not None):
            break
        if len(going) < len(samples):
            samples, state = [samples[row] for row in going], state.select(going)
            token_ids, seen = token_ids[going], seen[going]
        log_probs, state = model.step(token_ids[:, None], state)
        check_numbers(log_probs)
    for sample, writer in enumerate(writers):
        if piece := writer.close():
            yield sample, piece


def _open_end(
    tokenizer: Tokenizer, surfaces: Sequence[bytes], prompt_ids: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64] | None:
    """Ids of the tokens that may stand where the last one of the prompt stands; None if the end is not open."""
    if tokenizer.kind not in ("bpe", "unigram") or not len(prompt_ids) or prompt_ids[-1] == tokenizer.eos_id:
        return None
    last = surfaces[prompt_ids[-1]]
    ids = [token_id for token_id, surface in enumerate(surfaces) if last and surface.startswith(last)]
    return np.array(ids, dtype=np.int64) if len(ids) > 1 else None


def _speakable(log_probs: LogProbs, tokenizer: Tokenizer) -> npt.NDArray[np.float64]:
    """The log-probabilities with -inf at what must not be generated."""
    scores = log_probs.astype(np.float64)
    scores[:, [token_id for token_id in tokenizer.special_ids.all if token_id != tokenizer.eos_id]] = -np.inf
    return _with_fallback(scores, tokenizer.unk_id)


def _only(log_probs: LogProbs, kept: npt.NDArray[np.int64], fallback: int) -> npt.NDArray[np.float64]:
    """The log-probabilities with -inf outside `kept`; rows that give `kept` no probability take the fallback token."""
    scores = np.full(log_probs.shape, -np.inf)
    scores[:, kept] = log_probs[:, kept]
    return _with_fallback(scores, fallback)


def _with_fallback(scores: npt.NDArray[np.float64], fallback: int) -> npt.NDArray[np.float64]:
    """The same array, in which rows without any probability take the fallback token."""
    scores[np.isneginf(scores.max(axis=1)), fallback] = 0.0
    return scores
