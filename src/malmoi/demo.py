"""The tour of `malmoi demo`: a small model of text that is on the machine already, and what it is worth.

English is the Python reference that ships inside CPython (`pydoc_data.topics`). Korean are the translated messages that
programs bring along (gettext catalogues, *.mo). A twentieth of the text is held out, never shown to a model. The tour
explains one prediction, number by number, and ends in a small ladder on the held-out text: a model that knows nothing, token
counts, an n-gram model, the LSTM, and n-grams and LSTM together.
"""

import codecs
import math
import os
import re
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malmoi.errors import DataError, MalmoiError
from malmoi.pages.language import Language

if TYPE_CHECKING:
    from malmoi.comparison.comparison import Comparison
    from malmoi.generation.completion import NextToken
    from malmoi.training.progress import Reporter

COMMAND = "malmoi demo"  # what the command in config.json begins with, so that only a demo's own run is ever replaced
WHY = "why.html"  # the page, inside the folder of the run, that explains a prediction
LADDER = "ladder"  # the folder, inside that of the run, where the small ladder and its report are
HELD_OUT, BLOCK = 20, 20  # one block of lines in 20, each of 20 lines
FEWEST_LINES = 100
ENOUGH_KOREAN = 150_000  # bytes
MOST_TEXT = 8_000_000  # characters of a given file that are used: more than the clock allows to read anyway
LARGEST_CATALOGUE = 32_000_000  # bytes
CONTEXTS = {
    "en": ("The value of the", "If the object", "This method is"),
    "ko": ("사용할 수", "지원하지", "파일을"),
}
TOLD = ("embedding", "gates 1", "logits", "after")  # the steps of an explanation that the tour tells
LOCALES = ("/usr/share/locale", "/usr/local/share/locale", "/usr/share/locale-langpack")
UNDERLINE = re.compile(r"([*=^~-])\1{2,}")
KOREAN_FOLDER = re.compile(r"ko([_.@].*)?")


@dataclass(frozen=True)
class Corpus:
    """The text of a tour, line by line, and contexts that suit it."""

    train: list[str]
    test: list[str]
    contexts: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        return sum(len(line.encode()) + 1 for line in (*self.train, *self.test))


@dataclass(frozen=True)
class Figures:
    """One model on the held-out text."""

    bits_per_byte: float
    perplexity: float


@dataclass(frozen=True)
class Tour:
    """What the tour found."""

    folder: Path
    figures: dict[str, Figures]  # "untrained", "unigram", "ngram", "lstm" and "ngram+lstm"
    ladder: "Comparison"  # of these
    next_words: "dict[str, list[NextToken]]"  # context -> likeliest next words
    prompt: str
    sample: str
    speaker: str  # the best of the models with a run of their own: predictions and sample are its
    explained: str  # the likeliest token after the prompt
    explanation: list[str]  # what the steps to it are, in sentences


def corpus(language: Language, text: str | None = None) -> Corpus:
    """The text for a tour: a given file, or what this machine has in that language.

    Raises:
        DataError: If there is too little.
    """
    if text is not None:
        lines = _given_lines(text)
        train, test = hold_out(lines)
        return Corpus(train, test, frequent_contexts(train))
    train, test = hold_out(english_lines() if language == "en" else korean_lines())
    return Corpus(train, test, CONTEXTS[language])


