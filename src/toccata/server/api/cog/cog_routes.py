"""Routes of the Cog API, at the root: one prediction per slot, without a queue.

It serves the version `meta/musicgen:7a76a825`. A container has no tokens; a server that has some
requires one here, too, to create or cancel predictions. Unlike a container, the server stores
predictions: an id is used once, and PUT with the id of a prediction that has ended returns that
prediction. `created_at` and `context` of a request are ignored.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import signal
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from toccata.errors import InputError
from toccata.server.api.cog import schemas
from toccata.server.api.cog.cog_requests import (
    VERSION,
    CogRefusal,
    PredictionRequest,
    json_object,
    read_request,
)
from toccata.server.api.dependencies import address, app_state, authorize, owner_of
from toccata.server.api.large_answers import answered
from toccata.server.api.openapi import errors, request_body
from toccata.server.api.parameters import PredictionId, PreferAsync
from toccata.server.api.path_prefix import PREFIX
from toccata.server.api.replicate.validation import CogInvalid, Problem
from toccata.server.api.schemas import Empty
from toccata.server.predictions.creation import QueueFullError
from toccata.server.storage.repository import COG, AlreadyExistsError, Prediction, iso
from toccata.server.strict_json import JSONResponse
from toccata.server.versions import openapi
from toccata.server.views import COG_VERSION, cog_json
from toccata.server.worker.supervisor import FAILED, READY, STOPPED

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25
MAX_TRACE_STATE = 512
_TRACE_PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

router = APIRouter(dependencies=[Depends(authorize)])
public_router = APIRouter()

# What the documents of both routes that create predictions have in common.
_CREATES: dict[str, Any] = {
    "response_model": schemas.CogPrediction,
    "response_description": "The prediction has ended.",
    "responses": {
        202: {"model": schemas.CogPrediction, "description": "The prediction is still running."},
        **errors(schemas.CogRefusal, 406, 409, 503),
        **errors(schemas.CogInvalid, 422),
    },
    "openapi_extra": request_body(schemas.CogRequest, required=False),
}


@public_router.get(
    "/",
    summary="Get the addresses of the Cog API.",
    response_model=schemas.CogIndex,
    response_description="The addresses.",
)
async def index(request: Request) -> Response:
    """A browser is sent to the page of the server, if there is one."""
    if app_state(request).settings.page and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"{request.scope.get(PREFIX, '')}/ui/")
    one = "/predictions/{prediction_id}"
    return JSONResponse(
        {
            "cog_version": COG_VERSION,
            "docs_url": "/docs",
            "openapi_url": "/openapi.json",
            "shutdown_url": "/shutdown",
            "healthcheck_url": "/health-check",
            "predictions_url": "/predictions",
            "predictions_idempotent_url": one,
            "predictions_cancel_url": f"{one}/cancel",
        }
    )


@public_router.get("/openapi.json", include_in_schema=False)
async def schema() -> JSONResponse:
    return JSONResponse(openapi(VERSION))


@public_router.get(
    "/health-check",
    summary="Get the state of the worker process.",
    response_model=schemas.CogHealth,
    response_description="The state, whatever it is.",
)
async def health(request: Request) -> JSONResponse:
    """The status code is always 200: the body has the state."""
    return JSONResponse({"status": _health(request), "setup": _setup(request)})


@public_router.post(
    "/shutdown",
    summary="Stop the server.",
    response_model=Empty,
    response_description="The server is stopping.",
    responses=errors(schemas.CogRefusal, 403),
)
async def shutdown(request: Request) -> JSONResponse:
    """This works only if the server was started with `--shutdown-route` and without tokens, and
    only from programs on its own machine.
    """
    settings = app_state(request).settings
    # A page in a browser on this machine is refused, too: its requests have an Origin.
    if not settings.shutdown_route:
        raise CogRefusal(403, {"detail": "This server was started without --shutdown-route"})
    if settings.tokens or "origin" in request.headers or not _is_local(request):
        raise CogRefusal(403, {"detail": "This server is not stopped from outside"})
    log.warning("stopping, as POST /shutdown asks")
    signal.raise_signal(signal.SIGTERM)
    return JSONResponse({})


@router.post("/predictions", summary="Create a prediction.", **_CREATES)
async def create(request: Request, prefer: PreferAsync = None) -> Response:
    """The prediction starts at once. If all slots are busy, it is refused."""
    body, private = await json_object(request), _allows_private(request)
    requested = read_request(VERSION, body, allow_private=private)
    predictions = app_state(request).predictions
    if requested.id is not None and await predictions.known(requested.id) is not None:
        raise _id_taken()
    try:
        return await _run(request, requested, prefer)
    except AlreadyExistsError as error:
        raise _id_taken() from error


@router.put("/predictions/{prediction_id}", summary="Create a prediction once.", **_CREATES)
async def create_once(
    request: Request, prediction_id: PredictionId, prefer: PreferAsync = None
) -> Response:
    """Further requests with the same id do not run it again: they are answered with 202 while the
    prediction is running, and with 200 once it has ended.
    """
    body, private = await json_object(request), _allows_private(request)
    requested = read_request(VERSION, body, prediction_id, allow_private=private)
    known = await app_state(request).predictions.known(prediction_id)
    if known is None:
        try:
            return await _run(request, requested, prefer)
        except AlreadyExistsError:  # another request with this id was faster
            known = await app_state(request).predictions.known(prediction_id)
    if known is None:
        raise _id_taken()
    return _answered(request, known, 200 if known.ended else 202)


@router.post(
    "/predictions/{prediction_id}/cancel",
    summary="Cancel a prediction.",
    response_model=Empty,
    response_description="The prediction is being canceled.",
    responses=errors(Empty, 404),
)
async def cancel(request: Request, prediction_id: PredictionId) -> JSONResponse:
    found = await app_state(request).store.get(prediction_id)
    if found is None or found.ended:
        return JSONResponse({}, 404)
    await app_state(request).predictions.cancel(prediction_id)
    return JSONResponse({})


def _answered(request: Request, prediction: Prediction, status: int) -> Response:
    return answered(request, prediction, status, show=cog_json)


async def _run(request: Request, requested: PredictionRequest, prefer: str | None) -> Response:
    created = await _accept(request, requested)
    if prefer == "respond-async":
        return _answered(request, created, 202)
    now = await _wait_until_ended(request, created)
    return _answered(request, now, 200 if now.ended else 202)


async def _accept(request: Request, requested: PredictionRequest) -> Prediction:
    if "text/event-stream" in request.headers.get("accept", ""):
        raise _failure(406, "This model does not stream", "it answers in JSON only")
    if app_state(request).predictions.supervisor.state != READY:
        error = "Setup has not finished yet; see /health-check"
        raise CogRefusal(503, {"error": error, "status": "failed"})
    if _busy(request):
        why = "At capacity - all prediction slots busy"
        raise _failure(409, "Already running a prediction", why)
    try:
        return await app_state(request).predictions.create(
            VERSION,
            requested.input,
            base=address(request).base,
            id=requested.id,
            api=COG,
            webhook=requested.webhook,
            webhook_events=requested.webhook_events,
            output_prefix=requested.output_prefix,
            as_data=app_state(request).settings.output_urls != "url",
            owner=owner_of(request),
            trace=_trace(request) if requested.webhook else None,
        )
    except QueueFullError as error:
        raise CogRefusal(503, {"error": str(error), "status": "failed"}) from error
    except InputError as error:
        problem = Problem("value_error", f"input.{error.field}", error.allowed)
        raise CogRefusal(422, CogInvalid([problem]).to_detail()) from error


async def _wait_until_ended(request: Request, prediction: Prediction) -> Prediction:
    """Wait until the prediction has ended or the server stops; return it as it is then.

    It is canceled if the client disconnects before.
    """
    predictions, now = app_state(request).predictions, prediction
    while not now.ended and not predictions.stopping:
        now = await predictions.wait(prediction.id, POLL_INTERVAL_S) or now
        if not now.ended and await request.is_disconnected():
            now = await predictions.cancel(prediction.id) or now
    return now


def _failure(status: int, detail: str, error: str) -> CogRefusal:
    """An error that has the keys of old and new containers."""
    return CogRefusal(status, {"detail": detail, "error": error, "status": "failed"})


def _trace(request: Request) -> dict[str, str] | None:
    """The trace context (https://www.w3.org/TR/trace-context) that webhooks pass on."""
    parent, state = request.headers.get("traceparent", ""), request.headers.get("tracestate", "")
    if not _TRACE_PARENT.fullmatch(parent):
        return None
    is_sound = 0 < len(state) <= MAX_TRACE_STATE and state.isascii() and state.isprintable()
    return {"traceparent": parent, **({"tracestate": state} if is_sound else {})}


def _id_taken() -> CogRefusal:
    return _failure(409, "There is a prediction with this id", "give another id, or none")


def _busy(request: Request) -> bool:
    return app_state(request).predictions.full


def _health(request: Request) -> str:
    state = app_state(request).predictions.supervisor.state
    if state == READY:
        return "BUSY" if _busy(request) else "READY"
    return {STOPPED: "DEFUNCT", FAILED: "SETUP_FAILED"}.get(state, "STARTING")


def _setup(request: Request) -> dict[str, str]:
    """How the worker process was started; empty until that has ended."""
    setup = app_state(request).predictions.setup
    failure = app_state(request).predictions.supervisor.setup_error
    if failure is not None:
        times = {"started_at": iso(setup.started_at), "completed_at": iso(setup.failed_at)}
        return {**times, "status": "failed", "logs": failure}
    if setup.completed_at is None:
        return {}
    times = {"started_at": iso(setup.started_at), "completed_at": iso(setup.completed_at)}
    return {**times, "status": "succeeded", "logs": ""}


def _allows_private(request: Request) -> bool:
    return app_state(request).settings.allow_private


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
