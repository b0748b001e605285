"""Read and check the body of a request to the Cog API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request

from toccata.errors import ToccataError
from toccata.server.api.dependencies import of_body
from toccata.server.api.replicate.validation import CogInvalid, Problem, coerce
from toccata.server.outbound import check_url, check_webhook
from toccata.server.strict_json import JsonError, read_json
from toccata.server.versions import VERSIONS, Version

# The version that the Cog API serves.
VERSION = VERSIONS["7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"]
EVENTS = ("start", "output", "logs", "completed")
# An id becomes the name of a folder.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class CogRefusal(Exception):
    """An error response; `body` is its JSON body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


@dataclass(frozen=True)
class PredictionRequest:
    """A checked request.

    Attributes:
        input: The values of all inputs.
        webhook_events: All four events if the request has no filter.
        output_prefix: The beginning of the URL that the output is uploaded to.
    """

    id: str | None
    input: Mapping[str, Any]
    webhook: str | None
    webhook_events: tuple[str, ...]
    output_prefix: str | None


async def json_object(request: Request) -> Mapping[str, Any]:
    """The body; empty if there is none. Raises CogRefusal if it is no JSON, or no object."""
    try:
        body = await of_body(request, lambda text: read_json(text or b"null"))
    except JsonError as error:
        raise _refused(["body", error.position], "JSON decode error", "json_invalid") from error
    if not isinstance(body, dict | None):
        raise _refused(["body"], "value is not a valid dict", "type_error.dict")
    return body or {}


def read_request(
    version: Version,
    body: Mapping[str, Any],
    path_id: str | None = None,
    *,
    allow_private: bool = False,
) -> PredictionRequest:
    """Check the body of a request.

    Args:
        version: The version that runs.
        body: The result of `json_object`.
        path_id: The id in the path of the request.
        allow_private: Whether a webhook may be on a private network.

    Raises:
        CogRefusal: With status 422 and every problem.
    """
    given: Mapping[str, Any] = {}
    problems: list[Problem] = []
    try:
        given = coerce(version, body.get("input"))
    except CogInvalid as invalid:
        problems += invalid.problems
    own_id, webhook, prefix = (
        _text(body, name) for name in ("id", "webhook", "output_file_prefix")
    )
    problems += [*_id_problems(own_id, path_id), *_event_problems(body)]
    check_hook = partial(check_webhook, allow_private=allow_private)
    problems += _url_problems("webhook", webhook, check_hook)
    problems += _url_problems("output_file_prefix", prefix, check_url)
    if problems:
        raise CogRefusal(422, CogInvalid(problems).to_detail())
    events = tuple(dict.fromkeys(body.get("webhook_events_filter") or EVENTS))
    return PredictionRequest(path_id or own_id, given, webhook, events, prefix)


def _refused(place: list[object], message: str, kind: str) -> CogRefusal:
    return CogRefusal(422, {"detail": [{"loc": place, "msg": message, "type": kind}]})


def _text(body: Mapping[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else str(body[name])


def _id_problems(own_id: str | None, path_id: str | None) -> list[Problem]:
    if path_id is not None and own_id not in (None, path_id):
        words = "prediction ID must match the ID supplied in the URL"
        return [Problem("value_error", "id", words)]
    chosen = own_id if path_id is None else path_id
    if chosen is None or _ID.fullmatch(chosen):
        return []
    words = "an id is up to 64 letters, digits, dots, dashes and underscores, and no dot first"
    return [Problem("value_error.str.regex", "id", words)]


def _url_problems(name: str, url: str | None, check: Callable[[str], None]) -> list[Problem]:
    try:
        if url is not None:
            check(url)
    except ToccataError as error:
        return [Problem("value_error.url", name, str(error))]
    return []


def _event_problems(body: Mapping[str, Any]) -> list[Problem]:
    given = body.get("webhook_events_filter")
    if given is None or (isinstance(given, list) and all(event in EVENTS for event in given)):
        return []
    choices = ", ".join(f"'{event}'" for event in EVENTS)
    words = f"value is not a list of valid enumeration members; permitted: {choices}"
    return [Problem("type_error.enum", "webhook_events_filter", words)]
