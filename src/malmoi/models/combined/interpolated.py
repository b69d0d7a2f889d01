"""Linear interpolation: several models, one distribution.

    P(w | h) = sum over i of weight_i(b) P_i(w | h)        b: the bucket of the context h, if there are several

A mixture is never much worse than its best member (by no more than -ln of that member's weight for each token), and usually
better than all of them, since they are wrong at different places.

Source: Jelinek & Mercer 1980.

Shapes: B sequences side by side, T tokens each, V vocab_size, M models, K buckets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Integer
from numpy.typing import ArrayLike, NDArray

from malmoi.errors import ConfigError
from malmoi.models.combined.buckets import Buckets
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds, context_of


def log_mix(log_probs: Sequence[NDArray[np.floating]], weights: Float64[np.ndarray, "..."]) -> NDArray[np.float64]:
    """ln of the weighted sum of probabilities, in float64; -inf, and weights of 0, are what they mean.

    Args:
        log_probs: One array for each of the M models, all of one shape.
        weights: (M,), or (..., M) with leading axes that broadcast against those arrays.
    """
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    parts = [np.asarray(values, np.float64) + log_weights[..., i] for i, values in enumerate(log_probs)]
    top = parts[0]
    for part in parts[1:]:
        top = np.maximum(top, part)
    top = np.where(np.isneginf(top), 0.0, top)
    total = np.zeros(top.shape)
    for part in parts:
        total += np.exp(part - top)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total) + top)


def checked_weights(weights: ArrayLike | None, n_models: int, n_buckets: int) -> Float64[np.ndarray, "buckets models"]:
    """Mixture weights as one row for each bucket; None means equal ones.

    Raises:
        ConfigError: If a row is no distribution over the models.
    """
    if weights is None:
        return np.full((n_buckets, n_models), 1 / n_models)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape not in ((n_models,), (n_buckets, n_models)):
        several = f", or {n_buckets} rows of them, one for each bucket" if n_buckets > 1 else ""
        raise ConfigError(
            f"The weights have shape {found.shape}. {n_models} of them were expected, one for each model{several}: give as "
            "many, or leave them out for equal ones."
        )
    found = np.broadcast_to(found, (n_buckets, n_models)).copy()
    sums = found.sum(axis=1)
    if not (found >= 0).all() or not np.allclose(sums, 1, atol=1e-6):
        worst = found[np.argmax(np.abs(sums - 1))] if (found >= 0).all() else found[np.argmin(found.min(axis=1))]
        raise ConfigError(
            f"The weights {', '.join(f'{weight:g}' for weight in worst)} cannot be used: they sum to {worst.sum():g}. "
            "Numbers of at least 0 that sum to 1 were expected: divide each by their sum."
        )
    return np.asarray(found / sums[:, None])


@dataclass(frozen=True)
class MixedState(State):
    """The state of every model, and the last token (-1 before any), which may decide the bucket."""

    states: tuple[State, ...]
    last_ids: Int64[np.ndarray, " batch"]
    owner: object = field(repr=False)

    def select(self, rows: Sequence[int] | Integer[np.ndarray, " rows"]) -> "MixedState":
        index = np.asarray(rows, dtype=np.int64)
        return MixedState(tuple(state.select(rows) for state in self.states), self.last_ids[index], self.owner)

    @classmethod
    def _joined(cls, states: Sequence[Any]) -> "MixedState":
        inner = tuple(State.join(of_model) for of_model in zip(*(state.states for state in states), strict=True))
        return cls(inner, np.concatenate([state.last_ids for state in states]), states[0].owner)


class Interpolated(LanguageModel):
    """A weighted mean of models over the same tokens.

    Args:
        models: Models of one tokenizer. Only the sizes of their vocabularies are checked here; a caller that has the tokenizers
            compares their fingerprints.
        weights: One for each model, summing to 1, or with buckets one row of them for each bucket. Equal ones by default;
            `malmoi.evaluation.mixing.tune_weights` finds the best on a text.
        buckets: Which contexts have weights of their own.

    Raises:
        ConfigError: If there is no model, their vocabularies differ in size, or the weights are no distribution.
    """

    family = "interpolated"

    def __init__(
        self, models: Sequence[LanguageModel], weights: ArrayLike | None = None, buckets: Buckets | None = None
    ) -> None:
        if not models:
            raise ConfigError("There is no model to interpolate. At least one was expected: give a list of models.")
        sizes = [model.vocab_size for model in models]
        if len(set(sizes)) > 1:
            raise ConfigError(
                f"Models with vocabularies of {', '.join(map(str, sizes))} tokens cannot be interpolated token by token. "
                "Models of one tokenizer were expected: train them with --tokenizer-from, or mix them with `malmoi eval "
                "--interpolate`."
            )
        self.models, self.buckets, self.vocab_size = tuple(models), buckets, sizes[0]
        self.weights = checked_weights(weights, len(models), 1 if buckets is None else buckets.n_buckets)
        self.is_distribution = all(model.is_distribution for model in models)
        self.restarts_at_line_end = all(model.restarts_at_line_end for model in models)
        self.context_length, self.past_context = context_of(models), "refused"

    def start(self, batch_size: int = 1) -> MixedState:
        states = tuple(model.start(batch_size) for model in self.models)
        return MixedState(states, np.full(batch_size, -1, np.int64), self)

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, MixedState]:
        assert isinstance(state, MixedState)
        found = [model.step(token_ids, inner) for model, inner in zip(self.models, state.states, strict=True)]
        after = self._after(token_ids, state, [inner for _, inner in found])
        weights = self.weights[0] if self.buckets is None else self._weights_of(after)[:, None]
        return log_mix([log_probs for log_probs, _ in found], weights), after

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], MixedState]:
        assert isinstance(state, MixedState)
        found = [model.score(token_ids, inner) for model, inner in zip(self.models, state.states, strict=True)]
        mixed = log_mix([log_probs for log_probs, _ in found], self._weights_along(token_ids, state))
        return mixed, self._after(token_ids, state, [inner for _, inner in found])

    def distributions(
        self, token_ids: TokenIds, state: State
    ) -> tuple[Float[np.ndarray, "batch time vocab"], MixedState]:
        assert isinstance(state, MixedState)
        found = [model.distributions(token_ids, inner) for model, inner in zip(self.models, state.states, strict=True)]
        weights = self._weights_along(token_ids, state)
        if weights.ndim > 1:
            weights = weights[:, :, None]
        mixed = log_mix([log_probs for log_probs, _ in found], weights)
        return mixed, self._after(token_ids, state, [inner for _, inner in found])

    def _weights_along(self, token_ids: TokenIds, state: MixedState) -> NDArray[np.float64]:
        """(M,), or (B, T, M): the weights of each token."""
        if self.buckets is None:
            return np.asarray(self.weights[0])
        return np.asarray(self.weights[self.buckets.along(token_ids, state.last_ids, state.states)])

    def _weights_of(self, state: MixedState) -> NDArray[np.float64]:
        """(B, M): the weights of the next token."""
        assert self.buckets is not None
        return np.asarray(self.weights[self.buckets.of(state.last_ids, state.states)])

    @staticmethod
    def _after(token_ids: TokenIds, state: MixedState, states: Sequence[State]) -> MixedState:
        last_ids = token_ids[:, -1].astype(np.int64) if token_ids.shape[1] else state.last_ids
        return MixedState(tuple(states), last_ids, state.owner)
