"""One piece of work in a thread beside the caller's; lighter to import than `concurrent.futures`, for commands that answer
one question.
"""

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
AHEAD = "malmoi-ahead"  # the name of a thread whose work nobody waits for when a command ends


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Begin work in another thread.

    Returns:
        Waits for it and gives its result, or raises what it raised; asked again, the same once more.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised where the result is asked for
            errors.append(error)

    thread = Thread(target=run, daemon=True)  # a command that fails meanwhile does not wait for it
    thread.start()

    def result() -> T:
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    return result
