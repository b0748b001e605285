"""Workers and servers are killed at any moment: nothing that was accepted is lost or made twice."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served
from toccata.server.worker import supervisor
from toccata.server.worker.supervisor import READY

ROOT = Path(__file__).parents[2]
ENDS = ("succeeded", "failed", "canceled", "aborted")


def ask(number: int, chance: random.Random) -> dict[str, Any]:
    """What is asked for: every seed twice, at different paces."""
    return {"prompt": f"slow {chance.uniform(0.1, 0.5):.2f}", "duration": 1, "seed": number // 2}


def until(true: Any) -> None:
    ends = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def check_all(
    client: httpx2.Client, storage: Path, canceled: set[str], ids: set[str]
) -> dict[str, dict[str, Any]]:
    """Every prediction of `ids` has ended as it should, with the output that its seed gives."""
    results = client.get("/v1/predictions").json()["results"]
    found = {one["id"]: one for one in results}
    assert len(results) == len(found)
    assert ids <= found.keys()
    music: dict[int, bytes] = {}
    for name, one in found.items():
        assert one["status"] == ("canceled" if name in canceled else "succeeded"), one
        assert one["logs"].count("Using seed") <= 1
        if name not in canceled:
            data = client.get(one["output"]).content
            assert music.setdefault(one["input"]["seed"], data) == data
    assert len(set(music.values())) == len(music)
    made = {one["urls"]["audio"].split("/")[-2] for one in found.values() if one["output"]}
    assert {path.name for path in (storage / "outputs").glob("*") if any(path.iterdir())} == made
    return found


def kill_worker(served: Served) -> bool:
    """Unless somebody would be blamed for it the third time."""
    store, worker = served.app.state.parts.store.blocking, served.predictions.supervisor
    until(lambda: worker.state == READY)
    if any(one.attempts > 1 for one in store.open_ones()):
        return False
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: worker.pid != pid)
    return True


def test_workers_are_killed_all_the_time(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.0,))
    chance, served, canceled = random.Random(1), serve(), set[str]()
    ids = [served.create(**ask(number, chance))["id"] for number in range(30)]
    kills = 0
    for _ in range(7):
        time.sleep(chance.uniform(0.0, 0.5))
        one = chance.choice(ids)
        now = served.client.post(f"/v1/predictions/{one}/cancel").json()
        canceled |= {one} if now["status"] == "canceled" else set()
        kills += kill_worker(served)
    assert kills > 2
    ended = {one: served.until(one) for one in ids}
    found = check_all(served.client, tmp_path / "data" / "files", canceled, set(ids))
    assert found == ended
    counted = re.findall(r"_predictions_total{.*} (\d+)", served.client.get("/metrics").text)
    assert sum(map(int, counted)) == len(ids)
    until(lambda: not list((tmp_path / "data" / "work").glob("*/*")))
    assert served.predictions.counts() == {"waiting": 0, "active": 0}


def test_a_killer_among_others_takes_nobody_along(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.0,))
    served = serve()
    prompts = ["slow 0.3", "crash 99", "slow 0.3", "slow 0.3", "crash 1", "piano"]
    ids = [served.create(prompt=prompt)["id"] for prompt in prompts]
    assert [served.until(one)["status"] for one in ids] == [
        "succeeded", "failed", "succeeded", "succeeded", "succeeded", "succeeded",
    ]  # fmt: skip
    rows = [served.app.state.parts.store.blocking.get(one) for one in ids]
    assert [row.attempts for row in rows if row.id != ids[4]] == [0, 3, 0, 0, 0]


@dataclass(eq=False)
class Program:
    """A server as a process of its own, and a client of it."""

    folder: Path
    client: httpx2.Client
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.server.programs.fake_server"]
        arguments = [str(self.port), str(self.folder), "4"]
        self.process = subprocess.Popen([*command, *arguments], cwd=ROOT)  # noqa: S603
        until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def end(self, number: int = signal.SIGKILL) -> None:
        """And nothing is left of it, a moment later."""
        assert self.process is not None
        children = [pid for pid, parent in processes().items() if parent == self.process.pid]
        self.process.send_signal(number)
        self.process.wait(TIMEOUT_S)
        until(lambda: processes().keys().isdisjoint(children))


def processes() -> dict[int, int]:
    """The parents of all that run; none where there is no such list."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


@contextmanager
def program(folder: Path) -> Iterator[Program]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx2.Client(base_url=url, timeout=TIMEOUT_S) as client:
        running = Program(folder, client, port)
        running.start()
        try:
            yield running
        finally:
            running.end()


def create_many(running: Program, asked: list[dict[str, Any]]) -> Iterator[str]:
    """The ids of those that were accepted; ends early if the server does."""
    for given in asked:
        body = {"version": SEED_VERSION, "input": given}
        try:
            answer = running.client.post("/v1/predictions", json=body)
        except httpx2.TransportError:
            return
        assert answer.status_code == 201
        yield answer.json()["id"]


def cancel(running: Program, prediction_id: str) -> set[str]:
    try:
        answer = running.client.post(f"/v1/predictions/{prediction_id}/cancel")
    except httpx2.TransportError:
        return set()
    return {prediction_id} if answer.json()["status"] == "canceled" else set()


def test_the_whole_server_is_killed_again_and_again(tmp_path: Path) -> None:
    chance, ids, canceled = random.Random(2), set[str](), set[str]()
    with program(tmp_path / "data") as running:
        for life in range(3):
            killer = threading.Timer(chance.uniform(0.1, 0.6), running.end)
            asked = [ask(10 * life + number, chance) for number in range(10)]
            if life < 2:
                killer.start()
            for made in create_many(running, asked):
                ids.add(made)
                if chance.random() < 0.1:
                    canceled |= cancel(running, made)
            if life < 2:
                killer.join()
                running.start()
            for one in ids:
                assert running.client.get(f"/v1/predictions/{one}").status_code == 200
        listed = running.client.get("/v1/predictions").json()["results"]
        ids |= {one["id"] for one in listed}  # some were accepted without a chance to say so
        until(lambda: all(status(running, one) in ENDS for one in ids))
        canceled |= {one for one in ids if status(running, one) == "canceled"}
        check_all(running.client, tmp_path / "data" / "files", canceled, ids)
        until(lambda: not list((tmp_path / "data" / "work").glob("*/*")))
        running.end(signal.SIGTERM)
        assert list((tmp_path / "data" / "work").glob("*")) == []


def status(running: Program, prediction_id: str) -> str:
    answer = running.client.get(f"/v1/predictions/{prediction_id}")
    assert answer.status_code == 200
    return str(answer.json()["status"])
