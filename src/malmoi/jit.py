"""Compiled loops: numba, with its cache in a folder of our own for each version of malmoi."""

import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

from malmoi._version import __version__
from malmoi.files import default_cache_dir

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(inline: bool = False) -> Callable[[Function], Function]:
    """Compile a function to machine code at its first call and remember the code on disk.

    Floating-point sums may be reordered for vector instructions, the same way every time. `inline` is for helpers that only
    other compiled functions call.
    """
    import numba

    if not os.environ.get("NUMBA_CACHE_DIR"):
        numba.config.CACHE_DIR = str(default_cache_dir() / "numba" / __version__)  # type: ignore[attr-defined]
    options: dict[str, Any] = {
        "fastmath": {"nsz", "arcp", "contract", "reassoc"},  # NaN and infinity keep their meaning
        "error_model": "numpy",
        "nogil": True,
        "inline": "always" if inline else "never",
    }

    def decorate(function: Function) -> Function:
        plain = inspect.unwrap(function)  # a run-time checker of annotations may have wrapped it
        try:
            return numba.njit(cache=not inline, **options)(plain)  # type: ignore[no-any-return]
        except RuntimeError:  # there is nowhere to keep the machine code: it is made again in each process
            return numba.njit(**options)(plain)  # type: ignore[no-any-return]

    return decorate
