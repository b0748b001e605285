"""Hearing and following a prediction while it is made: live audio, events, webhooks."""

from __future__ import annotations

import hmac
import io
import json
import os
import signal
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import soundfile

from tests.server.conftest import TIMEOUT_S, Serve

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
