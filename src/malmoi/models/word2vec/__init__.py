"""word2vec: a vector for each word, learnt from guessing words and their neighbours from each other."""

from malmoi.models.word2vec.training import Figures, Trained, Word2VecOptions, train

__all__ = ["Figures", "Trained", "Word2VecOptions", "train"]
