"""Record the changes of open predictions in the database, in order, and publish them afterwards.

What the worker says of a prediction is noted by a task of its own, which waits for as long as the
database or the storage is down, while other predictions go on. Whatever changes a row holds the
prediction's turn until the change is told, so that events are told in the order of the database.
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
from toccata.server.predictions.events import EventLog, tell_end
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
# A prediction, what happened to it, and its output as data URIs if it is given so.
OnChange = Callable[[Prediction, str, Output | None], None]


@dataclass(eq=False)
class OpenPrediction:
    """What is in memory of a prediction that has not ended.

    released: nobody is to wait for its end any longer: it has ended, or the server stops. job: what
    the worker is given, once its audio is here; another worker is given the same. turn: held while
    the row is changed and the change is told. messages: what the worker said and is not noted yet.
    """

    prediction: Prediction
    attempts: int
    events: EventLog = field(default_factory=EventLog)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    messages: deque[Message] = field(default_factory=deque)
    deadline: asyncio.TimerHandle | None = None
    noting: bool = False
    began_s: float = 0.0
    log_size: int = 0
    job: Job | None = None


class Journal:
    """The open predictions, by id; used from the event loop only.

    Args:
        store: Where they are noted.
        finishing: Keeps what they made.
        work: The folder that holds a folder for each.
        tasks: What runs in the background.
        on_change: Hears of every event by name, after it was noted.
        on_end: Hears of the id of one that has ended.
        on_settled: Hears of the id of one with which the worker is done, and all is noted.
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
        return self._work / prediction_id

    def open(self, prediction: Prediction) -> OpenPrediction:
        """One that is in the store, and that nothing has happened to since the server started."""
        live = OpenPrediction(prediction, prediction.attempts, log_size=len(prediction.logs))
        self.live[prediction.id] = live
        if prediction.logs:
            live.events.add("logs", prediction.logs)
        if prediction.deadline is not None:
            left_s = max(0.0, prediction.deadline - time.time())
            loop = asyncio.get_running_loop()
            live.deadline = loop.call_later(left_s, self.expire, prediction.id)
        return live

    def expire(self, prediction_id: str) -> None:
        """Its deadline has passed."""
        self._tasks.start(with_retries(lambda: self.end(prediction_id, ABORTED)))

    def close(self) -> None:
        """No deadline is kept any more."""
        for live in self.live.values():
            if live.deadline is not None:
                live.deadline.cancel()

    def note(self, message: Message) -> None:
        """Note it in the store, after what was said before of the same prediction."""
        live = self.live.get(message.id)
        if live is None:
            if message.kind in ENDS:
                self._on_settled(message.id)
            return
        if message.kind == "progress" and live.messages and live.messages[-1].kind == "progress":
            live.messages.pop()
        live.messages.append(message)
        if not live.noting:
            live.noting = True
            self._tasks.start(self._note_all(live))

    async def or_fail(self, prediction_id: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What it gives; None if it goes wrong, which ends the prediction."""
        try:
            return await with_retries(work)
        except (ToccataError, OSError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("%s failed", prediction_id)
            reason = f"internal error: {type(error).__name__}; the log of the server says more"
        await with_retries(lambda: self.end(prediction_id, FAILED, error=reason))
        return None

    async def _note_all(self, live: OpenPrediction) -> None:
        while live.messages:
            message = live.messages.popleft()
            try:
                await self._note(live, message)
            except Exception:
                log.exception("%s of %s was not noted", message.kind, message.id)
        live.noting = False

    async def _note(self, live: OpenPrediction, message: Message) -> None:
        if message.kind == "started":
            await with_retries(lambda: self._begin(live))
        elif message.kind == "progress":
            await self._progress(live, message)
        elif message.kind == "warning":
            await self._add_line(live, f"warning: {message['text']}\n")
        elif message.kind == "lost":
            await with_retries(lambda: self._note_lost(live, bool(message["quarantine"])))
        elif message.kind in ENDS:
            await self._settle(live, message)

    async def _begin(self, live: OpenPrediction) -> None:
        async with live.turn:
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
                self._announce(begun, "start", None)

    async def _progress(self, live: OpenPrediction, message: Message) -> None:
        if live.log_size <= MAX_LOG_CHARACTERS:
            elapsed_s = time.monotonic() - live.began_s
            line = progress_line(message["done"], message["total"], elapsed_s)
            await self._add_line(live, f"{line}\n")

    async def _add_line(self, live: OpenPrediction, line: str) -> None:
        """A line that the database does not take is left out: others follow."""
        prediction_id = live.prediction.id
        async with live.turn:
            try:
                if not await self._store.add_logs(prediction_id, line):
                    return
                wanted = "logs" in live.prediction.webhook_events
                now = await self._store.get(prediction_id) if wanted else None
            except RepositoryError as error:
                log.warning("a line of %s was not noted: %s", prediction_id, error)
                return
            if prediction_id in self.live:
                live.log_size += len(line)
                live.events.add("logs", line)
            if now is not None and not now.ended:
                self._announce(now, "logs", None)

    async def _note_lost(self, live: OpenPrediction, quarantine: bool) -> None:
        if live.attempts >= MAX_ATTEMPTS:
            reason = f"the worker died {live.attempts} times while making this"
            error, attempts = str(GenerationError(reason)), live.attempts
            await self.end(live.prediction.id, FAILED, error=error, attempts=attempts)
            return
        async with live.turn:
            values: dict[str, Any] = {"running_at": None, "attempts": live.attempts}
            if quarantine:
                values["quarantined"] = True
            await self._change(live, **values)

    async def _settle(self, live: OpenPrediction, message: Message) -> None:
        """The worker is done with it: keep what it made, or say why there is nothing."""
        if message.kind == "done":
            await self.or_fail(message.id, lambda: self._keep(live, message))
        elif message.kind == "failed":
            why = str(message["error"])
            await with_retries(lambda: self.end(message.id, FAILED, error=why))
        else:
            await with_retries(lambda: self.end(message.id, CANCELED))
        self._on_settled(message.id)

    async def _keep(self, live: OpenPrediction, message: Message) -> None:
        """Bring what was made to where it stays. Raises ToccataError, OSError."""
        now = await with_retries(lambda: self._store.get(message.id))
        if now is None or now.ended:
            await self._tell_late(now)
            return
        files = [self.folder(message.id) / name for name in message["files"]]
        kept = await self._finishing.keep(now, live.job, files, message["metrics"])
        await with_retries(lambda: self.end(message.id, SUCCEEDED, kept.data, **kept.values))
        now = await with_retries(lambda: self._store.get(message.id))
        if now is None or now.output != kept.names[0]:  # it was canceled meanwhile
            await self._finishing.drop(kept)

    @property
    def storing(self) -> int:
        """How many are made, and wait for the storage."""
        return self._finishing.storing

    async def end(
        self, prediction_id: str, status: str, data: Output | None = None, **values: Any
    ) -> Prediction | None:
        """Make it terminal and tell everybody; None if it had ended before.

        data: its output as data URIs, if it is given so. values: other fields of its row.
        """
        live = self.live.get(prediction_id)
        if live is None:
            return None
        async with live.turn:
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
                self._tell(ended, data)
            return ended

    async def _change(
        self, live: OpenPrediction, data: Output | None = None, **values: Any
    ) -> Prediction | None:
        """Its row after a change; None if it has ended, which is told now if nobody knows yet:
        the database may have done what was asked before without being able to say so.
        """
        prediction_id = live.prediction.id
        changed = await self._store.change(prediction_id, **values)
        if changed is None:
            await self._tell_late(await self._store.get(prediction_id), data)
        else:
            live.prediction = changed
        return changed

    async def confirm(self, prediction_id: str) -> None:
        """Tell of an end that the database may have noted without being able to say so."""

        async def look() -> None:
            await self._tell_late(await self._store.get(prediction_id))

        await with_retries(look)

    async def _tell_late(self, found: Prediction | None, data: Output | None = None) -> None:
        """Tell of an end that is in the database, unless another server has noted and told it.

        Raises RepositoryError, SupersededError.
        """
        if found is not None and found.ended and found.id in self.live:
            await self._store.renew()
            self._tell(found, data)

    def _tell(self, ended: Prediction, data: Output | None) -> None:
        """Once for each prediction, however often it is called."""
        live = self.live.pop(ended.id, None)
        if live is None:
            return
        if live.deadline is not None:
            live.deadline.cancel()
        self._on_end(ended.id)
        tell_end(live.events, ended, data)
        live.released.set()
        self._announce(ended, "completed", data)

    def _announce(self, prediction: Prediction, event: str, data: Output | None) -> None:
        try:
            self._on_change(prediction, event, data)
        except Exception:
            log.exception("%s of %s could not be told", event, prediction.id)


def _times(prediction: Prediction, now: float) -> dict[str, float]:
    started = prediction.started_at
    times = {"total_time": now - prediction.created_at}
    if started is not None:
        times |= {"predict_time": now - started, "queue_time": started - prediction.created_at}
    return times
