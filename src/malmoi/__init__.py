"""malmoi: your own text, turned into a language model that you understand, own and can ship."""

from typing import TYPE_CHECKING, Any

from malmoi._version import __version__
from malmoi.errors import ConfigError, DataError, MalmoiError, MissingExtraError, RunError, TrainingError

if TYPE_CHECKING:
    from malmoi.api import Run, import_arpa, load, load_vectors, train
    from malmoi.comparison.compare import compare
    from malmoi.comparison.ladder import ladder
    from malmoi.models.combined import Cached, Interpolated
    from malmoi.text.sources import TextSource
    from malmoi.vectors import Vectors

__all__ = [
    "Cached",
    "ConfigError",
    "DataError",
    "Interpolated",
    "MalmoiError",
    "MissingExtraError",
    "Run",
    "RunError",
    "TextSource",
    "TrainingError",
    "Vectors",
    "__version__",
    "compare",
    "import_arpa",
    "ladder",
    "load",
    "load_vectors",
    "train",
]

_HOMES = {
    "Run": "malmoi.api",
    "import_arpa": "malmoi.api",
    "load": "malmoi.api",
    "load_vectors": "malmoi.api",
    "train": "malmoi.api",
    "compare": "malmoi.comparison.compare",
    "ladder": "malmoi.comparison.ladder",
    "TextSource": "malmoi.text.sources",
    "Vectors": "malmoi.vectors",
    "Cached": "malmoi.models.combined",
    "Interpolated": "malmoi.models.combined",
}


def __getattr__(name: str) -> Any:
    """The heavier names are imported when they are first used, so that `malmoi --help` answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'malmoi' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
