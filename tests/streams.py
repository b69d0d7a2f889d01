"""A text of token ids in memory, as whatever reads one expects it (`malmoi.store.TokenStream`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Ids:
    def __init__(self, ids: Sequence[int] | NDArray[np.integer]) -> None:
        self.ids = np.asarray(ids, np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        return self.ids[start:stop]

    def release(self) -> None:
        """Nothing is mapped."""

    def counts(self, vocab_size: int) -> NDArray[np.int64]:
        return np.bincount(self.ids, minlength=vocab_size)
