"""Measure the memory bandwidth of the machine and the memory of a process.

torch is imported only where it is needed, because programs without torch measure their memory too.
"""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK_BYTES = 2**30
TRIES = 5


class Bandwidth(TypedDict):
    """The bandwidth of a device's memory, and the number of CPU threads with which it was read."""

    gb_per_s: float
    threads: int


def bandwidth(*, device: str = "cpu") -> Bandwidth:
    """Measure how fast torch reads 1 GiB, the best of 5 runs.

    On a CPU it is summed with torch's default threads; on other devices it is copied, which counts
    as reading and writing.
    """
    import torch

    block = torch.ones(BLOCK_BYTES // 4, device=device)
    copy = None if block.device.type == "cpu" else torch.empty_like(block)
    moved_bytes = BLOCK_BYTES if copy is None else 2 * BLOCK_BYTES
    return Bandwidth(
        gb_per_s=moved_bytes / min(_move_s(block, copy) for _ in range(TRIES)) / 1e9,
        threads=torch.get_num_threads(),
    )


def _move_s(block: Tensor, copy: Tensor | None) -> float:
    wait_for(block.device)
    start = time.perf_counter()
    if copy is None:
        block.sum()
    else:
        copy.copy_(block)
    wait_for(block.device)
    return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    """Wait until a device has finished all operations; on a CPU they have finished already."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory of this process: of a GPU's memory, or else its resident memory."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    shared = torch.mps.driver_allocated_memory() if device.type == "mps" else 0
    return peak_rss_bytes() + shared


def rss_bytes() -> int:
    """Return the resident memory of this process, or its peak where the system has only that."""
    return _status("VmRSS") or _max_rss_bytes()


def peak_rss_bytes() -> int:
    """Return the peak of this process's resident memory."""
    # On Linux, ru_maxrss may be that of the parent process, so /proc is preferred.
    return _status("VmHWM") or _max_rss_bytes()


def _status(field: str) -> int:
    """Return a size in /proc/self/status; 0 if there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return int(found[0]) * 1024 if found else 0


def _max_rss_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def trim_memory() -> None:
    """Return freed memory to the system, where glibc would keep it because of fragmentation.

    On other systems nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
