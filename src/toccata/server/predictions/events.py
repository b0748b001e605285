"""Server-sent events of a prediction, which each reader can replay.

Replicate's Python client requires that every event has an id, that its name is one of four, and
that an event or a comment arrives within its read timeout of 30 s.
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
KEEP_ALIVE_INTERVAL_S = 10.0  # the API documents 15 s
MAX_EVENTS = 10_000

_EVENT_ID = re.compile("([0-9]{1,15}):([0-9]{1,15})")


def frame(event: str, data: str, event_id: str) -> bytes:
    """Encode one event.

    Args:
        event: One of EVENTS.
        data: The text; the client gets every line end in it as \\n.
        event_id: <unix seconds>:<n>.

    Raises:
        ValueError: The name or the id is not valid.
    """
    _check(event)
    if not _EVENT_ID.fullmatch(event_id):
        raise ValueError(f"{event_id!r} is not <unix seconds>:<n>")
    lines = [f"event: {event}", f"id: {event_id}"]
    lines += [f"data: {line}" for line in _lines(data)]
    # Half a surrogate pair, which a prompt may hold, cannot be sent.
    return "\n".join([*lines, "", ""]).encode(errors="replace")


def _lines(data: str) -> list[str]:
    """Split a text at its line ends; the last line is the text after the last of them.

    The standard ends lines at \\r\\n, \\n and \\r. Clients that use str.splitlines end them at
    other characters too, where data could then start a field.
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
        """The encoded event, once for all readers: a data URI is megabytes long."""
        return frame(self.name, self.data, f"{self.time_s}:{self.number}")


class EventLog:
    """The events of one prediction, for any number of readers. It is used from one event loop.

    The data of `logs` events are pieces of one text, with its line ends, so that old ones can be
    merged.

    Args:
        max_events: The most events that are kept; beyond, the older half of the logs is merged.
        now: The clock, in seconds since 1970.
    """

    def __init__(self, max_events: int = MAX_EVENTS, now: Callable[[], float] = time.time) -> None:
        self._max_events = max_events
        self._now = now
        self._created_s = int(now())
        self._events: list[_Event] = []
        self._count = 0
        self._done = False
        self._changed = asyncio.Event()

    def add(self, event: str, data: str) -> None:
        """Append an event, one of EVENTS; an event after `done` is ignored."""
        _check(event)
        if self._done:
            return
        if len(self._events) >= self._max_events:
            self._merge_old()
        self._events.append(_Event(self._count, int(self._now()), event, data))
        self._count += 1
        self._done = event == "done"
        self._changed.set()
        self._changed = asyncio.Event()

    def encode(self) -> None:
        """Encode all events now, for example in a thread, and not when they are read."""
        for event in self._events:
            _ = event.frame

    async def frames(
        self, after: str | None = None, *, keep_alive_s: float = KEEP_ALIVE_INTERVAL_S
    ) -> AsyncIterator[bytes]:
        """Stream the encoded events, and comments while there are none, until `done`.

        Merged logs have the id of their last piece: a reader that reconnects may get text again,
        but misses none.

        Args:
            after: The id of the last event that the reader has; None, or an id that is not of this
                log: all events.
            keep_alive_s: The longest time without an event or a comment.
        """
        seen = self._number_of(after)
        while True:
            changed = self._changed
            for event in self._events[bisect_right(self._events, seen, key=attrgetter("number")) :]:
                yield event.frame
                seen = event.number
            if seen == self._count - 1 and self._done:
                return
            if not await _is_set_within(changed, keep_alive_s):
                yield KEEP_ALIVE

    def _number_of(self, event_id: str | None) -> int:
        """The number of the event with this id; -1 if the id is not of this log."""
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is None:
            return -1
        time_s, number = int(match[1]), int(match[2])
        return number if time_s >= self._created_s and number < self._count else -1

    def _merge_old(self) -> None:
        """Merge the logs of the older half; if there are none to merge, drop the oldest event."""
        half = self._max_events // 2
        old, new = self._events[:half], self._events[half:]
        logs = [event for event in old if event.name == "logs"]
        if len(logs) < 2:
            self._events = self._events[1:]
            return
        merged = replace(logs[-1], data="".join(event.data for event in logs))
        others = [event for event in old if event.name != "logs"]
        self._events = sorted([*others, merged], key=attrgetter("number")) + new


def _check(event: str) -> None:
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not one of {', '.join(EVENTS)}")


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False


def add_end(events: EventLog, prediction: Prediction, data: Output | None) -> None:
    """Add the last events of a prediction: its outputs or its error, and `done`.

    Args:
        events: The log to add them to.
        prediction: The prediction, which has ended.
        data: Its output as data URIs where URLs are not used; each variation is an output.
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


def ended_events(prediction: Prediction, data: Output | None) -> EventLog:
    """Make the events of a prediction that has ended, for `add_end`'s arguments."""
    events = EventLog()
    if prediction.logs:
        events.add("logs", prediction.logs)
    add_end(events, prediction, data)
    return events
