"""Routes of /v1/predictions: create, list, get and cancel."""

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
from starlette.responses import Response

from toccata.errors import InputError, ToccataError
from toccata.server.api.auth import token_of
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
)
from toccata.server.api.large_answers import answered, page_of
from toccata.server.api.openapi import problems, request_body
from toccata.server.api.parameters import (
    CreatedAfter,
    CreatedBefore,
    Cursor,
    ModelName,
    Owner,
    PredictionId,
)
from toccata.server.api.replicate import schemas
from toccata.server.api.replicate.prefer import (
    RequestTimes,
    TimeHeaders,
    parse_duration_s,
    read_timeout_s,
    wait_s,
)
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
from toccata.server.views import prediction_json

PAGE_SIZE = 100
MAX_WAIT_S = 55.0  # clients time out after 60
SAFETY_MARGIN_S = 5.0
DEFAULT_EVENTS = ("output", "completed")
EVENTS = ("start", "output", "logs", "completed")
_RETRY = re.compile("[1-9][0-9]{0,3}")

router = APIRouter(dependencies=[Depends(authorize)])

# What the documents of both routes that create predictions have in common.
_CREATES: dict[str, Any] = {
    "status_code": 201,
    "response_model": schemas.Prediction,
    "response_description": "The prediction was created.",
    "responses": problems(404, 422, 503),
}


@router.post(
    "/predictions",
    summary="Create a prediction.",
    openapi_extra=request_body(schemas.PredictionRequest),
    **_CREATES,
)
async def create(request: Request, times: RequestTimes) -> Response:
    body = await json_body(request)
    reference = body.get("version")
    if not isinstance(reference, str):
        raise _invalid([Problem("required", "", "version is required")])
    version = find_version(reference)
    if version is None and app_state(request).settings.accept_any_version:
        version = LATEST["meta/musicgen"]
    return await _create(request, body, version, times)


@router.post(
    "/models/{owner}/{name}/predictions",
    summary="Create a prediction of the latest version of a model.",
    openapi_extra=request_body(schemas.ModelPredictionRequest),
    **_CREATES,
)
async def create_of_model(
    request: Request, owner: Owner, name: ModelName, times: RequestTimes
) -> Response:
    body = await json_body(request)
    version = find_version(f"{owner}/{name}")
    if version is None:
        raise refuse(404, f"There is no model {owner}/{name}")
    return await _create(request, body, version, times)


@router.get(
    "/predictions",
    summary="List all predictions, newest first.",
    response_model=schemas.PredictionPage,
    response_description="A page of the list.",
)
async def list_predictions(
    request: Request,
    cursor: Cursor = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
) -> Response:
    own = address(request)
    read = partial(
        app_state(request).store.page,
        PAGE_SIZE + 1,
        cursor_of(cursor),
        _timestamp("created_after", created_after),
        _timestamp("created_before", created_before),
    )
    return page_of(
        request, "/v1/predictions", read, lambda one: prediction_json(one, own), PAGE_SIZE
    )


@router.get(
    "/predictions/{prediction_id}",
    summary="Get a prediction.",
    response_model=schemas.Prediction,
    response_description="The prediction.",
    responses=problems(404),
)
async def get(request: Request, prediction_id: PredictionId) -> Response:
    return answered(request, await _find(request, prediction_id))


@router.post(
    "/predictions/{prediction_id}/cancel",
    summary="Cancel a prediction.",
    response_model=schemas.Prediction,
    response_description="The prediction, which is canceled unless it had ended.",
    responses=problems(404),
)
async def cancel(request: Request, prediction_id: PredictionId) -> Response:
    prediction = await _find(request, prediction_id)
    canceled = await app_state(request).predictions.cancel(prediction_id)
    return answered(request, canceled or prediction)


