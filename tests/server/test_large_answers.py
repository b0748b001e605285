"""Outputs as data URIs are large: few are on their way at once, and none is that is too large."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.server.conftest import TIMEOUT_S, Serve, Served
from toccata.server.api import large_answers
from toccata.server.concurrency import ConcurrencyLimit
from toccata.server.predictions import outputs


def create(served: Served, duration_s: int) -> dict[str, Any]:
    """One that has ended, its output as a data URI if it may be one."""
    given = {"prompt": "piano", "duration": duration_s}
    body = {"version": "toccata/musicgen", "input": given}
    made = served.client.post("/v1/predictions", json=body).json()
    return served.until(made["id"])


def test_what_is_too_large_is_given_by_its_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(output_urls="data")
    monkeypatch.setattr(outputs, "MAX_DATA_BYTES", 32_000)
    small, large = (create(served, duration_s) for duration_s in (1, 3))
    assert small["output"].startswith("data:audio/wav;base64,")
    assert large["output"].startswith(f"{served.url}/outputs/")
    assert len(served.client.get(large["output"]).content) > 32_000
    for one in (small, large):
        assert f"data: {one['output']}\n" in served.client.get(one["urls"]["stream"]).text
    while served.client.get("/readyz").status_code != 200:
        time.sleep(0.02)
    of_container = served.client.post(
        "/predictions", json={"input": {"prompt": "a", "duration": 3}}
    )
    assert of_container.json()["output"].startswith(f"{served.url}/outputs/")


@contextmanager
def unread(served: Served, path: str) -> Iterator[None]:
    """A request whose answer nobody reads."""
    host, port = served.url.removeprefix("http://").split(":")
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        yield


@pytest.mark.parametrize("kind", ["get", "stream"])
def test_who_reads_nothing_has_few_answers_and_not_for_long(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(large_answers, "SLOT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(large_answers, "SEND_TIMEOUT_S", 2.0)
    served = serve(output_urls="data")
    made = create(served, 300)
    assert len(made["output"]) > 6_000_000
    state = served.app.state
    state.parts = replace(state.parts, large_answers=ConcurrencyLimit(10, 2))
    path = made["urls"][kind].removeprefix(served.url)
    with unread(served, path), unread(served, path):
        refused = served.client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert served.client.get("/v1/predictions").status_code == 200
        ends = time.monotonic() + TIMEOUT_S
        while (answer := served.client.get(path)).status_code != 200:
            assert time.monotonic() < ends
    assert len(answer.content) > 6_000_000
    assert made["output"] in answer.text


def test_long_rows_make_short_pages(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    monkeypatch.setattr(large_answers, "MAX_PAGE_BYTES", 10_000)
    made = [served.create(prompt="x" * 4000)["id"] for _ in range(7)]
    listed: list[str] = []
    sizes: list[int] = []
    url: str | None = "/v1/predictions"
    while url is not None:
        page = served.client.get(url).json()
        sizes.append(len(page["results"]))
        listed += [one["id"] for one in page["results"]]
        url = page["next"]
    assert sizes == [3, 3, 1]
    assert listed == made[::-1]


def test_however_many_lists_are_read_the_rest_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, free = serve(), threading.Event()
    store = served.app.state.parts.store.blocking
    monkeypatch.setattr(store, "page", lambda *_: free.wait(TIMEOUT_S) and [])
    with ThreadPoolExecutor(20) as threads:
        lists = [threads.submit(served.client.get, "/v1/predictions") for _ in range(20)]
        time.sleep(0.5)
        assert served.until(served.create()["id"])["status"] == "succeeded"
        free.set()
        statuses = {one.result().status_code for one in lists}
    assert statuses <= {200, 503}


def test_a_large_answer_is_whole(serve: Serve) -> None:
    served = serve(output_urls="data")
    made = create(served, 60)
    answer = served.client.get(made["urls"]["get"])
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    audio = base64.b64decode(answer.json()["output"].partition(",")[2])
    assert len(audio) > 60 * 8000 * 2
