"""The inner loops of word2vec: one chunk of text, read once, changes the two matrices in place.

The wrong words are drawn once for each centre word and shared by all words of its window. An update is then two small matrix
products in place of many single rows, and its rows are still in the first cache when they are changed. All scores of an update
come from the weights before it.

Source: Mikolov et al. 2013 (arXiv:1310.4546); Ji et al. 2016 (arXiv:1604.04661) for sharing wrong words within a window.

Shapes: V words, D width of a row, a multiple of BLOCK whose columns beyond the model's own stay 0. In an update: M words of the
window, S the right word and the wrong ones.
"""

import math

import numpy as np

from malmoi.jit import compiled

BLOCK = 8  # numbers in a row come in whole vectors
HOLE, END = -1, -2  # in place of a word: one that is not known, the end of a sentence
LOSS_BLOCK = 64  # factors, each at most 2, whose product float32 can hold

ZERO, ONE = np.float32(0), np.float32(1)
FARTHEST = np.float32(30)  # sigmoid(-30) is 1e-13
PART = np.float32(-1 / 256)
C2, C3, C4 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
MIX = np.uint64(2685821657736338717)
HALF = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)
S12, S25, S27 = np.uint64(12), np.uint64(25), np.uint64(27)


@compiled(inline=True)
def advance(state):  # type: ignore[no-untyped-def]
    """The next state of a xorshift64* generator (Vigna 2016, arXiv:1402.6246); its number is state * MIX."""
    state ^= state >> S12
    state ^= state << S25
    return state ^ (state >> S27)


@compiled()
def keep_words(ids, keep_limit, eos_id, state, kept):  # type: ignore[no-untyped-def]
    """Write the words of `ids` (T,) that are read this time into `kept`, with marks.

    Returns (length of `kept`, words among `ids`, state).
    """
    n, n_words = 0, 0
    for i in range(len(ids)):
        word = ids[i]
        if word == eos_id:
            kept[n] = END
            n += 1
        elif keep_limit[word] == 0:
            kept[n] = HOLE
            n += 1
        else:
            n_words += 1
            state = advance(state)
            if ((state * MIX) >> HALF) < keep_limit[word]:
                kept[n] = word
                n += 1
    return n, n_words, state


@compiled(inline=True)
def find_window(kept, n, i, reach, context):  # type: ignore[no-untyped-def]
    """Words up to `reach` places to either side of place i in its sentence; returns how many."""
    m = 0
    for j in range(i - 1, max(i - reach, 0) - 1, -1):
        word = kept[j]
        if word == END:
            break
        if word >= 0:
            context[m] = word
            m += 1
    for j in range(i + 1, min(i + reach, n - 1) + 1):
        word = kept[j]
        if word == END:
            break
        if word >= 0:
            context[m] = word
            m += 1
    return m


@compiled(inline=True)
def next_window(kept, n, i, window, state, context):  # type: ignore[no-untyped-def]
    """The words around place i, up to a number of places that is drawn from 1 to `window`; returns (how many, state)."""
    state = advance(state)
    reach = 1 + np.int64((((state * MIX) >> HALF) * np.uint64(window)) >> HALF)
    return find_window(kept, n, i, reach, context), state


@compiled(inline=True)
def draw_wrong(centre, n_negatives, own, alias, state, samples):  # type: ignore[no-untyped-def]
    """The right word and then wrong ones, without draws that hit the right one; returns (how many in all, state)."""
    samples[0] = centre
    s = 1
    n_words = np.uint64(len(own))
    for _ in range(n_negatives):
        state = advance(state)
        number = state * MIX
        word = np.int64(((number >> HALF) * n_words) >> HALF)
        if (number & LOW) >= own[word]:
            word = np.int64(alias[word])
        if word != centre:
            samples[s] = word
            s += 1
    return s, state