def run_tour(
    corpus: Corpus,
    *,
    budget: str,
    out: str | Path,
    reporter: "Reporter",
    ladder_reporter: "Reporter | None" = None,
    command: str = COMMAND,
    started: float | None = None,
    lang: Language = "en",
) -> Tour:
    """Train an LSTM on the corpus, predict and generate with it, and climb a small ladder to it.

    Args:
        budget: Training time, as 90s.
        out: The run folder. A run that an earlier tour made there is replaced, anything else is not touched.
        reporter: Told how training goes.
        ladder_reporter: Told how the ladder goes.
        command: What was typed, for the model card; it begins with COMMAND.
        started: When the command began, by time.monotonic().
        lang: Language of the ladder's report.
    """
    from malmoi.api import Run
    from malmoi.comparison.ladder import ladder
    from malmoi.explain.page import write_page
    from malmoi.text.sources import TextSource
    from malmoi.training.pipeline import train

    started = time.monotonic() if started is None else started
    remove_earlier_tour(Path(out))
    learnt, watched = every_twentieth(corpus.train)
    texts: dict[str, Any] = {
        "text": TextSource.from_texts(learnt),
        "valid": TextSource.from_texts(watched),
        "test": TextSource.from_texts(corpus.test),
    }
    request = {
        "rung": "lstm",
        **texts,
        "out": str(out),
        "budget": budget,
        "command": command,
        "started": started,
    }
    run = Run(train(request, reporter))
    prompt = corpus.contexts[0]
    found = ladder(
        **texts,
        rungs=("uniform", "unigram", "ngram", "lstm", "ngram+lstm"),
        runs={"lstm": run.folder},
        tokenizer_from=run.folder,
        out=run.folder / LADDER,
        prompt=prompt or None,
        lang=lang,
        measure_memory=False,
        reporter=ladder_reporter,
        command=command,
    )
    names = {"uniform": "untrained"}
    figures = {
        names.get(model.name, model.name): Figures(model.bits_per_byte, model.evaluation.perplexity)
        for model in found.models
    }
    length = 200 if run.tokenizer.kind in ("char", "jamo") else 60
    best = min(found.models, key=lambda model: model.bits_per_byte if model.run is not None else math.inf)
    speaker = (
        run if best.run is None or Path(best.run) == run.folder else Run(best.run)
    )  # of those with a folder of their own
    sample = speaker.generate(prompt, max_tokens=length, temperature=0.7, top_p=0.95, seed=1)[0]
    why = run.explain(prompt, step="next", train_step=True, language=lang)
    write_page(why, run.folder / WHY)
    told = [step.sentence for step in why.steps if step.name in TOLD]
    next_words = {context: speaker.next(context, 5) for context in corpus.contexts}
    return Tour(run.folder, figures, found, next_words, prompt, sample, best.name, why.target, told)


def remove_earlier_tour(folder: Path) -> None:
    """Remove the run that an earlier tour left; whatever else is there stays, for training to refuse the folder."""
    from malmoi.runs.folder import read_config

    try:
        is_ours = read_config(folder).command.startswith(COMMAND)
    except MalmoiError:
        return
    if is_ours:
        import shutil

        shutil.rmtree(folder)


