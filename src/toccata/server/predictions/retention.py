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
EVERY_S = 60.0
# An upload whose bytes come for longer than that is removed by who stores it.
MAX_STORING_S = 3600.0


async def keep_tidy(
    settings: ServerSettings, store: Repository, storage: BlobStorage, quota: UploadQuota
) -> None:
    """Tidy up from time to time, without end; whatever goes wrong is tried again later."""
    over, threads = threading.Event(), FairThreads("retention", 1, 1)
    try:
        while True:
            try:
                work = partial(tidy, settings, store, storage, time.time(), over)
                gone = await threads.run("", work)
                for file_id in gone:
                    quota.remove(file_id)
            except Exception:
                log.exception("tidying up failed, and is tried again later")
            await asyncio.sleep(EVERY_S)
    finally:
        over.set()  # a thread must not keep the process while a slow storage is emptied
        threads.close()


def tidy(
    settings: ServerSettings,
    store: Repository,
    storage: BlobStorage,
    now: float,
    over: threading.Event | None = None,
) -> list[str]:
    """Remove what has had its time.

    Bytes go before the row that knows of them: cut off in between, it is done the next time. So is
    what fails, which stops nothing else.

    Args:
        settings: How long predictions are kept.
        store: Knows what there is.
        storage: Where the bytes are.
        now: Seconds since 1970.
        over: Set when no more is to be removed.

    Returns:
        The ids of uploads that are gone.
    """
    gone, over = list[str](), over or threading.Event()
    for file_id in (*store.expired_files(now), *store.lost_uploads(now - MAX_STORING_S)):
        with _otherwise_later(file_id):
            if not over.is_set():
                gone.append(_remove_upload(store, storage, file_id))
    if settings.retention_s is None:
        return gone
    used = store.audio_in_use()
    for prediction in store.ended_before(now - settings.retention_s):
        with _otherwise_later(prediction.id):
            if over.is_set():
                break
            for output in prediction.outputs:
                storage.remove(output)
            upload = inline_upload(prediction.input, store)
            if upload is not None and upload not in used:
                gone.append(_remove_upload(store, storage, upload))
            store.forget(prediction.id)
    return gone


@contextmanager
def _otherwise_later(what: str) -> Iterator[None]:
    try:
        yield
    except (StorageError, RepositoryError) as error:
        log.error("%s is tidied up later: %s", what, error)


def _remove_upload(store: Repository, storage: BlobStorage, file_id: str) -> str:
    storage.remove(f"files/{file_id}")
    store.remove_file(file_id)
    return file_id
