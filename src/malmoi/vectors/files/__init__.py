"""Files of vectors that other programs write and read: word2vec, GloVe, fastText."""
