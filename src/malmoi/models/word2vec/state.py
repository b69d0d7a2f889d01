"""How far a training run of word2vec has come: what it tells meanwhile, and all that it needs to go on."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import RunError
from malmoi.models.word2vec.kernels import BLOCK

ROWS_AT_ONCE = 4096
COLUMNS = 4  # of `State.sums`
OTHER = "Go on with the very text, options, seed and mode that it began with, or train anew."
DAMAGED = "Go on from a state that this version wrote, or train anew."
LAYOUT: dict[str, tuple[Any, int]] = {  # of the arrays: type, number of axes
    "inputs": (np.float32, 2),
    "outputs": (np.float32, 2),
    "sums": (np.float64, 2),
    "losses": (np.float64, 1),
    "pairs": (np.int64, 1),
    "place": (np.int64, 1),
    "seconds": (np.float64, 1),
    "owner": (np.uint8, 1),
}


class Progress(NamedTuple):
    """What a run tells after a chunk of text."""

    tokens: int  # read so far, over all epochs
    total: int  # to be read, over all epochs
    loss: float  # nats a pair, the mean of this epoch so far; NaN before its first pair
    words_per_second: float  # of the text, subsampling not counted, since training began or went on
    seconds_left: float
    learning_rate: float


class State(NamedTuple):
    """A run between two chunks. The matrices are the run's own and change when it goes on: write them at once."""

    inputs: NDArray[np.float32]  # (rows, width), width being dim or somewhat more
    outputs: NDArray[np.float32]
    sums: NDArray[np.float64]  # (chunks, 4), of this epoch: loss, pairs, words, tokens
    losses: NDArray[np.float64]  # of each epoch that is complete
    pairs: NDArray[np.int64]  # the same
    chunk: int  # the next one to read
    words: int  # read in the complete epochs
    seconds: float  # spent so far
    owner: bytes  # digest of text, options, seed and mode

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it under names, for a safetensors file; matrices are not copied."""
        return {
            **{name: getattr(self, name) for name in ("inputs", "outputs", "sums", "losses", "pairs")},
            "place": np.array([self.chunk, self.words]),
            "seconds": np.array([self.seconds]),
            "owner": np.frombuffer(self.owner, np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "State":
        """What `to_arrays` gave.

        Raises:
            RunError: If something is missing, has another type or shape, or a value that cannot be.
        """
        if set(arrays) != set(LAYOUT):
            raise RunError(
                f"This is no state of word2vec: it has {', '.join(sorted(arrays)) or 'nothing'}; expected "
                f"{', '.join(sorted(LAYOUT))}. {DAMAGED}"
            )
        for name, (kind, n_axes) in LAYOUT.items():
            if arrays[name].dtype != kind or arrays[name].ndim != n_axes:
                raise RunError(
                    f"The state of word2vec is damaged: {name} has type {arrays[name].dtype} and shape "
                    f"{arrays[name].shape}; expected {np.dtype(kind)} and {n_axes} {'axes' if n_axes > 1 else 'axis'}. "
                    f"{DAMAGED}"
                )
        inputs, outputs, sums, losses, pairs, place, seconds, owner = (arrays[name] for name in LAYOUT)
        checks = {
            "inputs and outputs": inputs.shape[1] == outputs.shape[1] and inputs.shape[1] % BLOCK == 0,
            "sums": sums.shape[1] == COLUMNS and bool(np.isfinite(sums).all()),
            "losses": bool(np.isfinite(losses).all()),
            "pairs": len(pairs) == len(losses) and bool((pairs >= 0).all()),
            "place": len(place) == 2 and 0 <= place[0] <= len(sums) and place[1] >= 0,
            "seconds": len(seconds) == 1 and 0 <= seconds[0] < np.inf,
            "owner": len(owner) == 32,
        }
        for name, is_right in checks.items():
            if not is_right:
                raise RunError(f"The state of word2vec is damaged: {name} cannot be as given. {DAMAGED}")
        chunk, words = map(int, place)
        return cls(inputs, outputs, sums, losses, pairs, chunk, words, float(seconds[0]), owner.tobytes())

    def check(
        self, owner: bytes, inputs: tuple[int, int], outputs: tuple[int, int], n_chunks: int, n_epochs: int, dim: int
    ) -> None:
        """Whether a run with this owner and these shapes can go on from here.

        Raises:
            RunError: If not.
        """
        if self.owner != owner:
            raise RunError(f"This state belongs to another training run. {OTHER}")
        expected = (inputs, outputs, n_chunks)
        found = (self.inputs.shape, self.outputs.shape, len(self.sums))
        if found != expected or len(self.losses) > n_epochs:
            raise RunError(
                f"The state of word2vec is damaged: matrices and chunks of sizes {found} after {len(self.losses)} epochs; "
                f"expected {expected} and {n_epochs} epochs at most. {DAMAGED}"
            )
        for name, matrix in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not all_finite(matrix) or matrix[:, dim:].any():
                raise RunError(
                    f"The state of word2vec is damaged: {name} hold NaN, infinity, or numbers outside their {dim} columns. "
                    f"{DAMAGED}"
                )


def all_finite(matrix: NDArray[np.float32]) -> bool:
    """Whether no number is NaN or infinite, in little memory."""
    return all(bool(np.isfinite(matrix[i : i + ROWS_AT_ONCE]).all()) for i in range(0, len(matrix), ROWS_AT_ONCE))
