"""One clear message each for what goes wrong most often: shapes that do not fit, ids out of range, NaN among the weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import ConfigError, DataError

Array = NDArray[np.floating[Any]]  # weights, activations, gradients: float32 for use, float64 for gradient checks
Ids = NDArray[np.integer[Any]]

ANY_BEFORE = "..."


def check_shape(name: str, array: NDArray[Any], expected: Sequence[int | str], because: str = "") -> None:
    """Refuse an array of another shape, and one with nothing in it.

    Args:
        name: What the array is called where it came from.
        expected: A number is an axis of just this size, a letter ("N") an axis of any size but 0. A first entry "..." stands
            for any number of further axes.
        because: What the shape follows from, as the beginning of a sentence: "W has shape (3, 4)".

    Raises:
        ConfigError: If the shape is another one, or an axis has size 0.
    """
    shape, sizes = array.shape, tuple(expected)
    has_more = sizes[:1] == (ANY_BEFORE,)
    n_last = len(sizes) - has_more
    fits = len(shape) >= n_last if has_more else len(shape) == n_last
    if fits:
        ends = zip(sizes[len(sizes) - n_last :], shape[len(shape) - n_last :], strict=True)
        fits = all(isinstance(size, str) or size == found for size, found in ends)
    if not fits:
        wanted = f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
        reason = f", because {because}" if because else ""
        raise ConfigError(
            f"{name} has shape {shape}, expected {wanted}{reason}. Bring {name} into that shape, or use weights and sizes "
            "that fit it."
        )
    if 0 in shape:
        raise ConfigError(f"{name} has shape {shape}, so there is nothing in it. Give at least one example.")


def check_ids(ids: NDArray[Any], vocab_size: int, name: str = "ids", ignored: int | None = None) -> None:
    """Refuse ids that no row of a table belongs to.

    Args:
        ids: Any shape.
        vocab_size: V; ids run from 0 to V - 1.
        ignored: One more value that is let through, as the mark of padding.

    Raises:
        DataError: If there is no id at all, if they are not integers, or if one is out of range.
    """
    if ids.size == 0:
        raise DataError(f"{name} has shape {ids.shape}, so there is nothing in it. Give at least one id.")
    if ids.dtype.kind not in "iu":
        raise DataError(f"{name} holds {ids.dtype} numbers, expected integers. Give token ids, not vectors or scores.")
    if ids.min() >= 0 and ids.max() < vocab_size:
        return
    outside = (ids < 0) | (ids >= vocab_size)
    if ignored is not None:
        outside &= ids != ignored
    if outside.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(outside))
        raise DataError(
            f"{name} holds {ids[place]} at {place}, expected ids from 0 to {vocab_size - 1}. Encode the text with the "
            "tokenizer that this network was built for."
        )


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Refuse NaN and infinity.

    Raises:
        ConfigError: If a value is not a finite number.
    """
    good = np.isfinite(array)
    if good.all():
        return
    place = tuple(int(axis[0]) for axis in np.nonzero(~good))
    raise ConfigError(
        f"{name} holds {array[place]} at {place} ({good.size - np.count_nonzero(good)} of {good.size} values are not finite), "
        "expected numbers. Begin again from weights that are, with a smaller learning rate or clipped gradients."
    )
