"""Outbound HTTP to addresses from clients: downloads, webhooks, uploads; private ones are refused.

Such an address may be bait for what only this machine can reach. So a host name is resolved here,
once per connection, all that it resolves to must be public, and the connection goes to one of
those very addresses: a second answer of the name server cannot swap it. Host header, TLS name and
certificate check stay with the name. Below is the bare pool: it has no cookies, proxies, redirects
or decoders that would have to be turned off.

Connections and look-ups of names are shared between the owners of predictions. The time that an
exchange waits for its turn does not count towards its time limit.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpcore2
import httpx2

from toccata.errors import ToccataError
from toccata.server.concurrency import ConcurrencyLimit, FairThreads

REDIRECTS = (301, 302, 303, 307, 308)
MAX_SHOWN_CHARS = 200
MAX_URL_CHARACTERS = 8192
MAX_PORT = 65535
# So many that a few slow servers keep no other waiting, and so few that files remain to open.
MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_OWNER = 64
# A name server that does not answer holds a thread for as long as the system's resolver waits.
NUM_DNS_THREADS = 32
MAX_LOOKUPS_PER_OWNER = 4
# A name with thousands of addresses must not become thousands of connections.
MAX_TRIED_ADDRESSES = 4
# IPv6 addresses whose last 32 bits are an IPv4 address, which is where packets end up.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, though `ipaddress` says so, in some versions of Python at least.
NOT_PUBLIC = (
    ipaddress.ip_network("100.64.0.0/10"),  # shared by a provider's customers
    ipaddress.ip_network("168.63.129.16/32"),  # what Azure tells its machines
    ipaddress.ip_network("192.0.0.0/24"),  # protocols; what Oracle tells its machines
    ipaddress.ip_network("192.88.99.0/24"),  # relays into 2002::/16
    ipaddress.ip_network("fec0::/10"),  # private once
    ipaddress.ip_network("3fff::/20"),  # documentation
    ipaddress.ip_network("5f00::/16"),  # segments of a provider's routes
)
# What reading an address raises; UnicodeError for a host in Punycode that nothing decodes to.
UNREADABLE = (httpx2.InvalidURL, ValueError)
EXCHANGE_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    ssl.SSLError,
)


class OutboundError(ToccataError):
    """An address given by the user cannot be used; the message names it without its secrets."""

    http_status = 422

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{_shown(url)!r}: {reason}")


@dataclass(frozen=True)
class Answer:
    """Of a server that something was put to. `location` is where it is now, empty if unsaid."""

    status: int
    location: str


class _RefusedError(Exception):
    """A host name must not or cannot be connected to."""


@dataclass(frozen=True)
class OutboundPolicy:
    """What the operator lets users reach. `timeout_s` is for a whole fetch with its redirects."""

    allow_private: bool = False  # loopback, local networks and the like
    max_bytes: int = 100 * 2**20
    timeout_s: float = 60.0
    max_redirects: int = 5


def check_url(url: str) -> None:
    """Raises OutboundError unless it is http or https with a host and no password in it.

    Looks at the text only; the host is resolved and checked when it is connected to.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise OutboundError(url[:MAX_SHOWN_CHARS], "is too long; give a shorter address")
    parsed = _parsed(url)
    if parsed is None:
        raise OutboundError(url, "is not a valid address; give one like https://host/path")
    if parsed.scheme not in ("http", "https"):
        raise OutboundError(url, "is neither http nor https; give an address that is")
    if not parsed.host:
        raise OutboundError(url, "has no host; give one like https://host/path")
    if parsed.userinfo:
        raise OutboundError(url, "holds a user or password; leave them out")


def check_webhook(url: str, *, allow_private: bool) -> None:
    """Raises OutboundError as `check_url` does, and for a host that is plainly a private one.

    What its name resolves to is checked when it is connected to; that may change until then.
    """
    check_url(url)
    parsed = _parsed(url)
    host = "" if parsed is None else parsed.host.rstrip(".").lower()
    if not allow_private and not _may_be_public(host):
        raise OutboundError(url, "its host is not on the public internet; give one that is")


