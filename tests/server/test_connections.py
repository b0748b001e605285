"""Clients that send too slowly, too much, or are too many."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served, serving
from toccata.server import program
from toccata.server.api.body_limits import FREE_BYTES, BodyLimits, client_of
from toccata.server.api.connections import (
    RESERVED_FILES,
    Limits,
    LoopErrorHandler,
    OncePerMinute,
    connection_limit,
)
from toccata.server.api.form_memory import SPOOLED_BYTES
from toccata.server.config import ServerSettings
from toccata.server.predictions.quota import QuotaError, UploadQuota
from toccata.server.storage.repository import StoredFile

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def hasty(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Served:
    limits = partial(Limits, head_s=0.2, silence_s=0.2)
    monkeypatch.setattr(program, "Limits", limits)
    return serve()


@contextmanager
def connected(served: Served, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    there = ("127.0.0.1", served.client.base_url.port or 0)
    with socket.create_connection(there, TIMEOUT_S, (source, 0)) as connection:
        yield connection


def answered(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    while block := connection.recv(65536):
        found += block
    return found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""), (b"GET", b" 408 "), (GET, b" 408 "), (GET + b"X: " + b"a" * 100, b" 408 "),
        (POST + b"Content-Length: 100\r\n\r\n{", b" 408 "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b" 408 "),
        (GET + b"\r\n" + GET, b" 200 "),
    ],
)  # fmt: skip
def test_who_says_nothing_more_is_cut_off(hasty: Served, sent: bytes, status: bytes) -> None:
    with connected(hasty) as connection:
        connection.sendall(sent)
        assert status in answered(connection)
    assert hasty.client.get("/healthz").status_code == 200


def test_who_reads_nothing_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "Limits", partial(Limits, stall_s=0.2))
    served = serve()
    content = bytes(40 * 2**20)
    file = served.client.post("/v1/files", files={"content": ("a.wav", content)}).json()
    path = file["urls"]["get"].removeprefix(served.url) + "/download"
    with connected(served) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        state = served.program.server_state
        ends = time.monotonic() + TIMEOUT_S
        while len(state.connections) > 1:  # the client's own stays
            assert time.monotonic() < ends
            time.sleep(0.02)


def test_who_was_answered_is_not_answered_again(hasty: Served) -> None:
    """The body is refused at once for its type, and then does not come."""
    with connected(hasty) as connection:
        head = POST.replace(b"application/json", b"text/plain")
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        answer = answered(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b" 415 " in answer


def test_a_line_end_behind_a_request_is_no_other_one(hasty: Served) -> None:
    """Some clients send one. The answer takes longer than a head may."""
    body = b'{"version": "%s", "input": {"prompt": "slow 1 piano"}}' % SEED_VERSION.encode()
    more = b"Prefer: wait\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)
    with connected(hasty) as connection:
        connection.sendall(POST + more)
        assert b" 201 " in connection.recv(1000)


def test_who_waits_for_an_answer_is_not_cut_off(hasty: Served) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "slow 1 piano", "duration": 1}}
    answer = hasty.client.post("/v1/predictions", json=body, headers={"Prefer": "wait"})
    assert answer.json()["status"] == "succeeded"
    hasty.client.get("/healthz")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET + b"X: 1\r\n" * 200 + b"\r\n", b" 431 "),
        (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", b" 431 "),
        (GET + b"X: " + b"a" * 200_000, b" 431 "),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 414 "),
    ],
)
def test_a_head_has_a_limit(serve: Serve, sent: bytes, status: bytes) -> None:
    served = serve()
    with connected(served) as connection:
        connection.sendall(sent)
        answer = answered(connection)
    assert status in answer
    assert b"application/problem+json" in answer
    assert served.client.get("/healthz").status_code == 200


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "more", [b"x1: bbbb\r\n" * 200, b"x1: " + b"b" * 300_000, b"1;a=" + b"b" * 300_000]
)
def test_what_comes_behind_chunks_has_a_limit(serve: Serve, more: bytes) -> None:
    served = serve()
    end = b"" if more.startswith(b"1;") else b"0\r\n"
    with connected(served) as connection:
        connection.sendall(CHUNKED + b"1\r\n{\r\n" + end + more)
        assert b" 431 " in answered(connection)
    assert served.client.get("/healthz").status_code == 200


def test_a_few_trailers_are_ignored(serve: Serve) -> None:
    with connected(serve()) as connection:
        end = b"0\r\nx-checksum: 1\r\nauthorization: a\r\n\r\n"
        connection.sendall(CHUNKED + b"2\r\n{}\r\n" + end)
        assert b" 422 " in connection.recv(65536)


def test_connections_are_counted(serve: Serve) -> None:
    """One address has half of them, so that another is answered still."""
    served = serve(max_connections=5)
    served.client.get("/healthz")  # stays open
    with connected(served), connected(served):
        with connected(served, "127.0.0.2") as other:
            other.sendall(GET + b"Connection: close\r\n\r\n")
            assert b" 200 " in answered(other)
        with connected(served) as one_too_many:
            answer = answered(one_too_many)
        assert b" 503 " in answer
        assert b"retry-after" in answer
        assert served.client.get("/healthz").status_code == 200
    ends = time.monotonic() + TIMEOUT_S
    while True:
        with connected(served) as connection:
            connection.sendall(GET + b"Connection: close\r\n\r\n")
            if b" 200 " in answered(connection):
                return
        assert time.monotonic() < ends


def test_there_are_files_left_for_everything_else() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert connection_limit(100) == 100
        allowed = connection_limit(None)
        assert 2 * allowed <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_clients_cause_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    once = OncePerMinute("again")
    records = [logging.LogRecord("x", 30, "", 0, text, (), None) for text in ("again", "other") * 3]
    assert [one.msg for one in records if once.filter(one)] == ["again", "other", "other", "other"]
    loop, complaints = asyncio.new_event_loop(), LoopErrorHandler()
    for _ in range(3):
        error = OSError(24, "Too many open files")
        context = {"message": "socket.accept() out of system resource", "exception": error}
        complaints(loop, context)
    loop.close()
    assert len(caplog.records) == 1


def test_large_bodies_share_a_budget() -> None:
    """What does not fit any more is asked to come back; one client has half of it at most."""
    asyncio.run(_share_a_budget())


async def _share_a_budget() -> None:
    app = Slow()
    limits = BodyLimits(app, memory_bytes=6 * FREE_BYTES, disk_bytes=6 * FREE_BYTES)
    first = asyncio.create_task(_post(limits, 2 * FREE_BYTES))
    await app.has_read(1)
    assert (await _post(limits, 2 * FREE_BYTES))[0] == 503
    second = asyncio.create_task(_post(limits, 3 * FREE_BYTES, client="b"))
    await app.has_read(2)
    status, headers = await _post(limits, 2 * FREE_BYTES, client="c")
    assert (status, headers[b"retry-after"]) == (503, b"5")
    small = asyncio.create_task(_post(limits, 100))
    files = asyncio.create_task(_post(limits, 2 * FREE_BYTES, b"multipart/form-data"))
    await app.has_read(4)
    app.finish.set()
    assert [(await one)[0] for one in (first, second, small, files)] == [200] * 4
    assert (await _post(limits, 2 * FREE_BYTES, client="c"))[0] == 200
    assert (await _post(limits, 4 * FREE_BYTES))[0] == 503
    assert (await _post(limits, 10**9))[0] == 413


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data"])
def test_a_body_that_is_only_announced_takes_no_room(kind: bytes) -> None:
    asyncio.run(_announce(kind))


async def _announce(kind: bytes) -> None:
    app = Slow()
    limits = BodyLimits(app, memory_bytes=6 * FREE_BYTES, disk_bytes=6 * FREE_BYTES)
    announced = [
        asyncio.create_task(_post(limits, 3 * FREE_BYTES, kind, str(one), sent=20))
        for one in range(9)
    ]
    await app.has_read(9)
    real = asyncio.create_task(_post(limits, 3 * FREE_BYTES, kind, "real"))
    await app.has_read(10)
    app.finish.set()
    assert [(await one)[0] for one in (*announced, real)] == [200] * 10


def test_bodies_of_a_hundred_kilobytes_are_counted() -> None:
    """Hundreds of connections with a body each would be as much memory as one that is large."""
    asyncio.run(_many())


async def _many() -> None:
    app = Slow()
    limits = BodyLimits(app, memory_bytes=10**6)
    fit = [asyncio.create_task(_post(limits, 100_000, client=str(one))) for one in range(10)]
    await app.has_read(10)
    assert (await _post(limits, 100_000, client="more"))[0] == 503
    app.finish.set()
    assert [(await one)[0] for one in fit] == [200] * 10


def test_a_network_of_ipv6_is_one_client() -> None:
    first, same, other = (
        client_of({"client": (address, 1)}) for address in ("2001:db8::1", "2001:db8::2", "::1")
    )
    assert first == same != other
    mapped, plain = (client_of({"client": (one, 1)}) for one in ("::ffff:10.0.0.1", "10.0.0.1"))
    assert mapped == plain
    assert client_of({"client": ("10.0.0.1", 1)}) != client_of({"client": ("10.0.0.2", 1)})


FORM = b"multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/v1/files", FORM, 200), ("/v1/v1/files", FORM, 200), ("/ui/gradio_api/upload", FORM, 200),
        ("/v1/predictions", FORM, 503), ("/v1/models", FORM, 503), ("/predictions", FORM, 503),
        ("/v1/files", b"multipart/x+json", 503), ("/v1/files/x", FORM, 503),
    ],
)  # fmt: skip
def test_only_files_have_the_budget_of_the_disk(path: str, kind: bytes, status: int) -> None:
    limits = BodyLimits(_reads, memory_bytes=2 * FREE_BYTES)
    assert asyncio.run(_post(limits, 2 * FREE_BYTES, kind, path=path))[0] == status


PART = b'\r\n--x\r\nContent-Disposition: form-data; name="a%s\r\n\r\n%s'
FILE, FIELD = b'"; filename="b.wav"', b'"; a="filename=b"\r\nX: filename="c"'


@pytest.mark.parametrize("path", ["/v1/files", "/ui/gradio_api/upload"])
def test_what_is_no_file_in_a_form_is_counted_as_memory(path: str) -> None:
    """Files go to the disk, all but the beginning of each; everything else stays in memory."""
    size = SPOOLED_BYTES // 2

    async def answered(*parts: bytes) -> int:
        limits = BodyLimits(_reads_all, memory_bytes=3 * SPOOLED_BYTES)
        body = b"".join(parts).removeprefix(b"\r\n") + b"\r\n--x--\r\n"
        return (await _post(limits, len(body), FORM, path=path, content=body))[0]

    async def act() -> None:
        large = PART % (FILE, bytes(20 * size))
        assert await answered(large) == 200
        assert await answered(large, PART % (FIELD, bytes(size // 2))) == 200
        assert await answered(large, PART % (FIELD, bytes(2 * size))) == 503
        assert await answered(*[PART % (FIELD, bytes(size))] * 4) == 503
        assert await answered(PART % (FIELD, bytes(4 * size))) == 503
        assert await answered(*[PART % (FILE, bytes(size))] * 4) == 503

    asyncio.run(act())


async def _reads_all(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def _reads(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})


class Slow:
    """An app that reads a body and answers only once it may."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()
        self._read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self._read += 1
        await self.finish.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def has_read(self, number: int) -> None:
        """Until that many bodies are read."""
        for _ in range(1000):
            await asyncio.sleep(0)
        assert self._read == number


