"""A plan for a text, a clock and this machine: tokenizer, widths, batch, window, dropout, schedule, with the reasons.

The widths follow from what the clock allows: a model is worth its size only if it is shown enough tokens for each of its
hidden weights, those between embeddings and softmax. So the planner times real training steps on this machine, works out how
many tokens each width would see before the time is up, and takes the widest one that still sees enough. How many are enough,
and which settings suit a rung, its config class says; `docs/log.md` holds the runs behind those numbers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from malmoi.errors import TrainingError
from malmoi.models.options.base import NeuralConfig
from malmoi.models.registry import Rung, build_model, resolve
from malmoi.training.objectives.objective import Objective
from malmoi.training.settings import TrainingSettings

WIDTHS: tuple[int, ...] = (*range(32, 512, 32), *range(512, 1024, 64), *range(1024, 2049, 256))
REFERENCE_WIDTH, DEFAULT_WIDTH = 256, 320  # that the machine's speed is measured at; where no clock says what fits
LEARNING_RATES = {"sgd": 30.0, "adam": 0.002}
WINDOW = 20
CALIBRATION_SECONDS = 0.6


@dataclass(frozen=True)
class Plan:
    """What will be done and why."""

    model: NeuralConfig
    training: TrainingSettings
    reasons: list[str] = field(default_factory=list)


def flops_per_token(config: NeuralConfig) -> int:
    """Floating-point operations of one training token: two per weight forward, four backward."""
    return 6 * (config.n_hidden_weights + config.output_width * config.vocab_size)


def memory_estimate(config: NeuralConfig, training: TrainingSettings) -> int:
    """Bytes that training takes at its peak, roughly."""
    n_tokens = training.batch_size * training.window
    low = 2 if training.precision == "bfloat16" else 4
    weights = config.n_hidden_weights + config.n_table_weights
    slots = 2 if training.optimiser == "adam" else 0
    parameters = weights * (
        4 + 4 + 4 + 4 * slots + 2 * low
    )  # weights, gradients, best weights, optimiser, working copies
    activations = 4 * n_tokens * config.n_kept
    logits = min(n_tokens * config.vocab_size, 1 << 26) * low + (1 << 22) * 4
    return 300_000_000 + parameters + activations + logits


def check_memory(config: NeuralConfig, training: TrainingSettings, available: int) -> int:
    """The estimate in bytes.

    Raises:
        TrainingError: If it does not fit, with what would make it fit.
    """
    needed = memory_estimate(config, training)
    if needed > 0.9 * available:
        raise TrainingError(
            f"Training would take about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free. A vocabulary of "
            f"{config.vocab_size:,} tokens and widths {config.widths} at batch {training.batch_size} x {training.window} "
            f"tokens ask for it. Use a smaller --vocab-size, {_flags(config)} or --batch-size."
        )
    return needed


def _flags(config: NeuralConfig | type[NeuralConfig], between: str = ", ") -> str:
    """The flags that say how wide a model is."""
    return between.join(f"--{name.replace('_', '-')}" for name in config.width_options)


def seconds_per_step(rung: Rung, config: NeuralConfig, training: TrainingSettings, device: Any) -> float:
    """Time of one real training step on this machine: the fastest of many, since other programs may be busy too."""
    import torch

    from malmoi.layers.noise import Noise
    from malmoi.training.optimisers import Optimiser

    assert rung.objective is not None
    objective: type[Objective] = resolve(rung.objective)
    model = build_model(rung, config, start_id=0).to(device)  # which token it is costs no time
    model.compute_dtype = torch.bfloat16 if training.precision == "bfloat16" else None
    optimiser = Optimiser(training.optimiser, model.named_parameters(), training.clip_norm)
    seconds: list[float] = []
    while len(seconds) < 4 or sum(seconds) < CALIBRATION_SECONDS:
        began = time.perf_counter()
        objective.rehearsal(model, training, Noise(0, len(seconds))).backward()
        optimiser.step(0.0)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def dropout_for(epochs: float) -> float:
    """How much noise: none for a text read once, more the more often it is read again."""
    for most, dropout in ((1.5, 0.0), (3, 0.1), (6, 0.25), (12, 0.4)):
        if epochs <= most:
            return dropout
    return 0.5


def make_plan(
    rung: Rung,
    vocab_size: int,
    n_tokens: int,
    seconds: float | None,
    epochs: float | None,
    steps: int | None,
    model_options: dict[str, Any],
    training_options: dict[str, Any],
    device: Any,
    embed_dim: int | None = None,
) -> Plan:
    """Fill in everything that was not asked for.

    Args:
        n_tokens: Training tokens.
        seconds: Training time; None where `epochs` or `steps` says how long.
        model_options: Fields of the rung's config that the user set; they are kept.
        training_options: Fields of TrainingSettings that the user set; they are kept.
        embed_dim: Width of what the embeddings begin as; the hidden layers are planned all the same.
    """
    from malmoi.machine import available_memory

    assert issubclass(rung.config, NeuralConfig)
    config_class = rung.config
    reasons: list[str] = []
    options = _fill_training_options(training_options, config_class, n_tokens, seconds, epochs, steps, device, reasons)
    training = TrainingSettings.parse(options)

    def config_at(width: int, dropout: float) -> NeuralConfig:
        return config_class.at_width(width, dropout, {**model_options, "vocab_size": vocab_size}, embed_dim)

    asked = config_class.asked_width(model_options)
    width = DEFAULT_WIDTH if asked is None else asked
    if seconds is None:
        assert training.steps is not None
        seen = float(training.steps * training.batch_size * training.window)
        why = "as asked" if asked is not None else f"the default; {_flags(config_class, ' and ')} change it"
    else:
        reference = config_at(REFERENCE_WIDTH if asked is None else width, 0.2)
        per_token = seconds_per_step(rung, reference, training, device) / (training.batch_size * training.window)
        flops = seconds * flops_per_token(reference) / per_token  # that the time allows
        why = "as asked"
        if asked is None:
            width = _widest(config_at, flops)
            why = f"the widest that sees {reference.tokens_per_weight:g} tokens for each hidden weight in time"
        seen = flops / flops_per_token(config_at(width, 0.2))
    model = config_at(width, dropout_for(seen / n_tokens))
    reasons.append(f"width {width} ({why}): about {seen / 1e6:.1f}M tokens, {seen / n_tokens:.1f} epochs")
    reasons.append(f"dropout {model.noise:g} for that many epochs")
    needed = check_memory(model, training, available_memory(device))
    reasons.append(f"about {needed / 1e9:.1f} GB of memory")
    return Plan(model, training, reasons)


def _fill_training_options(
    given: dict[str, Any],
    config: type[NeuralConfig],
    n_tokens: int,
    seconds: float | None,
    epochs: float | None,
    steps: int | None,
    device: Any,
    reasons: list[str],
) -> dict[str, Any]:
    """The fields of TrainingSettings, those left out being planned; tells `reasons` why."""
    from malmoi.machine import fastest_precision

    planned: dict[str, Any] = {"optimiser": "sgd", "window": WINDOW, "batch_size": 20 if n_tokens < 20_000_000 else 40}
    planned |= config.training_defaults
    if n_tokens < 100 * planned["window"]:
        planned["window"] = max(1, min(planned["window"], (n_tokens - 1) // 8))
    window = given.get("window", planned["window"])
    planned["batch_size"] = min(planned["batch_size"], max(1, (n_tokens - 1) // (window * 10)))  # ten updates an epoch
    optimiser = given.get("optimiser", planned["optimiser"])
    if optimiser != planned["optimiser"] or "learning_rate" not in planned:
        planned["learning_rate"] = LEARNING_RATES[optimiser]
    if "precision" not in given:
        planned["precision"], why = fastest_precision(device)
        reasons.append(f"precision {planned['precision']}: {why}")
    options = {**planned, **given}
    batch_size = options["batch_size"]
    reasons.append(f"batch {batch_size} x {window} tokens for {n_tokens:,} training tokens")
    if seconds is None:
        per_epoch = max(1, (n_tokens - 1) // batch_size // window)
        options["steps"] = steps or max(1, round((epochs or 1) * per_epoch))
        options.setdefault("evaluate_every", max(1, min(options["steps"], per_epoch, -(-options["steps"] // 10))))
    return options


def _widest(config_at: Callable[[int, float], NeuralConfig], flops: float) -> int:
    """The widest model that is shown enough tokens for each of its hidden weights within that much computing."""
    best = WIDTHS[0]
    for width in WIDTHS:
        config = config_at(width, 0.2)
        if flops / flops_per_token(config) >= config.tokens_per_weight * config.n_hidden_weights:
            best = width
    return best
