"""Health, readiness and metrics routes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from toccata.server.api.dependencies import app_state, authorize
from toccata.server.api.openapi import errors
from toccata.server.api.schemas import Alive, Ready
from toccata.server.strict_json import JSONResponse
from toccata.server.worker.supervisor import READY

router = APIRouter()


@router.get(
    "/healthz",
    summary="Liveness probe: tell whether the process answers.",
    response_description="The process answers.",
)
async def alive() -> Alive:
    return Alive(status="ok")


@router.get(
    "/readyz",
    summary="Readiness probe: tell whether predictions are accepted and run.",
    response_model=Ready,
    response_description="Predictions are accepted and run.",
    responses=errors(Ready, 503),
)
async def ready(request: Request) -> JSONResponse:
    """The answer is 503 while the worker process, the database, the file storage or the disk cannot
    be used, or while the server is shutting down.
    """
    predictions, health = app_state(request).predictions, app_state(request).health
    state = predictions.supervisor.state
    good = state == READY and not predictions.stopping and health.is_good
    body = {"worker": state, "stopping": predictions.stopping, **health.states}
    return JSONResponse(body, 200 if good else 503)


@router.get(
    "/metrics",
    dependencies=[Depends(authorize)],
    summary="Get metrics in the text format of Prometheus.",
    response_class=PlainTextResponse,
    response_description="The metrics.",
)
async def metrics(request: Request) -> Response:
    """A server that has tokens expects one here, too."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
