"""How much decoded audio the worker holds at once, over all its jobs.

A small file can decode to much, and many of them at once to more than a machine has. A job reserves
the most that its input can take before it decodes it, keeps what it did take, and waits while
others have the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toccata.errors import CancelledError

POLL_S = 0.2


class Reservation:
    """What one job has of a budget."""

    def __init__(self, budget: MemoryBudget, size_bytes: int) -> None:
        self._budget, self.size_bytes = budget, size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Keep only so much of it."""
        left = min(size_bytes, self.size_bytes)
        self._budget.give_back(self.size_bytes - left)
        self.size_bytes = left


class MemoryBudget:
    """Bytes that threads share."""

    def __init__(self, total_bytes: int) -> None:
        self._free_bytes = self._total_bytes = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, size_bytes: int, stopped: Callable[[], bool]) -> Iterator[Reservation]:
        """Hold `size_bytes`, or all there are if it is more, while the block runs.

        Args:
            size_bytes: The most that is needed.
            stopped: Whether nobody wants the result any more.

        Raises:
            CancelledError: `stopped` said so while there was too little.
        """
        wanted = min(size_bytes, self._total_bytes)
        with self._changed:
            while not self._changed.wait_for(lambda: self._free_bytes >= wanted, POLL_S):
                if stopped():
                    raise CancelledError("canceled while it waited for memory")
            self._free_bytes -= wanted
        reservation = Reservation(self, wanted)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def give_back(self, size_bytes: int) -> None:
        with self._changed:
            self._free_bytes += size_bytes
            self._changed.notify_all()
