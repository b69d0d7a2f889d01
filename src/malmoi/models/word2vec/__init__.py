"""word2vec: a vector for each word, learnt from guessing words and their neighbours from each other."""

from malmoi.models.word2vec.options import Word2VecOptions
from malmoi.models.word2vec.state import Progress, State
from malmoi.models.word2vec.training import Figures, Trained, train

__all__ = ["Figures", "Progress", "State", "Trained", "Word2VecOptions", "train"]