async def _post(
    app: BodyLimits,
    length: int,
    kind: bytes = b"application/json",
    client: str = "a",
    sent: int | None = None,
    *,
    path: str = "/v1/files",
    content: bytes | None = None,
) -> tuple[int, dict[bytes, bytes]]:
    """The answer to a body that says `length`; `sent`: how much of it comes; or to `content`."""
    heads: list[Any] = []
    pieces = deque((content or b"")[i : i + 50_001] for i in range(0, len(content or b""), 50_001))

    async def receive() -> Any:
        if pieces:
            piece = pieces.popleft()
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        body = bytes(min(length, 10**6) if sent is None else sent)
        return {"type": "http.request", "body": body, "more_body": sent is not None}

    async def send(message: Any) -> None:
        heads.append(message)

    headers = [(b"content-length", str(length).encode()), (b"content-type", kind)]
    scope = {"type": "http", "path": path, "headers": headers, "client": (client, 1)}
    await app(scope, receive, send)
    return heads[0]["status"], dict(heads[0]["headers"])


def test_uploads_have_a_quota(serve: Serve, tmp_path: Path) -> None:
    served = serve(tokens=("one", "two", "three"), upload_bytes=3000, upload_bytes_per_token=1500)

    def upload(token: str, size: int) -> Any:
        content = {"content": ("a.wav", bytes(size), "audio/wav")}
        headers = {"Authorization": f"Bearer {token}"}
        return served.client.post("/v1/files", files=content, headers=headers)

    first = upload("one", 1000)
    assert first.status_code == 201
    refused = upload("one", 1000)
    assert refused.status_code == 413
    assert "no room for more uploads of yours" in refused.json()["detail"]
    assert upload("two", 1000).status_code == 201
    assert "on this server" in upload("three", 1200).json()["detail"]
    headers = {"Authorization": "Bearer one"}
    served.client.delete(f"/v1/files/{first.json()['id']}", headers=headers)
    assert upload("one", 1000).status_code == 201


