"""Addresses given by users: what is fetched and posted, and what is never connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpcore2
import pytest

from toccata.server import outbound
from toccata.server.outbound import (
    Answer,
    OutboundClient,
    OutboundError,
    OutboundPolicy,
    check_url,
    is_public,
)

OPEN = OutboundPolicy(allow_private=True, max_bytes=1000, timeout_s=5.0, max_redirects=2)
SONG = b"song" * 100

# Of this machine.
SPELLINGS = """
    127.0.0.1 localhost 0x7f000001 2130706433 127.1 0177.0.0.1 127.0.0.1. 0 0.0.0.0 [::1]
    [::ffff:127.0.0.1] [::ffff:7f00:1] [64:ff9b::7f00:1] [2002:7f00:1::] [::127.0.0.1]
    127%2e0.0.1 ①②7.0.0.1
"""
NOT_PUBLIC = """
    10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 192.0.0.192
    168.63.129.16 0.0.0.0 224.0.0.1 240.0.0.1 255.255.255.255 198.18.0.1
    :: ::1 fe80::1 fe80::1%1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 3fff::1 5f00::1 2001::1
    4000::1
    ::ffff:10.0.0.1 2002:a00:1:: 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808
"""
PUBLIC = "8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::"
BAD_URLS = """
    song.wav //host/ http:// http:///x http://:80/ ftp://host/ file:///x http://[::1
    http://me@host/ http://me:secret@host/ http:me:secret@host/ http://me:secret?@host/
    http://host:0/ http://host:65536/ http://host:x/ data:audio/wav;base64,AAAA
    http://host\\@127.0.0.1/
"""
ODD_URLS = (
    *("", "http://ho\nst/", "http://host/\0", "http://host/\x7f", "http://host/\ud800"),
    f"http://host/{'x' * 70_000}",
    f"http://xn--{'z' * 300}/",
)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(self)
        length = int(self.headers.get("Content-Length", 0))
        self.server.bodies.append(self.rfile.read(length))
        path = self.path.partition("?")[0]
        if path.startswith("/redirect/"):
            left = int(path.removeprefix("/redirect/"))
            to = f"/redirect/{left - 1}" if left > 1 else "/song"
            self.answer(302, {"Location": to, "Set-Cookie": "a=b"})
        elif path == "/to":
            self.answer(307, {"Location": self.path.partition("?")[2]})
        elif path == "/chunked":
            self.answer(200, {"Transfer-Encoding": "chunked"}, b"190\r\n" + SONG + b"\r\n", 100)
        elif path == "/slow":
            time.sleep(0.6)
            self.answer(200)
        elif path == "/trickle":
            self.answer(200, {"Content-Length": "900"}, b"x", 6, pause_s=0.1)
        elif path == "/cut":
            self.answer(200, {"Content-Length": "900"}, b"x")
        elif path == "/zipped":
            self.answer(200, {"Content-Encoding": "gzip", "Content-Length": "3"}, b"abc")
        elif path.startswith("/status/"):
            self.answer(int(path.removeprefix("/status/")))
        else:
            self.answer(200, {"Content-Length": str(len(SONG))}, SONG)

    do_POST = do_PUT = do_GET  # noqa: N815

    def answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        times: int = 1,
        pause_s: float = 0.0,
    ) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {"Content-Length": "0"}).items():
            self.send_header(name, value)
        try:
            self.end_headers()
            for _ in range(times):
                self.wfile.write(body)
                time.sleep(pause_s)
        except OSError:  # cut off, which is what some tests are about
            pass

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Keeps what it was asked; `connections` counts the ones that asked nothing too."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Handler] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(url: str, folder: Path, policy: OutboundPolicy = OPEN) -> bytes:
    async def run() -> Path:
        return await OutboundClient(policy).fetch(url, folder / "song.wav")

    return asyncio.run(run()).read_bytes()


def post(url: str, policy: OutboundPolicy = OPEN, timeout_s: float = 5.0) -> int:
    async def run() -> int:
        headers = {"X-Signature": "é", "Host": "x"}
        return await OutboundClient(policy).post(url, b"{}", headers, timeout_s=timeout_s)

    return asyncio.run(run())


def refusal(call: Callable[[], object], folder: Path | None = None) -> str:
    """The message of the error that it ends with; nothing may be left behind."""
    with pytest.raises(OutboundError) as caught:
        call()
    assert caught.value.http_status == 422
    assert folder is None or not list(folder.iterdir())
    return str(caught.value)


def resolves(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Names resolve to these addresses, a name's first look-up to its first; returns the log."""
    log: list[str] = []

    async def resolve(host: str, *_: object) -> list[str]:
        log.append(host)
        return [names[host].pop(0) if len(names[host]) > 1 else names[host][0]]

    monkeypatch.setattr(outbound, "resolve", resolve)
    return log


