"""The inner loops of subwords: from words to rows, and word2vec in which a word is the mean of several rows.

Source: Bojanowski et al. 2017 (arXiv:1607.04606); fastText for the hash (FNV-1a: Fowler, Noll & Vo 1991) and for what moves:
every row of a mean by the whole gradient of the mean.

Shapes: V words, B buckets, D width of a row as in `kernels`. `inputs` (V + B, D), `outputs` (V, D). The rows of word i are
rows[starts[i] : starts[i + 1]].
"""

import numpy as np

from malmoi.jit import compiled
from malmoi.models.word2vec.kernels import BLOCK, ONE, ZERO, ask_mean, draw_wrong, give_back, next_window, take_mean
from malmoi.text.hangul import FIRST_SYLLABLE, LEADS, N_SYLLABLES, N_TAILS, N_VOWELS, TAILS, VOWELS

EMPTY = 0x2205  # ∅, in place of a last consonant that a syllable lacks
OPEN, CLOSE = 0x3C, 0x3E  # < and >
FIRST_BYTE, FIRST_LEAD, LAST_BYTE = 0xDC80, 0xDCC0, 0xDCFF  # surrogateescape: bytes from 0x80 on that were no UTF-8
LEAD_POINTS, VOWEL_POINTS, TAIL_POINTS = (
    np.array([ord(jamo) if jamo else EMPTY for jamo in jamos], np.uint32) for jamos in (LEADS, VOWELS, TAILS)
)

# Which rows


