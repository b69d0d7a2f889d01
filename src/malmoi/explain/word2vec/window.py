"""What word2vec looks at in one update: a word of a text, its neighbours, and the rows of W_out that are asked about.

The window and the wrong words are drawn as training draws them, with a seed.

Shapes: V words, D width, R rows of W_in: V, and after them those that pieces of words share. H vectors h.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError
from malmoi.explain.explaining import find_place
from malmoi.explain.softmax import SHOWN
from malmoi.models.options.vectors import Word2VecConfig
from malmoi.models.word2vec.huffman import HuffmanTree, huffman_tree
from malmoi.models.word2vec.subwords import SubwordSettings
from malmoi.scratch.sampling import noise_probabilities

Ids = Int64[np.ndarray, "_"]


@dataclass(frozen=True)
class Network:
    """A trained word2vec, as far as an update needs it.

    Attributes:
        name: What people call it: the folder of a run.
        words: By row, the most frequent first.
        inputs: (R, D).
        outputs: (V, D); of a hierarchical softmax (V - 1, D) or more, a row for each inner node of the tree.
        rate: Learning rate that training began with.
        pieces: For each word the rows of `inputs` whose mean is its vector; None where it has one of its own alone.
        spelling: How a word is cut into pieces.
    """

    name: str
    config: Word2VecConfig
    words: Sequence[str]
    counts: Int64[np.ndarray, " vocab"]
    inputs: NDArray[Any]
    outputs: NDArray[Any]
    rate: float
    pieces: Sequence[Ids] | None = None
    spelling: SubwordSettings | None = None

    def piece_names(self, rows: Iterable[int]) -> dict[int, str]:
        """What the rows of W_in are that pieces of these words (by their row) share: one of the pieces that are in each."""
        if self.spelling is None:
            return {}
        words = [self.words[row] for row in rows]
        found = [zip(self.spelling.buckets(word), self.spelling.n_grams(word), strict=True) for word in words]
        return {len(self.words) + int(bucket): piece for pairs in found for bucket, piece in pairs}

    @cached_property
    def tree(self) -> HuffmanTree:
        """Of the hierarchical softmax."""
        return huffman_tree(self.counts)

    @cached_property
    def noise(self) -> Float64[np.ndarray, " vocab"]:
        """How likely each word is drawn as a wrong one."""
        return noise_probabilities(self.counts, self.config.noise_power)


@dataclass(frozen=True)
class Word:
    """A word of the text: where it stands in the NFC text, in which line, and its row (-1: unknown)."""

    text: str
    begin: int
    end: int
    line: int
    row: int


@dataclass(frozen=True)
class Moment:
    """What training would look at: one word, its neighbours, and what is asked.

    Attributes:
        place: Of the word in the middle of the window.
        reach: Places to each side, drawn from 1 to the window.
        around: The neighbours.
        read: The words whose rows of W_in are read: the neighbours, or the middle (skip-gram with pieces of words).
        targets: The words that are guessed: the middle, or then all neighbours, the nearest first.
        parts: For each vector h, the rows of W_in whose mean it is.
        hidden: What each h stands for.
        asked, right: Rows of W_out, and 1 for those that should be answered with yes.
        asked_names: What they are called.
    """

    place: int
    reach: int
    around: Sequence[Word]
    read: Sequence[Word]
    targets: Sequence[Word]
    parts: Sequence[Ids]
    hidden: Sequence[str]
    asked: Ids
    right: Float64[np.ndarray, " asked"]
    asked_names: Sequence[str]

    @property
    def target(self) -> Word:
        """The word that the explanation is about."""
        return self.targets[0]


def find_moment(network: Network, words: Sequence[Word], step: int | str, seed: int) -> Moment:
    """The place, its window and its wrong words, drawn with the seed."""
    place = find_place(step, len(words))
    if place == len(words):
        raise ConfigError(
            f"step={step} asks what follows the text, and word2vec knows only words between others. Expected the number of a "
            f"word{f', 1 to {len(words)},' if words else ''} or 'last', of a text with two words or more."
        )
    middle, config = words[place], network.config
    if middle.row < 0:
        known = [str(i) for i, word in enumerate(words, start=1) if word.row >= 0]
        raise DataError(
            f"‘{middle.text}’, word {place + 1} of the text, is none of the {len(network.words):,} words of {network.name}, so "
            f"nothing can be asked about it. Known words of the text: {', '.join(known[:20]) or 'none'}. Choose one of these "
            "with --step, or give another text."
        )
    rng = np.random.default_rng([seed, place])
    reach = int(rng.integers(1, config.window, endpoint=True))
    near = range(max(0, place - reach), min(len(words), place + reach + 1))
    around = [words[i] for i in near if i != place and words[i].line == middle.line and words[i].row >= 0]
    if not around:
        raise DataError(
            f"No known word stands within {reach} places of ‘{middle.text}’, word {place + 1} of the text, in its line, so "
            "there is nothing to guess it from. Give a text with two known words side by side, or another --seed."
        )
    read, targets = around, [middle]
    if config.method == "skip-gram" and network.pieces is not None:  # as fastText, which asks the pieces of the middle
        read, targets = [middle], sorted(around, key=lambda word: abs(words.index(word) - place))
    own = [np.array([word.row]) if network.pieces is None else network.pieces[word.row] for word in read]
    is_mean = config.method == "cbow"
    questions = [_asked(network, target, rng) for target in targets]
    asked, right = (np.concatenate([question[i] for question in questions]) for i in range(2))
    names = [name for question in questions for name in question[2]]
    return Moment(
        place,
        reach,
        around,
        read,
        targets,
        [np.concatenate(own)] if is_mean else own,
        ["h"] if is_mean else [word.text for word in read],
        asked,
        right,
        names,
    )


def _asked(
    network: Network, target: Word, rng: np.random.Generator
) -> tuple[Ids, Float64[np.ndarray, " asked"], list[str]]:
    """The rows of W_out that are asked about, which of them should say yes, and their names."""
    config, words = network.config, network.words
    if config.objective == "hierarchical":
        tree, row = network.tree, target.row
        way = tree.nodes[tree.starts[row] : tree.starts[row + 1]].astype(np.int64)
        down = np.argsort(-way)  # from the root, the last of all nodes, to the word
        return way[down], (down < tree.n_yes[row]).astype(np.float64), [_node(network, int(i)) for i in way[down]]
    if config.objective == "softmax":
        wrong = np.delete(np.arange(len(words)), target.row)
    else:
        wrong = rng.choice(len(words), config.n_negatives, p=network.noise)
        wrong = wrong[wrong != target.row]
    asked = np.concatenate([[target.row], wrong]).astype(np.int64)
    return asked, (np.arange(len(asked)) == 0).astype(np.float64), [words[i] for i in asked]


def _node(network: Network, node: int) -> str:
    """An inner node, by some of the words below it."""
    tree = network.tree
    below = np.searchsorted(tree.starts, np.flatnonzero(tree.nodes == node), side="right") - 1
    shown = " ".join(network.words[i] for i in below[:SHOWN])
    return f"{node}: {shown}{' …' if len(below) > SHOWN else ''}"
