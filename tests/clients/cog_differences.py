"""Where our Cog API says another thing than a container, place by place, and why.

We follow the old runtime, which is of the time of the hosted model: it says all that the new one
says, and converts what the new one refuses. What the new one added, we have where it harms nobody:
an id for every prediction, audio/wav, 503 before it is ready, 406 for who wants events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from unittest.mock import ANY

from tests.clients.cog_runtimes import NEW, OLD

ABSENT = "absent"
DONE = "sync|sync without an id|wait|all defaults|unknown names|put"
FAILED = "failed|no inputs|audio that cannot be had"
UNNAMED = "sync without an id|no inputs|audio that cannot be had"
BUSY = "one too many|put of another"
NOWHERE = "get|another method|another path"
OUR_ID = "26 letters and digits"
UNREACHABLE = (
    "HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /a.wav "
    "(Caused by NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=1): "
    'Failed to establish a new connection: [Errno 111] Connection refused"))'
)
NOT_PUBLIC = "'http://127.0.0.1:1/a.wav': its host is not on the public internet; give one that is"


Row = tuple[str, str, Any, Any, str]


class Difference(NamedTuple):
    """`questions` and `places` are patterns; `theirs` and `ours` is what is said there."""

    questions: str
    places: str
    theirs: Any
    ours: Any
    why: str

    def explains(self, question: str, place: str, theirs: Any, ours: Any) -> bool:
        is_there = re.fullmatch(self.questions, question) and re.fullmatch(self.places, place)
        return bool(is_there) and (self.theirs, self.ours) == (theirs, ours)


_NOT_HEEDED = "a container tells what it was told; ours says when it was created"
_KEPT = "a container may have none; ours is kept, and needs one"
_REGISTERED = "audio/wav is the type that is registered with players; the new one says it too"
_NEWER = "what the new one says is added"
_ALL_EVENTS = "the list is checked as one"
_ADDRESS = "one type and one text for all that is wrong with an address"
_PROBLEM = "a problem, as at the other API"

_OLD: tuple[Row, ...] = (
    (f"{DONE}|{FAILED}|coerced|null.*|async|put.*", "body.created_at", None, "a time", _NOT_HEEDED),
    ("async", "body.started_at", "a time", None, "ours is written down, then started"),
    (UNNAMED, "body.id", None, OUR_ID, _KEPT),
    (".*", "body.output.kind", "data:audio/x-wav;base64", "data:audio/wav;base64", _REGISTERED),
    ("events", "status", 200, 406, "who wants events is told that there are none"),
    ("events", "body.*", ANY, ANY, "who wants events is told that there are none"),
    (BUSY, "body.error", ABSENT, "At capacity - all prediction slots busy", _NEWER),
    (BUSY, "body.status", ABSENT, "failed", _NEWER),
    ("failed", "body.metrics", None, ABSENT, _NEWER),
    ("failed", "body.metrics.predict_time", ABSENT, "float", _NEWER),
    ("audio that cannot be had", "body.error", UNREACHABLE, NOT_PUBLIC, "it is looked at first"),
    (
        "audio that cannot be had|no inputs",
        "body.started_at",
        "a time",
        None,
        "it is found before a start",
    ),
    ("no JSON", "body.detail.body/8.ctx.error", "Expecting ':' delimiter", ABSENT, "not repeated"),
    ("no JSON", "body.detail.body/8.input", {}, ABSENT, "not repeated"),
    (
        "not an address",
        "body.detail.body/input/input_audio.msg",
        "'' is not a valid URL scheme. 'data', 'http', or 'https' is supported.",
        "only http, https and data URIs are supported",
        "other words",
    ),
    (
        "unknown event",
        "body.detail.order",
        "body/webhook_events_filter/0",
        "body/webhook_events_filter",
        _ALL_EVENTS,
    ),
    ("unknown event", "body.detail.body/webhook_events_filter/0.*", ANY, ABSENT, _ALL_EVENTS),
    ("unknown event", "body.detail.body/webhook_events_filter.*", ABSENT, ANY, _ALL_EVENTS),
    (
        "webhook without a scheme",
        "body.detail.body/webhook.msg",
        "invalid or missing URL scheme",
        "'nowhere': is neither http nor https; give an address that is",
        _ADDRESS,
    ),
    (
        "webhook without a scheme",
        "body.detail.body/webhook.type",
        "value_error.url.scheme",
        "value_error.url",
        _ADDRESS,
    ),
    ("get|another method", "body.status", ABSENT, 405, _PROBLEM),
    ("another path", "body.status", ABSENT, 404, _PROBLEM),
)

_SUPERSET = "ours says all that the old one does"
_OWN_NAME = "each names what nobody named in its own way"
_STRICT = "the new one converts nothing; ours does, as the old one"
_LENIENT = "the new one does not look at addresses; ours does, as the old one"
_PLAIN = "the new one answers in plain text what it cannot read; ours in JSON, as the old one"
_WORDS = "ours uses the words of the old one"
_INVALID = "null for what has one|no .*|out of range|not .*|inputs that are none"


def _words(question: str, name: str, theirs: str) -> Row:
    return question, f"body.detail.body/input/{name}.msg", theirs, ANY, _WORDS


_NEW: tuple[Row, ...] = (
    ("index", "body.cog_version", "0.23.1", "0.16.12", "it is the one that ours follows"),
    ("ready|busy|after it", "body.version.*", ANY, ABSENT, "what it consists of is ours to know"),
    (
        f"{DONE}|{FAILED}|async|put while it runs",
        "body.(input.*|version|(created|started|completed)_at)",
        ABSENT,
        ANY,
        _SUPERSET,
    ),
    (f"{DONE}|async|put while it runs", "body.error", ABSENT, None, _SUPERSET),
    (f"{FAILED}|async|put while it runs", "body.output", ABSENT, None, _SUPERSET),
    ("async", "body.logs", ABSENT, "a text", _SUPERSET),
    ("async", "body.metrics", ABSENT, None, _SUPERSET),
    ("async", "body.status", "starting", "processing", "the old one says so, and it is true"),
    ("put while it runs", "body.metrics", {}, None, _SUPERSET),
    (UNNAMED, "body.id", "pred_ and 16 digits", OUR_ID, _OWN_NAME),
    (BUSY, "body.detail", ABSENT, "Already running a prediction", _SUPERSET),
    (
        "events",
        "body.error",
        "This model does not support streaming responses. "
        "Add @cog.streaming to predict() to enable SSE.",
        "it answers in JSON only",
        "whoever asks has no predictor to change",
    ),
    ("events", "body.detail", ABSENT, "This model does not stream", "as with all refusals"),
    ("events", "body.status", ABSENT, "failed", "as with all refusals"),
    (
        "failed",
        "body.error",
        "Prediction failed: Prediction failed: ValueError: prompt: it says fail",
        "prompt: it says fail",
        _WORDS,
    ),
    (
        "no inputs",
        "body.error",
        "Prediction failed: Prediction failed: ValueError: "
        "prompt is missing; give a prompt, input_audio or both",
        "prompt is missing; give a prompt, input_audio or both",
        _WORDS,
    ),
    (
        "audio that cannot be had",
        "body.error",
        f"Input validation error: {UNREACHABLE}",
        NOT_PUBLIC,
        "it is looked at first",
    ),
    ("audio.*|no inputs", "body.metrics", ABSENT, None, "it never started"),
    ("audio.*|no inputs", "body.metrics.predict_time", "float", ABSENT, "it never started"),
    ("coerced|null for what has no default", "status", 422, 200, _STRICT),
    ("coerced|null for what has no default", "body.*", ANY, ANY, _STRICT),
    ("not an address|webhook without a scheme", "status", 200, 422, _LENIENT),
    ("not an address|webhook without a scheme", "body.*", ANY, ANY, _LENIENT),
    (_INVALID, "body.detail.body/input/.*.type", "value_error", ANY, "one type for all"),
    (_INVALID, "body.detail.body/input/.*.ctx.*", ABSENT, ANY, _SUPERSET),
    _words("null for what has one", "duration", 'null is not of type "integer"'),
    _words("no number", "duration", '"long" is not of type "integer"'),
    _words("no number", "temperature", '"hot" is not of type "number"'),
    _words("out of range", "duration", "31 is greater than the maximum of 30.0"),
    _words("out of range", "continuation_start", "-1 is less than the minimum of 0.0"),
    _words("not a choice", "output_format", '"ogg" is not one of ["wav","mp3"]'),
    _words("not true or false", "continuation", '"perhaps" is not of type "boolean"'),
    _words("not a text", "prompt", '["piano"] is not of type "string"'),
    (
        "out of range",
        "body.detail.order",
        "body/input/continuation_start body/input/duration",
        "body/input/duration body/input/continuation_start",
        "ours in the order of the inputs, as the old one; the new one by name",
    ),
    ("inputs that are none", "body.detail.*", ANY, ANY, "it names the whole __root__"),
    ("no JSON", "status", 400, 422, _PLAIN),
    ("no JSON|no object|unknown event", "body", ANY, ABSENT, _PLAIN),
    ("no JSON|no object|unknown event", "body.detail.*", ABSENT, ANY, _PLAIN),
    (NOWHERE, "body", "", ABSENT, _PROBLEM),
    (NOWHERE, "body.*", ABSENT, ANY, _PROBLEM),
)

DIFFERENCES: Mapping[str, tuple[Difference, ...]] = {
    OLD: tuple(Difference(*row) for row in _OLD),
    NEW: tuple(Difference(*row) for row in _NEW),
}
