"""Training vectors of words: from a text to a run of cooccurrence, word2vec or glove."""
