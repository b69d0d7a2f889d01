"""Language models made of language models.

interpolated.py   Interpolated   several models of one tokenizer, weighted
buckets.py        Buckets        kinds of context with weights of their own
cached.py         Cached         a model and what was read lately
count_cache.py    CountCache     recent tokens, and what followed the same words: for any model
hidden_cache.py   HiddenCache    what came next in similar states: for neural models
shares.py         Shares         which part a probability came from
"""

from malmoi.models.combined.buckets import Buckets, CrossedBuckets, LastTokenBuckets, MatchedOrderBuckets
from malmoi.models.combined.cache import Cache
from malmoi.models.combined.cached import Cached
from malmoi.models.combined.count_cache import CountCache, Lookback
from malmoi.models.combined.interpolated import Interpolated

__all__ = [
    "Buckets",
    "Cache",
    "Cached",
    "CountCache",
    "CrossedBuckets",
    "Interpolated",
    "LastTokenBuckets",
    "Lookback",
    "MatchedOrderBuckets",
]