def test_a_quota_is_whose_it_was_after_a_restart(tmp_path: Path) -> None:
    settings = ServerSettings(
        data_dir=tmp_path / "data", tokens=("one", "two"), upload_bytes_per_token=1500, page=False
    )

    def upload(served: Served, token: str) -> int:
        content = {"content": ("a.wav", bytes(1000), "audio/wav")}
        headers = {"Authorization": f"Bearer {token}"}
        status: int = served.client.post("/v1/files", files=content, headers=headers).status_code
        return status

    with serving(settings) as served:
        assert upload(served, "one") == 201
    with serving(settings) as served:
        assert upload(served, "one") == 413
        assert upload(served, "two") == 201


@pytest.mark.parametrize("spelled", ["bearer one", "Token one", "Bearer  one"])
def test_a_token_has_one_quota_however_it_is_spelled(serve: Serve, spelled: str) -> None:
    served = serve(tokens=("one",), upload_bytes_per_token=1500)
    for authorization, status in (("Bearer one", 201), (spelled, 413)):
        answer = served.client.post(
            "/v1/files",
            files={"content": ("x", bytes(1000))},
            headers={"Authorization": authorization},
        )
        assert answer.status_code == status


def test_a_quota_counts_what_was_kept_before_and_forgets_what_expired() -> None:
    now = [100.0]
    quota = UploadQuota(10, now=lambda: now[0])
    quota.load([StoredFile("a", 0, 200.0, "a", "b", 8, "c", "d", {})], {})
    with pytest.raises(QuotaError, match="on this server"):
        quota.check("x", 3)
    quota.check("x", 2)
    now[0] = 200.0
    quota.check("x", 10)


