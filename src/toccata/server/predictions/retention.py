"""Delete expired uploads and old predictions."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from toccata.server.concurrency import FairThreads
from toccata.server.config import ServerSettings
from toccata.server.predictions.prediction_inputs import inline_upload
from toccata.server.predictions.quota import UploadQuota
from toccata.server.storage.blobs import BlobStorage, StorageError
from toccata.server.storage.repository import Repository, RepositoryError

log = logging.getLogger(__name__)
INTERVAL_S = 60.0
# An upload without a row for longer than this belongs to a server that died while it stored it.
MAX_STORING_S = 3600.0


async def keep_tidy(
    settings: ServerSettings, store: Repository, storage: BlobStorage, quota: UploadQuota
) -> None:
    """Run `tidy` periodically until cancelled; an error is logged, and it is tried again.

    Args:
        settings: The settings of the server.
        store: The database.
        storage: The storage of uploads and outputs.
        quota: The quota of uploads, which shrinks by those that are removed.
    """
    stop, threads = threading.Event(), FairThreads("retention", 1, 1)
    try:
        while True:
            try:
                work = partial(tidy, settings, store, storage, time.time(), stop)
                removed = await threads.run("", work)
                for file_id in removed:
                    quota.remove(file_id)
            except Exception:
                log.exception("expired data was not removed, and is tried again later")
            await asyncio.sleep(INTERVAL_S)
    finally:
        stop.set()  # the process must not wait for a slow storage
        threads.close()


def tidy(
    settings: ServerSettings,
    store: Repository,
    storage: BlobStorage,
    now: float,
    stop: threading.Event | None = None,
) -> list[str]:
    """Remove expired uploads, and the inputs, outputs and logs of old predictions.

    Files are removed before the rows that name them: if it stops in between, or if the storage
    fails, the next call removes them. An error about one does not stop the others.

    Args:
        settings: The settings of the server, with the retention of predictions.
        store: The database.
        storage: The storage of uploads and outputs.
        now: The time, in seconds since 1970.
        stop: Set when nothing more is to be removed.

    Returns:
        The ids of the uploads that were removed.
    """
    removed, stop = list[str](), stop or threading.Event()
    for file_id in (*store.expired_files(now), *store.lost_uploads(now - MAX_STORING_S)):
        with _logged_errors(file_id):
            if not stop.is_set():
                removed.append(_remove_upload(store, storage, file_id))
    if settings.retention_s is None:
        return removed
    used = store.audio_in_use()
    for prediction in store.ended_before(now - settings.retention_s):
        with _logged_errors(prediction.id):
            if stop.is_set():
                break
            for output in prediction.outputs:
                storage.remove(output)
            upload = inline_upload(prediction.input, store)
            if upload is not None and upload not in used:
                removed.append(_remove_upload(store, storage, upload))
            store.forget(prediction.id)
    return removed


@contextmanager
def _logged_errors(what: str) -> Iterator[None]:
    """Log an error of the database or the storage in the block, which is tried again later."""
    try:
        yield
    except (StorageError, RepositoryError) as error:
        log.error("%s was not removed, and is tried again later: %s", what, error)


def _remove_upload(store: Repository, storage: BlobStorage, file_id: str) -> str:
    storage.remove(f"files/{file_id}")
    store.remove_file(file_id)
    return file_id
