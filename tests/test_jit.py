import signal
import threading

import pytest
from numba.core import event

from malmoi.jit import compiled


class Pressed(event.Listener):  # type: ignore[misc]
    """Ctrl-C as soon as the compiler is at work."""

    def on_start(self, event: object) -> None:
        signal.raise_signal(signal.SIGINT)

    def on_end(self, event: object) -> None:
        pass


def test_ctrl_c_waits_until_the_compiler_is_done() -> None:
    @compiled(inline=True)
    def one_more(number: int) -> int:
        return number + 1

    @compiled(inline=True)
    def two_more(number: int) -> int:
        return one_more(one_more(number))

    handler = signal.getsignal(signal.SIGINT)
    with event.install_listener("numba:compile", Pressed()), pytest.raises(KeyboardInterrupt):
        two_more(3)
    assert len(two_more.overloads) == 1  # type: ignore[attr-defined]
    assert signal.getsignal(signal.SIGINT) is handler
    assert two_more(3) == 5


def test_functions_are_compiled_in_any_thread() -> None:
    @compiled(inline=True)
    def doubled(number: int) -> int:
        return 2 * number

    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(doubled(21)))
    thread.start()
    thread.join()
    assert found == [42]
