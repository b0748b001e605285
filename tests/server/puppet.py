"""A server's predictions on a stage: the worker is a puppet, and tests decide what happens when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.server.conftest import SEED_VERSION
from toccata.server.config import ServerSettings
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.lifecycle import Predictions
from toccata.server.predictions.quota import UploadQuota
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, BlobStorage
from toccata.server.storage.repository import Prediction, Repository
from toccata.server.versions import VERSIONS
from toccata.server.views import Output
from toccata.server.worker.protocol import Job, Message
from toccata.server.worker.supervisor import LOST, READY, STARTING, STOPPED
from toccata.settings import Settings

AUDIO = "https://example.org/song.wav"


class Puppet:
    """In the supervisor's place: says what a test wants, and notes what it is told."""

    def __init__(self, machine: Settings, on_message: Callable[[Message], None], _: object) -> None:
        self._on_message = on_message
        self.state = STOPPED
        self.told: list[str] = []
        self.jobs: list[Job] = []

    def start(self) -> None:
        self.ready()

    def stop(self) -> None:
        self.state = STOPPED

    def run(self, job: Job) -> None:
        self.jobs.append(job)
        self.told.append(f"run {job.id}")

    def cancel(self, prediction_id: str) -> None:
        self.told.append(f"cancel {prediction_id}")

    def say(self, kind: str, prediction_id: str = "", **data: Any) -> None:
        self._on_message(Message(kind, prediction_id, data))

    def ready(self) -> None:
        self.state = READY
        self.say("ready", device="cpu")

    def die(self, suspect: bool = True) -> None:
        self.state = STARTING
        self.say(LOST, suspect=suspect)


class Stage:
    """Predictions with a puppet. fetch and deliver wait while `hold` is cleared."""

    def __init__(self, folder: Path, slots: int, queue: int) -> None:
        settings = ServerSettings(machine=Settings(slots=slots), data_dir=folder, queue=queue)
        self.work = folder / "work"
        self.store = Repository(f"sqlite:///{folder / 'server.db'}")
        self.storage = BlobStorage(str(folder / "files"))
        self.asynchronous = AsyncRepository(self.store), AsyncBlobStorage(self.storage)
        self.fetched: list[str] = []
        self.fetching = 0
        self.heard: list[tuple[str, str]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.failure: Exception | None = None
        self.predictions = Predictions(
            settings, *self.asynchronous,
            fetch=self._fetch, on_change=self._hear, deliver=self._deliver,
            uploads=KeptFiles(*self.asynchronous, UploadQuota(2**30), folder / "incoming"),
        )  # fmt: skip

    @property
    def puppet(self) -> Puppet:
        found: Any = self.predictions.supervisor
        assert isinstance(found, Puppet)
        return found

    async def create(self, **fields: Any) -> str:
        given = {"prompt": "piano", "duration": 1, **fields.pop("input", {})}
        version = VERSIONS[SEED_VERSION]
        return (await self.predictions.create(version, given, base="http://x", **fields)).id

    def now(self, prediction_id: str) -> Prediction:
        found = self.store.get(prediction_id)
        assert found is not None
        return found

    def finish(self, prediction_id: str) -> None:
        """The worker made it."""
        (folder,) = self.work.glob(f"*/{prediction_id}")
        (folder / "out.wav").write_bytes(b"music")
        self.puppet.say("done", prediction_id, files=["out.wav"], metrics={})

    def folders(self) -> list[Path]:
        return sorted(self.work.glob("*/*"))

    async def settle(self) -> None:
        """Until nothing more happens by itself: there is but one thread beside the event loop."""
        for _ in range(40):
            await self.predictions._dispatcher._cleanup.run("", lambda: None)
            for calls in (self.predictions._local, *(one._calls for one in self.asynchronous)):
                await calls.run(lambda: None)
            await asyncio.sleep(0)

    def expire(self, prediction_id: str) -> None:
        """Its deadline passes."""
        self.predictions._journal.expire(prediction_id)

    async def begin(self, *ids: str) -> None:
        await self.settle()
        for one in ids:
            assert f"run {one}" in self.puppet.told
            self.puppet.say("started", one)
        await self.settle()

    async def _fetch(self, url: str, to: Path, _: str) -> Path:
        self.fetched.append(url)
        self.fetching += 1
        try:
            await self.hold.wait()
        finally:
            self.fetching -= 1
        if self.failure is not None:
            raise self.failure
        to.write_bytes(b"audio")
        return to

    async def _deliver(self, prediction: Prediction, file: Path) -> None:
        await self.hold.wait()

    def _hear(self, prediction: Prediction, event: str, data: Output | None) -> None:
        self.heard.append((event, prediction.status))


@asynccontextmanager
async def acting(
    folder: Path, slots: int, queue: int, crashed: bool = False
) -> AsyncIterator[Stage]:
    stage = Stage(folder, slots, queue)
    await stage.predictions.start(crashed)
    try:
        yield stage
    finally:
        await stage.predictions.stop(0.0)
        for one in stage.asynchronous:
            one.close()


Act = Callable[[Stage], Any]
Play = Callable[..., None]
