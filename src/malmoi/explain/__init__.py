"""Why this probability: every step of one prediction, for every rung.

    question, explanation     what an explainer is asked, and what an explanation is made of
    explaining                from a text and a model to an explanation; `surprisal` says what each token, word, morpheme cost
    opening, registry         from a run or a model to what is explained, and which explainer explains it
    rungs/                    the explainers, one file each; `softmax` and `embedding_rows` hold steps that several of them tell
    word2vec/                 one update of word2vec, which is no language model
    page, figures, output     an explanation as a page, as JSON, as arrays

No number of a model is computed here. Neural rungs: the networks of `malmoi.scratch` in float64, with `trace()`; word2vec:
`scratch/word2vec_update.py`; n-grams: `models/ngram/tracing.py` and `recovery.py`; mixtures: `models/combined`. What is left is
what a reader does with a number: choosing, sorting and counting entries, adding up what is shown, and the conversions of
`conversions.py` (ln P to P, nats to bits, the length of a vector). A test holds it so.
"""
