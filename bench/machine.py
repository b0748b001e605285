"""The machine: what it is, how fast its memory is, what a process takes of it."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).parent.parent
BLOCK_BYTES = 2**30
TRIES = 5


class Bandwidth(TypedDict):
    gb_per_s: float
    threads: int


def describe() -> dict[str, str]:
    """What one needs to know to compare figures."""
    return {
        "processor": _processor(),
        "cores": str(_cores()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "toccata": " ".join([version("toccata"), _commit()]).strip(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def read_bandwidth() -> Bandwidth:
    """How fast torch sums up 1 GiB with the threads that it takes by default: the best of 5."""
    import torch

    block = torch.ones(BLOCK_BYTES // 4)
    return Bandwidth(
        gb_per_s=BLOCK_BYTES / min(_sum_s(block) for _ in range(TRIES)) / 1e9,
        threads=torch.get_num_threads(),
    )


def _sum_s(block: object) -> float:
    start = time.perf_counter()
    block.sum()  # type: ignore[attr-defined]
    return time.perf_counter() - start


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


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _commit() -> str:
    """The commit, marked if files differ from it; empty outside a clone."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
