"""The end of a prediction, as its stream of events tells it."""

from __future__ import annotations

import json

from toccata.server.sse import EventLog
from toccata.server.store import SUCCEEDED, Prediction
from toccata.server.views import Address, prediction_json


def tell_end(events: EventLog, prediction: Prediction, data: str | None) -> None:
    """The last events: what was made or what went wrong, and that it is over.

    data: the output as a data URI, if it is given as one.
    """
    if prediction.status == SUCCEEDED:
        shown = prediction_json(prediction, Address(prediction.base), data)
        events.add("output", shown["output"] or "")
        events.add("done", "{}")
    elif prediction.error is not None:
        events.add("error", json.dumps({"detail": prediction.error}))
        events.add("done", json.dumps({"reason": "error"}))
    else:
        events.add("done", json.dumps({"reason": "canceled"}))


def told_again(prediction: Prediction, data: str | None) -> EventLog:
    """All events of one that has ended."""
    events = EventLog()
    if prediction.logs:
        events.add("logs", prediction.logs)
    tell_end(events, prediction, data)
    return events
