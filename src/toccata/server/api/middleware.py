"""Middleware: request ids, access log, rate-limit headers."""

from __future__ import annotations

import json
import logging
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toccata.server.api.path_prefix import route_path
from toccata.server.storage.repository import new_id
from toccata.server.strict_json import JSONResponse

log = logging.getLogger("toccata.server.requests")
# Parts of URLs that give access without a token: they must not be in the log.
_SECRET = re.compile(r"(/outputs|/v1/files)/[^/]+")
RESET_S = b"1"  # the queue may get shorter at any moment


class RequestLog:
    """An ASGI middleware that gives each request an id, and logs it as one JSON object."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began_s, status = new_id(), time.monotonic(), 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"], (b"x-request-id", request_id.encode()),
                ]  # fmt: skip
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:  # clients would repeat the request if the connection just closed
            log.error("request %s failed", request_id, exc_info=True)
            if status:
                raise
            await _internal_error(request_id)(scope, receive, send_on)
        finally:
            line = {
                "id": request_id,
                "method": scope["method"],
                "path": _SECRET.sub(r"\1/...", scope["path"]),
                "status": status,
                "ms": round(1000 * (time.monotonic() - began_s), 1),
            }
            log.info("%s", json.dumps(line))


def _internal_error(request_id: str) -> JSONResponse:
    """Make a response without internal details, but with the id of the request in the log."""
    detail = f"Internal server error; the log of the server has details under the id {request_id}"
    headers = {"x-should-retry": "false"}
    return JSONResponse(
        {"detail": detail, "status": 500}, 500, headers, media_type="application/problem+json"
    )


class RateLimits:
    """An ASGI middleware that adds how many more predictions would be accepted, the only limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not route_path(scope).startswith("/v1/"):
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                remaining = scope["app"].state.parts.predictions.room
                message["headers"] = [
                    *message["headers"],
                    (b"ratelimit-remaining", str(remaining).encode()),
                    (b"ratelimit-reset", RESET_S),
                ]
            await send(message)

        await self._app(scope, receive, send_on)
