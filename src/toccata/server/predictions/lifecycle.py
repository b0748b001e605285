"""The life cycle of predictions: created, queued, generated, ended; again if the worker died.

    starting -> processing -> succeeded | failed | canceled
    starting -> canceled | aborted | failed

`creation.py` accepts predictions, `dispatcher.py` runs them on the worker, `journal.py` records and
publishes each change: in the database first, then to clients. A restart runs again whatever had not
ended, with the seed that was fixed at its creation. A slot is free as soon as the worker is done;
outputs are stored and published while the next prediction runs. All of it is in the event loop,
which never waits for the database or the storage.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from toccata.server.background import Tasks
from toccata.server.config import ServerSettings
from toccata.server.predictions.creation import Creation
from toccata.server.predictions.dispatcher import Dispatcher, Setup
from toccata.server.predictions.events import EventLog
from toccata.server.predictions.finishing import Deliver, Finishing
from toccata.server.predictions.journal import Journal, OnChange
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.live_listening import LiveListening
from toccata.server.predictions.preparation import Fetch, Preparation
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, local_files
from toccata.server.storage.repository import CANCELED, Prediction, RepositoryError, new_id
from toccata.server.versions import Version
from toccata.server.worker.live_audio import live_file
from toccata.server.worker.supervisor import Supervisor, Work

log = logging.getLogger(__name__)


class Predictions:
    """All predictions of a server. It is used from the event loop only.

    Args:
        settings: The settings of the server.
        store: The rows of predictions and uploads.
        storage: The bytes of uploads and outputs.
        fetch: Downloads input audio.
        on_change: Called with each event of a prediction, by name.
        deliver: Brings outputs to where the client wants them, before they are published.
        uploads: Keeps audio that comes inside a request.
        undelivered: How many webhooks an owner has whose receiver has not answered yet.
        work: The main function of the worker process; None: the real one.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: AsyncRepository,
        storage: AsyncBlobStorage,
        *,
        fetch: Fetch,
        on_change: OnChange,
        deliver: Deliver,
        uploads: KeptFiles,
        undelivered: Callable[[str], int] = lambda _: 0,
        work: Work | None = None,
    ) -> None:
        self._store = store
        self._local = local_files()
        self._listening = LiveListening()
        self._tasks = Tasks()
        # A new folder for each start: a worker of the previous one may still write to its own.
        self._work = settings.data_dir / "work" / new_id()
        self._drain_until_s: float | None = None  # monotonic
        self._journal = Journal(
            store,
            Finishing(storage, self._local, deliver),
            self._work,
            self._tasks,
            on_change=on_change,
            on_end=self._release,
            on_settled=self._remove,
        )
        self._dispatcher = Dispatcher(
            settings.machine,
            Preparation(settings, store, storage, self._local, fetch),
            self._journal,
            self._tasks,
            is_stopping=lambda: self.stopping,
            work=work,
        )
        self._creation = Creation(
            settings,
            store,
            uploads,
            self._local,
            dispatcher=self._dispatcher,
            tasks=self._tasks,
            is_stopping=lambda: self.stopping,
            undelivered=undelivered,
        )

    async def start(self, crashed: bool = False) -> None:
        """Start the worker, and queue the predictions that had not ended when the server stopped.

        Args:
            crashed: Whether the previous server died: one that it was running may be the cause.
        """
        shutil.rmtree(self._work.parent, ignore_errors=True)
        self._dispatcher.start(await self._store.open_ones(), crashed)

    @property
    def stopping(self) -> bool:
        """Whether nothing more is accepted or started."""
        return self._drain_until_s is not None

    async def drain(self, timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Accept nothing more, release clients that wait, and let what is under way end.

        Args:
            timeout_s: The longest wait; a second call does not extend it.
            hurry: Ends the wait once it returns True.
        """
        if self._drain_until_s is None:
            self._stop_accepting(time.monotonic() + timeout_s)
            for live in self._journal.live.values():
                live.released.set()
        until_s = self._drain_until_s or 0.0
        queue = self._dispatcher.queue
        while (queue.active or len(self._tasks)) and time.monotonic() < until_s:
            if hurry():
                return
            await asyncio.sleep(0.05)

    def give_up(self) -> None:
        """Stop the worker at once: another server has taken over, or there is no time left."""
        self._stop_accepting(time.monotonic())
        self.supervisor.stop()

    async def stop(self, drain_s: float) -> None:
        """Drain, then end everything; the next start takes up what had not ended."""
        await self.drain(drain_s)
        self._journal.close()
        self.supervisor.stop()
        await self._listening.end()
        await self._dispatcher.end_preparing()
        await self._tasks.end()
        self._local.close()
        self._dispatcher.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def _stop_accepting(self, until_s: float) -> None:
        self._drain_until_s = until_s
        self._dispatcher.stop_preparing()

    async def create(
        self, version: Version, given: Mapping[str, Any], *, base: str, **fields: Any
    ) -> Prediction:
        """Create a prediction. It goes on even if the caller is cancelled.

        Args:
            version: The version of the model.
            given: Its inputs, validated.
            base: The address of this server, as the client knows it.
            fields: Other fields of Prediction; an id among them must be new.

        Raises:
            QueueFullError: It is not accepted now.
            InputError: It is never accepted.
            QuotaError: There is no room for the audio inside it.
            AlreadyExistsError: There is a prediction with this id.
            RepositoryError, StorageError: The database or the storage does not answer.
        """
        return await self._creation.create(version, given, base=base, **fields)

    async def create_once(
        self, version: Version, given: Mapping[str, Any], *, base: str, **fields: Any
    ) -> Prediction:
        """Create a prediction, as `create`, for a request that may repeat an earlier one.

        What a request with the same fingerprint created in the last minutes, or is creating now, is
        returned and not created again.
        """
        return await self._creation.create_once(version, given, base=base, **fields)

    async def known(self, prediction_id: str) -> Prediction | None:
        """The prediction accepted under an id. Raises RepositoryError if the database is silent."""
        return await self._creation.known(prediction_id)

    async def cancel(self, prediction_id: str, status: str = CANCELED) -> Prediction | None:
        """End a prediction now, and return it; the worker frees its slot at its next step."""
        try:
            ended = await self._journal.end(prediction_id, status)
        except RepositoryError:
            self._tasks.start(self._journal.confirm(prediction_id))
            raise
        return ended or await self._store.get(prediction_id)

    async def wait(self, prediction_id: str, timeout_s: float) -> Prediction | None:
        """Wait until a prediction has ended or the server stops, and return it as it is then."""
        live = self._journal.live.get(prediction_id)
        if live is not None:
            try:
                await asyncio.wait_for(live.released.wait(), timeout_s)
            except TimeoutError:
                log.debug("%s goes on after the wait", prediction_id)
        return await self._store.get(prediction_id)

    def events(self, prediction: Prediction) -> EventLog | None:
        """The events so far of a prediction; None once it has ended."""
        live = self._journal.live.get(prediction.id)
        return None if live is None else live.events

    def listen(
        self, prediction: Prediction, name: str, variation: int = 1, *, client: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """The audio of a prediction while it is generated, from its start to its end.

        Args:
            prediction: The prediction.
            name: The format, one of those of `live_audio.FORMATS`.
            variation: Which of its variations, counted from 1.
            client: Who listens.
        """
        path = live_file(self._journal.folder(prediction.id), name, variation)
        return self._listening.listen(path, lambda: self.events(prediction) is None, client)

    @property
    def room(self) -> int:
        """How many more predictions may be created now."""
        return self._creation.room

    @property
    def full(self) -> bool:
        """Whether all slots of the worker are taken."""
        return self._creation.full

    @property
    def supervisor(self) -> Supervisor:
        """The worker process."""
        return self._dispatcher.supervisor

    @property
    def setup(self) -> Setup:
        """The last start of the worker."""
        return self._dispatcher.setup

    def _release(self, prediction_id: str) -> None:
        self._dispatcher.release(prediction_id)

    def _remove(self, prediction_id: str) -> None:
        self._dispatcher.remove(prediction_id)

    def counts(self) -> Mapping[str, int]:
        """The numbers of predictions that wait and that have a slot."""
        return self._dispatcher.counts()
