"""word2vec over all words at once: hierarchical softmax, and the full softmax for small vocabularies.

Both read the text as `kernels` does and change two float32 matrices in place; all scores of an update come from the weights
before it.

Source: Mikolov et al. 2013 (arXiv:1301.3781); Bengio et al. 2003 for the full softmax.

Shapes: V words, D width of a row, a multiple of BLOCK whose columns beyond the model's own stay 0. In an update: M rows that
are asked.
"""

import math

import numpy as np

from malmoi.jit import compiled
from malmoi.models.word2vec.kernels import BLOCK, ZERO, ask, ask_mean, give_back, next_window, take_mean


@compiled()
def skip_gram_tree(  # type: ignore[no-untyped-def]
    kept, n, window, starts, nodes, n_yes, first_rate, last_rate, state, inputs, outputs
):
    """Skip-gram with a Huffman tree: each word of a window answers at every node above the word between them.

    Args:
        starts, nodes, n_yes: A `HuffmanTree`.
        first_rate, last_rate: Learning rate at both ends of the chunk; it falls evenly.
        inputs: (V, D), words.
        outputs: (V, D), of which row k belongs to inner node k.

    Returns:
        The summed loss in nats, and the number of pairs of words.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    longest = (starts[1:] - starts[:-1]).max()
    before = np.empty((longest, width), np.float32)
    steps = np.empty(longest * 2 * window, np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        way = nodes[starts[centre] : starts[centre + 1]]
        loss += ask(context[:m], way, n_yes[centre], rate, inputs, outputs, before, steps)
        n_pairs += m
    return loss, n_pairs


@compiled()
def cbow_tree(  # type: ignore[no-untyped-def]
    kept, n, window, starts, nodes, n_yes, first_rate, last_rate, state, inputs, outputs, divide
):
    """CBOW with a Huffman tree: the mean of a window answers at every node above its word.

    Arguments and result as in `skip_gram_tree`; a pair is a window and its word, and `divide` as in `kernels.cbow`.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    mean = np.empty(width, np.float32)
    change = np.empty(width, np.float32)
    steps = np.empty((starts[1:] - starts[:-1]).max(), np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        take_mean(context, m, width, inputs, mean)
        way = nodes[starts[centre] : starts[centre + 1]]
        loss += ask_mean(mean, way, len(way), n_yes[centre], width, rate, outputs, change, steps)
        give_back(context, m, width, change, divide, inputs)
        n_pairs += 1
    return loss, n_pairs


@compiled()
def ask_all(asked, centre, words, rate, outputs, change, scores):  # type: ignore[no-untyped-def]
    """One update of `outputs`: each row of `asked` (M, D) is asked which of `words` (W,) is right; it is `centre`.

    Writes the steps of the rows into `change` (M, D); `scores` (M, W) is room to work in. Returns the loss in nats.
    """
    n_asked, width = len(asked), (asked.shape[1] // BLOCK) * BLOCK
    loss = 0.0
    for c in range(n_asked):
        for j in range(len(words)):
            word, x = words[j], ZERO
            for d in range(width):
                x += asked[c, d] * outputs[word, d]
            scores[c, j] = x
        top = scores[c].max()
        total = 0.0
        for j in range(len(words)):
            if words[j] == centre:
                loss += float(top) - float(scores[c, j])
            scores[c, j] = math.exp(scores[c, j] - top)
            total += scores[c, j]
        loss += math.log(total)
        for j in range(len(words)):
            right = 1.0 if words[j] == centre else 0.0
            scores[c, j] = rate * (right - scores[c, j] / total)
        for d in range(width):
            change[c, d] = ZERO
    for j in range(len(words)):
        word = words[j]
        for c in range(n_asked):
            x = scores[c, j]
            for d in range(width):
                change[c, d] += x * outputs[word, d]
        for c in range(n_asked):
            x = scores[c, j]
            for d in range(width):
                outputs[word, d] += x * asked[c, d]
    return loss


@compiled()
def skip_gram_softmax(  # type: ignore[no-untyped-def]
    kept, n, window, words, first_rate, last_rate, state, inputs, outputs
):
    """Skip-gram with the full softmax: each word of a window gives every word a probability to stand between them.

    Arguments and result as in `kernels.skip_gram`; `words` (W,) are the ids that are words.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    asked, change = np.empty((2 * window, width), np.float32), np.empty((2 * window, width), np.float32)
    scores = np.empty((2 * window, len(words)), np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        for c in range(m):
            word = context[c]
            for d in range(width):
                asked[c, d] = inputs[word, d]
        loss += ask_all(asked[:m], centre, words, rate, outputs, change, scores)
        for c in range(m):
            word = context[c]
            for d in range(width):
                inputs[word, d] += change[c, d]
        n_pairs += m
    return loss, n_pairs


@compiled()
def cbow_softmax(  # type: ignore[no-untyped-def]
    kept, n, window, words, first_rate, last_rate, state, inputs, outputs, divide
):
    """CBOW with the full softmax: the mean of a window gives every word a probability to stand in its middle.

    Arguments and result as in `skip_gram_softmax`; a pair is a window and its word, and `divide` as in `kernels.cbow`.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    mean, change = np.empty((1, width), np.float32), np.empty((1, width), np.float32)
    scores = np.empty((1, len(words)), np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        take_mean(context, m, width, inputs, mean[0])
        loss += ask_all(mean, centre, words, rate, outputs, change, scores)
        give_back(context, m, width, change[0], divide, inputs)
        n_pairs += 1
    return loss, n_pairs
