"""How good a model is: perplexity and bits, mixtures of models, and word vectors against people's judgement."""

from malmoi.evaluation.vector_comparison import VectorComparison, evaluate_sets
from malmoi.evaluation.vector_sets import find_sets, read_set

__all__ = ["VectorComparison", "evaluate_sets", "find_sets", "read_set"]
