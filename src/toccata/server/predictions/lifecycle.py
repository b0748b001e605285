"""The life cycle of predictions: created, queued, generated, ended; again if the worker died.

    starting -> processing -> succeeded | failed | canceled
    starting -> canceled | aborted | failed

The store is changed before anybody is told. After a restart of the server, or of the worker,
whatever had not ended is made again: its seed was fixed when it was created. Its slot is free as
soon as the worker is done with it; what is made is stored, and told, while the next one is made.

Predictions decides who is made when, and Journal notes and tells what happens. Both run in the
event loop, which never waits for the database or the storage.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from toccata.errors import InputError, ToccataError
from toccata.server.background import Tasks
from toccata.server.concurrency import FairThreads, set_client
from toccata.server.config import ServerSettings
from toccata.server.predictions import prediction_inputs
from toccata.server.predictions.events import EventLog
from toccata.server.predictions.finishing import Deliver, Finishing
from toccata.server.predictions.journal import ENDS, MAX_ATTEMPTS, Journal, OnChange
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.preparation import Fetch, Preparation, place_of
from toccata.server.predictions.queue import PredictionQueue
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage, local_files
from toccata.server.storage.repository import (
    CANCELED,
    STARTING,
    AlreadyExistsError,
    Prediction,
    RepositoryError,
    new_id,
    new_key,
)
from toccata.server.versions import Version
from toccata.server.worker.live_audio import live_file
from toccata.server.worker.protocol import Message
from toccata.server.worker.supervisor import FAILED as SETUP_FAILED
from toccata.server.worker.supervisor import LOST, READY, Supervisor, Work

log = logging.getLogger(__name__)

# Of the queue, kept for others than the one who fills it.
OTHERS_SHARE = 10
BLOCKED_S = 5.0
# Before one is tried again whose audio found no room in the worker's memory.
POSTPONED_S = 1.0
REPEAT_S = 120.0
# How much may be made while the storage does not take it.
MAX_STORING = 64
# Removing folders, which may take long, keeps nothing else waiting.
NUM_CLEANUP_THREADS = 2


class QueueFullError(ToccataError):
    """Too many predictions wait already, or none is taken at all."""

    http_status = 503


@dataclass(frozen=True)
class Setup:
    """The last start of the worker. Times are seconds since 1970; completed_at None: it goes on,
    or failed at failed_at.
    """

    started_at: float
    completed_at: float | None = None
    failed_at: float = 0.0


class Predictions:
    """All of them; used from the event loop only. `on_change` hears of every event by name.

    deliver: brings outputs to where they are wanted, before it is told that they are there.
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
        work: Work | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._local = local_files()
        self._cleanup = FairThreads("cleanup", NUM_CLEANUP_THREADS, NUM_CLEANUP_THREADS)
        self._preparation = Preparation(settings, store, storage, self._local, fetch)
        self._line = PredictionQueue(settings.machine.slots)
        self._tasks, self._preparing = Tasks(), Tasks()
        # A folder of this start: a worker of the last one may still be writing.
        self._work = settings.data_dir / "work" / new_id()
        self._journal = Journal(
            store,
            Finishing(storage, self._local, deliver),
            self._work,
            self._tasks,
            on_change=on_change,
            on_end=self._on_end,
            on_settled=self._let_go,
        )
        self._joining = Counter[str]()  # accepted, and not in the line yet; by owner
        # What is being created, by the fingerprint of its request; and what by a retry of one.
        self._creating: dict[str, asyncio.Task[Prediction]] = {}
        self._retried: dict[str, asyncio.Task[Prediction]] = {}
        self._disowned: set[str] = set()  # perhaps written, and refused
        self._drained_s: float | None = None  # when it is to be over; monotonic
        self._blocked_s = 0.0  # until when no job is given to the worker; monotonic
        self.setup = Setup(time.time())
        self.supervisor = Supervisor(settings.machine, self._handle, work)

    async def start(self, crashed: bool = False) -> None:
        """Start the worker, and take up what had not ended when the server last stopped.

        Args:
            crashed: The last server died. What it was running may have been the cause.
        """
        shutil.rmtree(self._work.parent, ignore_errors=True)
        found = await self._store.open_ones()
        ran = [one.id for one in found if one.running_at is not None]
        for prediction in found:
            self._enqueue(prediction)
            if prediction.id in ran:
                self._suspect(prediction.id, crashed, crashed and len(ran) == 1)
        self._prepare_more()
        self.supervisor.start()

    @property
    def stopping(self) -> bool:
        return self._drained_s is not None

    async def drain(self, most_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Accept nothing more, release who waits, and let what is under way end for so long, or
        until there is a `hurry`. Called again, it waits no longer than it was to at first.
        """
        if self._drained_s is None:
            self._drained_s = time.monotonic() + most_s
            for live in self._journal.live.values():
                live.released.set()
            self._preparing.cancel()  # they are prepared again at the next start
        while (self._line.active or len(self._tasks)) and time.monotonic() < self._drained_s:
            if hurry():
                return
            await asyncio.sleep(0.05)

    def give_up(self) -> None:
        """Whatever is made here is in vain, or nobody has time for it."""
        self._drained_s = time.monotonic()
        self._preparing.cancel()
        self.supervisor.stop()

    async def stop(self, drain_s: float) -> None:
        """Drain, then end everything; what had not ended is taken up at the next start."""
        await self.drain(drain_s)
        self._journal.close()
        self.supervisor.stop()
        await self._preparing.end()
        await self._tasks.end()
        self._local.close()
        self._cleanup.close()
        shutil.rmtree(self._work, ignore_errors=True)

    async def create(
        self, version: Version, given: Mapping[str, Any], *, base: str, **asked: Any
    ) -> Prediction:
        """Accept a prediction; `asked` are fields of Prediction, an id among them only if no other
        has it. Goes on even if the caller is canceled.

        Raises:
            QueueFullError: It is not accepted now.
            InputError: It never will be.
            QuotaError: There is no room for the audio inside it.
            AlreadyExistsError: There is one with this id.
            RepositoryError, StorageError: What keeps it does not answer.
        """
        fingerprint = asked.get("fingerprint") or ""
        task = self._retried.get(fingerprint)  # which has overtaken this request
        if task is None:
            task = self._accept(version, given, base, asked)
            _register(self._creating, fingerprint, task)
        return await asyncio.shield(task)

    async def create_once(
        self, version: Version, given: Mapping[str, Any], *, base: str, **asked: Any
    ) -> Prediction:
        """As `create`, for a request that repeats an earlier one with the same fingerprint: what
        that one created in the last minutes, or is creating now, is not created again.
        """
        fingerprint = asked["fingerprint"]
        task = self._creating.get(fingerprint) or self._retried.get(fingerprint)
        if task is None:
            task = self._tasks.start(self._find_or_create(version, given, base, asked))
            _register(self._retried, fingerprint, task)
        return await asyncio.shield(task)

    async def _find_or_create(
        self, version: Version, given: Mapping[str, Any], base: str, asked: dict[str, Any]
    ) -> Prediction:
        found = await self._store.by_fingerprint(asked["fingerprint"], time.time() - REPEAT_S)
        if found is not None and found.id not in self._disowned:
            return found
        return await self._accept(version, given, base, asked)

    def _accept(
        self, version: Version, given: Mapping[str, Any], base: str, asked: dict[str, Any]
    ) -> asyncio.Task[Prediction]:
        self._admit(given, asked.get("owner") or "")
        self._joining[asked.get("owner") or ""] += 1
        return self._tasks.start(self._create(version, given, base, asked))

    async def known(self, prediction_id: str) -> Prediction | None:
        """What was accepted under this id. Raises RepositoryError while that is unknown."""
        if prediction_id in self._disowned:
            raise RepositoryError("the database does not answer; try again later")
        return await self._store.get(prediction_id)

    async def cancel(self, prediction_id: str, status: str = CANCELED) -> Prediction | None:
        """End it now; the worker lets go of its slot at its next step. As it is then."""
        try:
            ended = await self._journal.end(prediction_id, status)
        except RepositoryError:
            self._tasks.start(self._journal.confirm(prediction_id))
            raise
        return ended or await self._store.get(prediction_id)

    async def wait(self, prediction_id: str, seconds: float) -> Prediction | None:
        """Until it has ended or the server stops, but no longer than `seconds`; as it is then."""
        live = self._journal.live.get(prediction_id)
        if live is not None:
            try:
                await asyncio.wait_for(live.released.wait(), seconds)
            except TimeoutError:
                log.debug("%s goes on after the wait", prediction_id)
        return await self._store.get(prediction_id)

    def events(self, prediction: Prediction) -> EventLog | None:
        """The events so far of one that has not ended."""
        live = self._journal.live.get(prediction.id)
        return None if live is None else live.events

    def live_file(self, prediction: Prediction, name: str, variation: int = 1) -> Path:
        """What is heard of it while it is made."""
        return live_file(self._journal.folder(prediction.id), name, variation)

    @property
    def room(self) -> int:
        """How many more may wait."""
        waiting = self._line.waiting + self._joining.total()
        return 0 if self.stopping else max(0, self._settings.queue - waiting)

    @property
    def full(self) -> bool:
        """Whether all slots of the worker are taken."""
        return self._line.slots_left <= self._joining.total()

    def counts(self) -> Mapping[str, int]:
        return {"waiting": self._line.waiting, "active": self._line.active}

    def _admit(self, given: Mapping[str, Any], owner: str) -> None:
        """Raises QueueFullError, InputError."""
        longest_s, asked_s = self._settings.max_duration_s, given.get("duration")
        if longest_s is not None and isinstance(asked_s, int | float) and asked_s > longest_s:
            raise InputError("duration", asked_s, f"this server makes at most {longest_s:g} s")
        if self.stopping:
            raise QueueFullError("the server is stopping; try again in a moment")
        if self.supervisor.state == SETUP_FAILED:
            raise QueueFullError("the worker cannot start; /health-check says why")
        if self.room == 0:
            raise QueueFullError("the queue is full; try again later")
        limit = max(1, self._settings.queue - self._settings.queue // OTHERS_SHARE)
        if self._line.waiting_of(owner) + self._joining[owner] >= limit:
            raise QueueFullError("the queue is full of your predictions; try again later")

    async def _create(
        self, version: Version, given: Mapping[str, Any], base: str, asked: dict[str, Any]
    ) -> Prediction:
        owner = asked.get("owner") or ""
        set_client(owner)
        try:
            upload = await prediction_inputs.keep_inline(given, self._uploads, self._local, owner)
            prediction = Prediction(
                id=asked.pop("id", None) or new_id(),
                created_at=time.time(),
                status=STARTING,
                model=f"{version.owner}/{version.name}",
                version=version.id,
                input=given if upload is None else _without_audio(given, base, upload),
                seed=prediction_inputs.seed_of(given),
                key=new_key(),
                base=base,
                **asked,
            )
            await self._add(prediction, upload)
            self._enqueue(prediction)
        finally:
            self._joining -= Counter((owner,))  # without the owners that have none
        self._prepare_more()
        return prediction

    async def _add(self, prediction: Prediction, upload: str | None) -> None:
        """upload: the id of what came inside it."""
        try:
            await self._store.add(prediction)
        except RepositoryError as error:
            if upload is not None:
                self._uploads.drop(upload)
            if not isinstance(error, AlreadyExistsError):
                # It may have been written all the same; who asked is told that it was not accepted.
                self._disowned.add(prediction.id)
                self._tasks.start(self._disown(prediction.id))
            raise

    async def _disown(self, prediction_id: str) -> None:
        await with_retries(lambda: self._store.disown(prediction_id))
        self._disowned.discard(prediction_id)

    def _enqueue(self, prediction: Prediction) -> None:
        self._journal.open(prediction)
        self._line.join(prediction.id, place_of(prediction, self._line.long_slots))

    def _prepare_more(self) -> None:
        while not self.stopping and (prediction_id := self._line.prepare_next()) is not None:
            self._preparing.start(self._prepare(prediction_id))

    async def _prepare(self, prediction_id: str) -> None:
        """Bring its audio here, and what else it needs, and let it take its turn."""
        live = self._journal.live.get(prediction_id)
        if live is not None:
            width = place_of(live.prediction, self._line.long_slots).width
            folder = self._journal.folder(prediction_id)
            live.job = await self._journal.or_fail(
                prediction_id, lambda: self._preparation.job(live.prediction, folder, width)
            )
        if prediction_id in self._journal.live:
            self._line.make_ready(prediction_id)
        else:
            self._let_go(prediction_id)  # it has ended meanwhile
        self._prepare_more()
        self._dispatch()

    def _dispatch(self) -> None:
        """Give free slots to whoever's turn it is."""
        while self.supervisor.state == READY and not self.stopping:
            if time.monotonic() < self._blocked_s or self._journal.storing >= MAX_STORING:
                return
            prediction_id = self._line.call()
            if prediction_id is None:
                return
            live = self._journal.live.get(prediction_id)
            if live is None or live.job is None:
                self._let_go(prediction_id)
            else:
                self._line.give(prediction_id)
                self.supervisor.run(live.job)

    def _handle(self, message: Message) -> None:
        """What the worker says. The line is changed at once, the store in its own time."""
        if message.kind == LOST:
            self._lose(bool(message["suspect"]))
        elif message.kind == "ready":
            self.setup = replace(self.setup, completed_at=time.time())
        elif message.kind == "setup_failed":
            self.setup = replace(self.setup, failed_at=time.time())
        elif message.kind == "blocked":
            self._block(message)
        elif message.kind == "postponed":
            self._postpone(message)
        elif message.kind == "started":
            self._line.begin(message.id)
        elif message.kind in ENDS:
            self._line.leave(message.id)
        if message.id:
            self._journal.note(message)
        self._prepare_more()
        self._dispatch()

    def _lose(self, suspect: bool) -> None:
        """The worker died: what it had is made again, unless it has killed too many."""
        if self.supervisor.state != SETUP_FAILED:
            self.setup = Setup(time.time())
        lost = self._line.lose(suspect)
        for prediction_id in lost.ids:
            if prediction_id in self._journal.live:
                self._suspect(
                    prediction_id, prediction_id in lost.ran, prediction_id == lost.killer
                )
            else:
                self._let_go(prediction_id)

    def _suspect(self, prediction_id: str, quarantine: bool, blame: bool) -> None:
        """A process died that had this prediction; it runs again, alone if it may be the cause."""
        live = self._journal.live[prediction_id]
        live.attempts += blame
        if live.attempts >= MAX_ATTEMPTS:
            self._line.leave(prediction_id)
        elif quarantine:
            self._line.quarantine(prediction_id)
        self._journal.note(Message("lost", prediction_id, {"quarantine": quarantine}))

    def _block(self, message: Message) -> None:
        """The worker cannot make it now, because its disk is full or the like."""
        log.error("%s waits: %s", message.id, message["error"])
        if message.id not in self._journal.live:
            self._let_go(message.id)
            return
        self._line.give_back(message.id)
        self._blocked_s = time.monotonic() + BLOCKED_S
        asyncio.get_running_loop().call_later(BLOCKED_S, self._dispatch)

    def _postpone(self, message: Message) -> None:
        """Others have the memory that its audio takes: it waits without a slot."""
        live = self._journal.live.get(message.id)
        if live is None or live.job is None:
            self._let_go(message.id)
            return
        live.job = replace(live.job, memory_bytes=message["memory_bytes"])
        self._line.give_back(message.id, is_ready=False)
        asyncio.get_running_loop().call_later(POSTPONED_S, self._resume, message.id)

    def _resume(self, prediction_id: str) -> None:
        self._line.make_ready(prediction_id)
        self._dispatch()

    def _on_end(self, prediction_id: str) -> None:
        """Whoever works on it may stop."""
        if self._line.has_slot(prediction_id):
            self.supervisor.cancel(prediction_id)
        else:
            self._let_go(prediction_id)

    def _let_go(self, prediction_id: str) -> None:
        """It has ended, and nobody works on it: its place and its files are no longer needed."""
        self._line.leave(prediction_id)
        folder = self._journal.folder(prediction_id)
        remove = partial(shutil.rmtree, folder, ignore_errors=True)
        self._tasks.start(self._cleanup.run("", remove))
        self._dispatch()


def _without_audio(given: Mapping[str, Any], base: str, upload: str) -> Mapping[str, Any]:
    """The inputs, with the address of an upload in place of audio that came inside them."""
    return {**given, prediction_inputs.AUDIO: f"{base}/v1/files/{upload}"}


def _register(
    tasks: dict[str, asyncio.Task[Prediction]], name: str, task: asyncio.Task[Prediction]
) -> None:
    """Keep a task under its name until it is done."""
    tasks[name] = task

    def remove(_: object) -> None:
        if tasks.get(name) is task:
            del tasks[name]

    task.add_done_callback(remove)
