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
# Whoever knows the rest of these addresses may use them: it stays out of the log.
_SECRET = re.compile(r"(/outputs|/v1/files)/[^/]+")
RESET_S = b"1"  # there may be more room at any moment


class RequestLog:
    """Gives each request an id, which its answer carries, and logs it as one JSON object."""

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
        except Exception:  # the last resort: a closed connection would make clients ask again
            log.error("request %s failed", request_id, exc_info=True)
            if status:
                raise
            await _accident(request_id)(scope, receive, send_on)
        finally:
            line = {
                "id": request_id,
                "method": scope["method"],
                "path": _SECRET.sub(r"\1/...", scope["path"]),
                "status": status,
                "ms": round(1000 * (time.monotonic() - began_s), 1),
            }
            log.info("%s", json.dumps(line))


def _accident(request_id: str) -> JSONResponse:
    """No word of what is inside, and an id to look it up in the log."""
    detail = f"The server made a mistake; its log has more, under the id {request_id}"
    headers = {"x-should-retry": "false"}
    return JSONResponse(
        {"detail": detail, "status": 500}, 500, headers, media_type="application/problem+json"
    )


class RateLimits:
    """Answers of the API say how many more predictions would be accepted: that is the one limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not route_path(scope).startswith("/v1/"):
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                room = scope["app"].state.parts.predictions.room
                message["headers"] = [
                    *message["headers"],
                    (b"ratelimit-remaining", str(room).encode()),
                    (b"ratelimit-reset", RESET_S),
                ]
            await send(message)

        await self._app(scope, receive, send_on)
