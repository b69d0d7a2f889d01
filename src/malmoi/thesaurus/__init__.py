"""WordNet as a thesaurus: senses of a word, what stands above them, and how similar two words are on that map of concepts."""

from malmoi.thesaurus.concepts import MEASURES, Comparison, Concept, Graph, Measure, Relative, SensePair
from malmoi.thesaurus.evaluation import evaluate_thesaurus
from malmoi.thesaurus.thesaurus import Thesaurus

__all__ = [
    "MEASURES",
    "Comparison",
    "Concept",
    "Graph",
    "Measure",
    "Relative",
    "SensePair",
    "Thesaurus",
    "evaluate_thesaurus",
]
