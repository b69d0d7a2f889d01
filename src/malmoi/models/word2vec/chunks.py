"""The text of word2vec in chunks, each of which is the same work whoever does it, and threads that share them out."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from malmoi.errors import DataError
from malmoi.store import TokenStream

READ_AT_ONCE = 1 << 20  # tokens


def chunk_bounds(tokens: TokenStream, vocab_size: int, size: int, eos_id: int) -> NDArray[np.int64]:
    """Where chunks of about `size` tokens start, and the end of the text.

    They start at starts of sentences, which eos ends, as far as these come often enough.

    Raises:
        DataError: If the text has a token id that is no number below `vocab_size`.
    """
    bounds, last_end = [0], 0
    for start in range(0, len(tokens), READ_AT_ONCE):
        block = tokens.read(start, min(start + READ_AT_ONCE, len(tokens)))
        lowest, highest = int(block.min()), int(block.max())
        if lowest < 0 or highest >= vocab_size:
            found = lowest if lowest < 0 else highest
            raise DataError(
                f"The text has token id {found}, and there are counts for ids 0 to {vocab_size - 1}. Give the counts that "
                "belong to this text."
            )
        ends = start + np.flatnonzero(block == eos_id) + 1
        while bounds[-1] + size <= start + len(block):
            aim = bounds[-1] + size
            i = int(np.searchsorted(ends, aim, side="right"))
            end = int(ends[i - 1]) if i else last_end
            bounds.append(end if end > bounds[-1] else aim)  # a sentence longer than a chunk is cut
        last_end = int(ends[-1]) if len(ends) else last_end
    if bounds[-1] < len(tokens):
        bounds.append(len(tokens))
    tokens.release()
    return np.array(bounds, np.int64)


def generator_state(seed: int, epoch: int, chunk: int) -> np.uint64:
    """The random generator of a chunk starts here; never 0, which it could not leave."""
    return np.uint64(int(np.random.SeedSequence([seed, epoch, chunk]).generate_state(1, np.uint64)[0]) | 1)


def share_out(work: Callable[[], bool], n_threads: int, after_each: Callable[[], None]) -> None:
    """Call `work` again and again in each of some threads, until it says that nothing is left, and wait for them.

    The calling thread only waits, so that Ctrl-C reaches it at once, and calls `after_each` after each piece of work. An error,
    here or in a thread, ends it all when the pieces at hand are done, and is raised.
    """
    messages: SimpleQueue[bool] = SimpleQueue()  # True: a piece of work is done; False: a thread has ended
    outcomes: list[BaseException | None] = []  # of the threads that have ended
    stop = threading.Event()

    def loop() -> None:
        outcome: BaseException | None = None
        try:
            while not stop.is_set() and work():
                messages.put(True)
        except BaseException as error:
            outcome = error
            stop.set()
        outcomes.append(outcome)
        messages.put(False)

    threads = [threading.Thread(target=loop, name=f"word2vec-{i}", daemon=True) for i in range(n_threads)]
    try:
        for thread in threads:
            thread.start()
        running = n_threads
        while running:
            if messages.get():
                after_each()
            else:
                running -= 1
    finally:
        stop.set()
        _wait_for(threads, outcomes)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _wait_for(threads: list[threading.Thread], outcomes: list[BaseException | None]) -> None:
    """Wait until every thread that was started has its outcome, also when Ctrl-C comes meanwhile, which is passed on then.

    An interrupted `Thread.join` may take a thread for ended that is not (Python 3.11 and 3.12), so it cannot wait for work.
    """
    interruption: KeyboardInterrupt | None = None
    while len(outcomes) < sum(thread.ident is not None for thread in threads):
        try:
            time.sleep(0.001)
        except KeyboardInterrupt as error:
            interruption = error
    for thread in threads:
        if thread.ident is not None:
            thread.join()
    if interruption is not None:
        raise interruption
