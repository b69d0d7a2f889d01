"""N-gram language models: counts of short sequences, smoothed; NumPy and numba alone.

counting.py    text -> every n-gram with its count, as one trie        larger than memory, in parallel
smoothing.py   counts -> probabilities: modified Kneser-Ney, Witten-Bell, add-k, stupid back-off
pruning.py     fewer n-grams: by count, by entropy, down to a size
tables.py      the trie in arrays, on disk and in memory
queries.py     compiled loops that read the trie
plain.py       the same without a compiler, for the first few questions
model.py       NGramModel, a LanguageModel
estimate.py    from token ids to tables, all of the above
tracing.py     one answer with every number kept: contexts tried, weights paid
recovery.py    the counts behind stored probabilities, worked out again
"""

from malmoi.models.ngram.model import NGramModel

__all__ = ["NGramModel"]
