"""The border of the page: what a browser may ask of gradio, which offers far more than it needs.

Everything that the page does not use is 404. What it uses needs the login where there is one, and
may name no file but one that was uploaded to the page.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toccata.errors import InputError
from toccata.server.api.auth import OWNER, owner_named, token_of
from toccata.server.api.body_limits import client_of
from toccata.server.concurrency import Shares
from toccata.server.strict_json import JsonError, JSONResponse, read_json
from toccata.server.ui.login_limit import LoginLimit
from toccata.server.ui.page_files import PageFiles, named_paths
from toccata.server.ui.page_uploads import UploadRefused, Uploads
from toccata.server.views import problem

API = "/gradio_api"
READ, SEND = ("GET", "HEAD"), ("POST",)
# What needs no login: the page itself, which shows the login, and what it is built from.
PUBLIC = {
    "": READ, "/": READ, "/login": SEND, "/logout": READ, "/theme.css": READ,
    "/favicon.ico": READ, "/manifest.json": READ, "/robots.txt": READ,
}  # fmt: skip
PUBLIC_FOLDERS = ("/static/", "/assets/", "/svelte/")
# What the page calls once it is open.
CALLS = {
    "/config": READ, f"{API}/queue/join": SEND, f"{API}/queue/data": READ, f"{API}/upload": SEND,
    f"{API}/upload_progress": READ, f"{API}/cancel": SEND, f"{API}/reset": SEND,
}  # fmt: skip
FILE, HEARTBEAT = f"{API}/file=", f"{API}/heartbeat/"
STREAMS = (f"{API}/queue/data", f"{API}/upload_progress")
MAX_CALL_BYTES = 2**20
MAX_LOGIN_BYTES = 2**16
MAX_OPEN_STREAMS = 512
# What the page names its sessions and uploads with, and no more: gradio writes them into answers.
NAMING = ("session_hash", "upload_id")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
COOKIE = "access-token-unsecure-"
# A login takes as long whether it is right or wrong.
LOGIN_S = 0.3
# Gradio would believe them from any sender; `Origin` would make it allow foreign sites.
UNTRUSTED = {
    b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server", b"forwarded", b"origin",
}  # fmt: skip


class Sessions(Protocol):
    """Who is logged in, as gradio's app knows it."""

    cookie_id: str
    tokens: dict[str, str]


