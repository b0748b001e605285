"""/v1/predictions: create, list, get, cancel; and the addresses of what a prediction made."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from toccata.errors import InputError, ToccataError
from toccata.server.api.auth import token_of
from toccata.server.api.byte_ranges import first_bytes, probe_of, saved_name
from toccata.server.api.cursors import cursor_of
from toccata.server.api.dependencies import (
    ProblemError,
    address,
    app_state,
    authorize,
    json_body,
    of_body,
    owner_of,
    refuse,
    stored_response,
)
from toccata.server.api.large_answers import answered, event_stream, page_of
from toccata.server.api.replicate.prefer import parse_duration_s, read_timeout_s, wait_s
from toccata.server.api.replicate.validation import (
    InvalidRequest,
    Problem,
    invalid_version,
    json_type,
    validate,
)
from toccata.server.outbound import check_webhook
from toccata.server.predictions.creation import QueueFullError
from toccata.server.storage.repository import STARTING, Prediction
from toccata.server.versions import LATEST, Version, find_version
from toccata.server.views import content_type, prediction_json
from toccata.server.worker import live_audio

PAGE = 100
MAX_WAIT_S = 55.0  # clients give up at 60
MARGIN_S = 5.0
DEFAULT_EVENTS = ("output", "completed")
EVENTS = ("start", "output", "logs", "completed")
_RETRY = re.compile("[1-9][0-9]{0,3}")

api = APIRouter(dependencies=[Depends(authorize)])
open_api = APIRouter()  # addresses that are not to be guessed need no token


@api.post("/predictions")
async def create(request: Request) -> Response:
    body = await json_body(request)
    reference = body.get("version")
    if not isinstance(reference, str):
        raise _invalid([Problem("required", "", "version is required")])
    version = find_version(reference)
    if version is None and app_state(request).settings.accept_any_version:
        version = LATEST["meta/musicgen"]
    return await _create(request, body, version)


@api.post("/models/{owner}/{name}/predictions")
async def create_of_model(request: Request, owner: str, name: str) -> Response:
    body = await json_body(request)
    version = find_version(f"{owner}/{name}")
    if version is None:
        raise refuse(404, f"There is no model {owner}/{name}")
    return await _create(request, body, version)


@api.get("/predictions")
async def list_predictions(request: Request) -> Response:
    query, own = request.query_params, address(request)
    read = partial(
        app_state(request).store.page,
        PAGE + 1,
        cursor_of(query.get("cursor")),
        _moment("created_after", query.get("created_after")),
        _moment("created_before", query.get("created_before")),
    )
    return page_of(request, "/v1/predictions", read, lambda one: prediction_json(one, own), PAGE)


@api.get("/predictions/{prediction_id}")
async def get(request: Request, prediction_id: str) -> Response:
    return answered(request, await _known(request, prediction_id))


@api.post("/predictions/{prediction_id}/cancel")
async def cancel(request: Request, prediction_id: str) -> Response:
    known = await _known(request, prediction_id)
    canceled = await app_state(request).predictions.cancel(prediction_id)
    return answered(request, canceled or known)


@open_api.get("/v1/files/{key}/stream")
async def stream(request: Request, key: str) -> Response:
    """Server-sent events, from the beginning or after Last-Event-ID."""
    prediction = await _by_key(request, key)
    if prediction is None:
        raise refuse(404, "There is no such stream")
    return event_stream(request, prediction)


@open_api.head("/outputs/{key}/audio", include_in_schema=False)
@open_api.get("/outputs/{key}/audio")
async def audio(request: Request, key: str, form: str = "mp3", variation: int = 1) -> Response:
    """What there is of it, while it is made; the finished file afterwards. variation: from 1."""
    predictions = app_state(request).predictions
    prediction = await _by_key(request, key)
    if (
        prediction is None
        or form not in live_audio.FORMATS
        or not 0 < variation <= prediction.count
    ):
        raise refuse(404, "There is no such audio")
    if prediction.outputs:
        return await _stored(request, prediction, prediction.outputs[variation - 1])
    if prediction.ended:
        raise refuse(404, "It was not finished")

    def ended() -> bool:
        return predictions.events(prediction) is None

    bytes_so_far = live_audio.follow(predictions.live_file(prediction, form, variation), ended)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Accept-Ranges": "bytes"}
    kind, probe = content_type(f"live.{form}"), probe_of(request.headers.get("range"))
    if request.method == "HEAD":
        return Response(None, 200, headers, kind)
    if probe is not None:  # a player that begins with it takes no answer but 206
        start, end = probe
        part = (await first_bytes(bytes_so_far, end))[start:]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/*"
        return Response(part, 206, headers, kind) if part else Response(status_code=416)
    return StreamingResponse(bytes_so_far, 200, headers, kind)


@open_api.head("/outputs/{key}/{name}", include_in_schema=False)
@open_api.get("/outputs/{key}/{name}")
async def output(request: Request, key: str, name: str) -> Response:
    prediction = await app_state(request).store.by_key(key)
    stored = f"outputs/{key}/{name}"
    if prediction is None or stored not in prediction.outputs:
        raise refuse(404, "File not found")
    return await _stored(request, prediction, stored)


async def _stored(request: Request, prediction: Prediction, name: str) -> Response:
    """An output, under a name that says what it is."""
    seed = prediction.seed + list(prediction.outputs).index(name)
    prompt, suffix = prediction.input.get("prompt"), name.rpartition(".")[2]
    saved_as = saved_name(prompt, prediction.model, seed, suffix)
    return await stored_response(
        request, name, saved_as=saved_as, modified_at=prediction.completed_at
    )


async def _create(request: Request, body: Mapping[str, Any], version: Version | None) -> Response:
    if version is None:
        raise ProblemError(422, invalid_version())
    if "input" not in body:
        raise _invalid([Problem("required", "", "input is required")])
    given = validate(version, body["input"])
    held_s = _held_s(request)
    token = token_of(request.headers.get("authorization"))
    fingerprint = await of_body(request, partial(_fingerprint, token, version))
    made = await _accept(request, body, version, given, held_s, fingerprint=fingerprint)
    if held_s is None:
        return answered(request, made, 201)
    return await _held(request, made, held_s)


async def _accept(
    request: Request,
    body: Mapping[str, Any],
    version: Version,
    given: Mapping[str, Any],
    held_s: float | None,
    *,
    fingerprint: str,
) -> Prediction:
    webhook, events = _webhook(body, app_state(request).settings.allow_private)
    after = request.headers.get("cancel-after")
    try:
        deadline = None if after is None else time.time() + parse_duration_s(after)
        predictions = app_state(request).predictions
        create = predictions.create_once if _is_retry(request) else predictions.create
        return await create(
            version,
            given,
            base=address(request).base,
            webhook=webhook,
            webhook_events=events,
            deadline=deadline,
            as_data=_as_data(request, held_s),
            owner=owner_of(request),
            fingerprint=fingerprint,
        )
    except QueueFullError as error:
        raise ProblemError(
            503, {"detail": str(error), "status": 503}, **{"Retry-After": "10"}
        ) from error
    except InputError as error:
        if error.field in version.schema.names:
            problem = Problem("invalid", f"input.{error.field}", error.allowed)
            raise _invalid([problem]) from error
        raise refuse(400, str(error)) from error


async def _held(request: Request, made: Prediction, held_s: float) -> Response:
    """Answered when it has ended, or when the time is over: then it says "starting", because
    clients take anything else for an end.
    """
    now = await app_state(request).predictions.wait(made.id, held_s) or made
    preferences = [text.strip() for text in request.headers["prefer"].split(",")]
    applied = next((text for text in preferences if text.lower().startswith("wait")), "wait")
    headers = {"Preference-Applied": applied}
    if not now.ended:
        now = replace(now, status=STARTING)
        headers["Location"] = address(request).prediction(now.id)
    return answered(request, now, 201, headers)


def _held_s(request: Request) -> float | None:
    """How long the answer may be held back; None: not at all."""
    most_s = MAX_WAIT_S
    patience_s = read_timeout_s(request.headers)
    if patience_s is not None:
        most_s = max(1.0, min(most_s, patience_s - MARGIN_S))
    return wait_s(request.headers.get("prefer"), most_s)


def _as_data(request: Request, held_s: float | None) -> bool:
    settings = app_state(request).settings
    if settings.output_urls != "auto":
        return settings.output_urls == "data"
    secure = settings.secure or request.url.scheme == "https"
    return held_s is not None and not secure


def _fingerprint(token: str | None, version: Version, body: bytes) -> str:
    """By which a request is recognised when a client that did not hear the answer repeats it.

    The version may be named by the address of the request alone.
    """
    named = f"{version.owner}/{version.name}:{version.id}"
    digest = hashlib.sha256(f"{token}\n{named}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def _is_retry(request: Request) -> bool:
    """Whether the client says that it has sent this very request before."""
    return _RETRY.fullmatch(request.headers.get("x-stainless-retry-count", "")) is not None


def _webhook(body: Mapping[str, Any], allow_private: bool) -> tuple[str | None, tuple[str, ...]]:
    url, events = body.get("webhook"), body.get("webhook_events_filter")
    if url is None and body.get("webhook_completed") is not None:
        url, events = body["webhook_completed"], ["completed"]
    if url is None:
        return None, ()
    chosen = DEFAULT_EVENTS if events is None else events
    if not isinstance(chosen, list | tuple) or any(event not in EVENTS for event in chosen):
        allowed = ", ".join(f'"{event}"' for event in EVENTS)
        text = f"webhook_events_filter must hold only the following: {allowed}"
        raise _invalid([Problem("enum", "webhook_events_filter", text)])
    try:
        check_webhook(_text_of("webhook", url), allow_private=allow_private)
    except ToccataError as error:
        raise _invalid([Problem("format", "webhook", str(error))]) from error
    return url, tuple(dict.fromkeys(chosen))  # each once, however often it is named


def _text_of(name: str, value: object) -> str:
    if not isinstance(value, str):
        kind = json_type(value)
        words = f"Invalid type. Expected: string, given: {kind}"
        raise _invalid([Problem("invalid_type", name, words)])
    return value


def _invalid(problems: list[Problem]) -> InvalidRequest:
    return InvalidRequest(tuple(problems))


async def _by_key(request: Request, key: str) -> Prediction | None:
    """Its row; if it is that of an open prediction, its events go on."""
    store, predictions = app_state(request).store, app_state(request).predictions
    found = await store.by_key(key)
    if found is None or found.ended or predictions.events(found) is not None:
        return found
    return await store.by_key(key)  # it has ended in between


async def _known(request: Request, prediction_id: str) -> Prediction:
    prediction = await app_state(request).store.get(prediction_id)
    if prediction is None:
        raise refuse(404, "The requested resource could not be found.")
    return prediction


def _moment(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        words = f"{name}: {text[:80]!r} is not a time; use 2026-01-31T12:00:00Z"
        raise refuse(400, words) from error