@compiled()
def answer(scores, n, n_right, rate):  # type: ignore[no-untyped-def]
    """Turn scores into steps, in place, and return the loss in nats.

    The first `n_right` of the n scores belong to right words, and the step is rate * (1 - sigmoid(score)); those of wrong
    words get -rate * sigmoid(score). The loss is the sum of log(1 + exp(-score)), or of log(1 + exp(score)).

    exp(-a) is taken as the 256th power of a short series in a/256, which is right to about 1e-5 and keeps to plain products.
    """
    loss = 0.0
    for k in range(n_right, n):
        scores[k] = -scores[k]
    for first in range(0, n, LOSS_BLOCK):
        product, linear = np.float32(1), np.float32(0)
        for k in range(first, min(first + LOSS_BLOCK, n)):
            z = scores[k]
            a = abs(z)
            t = PART * (FARTHEST if a > FARTHEST else a)
            e = ONE + t * (ONE + t * (C2 + t * (C3 + t * C4)))
            e = e * e
            e = e * e
            e = e * e
            e = e * e
            e = e * e
            e = e * e
            e = e * e
            e = e * e  # exp(-|z|)
            product *= ONE + e
            linear += ZERO if z > ZERO else a
            scores[k] = rate * (e if z > ZERO else ONE) / (ONE + e)
        loss += float(linear) + math.log(product)
    for k in range(n_right, n):
        scores[k] = -scores[k]
    return loss


