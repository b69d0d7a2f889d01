"""Truncated back-propagation through time: a text cut into B parallel streams, read one window at a time.

Stream b continues in the next window where it stopped in this one, so a recurrent state can be carried across. What a step
reads is a function of (seed, step) alone: nothing has to be remembered or replayed when a run is resumed.

Shapes: B batch_size, T window.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from malmoi.errors import DataError
from malmoi.store import Tokens


class Window(NamedTuple):
    inputs: Int64[np.ndarray, "batch time"]
    targets: Int64[np.ndarray, "batch time"]  # the inputs one token later
    starts_epoch: bool  # the streams begin here: the state carried so far belongs to other text


class BPTTWindows:
    """The windows of a text, in training order.

    In every epoch but the first the text is rotated by a random offset, so that window and stream boundaries fall elsewhere
    (a cheap form of Press's partial shuffle, github.com/ofirpress/PartialShuffle).

    Raises:
        DataError: If the text is too short to fill one window.
    """

    def __init__(self, tokens: Tokens, batch_size: int, window: int, seed: int) -> None:
        self.tokens, self.batch_size, self.window, self.seed = tokens, batch_size, window, seed
        self.stream_length = (len(tokens) - 1) // batch_size
        self.steps_per_epoch = self.stream_length // window
        if self.steps_per_epoch < 1:
            raise DataError(
                f"The training text has {len(tokens):,} tokens, too few for batch_size={batch_size} streams of one window of "
                f"{window} tokens. Give more text, or a smaller --batch-size or --window."
            )

    def offset(self, epoch: int) -> int:
        """By how many tokens the text is rotated in this epoch."""
        if epoch == 0:
            return 0
        return int(np.random.default_rng([self.seed, epoch]).integers(len(self.tokens)))

    def at(self, step: int) -> Window:
        """What update number `step` (from 0) reads."""
        epoch, index = divmod(step, self.steps_per_epoch)
        first = self.offset(epoch) + index * self.window
        rows = [self._read(first + row * self.stream_length, self.window + 1) for row in range(self.batch_size)]
        both = np.stack(rows).astype(np.int64)  # (B, T + 1)
        return Window(both[:, :-1], both[:, 1:], starts_epoch=index == 0)

    def _read(self, start: int, length: int) -> np.ndarray:
        """Tokens from `start` on, the text's end being followed by its beginning."""
        n_tokens = len(self.tokens)
        start %= n_tokens
        stop = min(start + length, n_tokens)
        part = self.tokens.read(start, stop)
        if stop - start < length:
            part = np.concatenate([part, self.tokens.read(0, length - (stop - start))])
        return part
