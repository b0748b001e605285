"""Many requests at the same moment, and requests that are as large as they may be."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from toccata.server.outbound import OutboundClient, OutboundPolicy

BODY: dict[str, Any] = {
    "version": SEED_VERSION, "input": {"prompt": "slow 1", "duration": 1},
}  # fmt: skip


def at_once(calls: list[Any]) -> list[httpx2.Response]:
    """The answers to calls that are all made together."""
    gate = threading.Barrier(len(calls))

    def run(call: Any) -> httpx2.Response:
        gate.wait(TIMEOUT_S)
        answer: httpx2.Response = call()
        return answer

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def wait_until_ready(served: Served) -> None:
    ends = time.monotonic() + TIMEOUT_S
    while served.client.get("/readyz").status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_retries_at_the_same_moment_are_one_prediction(serve: Serve) -> None:
    served = serve()

    def retry(count: int) -> Any:
        headers = {"x-stainless-retry-count": str(count)}
        return lambda: served.client.post("/v1/predictions", json=BODY, headers=headers)

    answers = at_once([retry(count) for count in range(1, 12)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_container_takes_as_many_as_it_has_slots(serve: Serve) -> None:
    served = serve(slots=8)
    wait_until_ready(served)
    body, headers = {"input": {"prompt": "slow 2", "duration": 1}}, {"Prefer": "respond-async"}

    def post() -> httpx2.Response:
        return served.client.post("/predictions", json=body, headers=headers)

    assert [answer.status_code for answer in at_once([post] * 8)] == [202] * 8
    assert post().status_code == 409


def test_uploads_at_the_same_moment_keep_to_the_quota(serve: Serve) -> None:
    served = serve(upload_bytes=1_000_000)
    file = {"content": ("a.wav", b"x" * 300_000, "audio/wav")}
    answers = at_once([lambda: served.client.post("/v1/files", files=file)] * 10)
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [413] * 7


def test_addresses_have_a_length(serve: Serve) -> None:
    served = serve()
    wait_until_ready(served)
    long = "https://a.b/" + "x" * 200_000
    for given in ({"input": {**BODY["input"], "input_audio": long}}, {"webhook": long}):
        for path in ("/v1/predictions", "/predictions"):
            answer = served.client.post(path, json={**BODY, **given})
            assert answer.status_code == 422
            assert len(answer.content) < 2000


def test_json_has_a_length_besides_its_audio(serve: Serve) -> None:
    served = serve()
    large = json.dumps({**BODY, "z": [[]] * 500_000}).encode()
    headers = {"content-type": "application/json"}
    for path, status in (("/v1/predictions", 400), ("/predictions", 422)):
        answer = served.client.post(path, content=large, headers=headers)
        assert answer.status_code == status
        assert len(answer.content) < 2000


def test_slow_names_hold_up_no_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        free.wait(TIMEOUT_S)
        return []

    async def act() -> None:
        client = OutboundClient(OutboundPolicy(allow_private=True))
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        posts = (client.post("http://a.slow/", b"", {}, f"owner {n}") for n in range(100))
        looked_up = [asyncio.create_task(post) for post in posts]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(TIMEOUT_S / 2):
            assert await asyncio.to_thread(lambda: "free") == "free"
        free.set()
        await asyncio.gather(*looked_up, return_exceptions=True)

    asyncio.run(act())
