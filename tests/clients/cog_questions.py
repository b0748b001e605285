"""What is asked of servers of the Cog API, and what they said, put so that it can be compared."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import soundfile

from tests.clients.conftest import TIMEOUT_S

JSON = {"Content-Type": "application/json"}
ASYNC = {**JSON, "Prefer": "respond-async"}
PIANO = {"prompt": "piano", "duration": 1}
SLOW = {"prompt": "slow 60", "duration": 1}

Said = dict[str, Any]  # flat: "status", "body.detail.order" and so on -> what is there


def _post(given: Any, **more: Any) -> Said:
    return {"method": "POST", "url": "/predictions", "json": {"input": given, **more}}


def _text(text: str) -> Said:
    return {"method": "POST", "url": "/predictions", "content": text, "headers": JSON}


def _put(name: str, **more: Any) -> Said:
    return {"method": "PUT", "url": f"/predictions/{name}", "json": {"input": PIANO, **more}}


# What is asked, in this order. "when" is the state of health to wait for first, READY if not said:
# the new runtime says how a prediction ended a moment before it can take another one.
QUESTIONS: Mapping[str, Said] = {
    "index": {"method": "GET", "url": "/"},
    "ready": {"method": "GET", "url": "/health-check"},
    "sync": _post(PIANO, id="first"),
    "sync without an id": _post(PIANO),
    "wait": {**_post(PIANO, id="wait"), "headers": {"Prefer": "wait"}},
    "events": {**_post(PIANO, id="events"), "headers": {"Accept": "text/event-stream"}},
    "all defaults": _post({"prompt": "x"}, id="defaults"),
    "no inputs": {"method": "POST", "url": "/predictions"},
    "unknown names": _post({**PIANO, "tempo": 1}, id="unknown", colour="red"),
    "coerced": _post(
        {"prompt": 12, "duration": "2", "top_k": 1.5, "continuation": "no", "top_p": "0.5"},
        id="coerced",
    ),
    "null for what has no default": _post({**PIANO, "seed": None}, id="null"),
    "null for what has one": _post({**PIANO, "duration": None}),
    "no number": _post({**PIANO, "duration": "long", "temperature": "hot"}),
    "out of range": _post({**PIANO, "duration": 31, "continuation_start": -1}),
    "not a choice": _post({**PIANO, "output_format": "ogg"}),
    "not true or false": _post({**PIANO, "continuation": "perhaps"}),
    "not a text": _post({**PIANO, "prompt": ["piano"]}),
    "not an address": _post({**PIANO, "input_audio": "notaurl"}),
    "inputs that are none": _post(3),
    "no JSON": _text('{"input"'),
    "no object": _text("[1]"),
    "unknown event": _post(PIANO, webhook="https://example.org/", webhook_events_filter=["x"]),
    "webhook without a scheme": _post(PIANO, webhook="nowhere"),
    "failed": _post({**PIANO, "prompt": "fail"}, id="failed"),
    "audio that cannot be had": _post({**PIANO, "input_audio": "http://127.0.0.1:1/a.wav"}),
    "other id than in the address": _put("one", id="two"),
    "put": _put("put"),
    "async": {**_post(SLOW, id="slow"), "headers": ASYNC},
    "busy": {"method": "GET", "url": "/health-check", "when": "BUSY"},
    "one too many": {**_post(PIANO), "when": "BUSY"},
    "put while it runs": {**_put("slow"), "when": "BUSY"},
    "put of another": {**_put("other"), "when": "BUSY"},
    "cancel": {"method": "POST", "url": "/predictions/slow/cancel", "when": "BUSY"},
    "after it": {"method": "GET", "url": "/health-check"},
    "cancel again": {"method": "POST", "url": "/predictions/slow/cancel"},
    "cancel what is not there": {"method": "POST", "url": "/predictions/none/cancel"},
    "get": {"method": "GET", "url": "/predictions/first"},
    "another method": {"method": "DELETE", "url": "/predictions"},
    "another path": {"method": "GET", "url": "/nothing"},
}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_ID_FORMS = {
    "26 letters and digits": re.compile("[a-z2-7]{26}"),
    "pred_ and 16 digits": re.compile("pred_[0-9a-f]{16}"),
}


def conversation(client: httpx2.Client) -> dict[str, Said]:
    """What it says to each of the questions."""
    return {name: _ask(client, **question) for name, question in QUESTIONS.items()}


def until(client: httpx2.Client, state: str) -> None:
    """Until its health is that."""
    ends_s = time.monotonic() + TIMEOUT_S
    while _health(client) != state:
        assert time.monotonic() < ends_s, f"it does not become {state}"
        time.sleep(0.05)


def _ask(client: httpx2.Client, when: str = "READY", **question: Any) -> Said:
    until(client, when)
    answer = client.request(**question)
    while question["method"] == "PUT" and _is_about_to_start(answer):
        time.sleep(0.05)
        answer = client.request(**question)
    return {"status": answer.status_code, **dict(_flat("body", _body(answer)))}


def _is_about_to_start(answer: httpx2.Response) -> bool:
    shown = answer.json() if answer.status_code == 202 else {}
    return shown.get("status") == "starting" or shown.get("started_at", "") is None


def _body(answer: httpx2.Response) -> Any:
    is_json = answer.headers.get("content-type", "").endswith("json")
    return answer.json() if is_json else answer.text


def _health(client: httpx2.Client) -> str:
    try:
        return str(client.get("/health-check").json()["status"])
    except httpx2.TransportError:
        return "not there yet"


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf, with what differs from time to time put in words. What is wrong with an input is
    named by the input; the order in which it is told is a leaf of its own.
    """
    if place == "body.detail" and isinstance(value, list):
        problems = {"/".join(map(str, each.pop("loc"))): each for each in value}
        yield from _flat(place, {"order": " ".join(problems), **problems})
    elif place == "body.output" and isinstance(value, str):
        kind, _, data = value.partition(",")
        yield from _flat(place, {"kind": kind, "audio": _heard(data)})
    elif isinstance(value, dict | list) and value:
        inner = value if isinstance(value, dict) else dict(enumerate(value))
        for name, each in inner.items():
            yield from _flat(f"{place}.{name}", each)
    else:
        yield place, _lasting(place, value)


def _lasting(place: str, value: Any) -> Any:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return "a time"
    if place == "body.id":
        return _form(value)
    if place == "body.metrics.predict_time":
        return type(value).__name__
    return "a text" if place.endswith("logs") and isinstance(value, str) else value


def _form(name: str | None) -> str | None:
    """How an id looks that the server has chosen; one that was given, as it is."""
    return next((form for form, each in _ID_FORMS.items() if each.fullmatch(name or "")), name)


def _heard(data: str) -> str:
    """What plays if one opens it."""
    with soundfile.SoundFile(io.BytesIO(base64.b64decode(data, validate=True))) as file:
        seconds = len(file.read()) / file.samplerate
        return f"{seconds} s of {file.format} {file.subtype}, {file.channels} channel"
