"""Responses that last as long as a prediction does: live audio and events, a share for each client.

All of them are sent from the event loop whenever there is something new, so that as many as there
may be connections would keep it busy. Without a share, a client is asked to come back later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toccata.server.api.body_limits import client_of
from toccata.server.api.dependencies import ProblemError, app_state
from toccata.server.views import problem

RETRY_AFTER_S = "10"


class ListenerResponse(Response):
    """A response that counts among those of its client for as long as it is sent.

    Args:
        request: The request that is answered.
        make: Makes the response to send.
    """

    def __init__(self, request: Request, make: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._shares, self._make = app_state(request).listeners, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._shares.hold(client_of(scope)) as is_granted:
            if is_granted:
                response = await self._make()
                await response(scope, receive, send)
                return
            detail = "You listen to as much as one client may; close a stream, or try again later"
            headers = {"Retry-After": RETRY_AFTER_S, "x-should-retry": "true"}
            raise ProblemError(503, dict(problem(503, detail)), **headers)
