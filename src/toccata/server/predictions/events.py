"""Server-sent events of a prediction, which each reader can replay.

Replicate's Python client sets the rules: every event has an id, there are no other event names
than four, and a comment must come before its 30 s of patience are over.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

from toccata.server.storage.repository import SUCCEEDED, Prediction
from toccata.server.views import Address, Output, without_paths

EVENTS = ("output", "logs", "error", "done")
KEEP_ALIVE = b":\n\n"
KEEP_ALIVE_S = 10.0  # at least every 15 s is promised
MAX_EVENTS = 10_000

_EVENT_ID = re.compile("([0-9]{1,15}):([0-9]{1,15})")


def frame(event: str, data: str, event_id: str) -> bytes:
    """One event as it is sent; every line end in `data` arrives as \\n."""
    _check(event)
    if not _EVENT_ID.fullmatch(event_id):
        raise ValueError(f"{event_id!r} is not <unix seconds>:<n>")
    lines = [f"event: {event}", f"id: {event_id}"]
    lines += [f"data: {line}" for line in _lines(data)]
    # Half a surrogate pair, which a prompt may hold, cannot be sent.
    return "\n".join([*lines, "", ""]).encode(errors="replace")


def _lines(data: str) -> list[str]:
    """`data` split at its line ends; the last line is what is behind the last of them.

    The standard ends lines at \\r\\n, \\n and \\r. Clients built on str.splitlines end them at
    others too, so that these could start a field there.
    """
    *lines, last = f"{data}.".splitlines()
    return [*lines, last[:-1]]


@dataclass(frozen=True)
class _Event:
    number: int
    time_s: int
    name: str
    data: str

    @cached_property
    def frame(self) -> bytes:
        """The same bytes for all readers: a data URI is megabytes long."""
        return frame(self.name, self.data, f"{self.time_s}:{self.number}")


class EventLog:
    """The events of one prediction, for any number of readers. Used from one event loop.

    Data of `logs` are pieces of a text, with the line ends it has: if there are more than
    most_events, old pieces are put together. now: Unix time.
    """

    def __init__(self, most_events: int = MAX_EVENTS, now: Callable[[], float] = time.time) -> None:
        self._most_events = most_events
        self._now = now
        self._born_s = int(now())
        self._kept: list[_Event] = []
        self._count = 0
        self._done = False
        self._changed = asyncio.Event()

    def add(self, event: str, data: str) -> None:
        """Append an event, one of EVENTS; what comes after `done` is ignored."""
        _check(event)
        if self._done:
            return
        if len(self._kept) >= self._most_events:
            self._make_room()
        self._kept.append(_Event(self._count, int(self._now()), event, data))
        self._count += 1
        self._done = event == "done"
        self._changed.set()
        self._changed = asyncio.Event()

    def encode(self) -> None:
        """Do what `frames` would do later, in a thread if that may take a while."""
        for event in self._kept:
            _ = event.frame

    async def frames(
        self, after: str | None = None, *, keep_alive_s: float = KEEP_ALIVE_S
    ) -> AsyncIterator[bytes]:
        """All events, or those after the one with the id `after`, as they come; ends after `done`.

        An `after` that this log did not give replays everything. Merged logs have the id of their
        last piece, so that a reader who comes back after a gap may see text again, but misses none.
        """
        seen = self._number_of(after)
        while True:
            changed = self._changed
            for event in self._kept[bisect_right(self._kept, seen, key=attrgetter("number")) :]:
                yield event.frame
                seen = event.number
            if seen == self._count - 1 and self._done:
                return
            if not await _within(changed, keep_alive_s):
                yield KEEP_ALIVE

    def _number_of(self, event_id: str | None) -> int:
        """Of the event with this id; -1 if this log cannot have given it."""
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is None:
            return -1
        time_s, number = int(match[1]), int(match[2])
        return number if time_s >= self._born_s and number < self._count else -1

    def _make_room(self) -> None:
        """Merge the logs of the older half; if there are none to merge, forget the oldest event."""
        half = self._most_events // 2
        old, new = self._kept[:half], self._kept[half:]
        logs = [event for event in old if event.name == "logs"]
        if len(logs) < 2:
            self._kept = self._kept[1:]
            return
        merged = replace(logs[-1], data="".join(event.data for event in logs))
        others = [event for event in old if event.name != "logs"]
        self._kept = sorted([*others, merged], key=attrgetter("number")) + new


def _check(event: str) -> None:
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not one of {', '.join(EVENTS)}")


async def _within(changed: asyncio.Event, most_s: float) -> bool:
    """Whether it is set within most_s."""
    try:
        async with asyncio.timeout(most_s):
            return await changed.wait()
    except TimeoutError:
        return False


def tell_end(events: EventLog, prediction: Prediction, data: Output | None) -> None:
    """The last events: what was made or what went wrong, and that it is over.

    data: the output as data URIs, if it is given so. Of several variations each is an output.
    """
    if prediction.status == SUCCEEDED:
        output = data or Address(prediction.base).output(prediction) or ""
        for uri in output if isinstance(output, list) else [output]:
            events.add("output", uri)
        events.add("done", "{}")
    elif prediction.error is not None:
        events.add("error", json.dumps({"detail": without_paths(prediction.error)}))
        events.add("done", json.dumps({"reason": "error"}))
    else:
        events.add("done", json.dumps({"reason": "canceled"}))


def told_again(prediction: Prediction, data: Output | None) -> EventLog:
    """All events of one that has ended."""
    events = EventLog()
    if prediction.logs:
        events.add("logs", prediction.logs)
    tell_end(events, prediction, data)
    return events
