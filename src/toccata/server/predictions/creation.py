"""Create predictions: admit a request, keep its audio, write its row, and queue it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from toccata.errors import InputError, ToccataError
from toccata.server.background import Tasks
from toccata.server.concurrency import BlockingCalls, set_client
from toccata.server.config import ServerSettings
from toccata.server.predictions import prediction_inputs
from toccata.server.predictions.dispatcher import Dispatcher
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.predictions.retries import with_retries
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.repository import (
    STARTING,
    AlreadyExistsError,
    Prediction,
    RepositoryError,
    new_id,
    new_key,
)
from toccata.server.versions import Version
from toccata.server.worker.supervisor import FAILED as SETUP_FAILED

# One in so many places of the queue is kept for other owners than the one that fills it.
OTHERS_SHARE = 10
# For how long a repeated request gets the prediction of the first one.
REPEAT_S = 120.0


class QueueFullError(ToccataError):
    """Too many predictions wait already, or none is accepted at all."""

    http_status = 503


class Creation:
    """Creates predictions. It is used from the event loop only.

    Args:
        settings: The settings of the server.
        store: The rows of predictions.
        uploads: Keeps audio that comes inside a request.
        local: Runs calls on the local disk.
        dispatcher: Queues what is created.
        tasks: What runs in the background: a creation goes on if its client leaves.
        is_stopping: Whether nothing more is accepted.
        undelivered: How many webhooks an owner has whose receiver has not answered yet.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: AsyncRepository,
        uploads: KeptFiles,
        local: BlockingCalls,
        *,
        dispatcher: Dispatcher,
        tasks: Tasks,
        is_stopping: Callable[[], bool],
        undelivered: Callable[[str], int],
    ) -> None:
        self._settings, self._store, self._uploads = settings, store, uploads
        self._local, self._dispatcher, self._tasks = local, dispatcher, tasks
        self._joining = Counter[str]()  # admitted, and not queued yet; by owner
        # Creations under way by the fingerprint of their request: first ones, and retries.
        self._creating: dict[str, asyncio.Task[Prediction]] = {}
        self._retried: dict[str, asyncio.Task[Prediction]] = {}
        self._disowned: set[str] = set()  # perhaps written, and refused
        self._is_stopping, self._undelivered = is_stopping, undelivered

    @property
    def room(self) -> int:
        """How many more predictions may be created now."""
        waiting = self._dispatcher.queue.waiting + self._joining.total()
        return 0 if self._is_stopping() else max(0, self._settings.queue - waiting)

    @property
    def full(self) -> bool:
        """Whether all slots of the worker are taken."""
        return self._dispatcher.queue.slots_left <= self._joining.total()

    async def create(
        self, version: Version, given: Mapping[str, Any], *, base: str, **fields: Any
    ) -> Prediction:
        """Create a prediction; see `Predictions.create`."""
        fingerprint = fields.get("fingerprint") or ""
        task = self._retried.get(fingerprint)  # which has overtaken this request
        if task is None:
            task = self._start(version, given, base, fields)
            _register(self._creating, fingerprint, task)
        return await asyncio.shield(task)

    async def create_once(
        self, version: Version, given: Mapping[str, Any], *, base: str, **fields: Any
    ) -> Prediction:
        """Create a prediction unless an earlier request did; see `Predictions.create_once`."""
        fingerprint = fields["fingerprint"]
        task = self._creating.get(fingerprint) or self._retried.get(fingerprint)
        if task is None:
            task = self._tasks.start(self._find_or_create(version, given, base, fields))
            _register(self._retried, fingerprint, task)
        return await asyncio.shield(task)

    async def known(self, prediction_id: str) -> Prediction | None:
        """The prediction that was accepted under an id. Raises RepositoryError while unknown."""
        if prediction_id in self._disowned:
            raise RepositoryError("the database does not answer; try again later")
        return await self._store.get(prediction_id)

    async def _find_or_create(
        self, version: Version, given: Mapping[str, Any], base: str, fields: dict[str, Any]
    ) -> Prediction:
        found = await self._store.by_fingerprint(fields["fingerprint"], time.time() - REPEAT_S)
        if found is not None and found.id not in self._disowned:
            return found
        return await self._start(version, given, base, fields)

    def _start(
        self, version: Version, given: Mapping[str, Any], base: str, fields: dict[str, Any]
    ) -> asyncio.Task[Prediction]:
        owner = fields.get("owner") or ""
        self._admit(given, owner)
        # Of predictions that have ended, which the queue does not count.
        if fields.get("webhook") and self._undelivered(owner) >= max(1, self._settings.queue):
            raise QueueFullError("too many of your webhooks are not delivered; try again later")
        self._joining[owner] += 1
        return self._tasks.start(self._create(version, given, base, fields))

    def _admit(self, given: Mapping[str, Any], owner: str) -> None:
        """Raises QueueFullError, InputError."""
        max_s, duration_s = self._settings.max_duration_s, given.get("duration")
        if max_s is not None and isinstance(duration_s, int | float) and duration_s > max_s:
            raise InputError("duration", duration_s, f"this server makes at most {max_s:g} s")
        if self._is_stopping():
            raise QueueFullError("the server is stopping; try again in a moment")
        if self._dispatcher.supervisor.state == SETUP_FAILED:
            raise QueueFullError("the worker cannot start; /health-check says why")
        if self.room == 0:
            raise QueueFullError("the queue is full; try again later")
        limit = max(1, self._settings.queue - self._settings.queue // OTHERS_SHARE)
        if self._dispatcher.queue.waiting_of(owner) + self._joining[owner] >= limit:
            raise QueueFullError("the queue is full of your predictions; try again later")

    async def _create(
        self, version: Version, given: Mapping[str, Any], base: str, fields: dict[str, Any]
    ) -> Prediction:
        owner = fields.get("owner") or ""
        set_client(owner)
        try:
            upload = await prediction_inputs.keep_inline(given, self._uploads, self._local, owner)
            prediction = Prediction(
                id=fields.pop("id", None) or new_id(),
                created_at=time.time(),
                status=STARTING,
                model=f"{version.owner}/{version.name}",
                version=version.id,
                input=given if upload is None else _without_audio(given, base, upload),
                seed=prediction_inputs.seed_of(given),
                key=new_key(),
                base=base,
                **fields,
            )
            await self._add(prediction, upload)
            self._dispatcher.enqueue(prediction)
        finally:
            self._joining -= Counter((owner,))  # without the owners that have none
        return prediction

    async def _add(self, prediction: Prediction, upload: str | None) -> None:
        """Write a row. `upload` is the id of the audio that came inside the request."""
        try:
            await self._store.add(prediction)
        except RepositoryError as error:
            if upload is not None:
                self._uploads.drop(upload)
            if not isinstance(error, AlreadyExistsError):
                # It may have been written all the same; the client hears that it was refused.
                self._disowned.add(prediction.id)
                self._tasks.start(self._disown(prediction.id))
            raise

    async def _disown(self, prediction_id: str) -> None:
        await with_retries(lambda: self._store.disown(prediction_id))
        self._disowned.discard(prediction_id)


def _without_audio(given: Mapping[str, Any], base: str, upload: str) -> Mapping[str, Any]:
    """The inputs, with the address of an upload in place of the audio that came inside them."""
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