async def _create(
    request: Request, body: Mapping[str, Any], version: Version | None, times: TimeHeaders
) -> Response:
    if version is None:
        raise ProblemError(422, invalid_version())
    if "input" not in body:
        raise _invalid([Problem("required", "", "input is required")])
    inputs = validate(version, body["input"])
    wait_time_s = _wait_time_s(request, times.prefer)
    token = token_of(request.headers.get("authorization"))
    fingerprint = await of_body(request, partial(_fingerprint, token, version))
    created = await _accept(
        request,
        body,
        version,
        inputs,
        wait_time_s,
        cancel_after=times.cancel_after,
        fingerprint=fingerprint,
    )
    if wait_time_s is None:
        return answered(request, created, 201)
    return await _wait_and_answer(request, created, wait_time_s, times.prefer or "")


async def _accept(
    request: Request,
    body: Mapping[str, Any],
    version: Version,
    inputs: Mapping[str, Any],
    wait_time_s: float | None,
    *,
    cancel_after: str | None,
    fingerprint: str,
) -> Prediction:
    webhook, events = _webhook(body, app_state(request).settings.allow_private)
    try:
        deadline = None if cancel_after is None else time.time() + parse_duration_s(cancel_after)
        predictions = app_state(request).predictions
        create = predictions.create_once if _is_retry(request) else predictions.create
        return await create(
            version,
            inputs,
            base=address(request).base,
            webhook=webhook,
            webhook_events=events,
            deadline=deadline,
            as_data=_as_data(request, wait_time_s),
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


async def _wait_and_answer(
    request: Request, created: Prediction, wait_time_s: float, prefer: str
) -> Response:
    """Answer when the prediction has ended, or when the time is over.

    In that case the status is "starting", because clients take any other for a final one.
    """
    now = await app_state(request).predictions.wait(created.id, wait_time_s) or created
    preferences = [text.strip() for text in prefer.split(",")]
    applied = next((text for text in preferences if text.lower().startswith("wait")), "wait")
    headers = {"Preference-Applied": applied}
    if not now.ended:
        now = replace(now, status=STARTING)
        headers["Location"] = address(request).prediction(now.id)
    return answered(request, now, 201, headers)


def _wait_time_s(request: Request, prefer: str | None) -> float | None:
    """How long to wait for the end of the prediction before the answer; None: not at all."""
    max_s = MAX_WAIT_S
    timeout_s = read_timeout_s(request.headers)
    if timeout_s is not None:
        max_s = max(1.0, min(max_s, timeout_s - SAFETY_MARGIN_S))
    return wait_s(prefer, max_s)


def _as_data(request: Request, wait_time_s: float | None) -> bool:
    settings = app_state(request).settings
    if settings.output_urls != "auto":
        return settings.output_urls == "data"
    secure = settings.secure or request.url.scheme == "https"
    return wait_time_s is not None and not secure


def _fingerprint(token: str | None, version: Version, body: bytes) -> str:
    """The fingerprint that recognises a request which the client repeats after a lost answer.

    The version is a part of it, because the body need not contain it.
    """
    named = f"{version.owner}/{version.name}:{version.id}"
    digest = hashlib.sha256(f"{token}\n{named}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def _is_retry(request: Request) -> bool:
    """Whether the client declares the request a repetition."""
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
        check_webhook(_checked_text("webhook", url), allow_private=allow_private)
    except ToccataError as error:
        raise _invalid([Problem("format", "webhook", str(error))]) from error
    return url, tuple(dict.fromkeys(chosen))  # without duplicates


def _checked_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        kind = json_type(value)
        words = f"Invalid type. Expected: string, given: {kind}"
        raise _invalid([Problem("invalid_type", name, words)])
    return value


def _invalid(problems: list[Problem]) -> InvalidRequest:
    return InvalidRequest(tuple(problems))


async def _find(request: Request, prediction_id: str) -> Prediction:
    prediction = await app_state(request).store.get(prediction_id)
    if prediction is None:
        raise refuse(404, "The requested resource could not be found.")
    return prediction


def _timestamp(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        words = f"{name}: {text[:80]!r} is not a time; use 2026-01-31T12:00:00Z"
        raise refuse(400, words) from error
