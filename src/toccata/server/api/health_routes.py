"""Health, readiness and metrics routes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from toccata.server.api.dependencies import app_state, authorize
from toccata.server.strict_json import JSONResponse
from toccata.server.worker.supervisor import READY

ops = APIRouter()


@ops.get("/healthz")
async def alive() -> JSONResponse:
    return JSONResponse({"status": "ok"})


@ops.get("/readyz")
async def ready(request: Request) -> JSONResponse:
    """Whether predictions are taken and made; 503 while something that this needs is missing."""
    predictions, health = app_state(request).predictions, app_state(request).health
    state = predictions.supervisor.state
    good = state == READY and not predictions.stopping and health.is_good
    body = {"worker": state, "stopping": predictions.stopping, **health.states}
    return JSONResponse(body, 200 if good else 503)


@ops.get("/metrics", dependencies=[Depends(authorize)])
async def metrics(request: Request) -> Response:
    """Prometheus text; with a token where the API wants one."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
