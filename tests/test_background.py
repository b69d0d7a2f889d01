"""Work in another thread: its result comes, and so does what it raised."""

import errno
import threading
from pathlib import Path

import numpy as np
import pytest

from malmoi import arrays
from malmoi.arrays import arrays_of, map_arrays, mapping_ahead, write_arrays
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


def test_arrays_are_mapped_ahead_within_the_block_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_arrays(path, {"a": np.arange(6.0)})
    with mapping_ahead(path):
        inside = arrays_of(path)["a"]
        assert inside.tolist() == [0, 1, 2, 3, 4, 5]
        assert arrays_of(tmp_path.joinpath("model.safetensors"))["a"] is inside
    outside = arrays_of(path)["a"]
    data = bytearray(path.read_bytes())
    data[-8:] = np.array([7.0]).tobytes()
    with open(path, "r+b") as file:  # as `cp` writes over a file that is there
        file.write(data)
    assert inside[-1] == 7
    assert outside[-1] == 5  # what was read stays what it was
    with pytest.raises(RunError, match="does not match its own checksum"):
        arrays_of(path)


def test_damage_is_told_to_the_one_who_asks(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no arrays")
    with mapping_ahead(path), pytest.raises(RunError, match=r"its header of [\d,]+ bytes is not all there"):
        arrays_of(path)


def test_too_little_memory_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_arrays(path, {"a": np.arange(6.0)})

    def full(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(arrays.np, "memmap", full)
    with pytest.raises(MemoryError):
        map_arrays(path)
