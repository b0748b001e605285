"""Readiness: whether the database, the storage and the disk work."""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from toccata.server.concurrency import BlockingCalls
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import PING_TIMEOUT_S, AsyncBlobStorage
from toccata.server.storage.lease import RENEW_INTERVAL_S, SupersededError

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 5.0
MIN_FREE_BYTES = 64 * 2**20
OK, DOWN, FULL = "ok", "down", "full"


class Health:
    """The states of the database, the storage and the disk, which `watch` updates.

    Args:
        store: The database, whose lease is renewed with each check.
        storage: The storage of uploads and outputs.
        folder: The data folder, where the worker writes.
        on_superseded: Called when another server has taken over the database.

    Attributes:
        states: By name: OK, DOWN or FULL.
    """

    def __init__(
        self,
        store: AsyncRepository,
        storage: AsyncBlobStorage,
        folder: Path,
        on_superseded: Callable[[], None],
    ) -> None:
        self._store, self._storage, self._folder = store, storage, folder
        self._on_superseded = on_superseded
        self._disk = BlockingCalls("disk", 1, PING_TIMEOUT_S, _disk_timeout)
        self.states = {"database": OK, "storage": OK, "disk": OK}

    @property
    def is_good(self) -> bool:
        """Whether all of them work."""
        return set(self.states.values()) == {OK}

    async def watch(self) -> None:
        """Check all of them periodically, until cancelled."""
        try:
            await asyncio.gather(self._watch_database(), self._watch_storage(), self._watch_disk())
        finally:
            self._disk.close()

    async def _watch_database(self) -> None:
        while True:
            try:
                await self._store.renew()
                self._set("database", OK)
            except SupersededError as error:
                log.critical("%s", error)
                self._set("database", DOWN)
                self._on_superseded()
            except Exception as error:  # noqa: BLE001 - any error is a state, and it is checked again
                self._set("database", DOWN, error)
            await asyncio.sleep(RENEW_INTERVAL_S)

    async def _watch_storage(self) -> None:
        while True:
            try:
                await self._storage.ping()
                self._set("storage", OK)
            except Exception as error:  # noqa: BLE001 - any error is a state, and it is checked again
                self._set("storage", DOWN, error)
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _watch_disk(self) -> None:
        while True:
            try:
                free = (await self._disk.run(shutil.disk_usage, self._folder)).free
                self._set("disk", OK if free >= MIN_FREE_BYTES else FULL)
            except OSError as error:
                self._set("disk", DOWN, error)
            await asyncio.sleep(POLL_INTERVAL_S)

    def _set(self, name: str, state: str, error: Exception | None = None) -> None:
        if self.states[name] != state:
            log.warning("the %s is %s%s", name, state, "" if error is None else f": {error}")
        self.states[name] = state


def _disk_timeout() -> OSError:
    return OSError(errno.ETIMEDOUT, "the disk does not answer")
