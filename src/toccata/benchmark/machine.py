"""Measure the memory bandwidth of the machine and the memory of a process.

This file imports torch where it is needed only: programs without it ask for their memory too.
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
    """threads: of the CPU."""

    gb_per_s: float
    threads: int


def bandwidth(*, device: str = "cpu") -> Bandwidth:
    """How fast torch moves 1 GiB, the best of 5: on a CPU it sums it up, with the threads that it
    takes by default, and elsewhere it copies it, which reads and writes.
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
    """Until the device has done what it was given; a CPU has already."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_bytes(device: torch.device) -> int:
    """The most that this process has held: of a GPU's own memory, or else resident in all."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    shared = torch.mps.driver_allocated_memory() if device.type == "mps" else 0
    return peak_rss_bytes() + shared


def rss_bytes() -> int:
    """Resident memory of this process; its peak where the system does not tell the present."""
    return _status("VmRSS") or _max_rss_bytes()


def peak_rss_bytes() -> int:
    # Not ru_maxrss where there is better: on Linux it counts the parent that the process came of.
    return _status("VmHWM") or _max_rss_bytes()


def _status(field: str) -> int:
    """A size in /proc/self/status, 0 where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return int(found[0]) * 1024 if found else 0


def _max_rss_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Return to the system what was freed. glibc keeps it, in pieces that fit nothing else, where
    blocks of many sizes come and go; elsewhere nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