def test_fetch_writes_the_file(server: Server, tmp_path: Path) -> None:
    assert fetch(server.url("/song?key=1"), tmp_path) == SONG
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    headers = server.requests[0].headers
    assert headers["User-Agent"] == "toccata"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_redirects_are_followed_without_cookies(server: Server, tmp_path: Path) -> None:
    assert fetch(server.url("/redirect/2"), tmp_path) == SONG
    assert server.paths == ["/redirect/2", "/redirect/1", "/song"]
    assert all("Cookie" not in request.headers for request in server.requests)


def test_a_file_of_just_the_size_allowed(server: Server, tmp_path: Path) -> None:
    assert fetch(server.url("/song"), tmp_path, replace(OPEN, max_bytes=len(SONG))) == SONG


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/redirect/3", "redirects more than 2 times"),
        ("/to", "redirects to no valid address"),
        ("/to?http://a:0/", "redirects to no valid address"),
        (f"/to?http://xn--{'z' * 300}/", "redirects to no valid address"),
        ("/to?http:////]", "redirects to no valid address"),
        ("/to?file:///etc/passwd", "neither http nor https"),
        ("/to?http://me:secret@host/", "user or password"),
        ("/chunked", "more than the 1000 bytes"),
        ("/status/404", "status 404"),
        ("/status/304", "status 304"),
        ("/cut", "did not answer properly"),
        ("/zipped", "Content-Encoding 'gzip'"),
    ],
)
def test_failed_fetches(server: Server, tmp_path: Path, path: str, reason: str) -> None:
    message = refusal(lambda: fetch(server.url(path), tmp_path), tmp_path)
    assert reason in message
    assert "secret" not in message


def test_a_long_body_is_refused_by_its_header(server: Server, tmp_path: Path) -> None:
    policy = replace(OPEN, max_bytes=899)  # it says 900 and sends 6
    message = refusal(lambda: fetch(server.url("/trickle"), tmp_path, policy), tmp_path)
    assert "899 bytes allowed" in message


@pytest.mark.parametrize("path", ["/slow", "/trickle"])
def test_a_fetch_takes_only_so_long(server: Server, tmp_path: Path, path: str) -> None:
    policy = replace(OPEN, timeout_s=0.3)
    message = refusal(lambda: fetch(server.url(path), tmp_path, policy), tmp_path)
    assert "longer than 0.3 s" in message


def test_no_one_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert "did not answer" in refusal(lambda: fetch(url, tmp_path), tmp_path)


@pytest.mark.parametrize("status", [200, 500])
def test_post(server: Server, status: int) -> None:
    assert post(server.url(f"/status/{status}")) == status
    assert server.bodies == [b"{}"]
    headers = server.requests[0].headers
    assert headers["X-Signature"].encode("latin-1") == "é".encode()
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_post_follows_no_redirect_and_reads_no_body(server: Server) -> None:
    assert post(server.url("/redirect/1")) == 302
    assert post(server.url("/chunked")) == 200
    assert server.paths == ["/redirect/1", "/chunked"]


def test_put_follows_no_redirect(server: Server) -> None:
    async def run() -> Answer:
        return await OutboundClient(OPEN).put(server.url("/redirect/1"), SONG, {})

    assert asyncio.run(run()) == Answer(302, "/song")
    assert server.bodies == [SONG]


def test_a_post_takes_only_so_long(server: Server) -> None:
    assert "0.3 s" in refusal(lambda: post(server.url("/slow"), timeout_s=0.3))


def test_proxies_of_the_environment_are_ignored(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(server.url("/song"), tmp_path) == SONG


@pytest.mark.parametrize("host", SPELLINGS.split())
def test_no_spelling_of_this_machine_is_connected_to(
    server: Server, tmp_path: Path, host: str
) -> None:
    url = server.url("/song", host)
    refusal(lambda: fetch(url, tmp_path, OutboundPolicy()), tmp_path)
    refusal(lambda: post(url, OutboundPolicy()))
    assert server.connections == 0


def test_a_name_of_a_private_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, {"music.example": ["127.0.0.1"]})
    url = server.url("/song", "music.example")
    message = refusal(lambda: fetch(url, tmp_path, OutboundPolicy()))
    assert "not on the public internet" in message
    assert "127.0.0.1" not in message
    assert server.connections == 0


