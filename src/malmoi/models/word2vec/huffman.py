"""A Huffman tree over words: each word is reached from the root by yes-or-no answers, a frequent word by few.

The word's probability is the product of its answers' probabilities, and these sum to 1 over all words by construction, so a
softmax costs about log2 V answers in place of V. Each inner node of the tree has a vector of its own.

Source: Morin & Bengio 2005 for the idea; Huffman 1952 for the tree; Mikolov et al. 2013 (arXiv:1301.3781, section 3) for the
two together.

Shapes: V token ids, W of them words, W - 1 inner nodes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.jit import compiled


class HuffmanTree(NamedTuple):
    """The nodes above each word: `nodes[starts[w]:starts[w + 1]]`, first those that are answered yes, then the others."""

    starts: NDArray[np.int64]  # (V + 1,)
    nodes: NDArray[np.int32]  # inner nodes, 0 to W - 2; the root is the last
    n_yes: NDArray[np.int32]  # (V,)

    @property
    def depth(self) -> int:
        """Answers on the longest way."""
        return int(np.diff(self.starts).max())


def huffman_tree(counts: NDArray[np.int64]) -> HuffmanTree:
    """The tree with the fewest answers over the whole text; words as frequent as each other keep their order.

    Args:
        counts: (V,); ids with count 0 are not in the tree and have no nodes.

    Raises:
        DataError: If fewer than two words have a count.
    """
    words = np.flatnonzero(counts)
    if len(words) < 2:
        raise DataError(f"A tree of words needs two that occur, and there are {len(words)}. Give more text.")
    words = words[np.argsort(counts[words], kind="stable")]
    parent, is_yes = np.zeros(2 * len(words) - 1, np.int64), np.zeros(2 * len(words) - 1, np.bool_)
    _join(counts[words].astype(np.float64), parent, is_yes)
    lengths = np.zeros(len(counts), np.int64)
    n_yes = np.zeros(len(counts), np.int32)
    _measure(words, parent, is_yes, lengths, n_yes)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    nodes = np.empty(int(starts[-1]), np.int32)
    _write(words, parent, is_yes, starts, n_yes, nodes)
    return HuffmanTree(starts, nodes, n_yes)


@compiled()
def _join(counts, parent, is_yes):  # type: ignore[no-untyped-def]
    """Join the two lightest trees until one is left.

    Leaves come as 0 to W - 1 by ascending count; inner nodes are made in ascending order of weight, too, so that the lightest
    is always at the head of one of two queues (van Leeuwen 1976).
    """
    n_words = len(counts)
    weights = np.zeros(2 * n_words - 1)
    weights[:n_words] = counts
    leaf, inner = 0, n_words
    for new in range(n_words, 2 * n_words - 1):
        for side in range(2):
            if leaf < n_words and (inner == new or weights[leaf] <= weights[inner]):
                child = leaf
                leaf += 1
            else:
                child = inner
                inner += 1
            parent[child] = new
            is_yes[child] = side == 0
            weights[new] += weights[child]


@compiled()
def _measure(words, parent, is_yes, lengths, n_yes):  # type: ignore[no-untyped-def]
    """Length of the way to each word, and its yes answers."""
    root = len(parent) - 1
    for leaf in range(len(words)):
        node, word = leaf, words[leaf]
        while node != root:
            lengths[word] += 1
            n_yes[word] += is_yes[node]
            node = parent[node]


@compiled()
def _write(words, parent, is_yes, starts, n_yes, nodes):  # type: ignore[no-untyped-def]
    """Put the ways down."""
    n_words, root = len(words), len(parent) - 1
    for leaf in range(n_words):
        node, word = leaf, words[leaf]
        yes, no = starts[word], starts[word] + n_yes[word]
        while node != root:
            if is_yes[node]:
                nodes[yes] = parent[node] - n_words
                yes += 1
            else:
                nodes[no] = parent[node] - n_words
                no += 1
            node = parent[node]
