"""Check the headers of every request: Host, Origin, Content-Type, Cookie and Range.

A browser on this machine opens any website, and that website may send requests here. Where there is
a token, it lacks the token. Where there is none, two checks keep it out:

- the Host header: a name that an attacker has pointed at this machine (DNS rebinding) is not ours;
- Origin and Sec-Fetch-Site, which a browser sets and a website cannot change.

What takes quadratic time to parse is kept from the parsers: a header or a form that a client makes
for that would stop the event loop, and so everybody else, for minutes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from toccata.server.api.body_limits import MULTIPART, is_file
from toccata.server.api.path_prefix import route_path
from toccata.server.config import LOOPBACK, ServerSettings
from toccata.server.strict_json import JSONResponse
from toccata.server.views import problem

CHANGES = ("POST", "PUT", "PATCH", "DELETE")
# Paths that other websites may read: unguessable URLs that are meant to be shared, and probes.
SHARED = re.compile(r"/outputs/.*|/v1/files/[^/]+/stream|/healthz|/readyz")
PROBES = ("/healthz", "/readyz")
LOGIN = "/ui/login"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
# Any other codec would decode the fields of a form; that of punycode takes quadratic time.
CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"")
# Of headers that are parsed; no client has longer ones.
MAX_CONTENT_TYPE_CHARACTERS = 1000
MAX_RANGE_CHARACTERS = 200

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]{{2,45}}\])(?::([0-9]{{1,5}}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: The status code.
        detail: The detail of the problem.
    """

    status: int
    detail: str


@dataclass(frozen=True)
class RequestGuard:
    """An ASGI middleware. It looks at the headers of a request and reads no body."""

    app: ASGIApp
    settings: ServerSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = (
                _damaged(scope)
                or self._wrong_host(scope, headers)
                or self._wrong_site(scope, headers)
                or _wrong_form(scope, headers)
            )
            scope = {**scope, "headers": list(_cheap(scope["headers"]))}
        if refusal is None:
            await self.app(scope, receive, send)
            return
        body = dict(problem(refusal.status, refusal.detail))
        answer = JSONResponse(
            body, refusal.status, {"x-should-retry": "false"}, "application/problem+json"
        )
        await answer(scope, receive, send)

    def _wrong_host(self, scope: Scope, headers: Headers) -> Refusal | None:
        hosts = headers.getlist("host")
        match = _host(hosts[0]) if len(hosts) == 1 else None
        if match is None and (hosts or not self.settings.tokens):
            return Refusal(400, "The request must have one Host header, with a name or an address")
        if match is None or self.settings.tokens or route_path(scope) in PROBES:
            return None
        host = match[1].strip("[]").rstrip(".").lower()
        if self._is_allowed(host):
            return None
        cure = f"name it with --public-url http://{host} or --allow-host {host}, or set a token"
        return Refusal(421, f"This server is not known as {host!r}. Its operator can {cure}.")

    def _is_allowed(self, host: str) -> bool:
        """Whether requests without a token may have this host in their Host header."""
        settings = self.settings
        public = urlsplit(settings.public_url or "").hostname
        if host in {*LOOPBACK, settings.host.lower(), public, *settings.allow_host}:
            return True
        if settings.host in LOOPBACK:
            return False
        # An attacker cannot register an IP address, a name without a dot, or a local name.
        return _is_address(host) or "." not in host or host.endswith((".local", ".internal"))

    def _wrong_site(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not self._is_foreign(headers):
            return None
        if scope["method"] in CHANGES:
            return Refusal(403, "Other websites may not change anything on this server")
        navigates = headers.get("sec-fetch-mode") == "navigate" and "origin" not in headers
        hidden = not self.settings.tokens or route_path(scope).startswith("/ui")
        if hidden and not navigates and not SHARED.fullmatch(route_path(scope)):
            return Refusal(403, "Other websites may not read from this server")
        return None

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a browser sent the request for a page of another site."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
        if origin is not None and _netloc(origin) in self._own_netlocs(headers, origin):
            return False
        if site == "same-origin":  # a proxy has changed the Host header
            return False
        return origin is not None or site in ("cross-site", "same-site")

    def _own_netlocs(self, headers: Headers, origin: str) -> set[str]:
        scheme = origin.partition(":")[0]
        own = {_netloc(f"{scheme}://{headers.get('host', '')}")}
        if self.settings.public_url:
            own.add(_netloc(self.settings.public_url))
        return own - {""}


def _host(header: str) -> re.Match[str] | None:
    """Match the name or IP address and the port of a Host header; None: it is not valid."""
    match = _HOST.fullmatch(header)
    if match is None or len(match[1]) > 253 or int(match[2] or 0) >= 2**16:
        return None
    if match[1].startswith("[") and not _is_address(match[1].strip("[]")):
        return None
    return match


def _damaged(scope: Scope) -> Refusal | None:
    """Refuse a path or query with a NUL character."""
    query = scope["query_string"].decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    if any("\0" in text for text in (scope["path"], *(each for pair in pairs for each in pair))):
        return Refusal(400, "The address holds a NUL character")
    return None


def _cheap(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The headers without cookies with quotes and without long ranges.

    Python decodes the former in quadratic time, and FastAPI parses cookies for every route. The
    server sets no such cookie, but others on the same host may.
    """
    for name, value in headers:
        if name == b"cookie":
            yield name, b";".join(pair for pair in value.split(b";") if b'"' not in pair)
        elif name != b"range" or len(value) <= MAX_RANGE_CHARACTERS:
            yield name, value


def _wrong_form(scope: Scope, headers: Headers) -> Refusal | None:
    """A body that is neither JSON nor, where one is taken, a form; or in an odd character set."""
    given = headers.getlist("content-type")
    if len(given) > 1 or len("".join(given)) > MAX_CONTENT_TYPE_CHARACTERS:
        limit = f"of at most {MAX_CONTENT_TYPE_CHARACTERS} characters"
        return Refusal(415, f"The request must have one Content-Type header, {limit}")
    # As those read it who read the form, so that they find no other charset than this.
    kind_bytes, options = parse_options_header("".join(given))
    kind, charset = kind_bytes.decode("latin-1"), options.get(b"charset", b"")
    if charset.lower() not in CHARSETS:
        return Refusal(415, f"Send UTF-8, not charset={charset[:40].decode('latin-1')}")
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if scope["method"] not in CHANGES or not has_body:
        return None
    if is_file(scope) or kind == JSON or kind.endswith("+json"):
        return None
    is_login = kind in (FORM, MULTIPART) and route_path(scope) == LOGIN
    if is_login or (not kind and "origin" not in headers):
        return None
    form = f"{JSON}, or {MULTIPART} for a file to /v1/files"
    return Refusal(415, f"Send Content-Type: {form}, not {kind[:80]!r}")


def _netloc(address: str) -> str:
    """Return the host and port of a URL, without a default port."""
    try:
        split = urlsplit(address.lower())
        port = split.port
    except ValueError:
        return ""
    usual = port is None or str(port) == _DEFAULT_PORTS.get(split.scheme)
    return f"{split.hostname or ''}{'' if usual else f':{port}'}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
