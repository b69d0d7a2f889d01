"""What an explainer is asked, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.errors import RunError
from malmoi.explain.explanation import Step
from malmoi.models.interface import LanguageModel, State
from malmoi.models.options.base import ModelConfig
from malmoi.pages.language import Language
from malmoi.runs.folder import RunConfig
from malmoi.text.tokenizers import Tokenizer


class AskedOfRun(NamedTuple):
    """What a user asks of a run; `Run.explain` says what each of the last six means.

    Attributes:
        folder, config, tokenizer: The run.
        model: Opens it as a language model; not called for a run of vectors.
        engines: What else can compute it here, by name.
    """

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    model: Callable[[], LanguageModel]
    engines: Callable[[], Mapping[str, LanguageModel]]
    text: str
    step: int | str
    train_step: bool
    learning_rate: float | int | None
    seed: int
    language: Language


@dataclass(frozen=True)
class Subject:
    """The model that is explained.

    Attributes:
        name: How people call it: the run's folder, or a member's name in a mixture.
        family: The rung, or "interpolated" or "cached".
        config: The rung's options; None where the model is made of others.
        weights: Name -> array as a run stores it; none for models that have no weights of their own.
        figures: What training wrote down, as the discounts of an n-gram model.
    """

    name: str
    family: str
    model: LanguageModel
    tokenizer: Tokenizer
    config: ModelConfig | None = None
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def tokens(self) -> list[str]:
        """Every token of the vocabulary as people see it."""
        return [self.tokenizer.token(token_id) for token_id in range(self.tokenizer.vocab_size)]

    def check_weights(self) -> None:
        """Refuse weights that are no numbers.

        Raises:
            RunError: Naming the first of them.
        """
        for name, array in self.weights.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                n_wrong = int(array.size - np.isfinite(array).sum())
                raise RunError(
                    f"{self.name}: {n_wrong:,} of the {array.size:,} numbers of {name} are NaN or infinite, so no probability "
                    "can be explained. Finite weights were expected: copy the run again, or train it with a smaller learning "
                    "rate."
                )


@dataclass(frozen=True)
class Question:
    """Why this token here?

    Long texts are not computed again from their first token: the explainer gets the state that the serving engine had
    `len(recent_ids)` tokens before the place, and those tokens.

    Attributes:
        earlier: The state before the recent tokens.
        n_earlier: How many tokens were read before them; 0 means that `earlier` is the start of a text.
        recent_ids: The tokens up to the place, the explained one not included.
        now: The state after them.
        target_id: The explained token.
        learning_rate: Of the training step to show; None for no such step.
    """

    subject: Subject
    earlier: State
    n_earlier: int
    recent_ids: Int64[np.ndarray, " recent"]
    now: State
    target_id: int
    learning_rate: float | None = None


@dataclass(frozen=True)
class Answer:
    """How the probability comes about.

    Attributes:
        steps: In order.
        log_probs: ln P of every token at the place, (V,), as the explainer computed it in float64.
        notes: What was left out and why.
    """

    steps: Sequence[Step]
    log_probs: Float64[np.ndarray, " vocab"]
    notes: Sequence[str] = ()
