"""Compiled loops: numba, with its cache in a folder of our own for each version of malmoi."""

import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
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
            found = numba.njit(cache=not inline, **options)(plain)
        except RuntimeError:  # there is nowhere to keep the machine code: it is made again in each process
            found = numba.njit(**options)(plain)
        found.compile = _uninterrupted(found.compile)
        return found  # type: ignore[no-any-return]

    return decorate


def _uninterrupted(compile_now: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with Ctrl-C kept for when it is done: the compiler, stopped half-way, leaves broken code or crashes."""

    @wraps(compile_now)
    def compile_first(*args: Any, **options: Any) -> Any:
        with _signals_wait():
            return compile_now(*args, **options)

    return compile_first


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that a Python function answers are answered in the end. Only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, Any]] = []
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    answers = {number: answer for number, answer in before.items() if callable(answer)}
    for number in answers:
        signal.signal(number, lambda *came: waiting.append(came))
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)
    for number, frame in waiting:
        answers[number](number, frame)
