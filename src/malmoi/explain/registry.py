"""Which explainer explains which model. Each is imported when it is first asked.

An explainer is a function `explain_next(question, tell) -> Answer`. A rung names its own in the registry of rungs; models made
of models have theirs here.
"""

from collections.abc import Callable

from malmoi.errors import ConfigError
from malmoi.explain.question import Answer, Question
from malmoi.models.registry import RUNGS, resolve
from malmoi.pages.language import Teller

Explainer = Callable[[Question, Teller], Answer]

COMBINED = dict.fromkeys(("interpolated", "cached"), "malmoi.explain.rungs.mixture:explain_next")


def find_explainer(family: str) -> Explainer:
    """The explainer of a rung.

    Raises:
        ConfigError: If there is none yet.
    """
    paths = {rung.name: rung.explains for rung in RUNGS.values() if rung.explains is not None} | COMBINED
    if family not in paths:
        raise ConfigError(
            f"A model of the kind {family!r} cannot be explained yet: nobody has written down its steps. Explained are "
            f"{', '.join((*paths, 'word2vec'))}: choose a run of one of these rungs."
        )
    explainer: Explainer = resolve(paths[family])
    return explainer
