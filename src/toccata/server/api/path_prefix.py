"""The path that a proxy puts this server under, from --public-url or from a proxy that is trusted.

A request comes with that prefix in its path or without it, as the proxy is set up. From here on it
is in `root_path`, as ASGI has it, and every address that is built from the request has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from toccata.server.config import ServerSettings

HEADER = b"x-forwarded-prefix"
PREFIX = "toccata.prefix"  # in the scope of a request
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,8}")


class TrustedProxy(ProxyHeadersMiddleware):
    """uvicorn's, which believes a proxy that is trusted; it drops the prefix of all others."""

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        client = scope.get("client")
        if scope["type"] == "http" and (client is None or client[0] not in self.trusted_hosts):
            kept = [(name, value) for name, value in scope["headers"] if name != HEADER]
            scope = {**scope, "headers": kept}
        await super().__call__(scope, receive, send)


@dataclass(frozen=True)
class PathPrefix:
    """An ASGI middleware that finds the prefix."""

    app: ASGIApp
    settings: ServerSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._placed(scope)
        await self.app(scope, receive, send)

    def _placed(self, scope: Scope) -> Scope:
        public = self.settings.public_url
        prefix = urlsplit(public).path.rstrip("/") if public else _forwarded(scope)
        if not prefix:
            return scope
        path = scope["path"]
        inside = path == prefix or path.startswith(f"{prefix}/")
        path = path if inside else prefix + path
        return {**scope, "root_path": prefix, PREFIX: prefix, "path": path, "raw_path": None}


@dataclass(frozen=True)
class PublicHost:
    """An ASGI middleware that shows the app the host and the scheme of --public-url."""

    app: ASGIApp
    settings: ServerSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        public = urlsplit(self.settings.public_url or "")
        if scope["type"] == "http" and public.netloc:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            headers = [(b"host", public.netloc.encode()), *others]
            scope = {**scope, "scheme": public.scheme, "headers": headers}
        await self.app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _forwarded(scope: Scope) -> str:
    """The prefix that a trusted proxy names; empty if none does."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER]
    prefix = named[0].rstrip("/") if len(named) == 1 else ""
    return prefix if _PREFIX.fullmatch(prefix) and ".." not in prefix else ""
