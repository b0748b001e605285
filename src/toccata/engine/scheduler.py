"""The scheduler: which requests wait, are prefilled, or are in the batch.

Waiting requests get slots in order of arrival, the lowest free slot first, which keeps the rows in
use adjacent. One request at a time is prefilled, in order of arrival, so that a long prompt delays
the others by one chunk per step at most.
"""

from __future__ import annotations

import heapq
from collections import deque

from toccata.engine.sequence import Sequence


class Scheduler:
    """The requests of an engine by state.

    Args:
        slots: How many requests can have a slot.

    Attributes:
        holders: The requests that have a slot.
        running: The requests in the batch, ordered by slot; replaced by a new list at each change.
    """

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
    def unfinished(self) -> list[Sequence]:
        """The requests that have a slot and those that wait for one."""
        return [*self.holders, *self._waiting]

    def add(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Assign free slots to waiting requests, and return the requests that got one."""
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
        """Queue a request, whose new window was opened, for prefill."""
        self._leave(sequence)
        self._prefilling.append(sequence)

    def run(self, sequence: Sequence) -> None:
        """Add a request whose prefill is done to the batch."""
        self._leave(sequence)
        self.running = sorted([*self.running, sequence], key=lambda member: member.slot)

    def remove(self, sequence: Sequence) -> None:
        """Remove a request in any state and free its slot; unknown requests are ignored."""
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
