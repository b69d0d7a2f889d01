"""The common ground of a comparison: one text cut once, one tokenizer, the same test bytes.

FOLDER/
  question.json        what is compared on what; the same question goes on where it was stopped
  texts/               train, valid, test
  tokenizer/           of all contenders that do not ask for another
  NAME/                the run of each contender that was trained
  results/             what was measured of each
  errors/              why a contender failed, in full
"""

from pathlib import Path

import numpy as np

from malmoi.comparison import split
from malmoi.comparison.language import say_overlap
from malmoi.comparison.prompts import choose_prompt
from malmoi.comparison.question import TEXTS, Question, claim
from malmoi.comparison.word_costs import Words, read_words
from malmoi.data.overlap import Overlap, measure_overlap
from malmoi.data.tokens import TokenView, encode_to_disk
from malmoi.evaluation.perplexity import token_log_probs
from malmoi.files import make_folder
from malmoi.models.interface import LanguageModel
from malmoi.pages.language import Teller
from malmoi.text.tokenizers import Tokenizer, train_tokenizer
from malmoi.training.progress import Reporter

LONG_TEXT = 200_000  # bytes: a longer text is read as several streams side by side
STREAMS, WARM_UP = 32, 256  # then, as at the end of training


class Ground:
    """What all contenders share; `prepare` comes first.

    Args:
        question: What is compared.
        folder: Where everything is kept; made if it is missing.
        reporter: Told what happens.
        tell: In which words.

    Raises:
        RunError: If the folder holds something else, or the answer to another question.
    """

    parts: split.Parts
    overlap: Overlap
    words: Words
    prompt: str
    goes_on: str  # how the test text continues the prompt; "" if the prompt was given

    def __init__(self, question: Question, folder: Path, reporter: Reporter, tell: Teller) -> None:
        self.question, self.folder, self.reporter, self.tell = question, folder, reporter, tell
        self._tokenizers: dict[str | None, Tokenizer] = {}
        claim(folder, question)

    def prepare(self) -> None:
        """Cut the text, measure the overlap, train the tokenizer."""
        question, texts = self.question, self.folder / TEXTS
        if (texts / split.SIZES).is_file():
            self.parts = split.load(texts, split.unit_of(question.text))
        else:
            self.reporter.stage(self.tell("cutting", text=question.text.describe()))
            given = {"valid": question.valid, "test": question.test}
            self.parts = split.cut(question.text, texts, **given, progress=self.reporter.preparing)
            for source in (question.text, *filter(None, given.values())):
                for note in source.notes:
                    self.reporter.stage(note)
        sizes = [self.parts.sizes[name] for name in split.PARTS]
        total = sum(size.bytes for size in sizes)
        train, valid, test = (f"{size.bytes / total:.0%}" for size in sizes)
        self.reporter.stage(self.tell("was_cut", megabytes=total / 1e6, train=train, valid=valid, test=test))
        self.overlap, counts = measure_overlap(self.parts.source("train"), self.parts.source("test"))
        self.reporter.stage(say_overlap(self.tell, self.overlap))
        self.words = read_words(self.parts.source("test").lines(), counts)
        self.prompt, self.goes_on = question.prompt or "", ""
        if question.prompt is None:
            self.prompt, self.goes_on = choose_prompt([line.text for line in self.parts.source("test").lines()])

    def tokenizer_folder(self, kind: str | None) -> Path:
        """Where the tokenizer of a kind lies, trained on the training part if it is not there; None is the common one."""
        from malmoi.text.choosing import choose_tokenizer

        if kind is None and self.question.tokenizer_from is not None:
            return Path(self.question.tokenizer_from)
        folder = self.folder / ("tokenizer" if kind is None else f"tokenizer-{kind}")
        if (folder / "tokenizer.json").is_file():
            return folder
        source, vocab_size = self.parts.source("train"), self.question.vocab_size
        chosen = kind or self.question.tokenizer
        if chosen is None:
            n_bytes = self.parts.sizes["train"].bytes
            chosen, default_size, _ = choose_tokenizer((line.text for line in source.lines()), n_bytes)
            vocab_size = vocab_size or default_size
        tokenizer = train_tokenizer(chosen, (line.text for line in source.lines()), vocab_size=vocab_size)
        make_folder(folder)
        tokenizer.save(folder)
        self.reporter.stage(self.tell("tokenizer", kind=chosen, n_tokens=tokenizer.vocab_size))
        return folder

    def tokenizer(self, kind: str | None) -> Tokenizer:
        """The tokenizer of a kind, or (None) the common one."""
        if kind not in self._tokenizers:
            self._tokenizers[kind] = Tokenizer.load(self.tokenizer_folder(kind))
        return self._tokenizers[kind]

    def tokens(self, part: str, tokenizer: Tokenizer) -> TokenView:
        """A part of the text as token ids."""
        return encode_to_disk(self.parts.source(part), tokenizer, progress=self.reporter.preparing).view()

    def n_tokens(self, part: str) -> int:
        """How many tokens of the common tokenizer a part has."""
        return len(self.tokens(part, self.tokenizer(None)))

    @property
    def streams(self) -> int:
        """How many parts of the test text are read side by side."""
        return _streams(self.parts.sizes["test"].bytes)

    def log_probs(self, model: LanguageModel, view: TokenView) -> np.ndarray:
        """ln P of each token, as `malmoi eval` reads a text."""
        streams = _streams(view.counts.n_bytes)
        return token_log_probs(model, view, streams=streams, warm_up=WARM_UP, progress=self.reporter.preparing)


def _streams(n_bytes: int) -> int:
    return 1 if n_bytes <= LONG_TEXT else STREAMS
