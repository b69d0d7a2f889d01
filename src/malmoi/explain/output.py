"""An explanation as JSON, as a table of surprisals, and as arrays: for programs."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import write_arrays
from malmoi.explain.conversions import bits, nats_of
from malmoi.explain.explanation import Explanation, Numbers, Step, Unit
from malmoi.files import write_bytes

MOST_NUMBERS = 2000  # of an array that stand in the JSON
ENDS, LARGEST = 8, 10  # of a longer one: so many from both ends, and the largest
FIRST_OF_FORMULA = "=+-@\t\r"


def to_dict(explanation: Explanation) -> dict[str, Any]:
    """Everything, for JSON; arrays of more than MOST_NUMBERS numbers are abbreviated, and say so."""
    nats = nats_of(explanation.probability)
    return {
        "text": explanation.text,
        "family": explanation.family,
        "run": explanation.run,
        "language": explanation.language,
        "place": explanation.place,
        "target": explanation.target,
        "probability": explanation.probability,
        "nats": nats,
        "bits": bits(nats),
        "is_distribution": explanation.is_distribution,
        "likeliest": [{"token": token, "probability": probability} for token, probability in explanation.likeliest],
        "agreement": dict(explanation.agreement),
        "surprisals": {kind: [unit_dict(unit) for unit in units] for kind, units in explanation.surprisals.items()},
        "steps": [step_dict(step) for step in explanation.steps],
        "notes": list(explanation.notes),
    }


def unit_dict(unit: Unit) -> dict[str, Any]:
    cost = {"nats": unit.nats, "bits": bits(unit.nats)}
    return {"text": unit.text, "name": unit.name, "begin": unit.begin, "end": unit.end, **cost}


def step_dict(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "title": step.title,
        "part": step.part,
        "formula": step.formula,
        "shapes": step.shapes,
        "sentence": step.sentence,
        "numbers": [numbers_dict(numbers) for numbers in step.numbers],
    }


def numbers_dict(numbers: Numbers) -> dict[str, Any]:
    """An array with what its axes are; whole if it is small, or else its ends, its largest entries and its range."""
    values, labels = numbers.values, numbers.labels
    told: dict[str, Any] = {
        "name": numbers.name,
        "kind": numbers.kind,
        "shape": list(values.shape),
        "axes": list(numbers.axes),
    }
    if values.size <= MOST_NUMBERS:
        return {**told, "labels": {str(axis): list(names) for axis, names in labels.items()}, "values": values.tolist()}
    flat = values.reshape(-1)
    largest = np.argsort(-np.abs(flat), kind="stable")[:LARGEST]
    places = [[int(part) for part in np.unravel_index(index, values.shape)] for index in largest]
    return {
        **told,
        "labels": {str(axis): list(names) for axis, names in labels.items() if len(names) <= MOST_NUMBERS},
        "abbreviated": True,
        "first": flat[:ENDS].tolist(),
        "last": flat[-ENDS:].tolist(),
        "largest": [
            {
                "place": place,
                "labels": [labels[axis][index] for axis, index in enumerate(place) if axis in labels],
                "value": values[tuple(place)].item(),
            }
            for place in places
        ],
        "minimum": flat.min().item(),
        "maximum": flat.max().item(),
        "mean": float(flat.mean()),
    }


def arrays_of(explanation: Explanation) -> dict[str, NDArray[Any]]:
    """Every array of every step, whole: "03 gates: i, f, g, o" and so on, in order."""
    return {
        f"{place:02} {step.name}: {numbers.name}": np.ascontiguousarray(numbers.values)
        for place, step in enumerate(explanation.steps, start=1)
        for numbers in step.numbers
    }


def write_all_arrays(explanation: Explanation, path: Path) -> None:
    """Every array into one safetensors file.

    Raises:
        RunError: If the file cannot be written.
    """
    write_arrays(path, arrays_of(explanation))


def write_csv(surprisals: Mapping[str, list[Unit]] | Any, path: Path) -> None:
    """The surprisals of a text as a table: unit, number, begin, end, text, name, nats, bits.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        RunError: If the file cannot be written.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["unit", "number", "begin", "end", "text", "name", "nats", "bits"])
    for kind, units in surprisals.items():
        for number, unit in enumerate(units, start=1):
            texts = [_inert(unit.text), _inert(unit.name)]
            writer.writerow([kind, number, unit.begin, unit.end, *texts, f"{unit.nats:.6f}", f"{bits(unit.nats):.6f}"])
    write_bytes(path, b"\xef\xbb\xbf" + file.getvalue().encode())  # the mark tells spreadsheets that it is UTF-8


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(tuple(FIRST_OF_FORMULA)) else text
