import errno
import json
import os
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from malmoi import files
from malmoi.errors import RunError, TrainingError
from malmoi.files import (
    atomic_file,
    atomic_folder,
    recover_folder,
    return_freed_memory,
    write_bytes,
    write_json,
)


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", fsync)


def test_a_file_is_replaced_and_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "first" / "config.json"
    write_bytes(path, b"old")
    write_json(path, {"이름": "말모이", "width": 3})
    assert everything_below(tmp_path).keys() == {"runs/first/config.json"}
    assert json.loads(path.read_text("utf-8")) == {"이름": "말모이", "width": 3}
    assert "말모이" in path.read_text("utf-8")


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RunError, match="pipe is a device or a pipe. Expected the name of a file"):
        write_bytes(pipe, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    assert pipe.is_fifo()


def test_a_new_file_has_the_permissions_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    with atomic_file(tmp_path / "a") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a").read_bytes() == b"old"
    assert everything_below(tmp_path) == {"a": b"new"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    write_bytes(tmp_path / "a", b"old")
    write_bytes(tmp_path / "b" / "c", b"old")

    def write_half_a_file() -> None:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"half")
            raise interruption

    def write_half_a_folder() -> None:
        with atomic_folder(tmp_path / "b") as folder:
            (folder / "c").write_bytes(b"half")
            raise interruption

    for write in (write_half_a_file, write_half_a_folder):
        with pytest.raises(interruption):
            write()
    assert everything_below(tmp_path) == {"a": b"old", "b/c": b"old"}


def test_json_without_a_form_for_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a", {"loss": float("nan")})
    assert everything_below(tmp_path) == {}


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_gives_one_message_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TrainingError, match=r"Cannot write .*/a: No space left.*MB free.*or set MALMOI_CACHE"):
        write_bytes(tmp_path / "a", b"new", advice="set MALMOI_CACHE")
    assert everything_below(tmp_path) == {"a": b"old"}


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_bytes(b"old")
    with (
        pytest.raises(TrainingError, match=r"Cannot write .*/run: No space left.*choose another folder"),
        atomic_folder(tmp_path / "run") as folder,
    ):
        (folder / "a").write_bytes(b"new")
    assert everything_below(tmp_path) == {"run/a": b"old"}


def test_a_folder_that_cannot_be_written_to_gives_one_message(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file where a folder should be")
    with pytest.raises(RunError, match=r"Cannot write .*/taken/a: .*a folder that you may write to.*permissions"):
        write_bytes(tmp_path / "taken" / "a", b"new")
    assert everything_below(tmp_path) == {"taken": b"a file where a folder should be"}


def test_missing_permission_gives_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(source: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises(
        RunError, match=r"Cannot write .*/a: Permission denied.*Change its permissions, or choose another"
    ):
        write_bytes(tmp_path / "a", b"new")
    assert everything_below(tmp_path) == {}


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for names in (["model", "optimiser"], ["model", "position/epoch"]):
        with atomic_folder(tmp_path / "checkpoint") as folder:
            for name in names:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(f"{name} of {len(names[1])}")
    assert everything_below(tmp_path) == {
        "checkpoint/model": b"model of 14",
        "checkpoint/position/epoch": b"position/epoch of 14",
    }


def test_a_folder_whose_replacement_was_killed_half_way_comes_back(tmp_path: Path) -> None:
    """Between the two renames nothing stands at the path: the state that a kill there leaves behind."""
    write_bytes(tmp_path / "run" / "a", b"old")
    os.rename(tmp_path / "run", files._previous(tmp_path / "run"))
    recover_folder(tmp_path / "run")
    recover_folder(tmp_path / "run")
    assert everything_below(tmp_path) == {"run/a": b"old"}


def test_a_folder_whose_replacement_was_killed_at_the_end_is_the_new_one(tmp_path: Path) -> None:
    write_bytes(tmp_path / "run" / "a", b"new")
    write_bytes(files._previous(tmp_path / "run") / "a", b"old")
    recover_folder(tmp_path / "run")
    assert (tmp_path / "run" / "a").read_bytes() == b"new"
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "a").write_bytes(b"newest")
    assert everything_below(tmp_path) == {"run/a": b"newest"}


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".malmoi-old", tmp_path / ".malmoi-fresh"
    old.mkdir()
    fresh.write_bytes(b"someone is writing this")
    os.utime(old, (time.time() - 90_000,) * 2)
    write_bytes(tmp_path / "a", b"")
    assert not old.exists()
    assert fresh.exists()


def test_freed_memory_can_be_given_back_on_any_system(monkeypatch: pytest.MonkeyPatch) -> None:
    return_freed_memory()
    for error in (AttributeError, OSError, TypeError):
        monkeypatch.setattr("ctypes.CDLL", Mock(side_effect=error))
        return_freed_memory()
