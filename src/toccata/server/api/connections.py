"""Limits of connections: their number, the size of the headers, and timeouts.

uvicorn has a timeout for connections that are idle between requests, but none for a client that
sends half a request. A thousand of those would use up the open files that the system allows.
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

# Open files besides connections: the database, the worker, downloads, webhooks.
RESERVED_FILES = 256
# The socket, and a file that is sent or received: live audio, an output, an upload.
FILES_PER_CONNECTION = 2
MAX_OPEN_FILES = 65_536
MAX_CONNECTIONS = 10_000
LOG_INTERVAL_S = 60.0
CLOSE_DELAY_S = 1.0
UNAVAILABLE = 503

_PROBLEM = b'{"detail": "%s", "status": %d}'
_REASONS = {
    408: b"Request Timeout", 414: b"URI Too Long", 431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}  # fmt: skip
_PAUSED_ACCEPT = "socket.accept() out of system resource"


@dataclass(frozen=True)
class Limits:
    """The limits of connections.

    Attributes:
        connections: The most connections of all clients; one IP address may have half of them.
        head_s: The longest time from the connection, or from the first byte of a further request,
            to the end of its headers.
        head_bytes: The most bytes of the headers, and of the trailers of a chunked body.
        headers: The most headers, and the most trailers.
        url_bytes: The longest URL.
        silence_s: The longest time between two parts of a body.
        slow_s: After this time, a body must have arrived at `min_bytes_per_s` on average.
        min_bytes_per_s: The least average speed of a body.
        stall_s: How long a client may read nothing of its response, as a paused player does.
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


def connection_limit(requested: int | None) -> int:
    """Raise the limit of open files as far as possible, and return the limit of connections.

    Args:
        requested: The limit of the settings; None: MAX_CONNECTIONS.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    max_files = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < max_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, hard))
        soft = max_files
    files = MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    allowed = max(16, (files - RESERVED_FILES) // FILES_PER_CONNECTION)
    return min(allowed, MAX_CONNECTIONS if requested is None else requested)


class OncePerMinute(logging.Filter):
    """A filter that logs each of some messages at most once in LOG_INTERVAL_S.

    Args:
        messages: The messages that clients can cause at will, before their arguments are filled in.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__()
        self._next_s = dict.fromkeys(messages, 0.0)

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether to log a record."""
        next_s = self._next_s.get(str(record.msg))
        if next_s is None:
            return True
        now_s = time.monotonic()
        if now_s < next_s:
            return False
        self._next_s[str(record.msg)] = now_s + LOG_INTERVAL_S
        return True


class LoopErrorHandler:
    """The exception handler of the event loop, which logs a lack of sockets once a minute."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") != _PAUSED_ACCEPT:
            loop.default_exception_handler(context)
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LOG_INTERVAL_S
            log.error("no more connections are accepted for a while: %s", context["exception"])


class LimitedProtocol(HttpToolsProtocol):
    """One connection with limits; `build` makes the class for a server.

    Attributes:
        limits: The limits.
        shares: The connections that are open, by IP address.
    """

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
        self._framing_bytes = self._trailers = 0
        self._body_from_s = self._progress_s = 0.0
        self._refused = self._is_counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_counted = self.shares.acquire(self._address)
        if not self._is_counted:
            log_busy()
            self._refuse(UNAVAILABLE, "There are too many connections", b"retry-after: 5\r\n")
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
        """The IP address of the peer, which may be a proxy: no header is read yet."""
        return client_of({"client": self.client})

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._begin_head()
        else:
            self._framing_bytes += len(data)
        super().data_received(data)
        self._check_sizes()

    def _check_sizes(self) -> None:
        if self._refused:
            return
        if self._in_head and self._head_bytes > self.limits.head_bytes:
            self._refuse(431, "The headers are too large")
        elif not self._in_head and self._framing_bytes > self.limits.head_bytes:
            self._refuse(431, "The chunk extensions or trailers of the body are too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = max(1, self._head_bytes)  # of a request behind another one
        if self._timer is None:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, and drop a trailer, which follows a chunked body."""
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
            raise ValueError("refused")  # stops the parser
        self._in_head = False
        self._framing_bytes = self._trailers = 0
        self._stop_timer()
        super().on_headers_complete()
        self._body_bytes, self._body_from_s = 0, self.loop.time()
        self._progress_s = self._body_from_s
        self._timer = self.loop.call_later(self.limits.silence_s, self._check_body)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._framing_bytes = 0  # counts from the last part of the body on
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
            self._begin_head()  # it waits for a response, and may send anything meanwhile
        elif self._head_bytes:
            self._refuse(408, "The request did not come in time")
        else:
            self.transport.close()

    def _check_body(self) -> None:
        """Refuse a body that is late or slow; time when the server does not read is not counted."""
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
        """Send an error, unless a response has begun, and close the connection."""
        self._refused = True
        self._stop_timer()
        if self._can_respond():
            body = _PROBLEM % (detail.encode(), status)
            head = b"HTTP/1.1 %d %s\r\n%scontent-type: application/problem+json\r\n"
            tail = b"content-length: %d\r\nconnection: close\r\n\r\n%s"
            self.transport.write(head % (status, _REASONS[status], more) + tail % (len(body), body))
        if status == UNAVAILABLE:
            self.transport.close()
        else:  # data that arrives after a close would cause a reset, and lose the response
            self._timer = self.loop.call_later(CLOSE_DELAY_S, self.transport.close)

    def _can_respond(self) -> bool:
        """Whether no other response is being sent."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is None:
            return True
        return bool(cycle.response_complete if self._in_head else not cycle.response_started)


def build(limits: Limits) -> type[LimitedProtocol]:
    """Make the class of connections of a server with these limits."""
    own = {"limits": limits, "shares": Shares(limits.connections)}
    return type("ServerProtocol", (LimitedProtocol,), own)


_BUSY_MESSAGE = "there are too many connections: new ones are refused (--max-connections)"


def log_busy() -> None:
    """Log that connections are refused."""
    log.warning(_BUSY_MESSAGE)


def quiet_logs() -> None:
    """Log messages that clients can cause at will at most once in LOG_INTERVAL_S."""
    for name, messages in (
        (__name__, (_BUSY_MESSAGE,)),
        ("uvicorn.error", ("Invalid HTTP request received.", "Unsupported upgrade request.")),
    ):
        logger = logging.getLogger(name)
        if not any(isinstance(one, OncePerMinute) for one in logger.filters):
            logger.addFilter(OncePerMinute(*messages))
