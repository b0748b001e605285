"""The budget of decoded audio that the worker holds, over all jobs.

A small file can decode to much, and many of them at once to more than a machine has. A job reserves
what its input takes before it decodes it, and keeps what it did take. A job that finds too little
is postponed: it waits outside the worker, where it has no slot that others could use.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryFullError(Exception):
    """Others have the memory that a job needs, `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes


class Reservation:
    """What one job of an owner has of a budget."""

    def __init__(self, budget: MemoryBudget, owner: str, size_bytes: int) -> None:
        self._budget, self._owner, self.size_bytes = budget, owner, size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Keep only so much of it."""
        left = min(size_bytes, self.size_bytes)
        self._budget.give_back(self._owner, self.size_bytes - left)
        self.size_bytes = left


class MemoryBudget:
    """Bytes that threads share.

    A job has a third of them at most, and an owner no more than it leaves free. So a few owners,
    whose long jobs keep their memory for hours, leave some to the jobs of others.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._held: Counter[str] = Counter()
        self._changing = threading.Lock()

    def check(self, owner: str, size_bytes: int) -> None:
        """Raises MemoryFullError if `owner` cannot have so many more now."""
        with self._changing:
            self._check(owner, size_bytes)

    @contextmanager
    def reserved(self, owner: str, size_bytes: int) -> Iterator[Reservation]:
        """Hold `size_bytes`, or a third of all if that is less, while the block runs.

        Raises:
            MemoryFullError: `owner` cannot have so many now.
        """
        with self._changing:
            taken = self._check(owner, size_bytes)
            self._held[owner] += taken
        reservation = Reservation(self, owner, taken)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def give_back(self, owner: str, size_bytes: int) -> None:
        with self._changing:
            self._held[owner] -= size_bytes
            self._held = +self._held  # without the owners that have none

    def _check(self, owner: str, size_bytes: int) -> int:
        wanted = min(size_bytes, self._total_bytes // 3)
        left_bytes = self._total_bytes - self._held.total() - wanted
        if self._held[owner] + wanted > left_bytes:
            raise MemoryFullError(size_bytes)
        return wanted
