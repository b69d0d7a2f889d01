"""Which explainer explains which rung. Each is imported when it is first asked.

An explainer is a function `explain_next(question, tell) -> Answer`; a new rung joins with its module and one line here.
"""

import importlib
from collections.abc import Callable

from malmoi.errors import ConfigError
from malmoi.explain.language import Teller
from malmoi.explain.question import Answer, Question

Explainer = Callable[[Question, Teller], Answer]

EXPLAINERS = {  # family -> module
    "ngram": "malmoi.explain.ngram",
    "nnlm": "malmoi.explain.nnlm",
    "rnn": "malmoi.explain.recurrent",
    "lstm": "malmoi.explain.recurrent",
    "gru": "malmoi.explain.recurrent",
    "interpolated": "malmoi.explain.mixture",
    "cached": "malmoi.explain.mixture",
}


def find_explainer(family: str) -> Explainer:
    """The explainer of a rung.

    Raises:
        ConfigError: If there is none yet.
    """
    if family not in EXPLAINERS:
        raise ConfigError(
            f"A model of the kind {family!r} cannot be explained yet: nobody has written down its steps. Explained are "
            f"{', '.join((*EXPLAINERS, 'word2vec'))}: choose a run of one of these rungs."
        )
    explainer: Explainer = importlib.import_module(EXPLAINERS[family]).explain_next
    return explainer
