"""How large a request body may be, and how much of all bodies may be in flight at once.

A body counts from the moment at which a route reads it, so after the token has been checked, until
it is answered. Files go to the disk and have a budget of their own; JSON is held in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toccata.server.json_text import JSONResponse

MAX_BODY_BYTES = 101 * 2**20
MEMORY_BYTES = 256 * 2**20
DISK_BYTES = 2 * 2**30
# A body up to this size is not counted.
FREE_BYTES = 2**20
RETRY_S = "5"


class BodyRefused(Exception):
    """A body is too large, or comes at a time when there is no room for it."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


@dataclass
class Budget:
    """Bytes of bodies that may be in flight."""

    left_bytes: int

    def take(self, size_bytes: int) -> None:
        """Raises BodyRefused if there are not that many left."""
        if size_bytes > self.left_bytes:
            detail = "The server is busy with other large requests; try again in a few seconds"
            headers = {"Retry-After": RETRY_S, "x-should-retry": "true"}
            raise BodyRefused(503, detail, **headers)
        self.left_bytes -= size_bytes


@dataclass
class _Share:
    """What one request has of a budget."""

    budget: Budget
    declared: int
    max_bytes: int
    got: int = 0
    taken: int = 0

    def begin(self) -> None:
        self._want(self.declared)

    def add(self, size_bytes: int) -> None:
        self.got += size_bytes
        if self.got > self.max_bytes:
            raise too_large(self.max_bytes)
        self._want(self.got)

    def _want(self, size_bytes: int) -> None:
        wanted = size_bytes if size_bytes > FREE_BYTES else 0
        if wanted > self.taken:
            self.budget.take(wanted - self.taken)
            self.taken = wanted

    def give_back(self) -> None:
        self.budget.left_bytes += self.taken
        self.taken = 0


class BodyLimits:
    """An ASGI middleware: 413 to a body that is too large, 503 to one there is no room for."""

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int = MAX_BODY_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._memory, self._disk = Budget(memory_bytes), Budget(disk_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        share = self._share(scope)
        begun = False

        async def receive_counted() -> Message:
            nonlocal begun
            if not begun:
                begun = True
                share.begin()
            message = await receive()
            share.add(len(message.get("body", b"")))
            return message

        try:
            if share.declared > self._max_bytes:
                raise too_large(self._max_bytes)
            await self._app(scope, receive_counted, send)
        except BodyRefused as refused:
            await _answer(refused)(scope, receive, send)
        finally:
            share.give_back()

    def _share(self, scope: Scope) -> _Share:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        is_file = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        budget = self._disk if is_file else self._memory
        return _Share(budget, int(length) if length.isdigit() else 0, self._max_bytes)


def too_large(max_bytes: int) -> BodyRefused:
    return BodyRefused(413, f"The body must be less than {max_bytes // 2**20}MB in size")


def _answer(refused: BodyRefused) -> JSONResponse:
    body = {"detail": refused.detail, "status": refused.status}
    return JSONResponse(
        body, refused.status, refused.headers, media_type="application/problem+json"
    )
