"""Give queued predictions to the worker, and run them again if the worker dies."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from toccata.server.background import Tasks
from toccata.server.concurrency import FairThreads
from toccata.server.predictions.journal import ENDS, MAX_ATTEMPTS, Journal
from toccata.server.predictions.preparation import Preparation, place_of
from toccata.server.predictions.queue import PredictionQueue
from toccata.server.storage.repository import Prediction
from toccata.server.worker.protocol import Message
from toccata.server.worker.supervisor import FAILED as SETUP_FAILED
from toccata.server.worker.supervisor import LOST, READY, Supervisor, Work
from toccata.settings import Settings

log = logging.getLogger(__name__)

BLOCKED_S = 5.0
# Before a prediction is tried again whose audio does not fit into the memory of the worker now.
POSTPONED_S = 1.0
# Generated predictions whose outputs the storage has not taken yet.
MAX_STORING = 64
# Removing folders may take long; it must delay nothing else.
NUM_CLEANUP_THREADS = 2


@dataclass(frozen=True)
class Setup:
    """The last start of the worker.

    Attributes:
        started_at: When it began, in seconds since 1970.
        completed_at: When the worker was ready; None: not yet, or it failed.
        failed_at: When it failed; 0: it did not.
    """

    started_at: float
    completed_at: float | None = None
    failed_at: float = 0.0


class Dispatcher:
    """The queue, and the worker that takes from it. It is used from the event loop only.

    Args:
        machine: The settings of the worker.
        preparation: Makes the jobs of predictions.
        journal: Records what the worker reports.
        tasks: What runs in the background.
        is_stopping: Whether nothing more is to be started.
        work: The main function of the worker process; None: the real one.
    """

    def __init__(
        self,
        machine: Settings,
        preparation: Preparation,
        journal: Journal,
        tasks: Tasks,
        *,
        is_stopping: Callable[[], bool],
        work: Work | None = None,
    ) -> None:
        self._preparation, self._journal, self._tasks = preparation, journal, tasks
        self._is_stopping = is_stopping
        self._preparing = Tasks()
        self._preparing_by_id: dict[str, asyncio.Task[None]] = {}
        self._cleanup = FairThreads("cleanup", NUM_CLEANUP_THREADS, NUM_CLEANUP_THREADS)
        self._blocked_until_s = 0.0  # monotonic
        self.queue = PredictionQueue(machine.slots)
        self.setup = Setup(time.time())
        self.supervisor = Supervisor(machine, self._handle, work)

    def start(self, found: Sequence[Prediction], crashed: bool) -> None:
        """Start the worker, and queue the predictions that had not ended when the server stopped.

        Args:
            found: These predictions.
            crashed: Whether the previous server died: one that it was running may be the cause.
        """
        ran = [one.id for one in found if one.running_at is not None]
        for prediction in found:
            self._open(prediction)
            if prediction.id in ran:
                self._retry(prediction.id, crashed, crashed and len(ran) == 1)
        self._prepare_more()
        self.supervisor.start()

    def enqueue(self, prediction: Prediction) -> None:
        """Queue a prediction that is in the database."""
        self._open(prediction)
        self._prepare_more()

    def stop_preparing(self) -> None:
        """Prepare no more jobs: they are prepared again at the next start."""
        self._preparing.cancel()

    async def end_preparing(self) -> None:
        """Wait until no job is being prepared."""
        await self._preparing.end()

    def close(self) -> None:
        """End the threads that remove folders."""
        self._cleanup.close()

    def release(self, prediction_id: str) -> None:
        """Free the slot and the files of a prediction that has ended, unless the worker has it."""
        if self.queue.has_slot(prediction_id):
            self.supervisor.cancel(prediction_id)
        else:
            self.remove(prediction_id)

    def remove(self, prediction_id: str) -> None:
        """Forget a prediction that has ended and that the worker is done with, and its files."""
        self.queue.leave(prediction_id)
        preparing = self._preparing_by_id.get(prediction_id)
        if preparing is not None and preparing is not asyncio.current_task():
            preparing.cancel()  # a download would go on, and count for nobody
        folder = self._journal.folder(prediction_id)
        remove = partial(shutil.rmtree, folder, ignore_errors=True)
        self._tasks.start(self._cleanup.run("", remove))
        self._prepare_more()
        self._dispatch()

    def counts(self) -> Mapping[str, int]:
        """The numbers of predictions that wait and that have a slot."""
        return {"waiting": self.queue.waiting, "active": self.queue.active}

    def _open(self, prediction: Prediction) -> None:
        self._journal.open(prediction)
        self.queue.join(prediction.id, place_of(prediction))

    def _prepare_more(self) -> None:
        while not self._is_stopping() and (next_id := self.queue.prepare_next()) is not None:
            preparing = self._preparing.start(self._prepare(next_id))
            self._preparing_by_id[next_id] = preparing
            preparing.add_done_callback(partial(self._note_prepared, next_id))

    async def _prepare(self, prediction_id: str) -> None:
        """Fetch its audio and make its job."""
        live = self._journal.live.get(prediction_id)
        if live is not None:
            folder = self._journal.folder(prediction_id)
            live.job = await self._journal.or_fail(
                prediction_id, lambda: self._preparation.job(live.prediction, folder)
            )

    def _note_prepared(self, prediction_id: str, _: asyncio.Task[None]) -> None:
        """Mark a prediction as ready, unless it has ended meanwhile."""
        del self._preparing_by_id[prediction_id]
        if prediction_id in self._journal.live:
            self.queue.make_ready(prediction_id)
        else:
            self.remove(prediction_id)  # and what was fetched for it since
        self._prepare_more()
        self._dispatch()

    def _dispatch(self) -> None:
        """Give free slots to those that are next."""
        while self.supervisor.state == READY and not self._is_stopping():
            blocked = time.monotonic() < self._blocked_until_s
            if blocked or self._journal.storing >= MAX_STORING:
                return
            prediction_id = self.queue.acquire()
            if prediction_id is None:
                return
            live = self._journal.live.get(prediction_id)
            if live is None or live.job is None:
                self.remove(prediction_id)
            else:
                self.queue.dispatch(prediction_id)
                width = self.queue.width_of(prediction_id)
                self.supervisor.run(replace(live.job, width=width))

    def _handle(self, message: Message) -> None:
        """Act on a message of the worker: the queue changes at once, the database in its time."""
        if message.kind == LOST:
            self._requeue_lost(bool(message["suspect"]))
        elif message.kind == "ready":
            self.setup = replace(self.setup, completed_at=time.time())
        elif message.kind == "setup_failed":
            self.setup = replace(self.setup, failed_at=time.time())
        elif message.kind == "blocked":
            self._block(message)
        elif message.kind == "postponed":
            self._postpone(message)
        elif message.kind == "started":
            self.queue.begin(message.id)
        elif message.kind in ENDS:
            self.queue.leave(message.id)
        if message.id:
            self._journal.record(message)
        self._prepare_more()
        self._dispatch()

    def _requeue_lost(self, suspect: bool) -> None:
        """The worker died: run what it had again."""
        if self.supervisor.state != SETUP_FAILED:
            self.setup = Setup(time.time())
        lost = self.queue.lose(suspect)
        for prediction_id in lost.ids:
            if prediction_id in self._journal.live:
                self._retry(prediction_id, prediction_id in lost.ran, prediction_id == lost.poison)
            else:
                self.remove(prediction_id)

    def _retry(self, prediction_id: str, quarantine: bool, blame: bool) -> None:
        """A process died that had this prediction: run it again, or fail it after several deaths.

        Args:
            prediction_id: The prediction.
            quarantine: Whether it runs alone from now on, because it may be the cause.
            blame: Whether it is the only possible cause.
        """
        live = self._journal.live[prediction_id]
        live.attempts += blame
        if live.attempts >= MAX_ATTEMPTS:
            self.queue.leave(prediction_id)
        elif quarantine:
            self.queue.quarantine(prediction_id)
        self._journal.record(Message("lost", prediction_id, {"quarantine": quarantine}))

    def _block(self, message: Message) -> None:
        """Requeue what the worker cannot run now, for example because its disk is full."""
        log.error("%s waits: %s", message.id, message["error"])
        if message.id not in self._journal.live:
            self.remove(message.id)
            return
        self.queue.requeue(message.id)
        self._blocked_until_s = time.monotonic() + BLOCKED_S
        asyncio.get_running_loop().call_later(BLOCKED_S, self._dispatch)

    def _postpone(self, message: Message) -> None:
        """Requeue, without a slot, what has no memory for its audio because others have it."""
        live = self._journal.live.get(message.id)
        if live is None or live.job is None:
            self.remove(message.id)
            return
        live.job = replace(live.job, memory_bytes=message["memory_bytes"])
        self.queue.requeue(message.id, is_ready=False)
        asyncio.get_running_loop().call_later(POSTPONED_S, self._resume, message.id)

    def _resume(self, prediction_id: str) -> None:
        self.queue.make_ready(prediction_id)
        self._dispatch()
