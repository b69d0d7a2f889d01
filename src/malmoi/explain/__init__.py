"""Why this probability: every step of one prediction, for every rung.

question, explanation     what an explainer is asked, and what an explanation is made of
explaining                from a text and a model to an explanation; `surprisal` says what each token, word, morpheme cost
opening, registry         from a run or a model to what is explained, and which explainer explains it
rungs/                    the explainers, one file each; `softmax` and `embedding_rows` hold steps that several of them tell
word2vec/                 one update of word2vec, which is no language model
page, figures, output     an explanation as a page, as JSON, as arrays
"""
