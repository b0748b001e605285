"""Whose turn it is: who waits for the worker, who has a slot of it, and who killed it.

    waits -> has a slot: getting ready -> given to the worker -> begun by it -> gone

When the worker dies, those that it had are first in line again. Had it begun just one, that one
is to blame. Had it begun several, each of them is a suspect from then on, and made alone: that
way none is blamed for what another does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

GETTING_READY, GIVEN, BEGUN = range(3)


@dataclass(frozen=True)
class Lost:
    """What a dead worker had. killer: the one that it was making, if it was making no other."""

    ids: tuple[str, ...]
    killer: str | None


class Line:
    """Predictions by id. `slots` is how many the worker makes at once."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._held: dict[str, int] = {}  # who has a slot, and how far it is
        self._widths: dict[str, int] = {}  # of those that take more than one slot
        self._suspects: set[str] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        return self._used >= self._slots

    def join(self, prediction_id: str, suspect: bool = False, width: int = 1) -> None:
        """At the end of the line. suspect: it has killed a worker before. width: how many slots it
        takes, if there are as many.
        """
        self._waiting[prediction_id] = None
        if width > 1:
            self._widths[prediction_id] = width
        if suspect:
            self._suspects.add(prediction_id)

    def call(self) -> str | None:
        """Who waits longest, and has a slot from now on; None: nobody, or there is no slot."""
        first = next(iter(self._waiting), None)
        if first is None or not self._fits(first):
            return None
        del self._waiting[first]
        self._held[first] = GETTING_READY
        return first

    def give(self, prediction_id: str) -> None:
        """The worker has been told to make it."""
        self._held[prediction_id] = GIVEN

    def begin(self, prediction_id: str) -> None:
        """The worker makes it now."""
        if prediction_id in self._held:
            self._held[prediction_id] = BEGUN

    def leave(self, prediction_id: str) -> None:
        """It neither waits nor has a slot any more."""
        self._waiting.pop(prediction_id, None)
        self._held.pop(prediction_id, None)
        self._suspects.discard(prediction_id)
        self._widths.pop(prediction_id, None)

    def give_back(self, prediction_id: str) -> None:
        """It has no slot any more, and is first in line."""
        del self._held[prediction_id]
        self._waiting[prediction_id] = None
        self._waiting.move_to_end(prediction_id, last=False)

    def lose(self) -> Lost:
        """The worker died: all that it had are first in line, in the order in which it got them."""
        lost = [one for one, phase in self._held.items() if phase != GETTING_READY]
        begun = [one for one in lost if self._held[one] == BEGUN]
        for prediction_id in reversed(lost):
            self.give_back(prediction_id)
        self._suspects.update(begun)
        return Lost(tuple(lost), begun[0] if len(begun) == 1 else None)

    def has_slot(self, prediction_id: str) -> bool:
        return prediction_id in self._held

    def with_worker(self, prediction_id: str) -> bool:
        return self._held.get(prediction_id, GETTING_READY) != GETTING_READY

    def _fits(self, prediction_id: str) -> bool:
        alone = prediction_id in self._suspects or not self._suspects.isdisjoint(self._held)
        if alone or not self._held:
            return not self._held
        return self._used + self._widths.get(prediction_id, 1) <= self._slots

    @property
    def _used(self) -> int:
        return sum(self._widths.get(one, 1) for one in self._held)
