"""The API of a Cog container, at the root: one prediction per slot, and nothing waits.

It serves the version `meta/musicgen:7a76a825`. A container has no tokens; this server, when it has
some, wants one for whatever makes or stops a prediction here too, or else the root would be a way
around them. Unlike a container it remembers: an id is used once, and PUT of one that has ended
answers with how it ended. `created_at` and `context` of a request are not heeded.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import signal

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from toccata.errors import InputError
from toccata.server.api.cog.cog_requests import CogRefusal, PredictionRequest, json_object, read_ask
from toccata.server.api.dependencies import address, app_state, authorize, owner_of
from toccata.server.api.large_answers import answered
from toccata.server.api.path_prefix import PREFIX
from toccata.server.api.replicate.validation import CogInvalid, Problem
from toccata.server.predictions.creation import QueueFullError
from toccata.server.storage.repository import COG, AlreadyExistsError, Prediction, iso
from toccata.server.strict_json import JSONResponse
from toccata.server.versions import VERSIONS, openapi
from toccata.server.views import COG_VERSION, cog_json
from toccata.server.worker.supervisor import FAILED, READY, STOPPED

log = logging.getLogger(__name__)

VERSION = VERSIONS["7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"]
POLL_INTERVAL_S = 0.25
MAX_TRACE_STATE = 512
_TRACE_PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

api = APIRouter(dependencies=[Depends(authorize)])
open_api = APIRouter()


@open_api.get("/")
async def index(request: Request) -> Response:
    """Where everything is; a browser is sent to the page."""
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


@open_api.get("/openapi.json", include_in_schema=False)
async def schema() -> JSONResponse:
    return JSONResponse(openapi(VERSION))


@open_api.get("/health-check")
async def health(request: Request) -> JSONResponse:
    """Always 200: how it is, is said in the body."""
    return JSONResponse({"status": _health(request), "setup": _setup(request)})


@open_api.post("/shutdown")
async def shutdown(request: Request) -> JSONResponse:
    """End this process as SIGTERM does, with --shutdown-route. Only for clients on this machine,
    where there are no tokens; not for a page in a browser there, whose requests have an Origin.
    """
    settings = app_state(request).settings
    if not settings.shutdown_route:
        raise CogRefusal(403, {"detail": "This server was started without --shutdown-route"})
    if settings.tokens or "origin" in request.headers or not _is_here(request):
        raise CogRefusal(403, {"detail": "This server is not stopped from outside"})
    log.warning("stopping, as POST /shutdown asks")
    signal.raise_signal(signal.SIGTERM)
    return JSONResponse({})


@api.post("/predictions")
async def create(request: Request) -> Response:
    ask = read_ask(VERSION, await json_object(request), allow_private=_allows_private(request))
    if ask.id is not None and await app_state(request).predictions.known(ask.id) is not None:
        raise _id_taken()
    try:
        return await _run(request, ask)
    except AlreadyExistsError as error:
        raise _id_taken() from error


@api.put("/predictions/{prediction_id}")
async def create_once(request: Request, prediction_id: str) -> Response:
    """However often it is asked, it runs once: 202 and how it is, while it runs; 200 and how it
    ended, from then on, where a container would run it again.
    """
    private = _allows_private(request)
    ask = read_ask(VERSION, await json_object(request), prediction_id, allow_private=private)
    known = await app_state(request).predictions.known(prediction_id)
    if known is None:
        try:
            return await _run(request, ask)
        except AlreadyExistsError:  # another request with this id was faster
            known = await app_state(request).predictions.known(prediction_id)
    if known is None:
        raise _id_taken()
    return _answered(request, known, 200 if known.ended else 202)


@api.post("/predictions/{prediction_id}/cancel")
async def cancel(request: Request, prediction_id: str) -> JSONResponse:
    found = await app_state(request).store.get(prediction_id)
    if found is None or found.ended:
        return JSONResponse({}, 404)
    await app_state(request).predictions.cancel(prediction_id)
    return JSONResponse({})


def _answered(request: Request, prediction: Prediction, status: int) -> Response:
    return answered(request, prediction, status, show=cog_json)


async def _run(request: Request, ask: PredictionRequest) -> Response:
    made = await _accept(request, ask)
    if request.headers.get("prefer") == "respond-async":
        return _answered(request, made, 202)
    now = await _ended(request, made)
    return _answered(request, now, 200 if now.ended else 202)


async def _accept(request: Request, ask: PredictionRequest) -> Prediction:
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
            ask.input,
            base=address(request).base,
            id=ask.id,
            api=COG,
            webhook=ask.webhook,
            webhook_events=ask.webhook_events,
            output_prefix=ask.output_prefix,
            as_data=app_state(request).settings.output_urls != "url",
            owner=owner_of(request),
            trace=_trace(request) if ask.webhook else None,
        )
    except QueueFullError as error:
        raise CogRefusal(503, {"error": str(error), "status": "failed"}) from error
    except InputError as error:
        problem = Problem("value_error", f"input.{error.field}", error.allowed)
        raise CogRefusal(422, CogInvalid([problem]).to_detail()) from error


async def _ended(request: Request, prediction: Prediction) -> Prediction:
    """As it is when it has ended, or when the server stops; it is canceled if the client goes away
    before.
    """
    predictions, now = app_state(request).predictions, prediction
    while not now.ended and not predictions.stopping:
        now = await predictions.wait(prediction.id, POLL_INTERVAL_S) or now
        if not now.ended and await request.is_disconnected():
            now = await predictions.cancel(prediction.id) or now
    return now


def _failure(status: int, detail: str, error: str) -> CogRefusal:
    """With the keys of both generations of containers."""
    return CogRefusal(status, {"detail": detail, "error": error, "status": "failed"})


def _trace(request: Request) -> dict[str, str] | None:
    """What a container passes on to webhooks, https://www.w3.org/TR/trace-context."""
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
    """How the worker started; empty until it has."""
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


def _is_here(request: Request) -> bool:
    """Whether the client is on this machine."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
