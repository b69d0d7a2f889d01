"""What is compared, and the folder that holds the answer to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malmoi.errors import RunError
from malmoi.files import write_json
from malmoi.text.sources import TextSource

FORMAT = 1
QUESTION, TEXTS = "question.json", "texts"


@dataclass(frozen=True)
class Question:
    """What is compared, apart from who takes part."""

    text: TextSource
    valid: TextSource | None = None
    test: TextSource | None = None
    budget: float | None = None  # seconds: for each contender that is trained, or for a whole ladder
    steps: int | None = None
    tokenizer: str | None = None
    tokenizer_from: str | None = None  # the folder of a run, or of a tokenizer alone
    vocab_size: int | None = None
    seed: int = 0
    prompt: str | None = None
    device: str = "cpu"
    verb: str = "compare"
    options: Mapping[str, Any] = field(default_factory=dict)  # of rungs, by name
    measures_memory: bool = True
    command: str = ""

    def identity(self) -> dict[str, Any]:
        """What a result depends on."""
        texts = {name: text and text.fingerprint() for name, text in (("valid", self.valid), ("test", self.test))}
        names = ("budget", "steps", "tokenizer", "tokenizer_from", "vocab_size", "seed", "prompt", "device", "verb")
        options = json.loads(json.dumps(dict(self.options), default=str))
        settings = {name: getattr(self, name) for name in names}
        return {"format": FORMAT, "text": self.text.fingerprint(), **texts, **settings, "options": options}


def claim(folder: Path, question: Question) -> None:
    """Write the question into a folder that is new, or was begun with this very question.

    Raises:
        RunError: If the folder holds something else, or the answer to another question.
    """
    identity = question.identity()
    if not (folder / QUESTION).is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(
                f"{folder} exists already and holds no comparison; nothing in it was changed. Expected a new folder, "
                "or that of an earlier comparison. Choose another --out."
            )
        write_json(folder / QUESTION, identity)
    elif not (folder / TEXTS).is_dir():
        write_json(folder / QUESTION, identity)  # the earlier question could not be answered: its text was refused
    elif different := differences(folder, identity):
        raise RunError(
            f"{folder} holds a comparison with {', '.join(different)}. Expected the same question, to go on with it. "
            "Choose another --out, or ask as before."
        )


def differences(folder: Path, identity: Mapping[str, Any]) -> list[str]:
    """In what the question that a folder answers differs from this one, in words; empty if in nothing."""
    try:
        before = dict(json.loads((folder / QUESTION).read_bytes()))
    except (OSError, ValueError, TypeError):
        return ["a question that cannot be read"]
    texts = {"text", "valid", "test"}
    told = []
    for name in identity.keys() | before.keys():
        old, new = before.get(name), identity.get(name)
        if old != new:
            told.append(f"another {name} text" if name in texts else f"{name}={old} instead of {new}")
    return sorted(told)