def _may_be_public(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return is_public(host.strip("[]"))
    except ValueError:
        pass
    try:  # "2130706433", "0x7f.1" and "127.1" are addresses too
        return is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, UnicodeError):
        return True


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, wherever it is wrapped in."""
    ip = _unwrapped(ipaddress.ip_address(address))
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified
    return ip.is_global and not special and not any(ip in network for network in NOT_PUBLIC)


# Runs a call that may block, and awaits its result.
RunBlocking = Callable[[Callable[[], list[Any]]], Awaitable[list[Any]]]


async def resolve(host: str, port: int, run: RunBlocking) -> list[str]:
    """The IP addresses of a host, each once, the best first. Raises OSError, UnicodeError.

    run: waits for name servers, which may be slow.
    """
    found = await run(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True)
class _Turn:
    """Whose exchange it is, and when it has to be over."""

    owner: str
    timeout_s: float
    deadline: asyncio.Timeout

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """The time that the block takes does not count."""
        loop, ends_s = asyncio.get_running_loop(), self.deadline.when() or 0.0
        left_s = ends_s - loop.time()
        self.deadline.reschedule(None)
        try:
            yield
        finally:
            self.deadline.reschedule(loop.time() + left_s)


class OutboundClient:
    """Speaks to addresses given by users.

    owner: of the prediction that an exchange is for.
    """

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy
        self._ssl = httpcore2.default_ssl_context()
        self._connections = ConcurrencyLimit(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_OWNER)
        self._lookups = FairThreads("dns", NUM_DNS_THREADS, MAX_LOOKUPS_PER_OWNER)

    async def fetch(self, url: str, to: Path, owner: str = "") -> Path:
        """Download into the file `to`; on failure none is left behind. Raises OutboundError."""
        beside = to.with_name(f"{to.name}.partial")
        try:
            async with self._turn(url, owner, self._policy.timeout_s) as turn:
                await self._download(url, beside, turn)
            return beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        owner: str = "",
        timeout_s: float = 5.0,
    ) -> int:
        """The status of the answer, whatever it is; its body is not read. Raises OutboundError."""
        async with (
            self._turn(url, owner, timeout_s) as turn,
            self._exchange("POST", url, turn, headers, body) as response,
        ):
            return response.status

    async def put(
        self, url: str, body: bytes, headers: Mapping[str, str], owner: str = ""
    ) -> Answer:
        """The head of the answer, whatever it is; no redirect is followed. Raises OutboundError."""
        async with (
            self._turn(url, owner, self._policy.timeout_s) as turn,
            self._exchange("PUT", url, turn, headers, body) as response,
        ):
            return Answer(response.status, _header(response, "location"))

    @asynccontextmanager
    async def _turn(self, url: str, owner: str, timeout_s: float) -> AsyncIterator[_Turn]:
        """Wait for one of the owner's connections. Raises OutboundError if the time is over."""
        async with self._connections.of(owner), _deadline(url, timeout_s) as deadline:
            yield _Turn(owner, timeout_s, deadline)

    async def _look_up(self, turn: _Turn, host: str, port: int) -> list[str]:
        """As `resolve`."""
        return await resolve(
            host, port, lambda call: self._lookups.run(turn.owner, call, turn.paused())
        )

    async def _download(self, url: str, beside: Path, turn: _Turn) -> None:
        hop = url
        for _ in range(self._policy.max_redirects + 1):
            async with self._exchange("GET", hop, turn) as response:
                if response.status not in REDIRECTS:
                    return await self._save(hop, response, beside)
                hop = _redirected(hop, response)
        raise OutboundError(
            url,
            f"redirects more than {self._policy.max_redirects} times; give the address "
            "that it ends at",
        )

    async def _save(self, url: str, response: httpcore2.Response, beside: Path) -> None:
        _check_head(url, response)
        self._check_size(url, int(_header(response, "content-length") or 0))
        size_bytes = 0
        with beside.open("wb") as file:
            async for chunk in response.aiter_stream():
                size_bytes += len(chunk)
                self._check_size(url, size_bytes)
                file.write(chunk)

    def _check_size(self, url: str, size_bytes: int) -> None:
        allowed = self._policy.max_bytes
        if size_bytes > allowed:
            raise OutboundError(
                url, f"has more than the {allowed} bytes allowed; give a shorter one"
            )

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        turn: _Turn,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AsyncIterator[httpcore2.Response]:
        check_url(url)
        parsed = httpx2.URL(url)
        sockets: list[httpcore2.AsyncNetworkStream] = []
        try:
            async with (
                self._pool(turn) as pool,
                pool.stream(
                    method,
                    _target(parsed),
                    headers=_headers(parsed, headers or {}),
                    content=body,
                    extensions={
                        "timeout": {"connect": turn.timeout_s},
                        "trace": partial(_note_socket, sockets),
                    },
                ) as response,
            ):
                yield response
        except _RefusedError as error:
            raise OutboundError(url, str(error)) from error
        except EXCHANGE_ERRORS as error:
            reason = str(error)[:MAX_SHOWN_CHARS] or type(error).__name__
            raise OutboundError(
                url, f"did not answer properly ({reason}); check it, then try again"
            ) from error
        finally:
            # The pool leaves a socket open whose TLS handshake is cancelled.
            for stream in sockets:
                await stream.aclose()

    def _pool(self, turn: _Turn) -> httpcore2.AsyncConnectionPool:
        """For one request: each goes to an address that was checked for it."""
        look_up = partial(self._look_up, turn)
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._ssl,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_CheckedBackend(self._policy.allow_private, look_up),
        )


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(
        self, allow_private: bool, look_up: Callable[[str, int], Awaitable[list[str]]]
    ) -> None:
        self._allow_private, self._look_up = allow_private, look_up
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._checked(host, port)
        share_s = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(
                    address, port, share_s, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise _RefusedError("its host is not known; check the spelling") from error
        if addresses and (self._allow_private or all(is_public(one) for one in addresses)):
            return addresses[:MAX_TRIED_ADDRESSES]
        # Which address it is stays untold: it would map the inside for those who ask.
        raise _RefusedError("its host is not on the public internet; give one that is")


@asynccontextmanager
async def _deadline(url: str, timeout_s: float) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            yield deadline
    except TimeoutError as error:
        raise OutboundError(
            url, f"took longer than {timeout_s:g} s; give one that answers sooner"
        ) from error


async def _note_socket(
    sockets: list[httpcore2.AsyncNetworkStream], event: str, info: Mapping[str, Any]
) -> None:
    if event == "connection.connect_tcp.complete":
        sockets.append(info["return_value"])


def _target(url: httpx2.URL) -> httpcore2.URL:
    return httpcore2.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _headers(url: httpx2.URL, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Those of the caller, lower case, with ours, which win."""
    given = {name.lower().encode(): value.encode() for name, value in headers.items()}
    ours = {b"host": url.netloc, b"accept-encoding": b"identity"}
    return list({b"user-agent": b"toccata", **given, **ours}.items())


def _header(response: httpcore2.Response, name: str) -> str:
    """Empty if there is none."""
    found = (value for key, value in response.headers if key.lower() == name.encode())
    return next(found, b"").decode("utf-8", "replace")


def _check_head(url: str, response: httpcore2.Response) -> None:
    if not 200 <= response.status < 300:
        raise OutboundError(
            url, f"answered with status {response.status}; give one that answers with a file"
        )
    # Nobody may compress for us: a few kB can unfold to gigabytes.
    encoding = _header(response, "content-encoding").strip().lower()[:MAX_SHOWN_CHARS]
    if encoding not in ("", "identity"):
        raise OutboundError(
            url, f"answered in Content-Encoding {encoding!r}; give one that sends files as they are"
        )


def _redirected(url: str, response: httpcore2.Response) -> str:
    """The absolute address it redirects to, still to be checked."""
    location = _header(response, "location")
    base, target = _parsed(url), _parsed(location)
    with suppress(*UNREADABLE):
        if location and base is not None and target is not None:
            return str(base.join(target))
    raise OutboundError(url, "redirects to no valid address; give the one it should end at")


def _unwrapped(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), or else itself."""
    if ip.version == 4:
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _parsed(url: str) -> httpx2.URL | None:
    """None if it is no address at all, neither absolute nor relative."""
    if not url.isprintable():
        return None
    try:
        parsed = httpx2.URL(url)
        _ = parsed.host  # decoded only now
    except UNREADABLE:
        return None
    return parsed if parsed.port is None or 0 < parsed.port <= MAX_PORT else None


def _shown(url: str) -> str:
    """The address as messages may show it: without user, password, query and fragment."""
    parsed = _parsed(url)
    if parsed is not None and parsed.host:
        path = parsed.raw_path.partition(b"?")[0]
        shown = f"{parsed.scheme}://{(parsed.netloc + path).decode()}"
    else:  # there is no telling what is a password here
        shown = "…" if "@" in url else re.split("[?#]", url)[0]
    return shown[:MAX_SHOWN_CHARS]
