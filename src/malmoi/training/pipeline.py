"""From a text to a run folder: read, tokenize, plan, train, evaluate, describe."""

import re
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from malmoi.data.windows import BPTTWindows
from malmoi.errors import ConfigError, RunError, TrainingError
from malmoi.models.config import NeuralConfig
from malmoi.models.registry import Rung, build_model, find_rung
from malmoi.runs import RUN_NAME, RunConfig, read_config, run_path, trim_metrics, write_config
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.checkpoint import has_checkpoint, load_checkpoint
from malmoi.training.counting import count
from malmoi.training.initialising import Beginning, begin_as, find_beginning, read_vectors
from malmoi.training.progress import Reporter
from malmoi.training.request import Request, parse_budget, read_request
from malmoi.training.resuming import look
from malmoi.training.settings import TrainingSettings
from malmoi.training.texts import describe_tokenizer, encode, prepare, recorded_source, versions
from malmoi.training.vector_job import STATE as VECTOR_STATE
from malmoi.training.vectors import resume_vectors, train_vectors

FINAL_SHARE = 0.01  # of a budget: kept back for writing files and for what was not foreseen
LEAST_TRAINING_SHARE = (
    0.2  # of a budget: with less than that left after preparing the text, nothing good can come of it
)
EVALUATION_STREAMS, EVALUATION_WARM_UP = 32, 256  # of the figures at the end; `malmoi eval` reads one stream
VALIDATION_SHARE = 0.02  # of a budget: the validation text is read once more at the end only if it takes no longer


def train(request: Mapping[str, Any], reporter: Reporter | None = None) -> Path:
    """Train a model; the folder of the finished run.

    Args:
        request: The fields of `Request`, of `TrainingSettings` and of the rung's config, by name; what is left out is planned.
        reporter: Told what happens.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
        Interrupted: If training was stopped; the checkpoint is saved.
    """
    reporter = reporter or Reporter()
    asked, model_options, training_options = read_request(request)
    started = asked.started if asked.started is not None else time.monotonic()
    if asked.resume and (asked.rung is None or asked.text is None or asked.out is None):
        return _resume(asked, started, reporter)
    if asked.rung is None or asked.text is None:
        raise ConfigError("Training needs a rung and a text, as: malmoi train lstm corpus.txt --budget 10m")
    rung = find_rung(asked.rung)
    if asked.resume:
        found = look(asked, rung)
        asked = asked.model_copy(update={"out": str(found.folder), "text": found.text})
        if found.to_do == "go on":
            return _resume(asked, started, reporter)
        if found.to_do == "nothing":
            reporter.stage(f"{found.folder} is finished already; nothing in it was changed")
            return found.folder
    folder = _new_folder(asked, rung)
    rung.config.parse({"vocab_size": 1, **model_options})  # refuse a wrong option before any work is done
    if rung.kind == "counts":
        return count(rung, folder, asked, model_options, training_options, reporter)
    if rung.kind == "vectors":
        return train_vectors(rung, folder, asked, model_options, training_options, started, reporter)
    budget = parse_budget(asked.budget)
    if [budget, asked.epochs, training_options.get("steps")].count(None) < 2:
        raise ConfigError("--budget, --epochs and --steps all say how long to train. Give one of them.")
    if budget is None and asked.epochs is None and "steps" not in training_options:
        budget = 600.0
        reporter.stage("no --budget, --epochs or --steps given: training for 10 minutes")
    return _train_new(rung, folder, asked, model_options, training_options, budget, started, reporter)


