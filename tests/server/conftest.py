"""A server on loopback, with a worker that needs no models."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.server import fake_worker, postgres
from toccata.server.app import create_app
from toccata.server.config import ServerSettings
from toccata.server.predictions import dispatcher, retries
from toccata.server.predictions.lifecycle import Predictions
from toccata.server.program import Program
from toccata.server.storage import async_repository, blobs
from toccata.settings import Settings

if TYPE_CHECKING:
    from tests.server.puppet import Act, Play

SEED_VERSION = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"
TIMEOUT_S = 20.0


@dataclass(frozen=True, eq=False)
class Served:
    """A running server and a client of it, which sends `token` if there is one."""

    url: str
    client: httpx2.Client
    app: Any
    program: Program
    thread: threading.Thread

    @property
    def predictions(self) -> Predictions:
        found: Predictions = self.app.state.parts.predictions
        return found

    def create(self, headers: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
        """Create a prediction of the seed version; `given` are its inputs."""
        body = {"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 1, **given}}
        answer = self.client.post("/v1/predictions", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def get(self, prediction_id: str) -> dict[str, Any]:
        now: dict[str, Any] = self.client.get(f"/v1/predictions/{prediction_id}").json()
        return now

    def until(self, prediction_id: str, *statuses: str) -> dict[str, Any]:
        """Poll until it has one of `statuses`; any that is an end, if none is named."""
        wanted = statuses or ("succeeded", "failed", "canceled", "aborted")
        ends = time.monotonic() + TIMEOUT_S
        while (now := self.get(prediction_id))["status"] not in wanted:
            assert time.monotonic() < ends, now
            time.sleep(0.02)
        return now

    def stop(self) -> None:
        """As SIGTERM does; it goes on until `thread` has ended."""
        self.program.should_exit = True


@contextmanager
def serving(settings: ServerSettings, token: str | None = None) -> Iterator[Served]:
    app = create_app(settings, fake_worker.run)
    server = Program(app, settings, port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + TIMEOUT_S
    while not server.started:
        assert time.monotonic() < ends, "the server does not start"
        time.sleep(0.01)
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    trust = ssl.create_default_context(cafile=settings.tls_cert)
    try:
        with httpx2.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, verify=trust
        ) as client:
            yield Served(url, client, app, server, thread)
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "the server does not stop"


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers that end with the test; keywords are fields of ServerSettings."""
    with ExitStack() as stack:

        def start(token: str | None = None, slots: int = 4, **fields: Any) -> Served:
            options = {
                "data_dir": tmp_path / "data", "drain_s": 0.0, "page": False, **fields
            }  # fmt: skip
            if token is not None:
                options["tokens"] = (token,)
            settings = ServerSettings(machine=Settings(slots=slots), **options)
            return stack.enter_context(serving(settings, token))

        yield start


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server, the same for all tests."""
    programs = postgres.programs()
    if programs is None:
        pytest.skip("NOT TESTED WITH POSTGRESQL: run scripts/setup-postgres to install it")
    with postgres.running(programs) as running:
        yield running


@pytest.fixture
def database(cluster: postgres.Postgres) -> str:
    """The URL of an empty PostgreSQL database."""
    cluster.empty()
    return cluster.url()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run an async function on a stage."""
    from tests.server.puppet import Puppet, acting

    monkeypatch.setattr(dispatcher, "Supervisor", Puppet)
    monkeypatch.setattr(retries, "MIN_DELAY_S", 0.0)
    monkeypatch.setattr(async_repository, "POOL_SIZE", 1)
    monkeypatch.setattr(blobs, "NUM_THREADS", 1)
    monkeypatch.setattr(blobs, "NUM_LOCAL_THREADS", 1)
    monkeypatch.setattr(dispatcher, "NUM_CLEANUP_THREADS", 1)

    def run(act: Act, slots: int = 1, queue: int = 10, crashed: bool = False) -> None:
        async def whole() -> None:
            async with acting(tmp_path, slots, queue, crashed) as stage:
                await act(stage)

        asyncio.run(whole())

    return run