def test_one_private_address_among_public_ones(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    monkeypatch.setattr(outbound, "resolve", resolve)
    url = server.url("/song", "music.example")
    assert "public" in refusal(lambda: fetch(url, tmp_path, OutboundPolicy()))


def test_the_next_address_is_tried(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(outbound, "resolve", resolve)
    assert fetch(server.url("/song", "music.example"), tmp_path) == SONG


def test_a_redirect_to_a_private_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, {"music.example": ["127.0.0.1"], "inside.example": ["127.0.0.2"]})
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")
    url = server.url(f"/to?{server.url('/song', 'inside.example')}", "music.example")
    message = refusal(lambda: fetch(url, tmp_path, OutboundPolicy()), tmp_path)
    assert "inside.example" in message
    assert server.paths == [url.partition(str(server.server_port))[2]]
    assert server.connections == 1


def test_a_name_is_looked_up_once_per_connection(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = resolves(monkeypatch, {"music.example": ["127.0.0.1", "10.0.0.1"]})
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")
    url = server.url("/song", "music.example")
    assert fetch(url, tmp_path, OutboundPolicy()) == SONG
    assert log == ["music.example"]
    assert server.requests[0].headers["Host"] == f"music.example:{server.server_port}"
    refusal(lambda: post(url, OutboundPolicy()))  # by the second answer
    assert server.connections == 1


def test_tls_stays_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, {"music.example": ["127.0.0.1"]})
    hello: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def accept() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(5)
                hello.append(connection.recv(4096))

        thread = Thread(target=accept)
        thread.start()
        url = f"https://music.example:{listener.getsockname()[1]}/"
        refusal(lambda: fetch(url, tmp_path, OPEN), tmp_path)
        thread.join()
    assert b"music.example" in hello[0]


def test_certificates_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[str, Any] = {}

    class Pool(httpcore2.AsyncConnectionPool):
        def __init__(self, **all_of_it: Any) -> None:
            used.update(all_of_it)
            super().__init__(**all_of_it)

    monkeypatch.setattr(httpcore2, "AsyncConnectionPool", Pool)
    refusal(lambda: post("https://127.0.0.1/", OutboundPolicy()))
    assert used["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert used["ssl_context"].check_hostname


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", [*BAD_URLS.split(), *ODD_URLS])
def test_addresses_refused_by_their_text(url: str) -> None:
    message = refusal(lambda: check_url(url))
    assert message.isprintable()
    assert "secret" not in message
    assert len(message) < 300


def test_messages_hide_queries() -> None:
    url = "ftp://me:secret@host:1/a%0Ab?key=secret#secret"
    assert refusal(lambda: check_url(url)).startswith("'ftp://host:1/a%0Ab': ")


def test_the_default_policy() -> None:
    assert OutboundPolicy() == OutboundPolicy(False, 100 * 2**20, 60.0, 5)


def test_it_opens_only_so_many_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MAX_CONNECTIONS", 2)
    open_now, counts = set[object](), list[int]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        counts.append(len(open_now))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        open_now.discard(writer)
        writer.close()

    async def act() -> list[int]:
        server = await asyncio.start_server(answer, "127.0.0.1")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outer = OutboundClient(OPEN)
        async with server:
            return await asyncio.gather(*(outer.post(url, b"", {}) for _ in range(8)))

    assert asyncio.run(act()) == [204] * 8
    assert max(counts) == 2


def test_names_of_one_owner_that_resolve_slowly_hold_up_no_other_owner(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the time count for which an owner's own names wait for a thread."""
    hangs, look_up = Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> list[Any]:
        if host == "slow.example":
            hangs.wait(20)
        return look_up("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    slow, quick = (server.url("/status/204", f"{name}.example") for name in ("slow", "quick"))

    async def act() -> None:
        outer = OutboundClient(OPEN)
        many = [
            asyncio.create_task(outer.post(slow, b"", {}, "many", 0.3))
            for _ in range(outbound.NUM_DNS_THREADS + 1)
        ]
        _, waiting = await asyncio.wait(many, timeout=1)
        assert len(waiting) == len(many) - outbound.MAX_LOOKUPS_PER_OWNER
        assert await outer.post(quick, b"", {}, "one") == 204
        hangs.set()
        await asyncio.gather(*many, return_exceptions=True)

    asyncio.run(act())
