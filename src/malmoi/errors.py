"""Every error that malmoi raises on purpose.

    MalmoiError                 what the command line prints as one message, with exit code 2
    ├── ConfigError             an option, a config field or a recipe key
    ├── DataError               a text, a token or a data file
    │   └── ContextError        a text longer than a model can take in
    ├── RunError                a run folder: missing, damaged, occupied or from a newer version
    ├── TrainingError           training cannot start or go on: memory, NaN, a full disk
    └── MissingExtraError       an optional dependency that is not installed

A message has three parts: what was wrong, with the value; what was expected; what to do next.

ContextWarning is what a model says that takes in the end of a long text alone.
"""


class MalmoiError(Exception):
    """Something a person can put right; the message says how."""


class ConfigError(MalmoiError):
    """An option, a config field or a recipe key is wrong."""


class DataError(MalmoiError):
    """A text, a token or a data file is not what was expected."""


class ContextError(DataError):
    """A text is longer than a model can take in."""


class RunError(MalmoiError):
    """A run folder is missing, damaged, occupied or from a newer version."""


class TrainingError(MalmoiError):
    """Training cannot start or cannot go on."""


class MissingExtraError(MalmoiError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed. Type: pip install 'malmoi[{extra}]'")


class ContextWarning(UserWarning):
    """A model answers from the end of a text alone, since all of it is more than it can take in."""
