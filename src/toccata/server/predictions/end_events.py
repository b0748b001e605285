"""The events that end the event stream of a prediction."""

from __future__ import annotations

import json

from toccata.server.predictions.events import EventLog
from toccata.server.storage.repository import SUCCEEDED, Prediction
from toccata.server.views import Address, Output, without_paths


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
