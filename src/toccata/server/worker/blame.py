"""Decide whether a prediction can have caused the death of the process that ran it.

A process that crashes, or that the kernel kills because memory runs out, may have been brought down
by what it computed. One that is killed from outside, by an operator or a restart of the machine,
was not.
"""

from __future__ import annotations

import signal
from pathlib import Path

VMSTAT = Path("/proc/vmstat")
CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


def count_oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory; None: it does not say."""
    found = [_counter(path) for path in (VMSTAT, CGROUP_EVENTS)]
    known = [number for number in found if number is not None]
    return sum(known) if known else None


def can_be_caused(exit_code: int | None, oom_kills_before: int | None, hung: bool) -> bool:
    """Whether what the worker ran can have caused its death.

    Args:
        exit_code: As multiprocessing tells it: minus the signal, if there was one.
        oom_kills_before: What `count_oom_kills` said when the worker started.
        hung: The worker was killed because it did not go on.
    """
    if hung or exit_code not in FROM_OUTSIDE:
        return True
    now = count_oom_kills()
    return now is None or oom_kills_before is None or now > oom_kills_before


def _counter(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
