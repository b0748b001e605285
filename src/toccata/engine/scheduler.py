"""The scheduler: which requests have a slot, are prefilled or are stepped.

Waiting requests get slots in order of arrival, the lowest free slot first, which keeps the rows in
use together. One request at a time is prefilled, in the order in which they asked, so that a long
prompt delays the others by one chunk per step and no more.
"""

from __future__ import annotations

import heapq
from collections import deque

from toccata.engine.sequence import Sequence


class Scheduler:
    """`holders` have a slot. `running` is ordered by slot, and a new list with every change."""

    def __init__(self, slots: int) -> None:
        self._free = list(range(slots))
        self._waiting: deque[Sequence] = deque()
        self._prefilling: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.holders: list[Sequence] = []

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._prefilling or self.running)

    @property
    def everybody(self) -> list[Sequence]:
        """Those who have a slot and those who wait for one."""
        return [*self.holders, *self._waiting]

    def add(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Give free slots to those who wait; returns those who got one."""
        admitted = []
        while self._waiting and self._free:
            sequence = self._waiting.popleft()
            sequence.slot = heapq.heappop(self._free)
            admitted.append(sequence)
        self.holders += admitted
        return admitted

    def next_to_prefill(self) -> Sequence | None:
        return self._prefilling[0] if self._prefilling else None

    def prefill(self, sequence: Sequence) -> None:
        """A new window was opened: queue it for prefill."""
        self._leave(sequence)
        self._prefilling.append(sequence)

    def run(self, sequence: Sequence) -> None:
        """Its prefill is done: step it from now on."""
        self._leave(sequence)
        self.running = sorted([*self.running, sequence], key=lambda member: member.slot)

    def remove(self, sequence: Sequence) -> None:
        """Forget it, wherever it is; its slot is free again. Unknown sequences are ignored."""
        self._leave(sequence)
        if sequence.slot >= 0:
            self.holders.remove(sequence)
            heapq.heappush(self._free, sequence.slot)
            sequence.slot = -1

    def _leave(self, sequence: Sequence) -> None:
        for queue in (self._waiting, self._prefilling):
            if sequence in queue:
                queue.remove(sequence)
        if sequence in self.running:
            self.running = [member for member in self.running if member is not sequence]
