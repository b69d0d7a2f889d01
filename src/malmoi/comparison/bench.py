"""The common ground of a comparison: one text cut once, one tokenizer, the same test bytes and the same measurements.

FOLDER/
  question.json        what is compared on what; the same question goes on where it was stopped
  texts/               train, valid, test
  tokenizer/           of all contenders that do not ask for another
  NAME/                the run of each contender that was trained
  results/             what was measured of each
  errors/              why a contender failed, in full
"""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malmoi.comparison import results, split
from malmoi.comparison.contenders import Contender, options_for
from malmoi.comparison.language import Teller
from malmoi.comparison.measure import disk_bytes, milliseconds_per_token, peak_memory
from malmoi.comparison.overlap import Overlap, measure_overlap
from malmoi.comparison.results import Measured
from malmoi.comparison.words import Words, read_words, word_nats
from malmoi.data.tokens import TokenView, encode_to_disk
from malmoi.errors import DataError, RunError
from malmoi.evaluation.perplexity import evaluate, from_counts, token_log_probs
from malmoi.files import write_json
from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.models.interface import LanguageModel
from malmoi.text.sources import TextSource
from malmoi.text.tokenizers import Tokenizer, train_tokenizer
from malmoi.training.progress import EvaluationReport, Reporter, StepReport

if TYPE_CHECKING:
    from malmoi.runs.folder import RunConfig

FORMAT = 1
QUESTION, TEXTS = "question.json", "texts"
LONG_TEXT = 400_000  # bytes: a longer text is read as several streams side by side
STREAMS, WARM_UP = 32, 256  # then, as at the end of training
SAMPLING: dict[str, Any] = {"temperature": 0.8, "top_p": 0.95}
SAMPLE_LENGTH = {"char": 160, "jamo": 320}  # tokens; other kinds take 50
PROMPT_WORDS, PROMPT_LINE = 4, (8, 60)  # words of the prompt, and of the line it is taken from
LATENCY_TOKENS, AT_ONCE = 4096, 1 << 20  # token ids given to the latency measurement; counted at once


@dataclass(frozen=True)
class Question:
    """What is compared, apart from who takes part."""

    text: TextSource
    valid: TextSource | None = None
    test: TextSource | None = None
    budget: float | None = None  # seconds: for each contender that is trained, or for a whole ladder
    steps: int | None = None
    tokenizer: str | None = None
    tokenizer_from: str | None = None  # the folder of a run, or of a tokenizer alone
    vocab_size: int | None = None
    seed: int = 0
    prompt: str | None = None
    device: str = "cpu"
    verb: str = "compare"
    options: Mapping[str, Any] = field(default_factory=dict)  # of rungs, by name
    measures_memory: bool = True
    command: str = ""

    def identity(self) -> dict[str, Any]:
        """What a result depends on."""
        texts = {name: text and text.fingerprint() for name, text in (("valid", self.valid), ("test", self.test))}
        names = ("budget", "steps", "tokenizer", "tokenizer_from", "vocab_size", "seed", "prompt", "device", "verb")
        options = json.loads(json.dumps(dict(self.options), default=str))
        settings = {name: getattr(self, name) for name in names}
        return {"format": FORMAT, "text": self.text.fingerprint(), **texts, **settings, "options": options}


