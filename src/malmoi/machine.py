"""What this machine can do, measured rather than assumed."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

from malmoi.background import AHEAD
from malmoi.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
FASTER_BY = 1.3  # what bfloat16 must win in matrix products before its rounding is worth it


def find_device(name: str) -> "torch.device":
    """The device of that name, "auto" being the GPU where there is one.

    Raises:
        ConfigError: If PyTorch does not know the name or this machine lacks the device.
        MissingExtraError: If PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("PyTorch", "neural", "A neural rung") from None
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--device {name} cannot be used here ({reason}). Use --device cpu, which always works; `malmoi doctor` lists "
            "what this machine has."
        ) from None
    return device


def find_device_ahead(name: str, load: Callable[[], object]) -> "Callable[[], torch.device]":
    """`find_device` while text is read: another thread calls `load`, until the device is asked for.

    A device that only PyTorch can judge is looked for at once, so that a wrong one is told before any work.

    Args:
        name: As in `find_device`.
        load: What training will need besides, and takes its time: imports, compiled loops.

    Raises:
        ConfigError, MissingExtraError: As `find_device` does.
    """
    if name not in ("cpu", "auto") or find_spec("torch") is None:
        find_device(name)
    import_module("concurrent.futures.thread")  # which PyTorch imports, and which refuses once the program is ending
    loading = Thread(target=load, name=AHEAD, daemon=True)
    loading.start()

    def found() -> "torch.device":
        loading.join()
        return find_device(name)

    return found


def measure_matmul(dtype_name: str, device_name: str = "cpu", size: int = 640) -> float:
    """Speed of a typical matrix product, in GFLOP/s: the fastest of several runs, since other programs may be busy too."""
    import torch

    device, dtype = torch.device(device_name), getattr(torch, dtype_name)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(9):
        began = time.perf_counter()
        for _ in range(4):
            c = a @ b
        float(c[0, 0])  # waits for the device
        seconds.append((time.perf_counter() - began) / 4)
    return 2 * size**3 / min(seconds) / 1e9


def fastest_precision(device: "torch.device") -> tuple[str, str]:
    """bfloat16 where this processor is clearly faster with it, else float32; and the reason in words."""
    low, full = (measure_matmul(name, str(device)) for name in ("bfloat16", "float32"))
    figures = f"matrix products at {low:,.0f} GFLOP/s in bfloat16, {full:,.0f} in float32"
    return ("bfloat16" if low > FASTER_BY * full else "float32"), figures


def available_memory(device: "torch.device") -> int:
    """Bytes that can still be allocated on the device."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # Windows
        return 1 << 62


def keep_freed_memory() -> None:
    """Let the C library keep large blocks for re-use instead of returning them to the system after every step.

    A training step allocates and frees the same arrays of 10 to 100 MB each time. Fetching fresh pages for them costs up to
    a quarter of a step (measured on Linux with glibc: 130 ms against 102 ms for 650 units and 10,000 words).
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # another C library
            return
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
