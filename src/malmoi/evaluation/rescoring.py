"""One log-probability for each line, and n-best lists of a recogniser or translator put in a better order.

A recogniser offers several hypotheses with scores of its own. The language model knows which one reads like the
language, so the two are added up:

    combined = score + lm_weight * ln P(text) + word_bonus * words

The bonus makes up for the fact that every further word lowers ln P. Both weights are tuned on held-out lists.

A list is one JSON line ("key" serves as well as "id"), or consecutive TSV lines with the same id, tabs between:

    {"id": "utt-1", "hypotheses": [{"text": "우리 집에", "score": -12.5}, {"text": "우리 지베", "score": -12.1}]}

    utt-1   -12.5   우리 집에
    utt-1   -12.1   우리 지베
"""

import json
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, groupby, islice, tee
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from malmoi.errors import ConfigError, DataError
from malmoi.generation.sampling import check_numbers, clean
from malmoi.models.interface import LanguageModel
from malmoi.text.tokenizers import Tokenizer

BATCH_LINES, STREAM_LINES = 64, 1024  # read at once: side by side, or one after the other
WINDOW = 256  # tokens a call scores at once, so that one giant line needs no more memory than a short one


@dataclass(frozen=True)
class Hypothesis:
    """One way to read what was said: its text and the score its maker gave it, larger being better."""

    text: str
    score: float


@dataclass(frozen=True)
class Rescored:
    """A hypothesis with what the language model thinks of it; `lm_log_prob` in nats, line end and spelling included."""

    text: str
    score: float
    lm_log_prob: float
    combined: float


@dataclass(frozen=True)
class NBest:
    """The hypotheses for one input, in their maker's order."""

    key: str
    hypotheses: Sequence[Hypothesis]


@dataclass(frozen=True)
class RescoredNBest:
    """The same hypotheses, best first."""

    key: str
    hypotheses: Sequence[Rescored]

    def to_json(self) -> str:
        """One JSON line, without its line end; an infinite number becomes null."""
        rows = [
            {name: None if value in (math.inf, -math.inf) else value for name, value in asdict(hypothesis).items()}
            for hypothesis in self.hypotheses
        ]
        return json.dumps({"id": self.key, "hypotheses": rows}, ensure_ascii=False)

    def to_tsv(self) -> str:
        """Lines `id <tab> combined <tab> text`, joined by line ends: `read_nbest` reads them again."""
        return "\n".join(f"{self.key}\t{row.combined!r}\t{row.text}" for row in self.hypotheses)


def score_lines(model: LanguageModel, tokenizer: Tokenizer, lines: Iterable[str]) -> Iterator[float]:
    """ln P of each line on its own, in nats: its tokens, its line end, and the spelling of its unknown words.

    Lines are scored side by side, with padding after their ends, which changes nothing; they need not fit in memory.

    Raises:
        RunError: If the model gives NaN.
    """
    if model.restarts_at_line_end:
        yield from _score_stream(model, tokenizer, lines)
        return
    lines = iter(lines)
    while group := [clean(line).removesuffix("\n") for line in islice(lines, BATCH_LINES)]:
        sequences = [ids.astype(np.int64) for ids in tokenizer.encode_lines(group)]
        for line, ids, log_prob in zip(group, sequences, _score(model, sequences, tokenizer.pad_id), strict=True):
            yield float(log_prob) - (tokenizer.spelling_nats(line) if tokenizer.unk_id in ids else 0.0)


def _score_stream(model: LanguageModel, tokenizer: Tokenizer, lines: Iterable[str]) -> Iterator[float]:
    """`score_lines` for a model that starts anew after each line: one line after the other is then the same as each alone."""

    def score(group: list[str]) -> list[float]:
        text = "".join(group)
        if not text.isascii() or "\r" in text:
            group = [clean(line) for line in group]
        if "\n" in text:
            group = [line.removesuffix("\n") for line in group]
        ids, spelling = tokenizer.encode_stream(group)
        ends = np.flatnonzero(ids == tokenizer.eos_id)
        if len(ends) > len(group):
            ends = ends[np.cumsum([1 + line.count("\n") for line in group]) - 1]
        log_probs, _ = model.score(ids[None].astype(np.int64), model.start(1))
        begins = np.concatenate([[0], ends[:-1] + 1])
        sums = np.add.reduceat(check_numbers(log_probs)[0], begins, dtype=np.float64)
        if len(spelling):
            unknown = np.searchsorted(ends, np.flatnonzero(ids == tokenizer.unk_id))
            sums -= np.bincount(unknown, spelling, minlength=len(sums))
        found: list[float] = sums.tolist()
        return found

    lines, n_threads = iter(lines), os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as pool:
        jobs: deque[Future[list[float]]] = deque()
        while True:
            group = list(islice(lines, STREAM_LINES))
            if group:
                jobs.append(pool.submit(score, group))
            if not jobs:
                return
            if not group or len(jobs) > n_threads:
                yield from jobs.popleft().result()


