"""One training of vectors of words: what it is given, what comes of it, and what is kept so that it can go on."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from malmoi.arrays import Arrays, read_arrays, write_arrays
from malmoi.files import make_folder
from malmoi.models.registry import Rung
from malmoi.runs.folder import RunConfig, write_config
from malmoi.text.vocabulary import SpecialIds
from malmoi.training.checkpoint import FOLDER as CHECKPOINT
from malmoi.training.checkpoint import STATE as STATE_FILE
from malmoi.training.progress import Reporter
from malmoi.training.vectors.earlier import Earlier

if TYPE_CHECKING:
    from malmoi.models.phrases import Phrases
    from malmoi.store import TokenStream

MODEL, PHRASES = "model.safetensors", "phrases.json"
STATE, BEFORE = f"{CHECKPOINT}/{STATE_FILE}", f"{CHECKPOINT}/before.safetensors"


@dataclass
class Job:
    """Everything ready for training.

    Attributes:
        model: The rung's config.
        room: A folder for a while, with what cuts a text into these words: tokenizer.json and so on.
        tokens: The text; words that belong together are joined.
        counts: How often each token id (V,) occurs in it.
        words: What each id (V,) is called.
        special_ids: Which ids are no words.
        before: How often each word (V,) was met in the training that this one goes on from; None if it begins anew.
        earlier: What training goes on from; None in a resumed run, whose state holds it.
        seconds: Left by the clock; None if there is none.
    """

    folder: Path
    rung: Rung
    model: Any
    config: RunConfig
    room: Path
    tokens: "TokenStream"
    counts: NDArray[np.int64]
    words: list[str]
    special_ids: SpecialIds
    phrases: "Phrases | None"
    before: NDArray[np.int64] | None
    earlier: Earlier | None
    seconds: float | None
    reporter: Reporter

    @property
    def settings(self) -> Any:
        """How it is trained, a class of training.settings."""
        training = {
            key: value for key, value in self.config.training.items() if key not in ("epochs", "budget_seconds")
        }
        return self.rung.training_settings.parse(training)

    def epochs(self, usual: int, most: int) -> int:
        """Times that the text is read, at most: as asked for, `most` by the clock, else as usual."""
        asked = self.config.training["epochs"]
        if asked is not None:
            return int(asked)
        return usual if self.seconds is None else most

    @property
    def n_threads(self) -> int:
        return self.settings.threads or os.cpu_count() or 1

    @property
    def can_resume(self) -> bool:
        return (self.folder / STATE).is_file()

    def save_words(self) -> None:
        """Put what cuts a text into these words into the run. config.json, which makes the folder one, comes after all else."""
        make_folder(self.folder)
        for file in self.room.iterdir():
            os.replace(file, self.folder / file.name)

    def save_state(self, arrays: Arrays) -> None:
        """Write a checkpoint."""
        self.save_words()
        if self.before is not None and not (self.folder / BEFORE).is_file():
            write_arrays(self.folder / BEFORE, {"counts": self.before})
        write_arrays(self.folder / STATE, arrays)
        if not (self.folder / "config.json").is_file():
            write_config(self.folder, self.config)

    def saved_state(self) -> Arrays | None:
        """What the last checkpoint holds; None if there is none."""
        return read_arrays(self.folder / STATE) if self.can_resume else None


def saved_before(folder: Path) -> NDArray[np.int64] | None:
    """`Job.before` of a run that was stopped."""
    path = folder / BEFORE
    return read_arrays(path)["counts"] if path.is_file() else None


class Made(NamedTuple):
    """What a rung has made of a text."""

    token_ids: NDArray[np.int64]  # (W,), most frequent first
    counts: NDArray[np.int64]  # (W,)
    vectors: Arrays  # as malmoi.vectors.storage has them
    model: Arrays  # what else is needed to go on, and to explain
    figures: dict[str, Any]
    metrics: list[dict[str, Any]]