class Bench:
    """Takes contenders one by one; `prepare` comes first.

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
        self.nats: dict[str, np.ndarray] = {}  # by contender: the cost of each word of the test text
        self.measured: dict[str, Measured] = {}
        self._tokenizers: dict[str | None, Tokenizer] = {}
        self._fresh = set[str]()  # contenders that were measured by this call, not by an earlier one
        identity = question.identity()
        if not (folder / QUESTION).is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(
                    f"{folder} exists already and holds no comparison; nothing in it was changed. Expected a new folder, "
                    "or that of an earlier comparison. Choose another --out."
                )
            write_json(folder / QUESTION, identity)
        elif not (folder / TEXTS).is_dir():
            write_json(folder / QUESTION, identity)  # the earlier question could not be answered: its text was refused
        elif different := differences(folder, identity):
            raise RunError(
                f"{folder} holds a comparison with {', '.join(different)}. Expected the same question, to go on with it. "
                "Choose another --out, or ask as before."
            )

    # The text

    def prepare(self) -> None:
        """Cut the text, measure the overlap, train the tokenizer."""
        question, texts = self.question, self.folder / TEXTS
        if (texts / split.SIZES).is_file():
            self.parts = split.load(texts, split.unit_of(question.text))
        else:
            self.reporter.stage(self.tell("cutting", question.text.describe()))
            given = {"valid": question.valid, "test": question.test}
            self.parts = split.cut(question.text, texts, **given, progress=self.reporter.preparing)
            for source in (question.text, *filter(None, given.values())):
                for note in source.notes:
                    self.reporter.stage(note)
        sizes = [self.parts.sizes[name] for name in split.PARTS]
        total = sum(size.bytes for size in sizes)
        shares = [f"{size.bytes / total:.0%}" for size in sizes]
        self.reporter.stage(self.tell("was_cut", total / 1e6, *shares))
        self.overlap, counts = measure_overlap(self.parts.source("train"), self.parts.source("test"))
        self.reporter.stage(self.tell.overlap(self.overlap))
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
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(folder)
        self.reporter.stage(self.tell("tokenizer", chosen, tokenizer.vocab_size))
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

    def _log_probs(self, model: LanguageModel, view: TokenView) -> np.ndarray:
        """ln P of each token, as `malmoi eval` reads a text."""
        streams = _streams(view.counts.n_bytes)
        return token_log_probs(model, view, streams=streams, warm_up=WARM_UP, progress=self.reporter.preparing)

    # The contenders

    def recall(self, contender: Contender) -> Measured | None:
        """What was measured of it before; nothing where that may have changed since."""
        if contender.run is not None or not self._fresh.isdisjoint(contender.members):
            return None
        found = results.load(self.folder / "results", contender.name, len(self.words.n_bytes))
        if found is not None:
            self.measured[contender.name], self.nats[contender.name] = found
        return self.measured.get(contender.name)

    def take(self, contender: Contender, seconds: float | None = None) -> Measured:
        """Train a contender, if it has to be, and measure it.

        Args:
            contender: It must not have been measured before.
            seconds: How long it may be trained; None where the question says how many steps.
        """
        began = time.monotonic()
        entry = self._enter(contender, seconds)
        if contender.takes_time:
            self.reporter.stage(self.tell("measuring", contender.name))
        measured, nats = self._measure(contender, entry, began)
        results.save(self.folder / "results", measured, nats)
        self.measured[contender.name], self.nats[contender.name] = measured, nats
        self._fresh.add(contender.name)
        return measured

    def _enter(self, contender: Contender, seconds: float | None) -> "_Entry":
        if contender.members:
            return self._mix(contender)
        if contender.run is not None:
            return self._from_run(contender.run)
        if contender.rung in ("uniform", "unigram"):
            return self._baseline(contender)
        return self._from_run(self._train(contender, seconds))

    def _baseline(self, contender: Contender) -> "_Entry":
        tokenizer, began = self.tokenizer(contender.tokenizer), time.monotonic()
        folder = self.tokenizer_folder(contender.tokenizer)
        if contender.rung == "uniform":
            model: UnigramModel = UniformModel(tokenizer.vocab_size)
            n_parameters = 0
        else:
            model, n_parameters = self._unigram(tokenizer), tokenizer.vocab_size
        lasted = time.monotonic() - began
        valid = evaluate(model, tokenizer, self.tokens("valid", tokenizer)).bits_per_byte
        curve = ((lasted, valid),) if n_parameters else ()
        n_bytes = 4 * n_parameters  # it lies in no file
        return _Entry(contender.rung, model, tokenizer, (), (folder,), n_parameters, lasted, curve, n_bytes, False)

    def _unigram(self, tokenizer: Tokenizer) -> UnigramModel:
        """Counted piece by piece, since the text may be larger than memory."""
        view, counts = self.tokens("train", tokenizer), np.zeros(tokenizer.vocab_size, np.int64)
        for begin in range(0, len(view), AT_ONCE):
            counts += np.bincount(view.read(begin, min(begin + AT_ONCE, len(view))), minlength=len(counts))
        return UnigramModel.from_counts(counts)

    def _train(self, contender: Contender, seconds: float | None) -> Path:
        """The run folder of a trained rung; one that was begun before is finished."""
        from malmoi.training import pipeline
        from malmoi.training.checkpoint import can_resume

        folder, question = self.folder / contender.folder_name, self.question
        listener = _Trained(self.reporter)
        if folder.exists() and can_resume(folder):
            return pipeline.train({"resume": True, "out": str(folder)}, listener)
        if _is_finished(folder):
            return folder
        if folder.exists():
            shutil.rmtree(folder)  # it was stopped before there was anything to go on with
        request: dict[str, Any] = {
            "rung": contender.rung,
            "text": str(self.parts.path("train")),
            "valid": str(self.parts.path("valid")),
            **self.parts.options,
            "tokenizer_from": str(self.tokenizer_folder(contender.tokenizer)),
            "out": str(folder),
            "seed": question.seed,
            "device": question.device,
            "command": question.command,
            **options_for(contender, question.options),
        }
        if contender.takes_time:
            request |= {"steps": question.steps} if question.steps else {"budget": seconds, "started": time.monotonic()}
        return pipeline.train(request, listener)

    def _from_run(self, folder: Path) -> "_Entry":
        from malmoi.api import Run
        from malmoi.runs.folder import read_metrics

        run = Run(folder, self.question.device)
        figures = run.config.figures
        lasted = float(figures.get("training_seconds", 0.0))
        curve = [(float(row["seconds"]), float(row["valid_bits_per_byte"])) for row in read_metrics(folder)]
        valid = figures.get("valid") or {}
        if not curve and valid.get("bits_per_byte") is not None:
            curve = [(lasted, float(valid["bits_per_byte"]))]
        parameters = int(figures.get("parameters", 0))
        return _Entry(
            run.config.family, run.model, run.tokenizer, (folder,), (folder,), parameters, lasted, tuple(curve)
        )

    def _mix(self, contender: Contender) -> "_Entry":
        from malmoi.evaluation.weights import tune_weights
        from malmoi.models.combined import Interpolated

        members = [self.measured[name] for name in contender.members if name in self.measured]
        if len(members) < len(contender.members):
            failed = next(name for name in contender.members if name not in self.measured)
            raise DataError(self.tell("member_failed", contender.name, failed))
        if len({member.tokenizer_id for member in members}) > 1:
            kinds = ", ".join(f"{member.name} ({member.tokenizer})" for member in members)
            raise DataError(
                f"{contender.name} would mix models with different tokens: {kinds}. Expected one tokenizer. Let them share it."
            )
        entries = [self._again(member) for member in members]
        models, tokenizer = [entry.model for entry in entries], entries[0].tokenizer
        began = time.monotonic()
        valid = self.tokens("valid", tokenizer)
        found = tune_weights(np.stack([self._log_probs(model, valid) for model in models], axis=1))
        weights = tuple(float(weight) for weight in found)
        runs = tuple(run for entry in entries for run in entry.runs)
        folders = tuple(folder for entry in entries for folder in entry.tokenizers)
        n_parameters = sum(member.parameters for member in members) + len(weights)
        lasted = sum(member.train_seconds for member in members) + time.monotonic() - began
        extra = sum(entry.extra_bytes for entry in entries)
        is_loadable = all(entry.is_loadable for entry in entries)
        mixture = Interpolated(models, np.array(weights))
        return _Entry("", mixture, tokenizer, runs, folders, n_parameters, lasted, (), extra, is_loadable, weights)

    def _again(self, member: Measured) -> "_Entry":
        """A contender that was measured, with its model."""
        if member.run is not None:
            return self._from_run(Path(member.run))
        return self._baseline(Contender(member.name, member.family, member.name.partition(":")[2] or None))

    def _measure(self, contender: Contender, entry: "_Entry", began: float) -> tuple[Measured, np.ndarray]:
        model, tokenizer, question = entry.model, entry.tokenizer, self.question
        view = self.tokens("test", tokenizer)
        scored_at = time.perf_counter()
        log_probs = self._log_probs(model, view)
        lasted = time.perf_counter() - scored_at
        evaluation = from_counts(view.counts, -math.fsum(log_probs), lasted)
        nats = word_nats(tokenizer, self.parts.source("test").lines(), log_probs)
        ids = view.read(0, min(len(view), LATENCY_TOKENS))
        measures_memory = question.measures_memory and entry.is_loadable
        memory = peak_memory(entry.runs, self.parts.path("test")) if measures_memory else None
        return Measured(
            name=contender.name,
            family=entry.family,
            run=str(entry.runs[0]) if entry.runs and not contender.members else None,
            members=contender.members,
            weights=entry.weights,
            tokenizer=tokenizer.kind,
            tokenizer_id=tokenizer.fingerprint(),
            vocab_size=tokenizer.vocab_size,
            evaluation=evaluation,
            streams=self.streams,
            parameters=entry.parameters,
            train_seconds=entry.train_seconds,
            disk_bytes=disk_bytes(entry.runs, entry.tokenizers) + entry.extra_bytes,
            memory_bytes=memory,
            ms_per_token=milliseconds_per_token(model, ids),
            tokens_per_second=len(view) / max(lasted, 1e-9),
            curve=entry.curve,
            sample=continue_prompt(model, tokenizer, self.prompt, question.seed),
            seconds=time.monotonic() - began,
        ), nats


@dataclass(frozen=True)
class _Entry:
    """A model that is ready to be measured."""

    family: str  # "" for a mixture
    model: LanguageModel
    tokenizer: Tokenizer
    runs: tuple[Path, ...]  # the run folders in it
    tokenizers: tuple[Path, ...]  # the folders of its tokenizers
    parameters: int
    train_seconds: float
    curve: tuple[tuple[float, float], ...]
    extra_bytes: int = 0  # of parameters that lie in no file
    is_loadable: bool = True  # from its runs alone: no baseline is in it
    weights: tuple[float, ...] = ()


class _Trained(Reporter):
    """Passes on how training goes, without the plan's reasons: there are several plans."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner

    def preparing(self, done: int, total: int) -> None:
        self._inner.preparing(done, total)

    def trained(self, report: StepReport) -> None:
        self._inner.trained(report)

    def evaluated(self, report: EvaluationReport) -> None:
        self._inner.evaluated(report)

    def finished(self) -> None:
        self._inner.finished()