def hold_out(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """(training lines, held-out lines): blocks of neighbours, spread evenly.

    Raises:
        DataError: If there are too few lines to spare any.
    """
    if len(lines) < FEWEST_LINES:
        raise DataError(
            f"The text has {len(lines):,} lines. The demo needs at least {FEWEST_LINES:,}, to learn from some and be "
            "tested on others. Give it a longer text: malmoi demo --text FILE"
        )
    return every_twentieth(lines)


def every_twentieth(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """(all lines but every twentieth block of neighbours, the lines of those blocks)."""
    block = max(1, min(BLOCK, len(lines) // (2 * HELD_OUT)))
    kept: list[str] = []
    taken: list[str] = []
    for place, line in enumerate(lines):
        (taken if place // block % HELD_OUT == HELD_OUT // 2 else kept).append(line)
    return kept, taken


def frequent_contexts(lines: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """The most frequent pairs of words that stand side by side, no two with a word in common."""
    pairs = Counter[tuple[str, str]]()
    for line in lines:
        words = line.split()
        pairs.update(pair for pair in pairwise(words) if all(map(str.isalpha, pair)))
    chosen: list[tuple[str, str]] = []
    for pair, _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        if len(chosen) < n and not any(set(pair) & set(other) for other in chosen):
            chosen.append(pair)
    return tuple(" ".join(pair) for pair in chosen) or ("",)


def _given_lines(text: str) -> list[str]:
    from malmoi.text.sources import TextSource

    lines, n_characters = [], 0
    for line in TextSource(text).lines():
        if line.text.strip():
            lines.append(line.text)
            n_characters += len(line.text)
        if n_characters > MOST_TEXT:
            break
    return lines


def english_lines() -> list[str]:
    """The Python reference: one line a paragraph, code as it stands, each paragraph once.

    Raises:
        DataError: If this Python was installed without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "This Python comes without pydoc_data, the English text of the demo. Expected it in the standard library. "
            "Give a text of your own: malmoi demo --text FILE"
        ) from None
    paragraphs: dict[str, None] = {}  # some sections stand in several topics
    for name in sorted(topics):
        paragraphs.update(dict.fromkeys(part.strip("\n") for part in topics[name].split("\n\n")))
    lines: list[str] = []
    for paragraph in paragraphs:
        rows = [row.rstrip() for row in paragraph.split("\n") if row.strip() and not UNDERLINE.fullmatch(row.strip())]
        if rows and not rows[0].startswith("   "):  # prose: one line, and words that were broken at a hyphen made whole
            rows = [re.sub(r"(?<=[a-z]-) (?=[a-z])", "", " ".join(map(str.strip, rows)))]
        lines += rows
    return lines


def korean_lines() -> list[str]:
    """Korean messages of the programs on this machine, those that read like sentences, each once.

    Raises:
        DataError: If there are too few of them, saying, in Korean, how to pass a file.
    """
    found: dict[str, None] = {}
    n_bytes = 0
    for files in (_system_catalogues, _package_catalogues):  # the second takes longer to look for
        for path in files():
            for message in read_catalogue(path):
                for line in map(str.strip, message.split("\n")):
                    if line not in found and _is_korean_sentence(line):
                        found[line] = None
                        n_bytes += len(line.encode()) + 1
        if n_bytes >= ENOUGH_KOREAN:
            return list(found)
    raise DataError(
        f"이 컴퓨터에서 찾은 한국어 글은 {n_bytes / 1000:,.0f} kB뿐입니다 ({ENOUGH_KOREAN / 1000:,.0f} kB 이상 필요). "
        "글 파일을 넘겨 주세요: malmoi demo --lang ko --text 파일"
    )


def _is_korean_sentence(line: str) -> bool:
    """Mostly syllables, enough of them for a sentence, and no place holder such as %s."""
    n_syllables = sum("가" <= c <= "힣" for c in line)
    return n_syllables >= max(8, 0.6 * len(line.replace(" ", ""))) and "%" not in line


def _system_catalogues() -> Iterator[Path]:
    own = [os.path.join(prefix, "share", "locale") for prefix in (sys.prefix, sys.base_prefix)]
    for root in dict.fromkeys((*LOCALES, *own)):
        folders = Path(root).iterdir() if os.access(root, os.R_OK | os.X_OK) else ()
        for folder in sorted(folders):
            if KOREAN_FOLDER.fullmatch(folder.name):
                yield from sorted(folder.glob("LC_MESSAGES/*.mo"))


def _package_catalogues() -> Iterator[Path]:
    for root in dict.fromkeys(entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))):
        for parent, folders, _ in os.walk(root):
            for name in sorted(filter(KOREAN_FOLDER.fullmatch, folders)):
                yield from sorted(Path(parent, name).glob("LC_MESSAGES/*.mo"))


def read_catalogue(path: Path) -> list[str]:
    """The translations in a gettext catalogue; none from a file that is damaged or is something else.

    Only the table of translations is read: the header, which gettext would compile a plural rule from, is passed over.

    Source: GNU gettext manual, "The Format of GNU MO Files".
    """
    try:
        if path.stat().st_size > LARGEST_CATALOGUE:
            return []
        data = path.read_bytes()
        order = {0x950412DE: "<", 0xDE120495: ">"}[struct.unpack_from("<I", data)[0]]
        n_messages, originals, translations = struct.unpack_from(f"{order}III", data, 8)
        if max(originals, translations) + 8 * n_messages > len(data):
            return []
        spans = [struct.unpack_from(f"{order}II", data, translations + 8 * i) for i in range(n_messages)]
        texts = [data[start : start + length] for length, start in spans]
        is_header = [struct.unpack_from(f"{order}I", data, originals + 8 * i)[0] == 0 for i in range(n_messages)]
        header = b"".join(text for text, is_it in zip(texts, is_header, strict=True) if is_it)
        charset = re.search(rb"charset=([A-Za-z0-9_.:-]+)", header)
        encoding = codecs.lookup(charset[1].decode("ascii") if charset else "utf-8").name
        messages = [text for text, is_it in zip(texts, is_header, strict=True) if not is_it]
        return [part for message in messages for part in str(message, encoding).split("\0")]  # plural forms
    except (OSError, KeyError, struct.error, LookupError, UnicodeError):
        return []


def to_dict(tour: Tour) -> dict[str, Any]:
    """The tour, ready for JSON."""
    return {
        "run": str(tour.folder),
        "figures": {name: vars(figures) for name, figures in tour.figures.items()},
        "ladder": tour.ladder.to_dict(),
        "next": {context: [row._asdict() for row in rows] for context, rows in tour.next_words.items()},
        "prompt": tour.prompt,
        "sample": tour.sample,
        "speaker": tour.speaker,
        "explanation": str(tour.folder / WHY),
    }
