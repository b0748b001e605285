"""The queue: which predictions wait, which have a slot, and which are quarantined.

    waits for its audio -> is ready -> has a slot -> is dispatched to the worker -> runs -> leaves

Slots are shared fairly. The owner with the fewest slots is first, and among its predictions the one
that waits longest. Long pieces leave some slots free, so that a short one never waits for hours:
nobody waits for a slot that a long piece has. Several variations run on as many slots as the long
pieces leave, and those that wait for long pieces to end are passed by others.

When the worker dies, the predictions that it had are first in the queue again. If one of them can
have caused the death: had one run, that one is to blame; had several run, each of them is
quarantined: it runs alone from then on, so that none is blamed for what another does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

WAITING, DISPATCHED, RUNNING = range(3)
# One slot of so many is kept for short pieces.
SHORT_SHARE = 4
MAX_FETCHES = 64
MAX_FETCHES_PER_OWNER = 16  # those that are here and wait for a slot included


@dataclass(frozen=True)
class LostPredictions:
    """The predictions that a dead worker had.

    Attributes:
        ids: All of them, in the order in which it got them.
        poison: The one that must have caused the death, because no other ran.
        ran: Those that ran, if one of them can have been the cause.
    """

    ids: tuple[str, ...]
    poison: str | None = None
    ran: tuple[str, ...] = ()


@dataclass(frozen=True)
class QueueEntry:
    """What the queue knows of a prediction.

    Args:
        owner: The client that created it.
        width: The number of slots that it takes at most, one for each variation.
        is_long: Whether it keeps its slots for long.
        fetches: Whether its audio must be fetched before it is ready.
        quarantined: Whether it runs alone.
    """

    owner: str = ""
    width: int = 1
    is_long: bool = False
    fetches: bool = False
    quarantined: bool = False


class PredictionQueue:
    """The queue of predictions, by id.

    Args:
        slots: The number of slots of the worker.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._places: dict[str, QueueEntry] = {}
        self._waiting: dict[str, None] = {}  # in order
        self._ready: set[str] = set()
        self._preparing: set[str] = set()
        self._held: dict[str, int] = {}  # those with a slot, and how far they are
        self._widths: dict[str, int] = {}  # of those, the number of slots
        self._quarantined: set[str] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        return len(self._held)

    @property
    def slots_left(self) -> int:
        """How many slots are free, those that wait for one counted as if they had it."""
        waiting = sum(self._places[one].width for one in self._waiting)
        return max(0, self._slots - self._used() - waiting)

    @property
    def long_slots(self) -> int:
        """How many slots long pieces may take together."""
        return max(1, self._slots - max(1, self._slots // SHORT_SHARE))

    def waiting_of(self, owner: str) -> int:
        return sum(self._places[one].owner == owner for one in self._waiting)

    def join(self, prediction_id: str, place: QueueEntry | None = None) -> None:
        """Queue a prediction last; it is not ready yet."""
        place = place or QueueEntry()
        self._places[prediction_id] = place
        self._waiting[prediction_id] = None
        if place.quarantined:
            self.quarantine(prediction_id)

    def quarantine(self, prediction_id: str) -> None:
        """Run a prediction alone from now on."""
        self._quarantined.add(prediction_id)

    def prepare_next(self) -> str | None:
        """The prediction to prepare next, if any: owners in turn, and not too many at once."""
        ahead = self._ready | self._preparing
        pending = [one for one in self._waiting if one not in ahead]
        fetched = [one for one in ahead if self._places[one].fetches]
        per_owner = Counter(self._places[one].owner for one in fetched)
        room = sum(one in self._preparing for one in fetched) < MAX_FETCHES
        able = [one for one in pending if self._may_prepare(one, room, per_owner)]
        first = min(able, key=lambda one: self._turn_to_fetch(one, per_owner), default=None)
        if first is not None:
            self._preparing.add(first)
        return first

    def make_ready(self, prediction_id: str) -> None:
        """Mark a prediction as prepared: it may have a slot."""
        self._preparing.discard(prediction_id)
        if prediction_id in self._waiting:
            self._ready.add(prediction_id)

    def acquire(self) -> str | None:
        """Give a slot to the next prediction; None: none is ready, or no slot is free."""
        held = Counter[str]()
        for one in self._held:
            held[self._places[one].owner] += self._widths[one]
        ready = [one for one in self._waiting if one in self._ready]
        for one in sorted(ready, key=lambda one: held[self._places[one].owner]):
            if not self._waits_for_long(one):
                return self._take(one) if self._fits(one) else None
        return None

    def width_of(self, prediction_id: str) -> int:
        """The number of slots of one that has some."""
        return self._widths[prediction_id]

    def dispatch(self, prediction_id: str) -> None:
        """Mark a prediction as given to the worker."""
        self._held[prediction_id] = DISPATCHED

    def begin(self, prediction_id: str) -> None:
        """Mark a prediction as running."""
        if prediction_id in self._held:
            self._held[prediction_id] = RUNNING

    def leave(self, prediction_id: str) -> None:
        """Remove a prediction."""
        self._waiting.pop(prediction_id, None)
        self._held.pop(prediction_id, None)
        self._widths.pop(prediction_id, None)
        self._places.pop(prediction_id, None)
        for some in (self._ready, self._preparing, self._quarantined):
            some.discard(prediction_id)

    def requeue(self, prediction_id: str, *, is_ready: bool = True) -> None:
        """Take its slot, and queue it first.

        Args:
            prediction_id: The prediction.
            is_ready: Whether it may have a slot again at once; otherwise after `make_ready`.
        """
        del self._held[prediction_id], self._widths[prediction_id]
        self._waiting = {prediction_id: None, **self._waiting}
        (self._ready if is_ready else self._preparing).add(prediction_id)

    def lose(self, suspect: bool = True) -> LostPredictions:
        """Requeue all predictions of a worker that died, in the order in which it got them.

        Args:
            suspect: Whether one of those that ran can have been the cause.
        """
        lost = [one for one, phase in self._held.items() if phase != WAITING]
        ran = [one for one in lost if suspect and self._held[one] == RUNNING]
        for prediction_id in reversed(lost):
            self.requeue(prediction_id)
        poison = ran[0] if len(ran) == 1 else None
        return LostPredictions(tuple(lost), poison, tuple(ran))

    def has_slot(self, prediction_id: str) -> bool:
        return prediction_id in self._held

    def _take(self, prediction_id: str) -> str:
        del self._waiting[prediction_id]
        self._ready.discard(prediction_id)
        self._widths[prediction_id] = self._free_width(prediction_id)
        self._held[prediction_id] = WAITING
        return prediction_id

    def _may_prepare(self, prediction_id: str, room: bool, per_owner: Counter[str]) -> bool:
        place = self._places[prediction_id]
        return not place.fetches or (room and per_owner[place.owner] < MAX_FETCHES_PER_OWNER)

    def _turn_to_fetch(self, prediction_id: str, per_owner: Counter[str]) -> tuple[bool, int]:
        place = self._places[prediction_id]
        return place.fetches, per_owner[place.owner] if place.fetches else 0

    def _waits_for_long(self, prediction_id: str) -> bool:
        """Whether it waits for a long piece to end, so that others pass it.

        No long one passes one in quarantine, which would never run alone otherwise.
        """
        long_slots = self._used_by_long()
        if prediction_id in self._quarantined:
            return long_slots > 0
        is_long = self._places[prediction_id].is_long
        is_too_many = 0 < long_slots >= self.long_slots
        return is_long and (is_too_many or not self._quarantined.isdisjoint(self._ready))

    def _free_width(self, prediction_id: str) -> int:
        """The number of slots that it would take now: not those that long pieces have."""
        place = self._places[prediction_id]
        limit = self.long_slots if place.is_long else self._slots
        return min(place.width, max(1, limit - self._used_by_long()))

    def _fits(self, prediction_id: str) -> bool:
        alone = prediction_id in self._quarantined or not self._quarantined.isdisjoint(self._held)
        if alone or not self._held:
            return not self._held
        return self._used() + self._free_width(prediction_id) <= self._slots

    def _used(self) -> int:
        return sum(self._widths.values())

    def _used_by_long(self) -> int:
        return sum(self._widths[one] for one in self._held if self._places[one].is_long)
