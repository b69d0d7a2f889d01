"""Word vectors by counting: how often words stand near each other (counting), how surprising that is (weighting), and the few
directions in which that differs most (factors).

    pairs = count_pairs(tokens, vocab_size, PairSettings(window=5))
    vectors = randomised_svd(ppmi(pairs.counts), 300).vectors(power=0.5)  # row i is the token pairs.token_ids[i]
"""

from malmoi.models.cooccurrence.counting import Cooccurrence, count_pairs
from malmoi.models.cooccurrence.factors import Factors, exact_svd, randomised_svd
from malmoi.models.cooccurrence.weighting import pmi, ppmi
from malmoi.models.options.vectors import PairSettings

__all__ = ["Cooccurrence", "Factors", "PairSettings", "count_pairs", "exact_svd", "pmi", "ppmi", "randomised_svd"]