def differences(folder: Path, identity: Mapping[str, Any]) -> list[str]:
    """In what the question that a folder answers differs from this one, in words; empty if in nothing."""
    try:
        before = dict(json.loads((folder / QUESTION).read_bytes()))
    except (OSError, ValueError, TypeError):
        return ["a question that cannot be read"]
    texts = {"text", "valid", "test"}
    told = []
    for name in identity.keys() | before.keys():
        old, new = before.get(name), identity.get(name)
        if old != new:
            told.append(f"another {name} text" if name in texts else f"{name}={old} instead of {new}")
    return sorted(told)


def choose_prompt(lines: Sequence[str]) -> tuple[str, str]:
    """(the first words of a line of the text, the rest of the line): one of usual length, from the middle of the text."""
    middle_out = sorted(range(len(lines)), key=lambda number: abs(number - len(lines) // 2))
    least, most = PROMPT_LINE
    fitting = (number for number in middle_out if least <= len(lines[number].split()) <= most)
    number = next(fitting, max(range(len(lines)), key=lambda number: len(lines[number].split())))
    words = lines[number].split()
    n_given = min(PROMPT_WORDS, max(1, len(words) // 2))
    return " ".join(words[:n_given]), " ".join(words[n_given:])


def continue_prompt(model: LanguageModel, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """How a model goes on."""
    from malmoi.generation.sampling import SamplingOptions, generate

    length = SAMPLE_LENGTH.get(tokenizer.kind, 50)
    return generate(model, tokenizer, prompt, max_tokens=length, options=SamplingOptions(**SAMPLING), seed=seed)[0]


def _streams(n_bytes: int) -> int:
    return 1 if n_bytes <= LONG_TEXT else STREAMS


def _is_finished(folder: Path) -> bool:
    from malmoi.errors import MalmoiError
    from malmoi.runs.folder import read_config

    try:
        config: RunConfig = read_config(folder)
    except MalmoiError:
        return False
    return (folder / "model.safetensors").is_file() and "training_seconds" in config.figures
