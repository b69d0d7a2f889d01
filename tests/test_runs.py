"""Run folders are hostile input: every damage is one message, nothing is guessed."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malmoi.arrays import Arrays, checked, map_arrays, read_arrays, write_arrays
from malmoi.errors import MalmoiError, RunError
from malmoi.runs.folder import (
    RunConfig,
    append_metrics,
    read_config,
    read_metrics,
    run_path,
    trim_metrics,
    write_config,
)


@pytest.fixture(params=[read_arrays, map_arrays])
def read(request: pytest.FixtureRequest) -> Callable[[Path], Arrays]:
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, RunConfig(family="lstm", model={"vocab_size": 7}, seed=3))
    arrays = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(5, np.float32)}
    write_arrays(tmp_path / "model.safetensors", arrays)
    return tmp_path


def test_what_is_written_is_read(folder: Path, read: Callable[[Path], Arrays]) -> None:
    config = read_config(folder)
    assert (config.family, config.model, config.seed) == ("lstm", {"vocab_size": 7}, 3)
    arrays = read(folder / "model.safetensors")
    np.testing.assert_array_equal(arrays["a"], np.arange(12).reshape(3, 4))
    assert checked(arrays, {"a": (3, 4), "b": (5,)}, folder) is arrays


def test_the_same_arrays_give_the_same_bytes(folder: Path) -> None:
    first = (folder / "model.safetensors").read_bytes()
    write_arrays(folder / "again.safetensors", dict(reversed(read_arrays(folder / "model.safetensors").items())))
    assert (folder / "again.safetensors").read_bytes() == first


def test_a_missing_run_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"There is no run at '.*nowhere'. Expected a folder that `malmoi train` wrote"):
        run_path(tmp_path / "nowhere")


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run: it has no config.json. Give a folder"):
        run_path(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "..", "runs\x00x", "A", "a" * 80])
def test_names_do_not_lead_out_of_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RunError, ValueError)):
        run_path(name)


def test_a_truncated_model_is_named(folder: Path, read: Callable[[Path], Arrays]) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunError, match=r"model.safetensors is damaged or cut off.*Copy the run again"):
        read(path)


def test_a_missing_model_is_named(folder: Path, read: Callable[[Path], Arrays]) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(RunError, match="model.safetensors is missing. Copy the run again"):
        read(folder / "model.safetensors")


def test_a_tampered_model_is_refused(folder: Path, read: Callable[[Path], Arrays]) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # one bit of the last weight
    path.write_bytes(data)
    with pytest.raises(RunError, match="does not match its own checksum: it was altered"):
        read(path)


def test_a_header_that_claims_a_terabyte_allocates_nothing(folder: Path, read: Callable[[Path], Arrays]) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}}).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(RunError, match="damaged or cut off"):
        read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_end_in_our_error_or_in_the_same_arrays(folder: Path, data: st.DataObject) -> None:
    source = folder / "model.safetensors"
    original = source.read_bytes()
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, min(len(mutated) - 1, 300)))
        mutated[position] = data.draw(st.integers(0, 255))
    path = folder / "mutated.safetensors"
    path.write_bytes(mutated)
    for read in (read_arrays, map_arrays):
        with suppress(MalmoiError):
            np.testing.assert_array_equal(read(path)["a"], np.arange(12).reshape(3, 4))


def test_mapped_arrays_of_every_kind_leave_the_file_as_it_is(tmp_path: Path) -> None:
    kinds = [f"{kind}{size}" for kind, sizes in (("i", "1248"), ("u", "1248"), ("f", "248")) for size in sizes] + ["?"]
    arrays = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds} | {"empty": np.zeros((0, 4), np.int32)}
    write_arrays(tmp_path / "all", arrays)
    mapped = map_arrays(tmp_path / "all")
    assert mapped.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(mapped[name], array, strict=True)
        assert type(mapped[name]) is np.ndarray
        if array.size:
            mapped[name][...] = 1
    np.testing.assert_array_equal(map_arrays(tmp_path / "all")["f4"], arrays["f4"])


def test_shapes_that_do_not_fit_the_config_are_named(folder: Path) -> None:
    arrays = read_arrays(folder / "model.safetensors")
    with pytest.raises(RunError, match=r"a has shape \(3, 4\), but config.json asks for \(4, 4\)"):
        checked(arrays, {"a": (4, 4), "b": (5,)}, folder)
    with pytest.raises(RunError, match="b has shape .*asks for None"):
        checked(arrays, {"a": (3, 4)}, folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[1]", "should hold a JSON object, found list"),
        ('{"format": 99, "family": "lstm"}', "has format 99; this malmoi reads up to 1.*made by a newer version"),
        ('{"family": "lstm", "model": {}, "hook": "os.system"}', "Unknown key 'hook'"),
        ('{"family": 3, "model": {}}', "family=3 does not fit"),
    ],
)
def test_a_damaged_config_is_one_message(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_config(folder)


def test_a_huge_config_is_not_read(folder: Path) -> None:
    with open(folder / "config.json", "ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(RunError, match="bytes; a run's config is a few kB"):
        read_config(folder)


def test_metrics_survive_a_crash_and_are_cut_back_on_resume(folder: Path) -> None:
    for step in (10, 20, 30):
        append_metrics(folder, {"step": step, "valid_nll": 1 / step})
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 40, "val')
    assert [row["step"] for row in read_metrics(folder)] == [10, 20, 30]
    trim_metrics(folder, 20)
    assert [row["step"] for row in read_metrics(folder)] == [10, 20]