def test_what_is_said_about_a_file_counts_as_well() -> None:
    quota = UploadQuota(50)
    file = StoredFile("a", 0, 200.0, "a", "b", 1, "c", "d", {"words": "x" * 50})
    with pytest.raises(QuotaError), quota.reserved("", file):
        pass


def tiny(number: int, owner: str = "") -> StoredFile:
    return StoredFile(f"{owner}{number}", 0, 100.0 + number, "a", "b", 1, "c", "d", {})


def test_the_number_of_uploads_has_a_limit_too() -> None:
    """Uploads of one byte each take a block of the disk and rows of the database."""
    now = [0.0]
    quota = UploadQuota(10_000, max_files=6, now=lambda: now[0])
    for number in range(3):
        with quota.reserved("a", tiny(number, "a")):
            pass
    with pytest.raises(QuotaError, match="of yours"):
        quota.check("a", 1)
    for number in range(3):
        with quota.reserved("b", tiny(number, "b")):
            pass
    with pytest.raises(QuotaError, match="on this server"):
        quota.check("c", 1)
    quota.remove("b2")
    quota.check("c", 1)
    now[0] = 100.0  # the first of each expires
    quota.check("a", 1)


class Counted(dict[str, Any]):
    """Refuses to be gone through."""

    def items(self) -> Any:
        raise AssertionError("a check went through all uploads")

    values = items
    __iter__ = items


def test_a_check_of_the_quota_does_not_go_through_all_uploads() -> None:
    """Many small uploads made every further one stop the server for seconds."""
    quota = UploadQuota(10_000, 100, now=lambda: 0.0)
    quota.load([tiny(number) for number in range(10)], {})
    quota._kept = Counted(quota._kept)
    with quota.reserved("a", tiny(11, "a")):
        pass
    with pytest.raises(QuotaError, match="of yours"):
        quota.check("a", 100)
    quota.remove("a11")
    quota.check("a", 100)
