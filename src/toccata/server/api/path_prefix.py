"""The path prefix of a reverse proxy, from --public-url or from a header of a trusted proxy.

The path of a request has the prefix or not, as the proxy is configured. The middleware adds it to
the path and to `root_path`, as ASGI requires, and every URL that is built from the request has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from toccata.server.config import ServerSettings

HEADER = b"x-forwarded-prefix"
PREFIX = "toccata.prefix"  # key in the ASGI scope
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,8}")


class TrustedProxy(ProxyHeadersMiddleware):
    """uvicorn's middleware for trusted proxies, which also drops the prefix header of others."""

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        client = scope.get("client")
        if scope["type"] == "http" and (client is None or client[0] not in self.trusted_hosts):
            others = [(name, value) for name, value in scope["headers"] if name != HEADER]
            scope = {**scope, "headers": others}
        await super().__call__(scope, receive, send)


@dataclass(frozen=True)
class PathPrefix:
    """An ASGI middleware that adds the prefix to the path and to `root_path`."""

    app: ASGIApp
    settings: ServerSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._with_prefix(scope)
        await self.app(scope, receive, send)

    def _with_prefix(self, scope: Scope) -> Scope:
        public = self.settings.public_url
        prefix = urlsplit(public).path.rstrip("/") if public else _forwarded_prefix(scope)
        if not prefix:
            return scope
        path = scope["path"]
        has_prefix = path == prefix or path.startswith(f"{prefix}/")
        path = path if has_prefix else prefix + path
        return {**scope, "root_path": prefix, PREFIX: prefix, "path": path, "raw_path": None}


@dataclass(frozen=True)
class PublicHost:
    """An ASGI middleware that sets the host and the scheme of --public-url."""

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
    """Return the path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _forwarded_prefix(scope: Scope) -> str:
    """Return the prefix that a trusted proxy sends; empty: there is no valid one."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER]
    prefix = values[0].rstrip("/") if len(values) == 1 else ""
    return prefix if _PREFIX.fullmatch(prefix) and ".." not in prefix else ""
