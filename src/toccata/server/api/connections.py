"""Limits of connections: their number, the size of the head, and timeouts.

uvicorn has a limit for connections that are idle between requests, and none for a client that sends
half a request. A thousand of those would use up the open files that the system allows.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from toccata.server.api.body_limits import client_of
from toccata.server.concurrency import Shares

log = logging.getLogger(__name__)

# Open files that belong to no connection: the database, the worker, downloads, webhooks.
RESERVED_FILES = 256
# The socket, and a file that is sent or received: live audio, an output, an upload.
FILES_PER_CONNECTION = 2
WANTED_FILES = 65_536
MAX_CONNECTIONS = 10_000
QUIET_S = 60.0
LINGER_S = 1.0
BUSY = 503

_PROBLEM = b'{"detail": "%s", "status": %d}'
_REASONS = {
    408: b"Request Timeout", 414: b"URI Too Long", 431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}  # fmt: skip
_PAUSED_ACCEPT = "socket.accept() out of system resource"


@dataclass(frozen=True)
class Limits:
    """What one client may do. connections: of all clients together; of one address, half of them.

    head_s: from the first byte of a request, or from the connection on, to the end of its headers.
    head_bytes and headers: of the headers, and of trailers behind a body in chunks.
    silence_s: between two pieces of a body. slow_s: after that long, a body must have come at
    min_bytes_per_s on average. stall_s: for how long a client may read nothing of its answer; a
    player that is paused does that.
    """

    connections: int = 1000
    head_s: float = 15.0
    head_bytes: int = 64 * 1024
    headers: int = 100
    url_bytes: int = 16 * 1024
    silence_s: float = 30.0
    slow_s: float = 60.0
    min_bytes_per_s: int = 256
    stall_s: float = 600.0


def connection_limit(wanted: int | None) -> int:
    """How many connections may be open. Raises the limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    files = WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    allowed = max(16, (files - RESERVED_FILES) // FILES_PER_CONNECTION)
    return min(allowed, MAX_CONNECTIONS if wanted is None else wanted)


class OncePerMinute(logging.Filter):
    """Lets each message pass once in QUIET_S seconds, so that no client can fill the log."""

    def __init__(self, *messages: str) -> None:
        super().__init__()
        self._next_s = dict.fromkeys(messages, 0.0)

    def filter(self, record: logging.LogRecord) -> bool:
        next_s = self._next_s.get(str(record.msg))
        if next_s is None:
            return True
        now_s = time.monotonic()
        if now_s < next_s:
            return False
        self._next_s[str(record.msg)] = now_s + QUIET_S
        return True


class Complaints:
    """The event loop's own errors; that there are no more sockets it would say without end."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") != _PAUSED_ACCEPT:
            loop.default_exception_handler(context)
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + QUIET_S
            log.error("no more connections are accepted for a while: %s", context["exception"])


class LimitedProtocol(HttpToolsProtocol):
    """One connection, within `limits`; `build` makes the class for a server."""

    limits: Limits
    shares: Shares

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._loose_bytes = self._trailers = 0
        self._body_from_s = self._progress_s = 0.0
        self._refused = self._is_counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_counted = self.shares.acquire(self._address)
        if not self._is_counted:
            log_busy()
            self._refuse(BUSY, "There are too many connections", b"retry-after: 5\r\n")
            return
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._is_counted:
            self.shares.release(self._address)
        super().connection_lost(exc)

    @property
    def _address(self) -> str:
        """Of who is connected, which may be a proxy for many: no header says for whom yet."""
        return client_of({"client": self.client})

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._begin_head()
        else:
            self._loose_bytes += len(data)
        super().data_received(data)
        self._check_sizes()

    def _check_sizes(self) -> None:
        if self._refused:
            return
        if self._in_head and self._head_bytes > self.limits.head_bytes:
            self._refuse(431, "The headers are too large")
        elif not self._in_head and self._loose_bytes > self.limits.head_bytes:
            self._refuse(431, "What stands between or behind the pieces of the body is too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = max(1, self._head_bytes)  # behind another request in the same piece
        if self._timer is None:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Headers are kept; trailers, which come behind a body in chunks, are not."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailers += 1
        if self._trailers > self.limits.headers:
            self._refuse(431, "There are too many trailers")
            raise ValueError("refused")

    def on_headers_complete(self) -> None:
        size = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > self.limits.url_bytes:
            self._refuse(414, "The address is too long")
        elif len(self.headers) > self.limits.headers or size > self.limits.head_bytes:
            self._refuse(431, "The headers are too many or too large")
        if self._refused:
            raise ValueError("refused")  # ends the parser's work on this connection
        self._in_head = False
        self._loose_bytes = self._trailers = 0
        self._stop_timer()
        super().on_headers_complete()
        self._body_bytes, self._body_from_s = 0, self.loop.time()
        self._progress_s = self._body_from_s
        self._timer = self.loop.call_later(self.limits.silence_s, self._check_body)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._loose_bytes = 0  # of what has come since the last piece of the body
        self._progress_s = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            self._stop_timer()
            super().send_400_response(msg)

    def _begin_head(self) -> None:
        self._timer = self.loop.call_later(self.limits.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._begin_head()  # it is waiting for an answer: what it sends meanwhile may be noise
        elif self._head_bytes:
            self._refuse(408, "The request did not come in time")
        else:
            self.transport.close()

    def _check_body(self) -> None:
        """While the server itself is not reading, the client is not to blame."""
        now_s, limits = self.loop.time(), self.limits
        if self.flow.read_paused:
            self._body_from_s, self._body_bytes, self._progress_s = now_s, 0, now_s
        lasted_s = now_s - self._body_from_s
        is_slow = lasted_s > limits.slow_s and self._body_bytes < lasted_s * limits.min_bytes_per_s
        if now_s - self._progress_s >= limits.silence_s or is_slow:
            self._refuse(408, "The body did not come in time")
            return
        self._timer = self.loop.call_later(limits.silence_s / 4, self._check_body)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, detail: str, more: bytes = b"") -> None:
        """Answer, unless an answer has begun, and close."""
        self._refused = True
        self._stop_timer()
        if self._may_answer():
            body = _PROBLEM % (detail.encode(), status)
            head = b"HTTP/1.1 %d %s\r\n%scontent-type: application/problem+json\r\n"
            tail = b"content-length: %d\r\nconnection: close\r\n\r\n%s"
            self.transport.write(head % (status, _REASONS[status], more) + tail % (len(body), body))
        if status == BUSY:
            self.transport.close()
        else:  # what the client still sends would turn a close into a reset, and lose the answer
            self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _may_answer(self) -> bool:
        """Whether no other answer is on its way."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is None:
            return True
        return bool(cycle.response_complete if self._in_head else not cycle.response_started)


def build(limits: Limits) -> type[LimitedProtocol]:
    """The class of connections of a server with these limits."""
    own = {"limits": limits, "shares": Shares(limits.connections)}
    return type("ServerProtocol", (LimitedProtocol,), own)


_BUSY = "there are too many connections: new ones are refused (--max-connections)"


def log_busy() -> None:
    log.warning(_BUSY)


def quiet_logs() -> None:
    """Have what clients can cause at will logged at most once a minute."""
    for name, messages in (
        (__name__, (_BUSY,)),
        ("uvicorn.error", ("Invalid HTTP request received.", "Unsupported upgrade request.")),
    ):
        logger = logging.getLogger(name)
        if not any(isinstance(one, OncePerMinute) for one in logger.filters):
            logger.addFilter(OncePerMinute(*messages))
