"""Hearing and following a prediction while it is made: live audio, events, webhooks."""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import os
import signal
import socket
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.server.conftest import TIMEOUT_S, Serve, Served
from toccata.server.api import dependencies
from toccata.server.predictions import live_listening
from toccata.server.predictions.live_listening import LiveListening

SLOW = "slow 1"  # 20 steps, a second of silence each
Arrived = list[tuple[dict[str, str], bytes]]


@pytest.fixture
def hooked() -> Iterator[tuple[str, Arrived]]:
    """An address for webhooks, and what arrived there."""
    arrived: Arrived = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", arrived
    server.shutdown()
    thread.join()
    server.server_close()


def test_audio_is_heard_before_it_is_finished(serve: Serve) -> None:
    served = serve()
    made = served.create(prompt=SLOW)
    heard, first_status = b"", ""
    with served.client.stream("GET", made["urls"]["audio"]) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/mpeg"
        for block in answer.iter_bytes():
            first_status = first_status or served.get(made["id"])["status"]
            heard += block
    assert first_status == "processing"
    decoded, rate = soundfile.read(io.BytesIO(heard))
    assert len(decoded) / rate == pytest.approx(20, abs=0.3)


def test_when_it_was_first_heard_is_in_the_metrics(serve: Serve) -> None:
    served = serve()
    metrics = served.until(served.create(prompt=SLOW)["id"])["metrics"]
    assert 0.05 <= metrics["first_audio_s"] < metrics["predict_time"]


def test_live_wav_and_the_finished_file_afterwards(serve: Serve) -> None:
    served = serve()
    made = served.create(prompt=SLOW)
    live = served.client.get(made["urls"]["audio"], params={"form": "wav"})
    assert live.headers["content-type"] == "audio/wav"
    assert len(live.content) == 44 + 20 * 8000 * 2
    ended = served.until(made["id"])
    after = served.client.get(made["urls"]["audio"])
    assert after.content == served.client.get(ended["output"]).content


def test_a_listener_notices_nothing_when_the_worker_dies(serve: Serve) -> None:
    served = serve()
    made = served.create(prompt=SLOW)
    blocks: list[bytes] = []
    with served.client.stream("GET", made["urls"]["audio"], params={"form": "wav"}) as answer:
        for block in answer.iter_bytes():
            if not blocks:
                pid = served.predictions.supervisor.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            blocks.append(block)
    assert len(b"".join(blocks)) == 44 + 20 * 8000 * 2


def test_listeners_of_one_client_leave_some_to_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "MAX_LISTENERS", 4)
    served = serve()
    urls = served.create(prompt="slow 60")["urls"]
    for url in (urls["audio"], urls["stream"]):
        with ExitStack() as stack:
            for _ in range(2):
                assert stack.enter_context(served.client.stream("GET", url)).status_code == 200
            for each in (urls["audio"], urls["stream"]):
                refused = served.client.get(each)
                assert refused.status_code == 503
                assert refused.headers["Retry-After"] == "10"
            assert served.client.head(urls["audio"]).status_code == 200
        ends = time.monotonic() + TIMEOUT_S
        for _ in range(2):  # the server notices in a moment that they are gone
            while not listens(served, url):
                assert time.monotonic() < ends
    served.client.post(urls["cancel"])


def listens(served: Served, url: str) -> bool:
    with served.client.stream("GET", url) as answer:
        return bool(answer.status_code == 200)


