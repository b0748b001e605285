"""Record the changes of open predictions in the database, in order, and publish them afterwards.

The messages of the worker about a prediction are recorded by its own task, which waits while the
database or the storage is down; other predictions go on. Each change of a row holds the lock of its
prediction until the change is published, so that events have the order of the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from toccata.errors import GenerationError, ToccataError
from toccata.server.background import Tasks
from toccata.server.predictions.events import EventLog, add_end
from toccata.server.predictions.finishing import Finishing
from toccata.server.predictions.progress import first_lines, progress_line
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.repository import (
    ABORTED,
    CANCELED,
    FAILED,
    PROCESSING,
    STARTING,
    SUCCEEDED,
    Prediction,
    RepositoryError,
)
from toccata.server.views import Output
from toccata.server.worker.protocol import Job, Message

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
MAX_LOG_CHARACTERS = 100_000
# Messages after which the worker is done with a prediction.
ENDS = ("done", "failed", "canceled")

T = TypeVar("T")
# A prediction, the name of the event, and its output as data URIs where URLs are not used.
OnChange = Callable[[Prediction, str, Output | None], None]


@dataclass(eq=False)
class OpenPrediction:
    """The state in memory of a prediction that has not ended.

    Attributes:
        prediction: Its row, as last recorded.
        attempts: How many processes have died of it.
        events: Its events so far, for any number of readers.
        released: Set when no client is to wait any longer: it has ended, or the server stops.
        lock: Held while its row is changed and the change is published.
        messages: Messages of the worker that are not recorded yet.
        deadline: The timer that ends it at its deadline.
        recording: Whether a task records its messages.
        began_s: When the worker began with it, by time.monotonic.
        log_size: The length of its logs in characters.
        job: The job for the worker, once its audio is fetched; after a crash it is sent again.
    """

    prediction: Prediction
    attempts: int
    events: EventLog = field(default_factory=EventLog)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    messages: deque[Message] = field(default_factory=deque)
    deadline: asyncio.TimerHandle | None = None
    recording: bool = False
    began_s: float = 0.0
    log_size: int = 0
    job: Job | None = None


class Journal:
    """The open predictions. It is used from the event loop only.

    Args:
        store: The database that records them.
        finishing: Stores and delivers their outputs.
        work: The folder that holds a folder for each prediction.
        tasks: The background tasks.
        on_change: Called with each event by name, after it is recorded.
        on_end: Called with the id of a prediction that has ended.
        on_settled: Called with the id of a prediction that the worker has finished, once all its
            messages are recorded.

    Attributes:
        live: The state in memory of the open predictions, by id.
    """

    def __init__(
        self,
        store: AsyncRepository,
        finishing: Finishing,
        work: Path,
        tasks: Tasks,
        *,
        on_change: OnChange,
        on_end: Callable[[str], None],
        on_settled: Callable[[str], None],
    ) -> None:
        self._store, self._finishing, self._work, self._tasks = store, finishing, work, tasks
        self._on_change, self._on_end, self._on_settled = on_change, on_end, on_settled
        self.live: dict[str, OpenPrediction] = {}

    def folder(self, prediction_id: str) -> Path:
        """The folder for the input audio and the outputs of a prediction."""
        return self._work / prediction_id

    def open(self, prediction: Prediction) -> OpenPrediction:
        """Add a prediction that is in the database and that this server has not run yet."""
        live = OpenPrediction(prediction, prediction.attempts, log_size=len(prediction.logs))
        self.live[prediction.id] = live
        if prediction.logs:
            live.events.add("logs", prediction.logs)
        if prediction.deadline is not None:
            remaining_s = max(0.0, prediction.deadline - time.time())
            loop = asyncio.get_running_loop()
            live.deadline = loop.call_later(remaining_s, self.expire, prediction.id)
        return live

    def expire(self, prediction_id: str) -> None:
        """End a prediction whose deadline has passed."""
        self._tasks.start(with_retries(lambda: self.end(prediction_id, ABORTED)))

    def close(self) -> None:
        """Stop the timers of all deadlines."""
        for live in self.live.values():
            if live.deadline is not None:
                live.deadline.cancel()

    def record(self, message: Message) -> None:
        """Record a message of the worker, after the earlier ones about the same prediction.

        The last `progress` message replaces one that waits.
        """
        live = self.live.get(message.id)
        if live is None:
            if message.kind in ENDS:
                self._on_settled(message.id)
            return
        if message.kind == "progress" and live.messages and live.messages[-1].kind == "progress":
            live.messages.pop()
        live.messages.append(message)
        if not live.recording:
            live.recording = True
            self._tasks.start(self._record_all(live))

    async def or_fail(self, prediction_id: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """Run work that a prediction needs, with retries; an error of it ends the prediction.

        Args:
            prediction_id: The prediction.
            work: Makes the coroutine; called again while the database or the storage is down.

        Returns:
            The result of the work; None: it failed.
        """
        try:
            return await with_retries(work)
        except (ToccataError, OSError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("%s failed", prediction_id)
            reason = f"internal error: {type(error).__name__}; the log of the server has details"
        await with_retries(lambda: self.end(prediction_id, FAILED, error=reason))
        return None

    async def _record_all(self, live: OpenPrediction) -> None:
        while live.messages:
            message = live.messages.popleft()
            try:
                await self._record(live, message)
            except Exception:
                log.exception("%s of %s was not recorded", message.kind, message.id)
        live.recording = False

    async def _record(self, live: OpenPrediction, message: Message) -> None:
        if message.kind == "started":
            await with_retries(lambda: self._begin(live))
        elif message.kind == "progress":
            await self._progress(live, message)
        elif message.kind == "warning":
            await self._add_line(live, f"warning: {message['text']}\n")
        elif message.kind == "lost":
            await with_retries(lambda: self._record_lost(live, bool(message["quarantine"])))
        elif message.kind in ENDS:
            await self._settle(live, message)

    async def _begin(self, live: OpenPrediction) -> None:
        async with live.lock:
            before, now_s = live.prediction, time.time()
            if before.id not in self.live or live.job is None:
                return
            lines = {} if before.logs else {"logs": first_lines(live.job)}
            begun = await self._change(
                live,
                status=PROCESSING,
                started_at=before.started_at or now_s,
                running_at=now_s,
                **lines,
            )
            if begun is None:
                return
            live.began_s = time.monotonic()
            if lines:
                live.log_size = len(begun.logs)
                live.events.add("logs", begun.logs)
                self._publish(begun, "start", None)

    async def _progress(self, live: OpenPrediction, message: Message) -> None:
        if live.log_size <= MAX_LOG_CHARACTERS:
            elapsed_s = time.monotonic() - live.began_s
            line = progress_line(message["done"], message["total"], elapsed_s)
            await self._add_line(live, f"{line}\n")

    async def _add_line(self, live: OpenPrediction, line: str) -> None:
        """Add a line to the logs; it is dropped if the database does not answer: others follow."""
        prediction_id = live.prediction.id
        async with live.lock:
            try:
                if not await self._store.add_logs(prediction_id, line):
                    return
                has_webhook = "logs" in live.prediction.webhook_events
                now = await self._store.get(prediction_id) if has_webhook else None
            except RepositoryError as error:
                log.warning("a log line of %s was not recorded: %s", prediction_id, error)
                return
            if prediction_id in self.live:
                live.log_size += len(line)
                live.events.add("logs", line)
            if now is not None and not now.ended:
                self._publish(now, "logs", None)

    async def _record_lost(self, live: OpenPrediction, quarantine: bool) -> None:
        if live.attempts >= MAX_ATTEMPTS:
            reason = f"the worker died {live.attempts} times while it ran this prediction"
            error, attempts = str(GenerationError(reason)), live.attempts
            await self.end(live.prediction.id, FAILED, error=error, attempts=attempts)
            return
        async with live.lock:
            values: dict[str, Any] = {"running_at": None, "attempts": live.attempts}
            if quarantine:
                values["quarantined"] = True
            await self._change(live, **values)

    async def _settle(self, live: OpenPrediction, message: Message) -> None:
        """End a prediction that the worker has finished: store its outputs, or record its error."""
        if message.kind == "done":
            await self.or_fail(message.id, lambda: self._store_outputs(live, message))
        elif message.kind == "failed":
            reason = str(message["error"])
            await with_retries(lambda: self.end(message.id, FAILED, error=reason))
        else:
            await with_retries(lambda: self.end(message.id, CANCELED))
        self._on_settled(message.id)

    async def _store_outputs(self, live: OpenPrediction, message: Message) -> None:
        """Store and deliver the outputs, and end the prediction. Raises ToccataError, OSError."""
        now = await with_retries(lambda: self._store.get(message.id))
        if now is None or now.ended:
            await self._publish_late(now)
            return
        files = [self.folder(message.id) / name for name in message["files"]]
        outputs = await self._finishing.store(now, live.job, files, message["metrics"])
        await with_retries(lambda: self.end(message.id, SUCCEEDED, outputs.data, **outputs.values))
        now = await with_retries(lambda: self._store.get(message.id))
        if now is None or now.output != outputs.names[0]:  # it was canceled meanwhile
            await self._finishing.drop(outputs)

    @property
    def storing(self) -> int:
        """How many predictions have outputs that wait for the storage."""
        return self._finishing.storing

    async def end(
        self, prediction_id: str, status: str, data: Output | None = None, **values: Any
    ) -> Prediction | None:
        """End a prediction in the database, and publish its end.

        Args:
            prediction_id: The prediction.
            status: Its terminal status; ABORTED is CANCELED if it has begun.
            data: Its output as data URIs where URLs are not used.
            values: Other fields of its row.

        Returns:
            Its row; None: it had ended before.

        Raises:
            RepositoryError: The database does not answer; it may have recorded the end.
            SupersededError: Another server has taken over the database.
        """
        live = self.live.get(prediction_id)
        if live is None:
            return None
        async with live.lock:
            if prediction_id not in self.live:
                return None
            before, now = live.prediction, time.time()
            if status == ABORTED and before.status != STARTING:
                status = CANCELED
            values["metrics"] = {**values.get("metrics", {}), **_times(before, now)}
            values["webhook_pending"] = (
                bool(before.webhook) and "completed" in before.webhook_events
            )
            ended = await self._change(live, data, status=status, completed_at=now, **values)
            if ended is not None:
                self._publish_end(ended, data)
            return ended

    async def _change(
        self, live: OpenPrediction, data: Output | None = None, **values: Any
    ) -> Prediction | None:
        """Change a row, and return it; None if the prediction has ended.

        The end may be of an earlier call that the database recorded without an answer: then it is
        published now.
        """
        prediction_id = live.prediction.id
        changed = await self._store.change(prediction_id, **values)
        if changed is None:
            await self._publish_late(await self._store.get(prediction_id), data)
        else:
            live.prediction = changed
        return changed

    async def confirm(self, prediction_id: str) -> None:
        """Publish an end that the database may have recorded without an answer."""

        async def check() -> None:
            await self._publish_late(await self._store.get(prediction_id))

        await with_retries(check)

    async def _publish_late(self, found: Prediction | None, data: Output | None = None) -> None:
        """Publish an end that is in the database and not published yet.

        Raises:
            RepositoryError: The database does not answer.
            SupersededError: Another server has taken over, and publishes it.
        """
        if found is not None and found.ended and found.id in self.live:
            await self._store.renew()
            self._publish_end(found, data)

    def _publish_end(self, ended: Prediction, data: Output | None) -> None:
        """Publish the end of a prediction, once, and forget its state."""
        live = self.live.pop(ended.id, None)
        if live is None:
            return
        if live.deadline is not None:
            live.deadline.cancel()
        self._on_end(ended.id)
        add_end(live.events, ended, data)
        live.released.set()
        self._publish(ended, "completed", data)

    def _publish(self, prediction: Prediction, event: str, data: Output | None) -> None:
        try:
            self._on_change(prediction, event, data)
        except Exception:
            log.exception("%s of %s could not be published", event, prediction.id)


def _times(prediction: Prediction, now: float) -> dict[str, float]:
    started = prediction.started_at
    times = {"total_time": now - prediction.created_at}
    if started is not None:
        times |= {"predict_time": now - started, "queue_time": started - prediction.created_at}
    return times
