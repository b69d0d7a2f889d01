"""From the name of a contender to a model that is ready to be measured: counted, trained, read or mixed."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from malmoi.comparison.contenders import Contender, options_for
from malmoi.comparison.ground import Ground
from malmoi.comparison.measured import Measured, ReadBefore
from malmoi.data.overlap import measure_overlap
from malmoi.errors import DataError, MalmoiError
from malmoi.evaluation.perplexity import evaluate
from malmoi.models.baselines import UniformModel, UnigramModel
from malmoi.models.interface import LanguageModel
from malmoi.text.tokenizers import Tokenizer
from malmoi.training.progress import EvaluationReport, Reporter, StepReport

if TYPE_CHECKING:
    from malmoi.runs.folder import RunConfig

AT_ONCE = 1 << 20  # token ids counted at once


@dataclass(frozen=True)
class Entry:
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
    hardly_trained: str = ""  # why, if it is
    read_before: ReadBefore | None = None  # of a run that was not trained here


def read_before(ground: Ground, folder: Path) -> ReadBefore:
    """What a run from elsewhere has read of the test text in its training.

    Raises:
        DataError: If it was trained on the whole text that the test part was cut out of.
    """
    from malmoi.runs.folder import read_config
    from malmoi.training.texts import read_source

    data = read_config(folder).data
    told, question = data.get("train") or {}, ground.question
    prints = {name: ground.parts.source(name).fingerprint() for name in ("train", "valid")}
    if told.get("sha256") == question.text.fingerprint() and question.test is None:
        raise DataError(
            f"{folder} was trained on this very text, so it has read the test part, which was cut out of it. Expected a run "
            f"that has not: name its rung to train one here, train it on {ground.parts.path('train')}, or give --test FILE."
        )
    if told.get("sha256") in (*prints.values(), question.text.fingerprint()):
        return ReadBefore("parts", ground.overlap.lines, ground.overlap.runs, ground.overlap.is_high)
    try:
        source = read_source(told["inputs"], data["options"])
        if source.fingerprint() != told["sha256"]:
            raise ValueError("it has changed")
        overlap, _ = measure_overlap(source, ground.parts.source("test"))
    except (MalmoiError, KeyError, TypeError, ValueError, OSError):  # it is gone, or was never written down
        return ReadBefore("unknown")
    return ReadBefore("another text", overlap.lines, overlap.runs, overlap.is_high)


def enter(ground: Ground, contender: Contender, seconds: float | None, measured: Mapping[str, Measured]) -> Entry:
    """A contender with its model.

    Args:
        ground: What all contenders share.
        contender: Who.
        seconds: How long it may be trained; None where the question says how many steps.
        measured: Those that were measured before, of which a mixture is made.
    """
    if contender.members:
        return _mix(ground, contender, measured)
    if contender.run is not None:
        found = read_before(ground, contender.run)
        return replace(_from_run(ground, contender.run), read_before=found)
    if contender.rung in ("uniform", "unigram"):
        return _baseline(ground, contender)
    return _from_run(ground, _train(ground, contender, seconds))


def _baseline(ground: Ground, contender: Contender) -> Entry:
    tokenizer, began = ground.tokenizer(contender.tokenizer), time.monotonic()
    folder = ground.tokenizer_folder(contender.tokenizer)
    if contender.rung == "uniform":
        model: UnigramModel = UniformModel(tokenizer.vocab_size)
        n_parameters = 0
    else:
        model, n_parameters = _unigram(ground, tokenizer), tokenizer.vocab_size
    lasted = time.monotonic() - began
    valid = evaluate(model, tokenizer, ground.tokens("valid", tokenizer)).bits_per_byte
    curve = ((lasted, valid),) if n_parameters else ()
    n_bytes = 4 * n_parameters  # it lies in no file
    return Entry(contender.rung, model, tokenizer, (), (folder,), n_parameters, lasted, curve, n_bytes, False)


def _unigram(ground: Ground, tokenizer: Tokenizer) -> UnigramModel:
    """Counted piece by piece, since the text may be larger than memory."""
    view, counts = ground.tokens("train", tokenizer), np.zeros(tokenizer.vocab_size, np.int64)
    for begin in range(0, len(view), AT_ONCE):
        counts += np.bincount(view.read(begin, min(begin + AT_ONCE, len(view))), minlength=len(counts))
    return UnigramModel.from_counts(counts)


def _train(ground: Ground, contender: Contender, seconds: float | None) -> Path:
    """The run folder of a trained rung; one that was begun before is finished."""
    from malmoi.training import pipeline
    from malmoi.training.checkpoint import can_resume

    folder, question = ground.folder / contender.folder_name, ground.question
    listener = _Trained(ground.reporter)
    if folder.exists() and can_resume(folder):
        return pipeline.train({"resume": True, "out": str(folder)}, listener)
    if _is_finished(folder):
        return folder
    if folder.exists():
        shutil.rmtree(folder)  # it was stopped before there was anything to go on with
    request: dict[str, Any] = {
        "rung": contender.rung,
        "text": str(ground.parts.path("train")),
        "valid": str(ground.parts.path("valid")),
        **ground.parts.options,
        "tokenizer_from": str(ground.tokenizer_folder(contender.tokenizer)),
        "out": str(folder),
        "seed": question.seed,
        "device": question.device,
        "command": question.command,
        **options_for(contender, question.options),
    }
    if contender.takes_time:
        request |= {"steps": question.steps} if question.steps else {"budget": seconds, "started": time.monotonic()}
    return pipeline.train(request, listener)


def _from_run(ground: Ground, folder: Path) -> Entry:
    from malmoi.runs.folder import read_metrics
    from malmoi.runs.opening import open_run
    from malmoi.training.checkpoint import can_resume

    run = open_run(folder, ground.question.device)
    figures = run.config.figures
    lasted = float(figures.get("training_seconds", 0.0))
    curve = [(float(row["seconds"]), float(row["valid_bits_per_byte"])) for row in read_metrics(folder)]
    valid = figures.get("valid") or {}
    if not curve and valid.get("bits_per_byte") is not None:
        curve = [(lasted, float(valid["bits_per_byte"]))]
    parameters = int(figures.get("parameters", 0))
    found = Entry(run.config.family, run.model, run.tokenizer, (folder,), (folder,), parameters, lasted, tuple(curve))
    stopped = "its training was stopped before its end" if can_resume(folder) else ""
    return replace(found, hardly_trained=str(figures.get("hardly_trained") or stopped))


def _mix(ground: Ground, contender: Contender, measured: Mapping[str, Measured]) -> Entry:
    from malmoi.evaluation.weights import tune_weights
    from malmoi.models.combined import Interpolated

    members = [measured[name] for name in contender.members if name in measured]
    if len(members) < len(contender.members):
        failed = next(name for name in contender.members if name not in measured)
        raise DataError(ground.tell("member_failed", mixture=contender.name, member=failed))
    if len({member.tokenizer_id for member in members}) > 1:
        kinds = ", ".join(f"{member.name} ({member.tokenizer})" for member in members)
        raise DataError(
            f"{contender.name} would mix models with different tokens: {kinds}. Expected one tokenizer. Let them share it."
        )
    entries = [_again(ground, member) for member in members]
    models, tokenizer = [entry.model for entry in entries], entries[0].tokenizer
    began = time.monotonic()
    valid = ground.tokens("valid", tokenizer)
    found = tune_weights(np.stack([ground.log_probs(model, valid) for model in models], axis=1))
    weights = tuple(float(weight) for weight in found)
    runs = tuple(run for entry in entries for run in entry.runs)
    folders = tuple(folder for entry in entries for folder in entry.tokenizers)
    n_parameters = sum(member.parameters for member in members) + len(weights)
    lasted = sum(member.train_seconds for member in members) + time.monotonic() - began
    extra = sum(entry.extra_bytes for entry in entries)
    is_loadable = all(entry.is_loadable for entry in entries)
    mixture = Interpolated(models, np.array(weights))
    entry = Entry("", mixture, tokenizer, runs, folders, n_parameters, lasted, (), extra, is_loadable, weights)
    told = [member.read_before for member in members if member.read_before is not None]
    return replace(  # what is true of a member is true of what it is mixed into
        entry,
        hardly_trained=next((member.hardly_trained for member in members if member.hardly_trained), ""),
        read_before=max(told, key=lambda found: (found.is_high, found.text == "unknown"), default=None),
    )


def _again(ground: Ground, member: Measured) -> Entry:
    """A contender that was measured, with its model."""
    if member.run is not None:
        return _from_run(ground, Path(member.run))
    return _baseline(ground, Contender(member.name, member.family, member.name.partition(":")[2] or None))


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


def _is_finished(folder: Path) -> bool:
    from malmoi.runs.folder import read_config

    try:
        config: RunConfig = read_config(folder)
    except MalmoiError:
        return False
    return (folder / "model.safetensors").is_file() and "training_seconds" in config.figures