@compiled(inline=True)
def put(text, at, point):  # type: ignore[no-untyped-def]
    """Write a code point as UTF-8; returns where the next one goes."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | (point >> 6)
        text[at + 1] = 0x80 | (point & 0x3F)
        return at + 2
    if point < 0x10000:
        text[at] = 0xE0 | (point >> 12)
        text[at + 1] = 0x80 | ((point >> 6) & 0x3F)
        text[at + 2] = 0x80 | (point & 0x3F)
        return at + 3
    text[at] = 0xF0 | (point >> 18)
    text[at + 1] = 0x80 | ((point >> 12) & 0x3F)
    text[at + 2] = 0x80 | ((point >> 6) & 0x3F)
    text[at + 3] = 0x80 | (point & 0x3F)
    return at + 4


@compiled()
def spell(points, by_jamo, text, begins, is_first):  # type: ignore[no-untyped-def]
    """Write the symbols of <word> into `text` as UTF-8, symbol k at begins[k]; returns how many.

    is_first[k] tells whether symbol k is the first of a syllable, or of a character that is none.
    """
    text[0], begins[0], is_first[0] = OPEN, 0, True
    n, at = 1, 1
    for i in range(len(points)):
        point = np.int64(points[i])
        number = point - FIRST_SYLLABLE
        if by_jamo and 0 <= number < N_SYLLABLES:
            begins[n], is_first[n] = at, True
            at = put(text, at, np.int64(LEAD_POINTS[number // (N_VOWELS * N_TAILS)]))
            begins[n + 1], is_first[n + 1] = at, False
            at = put(text, at, np.int64(VOWEL_POINTS[number // N_TAILS % N_VOWELS]))
            begins[n + 2], is_first[n + 2] = at, False
            at = put(text, at, np.int64(TAIL_POINTS[number % N_TAILS]))
            n += 3
        elif FIRST_BYTE <= point <= LAST_BYTE:
            if point >= FIRST_LEAD:  # any other goes on with the symbol before it
                begins[n], is_first[n] = at, True
                n += 1
            text[at] = point & 0xFF
            at += 1
        else:
            begins[n], is_first[n] = at, True
            n += 1
            at = put(text, at, point)
    text[at], begins[n], is_first[n] = CLOSE, at, True
    begins[n + 1] = at + 1
    return n + 1


@compiled(inline=True)
def mix_in(number, text, first, last):  # type: ignore[no-untyped-def]
    """FNV-1a over some more bytes, which fastText takes for numbers with a sign."""
    for at in range(first, last):
        byte = np.uint64(text[at])
        if byte >= np.uint64(0x80):
            byte |= np.uint64(0xFFFFFF00)
        number = ((number ^ byte) * np.uint64(16777619)) & np.uint64(0xFFFFFFFF)
    return number


@compiled()
def find_buckets(text, begins, is_first, n, shortest, longest, fewest, most, n_buckets, found):  # type: ignore[no-untyped-def]
    """Write the buckets of the n-grams of n symbols into `found`; returns how many.

    There are n-grams of `shortest` to `longest` symbols, and of `fewest` to `most` syllables without the marks at both ends,
    where these are not among the others; most=0: none.
    """
    n_found = 0
    for i in range(n):
        number = np.uint64(2166136261)
        for j in range(i, min(i + longest, n)):
            number = mix_in(number, text, begins[j], begins[j + 1])
            length = j - i + 1
            if length >= shortest and not (length == 1 and (i == 0 or j == n - 1)):
                found[n_found] = np.int64(number % np.uint64(n_buckets))
                n_found += 1
    if most == 0:
        return n_found
    for i in range(1, n - 1):
        if not is_first[i]:
            continue
        number, n_syllables = np.uint64(2166136261), 0
        for j in range(i, n - 1):
            number = mix_in(number, text, begins[j], begins[j + 1])
            if not is_first[j + 1]:
                continue
            n_syllables += 1
            if n_syllables > most:
                break
            if n_syllables >= fewest and not shortest <= j - i + 1 <= longest:
                found[n_found] = np.int64(number % np.uint64(n_buckets))
                n_found += 1
    return n_found


@compiled()
def find_rows(points, ends, settings, starts, rows):  # type: ignore[no-untyped-def]
    """Find the rows of all words: first with empty `rows` to fill `starts` (V + 1,), then to fill `rows` (n,).

    `points` are the code points of all words, of which word i has those up to ends[i]; `settings` as
    `SubwordSettings.numbers` has them.
    """
    by_jamo, n_buckets, n_words = settings[0] == 1, settings[7], len(ends)
    longest_word = 0
    for i in range(n_words):
        longest_word = max(longest_word, ends[i] - (ends[i - 1] if i else 0))
    most_symbols = 3 * longest_word + 2
    text = np.empty(9 * longest_word + 2, np.uint8)
    begins = np.empty(most_symbols + 1, np.int64)
    is_first = np.empty(most_symbols, np.bool_)
    found = np.empty(most_symbols * max(settings[2], settings[4] + settings[6]), np.int64)
    for i in range(n_words):
        word = points[ends[i - 1] if i else 0 : ends[i]]
        n_found = 0
        if len(word):
            has_syllable = False
            if by_jamo:
                for point in word:
                    if 0 <= np.int64(point) - FIRST_SYLLABLE < N_SYLLABLES:
                        has_syllable = True
            n = spell(word, has_syllable, text, begins, is_first)
            if has_syllable:
                s, t, u, v = settings[3], settings[4], settings[5], settings[6]
            else:
                s, t, u, v = settings[1], settings[2], np.int64(1), np.int64(0)
            n_found = find_buckets(text, begins, is_first, n, s, t, u, v, n_buckets, found)
        if len(rows) == 0:
            starts[i + 1] = starts[i] + 1 + n_found
        else:
            rows[starts[i]] = i
            for k in range(n_found):
                rows[starts[i] + 1 + k] = n_words + found[k]


@compiled()
def mean_rows(starts, rows, inputs, means):  # type: ignore[no-untyped-def]
    """means[i] = the mean of the rows of word i; (V, D), of the width of `inputs`."""
    width = inputs.shape[1]
    for i in range(len(starts) - 1):
        for d in range(width):
            means[i, d] = ZERO
        for k in range(starts[i], starts[i + 1]):
            row = rows[k]
            for d in range(width):
                means[i, d] += inputs[row, d]
        share = ONE / np.float32(starts[i + 1] - starts[i])
        for d in range(width):
            means[i, d] *= share


# Training


@compiled()
def skip_gram_subwords(  # type: ignore[no-untyped-def]
    kept, n, window, n_negatives, own, alias, first_rate, last_rate, state, starts, rows, inputs, outputs
):
    """Skip-gram over `kept` (n,): the mean of a word's rows is asked about each word of its window.

    Each word of the window has wrong words of its own. All of a window is one update: its scores come from the weights before
    it. Arguments and result as in `kernels.skip_gram`.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    drawn = np.empty(n_negatives + 1, np.int64)
    samples = np.empty(2 * window * (n_negatives + 1), np.int64)
    mean = np.empty(width, np.float32)
    change = np.empty(width, np.float32)
    steps = np.empty(2 * window * (n_negatives + 1), np.float32)
    loss, n_pairs = 0.0, 0
    for i in range(n):
        centre = kept[i]
        if centre < 0:
            continue
        m, state = next_window(kept, n, i, window, state, context)
        if m == 0:
            continue
        s = m  # the right words come first
        for c in range(m):
            n_drawn, state = draw_wrong(context[c], n_negatives, own, alias, state, drawn)
            samples[c] = drawn[0]
            for j in range(1, n_drawn):
                samples[s] = drawn[j]
                s += 1
        spelt = rows[starts[centre] : starts[centre + 1]]
        take_mean(spelt, len(spelt), width, inputs, mean)
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        loss += ask_mean(mean, samples, s, m, width, rate, outputs, change, steps)
        give_back(spelt, len(spelt), width, change, False, inputs)
        n_pairs += m
    return loss, n_pairs


@compiled()
def cbow_subwords(  # type: ignore[no-untyped-def]
    kept, n, window, n_negatives, own, alias, first_rate, last_rate, state, starts, rows, inputs, outputs, divide
):
    """CBOW over `kept` (n,): the mean of all rows of a window's words is asked about the word between them.

    Arguments and result as in `kernels.cbow`; with `divide`, each row moves by its share of the gradient.
    """
    width = (inputs.shape[1] // BLOCK) * BLOCK
    context = np.empty(2 * window, np.int64)
    spelt = np.empty(64 * window, np.int64)  # rows of all words of a window; it grows
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
        n_rows = 0
        for c in range(m):
            n_rows += starts[context[c] + 1] - starts[context[c]]
        if n_rows > len(spelt):
            spelt = np.empty(2 * n_rows, np.int64)
        at = 0
        for c in range(m):
            for k in range(starts[context[c]], starts[context[c] + 1]):
                spelt[at] = rows[k]
                at += 1
        take_mean(spelt, n_rows, width, inputs, mean)
        rate = np.float32(first_rate + (last_rate - first_rate) * i / n)
        loss += ask_mean(mean, samples, s, 1, width, rate, outputs, change, steps)
        give_back(spelt, n_rows, width, change, divide, inputs)
        n_pairs += 1
    return loss, n_pairs
