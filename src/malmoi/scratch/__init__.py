"""The ladder once more in NumPy alone, forward and backward passes written out: to be read, and to test PyTorch's answers with.

A layer has `params` (its weights), `grads` (their gradients, filled by `backward`), `forward()` and `backward()`; a network is
made of layers and has the same four. Nothing here imports PyTorch.

    checks, functions, gradients, optimisers      what all parts stand on
    graph                                         the nodes of a computation graph
    layers, sampling, time, recurrent             layers; gates and compiled hold the arithmetic of gates
    attention, transformer                        layers of the later rungs
    classifier, word2vec, seq2seq                 networks; windows and seq2seq_tasks make examples for them
    language_network, nnlm, rnnlm                 networks that read a text, and can be traced
    traces, word2vec_update                       every number of a prediction and of a training step: what explain/ shows
    trainer, trainer_rnnlm, curve                 training
    writing, serving                              text from a network, and a stored run without PyTorch
    conversion                                    weights from a run to a network and back
"""
