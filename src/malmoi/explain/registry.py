"""Which explainer explains which model. Each is imported when it is first asked.

What a user asks of a run goes to the function that its rung names: for a language model `explaining.explain_run`, which asks
the explainer of the rung about one token, `explain_next(question, tell) -> Answer`. Models made of models have theirs here.
"""

from collections.abc import Callable

from malmoi.errors import ConfigError
from malmoi.explain.explanation import Explanation
from malmoi.explain.question import Answer, AskedOfRun, Question
from malmoi.models.registry import RUNGS, resolve
from malmoi.pages.language import Teller

Explainer = Callable[[Question, Teller], Answer]

COMBINED = dict.fromkeys(("interpolated", "cached"), "malmoi.explain.rungs.mixture:explain_next")


def find_explainer(family: str) -> Explainer:
    """What explains one token under a model of that kind.

    Raises:
        ConfigError: If there is none yet.
    """
    named = RUNGS[family].explains if family in RUNGS else COMBINED.get(family)
    if named is None:
        raise _not_explained(family)
    explainer: Explainer = resolve(named)
    return explainer


def find_run_explainer(family: str) -> Callable[[AskedOfRun], Explanation]:
    """What explains a run of that rung.

    Raises:
        ConfigError: If nothing does yet.
    """
    named = RUNGS[family].explains_run if family in RUNGS else None  # imported vectors are of no rung
    if named is None:
        raise _not_explained(family)
    explainer: Callable[[AskedOfRun], Explanation] = resolve(named)
    return explainer


def _not_explained(family: str) -> ConfigError:
    known = (*(rung.name for rung in RUNGS.values() if rung.is_explained), *COMBINED)
    return ConfigError(
        f"A model of the kind {family!r} cannot be explained yet: nobody has written down its steps. Explained are "
        f"{', '.join(known)}: choose a run of one of these rungs."
    )
