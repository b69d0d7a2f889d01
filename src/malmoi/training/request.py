"""What a person asks of `malmoi train`: options from flags, a recipe file or Python, sorted and checked."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from malmoi.errors import ConfigError
from malmoi.models.registry import find_rung
from malmoi.settings import Settings
from malmoi.training.budget import Budget
from malmoi.training.settings import TrainingSettings


class Request(Settings):
    """What a person asks for, apart from the model's own options and TrainingSettings."""

    rung: str | None = None
    text: Any = None
    out: str | None = None
    budget: str | float | None = Field(None, description="training time in all, as 90s, 10m or 1h")
    epochs: float | None = Field(None, gt=0, description="passes over the text, instead of a budget")
    valid: Any = None
    test: Any = None
    tokenizer: str | None = None
    tokenizer_from: str | None = None
    initialise_from: str | None = None
    vocab_size: int | None = Field(None, gt=4, description="most tokens the vocabulary may have")
    min_count: int | None = Field(None, gt=0, description="how often a token must occur to be one")
    field: str | None = None
    encoding: str = "utf-8"
    unit: str = "lines"
    device: str = "cpu"
    recipe: str | None = None
    resume: bool = False
    command: str | None = None
    started: float | None = None


@dataclass(frozen=True)
class Asked:
    """A request, sorted: what is asked for, the options of the model, those of training, and the time."""

    request: Request
    model: dict[str, Any]
    training: dict[str, Any]
    budget: Budget


def read_request(request: Mapping[str, Any]) -> Asked:
    """Sort what is asked for, a recipe file included; flags win over the recipe.

    Raises:
        ConfigError: Naming an unknown key, in the request or in the recipe.
    """
    values = {key: value for key, value in request.items() if value is not None}
    if values.get("recipe") is not None:
        values = {**read_recipe(Path(values["recipe"])), **values}
    rung = find_rung(values["rung"]) if values.get("rung") is not None else None
    known_model = set(rung.config.model_fields) - {"vocab_size"} if rung else set()
    settings = rung.training_settings if rung else TrainingSettings
    known_training = set(settings.model_fields)
    model_options = {key: values.pop(key) for key in list(values) if key in known_model}
    training_options = {key: values.pop(key) for key in list(values) if key in known_training}
    unknown = [key for key in values if key not in Request.model_fields]
    if unknown:
        known = [*Request.model_fields, *known_model, *known_training]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = (
            f"Did you mean {near[0]!r}?"
            if near
            else f"`malmoi train {rung.name if rung else 'lstm'} --help` lists all options."
        )
        raise ConfigError(f"Unknown option {unknown[0]!r} for training. {hint}")
    for key in ("out", "tokenizer_from", "initialise_from", "recipe"):
        if isinstance(values.get(key), Path):
            values[key] = str(values[key])
    asked = Request.parse(values)
    settings.parse({k: v for k, v in training_options.items() if k != "steps"})
    return Asked(asked, model_options, training_options, Budget.parse(asked.budget, asked.started))


def read_recipe(path: Path) -> dict[str, Any]:
    """The options in a TOML file: those of `malmoi train`, with tables [model] and [training] for theirs.

    In the names of texts, $MALMOI_DATA stands for that environment variable, ../shared/data if it is not set.

    Raises:
        ConfigError: If the file is missing or is not TOML, or a table is unknown.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no recipe {str(path)!r}. Give the path of a TOML file, as recipes/lstm/ptb-10m.toml."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}. A recipe is a TOML file.") from None
    flat: dict[str, Any] = {}
    data = os.environ.get("MALMOI_DATA", "../shared/data")
    for key, value in values.items():
        if key in ("text", "valid", "test"):
            several = value if isinstance(value, list) else [value]
            flat[key] = [str(name).replace("$MALMOI_DATA", data) for name in several]
        elif key in ("model", "training") and isinstance(value, dict):
            flat |= value
        elif isinstance(value, dict):
            raise ConfigError(f"The recipe {path} has an unknown table [{key}]. Known are [model] and [training].")
        else:
            flat[key] = value
    return flat
