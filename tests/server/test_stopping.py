"""A server that is told to stop: who waits is answered, what is under way may end, once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from tests.server.test_chaos import ROOT, until
from toccata.server.storage.repository import Repository

AT_ONCE_S = 1.5


def ask(prompt: str) -> dict[str, Any]:
    return {"version": SEED_VERSION, "input": {"prompt": prompt, "duration": 1}}


def stopped_while(
    served: Served, request: Callable[[], httpx2.Response], meanwhile: Callable[[str], None]
) -> httpx2.Response:
    """What the request, which makes a prediction, is answered when the server stops under it."""
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(request)
        made = only_one(served)
        served.until(made, "processing")
        served.stop()
        answer = held.result(AT_ONCE_S)
        meanwhile(made)
    served.thread.join(TIMEOUT_S)
    return answer


def only_one(served: Served) -> str:
    ends = time.monotonic() + TIMEOUT_S
    while not (found := served.client.get("/v1/predictions").json()["results"]):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return str(found[0]["id"])


def status_of(folder: Path, prediction_id: str) -> str:
    store = Repository(f"sqlite:///{folder / 'data' / 'server.db'}")
    found = store.get(prediction_id)
    store.close()
    assert found is not None
    return found.status


def test_who_waits_is_answered_at_once_and_the_music_is_still_made(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve(drain_s=30.0)

    def request() -> httpx2.Response:
        headers = {"Prefer": "wait"}
        return served.client.post("/v1/predictions", json=ask("slow 3"), headers=headers)

    def meanwhile(made: str) -> None:
        assert served.get(made)["status"] == "processing"
        refused = served.client.post("/v1/predictions", json=ask("piano"))
        assert refused.status_code == 503
        assert "stopping" in refused.json()["detail"]
        ready = served.client.get("/readyz")
        assert (ready.status_code, ready.json()["stopping"]) == (503, True)

    answer = stopped_while(served, request, meanwhile)
    made = answer.json()
    assert (answer.status_code, made["status"], made["output"]) == (201, "starting", None)
    assert answer.headers["location"] == made["urls"]["get"]
    assert status_of(tmp_path, made["id"]) == "succeeded"


def test_who_waits_at_a_container_is_answered_as_if_it_did_not(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve(drain_s=0.3)
    while served.client.get("/readyz").status_code != 200:
        time.sleep(0.02)

    def request() -> httpx2.Response:
        return served.client.post("/predictions", json=ask("slow 60"))

    answer = stopped_while(served, request, lambda _: None)
    made = answer.json()
    assert (answer.status_code, made["status"], made["output"]) == (202, "processing", None)
    assert status_of(tmp_path, made["id"]) == "processing"  # so it is made at the next start


def test_there_is_one_drain_even_with_an_open_stream(serve: Serve) -> None:
    served = serve(drain_s=3.0)
    made = served.create(prompt="slow 60")
    served.until(made["id"], "processing")
    with served.client.stream("GET", made["urls"]["audio"]) as listening:
        assert listening.status_code == 200
        began = time.monotonic()
        served.stop()
        served.thread.join(TIMEOUT_S)
        assert 3.0 <= time.monotonic() - began < 5.5


def test_without_anything_under_way_it_stops_at_once(serve: Serve) -> None:
    served = serve(drain_s=30.0)
    served.until(served.create()["id"])
    began = time.monotonic()
    served.stop()
    served.thread.join(TIMEOUT_S)
    assert time.monotonic() - began < 3.0


def test_ctrl_c_twice_ends_it_at_once_with_one_line(tmp_path: Path) -> None:
    arguments = ["0", str(tmp_path / "data"), "1", "", "", "", "60"]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "tests.server.programs.fake_server", *arguments],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    with process:
        said = list[str]()
        while not (found := re.search(r"http://127.0.0.1:\d+", "".join(said))):
            said.append(process.stderr.readline())
            assert said[-1], said
        with httpx2.Client(base_url=found[0], timeout=TIMEOUT_S) as client:
            until(lambda: client.get("/readyz").status_code == 200)
            made = client.post("/v1/predictions", json=ask("slow 60")).json()
            url = f"/v1/predictions/{made['id']}"
            until(lambda: client.get(url).json()["status"] == "processing")
            process.send_signal(signal.SIGINT)
            until(lambda: client.get("/readyz").json()["stopping"])
            process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(TIMEOUT_S) == 130
    assert "Traceback" not in rest
    assert rest.count("stopped at once") == 1
