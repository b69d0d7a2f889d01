"""Which explainer explains which rung. Each is imported when it is first asked.

An explainer is a function `explain_next(question, tell) -> Answer`; a new rung joins with its module and one line here.
"""

import importlib
from collections.abc import Callable

from malmoi.errors import ConfigError
from malmoi.explain.question import Answer, Question
from malmoi.pages.language import Teller

Explainer = Callable[[Question, Teller], Answer]

EXPLAINERS = {  # family -> module
    "ngram": "malmoi.explain.rungs.ngram",
    "nnlm": "malmoi.explain.rungs.nnlm",
    "rnn": "malmoi.explain.rungs.recurrent",
    "lstm": "malmoi.explain.rungs.recurrent",
    "gru": "malmoi.explain.rungs.recurrent",
    "interpolated": "malmoi.explain.rungs.mixture",
    "cached": "malmoi.explain.rungs.mixture",
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
