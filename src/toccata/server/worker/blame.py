"""Decide whether a prediction can have caused the death of the process that ran it.

A crash, or the kernel's kill when memory runs out, may be due to what the process computed. A
signal of an operator or of a restart of the machine is not.
"""

from __future__ import annotations

import signal
from pathlib import Path

VMSTAT = Path("/proc/vmstat")
CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
EXTERNAL_SIGNALS = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


def count_oom_kills() -> int | None:
    """Count the processes that the kernel has killed for lack of memory; None: it is unknown."""
    found = [_counter(path) for path in (VMSTAT, CGROUP_EVENTS)]
    known = [number for number in found if number is not None]
    return sum(known) if known else None


def can_be_caused(exit_code: int | None, oom_kills_before: int | None, hung: bool) -> bool:
    """Decide whether the jobs of a worker can have caused its death.

    Args:
        exit_code: The exit code as multiprocessing has it: minus the signal, if there was one.
        oom_kills_before: The result of `count_oom_kills` when the worker started.
        hung: Whether the worker was killed because it hung.
    """
    if hung or exit_code not in EXTERNAL_SIGNALS:
        return True
    now = count_oom_kills()
    return now is None or oom_kills_before is None or now > oom_kills_before


def _counter(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
