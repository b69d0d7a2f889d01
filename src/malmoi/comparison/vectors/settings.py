"""What is known of how word vectors were made, side by side: only models made under the same settings compare their methods."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from malmoi.errors import RunError
from malmoi.runs.folder import read_config, run_path
from malmoi.vectors.vectors import Vectors

Settings = dict[str, Any]  # name, with dots for settings inside others -> value
TEXT = "data.train.sha256"
FAIR = ("words", "dim", "window", "lower", "split", "phrases", "training.epochs", TEXT)  # should be the same
FIRST = ("family", "file", "method", *FAIR, "seed")  # what readers look for
LEFT_OUT = (
    "embed_dim",
    "vocab_size",
    "training.seed",
    "training.threads",
    "data.train.inputs",
)  # said by others, or decide nothing


def settings_of(source: str | Path, vectors: Vectors) -> Settings:
    """Words, width, subwords, and what the run of these vectors says of its training; of a file, its name.

    Args:
        source: As given to `malmoi.api.load_vectors`.
        vectors: What was loaded from it.
    """
    path = Path(source)
    told: Settings = {
        "words": len(vectors),
        "dim": vectors.dim,
        "subwords": "none" if vectors.unknown is None else "yes",
    }
    try:
        config = None if path.is_file() else read_config(run_path(path))
    except RunError:  # a folder of saved vectors is no run
        config = None
    if config is None:
        return {"file": path.name, **told}
    rest = {"training": config.training, "tokenizer": config.tokenizer, "data": config.data}
    flat = {**told, **_flat(config.model), **_flat(rest), "seed": config.seed}
    flat = {"family": config.family, **{name: value for name, value in flat.items() if name not in LEFT_OUT}}
    return {name: flat[name] for name in in_order(flat)}


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, those first that readers look for."""
    return sorted(dict.fromkeys(names), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def differing(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names of settings that at least two models have and tell, and not all of them the same."""
    names = in_order(name for one in settings.values() for name in one)
    return [
        name for name in names if len({repr(one[name]) for one in settings.values() if one.get(name) is not None}) > 1
    ]


def unfair(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those of them that should be the same where methods are compared."""
    found = differing(settings)
    return [name for name in FAIR if name in found]


def _flat(values: Mapping[str, Any], before: str = "") -> Settings:
    """What is inside other settings comes with the names of those before it."""
    flat: Settings = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat
