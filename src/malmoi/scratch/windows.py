"""A text as examples: each word with the words around it."""

import numpy as np
from numpy.typing import DTypeLike

from malmoi.errors import ConfigError, DataError
from malmoi.scratch.checks import Array, Ids, check_ids, check_shape


def create_contexts_target(ids: Ids, window: int = 1) -> tuple[Ids, Ids]:
    """The words on both sides of each word.

    Args:
        ids: (T,), a text.
        window: How many words each side, w.

    Returns:
        Contexts (T - 2w, 2w), left to right, and the words between them (T - 2w,). Words that lack a neighbour are left out.

    Raises:
        DataError: If the text is shorter than one window.
    """
    check_shape("ids", ids, ("T",))
    if window < 1:
        raise ConfigError(f"window={window}, expected at least 1 word each side. Give for example 5.")
    width = 2 * window + 1
    if len(ids) < width:
        raise DataError(
            f"The text has {len(ids)} tokens, expected at least {width}: a word with {window} each side. Give a longer text or "
            "a smaller window."
        )
    windows = np.lib.stride_tricks.sliding_window_view(ids, width)
    return np.delete(windows, window, axis=1), windows[:, window].copy()


def one_hot(ids: Ids, vocab_size: int, dtype: DTypeLike = np.float32) -> Array:
    """1 at the place of each id and 0 elsewhere, (...) -> (..., V)."""
    check_ids(ids, vocab_size)
    rows: Array = np.zeros((*ids.shape, vocab_size), dtype)
    np.put_along_axis(rows, ids[..., None], 1, axis=-1)
    return rows
