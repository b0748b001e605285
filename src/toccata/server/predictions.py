"""The life of a prediction: created, queued, made, ended; and made again if the worker died.

    starting -> processing -> succeeded | failed | canceled
    starting -> canceled | aborted | failed

The store is changed before anybody is told. After a restart of the server, or of the worker,
whatever had not ended is made again: its seed was fixed when it was created. Its slot is free as
soon as the worker is done with it; what is made is stored, and told, while the next one is made.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from toccata.errors import GenerationError, ToccataError
from toccata.server import inputs_of
from toccata.server.config import ServerSettings
from toccata.server.ids import new_id, new_key
from toccata.server.jobs import Job, Message
from toccata.server.line import Line
from toccata.server.live import live_file
from toccata.server.outputs import file_data, keep_all, remove_all
from toccata.server.progress import first_lines, progress_line
from toccata.server.sse import EventLog
from toccata.server.storage import Storage
from toccata.server.store import (
    ABORTED,
    CANCELED,
    FAILED,
    PROCESSING,
    STARTING,
    SUCCEEDED,
    Prediction,
    Store,
    StoreError,
)
from toccata.server.supervisor import LOST, READY, Supervisor, Work
from toccata.server.telling import tell_end
from toccata.server.versions import Version
from toccata.server.views import Output

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
MOST_LOG_CHARACTERS = 100_000
DATABASE_PAUSE_S = 0.5

T = TypeVar("T")
# A prediction, what happened to it, and its output as data URIs if it is given so.
OnChange = Callable[[Prediction, str, Output | None], None]
# A finished file -> the address that it was uploaded to, None if it is to go nowhere. Raises
# ToccataError if it could not be uploaded.
Deliver = Callable[[Prediction, Path], Awaitable[str | None]]


class QueueFullError(ToccataError):
    """Too many predictions wait already."""

    http_status = 503


@dataclass(eq=False)
class Live:
    """What is in memory of a prediction that has not ended.

    released: nobody is to wait for its end any longer: it has ended, or the server stops. job: what
    the worker is told, once its audio is here; another worker is told the same.
    """

    events: EventLog = field(default_factory=EventLog)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: asyncio.TimerHandle | None = None
    began_s: float = 0.0
    log_size: int = 0
    hooked: bool = False
    job: Job | None = None


@dataclass(frozen=True)
class Setup:
    """The last start of the worker. Times are seconds since 1970; completed_at None: it goes on."""

    started_at: float
    completed_at: float | None = None


class Predictions:
    """All of them; used from the event loop only. `on_change` hears of every event by name.

    deliver: brings outputs to where they are wanted, before it is told that they are there.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: Store,
        storage: Storage,
        *,
        fetch: inputs_of.Fetch,
        on_change: OnChange,
        deliver: Deliver,
        work: Work | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._storage = storage
        self._fetch = fetch
        self._on_change = on_change
        self._deliver = deliver
        self._line = Line(settings.machine.slots)
        self._live: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._drained_s: float | None = None  # when it is to be over; monotonic
        # A folder of this start: a worker of the last one may still be writing.
        self._work = settings.data_dir / "work" / new_id()
        self.setup = Setup(time.time())
        self.supervisor = Supervisor(settings.machine, self._heed, work)

    def start(self) -> None:
        """Start the worker, and take up what had not ended when the server last stopped."""
        shutil.rmtree(self._work.parent, ignore_errors=True)
        for prediction in self._store.open_ones():
            self._enqueue(prediction)
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
            for live in self._live.values():
                live.released.set()
        while (self._line.active or self._tasks) and time.monotonic() < self._drained_s:
            if hurry():
                return
            await asyncio.sleep(0.05)

    async def stop(self, drain_s: float) -> None:
        """Drain, then end everything; what had not ended is taken up at the next start."""
        await self.drain(drain_s)
        for live in self._live.values():
            if live.deadline is not None:
                live.deadline.cancel()
        self.supervisor.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._work, ignore_errors=True)

    def create(self, version: Version, given: Mapping[str, Any], **asked: Any) -> Prediction:
        """Accept a prediction; `asked` are fields of Prediction, an id among them only if no other
        has it. Raises QueueFullError.
        """
        if self.stopping:
            raise QueueFullError("the server is stopping; try again in a moment")
        if self.room == 0:
            raise QueueFullError("the queue is full; try again later")
        prediction = Prediction(
            id=asked.pop("id", None) or new_id(),
            created_at=time.time(),
            status=STARTING,
            model=f"{version.owner}/{version.name}",
            version=version.id,
            input=dict(given),
            seed=inputs_of.seed_of(given),
            key=new_key(),
            **asked,
        )
        self._store.add(prediction)
        self._enqueue(prediction)
        self._dispatch()
        return prediction

    def cancel(self, prediction_id: str, status: str = CANCELED) -> Prediction | None:
        """End it now; the worker lets go of its slot at its next step. As it is then."""
        ended = self._end(prediction_id, status)
        if ended is not None and self._line.with_worker(prediction_id):
            self.supervisor.cancel(prediction_id)
        return ended or self._store.get(prediction_id)

    async def wait(self, prediction_id: str, seconds: float) -> Prediction | None:
        """Until it has ended or the server stops, but no longer than `seconds`; as it is then."""
        live = self._live.get(prediction_id)
        if live is not None:
            try:
                await asyncio.wait_for(live.released.wait(), seconds)
            except TimeoutError:
                log.debug("%s goes on after the wait", prediction_id)
        return self._store.get(prediction_id)

    def events(self, prediction: Prediction) -> EventLog | None:
        """The events so far of one that has not ended."""
        live = self._live.get(prediction.id)
        return None if live is None else live.events

    def live_file(self, prediction: Prediction, name: str, variation: int = 1) -> Path:
        """What is heard of it while it is made."""
        return live_file(self._folder(prediction.id), name, variation)

    @property
    def room(self) -> int:
        """How many more may wait."""
        return 0 if self.stopping else max(0, self._settings.queue - self._line.waiting)

    @property
    def full(self) -> bool:
        """Whether all slots of the worker are taken."""
        return self._line.full

    def counts(self) -> Mapping[str, int]:
        return {"waiting": self._line.waiting, "active": self._line.active}

    def _enqueue(self, prediction: Prediction) -> None:
        live = Live(log_size=len(prediction.logs), hooked=prediction.webhook is not None)
        self._live[prediction.id] = live
        if prediction.logs:
            live.events.add("logs", prediction.logs)
        if prediction.deadline is not None:
            left_s = max(0.0, prediction.deadline - time.time())
            loop = asyncio.get_running_loop()
            live.deadline = loop.call_later(left_s, self._expire, prediction.id)
        self._line.join(prediction.id, prediction.attempts > 0, prediction.count)

    def _expire(self, prediction_id: str) -> None:
        def end() -> None:
            now = self._store.get(prediction_id)
            if now is not None and not now.ended:
                self.cancel(prediction_id, ABORTED if now.status == STARTING else CANCELED)

        self._background(self._surely(end))

    def _dispatch(self) -> None:
        """Give free slots to whoever waits longest."""
        while self.supervisor.state == READY and not self.stopping:
            prediction_id = self._line.call()
            if prediction_id is None:
                return
            self._background(self._hand_over(prediction_id))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """What it gives, as soon as the database answers."""
        while True:
            try:
                return await work()
            except StoreError as error:
                log.error("%s", error, exc_info=error.__cause__)
                await asyncio.sleep(DATABASE_PAUSE_S)

    async def _surely(self, call: Callable[[], T]) -> T:
        async def work() -> T:
            return call()

        return await self._patiently(work)

    async def _or_fail(self, prediction_id: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What it gives; None if it goes wrong, which ends the prediction."""
        try:
            return await self._patiently(work)
        except (ToccataError, OSError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("%s failed", prediction_id)
            reason = f"internal error: {type(error).__name__}: {error}"
        await self._surely(lambda: self._end(prediction_id, FAILED, error=reason))
        return None

    async def _hand_over(self, prediction_id: str) -> None:
        """Bring its audio here, unless that was done before, and give it to the worker."""
        live = self._live.get(prediction_id)
        if live is not None and live.job is None:
            live.job = await self._or_fail(prediction_id, lambda: self._job(prediction_id))
        if prediction_id not in self._live or live is None or live.job is None:
            self._let_go(prediction_id)  # it has ended meanwhile
        elif self.supervisor.state != READY:
            self._line.give_back(prediction_id)
        else:
            self._line.give(prediction_id)
            self.supervisor.run(live.job)

    async def _job(self, prediction_id: str) -> Job | None:
        """None: it has ended. Raises ToccataError, OSError for what cannot be made."""
        prediction = await self._surely(lambda: self._store.get(prediction_id))
        if prediction is None or self._has_ended(prediction):
            return None
        folder = self._folder(prediction_id)
        folder.mkdir(parents=True, exist_ok=True)
        inputs = await inputs_of.resolve(
            prediction, folder, self._storage, self._store, self._fetch
        )
        model = inputs_of.model_of(inputs, self._settings)
        values = {**asdict(inputs), "input_audio": _text(inputs.input_audio)}
        return Job(prediction_id, model, values, str(folder), count=prediction.count)

    def _heed(self, message: Message) -> None:
        """What the worker says."""
        try:
            self._note(message)
        except StoreError as error:
            log.error("%s of %s was not noted", message.kind, message.id, exc_info=error)
        self._dispatch()

    def _note(self, message: Message) -> None:
        if message.kind == LOST:
            self.setup = Setup(time.time())
            self._take_back()
        elif message.kind == "ready":
            self.setup = replace(self.setup, completed_at=time.time())
        elif message.kind == "started":
            self._begin(message.id)
        elif message.kind == "progress":
            self._progress(message)
        elif message.kind == "warning":
            self._add_line(message.id, f"warning: {message['text']}\n")
        elif message.kind in ("done", "failed", "canceled"):
            self._line.leave(message.id)
            self._background(self._settle(message))

    def _begin(self, prediction_id: str) -> None:
        self._line.begin(prediction_id)
        before = self._store.get(prediction_id)
        live = self._live.get(prediction_id)
        if before is None or live is None or live.job is None:
            return
        now_s = time.time()
        begun = self._store.change(
            prediction_id,
            status=PROCESSING,
            started_at=before.started_at or now_s,
            logs=before.logs or first_lines(live.job),
        )
        if begun is not None:
            live.began_s = time.monotonic()
            if not before.logs:
                live.log_size = len(begun.logs)
                live.events.add("logs", begun.logs)
                self._on_change(begun, "start", None)

    def _progress(self, message: Message) -> None:
        live = self._live.get(message.id)
        if live is None or live.log_size > MOST_LOG_CHARACTERS:
            return
        elapsed_s = time.monotonic() - live.began_s
        self._add_line(
            message.id, progress_line(message["done"], message["total"], elapsed_s) + "\n"
        )

    def _add_line(self, prediction_id: str, line: str) -> None:
        """To the logs of a prediction that is being made."""
        live = self._live.get(prediction_id)
        if live is None or not self._store.add_logs(prediction_id, line):
            return
        live.log_size += len(line)
        live.events.add("logs", line)
        if live.hooked and (now := self._store.get(prediction_id)) is not None:
            self._on_change(now, "logs", None)

    async def _settle(self, message: Message) -> None:
        """The worker is done with it: keep what it made, or say why there is nothing."""
        if message.kind == "done":
            await self._or_fail(message.id, lambda: self._keep(message))
        elif message.kind == "failed":
            why = str(message["error"])
            await self._surely(lambda: self._end(message.id, FAILED, error=why))
        else:
            await self._surely(lambda: self._end(message.id, CANCELED))
        self._let_go(message.id)

    async def _keep(self, message: Message) -> None:
        """Bring what was made to where it stays. Raises ToccataError, OSError."""
        prediction = await self._surely(lambda: self._store.get(message.id))
        if prediction is None or self._has_ended(prediction):
            return
        job = self._live[message.id].job
        marks = {} if job is None else job.marks
        made = {
            f"outputs/{prediction.key}/{name}": self._folder(message.id) / name
            for name in message["files"]
        }
        first, *more = made
        delivered = await self._deliver(prediction, made[first])
        inline = prediction.as_data and delivered is None
        data = await file_data([*made.values()]) if inline else None
        values = {
            "output": first,
            "more_outputs": more or None,
            "delivered": delivered,
            "metrics": {**message["metrics"], **marks},
        }
        await asyncio.to_thread(keep_all, self._storage, made)
        ended = await self._surely(lambda: self._end(message.id, SUCCEEDED, data, **values))
        now = ended or await self._surely(lambda: self._store.get(message.id))
        if now is not None and now.output != first:  # it was canceled meanwhile
            await asyncio.to_thread(remove_all, self._storage, made)

    def _end(
        self, prediction_id: str, status: str, data: Output | None = None, **values: Any
    ) -> Prediction | None:
        """Make it terminal and tell everybody; None if it had ended before.

        data: its output as data URIs, if it is given so. values: other fields of its row.
        """
        before = self._store.get(prediction_id)
        if before is None or self._has_ended(before, data):
            return None
        now = time.time()
        values["metrics"] = {**values.get("metrics", {}), **_times(before, now)}
        values["owed"] = before.webhook is not None and "completed" in before.webhook_events
        ended = self._store.change(prediction_id, status=status, completed_at=now, **values)
        if ended is not None:
            self._tell(ended, data)
        return ended

    def _has_ended(self, prediction: Prediction, data: Output | None = None) -> bool:
        """Whether it has; it is told now if the database did it without being able to say so."""
        if prediction.ended and prediction.id in self._live:
            self._tell(prediction, data)
        return prediction.ended

    def _tell(self, ended: Prediction, data: Output | None) -> None:
        live = self._live.pop(ended.id)
        if live.deadline is not None:
            live.deadline.cancel()
        if not self._line.has_slot(ended.id):
            self._let_go(ended.id)
        tell_end(live.events, ended, data)
        live.released.set()
        self._on_change(ended, "completed", data)

    def _let_go(self, prediction_id: str) -> None:
        """It has ended, and nobody works on it: its place and its files are no longer needed."""
        self._line.leave(prediction_id)
        shutil.rmtree(self._folder(prediction_id), ignore_errors=True)
        self._dispatch()

    def _take_back(self) -> None:
        """The worker died: what it was making is made again, unless it has killed too many."""
        lost = self._line.lose()
        for prediction_id in lost.ids:
            if prediction_id not in self._live:
                self._let_go(prediction_id)
        if lost.killer in self._live:
            self._blame(lost.killer)

    def _blame(self, prediction_id: str) -> None:
        prediction = self._store.get(prediction_id)
        if prediction is None:
            return
        attempts = prediction.attempts + 1
        self._store.change(prediction_id, attempts=attempts)
        if attempts >= MOST_ATTEMPTS:
            reason = GenerationError(f"the worker died {attempts} times while making this")
            self._end(prediction_id, FAILED, error=str(reason))

    def _folder(self, prediction_id: str) -> Path:
        return self._work / prediction_id


def _times(prediction: Prediction, now: float) -> dict[str, float]:
    started = prediction.started_at
    times = {"total_time": now - prediction.created_at}
    if started is not None:
        times |= {"predict_time": now - started, "queue_time": started - prediction.created_at}
    return times


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
