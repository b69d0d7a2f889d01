"""From a run or a model to what explainers need of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from malmoi.arrays import read_arrays
from malmoi.explain.question import Subject
from malmoi.models.interface import LanguageModel
from malmoi.models.options.base import ModelConfig
from malmoi.models.registry import find_rung
from malmoi.runs.folder import RunConfig
from malmoi.text.tokenizers import Tokenizer


def subject_of_run(folder: Path, config: RunConfig, model: LanguageModel, tokenizer: Tokenizer) -> Subject:
    """A run, with its weights as the file holds them, whatever engine serves it."""
    rung = find_rung(config.family)
    weights = read_arrays(folder / "model.safetensors") if rung.is_network else {}
    options = rung.config.parse(config.model)
    return Subject(str(folder), rung.name, model, tokenizer, options, weights, config.figures)


def subject_of_model(model: LanguageModel, tokenizer: Tokenizer, name: str) -> Subject:
    """A model that may be no run: a mixture, or a member of one."""
    config, family = _config_of(model), model.family or type(model).__name__
    if config is None:
        return Subject(name, family, model, tokenizer)
    return Subject(name, family, model, tokenizer, config, _weights_of(model))


def _config_of(model: LanguageModel) -> ModelConfig | None:
    """The options of a neural model, whichever engine serves it."""
    config = getattr(model, "config", None) or getattr(getattr(model, "network", None), "config", None)
    return config if isinstance(config, ModelConfig) else None


def _weights_of(model: Any) -> Mapping[str, NDArray[Any]]:
    """By name, as a run stores them."""
    if hasattr(model, "weights"):
        return dict(model.weights)
    return {name: parameter.detach().cpu().numpy() for name, parameter in model.network.named_parameters()}
