"""How the threads of torch wait for each other, which OpenMP reads from its variables."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# How threads of OpenMP wait is decided by its standard's variable, by libgomp's, or by libomp's.
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Some microseconds of spinning in libgomp, which bridge the gap between two small products, and
# none in libomp, whose shortest time is far longer.
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let torch's threads sleep soon while they wait for each other, unless the user said how.

    By default they spin for milliseconds. On cores that others use too, a thread then spins away
    the time that the one it waits for would need: docs/lab/performance.md has the figures. It must
    be called before torch is imported, by whoever owns the process; an import of the library
    leaves its caller's process as it is.

    Args:
        environment: What OpenMP reads when it is loaded, and what child processes inherit.
    """
    if not any(name in environment for name in _WAITING):
        environment.update(_PASSIVE)


def wait_as_by_default(environment: MutableMapping[str, str]) -> None:
    """Undo `wait_passively`, for a child process that runs somebody else's program."""
    if _PASSIVE.items() <= environment.items():
        for name in _PASSIVE:
            del environment[name]