def test_many_listeners_cost_no_more_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many listen, a file is looked at once in an interval; all get the same bytes."""
    looks = 0
    grow_all = live_listening._grow_all

    def counted(files: Any, left: Any) -> Any:
        nonlocal looks
        looks += 1
        return grow_all(files, left)

    monkeypatch.setattr(live_listening, "_grow_all", counted)
    path, pieces = tmp_path / "live.wav", [b"abc", b"d" * 2**17, b"e"]
    is_written = False

    async def heard(listening: LiveListening) -> bytes:
        found = [piece async for piece in listening.listen(path, lambda: is_written)]
        return b"".join(found)

    async def act() -> list[bytes]:
        nonlocal is_written
        listening = LiveListening()
        everybody = [asyncio.create_task(heard(listening)) for _ in range(300)]
        before = looks
        await asyncio.sleep(4 * live_listening.POLL_INTERVAL_S)
        assert looks - before < len(everybody)
        with path.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
                await asyncio.sleep(2 * live_listening.POLL_INTERVAL_S)
            everybody.append(asyncio.create_task(heard(listening)))
        await asyncio.sleep(0)
        path.unlink()  # as once the prediction has ended
        is_written = True
        found = await asyncio.gather(*everybody)
        await listening.end()
        return found

    assert set(asyncio.run(act())) == {b"".join(pieces)}


def test_who_stops_listening_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "live.wav"
    path.write_bytes(b"abc")

    async def act() -> None:
        listening = LiveListening()
        for _ in range(2):  # and another one may come afterwards
            blocks = listening.listen(path, lambda: False)
            assert await anext(blocks) == b"abc"
            assert str(path) in opened()
            await blocks.aclose()
            ends = time.monotonic() + TIMEOUT_S
            while str(path) in opened():
                assert time.monotonic() < ends
                await asyncio.sleep(0.01)
        await listening.end()

    asyncio.run(act())


def opened() -> list[str]:
    """The files that this process has open."""
    paths = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            paths.append(str(one.readlink()))
    return paths


def test_what_was_never_finished_has_no_audio(serve: Serve) -> None:
    served = serve()
    failed = served.until(served.create(prompt="fail")["id"])
    assert served.client.get(failed["urls"]["audio"]).status_code == 404
    assert served.client.get("/outputs/nobody/audio").status_code == 404


def test_events_are_told_as_they_happen_and_again_afterwards(serve: Serve) -> None:
    served = serve()
    made = served.create(prompt="slow 0.3")
    for _ in ("while it runs", "afterwards"):
        answer = served.client.get(made["urls"]["stream"])
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
        assert events[-2:] == ["output", "done"]
        assert set(events[:-2]) == {"logs"}
        assert f"data: {served.get(made['id'])['output']}" in answer.text
    assert "/v1/files/" in made["urls"]["stream"]


def test_events_of_what_fails(serve: Serve) -> None:
    served = serve()
    failed = served.until(served.create(prompt="fail")["id"])
    text = served.client.get(failed["urls"]["stream"]).text
    assert 'data: {"detail": "prompt: it says fail"}' in text
    assert 'data: {"reason": "error"}' in text


def test_webhooks_are_signed_and_in_order(serve: Serve, hooked: tuple[str, Arrived]) -> None:
    served, (url, arrived) = serve(allow_private=True), hooked
    body = {
        "version": "meta/musicgen",
        "input": {"prompt": "slow 0.3", "duration": 1},
        "webhook": url,
        "webhook_events_filter": ["start", "output", "logs", "completed"],
    }
    made = served.client.post("/v1/predictions", json=body).json()
    ended = served.until(made["id"])
    assert ended["status"] == "succeeded"
    ends = time.monotonic() + 10
    while not arrived or json.loads(arrived[-1][1])["status"] != "succeeded":
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert json.loads(arrived[0][1])["status"] == "processing"
    assert json.loads(arrived[-1][1]) == ended
    key = served.client.get("/v1/webhooks/default/secret").json()["key"].removeprefix("whsec_")
    for headers, content in arrived:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
        digest = hmac.digest(b64decode(key), signed, sha256)
        assert headers["webhook-signature"] == f"v1,{b64encode(digest).decode()}"


def test_webhooks_to_private_addresses_are_not_sent(
    serve: Serve, hooked: tuple[str, Arrived]
) -> None:
    served, (url, arrived) = serve(), hooked
    body = {"version": "meta/musicgen", "input": {"prompt": "piano", "duration": 1}, "webhook": url}
    assert served.client.post("/v1/predictions", json=body).status_code == 422
    assert not arrived


def test_webhooks_that_nobody_takes_do_not_pile_up(serve: Serve) -> None:
    served = serve(allow_private=True, queue=2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts and says nothing
        body = {
            "version": "meta/musicgen",
            "input": {"prompt": "slow 60", "duration": 1},
            "webhook": f"http://127.0.0.1:{silent.getsockname()[1]}/hook",
        }
        for _ in range(2):
            made = served.client.post("/v1/predictions", json=body)
            assert made.status_code == 201
            served.client.post(f"/v1/predictions/{made.json()['id']}/cancel")
            served.until(made.json()["id"], "canceled", "aborted")
        refused = served.client.post("/v1/predictions", json=body)
        assert refused.status_code == 503
        assert "webhooks are not delivered" in refused.json()["detail"]
        del body["webhook"]
        assert served.client.post("/v1/predictions", json=body).status_code == 201


def test_webhooks_of_a_container_carry_its_trace(serve: Serve, hooked: tuple[str, Arrived]) -> None:
    served, (url, arrived) = serve(allow_private=True), hooked
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    ends = time.monotonic() + TIMEOUT_S
    while served.client.get("/readyz").status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.02)
    body = {"input": {"prompt": "piano", "duration": 1}, "webhook": url}
    for headers in (
        {"traceparent": parent, "tracestate": "vendor=1"},
        {"traceparent": "not one", "tracestate": "vendor=1"},
    ):
        answer = served.client.post("/predictions", json=body, headers=headers)
        assert answer.json()["status"] == "succeeded"
    while len([1 for _, one in arrived if b'"succeeded"' in one]) < 2:
        assert time.monotonic() < ends
        time.sleep(0.02)
    traced = [(head.get("traceparent"), head.get("tracestate")) for head, _ in arrived]
    assert set(traced) == {(parent, "vendor=1"), (None, None)}
    assert traced[0] == (parent, "vendor=1")