def _score(model: LanguageModel, sequences: Sequence[npt.NDArray[np.int64]], pad_id: int) -> npt.NDArray[np.float64]:
    """Summed log-probability of each sequence, (B,), each read from the start."""
    lengths = np.array([len(sequence) for sequence in sequences])
    by_length = np.argsort(-lengths, kind="stable")  # the longest first: those that have ended drop off at the end
    sums = np.zeros(len(sequences))
    state = model.start(len(sequences))
    for begin in range(0, int(lengths.max()), WINDOW):
        going = by_length[lengths[by_length] > begin]
        rows = [sequences[i][begin : begin + WINDOW] for i in going]
        token_ids = np.full((len(rows), max(map(len, rows))), pad_id, dtype=np.int64)  # (B, T)
        is_token = np.zeros(token_ids.shape, dtype=bool)
        for i, row in enumerate(rows):
            token_ids[i, : len(row)], is_token[i, : len(row)] = row, True
        log_probs, state = model.score(token_ids, state.select(list(range(len(rows)))))
        scored = np.where(is_token, check_numbers(log_probs), 0.0)
        sums[going] += np.cumsum(scored, axis=1, dtype=np.float64)[:, -1]  # one by one: padding cannot change rounding
    return sums


def rescore(
    model: LanguageModel,
    tokenizer: Tokenizer,
    lists: Iterable[NBest],
    *,
    lm_weight: float | int = 1.0,
    word_bonus: float | int = 0.0,
) -> Iterator[RescoredNBest]:
    """Each list best first, by score + lm_weight * ln P(text) + word_bonus * words; ties keep their order.

    Raises:
        ConfigError: If a weight is not a finite number.
    """
    if not (math.isfinite(lm_weight) and math.isfinite(word_bonus)):
        raise ConfigError(
            f"lm_weight={lm_weight} and word_bonus={word_bonus} cannot be used. Finite numbers were expected: "
            "try lm_weight=1 and word_bonus=0, then tune both on lists whose right answer is known."
        )
    return _rescored(model, tokenizer, lists, lm_weight, word_bonus)


def _rescored(
    model: LanguageModel, tokenizer: Tokenizer, lists: Iterable[NBest], lm_weight: float | int, word_bonus: float | int
) -> Iterator[RescoredNBest]:
    ahead, lists = tee(lists)  # the scorer runs ahead, so that short lists share a batch
    log_probs = score_lines(model, tokenizer, (hypothesis.text for nbest in ahead for hypothesis in nbest.hypotheses))
    for nbest in lists:
        rows = []
        for hypothesis, log_prob in zip(nbest.hypotheses, islice(log_probs, len(nbest.hypotheses)), strict=True):
            weighted = lm_weight * log_prob if lm_weight else 0.0  # also where log_prob is -inf
            combined = hypothesis.score + weighted + word_bonus * len(hypothesis.text.split())
            rows.append(Rescored(hypothesis.text, hypothesis.score, log_prob, combined))
        yield RescoredNBest(nbest.key, sorted(rows, key=lambda row: -row.combined))


def read_nbest(path: str | Path) -> Iterator[NBest]:
    """The n-best lists of a UTF-8 file, JSON lines or TSV: a file whose first character is "{" is JSON lines.

    Raises:
        DataError: If the file cannot be read, or a line is broken; the message names the line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            yield from parse_nbest(file, name=str(path))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). A file of n-best lists was expected: check its name."
        ) from error


def parse_nbest(lines: Iterable[bytes], name: str = "<input>") -> Iterator[NBest]:
    """The n-best lists in lines of UTF-8; `name` is what messages call them."""
    numbered = ((number, _decoded(line, name, number)) for number, line in enumerate(lines, start=1))
    filled = ((number, line) for number, line in numbered if line.strip())
    first = next(filled, None)
    if first is None:
        raise DataError(
            f"{name}: there is no hypothesis in it. N-best lists were expected: one JSON object a line, or "
            "'id <tab> score <tab> text'."
        )
    entries = chain([first], filled)
    if first[1].startswith("{"):
        yield from (_from_json(line, name, number) for number, line in entries)
        return
    rows = (_from_tsv(line, name, number) for number, line in entries)
    for key, group in groupby(rows, key=lambda row: row[0]):
        yield NBest(key, [hypothesis for _, hypothesis in group])


def _decoded(line: bytes, name: str, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}:{number}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8. UTF-8 text "
            "was expected: convert the file first, for example with iconv -t utf-8."
        ) from error


def _from_json(line: str, name: str, number: int) -> NBest:
    try:
        entry = json.loads(line)
        key = entry["id"] if "id" in entry else entry["key"]
        hypotheses = [Hypothesis(_text(row["text"]), _number(row["score"])) for row in entry["hypotheses"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f'{name}:{number}: expected {{"id": ..., "hypotheses": [{{"text": ..., "score": ...}}]}}, found '
            f"{line[:60]!r} ({_reason(error)}). Correct the line or take it out."
        ) from error
    return NBest(str(key), hypotheses)


def _from_tsv(line: str, name: str, number: int) -> tuple[str, Hypothesis]:
    columns = line.split("\t", maxsplit=2)
    try:
        key, score, text = columns
        return key, Hypothesis(text, _number(float(score)))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name}:{number}: expected 'id <tab> score <tab> text', found {line[:60]!r} ({_reason(error)}). "
            "Correct the line or take it out."
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the text {value!r} is not a string")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"the score {value!r} is not a finite number") from None
    return float(value)


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
