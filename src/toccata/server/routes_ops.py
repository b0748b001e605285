"""For whoever runs the server: is it alive, is it ready, what is it doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from toccata.server.answers import parts
from toccata.server.supervisor import READY

ops = APIRouter()


@ops.get("/healthz")
async def alive() -> JSONResponse:
    return JSONResponse({"status": "ok"})


@ops.get("/readyz")
async def ready(request: Request) -> JSONResponse:
    """Whether predictions are being made; 503 while the worker starts."""
    state = parts(request).predictions.supervisor.state
    return JSONResponse({"worker": state}, 200 if state == READY else 503)


@ops.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
