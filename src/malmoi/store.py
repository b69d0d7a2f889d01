"""Long arrays that need not be in memory: ids that are read in stretches, results that grow at their end."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Tokens(Protocol):
    """Token ids of a text, which can be read by position without being in memory."""

    def __len__(self) -> int: ...
    def read(self, start: int, stop: int) -> NDArray[Any]: ...


@runtime_checkable
class TokenStream(Tokens, Protocol):
    """Those whose pages can be given back; `malmoi.data.tokens.TokenView` is one."""

    def release(self) -> None: ...


@dataclass
class Store:
    """Arrays that grow at their end: in memory, or, given a folder, in files that are mapped when they are complete."""

    folder: Path | None = None
    parts: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)

    def append(self, name: str, array: NDArray[Any]) -> None:
        if self.folder is None:
            self.parts.setdefault(name, []).append(array)
            return
        if name not in self.files:
            self.files[name] = open(self.folder / name, "wb")  # noqa: SIM115 - closed in `take`
        array.tofile(self.files[name])

    def take(self, name: str, dtype: Any) -> NDArray[Any]:
        """All that was appended, as one array."""
        if self.folder is None:
            parts = self.parts.pop(name, [])
            return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype), *parts])
        if name in self.files:
            self.files.pop(name).close()
        path = self.folder / name
        if not path.exists() or not path.stat().st_size:
            return np.zeros(0, dtype)
        return np.memmap(path, dtype, mode="r+").view(np.ndarray)

    def empty(self, name: str, size: int, dtype: Any) -> NDArray[Any]:
        """A new array to fill."""
        if self.folder is None or not size:
            return np.empty(size, dtype)
        return np.memmap(self.folder / name, dtype, mode="w+", shape=(size,)).view(np.ndarray)

    def drop(self, name: str) -> None:
        """Forget an array that was taken: its file is removed."""
        if self.folder is not None:
            (self.folder / name).unlink(missing_ok=True)


@contextmanager
def open_store(in_files: bool, near: Path) -> Iterator[Store]:
    """A store in memory, or in a folder of its own inside `near`, which is removed in the end."""
    if not in_files:
        yield Store()
        return
    with tempfile.TemporaryDirectory(prefix=".malmoi-", dir=near) as folder:
        yield Store(Path(folder))
