"""Why word2vec expects a word between its neighbours: one update of a run, as training would make it.

reading      a run's weights and options, and how it reads a text
window       the word in the middle, its neighbours, and the rows of W_out that are asked about
steps        what is told of the update
agreement    the same update by the loops that train, and by the networks of scratch/word2vec.py
explaining   all of it: `explain_word2vec`
networks     a network of scratch/word2vec.py explained by itself: `explain_cbow`
"""

from malmoi.explain.word2vec.explaining import explain_word2vec
from malmoi.explain.word2vec.networks import explain_cbow

__all__ = ["explain_cbow", "explain_word2vec"]
