"""Explanations for programs: JSON, CSV, safetensors."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny import neural_run

from malmoi.arrays import read_arrays
from malmoi.explain.explanation import Explanation, Numbers, Step, Unit
from malmoi.explain.output import numbers_dict, to_dict, write_all_arrays, write_csv


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    return neural_run(tmp_path_factory.mktemp("runs"), "lstm", n_layers=1).explain("the cat sat", train_step=True)


def test_json_holds_everything(found: Explanation) -> None:
    told = json.loads(json.dumps(to_dict(found), allow_nan=False))
    assert told["target"] == "sat"
    assert told["bits"] == pytest.approx(-math.log2(found.probability))
    assert told["likeliest"][0].keys() == {"token", "probability"}
    assert [step["name"] for step in told["steps"]] == [step.name for step in found.steps]
    gates = next(step for step in told["steps"] if step["name"] == "gates")["numbers"][0]
    assert (gates["shape"], gates["axes"], gates["labels"]) == ([4, 5], ["gate", "unit"], {"0": ["i", "f", "g", "o"]})
    np.testing.assert_allclose(gates["values"], next(s for s in found.steps if s.name == "gates").numbers[0].values)
    assert told["surprisals"]["word"][1] == {
        "text": " cat", "name": "", "begin": 3, "end": 7,
        "nats": found.surprisals["word"][1].nats, "bits": found.surprisals["word"][1].nats / math.log(2),
    }  # fmt: skip


def test_large_arrays_are_abbreviated() -> None:
    values = np.arange(3000.0).reshape(3, 1000)
    values[1, 7] = -5000
    told = numbers_dict(Numbers("x", values, ("time", "unit"), {0: ["a", "b", "c"]}))
    assert told["abbreviated"]
    assert "values" not in told
    assert told["first"] == list(range(8))
    assert told["last"] == [2992.0 + place for place in range(8)]
    assert told["largest"][0] == {"place": [1, 7], "labels": ["b"], "value": -5000.0}
    assert (told["minimum"], told["maximum"], told["shape"]) == (-5000.0, 2999.0, [3, 1000])
    assert numbers_dict(Numbers("x", np.array(2.0)))["values"] == 2.0


def test_arrays_are_written_whole(found: Explanation, tmp_path: Path) -> None:
    write_all_arrays(found, tmp_path / "all.safetensors")
    arrays = read_arrays(tmp_path / "all.safetensors")
    assert len(arrays) == sum(len(step.numbers) for step in found.steps)
    for place, step in enumerate(found.steps, start=1):
        for numbers in step.numbers:
            np.testing.assert_array_equal(arrays[f"{place:02} {step.name}: {numbers.name}"], numbers.values)


def test_the_table_of_surprisals(found: Explanation, tmp_path: Path) -> None:
    write_csv(found.surprisals, tmp_path / "costs.csv")
    with open(tmp_path / "costs.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unit"] for row in rows] == ["token"] * 3 + ["word"] * 3
    assert [row["text"] for row in rows[:3]] == ["the", " cat", " sat"]
    assert float(rows[2]["bits"]) == pytest.approx(found.surprisals["token"][2].nats / math.log(2), abs=1e-6)


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    write_csv({"token": [Unit('=cmd|"/c"', 0, 9, 1.0, "@x"), Unit("a,\n", 9, 12, 1.0)]}, tmp_path / "costs.csv")
    with open(tmp_path / "costs.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["name"]) for row in rows] == [('\'=cmd|"/c"', "'@x"), ("a,\n", "")]


def test_a_probability_of_nothing_costs_infinity() -> None:
    step = Step("surprisal", "", "", "", "", (Numbers("P", np.array(0.0)),))
    found = Explanation("", "ngram", "r", "en", 0, "x", 0.0, (step,), {}, {}, ())
    assert to_dict(found)["nats"] == math.inf
