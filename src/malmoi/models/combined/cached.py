"""A model with a cache: what was said lately is likely to be said again.

    P(w | h) = weight_0 P_model(w | h) + sum over k of weight_k P_k(w | what was read lately)

The weights of a cache depend on what it found: where it has seen nothing of the kind, the model has all the weight. What a P_k
is stands in `count_cache.py`, for any model, and in `hidden_cache.py`, for neural ones.

A cached model learns while it is tested, from the very text it is tested on. That is fair, since it has paid for every token
before it uses it, but it is another question than how good a model is on text it has never seen; so such figures stand in a
column of their own.

Shapes: B sequences side by side, T tokens each, V vocab_size, M parts of a cache.
"""

import numpy as np
from jaxtyping import Float

from malmoi.models.combined.cache import Cache, CachedState
from malmoi.models.combined.count_cache import CountCache
from malmoi.models.combined.hidden_cache import usual_cache
from malmoi.models.combined.interpolated import log_mix
from malmoi.models.interface import LanguageModel, LogProbs, State, TokenIds, VectorLanguageModel, context_of


class Cached(LanguageModel):
    """A model that expects what was said lately to be said again.

    Args:
        model: Any language model.
        cache: How to remember; by default a `HiddenCache` for neural models and a `CountCache` for others, with weights that
            suit news text. `malmoi.evaluation.caching.tune_cache` finds better ones on a text.
    """

    family = "cached"

    def __init__(self, model: LanguageModel, cache: Cache | None = None) -> None:
        self.is_distribution = model.is_distribution
        self.model, self.cache = model, default_cache(model) if cache is None else cache
        self.vocab_size = model.vocab_size
        self.context_length, self.past_context = context_of([model]), "refused"

    def start(self, batch_size: int = 1) -> CachedState:
        return CachedState(self.model.start(batch_size), self.cache.start(batch_size), self)

    def step(self, token_ids: TokenIds, state: State) -> tuple[LogProbs, CachedState]:
        assert isinstance(state, CachedState)
        return self.cache.step(self.model, token_ids, state)

    def score(self, token_ids: TokenIds, state: State) -> tuple[Float[np.ndarray, "batch time"], CachedState]:
        assert isinstance(state, CachedState)
        found = self.cache.read(self.model, token_ids, state)
        mixed = log_mix(list(np.moveaxis(found.log_probs, -1, 0)), self.cache.weights[found.rows])
        return mixed, found.state


def default_cache(model: LanguageModel) -> Cache:
    """The usual kind of cache for a model."""
    if isinstance(model, VectorLanguageModel):
        return usual_cache(model)
    return CountCache()