@compiled()
def ask(context, samples, n_right, rate, inputs, outputs, before, steps):  # type: ignore[no-untyped-def]
    """One update: all words of `context` (M,) are asked about all of `samples` (S,), of which the first `n_right` are right.

    `before` (S, D) and `steps` (S M,) are room to work in. Returns the loss in nats.
    """
    m, s = len(context), len(samples)
    width = (inputs.shape[1] // BLOCK) * BLOCK
    for j in range(s):
        word = samples[j]
        for d in range(width):
            before[j, d] = outputs[word, d]
    for c in range(m):
        word = context[c]
        j = 0
        while j + 3 <= s:
            x, y, z = ZERO, ZERO, ZERO
            for d in range(width):
                v = inputs[word, d]
                x += v * before[j, d]
                y += v * before[j + 1, d]
                z += v * before[j + 2, d]
            steps[j * m + c], steps[(j + 1) * m + c], steps[(j + 2) * m + c] = x, y, z
            j += 3
        while j < s:
            x = ZERO
            for d in range(width):
                x += inputs[word, d] * before[j, d]
            steps[j * m + c] = x
            j += 1
    loss = answer(steps, s * m, n_right * m, rate)
    for j in range(s):
        word = samples[j]
        c = 0
        while c + 4 <= m:
            a, b, e, f = context[c], context[c + 1], context[c + 2], context[c + 3]
            g = j * m + c
            x, y, z, w = steps[g], steps[g + 1], steps[g + 2], steps[g + 3]
            for d in range(width):
                outputs[word, d] += x * inputs[a, d] + y * inputs[b, d] + z * inputs[e, d] + w * inputs[f, d]
            c += 4
        while c < m:
            a, x = context[c], steps[j * m + c]
            for d in range(width):
                outputs[word, d] += x * inputs[a, d]
            c += 1
    for c in range(m):
        word = context[c]
        j = 0
        while j + 3 <= s:
            x, y, z = steps[j * m + c], steps[(j + 1) * m + c], steps[(j + 2) * m + c]
            for d in range(width):
                inputs[word, d] += x * before[j, d] + y * before[j + 1, d] + z * before[j + 2, d]
            j += 3
        while j < s:
            x = steps[j * m + c]
            for d in range(width):
                inputs[word, d] += x * before[j, d]
            j += 1
    return loss


@compiled()
def skip_gram(  # type: ignore[no-untyped-def]
    kept, n, window, n_negatives, own, alias, first_rate, last_rate, state, inputs, outputs
):
    """Skip-gram over `kept` (n,): each word of a window is asked about the word between them.

    Args:
        own, alias: The table wrong words are drawn from.
        first_rate, last_rate: Learning rate at both ends of the chunk; it falls evenly.
        inputs, outputs: (V, D) float32, changed.

    Returns:
        The summed loss in nats, and the number of pairs of words.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    samples = np.empty(n_negatives + 1, np.int64)
    before = np.empty((n_negatives + 1, width), np.float32)  # rows of `outputs` before the update
    steps = np.empty((n_negatives + 1) * 2 * window, np.float32)  # (S, M), scores at first
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        n_pairs += m
        s, state = draw_wrong(centre, n_negatives, own, alias, state, samples)
        loss += ask(context[:m], samples[:s], 1, rate, inputs, outputs, before, steps)
    return loss, n_pairs


@compiled(inline=True)
def take_mean(context, m, width, inputs, mean):  # type: ignore[no-untyped-def]
    """Write the mean of the rows `context` (the first m) into `mean` (D,)."""
    share = ONE / np.float32(m)
    for d in range(width):
        mean[d] = ZERO
    for c in range(m):
        word = context[c]
        for d in range(width):
            mean[d] += inputs[word, d]
    for d in range(width):
        mean[d] *= share


@compiled(inline=True)
def give_back(context, m, width, change, divide, inputs):  # type: ignore[no-untyped-def]
    """Move the rows `context` (the first m) by the step of their mean, `change` (D,), or with `divide` by their share."""
    if divide:
        share = ONE / np.float32(m)
        for d in range(width):
            change[d] *= share
    for c in range(m):
        word = context[c]
        for d in range(width):
            inputs[word, d] += change[d]


@compiled(inline=True)
def ask_mean(mean, samples, s, n_right, width, rate, outputs, change, steps):  # type: ignore[no-untyped-def]
    """One update of `outputs`: `mean` (D,) is asked about all of the s `samples`, of which the first `n_right` are right.

    Writes the step of the mean into `change` (D,); `steps` (S,) is room to work in. Returns the loss in nats.
    """
    j = 0
    while j + 3 <= s:
        a, b, e = samples[j], samples[j + 1], samples[j + 2]
        x, y, z = ZERO, ZERO, ZERO
        for d in range(width):
            v = mean[d]
            x += v * outputs[a, d]
            y += v * outputs[b, d]
            z += v * outputs[e, d]
        steps[j], steps[j + 1], steps[j + 2] = x, y, z
        j += 3
    while j < s:
        a, x = samples[j], ZERO
        for d in range(width):
            x += mean[d] * outputs[a, d]
        steps[j] = x
        j += 1
    loss = answer(steps, s, n_right, rate)
    for d in range(width):
        change[d] = ZERO
    j = 0  # all rows are read before one is changed: a word may have been drawn twice
    while j + 3 <= s:
        a, b, e = samples[j], samples[j + 1], samples[j + 2]
        x, y, z = steps[j], steps[j + 1], steps[j + 2]
        for d in range(width):
            change[d] += x * outputs[a, d] + y * outputs[b, d] + z * outputs[e, d]
        j += 3
    while j < s:
        a, x = samples[j], steps[j]
        for d in range(width):
            change[d] += x * outputs[a, d]
        j += 1
    for j in range(s):
        a, x = samples[j], steps[j]
        for d in range(width):
            outputs[a, d] += x * mean[d]
    return loss


@compiled()
def cbow(  # type: ignore[no-untyped-def]
    kept, n, window, n_negatives, own, alias, first_rate, last_rate, state, inputs, outputs, divide
):
    """CBOW over `kept` (n,): the mean of a window's vectors is asked about the word between them.

    Arguments and result as in `skip_gram`, a pair being a window and its word. With `divide`, each word of the window moves by
    its share 1/M of the gradient, otherwise by the whole of it.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    samples = np.empty(n_negatives + 1, np.int64)
    mean = np.empty(width, np.float32)
    change = np.empty(width, np.float32)
    steps = np.empty(n_negatives + 1, np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        s, state = draw_wrong(centre, n_negatives, own, alias, state, samples)
        take_mean(context, m, width, inputs, mean)
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        loss += ask_mean(mean, samples, s, 1, width, rate, outputs, change, steps)
        n_pairs += 1
        give_back(context, m, width, change, divide, inputs)
    return loss, n_pairs


@compiled()
def drop_padding(flat, n_rows, padded, width):  # type: ignore[no-untyped-def]
    """Move rows of length `padded` together to length `width`, in place."""
    for row in range(n_rows):
        for d in range(width):
            flat[row * width + d] = flat[row * padded + d]