def _train_new(
    rung: Rung,
    folder: Path,
    asked: Request,
    model_options: dict[str, Any],
    training_options: dict[str, Any],
    budget: float | None,
    started: float,
    reporter: Reporter,
) -> Path:
    from malmoi.training.machine import find_device, keep_freed_memory
    from malmoi.training.planner import make_plan

    device = find_device(asked.device)
    keep_freed_memory()
    vectors = None
    if asked.initialise_from is not None:
        vectors = read_vectors(asked.initialise_from, model_options.get("embed_dim"))
    prepared = prepare(asked, reporter)
    tokenizer, train_tokens = prepared.tokenizer, prepared.train
    beginning = None
    if asked.initialise_from is not None and vectors is not None:
        beginning, vectors = find_beginning(vectors, tokenizer, asked.initialise_from), None  # which may be large
        reporter.stage(beginning.describe())
    seconds = None
    if budget is not None:
        seconds = _training_seconds(budget, started, 0.0)
        if seconds < LEAST_TRAINING_SHARE * budget:
            raise TrainingError(
                f"Preparing the text took {time.monotonic() - started:.0f} of the {budget:.0f} seconds of --budget, so too "
                "little is left to train. The prepared text is kept: the same command starts at once now. Repeat it, or give "
                "a longer --budget."
            )
    plan = make_plan(
        rung,
        tokenizer.vocab_size,
        len(train_tokens),
        seconds,
        asked.epochs,
        training_options.pop("steps", None),
        model_options,
        training_options,
        device,
        embed_dim=None if beginning is None else beginning.rows.shape[1],
    )
    for reason in plan.reasons:
        reporter.stage(reason)
    BPTTWindows(
        train_tokens, plan.training.batch_size, plan.training.window, plan.training.seed
    )  # refuses a short text
    figures: dict[str, Any] = {"parameters": _count_parameters(rung, plan.model)}
    if beginning is not None:
        figures |= beginning.figures()
    config = RunConfig(
        family=rung.name,
        model=plan.model.model_dump(),
        training={**plan.training.model_dump(), "budget_seconds": budget, "device": str(device)},
        tokenizer=describe_tokenizer(tokenizer),
        data=prepared.data,
        seed=plan.training.seed,
        versions=versions("torch", "numpy", "numba", "tokenizers", "safetensors"),
        figures=figures,
        command=asked.command or "",
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    write_config(folder, config)
    tokens = (train_tokens, prepared.valid, prepared.test)
    return _run(rung, folder, config, tokens, device, started, reporter, beginning=beginning)


def _resume(asked: Request, started: float, reporter: Reporter) -> Path:
    from malmoi.text.tokenizers import Tokenizer
    from malmoi.training.machine import find_device, keep_freed_memory

    if asked.out is None:
        raise ConfigError("--resume needs the run to go on with: malmoi train --resume --out runs/NAME")
    folder = run_path(asked.out)
    config = read_config(folder)
    rung = find_rung(config.family)
    if asked.rung is not None and asked.rung != rung.name:
        raise ConfigError(
            f"{folder} is a run of the rung {rung.name}, not {asked.rung}. Leave the rung out: --resume --out {folder}"
        )
    if rung.kind == "vectors":
        return resume_vectors(folder, config, asked.text, started, reporter)
    if not has_checkpoint(folder):
        load_checkpoint(folder, ())  # raises, saying why there is nothing to resume
    device = find_device(str(config.training.get("device", "cpu")))
    keep_freed_memory()
    tokenizer = Tokenizer.load(folder)
    sources = [recorded_source(folder, config, name, asked.text) for name in ("train", "valid", "test")]
    assert sources[0] is not None
    tokens = encode(sources[0], sources[1], sources[2], tokenizer, reporter)
    return _run(rung, folder, config, tokens, device, started, reporter, resume=True)


def _run(
    rung: Rung,
    folder: Path,
    config: RunConfig,
    tokens: tuple[Any, Any, Any],
    device: Any,
    started: float,
    reporter: Reporter,
    resume: bool = False,
    beginning: Beginning | None = None,
) -> Path:
    """Train, or go on training; then evaluate and finish the folder.

    Args:
        beginning: What embeddings begin as; a resumed run has it in its weights.
    """
    import torch

    from malmoi.training.loop import Trainer

    train_tokens, valid_tokens, test_tokens = tokens
    training = dict(config.training)
    budget = training.pop("budget_seconds")
    training.pop("device")
    settings = TrainingSettings.parse(training)
    model = build_model(rung, rung.config.parse(config.model), settings.seed).to(device)
    if beginning is not None:
        begin_as(model.embedding.weight, beginning)
    if settings.precision == "bfloat16":
        model.compute_dtype = torch.bfloat16
    seconds = None
    validates = valid_tokens is not None
    if budget is not None:
        per_token = _evaluation_seconds(model)
        validates = validates and per_token * len(valid_tokens) <= VALIDATION_SHARE * budget
        final = 0.5 + per_token * sum(
            len(part) + EVALUATION_STREAMS * EVALUATION_WARM_UP
            for part in (valid_tokens if validates else None, test_tokens)
            if part is not None
        )
        spent = load_checkpoint(folder, ())[0].seconds if resume else 0.0
        seconds = spent + _training_seconds(budget - spent if resume else budget, started, final)
        if seconds <= spent:
            seconds = spent + 1e-3  # the time is up: straight to the evaluation
    valid_counts = valid_tokens.counts
    trainer = Trainer(
        model, train_tokens, valid_tokens, valid_counts, settings, folder, reporter, seconds=seconds, resume=resume
    )
    if resume:
        trim_metrics(folder, trainer.progress.step)
        reporter.stage(f"resuming {folder} at step {trainer.progress.step:,}")
    trainer.run()
    _finish(folder, config, trainer, valid_tokens, test_tokens, validates, reporter)
    return folder


def _finish(
    folder: Path,
    config: RunConfig,
    trainer: Any,
    valid_tokens: Any,
    test_tokens: Any,
    validates: bool,
    reporter: Reporter,
) -> None:
    """Final figures with the best weights, the model card, and no checkpoint any more.

    Args:
        validates: Read the validation text once more, in float32 and with warm-up; otherwise its figures are those of the best
            evaluation during training, which are made in the training precision.
    """
    import shutil

    from malmoi.api import Run
    from malmoi.evaluation.perplexity import from_counts
    from malmoi.training.card import write_card

    run = Run(folder, device=str(trainer.device))
    figures = dict(config.figures)
    progress = trainer.progress
    figures |= {
        "steps": progress.step,
        "tokens_trained": progress.tokens,
        "epochs": round(progress.tokens / config.data["train_tokens"], 3),
        "best_step": progress.best_step,
        "training_seconds": round(trainer.elapsed, 1),
    }
    if not validates and progress.best_nll is not None:
        counts = valid_tokens.counts
        figures["valid"] = from_counts(counts, progress.best_nll * counts.n_tokens, seconds=0.0).to_dict()
    for name, tokens in (("valid", valid_tokens if validates else None), ("test", test_tokens)):
        if tokens is not None:
            reporter.stage(f"evaluating on the {name} text")
            figures[name] = run.evaluate(tokens, streams=EVALUATION_STREAMS, warm_up=EVALUATION_WARM_UP).to_dict()
    config = config.model_copy(update={"figures": figures})
    write_card(folder, config)
    write_config(folder, config)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def _evaluation_seconds(model: Any) -> float:
    """How long the figures at the end take for each token, from a short measurement in the precision they are made in."""
    import numpy as np

    from malmoi.models.neural import NeuralLanguageModel

    low, model.compute_dtype = model.compute_dtype, None
    served = NeuralLanguageModel(model, start_id=0)
    ids = np.zeros((EVALUATION_STREAMS, 256), np.int64)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        served.score(ids, served.start(EVALUATION_STREAMS))
        seconds.append(time.perf_counter() - began)
    model.compute_dtype = low
    model.train()
    return min(seconds) / ids.size


def _training_seconds(budget: float, started: float, final: float) -> float:
    """What is left of a budget for training itself."""
    return max(0.0, budget * (1 - FINAL_SHARE / 4) - (time.monotonic() - started) - final)


def _new_folder(asked: Request, rung: Rung) -> Path:
    """Where the run will stand; nothing is made yet."""
    if asked.out is not None:
        folder = Path(asked.out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            go_on = (
                f" Go on with it: malmoi train --resume --out {shlex.quote(str(folder))}"
                if has_checkpoint(folder) or (folder / VECTOR_STATE).is_file()
                else ""
            )
            raise RunError(
                f"{folder} exists already and is not empty; nothing in it was changed. Choose another --out.{go_on}"
            )
        return folder
    first = (
        asked.text
        if isinstance(asked.text, (str, Path))
        else next(iter(asked.text), "text")
        if isinstance(asked.text, Iterable)
        else "text"
    )
    stem = re.sub(r"[^a-z0-9._-]+", "-", Path(str(first)).name.lower().split(".")[0]).strip("-._") or "text"
    name = f"{rung.name}-{stem}"[:56]
    assert RUN_NAME.fullmatch(name)
    candidates = [Path("runs") / name, *(Path("runs") / f"{name}-{number}" for number in range(2, 10_000))]
    return next(path for path in candidates if not path.exists())


def _count_parameters(rung: Rung, config: NeuralConfig) -> int:
    import torch

    with torch.device("meta"):
        model = build_model(rung, config)
    return sum(parameter.numel() for parameter in model.parameters())
