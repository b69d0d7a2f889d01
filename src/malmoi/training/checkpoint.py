"""What a killed run needs in order to go on as if nothing had happened.

Weights, optimiser state and the recurrent state are safetensors; the counters are JSON. Masks and data order need nothing:
they are functions of (seed, step). The folder appears under its name in one stroke or not at all.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from malmoi.arrays import read_arrays, write_arrays
from malmoi.errors import RunError
from malmoi.files import atomic_folder, recover_folder, write_json
from malmoi.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

FOLDER, COUNTERS, STATE = "checkpoint", "progress.json", "state.safetensors"
EARLIER_NAMES = {
    "train_nll": "train_loss",
    "best_nll": "best",
}  # of counters, before other figures than nats were known
ADVICE = "free some space and go on with --resume; the checkpoint before this one is whole"


class Progress(Settings):
    """The counters of a run."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # spent on training so far, evaluation included
    train_loss: float | None = None  # running mean
    best: float | None = None  # validation figure
    best_step: int = 0
    evaluations_since_best: int = 0
    valid_share: float = 1.0  # of the validation data that is read while training goes on
    decay_began_at: float | None = None  # progress at which a plateau brought the descent forward


def save_checkpoint(run: Path, progress: Progress, tensors: "dict[str, dict[str, Tensor]]") -> None:
    """Write all groups of tensors and the counters.

    Raises:
        TrainingError: If the disk is full; the checkpoint before is left as it was.
    """
    with atomic_folder(run / FOLDER, advice=ADVICE) as folder:
        for group, members in tensors.items():
            arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in members.items()}
            write_arrays(folder / f"{group}.safetensors", arrays)
        write_json(folder / COUNTERS, progress.model_dump())


def can_resume(run: Path) -> bool:
    """Whether there is something to go on from: the counters of a network, or the state of vectors."""
    recover_folder(run / FOLDER)
    return any((run / FOLDER / name).is_file() for name in (COUNTERS, STATE))


def load_checkpoint(run: Path, groups: tuple[str, ...]) -> "tuple[Progress, dict[str, dict[str, Tensor]]]":
    """What `save_checkpoint` wrote last.

    Raises:
        RunError: If there is nothing to resume, or a file is damaged.
    """
    if not can_resume(run):
        raise RunError(f"{run} has no checkpoint to resume from. Train a new run with another --out.")
    import torch

    folder = run / FOLDER
    try:
        values: Any = json.loads((folder / COUNTERS).read_bytes())
        progress = Progress.parse({EARLIER_NAMES.get(key, key): value for key, value in values.items()}, where="key")
    except Exception as error:
        raise RunError(f"{folder / COUNTERS} is damaged ({error}). Train a new run with another --out.") from None
    tensors = {
        group: {name: torch.from_numpy(array) for name, array in read_arrays(folder / f"{group}.safetensors").items()}
        for group in groups
    }
    return progress, tensors