class _Refused(Exception):
    """The answer is no. `headers` go with it."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


@dataclass(eq=False)
class PageGate:
    """An ASGI app around gradio's. login: whether a token has to be given as the password."""

    app: ASGIApp
    sessions: Sessions
    files: PageFiles
    login: bool
    limit: LoginLimit = field(default_factory=LoginLimit)
    _streams: Shares = field(default_factory=lambda: Shares(MAX_OPEN_STREAMS))
    _owners: dict[str, str] = field(default_factory=dict)  # of sessions, by their cookie
    _uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        self._uploads = Uploads(self.files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await Response(status_code=404)(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            self._check(scope, path)
            if path in CALLS and scope["method"] in SEND and path != f"{API}/upload":
                receive = await self._checked_call(receive)
            own = _Answer(_unframed(send))
            scope = {**_without_untrusted(scope), **self._owner(scope)}
            await self._serve(path, scope, receive, own.send)
            own.check()
        except _Refused as refusal:
            await _problem(refusal.status, refusal.detail, refusal.headers)(scope, receive, send)
        except UploadRefused as refusal:
            await _problem(refusal.status, refusal.detail, {})(scope, receive, send)

    def _check(self, scope: Scope, path: str) -> None:
        """Raises _Refused for what the page does not need, or not from this visitor."""
        public = PUBLIC.get(path) or (READ if path.startswith(PUBLIC_FOLDERS) else ())
        called = CALLS.get(path) or (READ if path.startswith((FILE, HEARTBEAT)) else ())
        if scope["method"] not in (*public, *called):
            raise _Refused(404, "The page has nothing there")
        if called and self.login and self._session(scope) is None:
            raise _Refused(401, "Log in first: the password is a token of this server")
        if path.startswith(FILE):
            self._own(path.removeprefix(FILE))
        if path.startswith(HEARTBEAT):
            _check_name(path.removeprefix(HEARTBEAT))
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), True):
            if name in NAMING:
                _check_name(value)

    def _session(self, scope: Scope) -> str | None:
        """That which the visitor is logged in with."""
        session = Request(scope).cookies.get(f"{COOKIE}{self.sessions.cookie_id}", "")
        return session if session in self.sessions.tokens else None

    def _owner(self, scope: Scope) -> dict[str, str]:
        """For the scope: who makes what a session makes, whatever token a request names."""
        session = self._session(scope) if self.login else None
        return {OWNER: self._owners[session]} if session in self._owners else {}

    def _own(self, path: str) -> None:
        try:
            self.files.own(path)
        except InputError as error:
            raise _Refused(403, str(error)) from error

    async def _checked_call(self, receive: Receive) -> Receive:
        """The same body again, once it is read and names no file of others. Raises _Refused."""
        body = await _body(receive, MAX_CALL_BYTES)
        try:
            call = read_json(body or b"null")
        except JsonError as error:
            raise _Refused(400, f"The request body is not JSON: {error}") from error
        for path in named_paths(call):
            self._own(path)
        session = call.get("session_hash") if isinstance(call, dict) else None
        if session is not None:
            _check_name(session)
        return _again(body, receive)

    async def _serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if path == "/login":
            await self._login(scope, receive, send)
        elif path.startswith(HEARTBEAT) or path in STREAMS:
            await self._stream(scope, receive, send)
        elif path == f"{API}/upload":
            async with self._uploads.admitted(
                client_of(scope), Headers(scope=scope), receive
            ) as counted:
                await self.app(scope, counted, send)
        else:
            await self.app(scope, receive, send)

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts a login, answers late, and narrows the cookie. Raises _Refused after too many."""
        body, client = await _body(receive, MAX_LOGIN_BYTES), client_of(scope)
        wait_s = self.limit.wait_s(client)
        if wait_s:
            detail = f"There were too many wrong logins; try again in {wait_s} seconds"
            raise _Refused(429, detail, **{"Retry-After": str(wait_s)})
        begun_s = self.limit.begin(client)
        ends_s = time.monotonic() + LOGIN_S + self.limit.delay_s()

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(max(0.0, ends_s - time.monotonic()))
                if message["status"] < 400:
                    self.limit.succeeded(client, begun_s)
                    await self._note_owner(Request(scope, _again(body, receive)), message)
                message["headers"] = _narrowed(message["headers"], scope)
            await send(message)

        await self.app(scope, _again(body, receive), later)

    async def _note_owner(self, login: Request, answer: Message) -> None:
        """Who a new session acts for: the token that was its password."""
        password = (await login.form()).get("password")
        owner = owner_named(token_of(f"Bearer {password}") or "")
        known = {**self._owners, **dict.fromkeys(_new_sessions(answer["headers"]), owner)}
        self._owners = {one: known[one] for one in known if one in self.sessions.tokens}

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = client_of(scope)
        if not self._streams.acquire(client):
            raise _Refused(503, "Too many pages are open; try again later", **{"Retry-After": "10"})
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams.release(client)


@dataclass
class _Answer:
    """Keeps gradio's word for an accident back: the server has an answer of its own to that."""

    _send: Send
    _is_accident: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            self._is_accident = True
        if not self._is_accident:
            await self._send(message)

    def check(self) -> None:
        """Raises RuntimeError if there was one that gradio has not raised."""
        if self._is_accident:
            raise RuntimeError("gradio answered 500")


async def _body(receive: Receive, max_bytes: int) -> bytes:
    """Raises _Refused for one that is too large for a call."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise _Refused(413, "The request body is too large")
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Replay a body that was already read."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _problem(status: int, detail: str, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(
        dict(problem(status, detail)), status, headers, media_type="application/problem+json"
    )


def _check_name(name: object) -> None:
    """Raises _Refused for a name that the page gives to nothing."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _Refused(400, "The page names sessions with ASCII letters, digits, - and _ only")


def _without_untrusted(scope: Scope) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in UNTRUSTED]
    return {**scope, "headers": headers}


def _unframed(send: Send) -> Send:
    """Has browsers show the page in no frame of another site, which could have it clicked."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            rule = (b"content-security-policy", b"frame-ancestors 'self'")
            message["headers"] = [
                *message["headers"],
                rule,
                (b"x-content-type-options", b"nosniff"),
            ]
        await send(message)

    return send_on


def _narrowed(headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    """One cookie, for the page's own path and for no request from another site."""
    kept = [(name, value) for name, value in headers if name.lower() != b"set-cookie"]
    secure = "; Secure" if scope["scheme"] == "https" else ""
    for pair in _cookies(headers):
        path = scope.get("root_path", "") or "/"
        cookie = f"{pair}; HttpOnly; Path={path}; SameSite=Lax{secure}"
        kept.append((b"set-cookie", cookie.encode("latin-1")))
    return kept


def _new_sessions(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [pair.partition("=")[2] for pair in _cookies(headers)]


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Name and value of the one kind of cookie that the page uses."""
    given = [value.decode("latin-1") for name, value in headers if name.lower() == b"set-cookie"]
    return [one.partition(";")[0] for one in given if one.startswith(COOKIE)]
