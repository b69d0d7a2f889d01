"""The inner loops of phrases.py: pairs of ids as 64-bit keys, the left id in the upper half."""

import numpy as np

from malmoi.jit import compiled

HALF = np.uint64(32)
EMPTY = np.uint64(2**64 - 1)  # no pair has this key: ids are below 2**32 - 1


@compiled()
def gather(block, previous, first, after, usable, keys, n):  # type: ignore[no-untyped-def]
    """Write the pairs whose left id is one of first..after-1 into `keys`, from place n on.

    Returns (how many there are now, or -1 if there are too many; the last id, or -1 if nothing can follow it).
    """
    for i in range(len(block)):
        token = block[i]
        if not usable[token]:
            previous = -1
            continue
        if first <= previous < after:
            if n == len(keys):
                return -1, previous
            keys[n] = (np.uint64(previous) << HALF) | np.uint64(token)
            n += 1
        previous = token
    return n, previous


@compiled()
def keep_frequent(keys, least, times):  # type: ignore[no-untyped-def]
    """Of sorted `keys`, move those that occur `least` times or more to the front, each once; how many, `times` each."""
    kept, i = 0, 0
    while i < len(keys):
        key, start = keys[i], i
        while i < len(keys) and keys[i] == key:
            i += 1
        if i - start >= least:
            keys[kept] = key
            times[kept] = i - start
            kept += 1
    return kept


@compiled()
def find_slot(key, keys):  # type: ignore[no-untyped-def]
    """Where a key stands in the table, or the empty slot where it would."""
    mask = np.uint64(len(keys) - 1)
    mixed = key * np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: Knuth's multiplicative hashing
    place = (mixed ^ (mixed >> HALF)) & mask
    while keys[place] != EMPTY and keys[place] != key:
        place = (place + np.uint64(1)) & mask
    return place


@compiled()
def fill(pairs, first_id, keys, ids):  # type: ignore[no-untyped-def]
    for i in range(len(pairs)):
        key = (np.uint64(pairs[i, 0]) << HALF) | np.uint64(pairs[i, 1])
        place = find_slot(key, keys)
        keys[place], ids[place] = key, first_id + i


@compiled()
def join(block, held, is_left, keys, ids, joined):  # type: ignore[no-untyped-def]
    """Join pairs from left to right; `held` is the id before the block that waits for a partner, or -1.

    Returns (how many ids were written into `joined`, the id that waits now).
    """
    n = 0
    for i in range(len(block)):
        token = block[i]
        if held >= 0:
            if is_left[held]:
                place = find_slot((np.uint64(held) << HALF) | np.uint64(token), keys)
                if keys[place] != EMPTY:
                    joined[n] = ids[place]
                    n += 1
                    held = np.int64(-1)
                    continue
            joined[n] = held
            n += 1
        held = token
    return n, held
