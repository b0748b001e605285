"""The worker process: started, replaced, stopped, at any moment."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from tests.server import fake_worker, odd_workers
from tests.server.conftest import TIMEOUT_S, Serve
from toccata.errors import InputError
from toccata.generation.request import GenerationRequest
from toccata.server.app import check_start, create_app
from toccata.server.config import ServerSettings
from toccata.server.storage.instance_lock import only_server
from toccata.server.worker import supervisor as module
from toccata.server.worker.protocol import Job, Message
from toccata.server.worker.supervisor import LOST, READY, STARTING, STOPPED, Supervisor
from toccata.settings import Settings


class Watched(Supervisor):
    """Notes what it hears."""

    def __init__(self, work: Callable[..., None]) -> None:
        self.heard: list[Message] = []
        super().__init__(Settings(), self.heard.append, work)

    async def until(self, true: Callable[[], bool]) -> None:
        ends = time.monotonic() + TIMEOUT_S
        while not true():
            assert time.monotonic() < ends, self.heard
            await asyncio.sleep(0.01)

    def said(self, kind: str) -> int:
        return sum(message.kind == kind for message in self.heard)


def gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_all_that_a_worker_said_is_heard_before_its_death() -> None:
    async def act() -> None:
        watched = Watched(odd_workers.talkative)
        watched.start()
        await watched.until(lambda: watched.said(LOST) == 1)
        kinds = [message.kind for message in watched.heard]
        assert kinds == ["ready", *["log"] * odd_workers.WORDS, LOST]
        assert [m["data"] for m in watched.heard[1:-1]] == list(range(odd_workers.WORDS))
        assert watched.state == STARTING
        watched.stop()

    asyncio.run(act())


def test_a_worker_that_dies_at_once_is_replaced_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RESTART_DELAYS_S", (0.0, 0.01, 3600.0))

    async def act() -> None:
        watched = Watched(odd_workers.short_lived)
        watched.start()
        await watched.until(lambda: watched.said(LOST) == 3)
        assert watched.pid is None
        watched.run(
            Job("x", "mini", "mini", GenerationRequest(), 0, "wav", "/nowhere")
        )  # goes nowhere
        watched.cancel("x")
        watched.stop()  # while the next start is planned
        assert (watched.state, watched.pid) == (STOPPED, None)

    asyncio.run(act())


def test_it_stops_at_any_moment_and_starts_again() -> None:
    async def act() -> None:
        watched, pids = Watched(odd_workers.deaf), []
        files = open_files()
        for moment_s in (0.0, 0.05, None):
            watched.start()
            pids.append(watched.pid)
            if moment_s is None:
                await watched.until(lambda: watched.state == READY)
            else:
                await asyncio.sleep(moment_s)
            watched.stop()
            watched.stop()
            assert watched.state == STOPPED
        await asyncio.sleep(0.05)
        assert watched.said(LOST) == 0  # it did not die: it was stopped
        assert all(gone(pid) for pid in pids)
        assert open_files() <= files + 2  # of multiprocessing's own

    asyncio.run(act())


def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_DELAYS_S", (0.0, 0.01))
    start, failures = SpawnProcess.start, [1, 1]

    def fail_first(process: SpawnProcess) -> None:
        if len(started) and failures:
            failures.pop()
            raise BlockingIOError("Resource temporarily unavailable")
        started.append(process)
        start(process)

    started: list[Any] = []
    monkeypatch.setattr(SpawnProcess, "start", fail_first)

    async def act() -> None:
        watched = Watched(odd_workers.talkative)
        watched.start()
        await watched.until(lambda: watched.said("ready") == 2)
        assert failures == []
        watched.stop()

    asyncio.run(act())


def test_one_server_has_a_folder(tmp_path: Path) -> None:
    with (
        only_server(tmp_path / "data"),
        pytest.raises(InputError, match="another server uses it; stop that one"),
        only_server(tmp_path / "data"),
    ):
        pass
    with only_server(tmp_path / "data"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="data-dir"), only_server(tmp_path / "file"):
        pass


def test_a_second_server_on_a_folder_does_not_start(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    settings = ServerSettings(page=False, data_dir=tmp_path / "data", port=1)
    app = create_app(settings, fake_worker.run)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(InputError, match="another server uses it"):
        asyncio.run(start())
    with pytest.raises(InputError, match="another server uses it"):
        check_start(settings)
    assert served.until(served.create()["id"])["status"] == "succeeded"
