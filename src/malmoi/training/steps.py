"""From a text to the run folder of a network: prepare, plan, train step by step, evaluate, describe."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malmoi.errors import ConfigError, TrainingError
from malmoi.files import make_folder
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import Rung, build_model, load_ahead, resolve
from malmoi.runs.folder import RunConfig, describe_tokenizer, trim_metrics, versions, write_config
from malmoi.training.budget import DEFAULT, Budget
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.checkpoint import load_checkpoint
from malmoi.training.floor import shortfall
from malmoi.training.initialising import Beginning, begin_as, find_beginning, read_vectors
from malmoi.training.objectives.objective import Data, Objective
from malmoi.training.progress import Reporter
from malmoi.training.request import Asked
from malmoi.training.settings import TrainingSettings
from malmoi.training.texts import Texts, encode_recorded, find_sources, overlap_seconds, prepare, tell_overlaps

if TYPE_CHECKING:
    from malmoi.models.network import NextTokenNetwork
    from malmoi.training.loop import Trainer


def train(rung: Rung, folder: Path, asked: Asked, reporter: Reporter) -> Path:
    """Train a new run.

    Raises:
        MalmoiError: With one message, if anything asked for cannot be done.
        Interrupted: If training was stopped; the checkpoint is saved.
    """
    from malmoi.machine import fastest_precision, find_device, find_device_ahead, keep_freed_memory
    from malmoi.training.planner import make_plan

    request, training_options, budget = asked.request, dict(asked.training), asked.budget
    if [budget.seconds, request.epochs, training_options.get("steps")].count(None) < 2:
        raise ConfigError("--budget, --epochs and --steps all say how long to train. Give one of them.")
    if budget.seconds is None and request.epochs is None and "steps" not in training_options:
        budget = Budget(DEFAULT, budget.started)
        reporter.stage("no --budget, --epochs or --steps given: training for 10 minutes")

    sources = find_sources(request)  # what is not there is told before anything is loaded

    def precision() -> str:  # whatever the plan will be when nothing else keeps the machine busy
        return str(training_options.get("precision") or fastest_precision(find_device(request.device))[0])

    found_device = find_device_ahead(request.device, partial(load_ahead, rung, precision))
    keep_freed_memory()
    vectors = None
    if request.initialise_from is not None:
        vectors = read_vectors(request.initialise_from, asked.model.get("embed_dim"))
    prepared = prepare(request, sources, reporter)
    tokenizer = prepared.tokenizer
    device = found_device()
    beginning = None
    if request.initialise_from is not None and vectors is not None:
        beginning, vectors = find_beginning(vectors, tokenizer, request.initialise_from), None  # which may be large
        reporter.stage(beginning.describe())
    budget.refuse_if_spent()
    plan = make_plan(
        rung,
        tokenizer.vocab_size,
        len(prepared.train),
        budget.for_steps(),
        request.epochs,
        training_options.pop("steps", None),
        asked.model,
        training_options,
        device,
        embed_dim=None if beginning is None else beginning.rows.shape[1],
    )
    for reason in plan.reasons:
        reporter.stage(reason)
    data = Data(prepared.train, prepared.valid, prepared.test)
    network = _network(rung, plan.model, plan.training, tokenizer.eos_id, device, beginning)
    objective = _objective(rung, network, data, plan.training)  # refuses a text that is too short
    figures: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in network.parameters())}
    if beginning is not None:
        figures |= beginning.figures()
    config = RunConfig(
        family=rung.name,
        model=plan.model.model_dump(),
        training={**plan.training.model_dump(), "budget_seconds": budget.seconds, "device": str(device)},
        tokenizer=describe_tokenizer(tokenizer),
        data=prepared.data,
        seed=plan.training.seed,
        versions=versions("torch", "numpy", "numba", "tokenizers", "safetensors"),
        figures=figures,
        command=request.command or "",
    )
    make_folder(folder)
    write_config(folder, config)  # first of all, so that a run which is killed now is known for one
    tokenizer.save(folder)
    return _run(folder, config, objective, plan.training, data, prepared.texts, budget, reporter)


def resume(rung: Rung, folder: Path, config: RunConfig, asked: Asked, reporter: Reporter) -> Path:
    """Go on with a run that was stopped, on the text that it began with.

    Raises:
        RunError: If the text has changed, or the checkpoint is damaged.
    """
    from malmoi.machine import find_device, keep_freed_memory
    from malmoi.text.tokenizers import Tokenizer

    training = dict(config.training)
    budget = Budget(training.pop("budget_seconds"), asked.budget.started)
    device = find_device(str(training.pop("device", "cpu")))
    settings = TrainingSettings.parse(training)
    keep_freed_memory()
    tokenizer = Tokenizer.load(folder)
    texts, views = encode_recorded(folder, config, asked.request.text, tokenizer, reporter)
    data = Data(*views)
    network = _network(rung, rung.config.parse(config.model), settings, tokenizer.eos_id, device)
    objective = _objective(rung, network, data, settings)
    return _run(folder, config, objective, settings, data, texts, budget, reporter, resume=True)


def _network(
    rung: Rung,
    config: Any,
    settings: TrainingSettings,
    start_id: int,
    device: Any,
    beginning: Beginning | None = None,
) -> "NextTokenNetwork":
    """A network with its first weights; a resumed run reads others over them.

    Args:
        start_id: The token that stands before a text.
        beginning: What embeddings begin as.
    """
    import torch

    assert isinstance(config, NeuralConfig)
    network = build_model(rung, config, settings.seed, start_id=start_id).to(device)
    if beginning is not None:
        begin_as(network.embedding.weight, beginning)
    if settings.precision == "bfloat16":
        network.compute_dtype = torch.bfloat16
    return network


def _objective(rung: Rung, network: "NextTokenNetwork", data: Data, settings: TrainingSettings) -> Objective:
    assert rung.objective is not None
    objective: Objective = resolve(rung.objective).on(network, data, settings)
    return objective


def _run(
    folder: Path,
    config: RunConfig,
    objective: Objective,
    settings: TrainingSettings,
    data: Data,
    texts: Texts,
    budget: Budget,
    reporter: Reporter,
    resume: bool = False,
) -> Path:
    """Train, or go on training; then evaluate and finish the folder."""
    from malmoi.training.loop import Trainer

    seconds, validates = None, True
    if budget.seconds is not None:
        for_valid, *others = objective.measuring_costs([data.valid, *([] if data.test is None else [data.test])])
        validates = budget.allows_validation(for_valid.data)
        final = budget.closing() + sum(sum(cost) for cost in ([for_valid, *others] if validates else others))
        final += overlap_seconds(texts) if budget.allows_overlap(overlap_seconds(texts)) else 0.0
        spent = load_checkpoint(folder, ())[0].seconds if resume else 0.0
        seconds = spent + (budget.after(spent).for_steps(final) or 0.0)
        if seconds <= spent:
            seconds = spent + 1e-3  # the time is up: straight to the evaluation
    trainer = Trainer(objective, settings, folder, reporter, seconds=seconds, resume=resume)
    if resume:
        trim_metrics(folder, trainer.progress.step)
        reporter.stage(f"resuming {folder} at step {trainer.progress.step:,}")
    try:
        trainer.run()
    except TrainingError:
        if not resume and not trainer.progress.step:
            shutil.rmtree(folder, ignore_errors=True)  # nothing in it was learnt
        raise
    _finish(folder, config, trainer, data, validates, tell_overlaps(texts, budget, reporter), budget, reporter)
    return folder


def _finish(
    folder: Path,
    config: RunConfig,
    trainer: "Trainer",
    data: Data,
    validates: bool,
    overlaps: Mapping[str, Any],
    budget: Budget,
    reporter: Reporter,
) -> None:
    """Final figures with the best weights, the model card, and no checkpoint any more.

    Args:
        validates: Read the validation text once more, in float32 and with warm-up; otherwise its figures are those of the best
            evaluation during training, which are made in the training precision.
        overlaps: Of the texts that figures are made of, with the training text.
        budget: What no longer fits into it is left out.
    """
    from malmoi.runs.card import write_card
    from malmoi.runs.opening import open_run

    figures = dict(config.figures)
    progress = trainer.progress
    figures |= {
        "steps": progress.step,
        "tokens_trained": progress.tokens,
        "epochs": round(progress.tokens / config.data["train_tokens"], 3),
        "best_step": progress.best_step,
        "training_seconds": round(trainer.elapsed, 1),
        "overlap": dict(overlaps),
    }
    objective, guess, value = trainer.objective, trainer.objective.guess(), progress.best
    is_better = guess is None or (value is not None and objective.is_better(value, guess))
    figures["hardly_trained"] = shortfall(progress.step, progress.tokens, figures["epochs"], value, guess, is_better)
    run = open_run(folder, str(next(objective.network.parameters()).device))
    for name, part in (("valid", data.valid if validates else None), ("test", data.test)):
        if part is not None and budget.has_room(_measuring_seconds(objective, part, budget)):
            reporter.stage(f"evaluating on the {name} text")
            figures[name] = objective.measure(run, part)
        elif part is not None:
            instead = (
                "its figures are those from training" if name == "valid" else f"malmoi eval {folder} makes its figures"
            )
            reporter.stage(f"the {name} text is not read once more, as no time is left; {instead}")
    if "valid" not in figures and value is not None:
        figures |= {"valid": objective.final(value), "valid_share": progress.valid_share}
    if over := budget.overrun():
        told = f"this took {over:.0f} s longer than the budget of {budget.seconds:g} s"
        reporter.stage(f"{told}: {budget.blame()}")
    config = config.model_copy(update={"figures": figures})
    write_card(folder, config)
    write_config(folder, config)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def _measuring_seconds(objective: Objective, part: Any, budget: Budget) -> float:
    """How long the figures of this part take now, however busy the machine was when that was planned."""
    return 0.0 if budget.seconds is None else sum(objective.measuring_costs([part])[0])
