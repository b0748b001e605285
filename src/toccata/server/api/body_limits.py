"""Limits of the size of request bodies, and of all bodies in flight.

A body counts from the moment at which a route reads it, so after the token has been checked, until
it is answered: as much of it as has come, whatever its head says. One client has half of a budget
at most. Files go to the disk and have a budget of their own; JSON, and what is no file in a form,
is held in memory.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toccata.server.api.auth import owner_named
from toccata.server.api.form_memory import FormMemory
from toccata.server.api.path_prefix import route_path
from toccata.server.concurrency import set_client
from toccata.server.strict_json import JSONResponse

MAX_BODY_BYTES = 101 * 2**20
MEMORY_BYTES = 256 * 2**20
DISK_BYTES = 2 * 2**30
# Smaller bodies are not counted: small requests pass when the budget is used up. One of each
# connection is 160 MB.
FREE_BYTES = 16 * 2**10
RETRY_S = "5"
MULTIPART = "multipart/form-data"
# The routes that write a form to the disk as it arrives; all others hold the body in memory.
_FILES = re.compile(r"(/v1){1,2}/files/?|/ui/gradio_api/upload")


class BodyRefused(Exception):
    """A body is too large, or does not fit into the budget now.

    Args:
        status: The status code.
        detail: The detail of the problem.
        headers: Further headers.
    """

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


@dataclass
class Budget:
    """A limit of the bytes of bodies in flight; one client may use half of it.

    Args:
        max_bytes: The limit for all clients together.
        taken: The bytes in flight, by client.
    """

    max_bytes: int
    taken: Counter[str] = field(default_factory=Counter)

    def check(self, client: str, size_bytes: int) -> None:
        """Check that a client may have that many more bytes in flight. Raises BodyRefused."""
        is_full = self.taken.total() + size_bytes > self.max_bytes
        if is_full or self.taken[client] + size_bytes > self.max_bytes // 2:
            raise too_many()

    def take(self, client: str, size_bytes: int) -> None:
        """Add bytes to those in flight. Raises BodyRefused."""
        self.check(client, size_bytes)
        self.taken[client] += size_bytes

    def give_back(self, client: str, size_bytes: int) -> None:
        """Remove bytes from those in flight."""
        self.taken[client] -= size_bytes
        if not self.taken[client]:
            del self.taken[client]


@dataclass
class _Share:
    """The bytes of a budget that one request uses."""

    budget: Budget
    client: str
    declared: int = 0
    max_bytes: int = MAX_BODY_BYTES
    got: int = 0
    taken: int = 0

    def begin(self) -> None:
        """Check that the declared length fits into the budget. Raises BodyRefused."""
        if self.declared > FREE_BYTES:
            self.budget.check(self.client, self.declared)

    def add(self, size_bytes: int) -> None:
        self.got += size_bytes
        if self.got > self.max_bytes:
            raise too_large(self.max_bytes)
        if self.got > FREE_BYTES:
            self.budget.take(self.client, self.got - self.taken)
            self.taken = self.got

    def give_back(self) -> None:
        if self.taken:
            self.budget.give_back(self.client, self.taken)
            self.taken = 0


class BodyLimits:
    """An ASGI middleware: 413 for a body that is too large, 503 for one beyond the budget."""

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
        set_client(owner_named(client_of(scope)))  # until the token is checked
        share, in_memory = self._share(scope), _Share(self._memory, client_of(scope))
        form = FormMemory(Headers(scope=scope)["content-type"]) if is_file(scope) else None
        begun = False

        async def receive_counted() -> Message:
            nonlocal begun
            if not begun:
                begun = True
                share.begin()
            message = await receive()
            body = message.get("body", b"")
            share.add(len(body))
            if form is not None:
                in_memory.add(form.add(body))
            return message

        try:
            if share.declared > self._max_bytes:
                raise too_large(self._max_bytes)
            await self._app(scope, receive_counted, send)
        except BodyRefused as refused:
            await _answer(refused)(scope, receive, send)
        finally:
            share.give_back()
            in_memory.give_back()

    def _share(self, scope: Scope) -> _Share:
        length = Headers(scope=scope).get("content-length", "")
        budget = self._disk if is_file(scope) else self._memory
        declared = int(length) if length.isdecimal() else 0
        return _Share(budget, client_of(scope), declared, self._max_bytes)


def is_file(scope: Scope) -> bool:
    """Whether a request sends a multipart form to a route that takes files."""
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    return kind == MULTIPART and _FILES.fullmatch(route_path(scope)) is not None


def client_of(scope: Scope) -> str:
    """Return the client of a request: its IPv4 address, or its IPv6 /64 network."""
    client: Any = scope.get("client")
    address = str(client[0]) if client else ""
    try:
        ip = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))


def too_large(max_bytes: int) -> BodyRefused:
    """Make the error to raise for a body of more than `max_bytes`."""
    return BodyRefused(413, f"The body must be less than {max_bytes // 2**20}MB in size")


def too_many() -> BodyRefused:
    detail = "The server is busy with other large requests; try again in a few seconds"
    return BodyRefused(503, detail, **{"Retry-After": RETRY_S, "x-should-retry": "true"})


def _answer(refused: BodyRefused) -> JSONResponse:
    body = {"detail": refused.detail, "status": refused.status}
    return JSONResponse(
        body, refused.status, refused.headers, media_type="application/problem+json"
    )
