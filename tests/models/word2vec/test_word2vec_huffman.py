"""The Huffman tree of word2vec against a heap of its own, and against what any such tree must be."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malmoi.errors import DataError
from malmoi.models.word2vec.huffman import HuffmanTree, huffman_tree

COUNTS = st.lists(st.integers(0, 60) | st.integers(0, 10**12), min_size=2, max_size=60).filter(
    lambda counts: sum(c > 0 for c in counts) > 1
)


def answers(counts: list[int]) -> int:
    """The fewest yes-or-no answers over the whole text, by the textbook: what each join costs is the weight it joins."""
    heap = [c for c in counts if c]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


def probabilities(tree: HuffmanTree, scores: np.ndarray) -> np.ndarray:
    """(V,): of each word, when the nodes have these scores."""
    found = np.zeros(len(tree.n_yes))
    for word in range(len(found)):
        nodes = tree.nodes[tree.starts[word] : tree.starts[word + 1]]
        signs = np.where(np.arange(len(nodes)) < tree.n_yes[word], 1, -1)
        found[word] = np.prod(1 / (1 + np.exp(-signs * scores[nodes]))) if len(nodes) else 0
    return found


@settings(deadline=None)  # the first call compiles
@given(counts=COUNTS, seed=st.integers(0, 9))
def test_no_tree_needs_fewer_answers_and_all_words_sum_to_one(counts: list[int], seed: int) -> None:
    tree = huffman_tree(np.array(counts))
    lengths = np.diff(tree.starts)
    assert sum(int(n) * c for n, c in zip(lengths, counts, strict=True)) == answers(counts)
    assert sum(0.5 ** int(n) for n in lengths if n) == 1  # Kraft: the code wastes nothing
    n_words = sum(c > 0 for c in counts)
    assert set(tree.nodes.tolist()) == set(range(n_words - 1))
    assert tree.depth == lengths.max()
    scores = np.random.default_rng(seed).normal(0, 2, n_words - 1)
    assert probabilities(tree, scores).sum() == pytest.approx(1, rel=1e-12)
    assert (lengths[np.array(counts) == 0] == 0).all()


def test_a_tree_by_hand() -> None:
    """1 and 2 join to 3 (node 0), that and 3 to 6 (node 1), that and 10 to 16 (node 2, the root)."""
    tree = huffman_tree(np.array([0, 10, 3, 0, 2, 1]))
    ways = [tree.nodes[a:b].tolist() for a, b in zip(tree.starts[:-1], tree.starts[1:], strict=True)]
    assert [sorted(way) for way in ways] == [[], [2], [1, 2], [], [0, 1, 2], [0, 1, 2]]
    # the lighter side is the yes; word 2 (3) and node 0 (3) are alike, and the leaf comes first
    assert tree.n_yes.tolist() == [0, 0, 2, 0, 1, 2]
    assert ways[5] == [0, 2, 1]
    assert ways[4][0] == 2  # the nodes of a yes come first


@pytest.mark.parametrize("counts", [[0, 0], [0, 7]])
def test_a_tree_needs_two_words(counts: list[int]) -> None:
    with pytest.raises(DataError, match=f"needs two that occur, and there are {sum(c > 0 for c in counts)}"):
        huffman_tree(np.array(counts))
