"""Work in another thread: its result comes, and so does what it raised."""

import threading
from pathlib import Path

import numpy as np
import pytest

from malmoi import arrays
from malmoi.arrays import map_ahead, map_arrays, write_arrays
from malmoi.background import in_background
from malmoi.errors import RunError


def test_the_work_is_done_in_another_thread_and_once() -> None:
    threads = []

    def work() -> int:
        threads.append(threading.get_ident())
        return len(threads)

    result = in_background(work)
    assert [result(), result()] == [1, 1]
    assert threads != [threading.get_ident()]


def test_what_the_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> int:
        raise RunError("there is nothing")

    result = in_background(work)
    for _ in range(2):
        with pytest.raises(RunError, match="there is nothing"):
            result()


def test_arrays_mapped_ahead_are_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_arrays(path, {"a": np.arange(6.0)})
    calls = []
    really = arrays._map_arrays
    monkeypatch.setattr(arrays, "_map_arrays", lambda found: calls.append(found) or really(found))
    map_ahead(path)
    assert map_arrays(path)["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert calls == [path]
    map_arrays(path)
    assert calls == [path, path]


def test_damage_is_told_to_the_one_who_asks(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no arrays")
    map_ahead(path)
    with pytest.raises(RunError, match="damaged or cut off"):
        map_arrays(path)
